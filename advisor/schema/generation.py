"""Generative models that answer token by token: what was measured of their steps, what was decided on them, and what a replay showed.

Words of the engines: prefill reads the prompt and gives the first token, a decode step gives one more token to every running request.
TTFT is the time to the first token, TPOT the time of each later one on average over a request, ITL that of each by itself.
"""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.advice import Certificate, OneReplica, Saving, SiteFacts, Tally
from advisor.schema.catalog import Hardware
from advisor.schema.distillation import Student
from advisor.schema.profile import Machine, QualityResult, Stalls
from advisor.schema.record import (
    CallSeconds,
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
from advisor.schema.workload import GenerationWorkload

# prefill_first: a waiting prompt is read whole before anybody gets a token. chunked: one chunk of a prompt, then a decode step.
# mixed: each step decodes all running requests and reads prompts up to a budget of tokens, in one call.
Policy = Literal["prefill_first", "chunked", "mixed"]
Engine = Literal["onnxruntime", "openvino"]
Clock = Literal["wall", "cpu"]
Binding = Literal["prefill", "decode", "kv", "nothing"]
# What answers are made of: text of the user's gone on from, text that stands in the prompt, or text of ours gone on from.
LookupText = Literal["given", "copying", "free"]
ENGINE_NAMES: dict[Engine, str] = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


class EncoderFacts(Record, frozen=True, kw_only=True):
    """What reads an input whole before the decoder begins, which looks back at all of it in every step."""

    reads: Literal["tokens", "frames"]  # frames: of sound, in every input as many, for a short one is filled up
    layers: Count | None  # None: its configuration does not say
    input_tokens: Length  # that an input may have; of frames the positions that every input has
    output_tokens: Length  # that an answer may have
    start_tokens: Count  # that the decoder reads before it answers: no token of a request
    kv_bytes_per_input_token: Count  # of the attention of all decoder layers to the input
    kv_bytes_per_output_token: Count  # of their attention to the answer


class DecoderFacts(Record, frozen=True, kw_only=True):
    """A decoder as its configuration describes it; the cache of keys and values as its layers fill it.

    With an encoder the sizes are those of the decoder behind it, and a token of the cache is one of an input or of an answer.
    """

    sha256: Sha256  # of configuration and weights
    architecture: Name  # "LlamaForCausalLM"
    given_as: Literal["checkpoint", "onnxruntime-genai", "export"]
    parameters: Count
    layers: Count
    attention_heads: Count
    kv_heads: Count
    head_dimension: Count
    hidden_size: Count
    vocabulary: Count
    context_tokens: Length  # that a request may have, prompt and answer together
    window_tokens: Length | None = None  # that attention looks back; None: all
    kv_bytes_per_token: Count  # of the cache in the form that is served; with an encoder the larger of an input's and an answer's
    encoder: EncoderFacts | None = None  # None: the decoder reads prompts itself


class StepVisit(Record, frozen=True, kw_only=True):
    """Consecutive steps at one point in one round: seconds by the clock on the wall, and of processor time of the threads at work."""

    order: Whole
    wall_s: Annotated[tuple[CallSeconds, ...], Meta(min_length=1)]
    cpu_s: Annotated[tuple[CallSeconds, ...], Meta(min_length=1)]  # of all threads, divided by how many are at work
    waited_s: Seconds | None = None  # that its threads waited for a core, the longest; None where the kernel hides it


class PrefillPoint(Record, frozen=True, kw_only=True):
    """One prompt, or a chunk of it, of `tokens` after `past_tokens` that are cached."""

    variant: Name
    intra_op_num_threads: Cores
    tokens: Length
    past_tokens: Whole = 0
    visits: Annotated[tuple[StepVisit, ...], Meta(min_length=1)]


class DecodePoint(Record, frozen=True, kw_only=True):
    """One step of `batch_size` running requests with `context_tokens` cached in all of them together."""

    variant: Name
    intra_op_num_threads: Cores
    batch_size: Count
    context_tokens: Whole
    visits: Annotated[tuple[StepVisit, ...], Meta(min_length=1)]


class MixedPoint(Record, frozen=True, kw_only=True):
    """One step that decodes and reads prompts in one call, of engines that have such steps."""

    variant: Name
    intra_op_num_threads: Cores
    batch_size: Whole
    context_tokens: Whole  # of the decoded requests together
    tokens: Length  # of prompts
    past_tokens: Whole = 0
    visits: Annotated[tuple[StepVisit, ...], Meta(min_length=1)]


class TextQuality(Record, frozen=True, kw_only=True):
    """How well a variant predicts the user's text, beside the baseline; the metric's drop is the increase as a fraction."""

    perplexity: QualityResult
    bits_per_byte: Shown
    baseline_bits_per_byte: Shown
    tokens: Count
    greedy_agreement: Estimate  # share of tokens that equal the baseline's where both go on from the same text


class Speculation(Record, frozen=True, kw_only=True):
    """Prompt lookup, or a draft, as measured at one number of running requests on one kind of text."""

    draft: Name | None = None  # of the site's, which proposes; None: prompt lookup
    text: LookupText
    running_requests: Count
    proposed_tokens: Count  # a step
    acceptance: Estimate | None = None  # share of these that stay; None: of an older profile
    tokens_per_step: Estimate
    tpot_off_s: Estimate
    tpot_on_s: Estimate
    speedup: Estimate  # of the whole, paired in time


class DraftModel(Record, frozen=True, kw_only=True):
    """A smaller decoder that proposes tokens, which the model checks."""

    id: Name
    sha256: Sha256  # of configuration and weights
    layers: Count
    parameters: Count
    student: Student | None  # what `advisor distill` wrote down of it
    learned_texts: Whole | None  # of the given text, that it learned from and that are left out; None: not known


class GenerationVariant(Record, frozen=True, kw_only=True):
    """One form of the model that could be served; `path` is a folder, relative to that of the profile."""

    id: Name
    scheme: Name
    title: str
    path: Name
    sha256: Sha256
    bytes: Whole
    engine: Engine
    lossless: bool
    weight_bytes: Count
    kv_bytes_per_token: Count
    load_s: Seconds | None
    peak_memory_bytes: Whole | None
    agrees_with_checkpoint: NonNegative | None  # largest difference of its logits from the checkpoint's own over their range
    quality: TextQuality | None
    speculation: tuple[Speculation, ...] = ()
    student: Student | None = None  # where it is a smaller decoder

    @property
    def is_untrained(self) -> bool:
        """Whether nobody has trained it: its speed is known, and its answers mean nothing."""
        return self.student is not None and not self.student.is_trained


class GenerationSettings(Record, frozen=True, kw_only=True):
    """What the user asked of `advisor profile`; a run is resumed only under equal settings."""

    budget_s: Seconds
    seed: Whole
    max_context_tokens: Length
    max_running_requests: Count
    text_sha256: Sha256 | None
    wanted: tuple[str, ...] = ()
    draft_sha256: Sha256 | None = None
    students_sha256: tuple[Sha256, ...] = ()
    asked_sha256: Sha256 | None = None
    input_fraction: Fraction | None = (
        None  # of what is cached in a timed decode step, the part of an encoder; None: there is none
    )


class Replay(Record, frozen=True, kw_only=True):
    """Requests that were really served beside the simulation of these very requests."""

    candidate: "GenerationCandidate"
    engine: Engine
    clock: Clock
    requests: Count
    offered_requests_per_s: Positive | None  # None: a closed loop
    duration_s: Seconds
    load_fraction: NonNegative  # offered over predicted capacity
    measured: "TokenTimes"
    expected: "TokenTimes"  # with steps as much longer than those of the profile as those of this very replay were
    before: "TokenTimes | None" = None  # what is predicted: expected from what was known before the replay
    covered: dict[str, bool]  # by figure: the intervals of what was measured and of what was expected overlap
    covered_before: dict[str, bool] = {}  # the same of what was predicted
    tokens_equal: bool | None = None  # a replayed request gives the tokens that it gives alone; None: not compared
    step_ratio_prefill: Estimate | None = None  # seconds of steps in the server over those that the profile has of them
    step_ratio_decode: Estimate | None = None
    run_delay_fraction: NonNegative | None = None
    meets_slo: bool
    stalls: tuple[Stalls, ...] = ()


class GenerationSite(Record, frozen=True, kw_only=True):
    """One machine, and all that was measured there of the model's steps."""

    hardware: Hardware
    machine: Machine
    created: str
    advisor_version: str
    fingerprint: Sha256
    versions: dict[str, str]
    clock: Clock  # that its figures are of: of the processor where the wall was disturbed
    measuring_s: Seconds
    noise_fraction: NonNegative | None
    variants: tuple[GenerationVariant, ...]
    drafts: tuple[DraftModel, ...] = ()
    prefill: tuple[PrefillPoint, ...]
    decode: tuple[DecodePoint, ...]
    mixed: tuple[MixedPoint, ...] = ()
    replays: tuple[Replay, ...] = ()
    stalls: tuple[Stalls, ...] = ()
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]


