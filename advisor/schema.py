"""Every record that crosses a module boundary.

Base units throughout: s, bytes, flop, usd, fraction 0..1. One name end to end: the key in the YAML, the field here, the key in
the JSON and the word in a template are the same string. A record holds what it was given; nothing is looked up or guessed here.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

SCHEMA_VERSION = 2
# A server that is busy more than this has no headroom for what the simulation does not know: 2 % of service time are 18 % of p99 at 0.9.
BUSY_FRACTION = 0.75

Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]
RelativeRates = Annotated[tuple[NonNegative, ...], Meta(min_length=2, max_length=1440)]

Basis = Literal["measured", "interpolated", "simulated", "projected", "list-price", "assumed"]
Family = Literal["cnn", "encoder", "decoder", "encoder-decoder", "tree", "other"]
Term = Literal["on-demand", "reserved", "spot"]
Role = Literal["ids", "mask", "segment", "position", "state", "scalar", "features"]
Metric = Literal["accuracy", "top1_agreement", "cosine"]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all records: immutable, built by keyword, refusing unknown keys."""


class Estimate(Record, frozen=True, kw_only=True):
    """A figure with its 90% interval, how it was obtained and from what."""

    value: float
    low: float
    high: float
    basis: Basis
    source: str


class Exclusion(Record, frozen=True, kw_only=True):
    """Something that was not considered, and why."""

    what: str
    reason: str


# --- the model -----------------------------------------------------------------------------------------------------------


class ModelInput(Record, frozen=True, kw_only=True):
    """One graph input; `shape` holds an int where fixed, a symbol where named, None where unknown."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    example_shape: tuple[int, ...]  # one item that the model was seen to accept
    role: Role
    batch_axis: int | None
    sequence_axis: int | None
    upper_bound: int | None  # exclusive bound of valid integers, where the graph tells it (vocabulary size)
    scalar_value: int | None = None  # what a scalar is set to: a constant that the graph compares it with


class ModelOutput(Record, frozen=True, kw_only=True):
    """One graph output; `has_classes` when its last axis scores classes."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    has_classes: bool


class GraphInput(Record, frozen=True, kw_only=True):
    """A graph input as the file declares it, with what the nodes that read it give away."""

    name: str
    dtype: str  # NumPy's name, "string", or the ONNX type where it is not a tensor
    shape: tuple[int | str | None, ...]
    vocabulary: int | None  # rows of the table that it indexes
    is_state: bool  # initial state of a recurrent operator
    compared_with: tuple[int, ...]  # constants it is tested against, as a sample rate is


