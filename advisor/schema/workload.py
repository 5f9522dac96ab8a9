"""What the user asks: traffic, target, quality floor, hardware, the planned life of the model."""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.catalog import Term
from advisor.schema.record import (
    AtLeastOne,
    BatchSize,
    Cores,
    Count,
    Fraction,
    Metric,
    Name,
    NonNegative,
    Positive,
    Record,
    Whole,
)

RelativeRates = Annotated[tuple[NonNegative, ...], Meta(min_length=2, max_length=1440)]
TimeUnit = Literal["s", "ms", "us", "ns"]


class TraceColumns(Record, frozen=True, kw_only=True):
    """What the columns of a recorded trace are called there; None: by their usual names."""

    arrival: Name | None = None
    sequence_length: Name | None = None
    input_tokens: Name | None = None  # of traces of a generative model
    output_tokens: Name | None = None
    unit: TimeUnit | None = None  # of times that are numbers; None: told by the name of the column, or by how large they are


class ItemsPerRequest(Record, frozen=True, kw_only=True):
    """How many items a request brings, by two quantiles (lognormal between them)."""

    p50: Count
    p95: Count


class Traffic(Record, frozen=True, kw_only=True):
    """Load: a mean rate with the coefficient of variation of inter-arrival times (1 = Poisson), or a recorded trace."""

    requests_per_s: Positive | None = None  # the mean of the day
    burstiness_cv: Positive = 1.0
    diurnal: RelativeRates | None = None  # of equal parts of the day: 24 are hours; None: the same all day
    trace: Name | None = None  # CSV or JSON lines: times and, optionally, lengths
    columns: TraceColumns | None = None  # of the trace
    items_per_request: Count | ItemsPerRequest = 1  # as passages to rank: a request is answered when its last item is
    clients: Count | None = None  # of a closed loop, each with one request at a time; in place of requests_per_s
    think_s: NonNegative = 0.0  # between an answer and the client's next request


class SequenceLength(Record, frozen=True, kw_only=True):
    """The lengths of requests, in tokens or frames, by two quantiles (lognormal between them) and a limit."""

    p50: Count
    p95: Count | None = None  # None: all requests are p50 long
    max: Count | None = None


class Inputs(Record, frozen=True, kw_only=True):
    """What requests look like."""

    sequence_length: SequenceLength | None = None


class Tokens(Record, frozen=True, kw_only=True):
    """What requests to a generative model bring and get, in tokens."""

    input: SequenceLength  # the prompt, whole
    output: SequenceLength
    shared_prefix: Whole = 0  # of the prompt, the same in every request: what a prefix cache keeps


class TokenSlo(Record, frozen=True, kw_only=True):
    """The promise of a service, as the file has it: `quantile` of requests keep each of the times that are given.

    Of one-pass models it is latency_s alone; of generative ones any of the three.
    """

    ttft_s: Positive | None = None  # from arrival to the first token
    tpot_s: Positive | None = None  # of each token after the first, the mean of a request
    latency_s: Positive | None = None  # from arrival to the last token
    quantile: Annotated[float, Meta(gt=0, lt=1)] = 0.99


class Slo(Record, frozen=True, kw_only=True):
    """The latency promise: `quantile` of requests answer within `latency_s`."""

    latency_s: Positive
    quantile: Annotated[float, Meta(gt=0, lt=1)] = 0.99


# What a language model that is judged from its configuration may be served in, below what its checkpoint comes in.
LowerPrecision = Literal["fp8", "int4", "fp4"]


class Quality(Record, frozen=True, kw_only=True):
    """The quality floor: a variant may lose at most `max_drop` of `metric` on `data`."""

    max_drop: NonNegative
    metric: Metric
    data: Name | None = None  # .npz, a table (CSV, JSON lines, parquet, a saved data set), or module:function
    max_slice_drop: NonNegative | None = None  # None: no class or slice may be shown to lose more than max_drop
    calibration: Name | None = None  # items for static ranges, none of them in data; None: some of data are set aside


class QualityAsked(Record, frozen=True, kw_only=True):
    """The quality part as the file has it: a floor (`metric` and `max_drop`), precisions accepted by name, or both."""

    max_drop: NonNegative | None = None
    metric: Metric | None = None
    data: Name | None = None
    max_slice_drop: NonNegative | None = None
    calibration: Name | None = None
    accept: tuple[LowerPrecision, ...] = ()  # of a language model elsewhere: nobody measured what it loses there


class SpeculationAsked(Record, frozen=True, kw_only=True):
    """A draft that may propose tokens to a language model, and how many of them the model accepts."""

    method: Name | None = None  # one of the table of acceptance lengths; None: what the table has of the model's family
    # Of a proposed token, or its range; None: as measured of the model's family.
    acceptance: Fraction | Annotated[tuple[Fraction, ...], Meta(min_length=2, max_length=2)] | None = None
    draft_tokens: Count | None = None  # a step; None: as many as are best