class GenerationProfile(Record, frozen=True, kw_only=True, tag_field="kind", tag="generation"):
    """The decoder, what was asked, and what each machine measured."""

    schema_version: int
    model: DecoderFacts
    settings: GenerationSettings
    sites: Annotated[tuple[GenerationSite, ...], Meta(min_length=1)]


class GenerationCandidate(Record, frozen=True, kw_only=True):
    """One way to serve a decoder."""

    variant: Name
    hardware: Name
    intra_op_num_threads: Cores
    max_running_requests: Count
    policy: Policy
    chunk_tokens: Count | None  # of a chunk, or the budget of a mixed step; None: prompts are read whole
    kv_tokens: Count  # that the cache holds
    replicas: Count


class Quantiles(Record, frozen=True, kw_only=True):
    """A time over requests, at three quantiles and at that of the target."""

    p50: Estimate
    p90: Estimate
    p99: Estimate
    slo: Estimate


class TokenTimes(Record, frozen=True, kw_only=True):
    """What users of a generative model wait for; None where no request has a second token."""

    ttft_s: Quantiles
    tpot_s: Quantiles | None
    itl_s: Quantiles | None
    latency_s: Quantiles  # from arrival to the last token
    output_tokens_per_s: Estimate
    requests_per_s: Estimate


