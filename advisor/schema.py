"""Every record that crosses a module boundary.

Base units throughout: s, bytes, flop, usd, fraction 0..1. One name end to end: the key in the YAML, the field here, the key in
the JSON and the word in a template are the same string. A record holds what it was given; nothing is looked up or guessed here.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

SCHEMA_VERSION = 2
CPU = "CPUExecutionProvider"
# A server that is busy more than this has no headroom for what the simulation does not know: 2 % of service time are 18 % of p99 at 0.9.
BUSY_FRACTION = 0.75
STALE_DAYS = 90  # an older price is flagged wherever it is used

Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
AtLeastOne = Annotated[float, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]
RelativeRates = Annotated[tuple[NonNegative, ...], Meta(min_length=2, max_length=1440)]

Basis = Literal["measured", "interpolated", "simulated", "projected", "list-price", "assumed"]
Family = Literal["cnn", "encoder", "decoder", "encoder-decoder", "tree", "other"]
Method = Literal[
    "graph-optimization",
    "transformer-fusion",
    "dynamic-quantization",
    "static-quantization",
    "weight-only",
    "half-precision",
    "provider",
]
Term = Literal["on-demand", "reserved", "spot"]
Role = Literal["ids", "mask", "segment", "position", "state", "scalar", "features"]
Metric = Name  # one of quality_floor.METRICS, top<k>_accuracy, or module:function of the user
Provider = Name  # an execution provider, as ONNX Runtime calls it
Class = Literal["inference", "fine-tuning", "pre-training", "mixed"]
Kind = Literal["inference", "fine-tuning", "data", "pre-training"]


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
    method: Method
    weight_bits: Count
    activation_bits: Count
    lossless: bool  # only reorders arithmetic
    operators: tuple[str, ...]  # operator types that are quantized; empty: not applicable
    per_channel: bool
    source: Source
    calibration: Literal["minmax", "entropy", "percentile"] | None = None  # how static ranges are found; None: there are none
    activation_type: Literal["uint8", "int8"] = "uint8"
    weight_type: Literal["uint8", "int8"] = "int8"
    block_size: Count | None = None  # weights that share a scale, of weight-only schemes
    symmetric: bool = True  # weight-only: no zero points
    bias_correction: bool = False  # what rounding the weights adds to the mean of a channel is taken out of its bias
    provider: Provider = CPU
    provider_options: dict[str, str] = {}
    session_options: dict[str, str] = {}  # configuration entries of the session
    instead_of: Name | None = None  # tried only where that scheme lost too much quality
    needs: Literal["bf16", "bf16-arm", "fp16"] | None = None  # instructions without which it cannot be faster


# --- where it can run, and what that costs --------------------------------------------------------------------------------

Precision = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "int8", "int4", "fp4"]


class Evidence(Record, frozen=True, kw_only=True):
    """A source, and the numbers of its record that it vouches for, by their path (`peak_flop_per_s.int8`)."""

    what: Name
    date: Annotated[str, Meta(pattern=r"^\d{4}(-\d\d){0,2}$")]
    covers: Annotated[tuple[Name, ...], Meta(min_length=1)]


class Offer(Record, frozen=True, kw_only=True):
    """A machine to rent, and how many of the device are in it."""

    provider: Name
    instance: Name
    devices: Count


class Hardware(Record, frozen=True, kw_only=True):
    """A device as its maker describes it, dense rates only; or, of CPUs, a whole machine to rent."""

    id: Name
    name: Name
    vendor: Name
    kind: Literal["gpu", "tpu", "accelerator", "cpu", "edge"]
    year: Count | None = None
    cores: Count | None = None
    memory_bytes: Positive | None = None
    memory_bandwidth_bytes_per_s: Positive | None = None
    peak_flop_per_s: dict[Precision, Positive] = {}
    power_watts: Positive | None = None  # the most that the maker lets the device draw
    offers: tuple[Offer, ...] = ()
    confidence: Literal["high", "medium", "low"]
    doubts: tuple[str, ...] = ()
    sources: Annotated[tuple[Evidence, ...], Meta(min_length=1)]


class Price(Record, frozen=True, kw_only=True):
    """What a provider asks for an hour of a machine."""

    provider: Name
    region: Name
    instance: Name
    term: Term
    usd_per_hour: Positive
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
    source: Name


class TokenPrice(Record, frozen=True, kw_only=True):
    """What a provider asks for a model behind its API; None: not told."""

    provider: Name
    model: Name
    mode: Literal["chat", "responses", "completion", "embedding"]
    usd_per_million_input_tokens: Positive
    usd_per_million_output_tokens: Positive | None
    usd_per_million_cached_tokens: Positive | None
    deprecated: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")] | None
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
    source: Name


class CarbonIntensity(Record, frozen=True, kw_only=True):
    """What a kWh of the grid emits: of a country (ISO 3166 alpha-3, provider None) or of a provider's region."""

    provider: Name | None
    place: Name
    name: Name
    grams_co2e_per_kwh: Positive
    year: Count | None
    date: Name  # of the copy that was read
    source: Name


