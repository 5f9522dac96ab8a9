"""What was measured: the machine, the variants, every visit, and what load tests taught."""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.catalog import CPU, Hardware, Provider
from advisor.schema.model import ModelFacts
from advisor.schema.record import Estimate, Exclusion, Metric, Record


class Machine(Record, frozen=True, kw_only=True):
    """A machine as its operating system describes it."""

    cpu: str
    cores: int  # those this process may use; under a quota no more than it keeps busy, rounded up
    memory_bytes: int  # the machine's, or less where a limit is set
    instruction_sets: tuple[str, ...]
    system: str
    quota_cores: float | None = None  # of processor time that a container may use, in cores; None: no quota


class Agreement(Record, frozen=True, kw_only=True):
    """How near a variant's outputs are to the baseline's on the same inputs; a proxy for quality, never quality itself."""

    items: int
    inputs: Literal["generated", "given"]
    cosine_mean: float | None
    cosine_min: float | None
    max_abs_difference: float
    top1_agreement: float | None  # None where the model has no classes


class SliceResult(Record, frozen=True, kw_only=True):
    """The metric on a part of the items: one class, or what the user's data calls a slice; the intervals hold for all parts together."""

    name: str
    items: int
    baseline: float
    value: float
    drop: Estimate


class QualityResult(Record, frozen=True, kw_only=True):
    """A metric of baseline and variant on the user's data; `drop` is what is lost, its interval a paired bootstrap.

    Lost is baseline minus variant; of an error rate, variant minus baseline; of what has no upper bound (squared errors, perplexity),
    the increase as a fraction of the baseline's.
    """

    metric: Metric
    data_sha256: str
    items: int
    baseline: float
    value: float
    drop: Estimate
    slices: tuple[SliceResult, ...] = ()


class Variant(Record, frozen=True, kw_only=True):
    """One file that could be served; `path` is relative to the folder of the profile."""

    id: str
    scheme: str
    title: str
    path: str
    sha256: str
    bytes: int
    derived_from: str | None  # None for the baseline
    changed_operators: dict[str, int]  # operator type -> difference in count from the file it was derived from
    changed_weight_bytes: int  # difference in stored weight bytes
    lossless: bool  # the scheme only reorders arithmetic: no weight or activation loses precision
    load_s: float | None
    peak_memory_bytes: int | None  # of the process that timed all its points, sessions of every setting side by side
    agreement: Agreement | None
    quality: QualityResult | None
    provider: Provider = CPU
    provider_options: dict[str, str] = {}
    session_options: dict[str, str] = {}
    kept_operators: tuple[str, ...] = ()  # nodes left in full precision, since quality was lost through them
    kept_cost: Estimate | None = None  # seconds of a single item over those of the scheme with nothing kept


class Visit(Record, frozen=True, kw_only=True):
    """Consecutive calls in one round, and what disturbed them meanwhile; None where the system does not report it."""

    order: int
    latency_s: tuple[float, ...]
    run_delay_s: float | None  # that its threads waited for a core, summed over them
    involuntary_switches: int | None = None  # how often a core was taken from one of its threads
    steal_s: float | None = None  # that the host ran something else on a core of this machine, summed over cores
    core_hop_s: float | None = None  # of a cache line between its cores, just before or after; of visits on several threads
    waited_s: tuple[float, ...] | None = None  # of each call, that a thread at work on it waited, the longest; empty: none waited
    throttled_s: float | None = None  # that a quota on processor time kept its threads off the cores, summed over them


class Measurement(Record, frozen=True, kw_only=True):
    """All samples of seconds per call at one point; with several instances they ran side by side and samples are pooled."""

    variant: str
    batch_size: int
    sequence_length: int | None
    intra_op_num_threads: int
    instances: int
    visits: tuple[Visit, ...]


class Calibration(Record, frozen=True, kw_only=True):
    """What a load test taught of service inside a server under one setting.

    A batch keeps its instance busy for call_ratio times the profiled call (times the factor that `call_factors` holds for calls of
    about that long), per_batch_s and per_request_s for each of its requests, all times a factor of `spread`; and wake_s more if the
    instance was idle; one that is due by its timer, on an idle instance, is taken timer_late_s after that. A request is in the queue
    transit_s after it was meant to be sent.
    """

    variant: str
    intra_op_num_threads: int
    instances: int
    call_ratio: Estimate
    call_lengths_s: tuple[float, ...]  # profiled calls, ascending, between whose logarithms the factors are interpolated
    call_factors: tuple[float, ...]
    per_batch_s: Estimate
    per_request_s: Estimate
    wake_s: Estimate
    timer_late_s: Estimate | None = None  # None: no batch was due by its timer, or all that came to idle instances were
    transit_s: tuple[float, ...]  # of single requests, in their order
    spread: tuple[float, ...]  # single batches over what the figures above say of them, in their order
    batches: int


class Stalls(Record, frozen=True, kw_only=True):
    """How often and how long a core stood still, as a watcher of the clock saw it; waiting for other processes is no stall."""

    watched_s: float
    gaps_s: tuple[float, ...]  # each stall longer than shortest_s
    shortest_s: float


class NoiseFloor(Record, frozen=True, kw_only=True):
    """How much equal things differ under one setting: side by side and on several threads it is more than alone.

    `fraction` is what 90 % of the differences between the medians of two equal points stay below. The parts that make it up are
    standard deviations of logarithms, and None in profiles of earlier versions.
    """

    intra_op_num_threads: int
    instances: int
    fraction: float
    between_visits: float | None = None  # of the medians of single visits of one point
    visit_freedom: float | None = None  # degrees of freedom that this is known with
    between_processes: float | None = None  # of one file's medians, from process to process
    process_freedom: float | None = None


class Power(Record, frozen=True, kw_only=True):
    """What the machine drew while it was measuring, by its own meter."""

    watts: Estimate
    meter: Literal["RAPL", "NVML"]


class ProfileSettings(Record, frozen=True, kw_only=True):
    """What the user asked of `advisor profile`; a run is resumed only under equal settings."""

    sequence_lengths: tuple[int, ...]
    max_batch_size: int
    max_latency_s: float | None
    budget_s: float
    seed: int
    inputs_sha256: str | None
    quality_metric: Metric | None
    quality_data_sha256: str | None
    given_sha256: tuple[str, ...] = ()  # of files that the user named as variants
    quality_max_drop: float | None = None
    quality_max_slice_drop: float | None = None
    calibration_sha256: str | None = None
    wanted: tuple[str, ...] = ()  # schemes that are measured even if the pre-flight check would leave them out
    asked_sha256: str | None = (
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
    fingerprint: str  # of model, settings, schemes, versions and machine: equal for runs that may go on from each other
    versions: dict[str, str]
    measuring_s: float
    noise_fraction: float | None
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