class GenerationPrediction(Record, frozen=True, kw_only=True):
    """What is expected of a candidate under the workload."""

    candidate: GenerationCandidate
    times: TokenTimes
    goodput_fraction: Estimate  # share of requests that keep every target
    capacity_requests_per_s: Estimate | None  # of all replicas, with every target kept; None: not sought
    utilization_fraction: Estimate
    running_requests: NonNegative  # mean
    waiting_requests: NonNegative
    kv_use_fraction: Fraction  # of the cache, the largest
    preemptions_per_request: NonNegative
    prefill_fraction: Fraction  # of the busy time, that prompts are read: the split of the cost
    binding: Binding  # what gives way first when traffic grows
    cost_usd_per_hour: Estimate
    cost_usd_per_million_requests: Estimate
    cost_usd_per_million_input_tokens: Estimate
    cost_usd_per_million_output_tokens: Estimate
    quality_drop: Estimate | None
    meets_slo: bool  # every target at the upper end
    misses_slo: bool = False  # shown: a target is missed even at the lower end
    changes: tuple[str, ...]


class LoadPoint(Record, frozen=True, kw_only=True):
    """The recommended replica at one rate, for the chart of TTFT and TPOT against load."""

    requests_per_s: Positive  # of one replica
    ttft_slo_s: Estimate
    tpot_slo_s: Estimate | None
    output_tokens_per_s: NonNegative