DeviceClass = Literal["gpu", "cpu"]  # of device that public measurements suffice to judge errors of
Ground = Literal["anchored", "similar", "roofline"]


class PublicSeries(Record, frozen=True, kw_only=True):
    """One public model under one setting, and how fast devices ran it; what is None is not told."""

    model: Name
    family: str  # of measurements: one publisher, one way to measure; empty for a user's own model
    precision: Precision | None = None
    framework: str
    scenario: str
    devices: Count = 1  # that shared the work
    batch_size: Positive | None = None
    sequence_length: Positive | None = None  # of text, or pixels a side
    output_length: Positive | None = None
    flop_per_item: Positive | None = None
    activations_per_item: Positive | None = None
    parameters: Positive | None = None
    items_per_s: dict[str, Positive]  # by hardware


class ProjectionError(Record, frozen=True, kw_only=True):
    """How far projections of one kind were off on models held back: 90 % of |log error| / scale lie below `quantile`."""

    device_class: DeviceClass
    ground: Ground
    quantile: Positive
    rows: Count
    models: Count


class PublicMeasurements(Record, frozen=True, kw_only=True):
    """What projections stand on; written by benchmarks/fit_projection.py."""

    series: tuple[PublicSeries, ...]
    errors: tuple[ProjectionError, ...]
    efficiency: dict[str, Positive]  # "class/precision" -> share of the roofline that is reached, at the median
    machines: tuple[Hardware, ...] = ()  # of those measurements, where the catalogue has none: not offered anywhere
    sources: dict[str, tuple[Source, ...]]  # by family of measurements


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


class NoiseFloor(Record, frozen=True, kw_only=True):
    """How much the baseline differs from itself under one setting: side by side and on several threads it is more than alone."""

    intra_op_num_threads: int
    instances: int
    fraction: float


class Power(Record, frozen=True, kw_only=True):
    """What the machine drew while it was measuring, by its own meter."""

    watts: Estimate
    meter: Literal["RAPL", "NVML"]


class Elsewhere(Record, frozen=True, kw_only=True):
    """What another machine measured of the same model."""

    hardware: Name
    machine: Machine
    created: str
    variants: tuple[Variant, ...]
    measurements: tuple[Measurement, ...]
    noise_fraction: float | None
    noise_floors: tuple[NoiseFloor, ...]
    calibrations: tuple[Calibration, ...]
    trial: Calibration | None
    power: Power | None


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
    wanted: tuple[str, ...] = ()  # schemes that are measured whatever the pre-flight says


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
    hardware: Name = "local"  # what the user calls the machine that measured
    elsewhere: tuple[Elsewhere, ...] = ()  # what other machines measured, merged by `advisor profile --merge`
    power: Power | None = None  # None: no meter could be read
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
    data: Name | None = None  # .npz, .csv, .parquet, or module:function
    max_slice_drop: NonNegative | None = None  # None: no class or slice may be shown to lose more than max_drop
    calibration: Name | None = None  # items for static ranges, none of them in data; None: some of data are set aside


class LifeModel(Record, frozen=True, kw_only=True):
    """The model as far as its cost depends on it, for a verdict without a model file."""

    parameters: Positive  # all of them: they have to fit into memory
    active_parameters: Positive | None = None  # those that one token uses; None: all
    bytes_per_parameter: Positive = 2.0


class LifeRequest(Record, frozen=True, kw_only=True):
    """One request as its user sees it; the multipliers say what the model really computes for it."""

    input_tokens: NonNegative
    output_tokens: NonNegative = 0.0
    shared_prefix_tokens: NonNegative | None = None  # of the input, the same in every request: what a prefix cache would save
    agent_multiplier: AtLeastOne = 1.0  # tokens of all calls that answer one request, over those of one call
    reasoning_multiplier: AtLeastOne = 1.0  # tokens generated, over those that are shown


class LifeServing(Record, frozen=True, kw_only=True):
    """What serves the requests: own devices, or with `api_model` somebody else's."""

    device: Name | None = None  # an entry of the catalogue
    device_usd_per_hour: Positive | None = None  # None: the price in the catalogue
    minimum_replicas: Count = 1  # that stay on for availability, however little traffic there is
    devices_per_replica: Count | None = None  # None: as few as hold the weights
    fleet_utilization_fraction: Fraction | None = None  # mean load over what the fleet could carry
    api_model: Name | None = None  # an entry of the price list: its tokens are bought instead
    serving_usd_per_hour: Positive | None = None  # what is paid today, where it is known: nothing is computed then