class GraphOutput(Record, frozen=True, kw_only=True):
    """A graph output as the file declares it, and the operator that makes it."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    producer: str


class Graph(Record, frozen=True, kw_only=True):
    """What an ONNX file holds, subgraphs and local functions included, before anything is run."""

    sha256: str  # of the file and of its external data
    file_bytes: int
    opset: dict[str, int]
    operators: dict[str, int]  # operator type -> nodes; Constant nodes are counted as weights instead
    domains: dict[str, str]  # operator type -> domain
    parameters: int
    weight_bytes: int
    weight_bytes_of: dict[str, int]  # operator type -> bytes of the weights it reads
    weights_sha256: str  # of the values alone, wherever they are stored
    classical_flop: dict[str, float]  # operations per item of each ai.onnx.ml operator that learned something
    einsum_equations: dict[str, str]  # node name -> equation
    inputs: tuple[GraphInput, ...]
    outputs: tuple[GraphOutput, ...]


class OperatorFacts(Record, frozen=True, kw_only=True):
    """What one operator type contributes at batch 1; flop is None where no formula is known for the operator."""

    type: str
    count: int
    flop_per_item: float | None
    activation_bytes_per_item: float
    weight_bytes: int


class Batching(Record, frozen=True, kw_only=True):
    """Whether items can share a call: proved by running the model, or refused with the reason."""

    possible: bool
    reason: str


class ModelFacts(Record, frozen=True, kw_only=True):
    """What the model file says about itself; `at_sequence_length` is None where there is no sequence axis."""

    name: str
    format: Literal["onnx", "checkpoint"]
    sha256: str
    family: Family
    parameters: int
    weight_bytes: int
    file_bytes: int
    opset: dict[str, int]
    already_quantized: bool
    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]
    batching: Batching
    operators: tuple[OperatorFacts, ...]
    flop_per_item: float | None
    activation_bytes_per_item: float | None
    at_sequence_length: int | None
    kv_bytes_per_token: int | None
    notes: tuple[str, ...]


# --- what can be made of it -----------------------------------------------------------------------------------------------


class Source(Record, frozen=True, kw_only=True):
    """Where a fact comes from, and when it was read."""

    what: Name
    date: Name


class Scheme(Record, frozen=True, kw_only=True):
    """One way to turn the baseline into another file; a YAML file in the catalogue each."""

    id: Name
    title: Name
    method: Literal["graph-optimization", "dynamic-quantization"]
    weight_bits: Count
    activation_bits: Count
    lossless: bool  # only reorders arithmetic
    operators: tuple[str, ...]  # operator types that are quantized; empty: not applicable
    per_channel: bool
    source: Source


# --- what was measured ---------------------------------------------------------------------------------------------------


class Machine(Record, frozen=True, kw_only=True):
    """The machine that the profile speaks of."""

    cpu: str
    cores: int  # those this process may use
    memory_bytes: int
    instruction_sets: tuple[str, ...]
    system: str


class Agreement(Record, frozen=True, kw_only=True):
    """How near a variant's outputs are to the baseline's on the same inputs; a proxy for quality, never quality itself."""

    items: int
    inputs: Literal["generated", "given"]
    cosine_mean: float | None
    cosine_min: float | None
    max_abs_difference: float
    top1_agreement: float | None  # None where the model has no classes


class QualityResult(Record, frozen=True, kw_only=True):
    """A metric of baseline and variant on the user's data; `drop` is baseline minus variant, its interval a paired bootstrap."""

    metric: Metric
    data_sha256: str
    items: int
    baseline: float
    value: float
    drop: Estimate


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


class Visit(Record, frozen=True, kw_only=True):
    """Consecutive calls in one round, and what disturbed them meanwhile; None where the system does not tell."""

    order: int
    latency_s: tuple[float, ...]
    run_delay_s: float | None  # that its threads waited for a core, summed over them
    involuntary_switches: int | None = None  # how often a core was taken from one of its threads
    steal_s: float | None = None  # that the host ran something else on a core of this machine, summed over cores
    core_hop_s: float | None = None  # of a cache line between its cores, just before or after; of visits on several threads


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
    instance was idle. A request is in the queue transit_s after it was meant to be sent.
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
    transit_s: tuple[float, ...]  # of single requests, in their order
    spread: tuple[float, ...]  # single batches over what the figures above say of them, in their order
    batches: int


class NoiseFloor(Record, frozen=True, kw_only=True):
    """How much the baseline differs from itself under one setting: side by side and on several threads it is more than alone."""

    intra_op_num_threads: int
    instances: int
    fraction: float


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


class Profile(Record, frozen=True, kw_only=True):
    """Everything that was measured; `noise_fraction` is the difference of the baseline from itself measured twice (A/A)."""

    schema_version: int
    created: str
    advisor_version: str
    fingerprint: str  # of model, settings, schemes, versions and machine: equal for runs that may go on from each other
    model: ModelFacts
    machine: Machine
    versions: dict[str, str]
    settings: ProfileSettings
    measuring_s: float
    noise_fraction: float | None
    variants: tuple[Variant, ...]
    measurements: tuple[Measurement, ...]
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
    noise_floors: tuple[NoiseFloor, ...] = ()  # by setting; noise_fraction is of all of them
    calibrations: tuple[Calibration, ...] = ()  # what load tests have taught, by setting
    trial: Calibration | None = None  # a short one of the model as given: what a server adds, where no load test has shown it


# --- what the user asks --------------------------------------------------------------------------------------------------


class Traffic(Record, frozen=True, kw_only=True):
    """Load: a mean rate with the coefficient of variation of inter-arrival times (1 = Poisson), or a recorded trace."""

    requests_per_s: Positive | None = None  # the mean of the day
    burstiness_cv: Positive = 1.0
    diurnal: RelativeRates | None = None  # of equal parts of the day: 24 are hours; None: the same all day
    trace: Name | None = None  # CSV with arrival_s and, optionally, sequence_length


