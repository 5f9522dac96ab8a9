"""What was measured: the machine, the variants, every visit, and what load tests taught."""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.catalog import CPU, Hardware, Provider
from advisor.schema.distillation import Student
from advisor.schema.model import ModelFacts
from advisor.schema.record import (
    BatchSize,
    CallSeconds,
    Cores,
    Count,
    Difference,
    Estimate,
    Exclusion,
    Fraction,
    Length,
    Metric,
    Name,
    NonNegative,
    Positive,
    Record,
    Seconds,
    Sha256,
    Shown,
    Whole,
)

Cosine = Annotated[float, Meta(ge=-1, le=1)]
Magnitude = Annotated[float, Meta(ge=0)]  # of what models give, which may be any float
CallFactor = Annotated[float, Meta(ge=1e-6, le=1e6)]  # one duration over another of the same thing


class Machine(Record, frozen=True, kw_only=True):
    """A machine as its operating system describes it."""

    cpu: str
    cores: Cores  # those this process may use; under a quota no more than it keeps busy, rounded up
    memory_bytes: Count  # the machine's, or less where a limit is set
    instruction_sets: tuple[str, ...]
    system: str
    quota_cores: Positive | None = None  # of processor time that a container may use, in cores; None: no quota


class Agreement(Record, frozen=True, kw_only=True):
    """How near a variant's outputs are to the baseline's on the same inputs; a proxy for quality, never quality itself."""

    items: Count
    inputs: Literal["generated", "given"]
    cosine_mean: Cosine | None
    cosine_min: Cosine | None
    max_abs_difference: Magnitude
    top1_agreement: Fraction | None  # None where the model has no classes


class SliceResult(Record, frozen=True, kw_only=True):
    """The metric on a part of the items: one class, or what the user's data calls a slice; the intervals hold for all parts together."""

    name: str
    items: Count
    baseline: Shown
    value: Shown
    drop: Estimate


class QualityResult(Record, frozen=True, kw_only=True):
    """A metric of baseline and variant on the user's data; `drop` is what is lost, its interval a paired bootstrap.

    Lost is baseline minus variant; of an error rate, variant minus baseline; of what has no upper bound (squared errors, perplexity),
    the increase as a fraction of the baseline's.
    """

    metric: Metric
    data_sha256: Sha256
    items: Count
    baseline: Shown
    value: Shown
    drop: Estimate
    slices: tuple[SliceResult, ...] = ()


class Variant(Record, frozen=True, kw_only=True):
    """One file that could be served; `path` is relative to the folder of the profile."""

    id: Name
    scheme: str
    title: str
    path: Name
    sha256: Sha256
    bytes: Whole
    derived_from: str | None  # None for the baseline
    changed_operators: dict[str, Difference]  # operator type -> difference in count from the file it was derived from
    changed_weight_bytes: Difference  # difference in stored weight bytes
    lossless: bool  # the scheme only reorders arithmetic: no weight or activation loses precision
    load_s: Seconds | None
    peak_memory_bytes: Whole | None  # of the process that timed all its points, sessions of every setting side by side
    agreement: Agreement | None
    quality: QualityResult | None
    provider: Provider = CPU
    provider_options: dict[str, str] = {}
    session_options: dict[str, str] = {}
    kept_operators: tuple[str, ...] = ()  # nodes left in full precision, since quality was lost through them
    kept_cost: Estimate | None = None  # seconds of a single item over those of the scheme with nothing kept
    student: Student | None = None  # where it is a smaller model


def is_untrained(variant: Variant) -> bool:
    """Return whether a variant is a student that nobody has trained: its speed is known, and its answers mean nothing."""
    return variant.student is not None and not variant.student.is_trained


class Visit(Record, frozen=True, kw_only=True):
    """Consecutive calls in one round, and what disturbed them meanwhile; None where the system does not report it."""

    order: Whole
    latency_s: Annotated[tuple[CallSeconds, ...], Meta(min_length=1)]
    run_delay_s: Seconds | None  # that its threads waited for a core, summed over them
    involuntary_switches: Whole | None = None  # how often a core was taken from one of its threads
    steal_s: Seconds | None = None  # that the host ran something else on a core of this machine, summed over cores
    core_hop_s: Seconds | None = None  # of a cache line between its cores, just before or after; of visits on several threads
    waited_s: tuple[Seconds, ...] | None = (
        None  # of each call, that a thread at work on it waited, the longest; empty: none waited
    )
    throttled_s: Seconds | None = None  # that a quota on processor time kept its threads off the cores, summed over them


class Measurement(Record, frozen=True, kw_only=True):
    """All samples of seconds per call at one point; with several instances they ran side by side and samples are pooled."""

    variant: str
    batch_size: BatchSize
    sequence_length: Length | None
    intra_op_num_threads: Cores
    instances: Cores
    visits: Annotated[tuple[Visit, ...], Meta(min_length=1)]


