"""What the report shows of each variant and of the measured service times: reductions of the profile, nothing predicted."""

import math
from collections.abc import Sequence

from advisor.decide.queue.space import admission
from advisor.medians import Medians, PairNoise, medians_of, pair_noise, ratios
from advisor.schema.advice import ServiceCurve, SiteFacts, VariantSummary
from advisor.schema.profile import Measurement, Profile, Site, Variant
from advisor.schema.record import Estimate
from advisor.schema.workload import OnlineWorkload


def site_facts(site: Site) -> SiteFacts:
    """Return what the report shows of a site."""
    return SiteFacts(
        hardware=site.hardware.id,
        name=site.hardware.name,
        machine=site.machine,
        versions=site.versions,
        created=site.created,
        noise_fraction=site.noise_fraction,
        measuring_s=site.measuring_s,
        samples=sum(len(visit.latency_s) for entry in site.measurements for visit in entry.visits),
    )


def variant_rows(profile: Profile, cleaned: Sequence[Site], workload: OnlineWorkload) -> tuple[VariantSummary, ...]:
    """Return a row for each variant of each site, the baseline of a site first; `cleaned` are the sites with the visits that count."""
    length = _usual_length(profile)
    pairs = zip(profile.sites, cleaned, strict=True)
    return tuple(row for site, counted in pairs for row in _rows(site, counted, length, workload))


def _rows(site: Site, cleaned: Site, length: int | None, workload: OnlineWorkload) -> list[VariantSummary]:
    rows, known, noise = [], medians_of(cleaned), pair_noise(site)
    for variant in site.variants:
        admitted = admission(variant, workload)
        rows.append(
            VariantSummary(
                hardware=site.hardware.id,
                id=variant.id,
                title=variant.title,
                path=variant.path,
                sha256=variant.sha256,
                bytes=variant.bytes,
                load_s=variant.load_s,
                peak_memory_bytes=variant.peak_memory_bytes,
                speedup=_speedup(site, variant, length, noise),
                throughput_items_per_s=_throughput(cleaned, variant, length, known),
                agreement=variant.agreement,
                quality=variant.quality,
                admitted=admitted.admitted,
                admitted_because=admitted.because,
                kept_operators=variant.kept_operators,
                kept_cost=variant.kept_cost,
                student=variant.student,
            )
        )
    return rows


def _usual_length(profile: Profile) -> int | None:
    return profile.settings.sequence_lengths[0] if profile.settings.sequence_lengths else profile.model.at_sequence_length


def service_curves(cleaned: Sequence[Site]) -> tuple[ServiceCurve, ...]:
    """Return the measured seconds per call over batch sizes, one curve per site, variant, setting and length."""
    return tuple(curve for site in cleaned for curve in _curves(site))


def _curves(site: Site) -> list[ServiceCurve]:
    known, medians = {variant.id for variant in site.variants}, medians_of(site)
    curves: dict[tuple[str, int, int, int | None], list[Measurement]] = {}
    for entry in site.measurements:
        if entry.variant in known:
            key = (entry.variant, entry.intra_op_num_threads, entry.instances, entry.sequence_length)
            curves.setdefault(key, []).append(entry)
    return [
        ServiceCurve(
            hardware=site.hardware.id,
            variant=variant,
            intra_op_num_threads=threads,
            instances=instances,
            sequence_length=length,
            batch_size=tuple(entry.batch_size for entry in sorted(ladder, key=_batch_size)),
            latency_s=tuple(medians.estimate(entry) for entry in sorted(ladder, key=_batch_size)),
        )
        for (variant, threads, instances, length), ladder in curves.items()
    ]


def _batch_size(entry: Measurement) -> int:
    return entry.batch_size


def _speedup(site: Site, variant: Variant, length: int | None, noise: PairNoise) -> Estimate | None:
    """Return how many times faster than the baseline a single item is on one thread, from visits of the same round.

    Both were measured in the same minute, so what the machine did to both cancels in each ratio.
    """
    if variant.derived_from is None:
        return None
    ours, theirs = (_single(site, name, length) for name in (variant.id, variant.derived_from))
    if ours is None or theirs is None:
        return None
    found = ratios(theirs, ours)
    half = math.hypot(found.half_width(noise), noise.process_difference, found.doubt)
    return Estimate(
        value=math.exp(found.center),
        low=math.exp(found.center - half),
        high=math.exp(found.center + half),
        basis="measured",
        source=f"batch 1, 1 thread, {len(found.logs)} interleaved visits each",
    )


def _single(site: Site, variant: str, length: int | None) -> Measurement | None:
    point = (variant, 1, 1, 1, length)
    for entry in site.measurements:
        if (entry.variant, entry.batch_size, entry.intra_op_num_threads, entry.instances, entry.sequence_length) == point:
            return entry
    return None


def _throughput(site: Site, variant: Variant, length: int | None, known: Medians) -> Estimate | None:
    """Return the most items a second of any measured point at the usual length, all instances together."""
    best: Estimate | None = None
    for entry in site.measurements:
        if entry.variant != variant.id or entry.sequence_length != length:
            continue
        call = known.estimate(entry)
        items = entry.batch_size * entry.instances
        if best is None or items / call.value > best.value:
            setting = f"batch {entry.batch_size}, {entry.intra_op_num_threads} thread(s) x {entry.instances}"
            source = f"{setting}; the best point, so slightly optimistic"
            best = Estimate(
                value=items / call.value, low=items / call.high, high=items / call.low, basis="measured", source=source
            )
    return best