Decline = Annotated[float, Meta(ge=0, lt=1)]
Share = Annotated[float, Meta(gt=0, le=1)]


class LifeModel(Record, frozen=True, kw_only=True):
    """The model as far as its cost depends on it, for a verdict without a model file."""

    parameters: Positive | None = None  # all of them: they have to fit into memory; None: `config` has them
    active_parameters: Positive | None = None  # those that one token uses; None: all
    bytes_per_parameter: Positive = 2.0
    kv_bytes_per_token: Positive | None = None  # of the cache of keys and values; None: in what weights leave free
    config: Name | None = None  # its config.json, in place of all of the above


class LifeRequest(Record, frozen=True, kw_only=True):
    """One request as its user sees it; the multipliers say what the model really computes for it."""

    input_tokens: NonNegative | None = None
    output_tokens: NonNegative = 0.0
    flop_per_request: Positive | None = None  # of models without tokens; in place of input_tokens
    shared_prefix_tokens: NonNegative | None = None  # of the input, the same in every request: what a prefix cache would save
    cached_tokens: NonNegative | None = None  # of the input, those that a prefix cache or the vendor's already serves
    batch_fraction: Fraction | None = None  # of the requests, those that can wait for a vendor's batch API
    agent_multiplier: AtLeastOne = 1.0  # tokens of all calls that answer one request, over those of one call
    reasoning_multiplier: AtLeastOne = 1.0  # tokens generated, over those that are shown


class LifeServing(Record, frozen=True, kw_only=True):
    """What serves the requests: own devices, or with `api_model` somebody else's."""

    device: Name | None = None  # an entry of the catalogue
    device_usd_per_hour: Positive | None = None  # None: that of hardware.price_usd_per_hour, of the user's book, of the list
    minimum_replicas: Count = 1  # that stay on for availability, however little traffic there is
    devices_per_replica: Count | None = None  # None: as few as hold the weights and the cache
    concurrent_requests: Positive | None = None  # whose keys and values a replica holds at once; None: one
    fleet_utilization_fraction: Share | None = None  # mean load over what the fleet could carry
    serving_mfu_fraction: Share | None = None  # of a device's peak that serving reaches; None: as measured of such requests
    device_requests_per_s: Positive | None = None  # measured: what one device serves within the target
    device_tokens_per_s: Positive | None = None  # measured: tokens read and generated by one device within the target
    scale_to_zero_after_s: Positive | None = None  # without a request; then nothing is on until the next; None: never
    batch_hours_per_day: Annotated[float, Meta(gt=0, le=24)] | None = None  # the window in which the day's work is done
    api_model: Name | None = None  # an entry of the price list: its tokens are bought instead
    serving_usd_per_hour: Positive | None = None  # what is paid today, where it is known: nothing is computed then


class LifeFineTuning(Record, frozen=True, kw_only=True):
    """One release of the fine-tuned model."""

    method: Literal["full", "lora", "qlora"] = "lora"
    fine_tuning_tokens: NonNegative
    experiments_per_release: AtLeastOne | None = None  # runs until one is good enough, itself included; None: as assumed
    engineer_days_per_release: NonNegative | None = None


class LifeOwned(Record, frozen=True, kw_only=True):
    """Devices that are bought and not rented: what one costs, for how long, and what keeps it running."""

    device_price_usd: NonNegative  # with its part of the host
    owned_years: Positive  # over which it is written off
    usd_per_kwh: NonNegative
    owned_devices: Count | None = None  # that are there, busy or not; None: as many as are needed
    device_watts: Positive | None = None  # at most; None: the maker's rating
    operator_hours_per_month: NonNegative = 0.0
    operator_usd_per_hour: Positive | None = None  # None: an eighth of an engineer's day


class LifeEdge(Record, frozen=True, kw_only=True):
    """Units in the field, each with its own device: bought once each, and kept when traffic falls."""

    edge_units: Count | None = None  # None: as many as the traffic takes at what one was measured to serve
    unit_growth_per_month: Fraction = 0.0  # of the units that are given; where traffic takes more than these, there are more
    unit_price_usd: NonNegative
    unit_years: Positive | None = None  # that one lasts; None: as long as the model
    unit_watts: Positive | None = None
    unit_usd_per_kwh: NonNegative | None = None


class LifePreTraining(Record, frozen=True, kw_only=True):
    """Training from nothing, or going on with pre-training."""

    pre_training_tokens: NonNegative
    pre_training_experiments: AtLeastOne | None = None  # compute of all runs over that of the final one; None: as assumed
    pre_training_engineer_days: NonNegative | None = None


class LifeData(Record, frozen=True, kw_only=True):
    """What the examples cost that a model learns from and is judged by, over the horizon."""

    labels_to_buy: NonNegative = 0.0
    labels_per_release: NonNegative | None = None  # that each release takes beside
    usd_per_label: NonNegative | None = None
    review_fraction: Fraction = 0.0  # of the labels that are made a second time to check them
    validation_usd: NonNegative | None = None  # clinical, regulatory or safety evaluation, once or all together
    validation_usd_per_release: NonNegative | None = None  # of each release
    labels_available: NonNegative | None = None