class SequenceLength(Record, frozen=True, kw_only=True):
    """The lengths of requests, in tokens or frames, by two quantiles (lognormal between them) and a limit."""

    p50: Count
    p95: Count | None = None  # None: all requests are p50 long
    max: Count | None = None


class Inputs(Record, frozen=True, kw_only=True):
    """What requests look like."""

    sequence_length: SequenceLength | None = None


class Slo(Record, frozen=True, kw_only=True):
    """The latency promise: `quantile` of requests answer within `latency_s`."""

    latency_s: Positive
    quantile: Annotated[float, Meta(gt=0, lt=1)] = 0.99


class Quality(Record, frozen=True, kw_only=True):
    """The quality floor: a variant may lose at most `max_drop` of `metric` on `data`."""

    max_drop: NonNegative
    metric: Metric
    data: Name | None = None


class Lifecycle(Record, frozen=True, kw_only=True):
    """The model's planned life, for the question of serving against fine-tuning; unknown costs stay None."""

    horizon_months: Positive = 12.0
    growth_per_month: Annotated[float, Meta(gt=-1, le=1)] = 0.0
    fine_tunings_per_year: NonNegative | None = None
    fine_tuning_usd: NonNegative | None = None  # one run: compute and the people who run it
    labels_usd: NonNegative | None = None  # labelling, review, data licences over the horizon
    pre_training_usd: NonNegative | None = None
    quality_gap: Fraction | None = None  # how far quality falls short of what the product needs


class HardwareChoice(Record, frozen=True, kw_only=True):
    """Where it may run and what an hour costs there."""

    allowed: Annotated[tuple[str, ...], Meta(min_length=1)] = ("local",)
    price_usd_per_hour: dict[str, Positive]


class Baseline(Record, frozen=True, kw_only=True):
    """What runs today; None means the default of a plain ONNX Runtime server (one instance, all cores)."""

    variant: Name | None = None  # None: the model as it was given
    max_batch_size: Count = 1
    max_queue_delay_s: NonNegative = 0.0
    intra_op_num_threads: Count | None = None
    instances: Count | None = None
    replicas: Count | None = None  # None: as many as keep up with the traffic


class Fleet(Record, frozen=True, kw_only=True):
    """How many machines there may be, and on what terms."""

    spare_replicas: Annotated[int, Meta(ge=0)] = 1  # that may be lost at the peak without breaking the promise
    autoscaling: bool = True
    start_s: NonNegative = 0.0  # from asking for a machine until it begins to load the model, which is measured
    reserved_usd_per_hour: dict[str, Positive] = {}  # of what runs all day, by hardware
    spot_usd_per_hour: dict[str, Positive] = {}
    max_spot_fraction: Fraction = 0.0  # of what runs all day, that may be taken away at any moment


class Volume(Record, frozen=True, kw_only=True):
    """Work without a latency target: so many items, all done by a deadline."""

    items: Count
    deadline_s: Positive
    start_s: NonNegative = 0.0  # from asking for a machine until it begins to load the model, which is measured


class OfflineWorkload(Record, frozen=True, kw_only=True):
    """The question of a batch job, as the user writes it in YAML: known by the key `offline`."""

    name: Name
    offline: Volume
    hardware: HardwareChoice
    inputs: Inputs | None = None
    quality: Quality | None = None


class Workload(Record, frozen=True, kw_only=True):
    """The question, as the user writes it in YAML."""

    name: Name
    traffic: Traffic
    slo: Slo
    hardware: HardwareChoice
    inputs: Inputs | None = None
    quality: Quality | None = None
    lifecycle: Lifecycle | None = None
    baseline: Baseline | None = None
    fleet: Fleet | None = None


class Trace(Record, frozen=True, kw_only=True):
    """Recorded requests: ascending arrival times, and lengths if they were recorded."""

    arrival_s: tuple[float, ...]
    sequence_length: tuple[int, ...] | None


# --- what was decided ----------------------------------------------------------------------------------------------------


class Candidate(Record, frozen=True, kw_only=True):
    """One way to serve the model."""

    variant: str
    hardware: str
    intra_op_num_threads: int
    instances: int
    max_batch_size: int
    max_queue_delay_s: float
    replicas: int


