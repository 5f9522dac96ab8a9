"""What was decided: candidates, predictions, load tests, and everything that a report shows."""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.catalog import CarbonIntensity, Hardware, Provider, Term
from advisor.schema.distillation import Student
from advisor.schema.lifetime import BreakEven, Making, Outlook, Verdict
from advisor.schema.model import ModelFacts
from advisor.schema.profile import Agreement, Calibration, Machine, QualityResult, Stalls
from advisor.schema.record import (
    AtLeastOne,
    BatchSize,
    Cores,
    Count,
    Estimate,
    Exclusion,
    Fraction,
    Length,
    Name,
    NonNegative,
    Positive,
    Record,
    Seconds,
    Sha256,
    Shown,
    Whole,
)
from advisor.schema.workload import OfflineWorkload, OnlineWorkload

# A server that is busy more than this has no headroom for what the simulation does not know: 2 % of service time are 18 % of p99 at 0.9.
BUSY_FRACTION = 0.75
Confidence = Annotated[float, Meta(gt=0, lt=1)]
Tally = Annotated[int, Meta(ge=0)]  # of candidates, of which extreme traffic has more than any other count


class Candidate(Record, frozen=True, kw_only=True):
    """One way to serve the model."""

    variant: Name
    hardware: Name
    intra_op_num_threads: Cores
    instances: Cores
    max_batch_size: BatchSize
    max_queue_delay_s: Seconds
    replicas: Count


class Place(Record, frozen=True, kw_only=True):
    """Hardware that may be used, the machine to rent it in, and what is known of its price and its grid."""

    hardware: Hardware
    machine: str  # "g4dn.xlarge, aws us-east-1, on-demand"
    devices: Count = 1
    price_usd_per_hour: Estimate  # of the machine
    price_date: str | None  # None: the user's own
    price_is_stale: bool
    carbon: CarbonIntensity | None
    busy_watts: Estimate | None = None  # as given by the user, of a machine without a meter


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
    mean_batch_size: NonNegative
    batch_size_shares: tuple[Fraction, ...]  # entry b - 1: the share of batches that hold b requests
    cost_usd_per_hour: Estimate
    cost_usd_per_million_requests: Estimate
    quality_drop: Estimate | None  # None: not measured
    meets_slo: (
        bool  # servers keep up all day, and the upper end of latency_slo_s is within the target: with stalls, as they were seen
    )
    misses_slo: bool = False  # shown: even at the lower end servers do not keep up, or latency_slo_s is beyond the target
    changes: tuple[str, ...]  # what differs from the baseline, in words, empty for "change nothing"
    cost_usd_per_month: Estimate | None = None
    cost_usd_per_million_tokens: Estimate | None = None  # None: requests have no lengths
    energy_joules_per_request: Estimate | None = None  # None: the power of the hardware is not known
    carbon_grams_per_million_requests: Estimate | None = None
    latency_without_stalls_s: Estimate | None = (
        None  # latency_slo_s if no core ever stood still; None: nobody watched whether they do
    )


class SpeedTie(Record, frozen=True, kw_only=True):
    """A variant that ties in speed with a simpler one: the simpler is kept, and no difference is claimed."""

    variant: Name
    simpler: str
    speedup: Estimate  # over the simpler one
    noise_fraction: NonNegative  # a difference smaller than this is none


class Certificate(Record, frozen=True, kw_only=True):
    """The proof of the search: every candidate of the space is accounted for."""

    candidates: Tally
    cut_by_bound: Tally
    cut_by_quality: Tally
    cut_by_tie: Tally  # of variants as fast as a simpler one
    cut_by_cost: Tally  # more expensive than the best, so never simulated
    simulated: Tally
    regret_usd_per_hour: NonNegative


class Saving(Record, frozen=True, kw_only=True):
    """What the recommendation saves against the baseline, whose replicas the user gave: without them there is no cost today."""

    usd_per_hour: Estimate
    usd_per_year: Estimate
    fraction: Shown


class Replayed(Record, frozen=True, kw_only=True):
    """The simulation of the same requests as in a load test, from what was known before it."""

    latency_p50_s: Estimate
    latency_p95_s: Estimate
    latency_p99_s: Estimate
    latency_slo_s: Estimate
    throughput_requests_per_s: Estimate
    utilization_fraction: Estimate


class LoadTest(Record, frozen=True, kw_only=True):
    """One candidate replica served for real under an open-loop generator, beside what was predicted of it."""

    candidate: Candidate
    requests: Count
    offered_requests_per_s: Positive  # to the one replica that was run
    duration_s: Seconds
    latency_p50_s: Estimate
    latency_p95_s: Estimate
    latency_p99_s: Estimate
    latency_slo_s: Estimate
    throughput_requests_per_s: Estimate
    utilization_fraction: NonNegative
    mean_batch_size: NonNegative
    generator_lag_p99_s: Shown
    generator_kept_up: bool
    run_delay_fraction: (
        NonNegative | None
    )  # of the time, that the server's threads waited for a core; None where the kernel hides it
    calibration: Calibration
    meets_slo: bool  # the measured quantile is within the target
    predicted: Prediction  # under the workload's traffic, of which these requests are a sample
    expected: Replayed
    prediction_held: bool  # the measured quantile lies within the expected interval, allowing for its own
    stalls: tuple[Stalls, ...] = ()  # of the machine, as watched meanwhile
    others_fraction: NonNegative | None = None  # of its cores' time, that other programs computed; None where that is not known


