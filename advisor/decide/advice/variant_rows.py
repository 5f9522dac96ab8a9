"""What the report tells of each variant and of the measured service times: reductions of the profile, nothing predicted."""

import math
import statistics

from advisor.decide.queue.space import Admission
from advisor.decide.service.measured import median_estimate, noise_floor, student_t_95
from advisor.schema.advice import ServiceCurve, VariantSummary
from advisor.schema.profile import Measurement, Profile, Variant
from advisor.schema.record import Estimate
from advisor.visits import clean, is_clean, usual_hop_s


def variant_summaries(profile: Profile, admissions: dict[str, Admission]) -> tuple[VariantSummary, ...]:
    """Return one summary per variant, the baseline first."""
    return tuple(
        VariantSummary(
            id=variant.id,
            title=variant.title,
            path=variant.path,
            sha256=variant.sha256,
            bytes=variant.bytes,
            load_s=variant.load_s,
            peak_memory_bytes=variant.peak_memory_bytes,
            speedup=_speedup(profile, variant),
            throughput_items_per_s=_throughput(profile, variant),
            agreement=variant.agreement,
            quality=variant.quality,
            admitted=admissions[variant.id].admitted,
            admitted_because=admissions[variant.id].because,
            kept_operators=variant.kept_operators,
            kept_cost=variant.kept_cost,
        )
        for variant in profile.variants
    )


def service_curves(profile: Profile) -> tuple[ServiceCurve, ...]:
    """Return the measured seconds per call over batch sizes, one curve per variant, setting and length."""
    known, usual_s = {variant.id for variant in profile.variants}, _usual_hop_s(profile)
    curves: dict[tuple[str, int, int, int | None], list[Measurement]] = {}
    for entry in profile.measurements:
        if entry.variant in known:
            key = (entry.variant, entry.intra_op_num_threads, entry.instances, entry.sequence_length)
            curves.setdefault(key, []).append(entry)
    return tuple(
        ServiceCurve(
            variant=variant,
            intra_op_num_threads=threads,
            instances=instances,
            sequence_length=length,
            batch_size=tuple(entry.batch_size for entry in sorted(ladder, key=_batch_size)),
            latency_s=tuple(
                median_estimate(clean(entry.visits, usual_s), noise_floor(profile, threads, instances))
                for entry in sorted(ladder, key=_batch_size)
            ),
        )
        for (variant, threads, instances, length), ladder in curves.items()
    )


def _usual_hop_s(profile: Profile) -> float | None:
    return usual_hop_s(visit for entry in profile.measurements for visit in entry.visits)


def _batch_size(entry: Measurement) -> int:
    return entry.batch_size


def _speedup(profile: Profile, variant: Variant) -> Estimate | None:
    """Return how many times faster than the baseline a single item is on one thread, from visits of the same round.

    Both were measured in the same minute, so what the machine did to both cancels in each ratio.
    """
    if variant.derived_from is None:
        return None
    length = profile.settings.sequence_lengths[0] if profile.settings.sequence_lengths else profile.model.at_sequence_length
    ours, theirs = (_single(profile, name, length) for name in (variant.id, variant.derived_from))
    if ours is None or theirs is None:
        return None
    pairs = [(before, after) for before, after in zip(theirs.visits, ours.visits, strict=False)]
    undisturbed = [pair for pair in pairs if all(map(is_clean, pair))] or pairs
    logs = [math.log(statistics.median(before.latency_s) / statistics.median(after.latency_s)) for before, after in undisturbed]
    center = statistics.median(logs)
    sampling = student_t_95(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.log(2.0)
    half = max(sampling, math.log1p(noise_floor(profile, 1, 1)))
    return Estimate(
        value=math.exp(center),
        low=math.exp(center - half),
        high=math.exp(center + half),
        basis="measured",
        source=f"batch 1, 1 thread, {len(logs)} interleaved visits each",
    )


def _single(profile: Profile, variant: str, length: int | None) -> Measurement | None:
    point = (variant, 1, 1, 1, length)
    for entry in profile.measurements:
        if (entry.variant, entry.batch_size, entry.intra_op_num_threads, entry.instances, entry.sequence_length) == point:
            return entry
    return None


def _throughput(profile: Profile, variant: Variant) -> Estimate | None:
    """Return the most items a second of any measured point at the workload's usual length, all instances together."""
    length = profile.settings.sequence_lengths[0] if profile.settings.sequence_lengths else profile.model.at_sequence_length
    usual_s = _usual_hop_s(profile)
    best: Estimate | None = None
    for entry in profile.measurements:
        if entry.variant != variant.id or entry.sequence_length != length:
            continue
        call = median_estimate(clean(entry.visits, usual_s), noise_floor(profile, entry.intra_op_num_threads, entry.instances))
        items = entry.batch_size * entry.instances
        if best is None or items / call.value > best.value:
            setting = f"batch {entry.batch_size}, {entry.intra_op_num_threads} thread(s) x {entry.instances}"
            source = f"{setting}; the best point, so a little optimistic"
            best = Estimate(
                value=items / call.value, low=items / call.high, high=items / call.low, basis="measured", source=source
            )
    return best