class LifeFineTuning(Record, frozen=True, kw_only=True):
    """One release of the fine-tuned model."""

    method: Literal["full", "lora", "qlora"] = "lora"
    fine_tuning_tokens: NonNegative
    experiments_per_release: AtLeastOne | None = None  # runs until one is good enough, itself included; None: as assumed
    engineer_days_per_release: NonNegative = 0.0


class LifePreTraining(Record, frozen=True, kw_only=True):
    """Training from nothing, or going on with pre-training."""

    pre_training_tokens: NonNegative
    pre_training_experiments: AtLeastOne | None = None  # compute of all runs over that of the final one; None: as assumed
    pre_training_engineer_days: NonNegative = 0.0


class LifeData(Record, frozen=True, kw_only=True):
    """What the examples cost that a model learns from and is judged by, over the horizon."""

    labels_to_buy: NonNegative = 0.0
    usd_per_label: NonNegative = 0.0
    review_fraction: Fraction = 0.0  # of the labels that are made a second time to check them
    validation_usd: NonNegative = 0.0  # clinical, regulatory or safety evaluation
    labels_available: NonNegative | None = None


class LifeTeam(Record, frozen=True, kw_only=True):
    """The people."""

    engineer_usd_per_day: Positive | None = None  # None: as assumed
    serving_engineer_days_per_month: NonNegative = 0.0
    migration_engineer_days: NonNegative = 0.0  # once, to get the service to where it is to run


class LifeSituation(Record, frozen=True, kw_only=True):
    """What has been tried and what is allowed; rules ask for it, and what is not said is unknown."""

    prompting_exhausted: bool | None = None
    retrieval_exhausted: bool | None = None
    domain_shift: Fraction | None = None  # share of requests unlike anything that the model was trained on
    knowledge_updates_per_year: NonNegative | None = None  # how often what it has to know changes
    data_must_stay: bool | None = None  # requests may not leave the company, the country or the building
    is_regulated: bool | None = None  # every release of the model has to be validated
    budget_usd: Positive | None = None  # for all of it over the horizon


class LifeOptions(Record, frozen=True, kw_only=True):
    """What could be done instead; a lever of which nothing is said here is not judged."""

    student_parameters: Positive | None = None  # of a smaller model, distilled or fine-tuned for this task alone
    student_input_tokens: NonNegative | None = None  # of a request to it: instructions and examples need not be told again
    student_labels: NonNegative | None = None  # that it has to learn from
    student_tokens: NonNegative | None = None  # that it is trained on
    alternative_api: Name | None = None
    alternative_devices: tuple[Name, ...] = ()
    reserved_discount: Fraction | None = None
    spot_discount: Fraction | None = None


class Lifecycle(Record, frozen=True, kw_only=True):
    """The model's planned life, for the question of serving against fine-tuning; unknown costs stay None."""

    horizon_months: Positive = 12.0
    growth_per_month: Annotated[float, Meta(gt=-1, le=1)] = 0.0
    price_decline_per_year: Annotated[float, Meta(ge=0, lt=1)] = 0.0  # of an hour of hardware, or of a token
    discount_per_year: NonNegative = 0.0
    fine_tunings_per_year: NonNegative | None = None
    fine_tuning_usd: NonNegative | None = None  # one run: compute and the people who run it
    labels_usd: NonNegative | None = None  # labelling, review, data licences over the horizon
    pre_training_usd: NonNegative | None = None
    quality_gap: Fraction | None = None  # how far quality falls short of what the product needs
    model: LifeModel | None = None
    request: LifeRequest | None = None
    serving: LifeServing | None = None
    fine_tuning: LifeFineTuning | None = None
    pre_training: LifePreTraining | None = None
    data: LifeData | None = None
    team: LifeTeam | None = None
    situation: LifeSituation | None = None
    options: LifeOptions | None = None
    # By the key that a figure has above or under traffic: its 90 % interval, and where it comes from.
    ranges: dict[str, Annotated[tuple[float, ...], Meta(min_length=2, max_length=2)]] = {}
    sources: dict[str, str] = {}