class SiteFacts(Record, frozen=True, kw_only=True):
    """A machine that measured, as the report shows it."""

    hardware: str  # its id
    name: str
    machine: Machine
    versions: dict[str, str]
    created: str
    noise_fraction: NonNegative | None
    measuring_s: Seconds
    samples: Whole


class RunsOn(Record, frozen=True, kw_only=True):
    """What runs the file of a variant, and how it is set up."""

    provider: Provider
    provider_options: dict[str, str] = {}
    session_options: dict[str, str] = {}


class VariantSummary(Record, frozen=True, kw_only=True):
    """One variant as one site measured it: speed beside quality."""

    hardware: str  # the site's
    id: Name
    title: str
    path: str  # as in Variant
    sha256: Sha256
    bytes: Whole
    load_s: Seconds | None
    peak_memory_bytes: Whole | None
    speedup: Estimate | None  # over the baseline at batch 1, paired in time
    throughput_items_per_s: Estimate | None  # the best of its measured points
    agreement: Agreement | None
    quality: QualityResult | None
    admitted: bool
    admitted_because: str
    kept_operators: tuple[str, ...] = ()  # as in Variant
    kept_cost: Estimate | None = None
    runs_on: RunsOn | None = None  # None: made before advisor wrote it down
    student: Student | None = None  # as in Variant


class ServiceCurve(Record, frozen=True, kw_only=True):
    """Measured seconds per call over batch sizes, for a chart."""

    hardware: str  # the site's
    variant: Name
    intra_op_num_threads: Cores
    instances: Cores
    sequence_length: Length | None
    batch_size: Annotated[tuple[BatchSize, ...], Meta(min_length=1)]
    latency_s: tuple[Estimate, ...]


class LoadLatency(Record, frozen=True, kw_only=True):
    """One replica of what is advised at one rate, for the chart of latency against load."""

    requests_per_s: Positive
    latency_slo_s: Estimate  # at the quantile of the target


class PlaceAnswer(Record, frozen=True, kw_only=True):
    """The best that was found on one kind of hardware; in the advice cheapest first, those that miss the target last."""

    hardware: Name
    name: str
    machine: str
    ground: Literal["measured", "anchored", "similar", "roofline"]  # of its service times
    price_date: str | None
    price_is_stale: bool
    prediction: Prediction


class FleetPool(Record, frozen=True, kw_only=True):
    """Equal replicas, and what they cost on average over the day."""

    candidate: Candidate  # without the spare replicas
    hardware: Name
    requests_per_s: NonNegative  # of the pool at the peak
    lengths: tuple[Length, Length] | None  # shortest and longest request that it gets, None: all
    spare_replicas: Whole
    replicas_by_part: tuple[Whole, ...]  # of the day, spare ones counted
    starting_replica_hours_per_day: NonNegative  # paid while replicas start
    terms: dict[Term, NonNegative]  # replicas on average by how they are paid
    usd_per_hour: NonNegative


class FleetOption(Record, frozen=True, kw_only=True):
    """A plan that was worked out, and its cost."""

    name: str
    usd_per_hour: NonNegative


class FleetPlan(Record, frozen=True, kw_only=True):
    """The cheapest plan for the whole day with its spare replicas, beside the others."""

    name: str
    pools: tuple[FleetPool, ...]
    usd_per_hour: NonNegative  # list prices as in the workload
    peak_requests_per_s: NonNegative
    spare_replicas: Whole
    start_s: Seconds
    options: tuple[FleetOption, ...]


class OfflineChoice(Record, frozen=True, kw_only=True):
    """One way to do a volume of work by its deadline."""

    candidate: Candidate  # batches are always full, so nothing waits for one
    duration_s: Estimate  # starting included
    throughput_items_per_s: Estimate
    cost_usd: Estimate
    meets_deadline: bool  # at the upper end of the duration


class OfflineAdvice(Record, frozen=True, kw_only=True, tag_field="kind", tag="offline"):
    """Everything that the report on a batch job shows; `nearest_miss` and `binding_constraint` where nothing meets the deadline."""

    schema_version: int
    created: str
    advisor_version: str
    profile_sha256: Sha256
    workload: OfflineWorkload
    model: ModelFacts
    sites: Annotated[tuple[SiteFacts, ...], Meta(min_length=1)]
    headline: str
    recommended: OfflineChoice | None
    nearest_miss: OfflineChoice | None
    binding_constraint: str | None
    others: tuple[OfflineChoice, ...]  # the cheapest way of each other variant
    certificate: Certificate
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]


class AtEnd(Record, frozen=True, kw_only=True):
    """The cheapest that keeps the target if service times are those of one end of their intervals, or those of the middle."""

    candidate: Candidate
    usd_per_hour: NonNegative