class Calibration(Record, frozen=True, kw_only=True):
    """What a load test taught of service inside a server under one setting.

    A batch keeps its instance busy for call_ratio times the profiled call (times the factor that `call_factors` holds for calls of
    about that long), per_batch_s and per_request_s for each of its requests, all times a factor of `spread`; and wake_s more if the
    instance was idle, and one of `hold_up_s`; one that is due by its timer, on an idle instance, is taken timer_late_s after that. A
    request is in the queue transit_s after it was meant to be sent.
    """

    variant: str
    intra_op_num_threads: Cores
    instances: Cores
    call_ratio: Estimate
    call_lengths_s: Annotated[
        tuple[CallSeconds, ...], Meta(min_length=1)
    ]  # profiled calls, ascending, between whose logarithms the factors are interpolated
    call_factors: Annotated[tuple[CallFactor, ...], Meta(min_length=1)]
    per_batch_s: Estimate
    per_request_s: Estimate
    wake_s: Estimate
    timer_late_s: Estimate | None = None  # None: no batch was due by its timer, or all that came to idle instances were
    transit_s: Annotated[tuple[Seconds, ...], Meta(min_length=1)]  # of single requests, in their order
    spread: Annotated[
        tuple[CallFactor, ...], Meta(min_length=1)
    ]  # single batches over what the figures above say of them, in their order
    hold_up_s: tuple[Seconds, ...] = ()  # of single batches that came to an idle instance, in their order: of most nothing
    batches: Count


class Stalls(Record, frozen=True, kw_only=True):
    """How often and how long a core stood still, as a watcher of the clock saw it; waiting for other processes is no stall."""

    watched_s: Seconds
    gaps_s: tuple[CallSeconds, ...]  # each stall longer than shortest_s
    shortest_s: Seconds


class NoiseFloor(Record, frozen=True, kw_only=True):
    """How much equal things differ under one setting: side by side and on several threads it is more than alone.

    `fraction` is what 90 % of the differences between the medians of two equal points stay below. The parts that make it up are
    standard deviations of logarithms, and None in profiles of earlier versions.
    """

    intra_op_num_threads: Cores
    instances: Cores
    fraction: NonNegative
    between_visits: NonNegative | None = None  # of the medians of single visits of one point
    visit_freedom: NonNegative | None = None  # degrees of freedom that this is known with
    between_processes: NonNegative | None = None  # of one file's medians, from process to process
    process_freedom: NonNegative | None = None


class Power(Record, frozen=True, kw_only=True):
    """What the machine drew while it was measuring, by its own meter."""

    watts: Estimate
    meter: Literal["RAPL", "NVML"]


class ProfileSettings(Record, frozen=True, kw_only=True):
    """What the user asked of `advisor profile`; a run is resumed only under equal settings."""

    sequence_lengths: tuple[Length, ...]
    max_batch_size: BatchSize
    max_latency_s: Positive | None
    budget_s: Seconds
    seed: Whole
    inputs_sha256: Sha256 | None
    quality_metric: Metric | None
    quality_data_sha256: Sha256 | None
    given_sha256: tuple[Sha256, ...] = ()  # of files that the user named as variants
    students_sha256: tuple[Sha256, ...] = ()
    quality_max_drop: NonNegative | None = None
    quality_max_slice_drop: NonNegative | None = None
    calibration_sha256: Sha256 | None = None
    wanted: tuple[str, ...] = ()  # schemes that are measured even if the pre-flight check would leave them out
    asked_sha256: Sha256 | None = (
        None  # of the traffic, target and present service that decided what was timed; None: all points alike
    )


class Site(Record, frozen=True, kw_only=True):
    """One machine, and all that was measured there of the model.

    `noise_fraction` is how much equal things differ, as in NoiseFloor, over all settings. Advice calls the machine by the id of its
    hardware: `local`, or that of the catalog.
    """

    hardware: Hardware
    machine: Machine
    created: str
    advisor_version: str
    fingerprint: Sha256  # of model, settings, schemes, versions and machine: equal for runs that may go on from each other
    versions: dict[str, str]
    measuring_s: Seconds
    noise_fraction: NonNegative | None
    variants: tuple[Variant, ...]
    measurements: tuple[Measurement, ...]
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
    noise_floors: tuple[NoiseFloor, ...] = ()  # by setting; noise_fraction is of all of them
    calibrations: tuple[Calibration, ...] = ()  # what load tests have taught, by setting
    power: Power | None = None  # None: no meter could be read
    inputs_path: str | None = None  # the user's own inputs, from the folder of the profile; None: they were generated
    trial: Calibration | None = None  # a short one of the model as given: what a server adds, where no load test has shown it
    stalls: tuple[Stalls, ...] = ()  # of every watch, in the profile and beside load tests; none: nobody watched


class Profile(Record, frozen=True, kw_only=True):
    """The model, what was asked, and what each machine measured; the first site is that of the command that made the profile."""

    schema_version: int
    model: ModelFacts
    settings: ProfileSettings
    sites: Annotated[tuple[Site, ...], Meta(min_length=1)]
