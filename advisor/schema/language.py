"""Language models on hardware that is not here: what a configuration says of one, ways to serve it, and what was decided.

Words of the engines: a replica is tensor-parallel over some devices; its steps read prompts up to a budget of tokens and decode all running
requests. Times are as in advisor.schema.generation.
"""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.advice import Certificate, Tally
from advisor.schema.catalog import Hardware
from advisor.schema.distillation import Student
from advisor.schema.generation import Binding, KvPoint, LoadPoint, TokenTimes
from advisor.schema.lifetime import BreakEven, Making, Opportunity
from advisor.schema.record import (
    Count,
    Estimate,
    Exclusion,
    Fraction,
    Length,
    Name,
    NonNegative,
    Positive,
    Record,
    Sha256,
    Whole,
)
from advisor.schema.workload import GenerationWorkload

WeightPrecision = Literal["bf16", "fp8", "int4", "fp4"]
KvPrecision = Literal["bf16", "fp8"]
# Where the seconds of a step come from: kernels measured on that device, such of the nearest device scaled by both devices' rates, or the
# rates alone.
Ground = Literal["kernels", "scaled-kernels", "roofline"]


class AttentionLayers(Record, frozen=True, kw_only=True):
    """Layers of one kind of attention. Of `mla` the cache holds a latent and a rotary part a token, whatever the heads."""

    kind: Literal["gqa", "mla"]
    layers: Count
    heads: Count
    kv_heads: Count  # of mla as many as heads, of which the cache holds none
    head_dimension: Count  # of queries and keys
    value_dimension: Count
    window_tokens: Length | None = None  # that attention looks back; None: all
    q_lora_rank: Count | None = None  # of mla
    kv_lora_rank: Count | None = None  # of mla: the latent
    rope_dimension: Count | None = None  # of mla: the rotary part, once a token


class FeedForwardLayers(Record, frozen=True, kw_only=True):
    """Layers of one kind of feed-forward network; `experts` is None in dense ones."""

    layers: Count
    inner_size: Count  # of the dense network, or of one expert
    experts: Count | None = None
    experts_per_token: Count | None = None
    shared_inner_size: Whole = 0  # of the experts that every token passes, together
    is_gated: bool = True  # three matrices, not two


class Architecture(Record, frozen=True, kw_only=True):
    """A decoder as its configuration describes it."""

    name: Name
    architecture: Name  # "LlamaForCausalLM"
    sha256: Sha256  # of the configuration
    layers: Count
    hidden_size: Count
    vocabulary: Count
    context_tokens: Length
    ties_embeddings: bool
    attention: Annotated[tuple[AttentionLayers, ...], Meta(min_length=1)]
    feed_forward: Annotated[tuple[FeedForwardLayers, ...], Meta(min_length=1)]
    parameters: Count  # all of them
    active_parameters: Count  # that one token uses
    weights: WeightPrecision  # that the checkpoint comes in
    notes: tuple[str, ...] = ()

    @property
    def is_dense(self) -> bool:
        """Whether no layer has experts."""
        return all(layers.experts is None for layers in self.feed_forward)


class KvOfLayers(Record, frozen=True, kw_only=True):
    """What a token takes in the cache of all layers of one kind of attention, in 16-bit floats."""

    layers: AttentionLayers
    kv_bytes_per_token: Positive


class LanguageModelFacts(Record, frozen=True, kw_only=True):
    """A decoder as its configuration describes it, and what it takes: of weights in their own precision, of the cache in 16-bit floats."""

    model: Architecture
    weight_bytes: Positive
    kv_bytes_per_token: Positive
    kv_by_layers: tuple[KvOfLayers, ...]


class SpeculationChoice(Record, frozen=True, kw_only=True):
    """A draft that proposes tokens, which one step verifies."""

    method: Name  # "eagle", "mtp", "draft"
    draft_tokens: Count  # a step
    tokens_per_step: Estimate  # accepted, and the one of the model itself


class Deployment(Record, frozen=True, kw_only=True):
    """One way to serve a language model."""

    device: Name  # an entry of the catalog
    tensor_parallel: Count
    weights: WeightPrecision
    kv: KvPrecision
    max_running_requests: Count
    token_budget: Count  # of a step, read and decoded
    kv_tokens: Count  # that the cache of one replica holds
    speculation: SpeculationChoice | None = None
    replicas: Count

    @property
    def devices(self) -> int:
        """How many are paid for."""
        return self.tensor_parallel * self.replicas