class OpenPoint(Record, frozen=True, kw_only=True):
    """A setting of a variant that leaves the answer open: at the quick end of its interval it would be the better answer."""

    hardware: Name
    variant: Name
    intra_op_num_threads: Cores
    instances: Cores
    batch_sizes: tuple[BatchSize, ...]  # measured ones that its candidates hang on; () where nothing was measured on the hardware
    usd_per_hour_low: NonNegative  # of its cheapest at the quick end
    leaves_open: NonNegative | None  # the cost of what is sure over that; None where nothing is sure
    visits: Whole  # that its least visited point has
    wanted_s: Seconds  # of timing, for each point to have visits enough


class Certainty(Record, frozen=True, kw_only=True):
    """How far the answer is known: the cheapest at both ends of the intervals of service times, and what leaves it open.

    Each of the three is None where nothing keeps the target there. `factor` is the cost at the slow end over that at the quick end.
    """

    quick: AtEnd | None
    likely: AtEnd | None
    slow: AtEnd | None
    factor: NonNegative | None
    max_uncertainty: AtLeastOne  # the factor that the user accepts
    is_settled: bool
    open_points: tuple[OpenPoint, ...] = ()  # what leaves most open first
    because: tuple[str, ...] = ()  # why it is not known
    settled_by: tuple[str, ...] = ()  # what would settle it


class StudentOutlook(Record, frozen=True, kw_only=True):
    """A student of the model: how fast it is, what it loses, what serving would cost with it and what making it does."""

    student: Student
    title: str  # "3 of 6 layers"
    variants: tuple[Name, ...]  # the student, and what was made of it
    speedup_single: Estimate | None  # over the model as given, at batch 1
    speedup_largest: Estimate | None  # at the largest batch that both were measured in
    largest_batch_size: BatchSize | None
    quality: QualityResult | None  # measured, where it is trained
    retention: Estimate | None  # share of the model's score that it is assumed to keep; None: trained, or not known
    assumed_drop: Estimate | None  # the same as a loss of the workload's metric
    likely_holds: bool | None  # by the middle of what is assumed, beside the floor; None: trained, or not known
    quality_because: str
    served: Prediction | None  # the cheapest that keeps the target with it; None: none does, or it is not faster
    alone: Prediction | None  # the same of the student as it is, where what was made of it is cheaper
    saving_usd_per_month: Estimate | None  # against what is served without it
    making: Making | None  # None: it is made already, or nothing is planned that it could be weighed against
    break_even: BreakEven | None
    pays: bool | None  # over the planned life, if it holds; None: not weighed
    because: str


class OneReplica(Record, frozen=True, kw_only=True):
    """What one replica carries within the target: of the recommended configuration beside today's, where today's number is not known."""

    recommended_requests_per_s: Estimate
    baseline_requests_per_s: Estimate
    ratio: Estimate


class Advice(Record, frozen=True, kw_only=True, tag_field="kind", tag="online"):
    """Everything the report shows."""

    schema_version: int
    created: str
    advisor_version: str
    profile_sha256: Sha256
    profile_path: str | None
    model: ModelFacts
    sites: Annotated[tuple[SiteFacts, ...], Meta(min_length=1)]  # the first is that of the command that made the profile
    workload: OnlineWorkload
    mean_requests_per_s: Positive
    outcome: Literal["change", "keep", "infeasible", "inconclusive"]
    headline: str
    recommended: Prediction | None
    baseline: Prediction
    saving: Saving | None
    ties: tuple[Prediction, ...]
    more_ties: bool  # there are more than these
    speed_ties: tuple[SpeedTie, ...]
    frontier: tuple[Prediction, ...]
    nearest_miss: Prediction | None
    binding_constraint: str | None
    unproven: Prediction | None  # cheaper than the recommendation, but its quality was not measured
    verdict: Verdict
    variants: tuple[VariantSummary, ...]
    service_curves: tuple[ServiceCurve, ...]
    certificate: Certificate
    risks: tuple[str, ...]
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
    places: tuple[PlaceAnswer, ...] = ()  # the ranking, where more than the profiled machine is allowed
    load_tests: tuple[LoadTest, ...] = ()  # the recommendation and the baseline, served for real
    outlook: Outlook | None = None  # None: made before advisor looked at opportunities
    fleet: FleetPlan | None = None  # None: not asked for, or nothing keeps the target at the peak
    likely: Prediction | None = (
        None  # the most likely answer where the outcome is inconclusive; None: most likely nothing keeps it
    )
    certainty: Certainty | None = None  # None: made before advisor looked at it
    one_replica: OneReplica | None = None  # None: today's replicas are given, or either carries nothing within the target
    confidence: Confidence = 0.95  # of the service times at which the recommendation keeps the target
    questions: tuple[str, ...] = ()  # about what the user may have meant otherwise; asked on the terminal too
    students: tuple[StudentOutlook, ...] = ()  # smaller models in its place, those that nobody has trained among them
    load_curve: tuple[LoadLatency, ...] = ()  # of what the report is about; (): nothing carries anything within the target