class HardwareChoice(Record, frozen=True, kw_only=True):
    """Where it may run and what an hour costs there."""

    allowed: Annotated[tuple[str, ...], Meta(min_length=1)] = ("local",)  # `local` and ids of the catalogue
    price_usd_per_hour: dict[str, Positive] = {}  # of one device; beats any list price
    provider: Name | None = None  # None: whichever is cheapest
    region: Name | None = None
    term: Term = "on-demand"
    prices: Name | None = None  # a price book in CSV, beside what comes with advisor


class EnergyChoice(Record, frozen=True, kw_only=True):
    """What energy has to say in the choice, where it is known at all."""

    objective: Literal["cost", "energy"] = "cost"
    max_joules_per_request: Positive | None = None
    power_usage_effectiveness: Annotated[float, Meta(ge=1)] | None = None  # of the data centre; None: an industry's range
    grid: Name | None = None  # a country (ISO 3166 alpha-3) or a region of a cloud; None: that of the offer
    local_power_watts: Positive | None = None  # of the profiled machine when busy, where no meter could be read


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
    energy: EnergyChoice | None = None
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


class Place(Record, frozen=True, kw_only=True):
    """Hardware that may be used, the machine to rent it in, and what is known of its price and its grid."""

    hardware: Hardware
    machine: str  # "g4dn.xlarge, aws us-east-1, on-demand"
    devices: Count = 1
    price_usd_per_hour: Estimate  # of the machine
    price_date: str | None  # None: the user's own
    price_is_stale: bool
    carbon: CarbonIntensity | None


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
    cost_usd_per_month: Estimate | None = None
    cost_usd_per_million_tokens: Estimate | None = None  # None: requests have no lengths
    energy_joules_per_request: Estimate | None = None  # None: the power of the hardware is not known
    carbon_grams_per_million_requests: Estimate | None = None


class Assumption(Record, frozen=True, kw_only=True):
    """An input of the lifetime cost, and where it comes from."""

    input: str
    unit: str
    is_given: bool  # by the user; else by the price list or assumed by advisor
    estimate: Estimate


class Finding(Record, frozen=True, kw_only=True):
    """What one rule says of this workload."""

    rule: str
    title: str
    outcome: Literal["fires", "silent", "unknown"]
    favours: Class
    weight: float
    why: str  # for an unknown outcome: the facts that are missing


class CostLine(Record, frozen=True, kw_only=True):
    """One line of the lifetime cost; `usd` is None where it is not known, and then `because` names what is missing."""

    what: str
    kind: Kind
    usd: Estimate | None
    formula: str
    because: str


class Flip(Record, frozen=True, kw_only=True):
    """The nearest value of one input, all others as they are, at which the verdict turns."""

    input: str
    now: float
    at: float  # on this side of it the verdict stands, beyond it does not
    direction: Literal["below", "above"]
    becomes: Class
    told: str  # "below 41,000 requests a day"


class BreakEven(Record, frozen=True, kw_only=True):
    """From when on, and from which volume on, a lever has paid for itself; None with the reason in `because`."""

    lever: str
    title: str
    saving_usd: Estimate  # over the horizon, before what it costs once
    once_usd: Estimate  # effort, labels and compute
    months: Estimate | None
    on: str | None  # the date
    requests_per_s: float | None  # the traffic at which saving and cost are equal over the horizon
    pays: Literal["above", "below"] | None  # that traffic
    because: str


class Verdict(Record, frozen=True, kw_only=True):
    """Whether money goes into inference or training; None where the facts do not suffice."""

    dominated_by: Class | None
    because: str
    shares: dict[str, Estimate]  # of the lifetime cost, by kind; empty when unknown
    findings: tuple[Finding, ...]
    robust: bool | None = None  # the same at both ends of every interval; None: there is no verdict
    turned_by: tuple[str, ...] = ()  # the ends of intervals that would turn it, in words
    flips_when: tuple[Flip, ...] = ()  # the nearest first
    lines: tuple[CostLine, ...] = ()
    total_usd: Estimate | None = None
    break_evens: tuple[BreakEven, ...] = ()


class Opportunity(Record, frozen=True, kw_only=True):
    """One thing changed of what runs today, and what it is predicted to save."""

    lever: str
    title: str
    field: str  # what changes, with from and to in words
    before: str
    after: str
    saving_usd_per_year: Estimate
    effort_engineer_days: Estimate
    once_usd: Estimate  # effort, labels and compute together
    payback_months: Estimate | None  # None: not within the horizon
    payback_on: str | None
    net_usd: float  # saved over the horizon, less what it costs once
    pays: bool  # it saves more within the horizon than it costs
    surely: bool  # at the unfavourable ends of all intervals, too
    risk: str
    because: str


class Expiry(Record, frozen=True, kw_only=True):
    """What ends the advice, and when if that is known."""

    what: str
    on: str | None  # ISO date
    because: str


