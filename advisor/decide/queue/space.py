"""The space: every way to serve that the profile can speak of, simplest first, and what is kept out of it with the reason."""

from advisor.decide.service.measured import ServiceGrid
from advisor.quality_floor import keeps_floor
from advisor.schema.advice import Candidate
from advisor.schema.profile import QualityResult, Site, Variant, is_untrained
from advisor.schema.record import Record
from advisor.schema.workload import Baseline, OnlineWorkload, Quality
from advisor.units import seconds

QUEUE_DELAYS_S = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
NOT_TRAINED = "not trained yet: its speed was measured, its quality is known once it is trained"
# A batch that waits longer than this part of the target leaves too little of it for the work.
MAX_DELAY_OF_TARGET = 0.5


class Configuration(Record, frozen=True, kw_only=True):
    """A candidate before the number of replicas is chosen."""

    variant: str
    intra_op_num_threads: int
    instances: int
    max_batch_size: int
    max_queue_delay_s: float

    def replicated(self, replicas: int, hardware: str) -> Candidate:
        """Return the candidate with so many replicas on that hardware."""
        return Candidate(
            variant=self.variant,
            hardware=hardware,
            intra_op_num_threads=self.intra_op_num_threads,
            instances=self.instances,
            max_batch_size=self.max_batch_size,
            max_queue_delay_s=self.max_queue_delay_s,
            replicas=replicas,
        )


def of_candidate(candidate: Candidate) -> Configuration:
    """Return the configuration of a candidate."""
    return Configuration(
        variant=candidate.variant,
        intra_op_num_threads=candidate.intra_op_num_threads,
        instances=candidate.instances,
        max_batch_size=candidate.max_batch_size,
        max_queue_delay_s=candidate.max_queue_delay_s,
    )


class Admission(Record, frozen=True, kw_only=True):
    """Whether a variant may be recommended; `is_unknown` if only a quality measurement is missing."""

    admitted: bool
    is_unknown: bool
    because: str


def admission(variant: Variant, workload: OnlineWorkload) -> Admission:
    """Return whether the variant's quality is known to hold; of a student that nobody has trained nobody asks."""
    if is_untrained(variant):
        return Admission(admitted=False, is_unknown=False, because=NOT_TRAINED)
    return admission_of(variant.quality, workload.quality, is_baseline=variant.derived_from is None, is_lossless=variant.lossless)


def admission_of(
    measured: QualityResult | None,
    floor: Quality | None,
    *,
    is_baseline: bool,
    is_lossless: bool,
    metric_key: str = "quality.metric",
) -> Admission:
    """Return whether quality is known to hold: a variant must be lossless, or measured on the user's data within the floor.

    `metric_key` is what to write into the workload file to have it measured.
    """
    if is_baseline:
        return Admission(admitted=True, is_unknown=False, because="the baseline")
    if is_lossless:
        return Admission(admitted=True, is_unknown=False, because="only reorders arithmetic, without loss of precision")
    if floor is None or floor.data is None:
        way_out = f"set {metric_key}, quality.max_drop and quality.data in the workload file"
        return Admission(admitted=False, is_unknown=True, because=f"quality unknown: {way_out}")
    if measured is None or measured.metric != floor.metric:
        return Admission(
            admitted=False, is_unknown=True, because=f"quality unknown: profiled without {floor.metric} on {floor.data}"
        )
    is_kept, reason = keeps_floor(measured, floor.max_drop, floor.max_slice_drop)
    return Admission(admitted=is_kept, is_unknown=False, because=reason)


def baseline_configuration(site: Site, baseline: Baseline) -> Configuration:
    """Return what runs today; by default what a plain ONNX Runtime server does: one instance with a thread on every core."""
    as_given = next(variant.id for variant in site.variants if variant.derived_from is None)
    return Configuration(
        variant=baseline.variant or as_given,
        intra_op_num_threads=baseline.intra_op_num_threads or site.machine.cores,
        instances=baseline.instances or 1,
        max_batch_size=baseline.max_batch_size,
        max_queue_delay_s=baseline.max_queue_delay_s,
    )


def configurations(
    grids: dict[tuple[str, int, int], ServiceGrid], workload: OnlineWorkload, today: Configuration, variants: set[str]
) -> list[Configuration]:
    """Return every configuration of the given variants, today's first, then by how much would have to change."""
    delays = [delay for delay in QUEUE_DELAYS_S if delay <= MAX_DELAY_OF_TARGET * workload.slo.latency_s]
    found = {today} if today.variant in variants else set()
    for (variant, threads, instances), grid in grids.items():
        if variant not in variants:
            continue
        # Powers of two, also between those that were measured: service times between them are interpolated.
        sizes = sorted({1 << power for power in range(grid.max_batch_size.bit_length())} | {grid.max_batch_size})
        for size in sizes:
            for delay in delays if size > 1 else [0.0]:
                found.add(
                    Configuration(
                        variant=variant,
                        intra_op_num_threads=threads,
                        instances=instances,
                        max_batch_size=size,
                        max_queue_delay_s=delay,
                    )
                )
    return sorted(found, key=lambda entry: (len(changes(today, entry)), _order(entry)))


def _order(entry: Configuration) -> tuple[str, int, int, float, int]:
    return (entry.variant, entry.instances, entry.max_batch_size, entry.max_queue_delay_s, entry.intra_op_num_threads)


def changes(today: Configuration, other: Configuration) -> tuple[str, ...]:
    """Describe what differs from what runs today; empty if nothing does."""
    found = []
    if other.variant != today.variant:
        found.append(f"serve {other.variant} instead of {today.variant}")
    if (other.intra_op_num_threads, other.instances) != (today.intra_op_num_threads, today.instances):
        found.append(
            f"{_plural(other.instances, 'instance')} of {_plural(other.intra_op_num_threads, 'thread')} "
            f"instead of {_plural(today.instances, 'instance')} of {_plural(today.intra_op_num_threads, 'thread')}"
        )
    if other.max_batch_size != today.max_batch_size:
        found.append(f"batches of up to {other.max_batch_size} instead of {today.max_batch_size}")
    if other.max_queue_delay_s != today.max_queue_delay_s:
        found.append(f"a queue delay of up to {seconds(other.max_queue_delay_s)} instead of {seconds(today.max_queue_delay_s)}")
    return tuple(found)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
