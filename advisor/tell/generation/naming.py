"""How a generative model is served, in words: targets, policies, configurations, and which of them the report is about."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from advisor import units
from advisor.schema.generation import (
    ENGINE_NAMES,
    Binding,
    DecoderFacts,
    Engine,
    GenerationAdvice,
    GenerationCandidate,
    GenerationPrediction,
    Quantiles,
    TokenTimes,
)
from advisor.schema.language import DeploymentPrediction
from advisor.schema.record import Estimate
from advisor.schema.workload import TokenSlo
from advisor.tell.options import UNPROVEN, today_is_given

BINDS: dict[Binding, str] = {
    "prefill": "reading prompts",
    "decode": "generating tokens",
    "kv": "the memory of the KV cache",
    "nothing": "nothing that was simulated",
}
P = TypeVar("P", GenerationPrediction, DeploymentPrediction)
NO_SECOND_TOKEN = "no answer has a second token"


class Time(NamedTuple):
    """One of the times that users wait for: its field, its name in a heading and in a table, and what it counts."""

    field: str
    name: str
    means: str


TTFT = Time("ttft_s", "TTFT", "from arrival to the first token")
TPOT = Time("tpot_s", "TPOT", "each later token, the mean of a request")
ITL = Time("itl_s", "ITL", "each later token by itself")
LATENCY = Time("latency_s", "latency", "from arrival to the last token")
TIMES = (TTFT, TPOT, ITL, LATENCY)


class Target(NamedTuple):
    """A promise: so long, at the quantile of all promises."""

    time: Time
    limit_s: float


def targets(slo: TokenSlo) -> tuple[Target, ...]:
    """Return the promises of a workload."""
    given = ((time, getattr(slo, time.field)) for time in (TTFT, TPOT, LATENCY))
    return tuple(Target(time, limit_s) for time, limit_s in given if limit_s is not None)


def targets_in_words(slo: TokenSlo) -> str:
    """Describe all promises: "TTFT p90 within 2 s and TPOT p90 within 150 ms"."""
    at = units.quantile(slo.quantile)
    return joined([f"{target.time.name} {at} within {units.seconds(target.limit_s)}" for target in targets(slo)])


def joined(parts: list[str]) -> str:
    """Return a list as a sentence has it: "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def of_time(times: TokenTimes, time: Time) -> Quantiles | None:
    """Return the quantiles of a time; None where there is no second token."""
    found: Quantiles | None = getattr(times, time.field)
    return found


def at_slo(times: TokenTimes, time: Time) -> Estimate | None:
    """Return a time at the quantile of the promises."""
    found = of_time(times, time)
    return None if found is None else found.slo


def policy(candidate: GenerationCandidate) -> str:
    """Describe who comes first where prompts wait and others want their next token."""
    if candidate.policy == "prefill_first" or candidate.chunk_tokens is None:
        return "prompts first"
    if candidate.policy == "chunked":
        return f"prompts in chunks of {candidate.chunk_tokens:,} tokens"
    return f"mixed steps of up to {candidate.chunk_tokens:,} tokens"


def policy_means(candidate: GenerationCandidate) -> str:
    """Return what the policy does, for a reader who does not know its name."""
    if candidate.policy == "prefill_first" or candidate.chunk_tokens is None:
        return "a waiting prompt is read whole before anybody gets another token"
    if candidate.policy == "chunked":
        return "a part of a prompt is read, then every running request gets its next token"
    return "one step gives every running request its next token and reads prompts up to the budget"


def one_replica(candidate: GenerationCandidate) -> str:
    """Describe one replica of a candidate."""
    return (
        f"{candidate.variant} on {candidate.hardware}, {units.counted(candidate.intra_op_num_threads, 'thread')}, up to "
        f"{units.counted(candidate.max_running_requests, 'running request')}, {policy(candidate)}"
    )


def configuration(candidate: GenerationCandidate) -> str:
    """Describe a candidate, its replicas last."""
    return f"{one_replica(candidate)}, {units.counted(candidate.replicas, 'replica')}"


def subject(advice: GenerationAdvice) -> GenerationPrediction:
    """Return the prediction that the report is about: what is recommended, most likely or the nearest miss, or what runs today."""
    return advice.recommended or advice.likely or advice.nearest_miss or advice.baseline