class Outlook(Record, frozen=True, kw_only=True):
    """What could be done beside, whether any of it is worth its effort, and until when that holds."""

    answer: str
    change_nothing: bool | None  # True: nothing that was judged pays for its effort; None: nothing could be judged
    opportunities: tuple[Opportunity, ...]
    not_judged: tuple[Exclusion, ...]
    expires_when: tuple[Expiry, ...]


class Classification(Record, frozen=True, kw_only=True):
    """The answer of `advisor classify`."""

    schema_version: int
    created: str
    advisor_version: str
    workload: str
    requests_per_s: float
    horizon_months: float
    verdict: Verdict
    outlook: Outlook
    assumed: tuple[Assumption, ...]


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
    kept_operators: tuple[str, ...] = ()  # as in Variant
    kept_cost: Estimate | None = None


class ServiceCurve(Record, frozen=True, kw_only=True):
    """Measured seconds per call over batch sizes, for a chart."""

    variant: str
    intra_op_num_threads: int
    instances: int
    sequence_length: int | None
    batch_size: tuple[int, ...]
    latency_s: tuple[Estimate, ...]


class PlaceAnswer(Record, frozen=True, kw_only=True):
    """The best that was found on one kind of hardware; in the advice cheapest first, those that miss the target last."""

    hardware: str
    name: str
    machine: str
    ground: Literal["measured", "anchored", "similar", "roofline"]  # of its service times
    price_date: str | None
    price_is_stale: bool
    prediction: Prediction


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
    places: tuple[PlaceAnswer, ...] = ()  # the ranking, where more than the profiled machine is allowed
    load_tests: tuple[LoadTest, ...] = ()  # the recommendation and the baseline, served for real
    outlook: Outlook | None = None  # None: made before advisor looked at opportunities
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
    favours: Class
    weight: Positive
    when: Name  # a condition on the facts that decide/verdict.py lists, in rule-engine's language
    why: Name  # what the report says when it fires; {fact} stands for the fact's value
    source: Source
    examples: RuleExamples


class RuleExplanation(Record, frozen=True, kw_only=True):
    """A rule as `advisor explain` tells it."""

    rule: Rule
    facts: dict[str, str]  # those that it asks for, and their meaning
    says: str  # its reason, with the facts of its example
    example: str
    counterexample: str


# --- the lifetime cost: what advisor knows of prices and effort ------------------------------------------------------------


class Constant(Record, frozen=True, kw_only=True):
    """A figure of the lifetime cost that a workload need not say, with its 90 % interval."""

    value: float
    low: float
    high: float
    source: Source


class Lever(Record, frozen=True, kw_only=True):
    """One thing that can be done about the cost: its effort, its effect and its risk."""

    id: Name
    title: Name
    side: Literal["inference", "training"]
    effort_engineer_days: Constant
    effect: Constant | None = None  # what the effect is a factor or a fraction of, `does` says
    does: Name
    risk: Name


class LifetimeModel(Record, frozen=True, kw_only=True):
    """The catalogue of the lifetime cost."""

    constants: dict[str, Constant]
    levers: tuple[Lever, ...]


# --- many workloads, one budget ------------------------------------------------------------------------------------------


class PortfolioEntry(Record, frozen=True, kw_only=True):
    """A workload of the portfolio."""

    workload: Name  # its file, relative to that of the portfolio
    must: tuple[Name, ...] = ()  # levers that have to be pulled, whatever they save
    never: tuple[Name, ...] = ()


class Portfolio(Record, frozen=True, kw_only=True):
    """Many workloads, one budget for changing them."""

    name: Name
    budget_usd: NonNegative
    workloads: Annotated[tuple[PortfolioEntry, ...], Meta(min_length=1)]
    engineer_days: NonNegative | None = None  # None: no limit but the money


class Choice(Record, frozen=True, kw_only=True):
    """What is done for one workload."""

    workload: str
    levers: tuple[str, ...]  # titles; empty: change nothing
    once_usd: float
    engineer_days: float
    saving_usd: float  # over its horizon
    because: str


class PortfolioPlan(Record, frozen=True, kw_only=True):
    """The levers that save most within the budget, proven so by the solver."""

    schema_version: int
    created: str
    advisor_version: str
    name: str
    budget_usd: float
    spent_usd: float
    saving_usd: float
    net_usd: float
    share_for_inference: float | None  # of what is spent; None: nothing is
    share_for_training: float | None
    choices: tuple[Choice, ...]
    considered: int  # combinations of levers
    gap_usd: float  # what a better plan could save at most: 0 where the plan is proven the best
    left_out: tuple[Exclusion, ...]