class Prediction(Record, frozen=True, kw_only=True):
    """What is expected of a candidate under the workload; `capacity_requests_per_s` is of all replicas, at the target."""

    candidate: Candidate
    latency_p50_s: Estimate
    latency_p95_s: Estimate
    latency_p99_s: Estimate
    latency_slo_s: Estimate  # at the quantile of the target
    latency_busiest_s: Estimate | None  # the same of the requests in the busiest part of the day; None: the day has no parts
    goodput_fraction: Estimate  # share of requests within the target
    throughput_requests_per_s: Estimate  # completed, of all replicas
    capacity_requests_per_s: Estimate | None  # None: not sought for this candidate
    utilization_fraction: Estimate
    mean_batch_size: float
    batch_size_shares: tuple[float, ...]  # entry b - 1: the share of batches that hold b requests
    cost_usd_per_hour: Estimate
    cost_usd_per_million_requests: Estimate
    quality_drop: Estimate | None  # None: not measured
    meets_slo: bool  # servers keep up all day, and the upper end of latency_slo_s is within the target
    changes: tuple[str, ...]  # what differs from the baseline, in words, empty for "change nothing"


class Finding(Record, frozen=True, kw_only=True):
    """What one rule says of this workload."""

    rule: str
    title: str
    outcome: Literal["fires", "silent", "unknown"]
    favours: Literal["inference", "fine-tuning", "pre-training", "mixed"]
    weight: float
    why: str  # for an unknown outcome: the facts that are missing


class Verdict(Record, frozen=True, kw_only=True):
    """Whether money goes into inference or training; None where the facts do not suffice."""

    dominated_by: Literal["inference", "fine-tuning", "pre-training", "mixed"] | None
    because: str
    shares: dict[str, Estimate]  # of the lifetime cost, by kind; empty when unknown
    findings: tuple[Finding, ...]


class SpeedTie(Record, frozen=True, kw_only=True):
    """A variant whose speed cannot be told from a simpler one's: the simpler is kept, and nothing is claimed of the difference."""

    variant: str
    simpler: str
    speedup: Estimate  # over the simpler one
    noise_fraction: float  # a difference smaller than this is none


class Certificate(Record, frozen=True, kw_only=True):
    """How the search knows its answer: every candidate of the space is accounted for."""

    candidates: int
    cut_by_bound: int
    cut_by_quality: int
    cut_by_tie: int  # of variants as fast as a simpler one
    cut_by_cost: int  # dearer than the answer, so never simulated
    simulated: int
    regret_usd_per_hour: float


class Saving(Record, frozen=True, kw_only=True):
    """What the recommendation saves against the baseline."""

    usd_per_hour: Estimate
    usd_per_year: Estimate
    fraction: float


class Replayed(Record, frozen=True, kw_only=True):
    """What the simulation says of the very requests of a load test, from what was known before it."""

    latency_p50_s: Estimate
    latency_p95_s: Estimate
    latency_p99_s: Estimate
    latency_slo_s: Estimate
    throughput_requests_per_s: Estimate
    utilization_fraction: Estimate


class LoadTest(Record, frozen=True, kw_only=True):
    """One candidate replica served for real under an open-loop generator, beside what was predicted of it."""

    candidate: Candidate
    requests: int
    offered_requests_per_s: float  # to the one replica that was run
    duration_s: float
    latency_p50_s: Estimate
    latency_p95_s: Estimate
    latency_p99_s: Estimate
    latency_slo_s: Estimate
    throughput_requests_per_s: Estimate
    utilization_fraction: float
    mean_batch_size: float
    generator_lag_p99_s: float
    generator_kept_up: bool
    run_delay_fraction: float | None  # of the time, that the server's threads waited for a core; None where the kernel hides it
    calibration: Calibration
    meets_slo: bool  # the measured quantile is within the target
    predicted: Prediction  # under the workload's traffic, of which these requests are a sample
    expected: Replayed
    prediction_held: bool  # the measured quantile lies within the expected interval, allowing for its own


class VariantSummary(Record, frozen=True, kw_only=True):
    """One variant as the report tells it: speed beside quality."""

    id: str
    title: str
    path: str  # as in Variant
    sha256: str
    bytes: int
    load_s: float | None
    peak_memory_bytes: int | None
    speedup: Estimate | None  # over the baseline at batch 1, paired in time
    throughput_items_per_s: Estimate | None  # the best of its measured points
    agreement: Agreement | None
    quality: QualityResult | None
    admitted: bool
    admitted_because: str