class KvPoint(Record, frozen=True, kw_only=True):
    """Memory of the cache at so many running requests of the workload's lengths."""

    running_requests: Count
    kv_bytes: NonNegative


class GenerationVariantSummary(Record, frozen=True, kw_only=True):
    """One variant as the report shows it: steps beside quality."""

    id: Name
    title: str
    bytes: Whole
    weight_bytes: Count
    engine: Engine = "onnxruntime"
    kv_bytes_per_token: Count
    prefill_tokens_per_s: Estimate | None  # of one prompt of the workload's median length
    decode_step_s: Estimate | None  # of one request at the workload's median context
    decode_tokens_per_s: Estimate | None  # of the largest measured batch
    quality: TextQuality | None
    speculation: tuple[Speculation, ...] = ()
    admitted: bool
    admitted_because: str
    student: Student | None = None


class DecoderStudent(Record, frozen=True, kw_only=True):
    """A smaller decoder in the place of the model: what serving would cost with it, and what is known of its quality."""

    student: Student
    prediction: GenerationPrediction | None  # of the cheapest of its forms; None: none keeps the targets
    saved_fraction: Estimate | None  # of the cost of what is shown without it; None: one of the two keeps no target
    retention: Estimate | None  # share of the model's scores that it is assumed to keep; None: trained, or nothing is published
    quality: TextQuality | None  # of a trained one
    because: str  # where its quality comes from


class SpeculationAdvice(Record, frozen=True, kw_only=True):
    """Whether to let the engine guess tokens, by load, as measured: of one variant, on one kind of text."""

    draft: Name | None = None  # None: prompt lookup
    text: LookupText
    engine: Engine
    variant: Name
    measured_at: Annotated[tuple[Count, ...], Meta(min_length=1)]  # running requests, ascending
    advised_up_to_running_requests: NonNegative | None  # the upper end of where it is shown to be faster; None: nowhere
    crossing_running_requests: Estimate | None  # where it is as fast with as without; None: nowhere between what was measured
    speedup_at_one: Estimate | None  # None: not measured
    running_requests: NonNegative | None  # of the configuration that is advised, on average; None: nothing is
    speedup: Estimate | None  # at that load; None: beyond what was measured
    use: Literal["on", "off", "not known"] | None  # at that load
    because: str


class GenerationAdvice(Record, frozen=True, kw_only=True, tag_field="kind", tag="generation"):
    """Everything that the report on a generative model shows."""

    schema_version: int
    created: str
    advisor_version: str
    profile_sha256: Sha256
    profile_path: str | None
    model: DecoderFacts
    sites: Annotated[tuple[SiteFacts, ...], Meta(min_length=1)]
    workload: GenerationWorkload
    mean_requests_per_s: Positive
    outcome: Literal["change", "keep", "infeasible", "inconclusive"]
    headline: str
    recommended: GenerationPrediction | None
    likely: GenerationPrediction | None = None
    baseline: GenerationPrediction
    saving: Saving | None
    one_replica: OneReplica | None = None
    ties: tuple[GenerationPrediction, ...]
    unproven: GenerationPrediction | None
    nearest_miss: GenerationPrediction | None
    binding_constraint: str | None
    others: tuple[GenerationPrediction, ...]  # the cheapest of each other variant and policy
    variants: tuple[GenerationVariantSummary, ...]
    load_curve: tuple[LoadPoint, ...]
    kv_curve: tuple[KvPoint, ...]
    speculation: tuple[SpeculationAdvice, ...] = ()
    students: tuple[DecoderStudent, ...] = ()
    certificate: Certificate
    candidates_simulated: Tally
    replays: tuple[Replay, ...] = ()
    confidence: Annotated[float, Meta(gt=0, lt=1)]
    max_uncertainty: Positive
    because: tuple[str, ...] = ()  # why it is not known, where the outcome is inconclusive
    settled_by: tuple[str, ...] = ()
    risks: tuple[str, ...]
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