class LifeTeam(Record, frozen=True, kw_only=True):
    """The people."""

    engineer_usd_per_day: Positive | None = None  # None: as assumed
    serving_engineer_days_per_month: NonNegative | None = None
    migration_engineer_days: NonNegative | None = None  # once, to get the service to where it is to run


class LifeSituation(Record, frozen=True, kw_only=True):
    """What has been tried and what is allowed; rules ask for it, and what is not said is unknown."""

    prompting_exhausted: bool | None = None
    retrieval_exhausted: bool | None = None
    domain_shift: Fraction | None = None  # share of requests unlike anything that the model was trained on
    knowledge_updates_per_year: NonNegative | None = None  # how often what it has to know changes
    data_must_stay: bool | None = None  # requests may not leave the company, the country or the building
    is_regulated: bool | None = None  # every release of the model has to be validated
    models_of_one_base: Count | None = None  # fine-tuned models of the same base that are served, this one among them
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
    hardware_price_decline_per_year: Decline = 0.0  # of an hour of a rented device
    token_price_decline_per_year: Decline | None = None  # of a vendor's token, at the same quality; None: as the next one says
    price_decline_per_year: Decline = 0.0  # the older name of the one before: tokens fall several-fold, hardware hardly
    discount_per_year: NonNegative = 0.0
    fine_tunings_per_year: NonNegative | None = None
    fine_tuning_usd: NonNegative | None = None  # one run: compute and the people who run it
    labels_usd: NonNegative | None = None  # labelling, review, data licences over the horizon
    pre_training_usd: NonNegative | None = None
    quality_gap: Fraction | None = None  # how far quality falls short of what the product needs
    usd_per_quality_point_per_year: NonNegative | None = None  # what a point of a hundred is worth to the product
    training_device: Name | None = None  # an entry of the catalogue; None: that of serving
    training_device_usd_per_hour: Positive | None = None
    model: LifeModel | None = None
    request: LifeRequest | None = None
    serving: LifeServing | None = None
    owned: LifeOwned | None = None
    edge: LifeEdge | None = None
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
    power_usage_effectiveness: AtLeastOne | None = None  # of the data centre; None: an industry's range
    grid: Name | None = None  # a country (ISO 3166 alpha-3) or a region of a cloud; None: that of the offer
    local_power_watts: Positive | None = None  # of the profiled machine when busy, where no meter could be read


class Baseline(Record, frozen=True, kw_only=True):
    """What runs today; None means the default of a plain ONNX Runtime server (one instance, all cores)."""

    hardware: Name | None = None  # the site where it runs; None: the machine of the profile
    variant: Name | None = None  # None: the model as it was given
    max_batch_size: BatchSize = 1
    max_queue_delay_s: NonNegative = 0.0
    intra_op_num_threads: Cores | None = None
    instances: Cores | None = None
    replicas: Count | None = None  # None: as many as keep up with the traffic


class Fleet(Record, frozen=True, kw_only=True):
    """How many machines there may be, and on what terms."""

    spare_replicas: Whole = 1  # that may be lost at the peak without breaking the promise
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


class Workload(Record, frozen=True, kw_only=True):
    """The workload file: one for every command, each of which asks for the parts that it needs."""

    name: Name
    traffic: Traffic | None = None
    slo: TokenSlo | None = None
    tokens: Tokens | None = None
    hardware: HardwareChoice | None = None
    inputs: Inputs | None = None
    quality: QualityAsked | None = None
    lifecycle: Lifecycle | None = None
    baseline: Baseline | None = None
    energy: EnergyChoice | None = None
    fleet: Fleet | None = None
    offline: Volume | None = None
    speculation: SpeculationAsked | None = None


class OnlineWorkload(Record, frozen=True, kw_only=True):
    """The parts of a workload that advice on traffic is about, with all that it needs."""

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


class OfflineWorkload(Record, frozen=True, kw_only=True):
    """The parts of a workload that advice on a batch job is about, with all that it needs."""

    name: Name
    offline: Volume
    hardware: HardwareChoice
    inputs: Inputs | None = None
    quality: Quality | None = None


class GenerationWorkload(Record, frozen=True, kw_only=True):
    """The parts of a workload that advice on a generative model is about, with all that it needs."""

    name: Name
    traffic: Traffic
    slo: TokenSlo
    hardware: HardwareChoice
    tokens: Tokens | None  # None: the trace has the lengths
    quality: Quality | None = None
    lifecycle: Lifecycle | None = None
    baseline: Baseline | None = None
    accept: tuple[LowerPrecision, ...] = ()  # of `quality`, as the file has it
    speculation: SpeculationAsked | None = None
