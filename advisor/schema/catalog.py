"""What the catalog and the rulebook hold: schemes, hardware, prices, public measurements, rules, effort; each with its source."""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.distillation import StudentKind
from advisor.schema.model import Family
from advisor.schema.record import AtLeastOne, Count, Name, Positive, Record, Source

CPU = "CPUExecutionProvider"
LOCAL = "local"  # the id of the machine that measured, where the user does not say which device of the catalog it is
STALE_DAYS = 90  # an older price is flagged wherever it is used
Method = Literal[
    "graph-optimization",
    "transformer-fusion",
    "dynamic-quantization",
    "static-quantization",
    "weight-only",
    "half-precision",
    "full-precision",
    "provider",
]
Term = Literal["on-demand", "reserved", "spot"]
Provider = Name  # an execution provider, as ONNX Runtime calls it
Class = Literal["inference", "fine-tuning", "pre-training", "mixed"]


class Scheme(Record, frozen=True, kw_only=True):
    """One way to turn the baseline into another file; a YAML file in the catalog each."""

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
    # Instructions of the processor, or a kind of weights, without which it cannot be faster.
    needs: Literal["bf16", "bf16-arm", "fp16", "half-precision-weights", "subnormal-weights"] | None = None


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


class CoreRates(Record, frozen=True, kw_only=True):
    """What a core does in a cycle if its processor has some instruction sets and lacks others; dense operations, a fused one is two."""

    instruction_sets: tuple[Name, ...] = ()  # all of them, as Linux spells them
    without: tuple[Name, ...] = ()
    maker: Name | None = None  # in the processor's name; None: anybody's
    operations_per_cycle: dict[Precision, Positive]
    source: Source


class Processors(Record, frozen=True, kw_only=True):
    """How a machine becomes a roofline; the first entry of `cores` that fits counts. Only ratios between machines are drawn from it."""

    clock_hz: Positive
    core_bandwidth_bytes_per_s: Positive  # of the memory's, a core's share in servers
    source: Source  # of these two
    cores: Annotated[tuple[CoreRates, ...], Meta(min_length=1)]


class Instances(Record, frozen=True, kw_only=True):
    """Machines to rent that have one kind of device in them, however many; `instances` is a pattern with * for anything."""

    provider: Name
    instances: Name
    device: Name  # its id
    date: Annotated[str, Meta(pattern=r"^\d{4}(-\d\d){0,2}$")]
    source: Name


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
    """The price of a model behind an API; None: not published."""

    provider: Name
    model: Name
    mode: Literal["chat", "responses", "completion", "embedding"]
    usd_per_million_input_tokens: Positive
    usd_per_million_output_tokens: Positive | None
    usd_per_million_cached_tokens: Positive | None
    usd_per_million_batch_input_tokens: Positive | None = None  # where an answer may take a day
    usd_per_million_batch_output_tokens: Positive | None = None
    deprecated: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")] | None
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
    source: Name


class AcceptanceLength(Record, frozen=True, kw_only=True):
    """How many tokens a step gives in which a model verifies what a draft proposed, as measured of one model; its own token counted."""

    model: Name
    method: Name
    thinking: bool
    draft_tokens: Count  # that are proposed a step
    tokens_per_step: AtLeastOne
    date: Name
    source: Name


class DistilledPair(Record, frozen=True, kw_only=True):
    """A teacher and a student of it on one task, as published; a higher score is better. None: not published, or it has none."""

    teacher: Name
    student: Name
    kind: StudentKind
    family: Family
    task: Name
    teacher_score: Positive
    student_score: Positive
    teacher_blocks: Count | None
    student_blocks: Count | None
    teacher_parameters: Positive | None
    student_parameters: Positive | None
    date: Name
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


DeviceClass = Literal["gpu", "cpu"]  # of device with enough public measurements to estimate errors
Ground = Literal["anchored", "similar", "roofline"]


class PublicSeries(Record, frozen=True, kw_only=True):
    """One public model under one setting, and how fast devices ran it; None: not published."""

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
    machines: tuple[Hardware, ...] = ()  # of those measurements, where the catalog has none: not offered anywhere
    sources: dict[str, tuple[Source, ...]]  # by family of measurements


class RuleExamples(Record, frozen=True, kw_only=True):
    """Facts under which the rule fires and facts under which it stays silent: its test, beside it."""

    fires: dict[str, float | bool]
    silent: dict[str, float | bool]


class Rule(Record, frozen=True, kw_only=True):
    """One argument for spending on one side; a YAML file in the rulebook each."""

    id: Name
    title: Name
    favours: Class
    weight: Positive | None = None  # None: context, told beside the verdict and not weighed
    when: Name  # a condition on known facts; decide/verdict/condition_parser.py has the language
    why: Name  # what the report says when it fires; {fact} stands for the fact's value
    source: Source  # a publication with its date, or our assumption with the day on which it was made
    examples: RuleExamples


class RuleExplanation(Record, frozen=True, kw_only=True):
    """A rule as `advisor explain` prints it."""

    rule: Rule
    facts: dict[str, str]  # those that it asks for, and their meaning
    says: str  # its reason, with the facts of its example
    example: str
    counterexample: str


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
    effort_engineer_days: Constant  # of the least fleet; it grows with the replicas beyond
    changes_answers: bool = (
        False  # another model answers, or the same with other weights: where that is regulated, it is validated
    )
    effect: Constant | None = None  # what the effect is a factor or a fraction of, `does` says
    does: Name
    risk: Name


Phase = Literal["prefill-heavy", "balanced", "decode-heavy"]


class LifetimeModel(Record, frozen=True, kw_only=True):
    """The catalog of the lifetime cost."""

    constants: dict[str, Constant]
    levers: tuple[Lever, ...]
    default_device: Name | None = None  # of the catalog: what serves where the workload names no device
    serving_mfu: dict[Phase, Constant] = {}  # share of the peak that serving reaches at full load, by what requests consist of
    device_mfu: dict[str, Constant] = {}  # what a device reaches of it over what an H100 does