class ServiceCurve(Record, frozen=True, kw_only=True):
    """Measured seconds per call over batch sizes, for a chart."""

    variant: str
    intra_op_num_threads: int
    instances: int
    sequence_length: int | None
    batch_size: tuple[int, ...]
    latency_s: tuple[Estimate, ...]


class FleetPool(Record, frozen=True, kw_only=True):
    """Equal replicas, and what they cost on average over the day."""

    candidate: Candidate  # without the spare replicas
    hardware: str
    requests_per_s: float  # of the pool at the peak
    lengths: tuple[int, int] | None  # shortest and longest request that it gets, None: all
    spare_replicas: int
    replicas_by_part: tuple[int, ...]  # of the day, spare ones counted
    starting_replica_hours_per_day: float  # paid while replicas start
    terms: dict[Term, float]  # replicas on average by how they are paid
    usd_per_hour: float


class FleetOption(Record, frozen=True, kw_only=True):
    """A plan that was worked out, and its cost."""

    name: str
    usd_per_hour: float


class FleetPlan(Record, frozen=True, kw_only=True):
    """The cheapest plan for the whole day with its spare replicas, beside the others."""

    name: str
    pools: tuple[FleetPool, ...]
    usd_per_hour: float  # list prices as the workload says
    peak_requests_per_s: float
    spare_replicas: int
    start_s: float
    options: tuple[FleetOption, ...]


class OfflineChoice(Record, frozen=True, kw_only=True):
    """One way to do a volume of work by its deadline."""

    candidate: Candidate  # batches are always full, so nothing waits for one
    duration_s: Estimate  # starting included
    throughput_items_per_s: Estimate
    cost_usd: Estimate
    meets_deadline: bool  # at the upper end of the duration


class OfflineAdvice(Record, frozen=True, kw_only=True):
    """Everything that the report on a batch job shows; `nearest_miss` and `binding_constraint` where nothing meets the deadline."""

    schema_version: int
    created: str
    advisor_version: str
    profile_sha256: str
    workload: OfflineWorkload
    model: ModelFacts
    machine: Machine
    headline: str
    recommended: OfflineChoice | None
    nearest_miss: OfflineChoice | None
    binding_constraint: str | None
    others: tuple[OfflineChoice, ...]  # the cheapest way of each other variant
    certificate: Certificate
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]


class Advice(Record, frozen=True, kw_only=True):
    """Everything the report shows."""

    schema_version: int
    created: str
    advisor_version: str
    profile_sha256: str
    profile_created: str
    profile_path: str | None
    model: ModelFacts
    machine: Machine
    versions: dict[str, str]
    workload: Workload
    mean_requests_per_s: float
    outcome: Literal["change", "keep", "infeasible"]
    headline: str
    recommended: Prediction | None
    baseline: Prediction
    saving: Saving | None
    ties: tuple[Prediction, ...]
    more_ties: bool  # there are others than those told
    speed_ties: tuple[SpeedTie, ...]
    frontier: tuple[Prediction, ...]
    nearest_miss: Prediction | None
    binding_constraint: str | None
    unproven: Prediction | None  # cheaper than the answer, but its quality was not measured
    verdict: Verdict
    variants: tuple[VariantSummary, ...]
    service_curves: tuple[ServiceCurve, ...]
    noise_fraction: float | None
    certificate: Certificate
    samples: int
    measuring_s: float
    risks: tuple[str, ...]
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
    load_tests: tuple[LoadTest, ...] = ()  # the recommendation and the baseline, served for real
    fleet: FleetPlan | None = None  # None: not asked for, or nothing keeps the target at the peak


# --- rules ---------------------------------------------------------------------------------------------------------------


class RuleExamples(Record, frozen=True, kw_only=True):
    """Facts under which the rule fires and facts under which it stays silent: its test, beside it."""

    fires: dict[str, float | bool]
    silent: dict[str, float | bool]


class Rule(Record, frozen=True, kw_only=True):
    """One argument for spending on one side; a YAML file in the rulebook each."""

    id: Name
    title: Name
    favours: Literal["inference", "fine-tuning", "pre-training", "mixed"]
    weight: Positive
    when: Name  # a condition on the facts that decide/verdict.py lists, in rule-engine's language
    why: Name  # what the report says when it fires; {fact} stands for the fact's value
    source: Source
    examples: RuleExamples