class DeploymentPrediction(Record, frozen=True, kw_only=True):
    """What is expected of a deployment under the workload."""

    deployment: Deployment
    ground: Ground
    times: TokenTimes
    goodput_fraction: Estimate  # share of requests that keep every target
    capacity_requests_per_s: Estimate | None
    utilization_fraction: Estimate
    running_requests: NonNegative  # mean of one replica
    kv_use_fraction: Fraction
    preemptions_per_request: NonNegative
    prefill_fraction: Fraction
    binding: Binding
    weight_bytes_per_device: Positive
    kv_bytes_per_token: Positive  # of one replica, over all its devices
    cost_usd_per_hour: Estimate
    cost_usd_per_request: Estimate
    cost_usd_per_month: Estimate
    cost_usd_per_million_input_tokens: Estimate
    cost_usd_per_million_output_tokens: Estimate
    energy_j_per_output_token: Estimate | None
    meets_slo: bool  # every target at the upper end
    misses_slo: bool = False  # shown: a target is missed even at the lower end


class ApiAlternative(Record, frozen=True, kw_only=True):
    """The same traffic bought by the token."""

    provider: Name
    model: Name
    usd_per_million_input_tokens: NonNegative
    usd_per_million_cached_tokens: NonNegative | None
    usd_per_million_output_tokens: NonNegative
    date: str
    usd_per_month: Estimate
    break_even_requests_per_s: Positive | None  # above it the fleet is cheaper; None: at no traffic that was looked at


class Accepting(Record, frozen=True, kw_only=True):
    """A lower precision whose quality nobody measured or accepted: what it would save."""

    weights: WeightPrecision
    kv: KvPrecision
    prediction: DeploymentPrediction
    saving_usd_per_month: Estimate


class SpeculationByLoad(Record, frozen=True, kw_only=True):
    """Speculation on the recommended deployment: what it gains by how many requests run."""

    choice: SpeculationChoice
    running_requests: tuple[Count, ...]
    speedup: tuple[Estimate, ...]
    advised_up_to_running_requests: NonNegative | None  # the crossing; None: it never pays
    surely_up_to_running_requests: NonNegative | None = None  # the same at the low end of the speedup
    advised_up_to_requests_per_s: Positive | None = None  # of one replica, at the crossing
    pays_at_every_load: bool
    because: str


class ConfiguredStudent(Record, frozen=True, kw_only=True):
    """A smaller configuration of the same shape: what serving it would cost, what it may lose, and what making it does."""

    student: Student
    title: str  # "16 of 32 layers"
    prediction: DeploymentPrediction | None  # the cheapest that keeps the targets; None: nothing does
    saving_usd_per_month: Estimate | None  # against what is recommended
    retention: Estimate | None  # share of the model's score that it is assumed to keep; None: not known
    quality_because: str
    making: Making | None = None
    break_even: BreakEven | None = None
    opportunity: Opportunity | None = None


class LanguageAdvice(Record, frozen=True, kw_only=True, tag_field="kind", tag="language"):
    """Everything that the report on a language model elsewhere shows."""

    schema_version: int
    created: str
    advisor_version: str
    config_path: str | None
    model: Architecture
    workload: GenerationWorkload
    devices: tuple[Hardware, ...]
    mean_requests_per_s: Positive
    outcome: Literal["advice", "infeasible", "inconclusive"]
    headline: str
    recommended: DeploymentPrediction | None
    likely: DeploymentPrediction | None = None  # where it is inconclusive
    next_best: DeploymentPrediction | None = None  # on another device or degree
    next_best_costs_more_fraction: Estimate | None = None
    ties: tuple[DeploymentPrediction, ...] = ()
    nearest_miss: DeploymentPrediction | None = None
    binding_constraint: str | None = None
    others: tuple[DeploymentPrediction, ...] = ()  # the cheapest of each other device
    accepting: tuple[Accepting, ...] = ()
    speculation: tuple[SpeculationByLoad, ...] = ()
    apis: tuple[ApiAlternative, ...] = ()
    load_curve: tuple[LoadPoint, ...] = ()
    kv_curve: tuple[KvPoint, ...] = ()
    student: ConfiguredStudent | None = None  # where a life is planned over which it could pay
    engine_arguments: tuple[str, ...] = ()  # of vLLM
    certificate: Certificate
    candidates_simulated: Tally
    confidence: Annotated[float, Meta(gt=0, lt=1)]
    max_uncertainty: Positive
    because: tuple[str, ...] = ()
    settled_by: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    notes: tuple[str, ...] = ()