def engine_of(advice: GenerationAdvice, candidate: GenerationCandidate) -> str:
    """Return the name of what runs a candidate: the rows of variants are those of one machine, and only one engine has mixed steps."""
    usual: Engine = "openvino" if candidate.policy == "mixed" else "onnxruntime"
    engine = next((it.engine for it in advice.variants if it.id == candidate.variant), usual)
    return ENGINE_NAMES[engine]


def kept(prediction: GenerationPrediction | DeploymentPrediction) -> str:
    """Return whether the targets are kept, as far as that is shown."""
    return "kept" if prediction.meets_slo else "missed" if prediction.misses_slo else "not shown to be kept"


def generation_columns(advice: GenerationAdvice) -> dict[str, GenerationPrediction]:
    """Return the predictions to compare: that of the report's subject and today's, or one if they are the same."""
    shown, is_given = subject(advice), today_is_given(advice)
    ours = "Recommended" if advice.recommended else "Most likely" if advice.likely else "Nearest miss"
    replicas = units.counted(advice.baseline.candidate.replicas, "replica")
    today = "Today" if is_given else f"Today's configuration, {replicas} estimated"
    if shown.candidate != advice.baseline.candidate:
        return {ours: shown, today: advice.baseline}
    if shown is advice.baseline and advice.recommended is None:
        return {today: shown}
    return {f"Today and {ours.lower()}" if is_given else f"{ours}, in today's configuration": shown}


def roles(advice: GenerationAdvice) -> Iterator[tuple[str, GenerationPrediction]]:
    """Yield every configuration that the report names with the part that it plays, "" for one that was only searched."""
    for role, prediction in (
        ("today" if today_is_given(advice) else "today's configuration, as many as it would need", advice.baseline),
        ("recommended", advice.recommended),
        ("most likely", advice.likely),
        ("nearest miss", advice.nearest_miss),
        *(("tie", tie) for tie in advice.ties),
        (UNPROVEN, advice.unproven),
        *(("", other) for other in advice.others),
    ):
        if prediction is not None:
            yield role, prediction


def named(parts: Iterable[tuple[str, P]], describe: Callable[[P], str]) -> list[tuple[str, tuple[str, ...], P]]:
    """Return what plays a part once, by its words, with all the parts that it plays, the cheapest first."""
    found: dict[str, tuple[list[str], P]] = {}
    for role, prediction in parts:
        played, _ = found.setdefault(describe(prediction), ([], prediction))
        played += [role] if role and role not in played else []
    rows = sorted(found.items(), key=lambda entry: entry[1][1].cost_usd_per_hour.value)
    return [(words, tuple(played), prediction) for words, (played, prediction) in rows]


def layers(model: DecoderFacts) -> str:
    """Return how many layers a model has, those of an encoder by themselves: "6 layers of an encoder, 6 layers of a decoder"."""
    own, encoder = units.counted(model.layers, "layer"), model.encoder
    if encoder is None:
        return own
    before = "an encoder" if encoder.layers is None else f"{units.counted(encoder.layers, 'layer')} of an encoder"
    return f"{before}, {own} of a decoder"


def room_of_a_request(model: DecoderFacts) -> str:
    """Return how long a request may be."""
    encoder = model.encoder
    if encoder is None:
        return f"{model.context_tokens:,} tokens, prompt and answer together"
    inputs = {
        "tokens": f"inputs of up to {encoder.input_tokens:,} tokens",
        "frames": f"inputs of {encoder.input_tokens:,} positions, however short the sound",
    }[encoder.reads]
    return f"{inputs}, and answers of up to {units.counted(encoder.output_tokens, 'token')}"


def cache_of_a_token(model: DecoderFacts) -> str:
    """Return what a token takes in the cache."""
    encoder = model.encoder
    if encoder is None:
        return units.size(model.kv_bytes_per_token)
    by_input, by_output = (units.size(it) for it in (encoder.kv_bytes_per_input_token, encoder.kv_bytes_per_output_token))
    return (
        f"{by_input}, of an input or of an answer"
        if by_input == by_output
        else f"{by_input} of an input, {by_output} of an answer"
    )
