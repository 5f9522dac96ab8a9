"""What the report shows of each variant and of the measured service times: reductions of the profile, nothing predicted."""

import math
import statistics
from collections.abc import Sequence

from advisor.decide.queue.space import admission
from advisor.decide.service.measured import median_estimate, noise_floor, student_t_95
from advisor.schema.advice import ServiceCurve, SiteFacts, VariantSummary
from advisor.schema.profile import Measurement, Profile, Site, Variant
from advisor.schema.record import Estimate
from advisor.schema.workload import OnlineWorkload
from advisor.visits import is_clean


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
    rows = []
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
                speedup=_speedup(site, variant, length),
                throughput_items_per_s=_throughput(cleaned, variant, length),
                agreement=variant.agreement,
                quality=variant.quality,
                admitted=admitted.admitted,
                admitted_because=admitted.because,
                kept_operators=variant.kept_operators,
                kept_cost=variant.kept_cost,
            )
        )
    return rows


def _usual_length(profile: Profile) -> int | None:
    return profile.settings.sequence_lengths[0] if profile.settings.sequence_lengths else profile.model.at_sequence_length


def service_curves(cleaned: Sequence[Site]) -> tuple[ServiceCurve, ...]:
    """Return the measured seconds per call over batch sizes, one curve per site, variant, setting and length."""
    return tuple(curve for site in cleaned for curve in _curves(site))


def _curves(site: Site) -> list[ServiceCurve]:
    known = {variant.id for variant in site.variants}
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
            latency_s=tuple(
                median_estimate(entry.visits, noise_floor(site, threads, instances)) for entry in sorted(ladder, key=_batch_size)
            ),
        )
        for (variant, threads, instances, length), ladder in curves.items()
    ]


def _batch_size(entry: Measurement) -> int:
    return entry.batch_size


def _speedup(site: Site, variant: Variant, length: int | None) -> Estimate | None:
    """Return how many times faster than the baseline a single item is on one thread, from visits of the same round.

    Both were measured in the same minute, so what the machine did to both cancels in each ratio.
    """
    if variant.derived_from is None:
        return None
    ours, theirs = (_single(site, name, length) for name in (variant.id, variant.derived_from))
    if ours is None or theirs is None:
        return None
    pairs = [(before, after) for before, after in zip(theirs.visits, ours.visits, strict=False)]
    undisturbed = [pair for pair in pairs if all(map(is_clean, pair))] or pairs
    logs = [math.log(statistics.median(before.latency_s) / statistics.median(after.latency_s)) for before, after in undisturbed]
    center = statistics.median(logs)
    sampling = student_t_95(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.log(2.0)
    half = max(sampling, math.log1p(noise_floor(site, 1, 1)))
    return Estimate(
        value=math.exp(center),
        low=math.exp(center - half),
        high=math.exp(center + half),
        basis="measured",
        source=f"batch 1, 1 thread, {len(logs)} interleaved visits each",
    )


def _single(site: Site, variant: str, length: int | None) -> Measurement | None:
    point = (variant, 1, 1, 1, length)
    for entry in site.measurements:
        if (entry.variant, entry.batch_size, entry.intra_op_num_threads, entry.instances, entry.sequence_length) == point:
            return entry
    return None


def _throughput(site: Site, variant: Variant, length: int | None) -> Estimate | None:
    """Return the most items a second of any measured point at the usual length, all instances together."""
    best: Estimate | None = None
    for entry in site.measurements:
        if entry.variant != variant.id or entry.sequence_length != length:
            continue
        call = median_estimate(entry.visits, noise_floor(site, entry.intra_op_num_threads, entry.instances))
        items = entry.batch_size * entry.instances
        if best is None or items / call.value > best.value:
            setting = f"batch {entry.batch_size}, {entry.intra_op_num_threads} thread(s) x {entry.instances}"
            source = f"{setting}; the best point, so slightly optimistic"
            best = Estimate(
                value=items / call.value, low=items / call.high, high=items / call.low, basis="measured", source=source
            )
    return best
