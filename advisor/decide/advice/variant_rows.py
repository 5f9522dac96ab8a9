"""What the report shows of each variant and of the measured service times: reductions of the profile, nothing predicted."""

from collections.abc import Sequence

from advisor.decide.queue.space import admission
from advisor.decide.service.speedup import speedup
from advisor.medians import Medians, medians_of
from advisor.schema.advice import RunsOn, ServiceCurve, SiteFacts, VariantSummary
from advisor.schema.profile import Measurement, Profile, Site, Variant
from advisor.schema.record import Estimate
from advisor.schema.workload import OnlineWorkload
from advisor.speed_ratios import PairNoise, pair_noise


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
    length = usual_length(profile)
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
                speedup=_over_its_origin(site, variant, length, noise),
                throughput_items_per_s=_throughput(cleaned, variant, length, known),
                agreement=variant.agreement,
                quality=variant.quality,
                admitted=admitted.admitted,
                admitted_because=admitted.because,
                kept_operators=variant.kept_operators,
                kept_cost=variant.kept_cost,
                runs_on=RunsOn(
                    provider=variant.provider,
                    provider_options=variant.provider_options,
                    session_options=variant.session_options,
                ),
                student=variant.student,
            )
        )
    return rows


def _over_its_origin(site: Site, variant: Variant, length: int | None, noise: PairNoise) -> Estimate | None:
    """Return how many times faster than what it was made of a single item is on one thread; a student is compared with the model."""
    if variant.derived_from is None:
        return None
    as_given = next(entry.id for entry in site.variants if entry.derived_from is None)
    over = as_given if variant.student is not None else variant.derived_from
    return speedup(site, variant.id, over, batch_size=1, sequence_length=length, noise=noise)


def usual_length(profile: Profile) -> int | None:
    """Return the length of requests at which variants are compared, None where they have none."""
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
