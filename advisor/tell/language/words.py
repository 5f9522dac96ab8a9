"""The sentences of advice on a language model elsewhere: what to do, what it costs and risks, and the headings that state an answer."""

from advisor import units
from advisor.schema.language import Accepting, ApiAlternative, DeploymentPrediction, LanguageAdvice, SpeculationByLoad
from advisor.schema.record import Record
from advisor.tell.generation.naming import BINDS, at_slo, named, targets, targets_in_words
from advisor.tell.generation.words import RISK_FREE, SPLIT, TIMES, as_sentences, capitalized
from advisor.tell.language.naming import (
    GROUNDS,
    api_compared,
    deployment,
    device_name,
    draft,
    in_short,
    is_the_same,
    precisions,
    roles,
    subject,
)
from advisor.tell.options import TIED
from advisor.tell.words.figures import Figure, Sentence, figure, written

NOT_PREDICTED = "nothing that was asked for can hold the model and a request, so nothing was simulated"
PASTE = (
    "These are the arguments of vLLM for one replica. Give all replicas the same, behind a load balancer. "
    "The command advisor export advice.json --to vllm -o vllm writes them as a script."
)
AGAINST = (
    "The fleet is paid by the hour, busy or not, and the API by the token: the same traffic is priced at both. From the break-even on the "
    "fleet is cheaper however much more comes; below it that depends on how full its replicas are. Quality is not compared: it is another "
    "model unless its name is the same."
)
MEASURE = (
    "Nobody measured what such a precision loses of this model on your data. Measure it, then accept it by name: quality: {accept: [fp8]} "
    "in the workload file."
)
DRAFTING = (
    "A draft proposes tokens, and one step verifies them. With few requests running a step has room for that; with many it takes as much "
    "longer as there are tokens in it, except where experts are read anyway."
)
GROUND = "How far step times may be off is known from published measurements of models that the constants were not fitted on."


class LanguageWords(Record, frozen=True, kw_only=True):
    """The sentences of a report on a language model elsewhere; None and () where there is nothing to report."""

    about: str
    what_to_do: str
    what_misses: str | None  # the constraint that nothing keeps
    costs: Sentence
    costs_because: Sentence
    risks: tuple[str, ...]
    run: str | None
    run_because: str | None
    device: str | None  # whose color the charts have
    paste: str | None
    paste_because: str | None
    predicted: Sentence | None
    load: str
    times: str
    next_best: Sentence | None
    next_best_because: Sentence | None
    apis: Sentence | None
    apis_because: str | None
    accepting: Sentence | None
    accepting_because: str | None
    speculation: str | None
    speculation_because: str | None
    speculated: tuple[str, ...]
    curve: str | None
    curve_because: str | None
    cache: str | None
    cache_because: str | None
    cost_split: str | None
    ties: str | None
    ties_because: str | None
    alternatives: str
    model: str
    evidence: str
    exclusions: str | None
    written: str


def language_words(advice: LanguageAdvice) -> LanguageWords:
    """Return the sentences of the report."""
    shown = subject(advice)
    reads, generates = (
        (units.percent(part) for part in (shown.prefill_fraction, 1 - shown.prefill_fraction)) if shown else ("", "")
    )
    model = advice.model
    return LanguageWords(
        about=f"Advice on serving {model.name} ({model.architecture}) elsewhere, workload {advice.workload.name}",
        what_to_do=_what_to_do(advice),
        what_misses=(advice.binding_constraint or "no single constraint could be identified")
        if advice.outcome == "infeasible"
        else None,
        costs=_costs(advice),
        costs_because=_costs_because(shown) if shown else as_sentences((NOT_PREDICTED,)),
        risks=advice.risks or (RISK_FREE,),
        run=_run(advice, shown) if shown else None,
        run_because=f"Step times stand on {GROUNDS[shown.ground]}. {GROUND}" if shown else None,
        device=shown.deployment.device if shown else None,
        paste="What the engine is started with" if advice.engine_arguments else None,
        paste_because=PASTE if advice.engine_arguments else None,
        predicted=_predicted(advice, shown) if shown else None,
        load=f"At {units.rate(advice.mean_requests_per_s)} on average; 90 % intervals in parentheses.",
        times=TIMES,
        next_best=_next_best(advice),
        next_best_because=_next_best_because(advice),
        apis=_apis(advice),
        apis_because=AGAINST if advice.apis else None,
        accepting=_accepting(advice.accepting) if advice.accepting else None,
        accepting_because=MEASURE if advice.accepting else None,
        speculation=_speculation(advice) if advice.speculation else None,
        speculation_because=DRAFTING if advice.speculation else None,
        speculated=tuple(_speculated(entry) for entry in advice.speculation),
        curve=_curve(advice) if advice.load_curve else None,
        curve_because=f"When traffic grows, {BINDS[shown.binding]} gives way first." if advice.load_curve and shown else None,
        cache=_cache(shown) if shown else None,
        cache_because=_cache_because(shown) if shown else None,
        cost_split=f"{reads} of the busy time reads prompts, {generates} generates. {SPLIT}" if shown else None,
        ties=f"{units.counted(len(advice.ties), 'other deployment')} cannot be told apart from it" if advice.ties else None,
        ties_because=TIED.format("times") if advice.ties else None,
        alternatives=_alternatives(advice),
        model=_model(advice),
        evidence=_evidence(advice),
        exclusions=f"{units.counted(len(advice.exclusions), 'option')} not considered" if advice.exclusions else None,
        written=written(advice.advisor_version),
    )


# --- the decision --------------------------------------------------------------------------------------------------------------


def _what_to_do(advice: LanguageAdvice) -> str:
    if advice.recommended is not None:
        return f"Serve it on {deployment(advice.recommended.deployment)}."
    if advice.outcome == "inconclusive":
        likely = f"most likely, {deployment(advice.likely.deployment)}" if advice.likely else None
        return f"Nothing to approve yet: {likely or 'most likely, nothing keeps the targets'}."
    return f"Nothing to approve: nothing that was searched keeps {targets_in_words(advice.workload.slo)}."


def _costs(advice: LanguageAdvice) -> Sentence:
    shown = subject(advice)
    if shown is None:
        return ("Not known",)
    cost = figure(shown.cost_usd_per_month, units.usd_per_month)
    return (cost,) if advice.recommended is not None else ("Most likely " if advice.likely else "The nearest miss: ", cost)


def _costs_because(shown: DeploymentPrediction) -> Sentence:
    return (
        "A million input tokens cost ",
        figure(shown.cost_usd_per_million_input_tokens, units.usd),
        ", a million output tokens ",
        figure(shown.cost_usd_per_million_output_tokens, units.usd),
        ", a request ",
        figure(shown.cost_usd_per_request, units.usd),
        ".",
    )


def _run(advice: LanguageAdvice, shown: DeploymentPrediction) -> str:
    verb = "Run" if advice.recommended else "Most likely: run" if advice.likely else "The nearest miss runs"
    it = shown.deployment
    return (
        f"{verb} {units.counted(it.replicas, 'replica')} on {it.tensor_parallel} × {device_name(advice, it.device)} each, "
        f"{precisions(it.weights, it.kv)}"
    )


def _predicted(advice: LanguageAdvice, shown: DeploymentPrediction) -> Sentence:
    slo = advice.workload.slo
    whose = "" if advice.recommended else "Most likely: " if advice.likely else "Nearest miss: "
    parts: list[str | Figure | bool] = [whose]
    for target in targets(slo):
        parts += ["; "] if len(parts) > 1 else []
        parts += [
            f"{target.time.name} {units.quantile(slo.quantile)} ",
            figure(at_slo(shown.times, target.time), units.seconds, "not predicted"),
            f", target {units.seconds(target.limit_s)}",
        ]
    return tuple(parts)


def _next_best(advice: LanguageAdvice) -> Sentence | None:
    following = advice.next_best
    if following is None or is_the_same(subject(advice), following):
        return None
    more = advice.next_best_costs_more_fraction
    named = "The next best" if advice.outcome != "inconclusive" else "What keeps the targets with slow steps too"
    what = f"{named}, {in_short(following.deployment)}, costs "
    if more is None:
        return (what, figure(following.cost_usd_per_month, units.usd_per_month))
    return (what, figure(more, units.percent), " more")


def _next_best_because(advice: LanguageAdvice) -> Sentence | None:
    following, shown = advice.next_best, subject(advice)
    if following is None or shown is None or is_the_same(shown, following):
        return None
    return (
        f"{deployment(following.deployment)}: ",
        figure(following.cost_usd_per_month, units.usd_per_month),
        ", instead of ",
        figure(shown.cost_usd_per_month, units.usd_per_month),
        f". Its step times stand on {GROUNDS[following.ground]}.",
    )


# --- what else could be bought, or accepted --------------------------------------------------------------------------------------


def _apis(advice: LanguageAdvice) -> Sentence | None:
    api = api_compared(advice)
    if api is None:
        return None
    return (f"The same traffic at {name_of(api)} costs ", figure(api.usd_per_month, units.usd_per_month), f"; {break_even(api)}")


def break_even(api: ApiAlternative) -> str:
    """Return from which traffic on the fleet is the cheaper of the two."""
    even = api.break_even_requests_per_s
    return (
        "the fleet is not always cheaper at any traffic"
        if even is None
        else f"from {units.rate(even)} on the fleet is always cheaper"
    )


def name_of(api: ApiAlternative) -> str:
    """Return what an API is called."""
    return f"{api.provider} {api.model}"


def _accepting(offers: tuple[Accepting, ...]) -> Sentence:
    best = max(offers, key=lambda offer: offer.saving_usd_per_month.value)
    return (
        f"{capitalized(precisions(best.weights, best.kv))} would save ",
        figure(best.saving_usd_per_month, units.usd_per_month),
        ", after you measured it",
    )


def _speculation(advice: LanguageAdvice) -> str:
    advised = [entry for entry in advice.speculation if entry.pays_at_every_load or entry.advised_up_to_running_requests]
    if not advised:
        return "Speculation does not pay at any load"
    if all(entry.pays_at_every_load for entry in advised):
        return "Speculation pays at every load that was looked at"
    best = max(advised, key=lambda entry: entry.advised_up_to_running_requests or 0.0)
    rate = best.advised_up_to_requests_per_s
    traffic = "" if rate is None else f" ({units.rate(rate)} at one replica)"
    return f"Speculation pays while no more than {units.number(best.advised_up_to_running_requests or 0.0)} requests run{traffic}"


def _speculated(entry: SpeculationByLoad) -> str:
    return f"With {draft(entry.choice)}: {entry.because}."


# --- load, memory ----------------------------------------------------------------------------------------------------------------


def _curve(advice: LanguageAdvice) -> str:
    first, last = advice.load_curve[0].requests_per_s, advice.load_curve[-1].requests_per_s
    return f"TTFT and TPOT against load: one replica at {units.ends(first, last, units.rate)}"


def room_bytes(shown: DeploymentPrediction) -> float:
    """Return what the cache of one replica holds."""
    return shown.deployment.kv_tokens * shown.kv_bytes_per_token


def _cache(shown: DeploymentPrediction) -> str:
    it = shown.deployment
    return (
        f"The KV cache of a replica holds {it.kv_tokens:,} tokens in {units.size(room_bytes(shown))}, "
        f"{units.size(shown.kv_bytes_per_token)} each"
    )


def _cache_because(shown: DeploymentPrediction) -> str:
    lost = f"; {units.number(shown.preemptions_per_request)} preemptions a request" if shown.preemptions_per_request else ""
    return (
        f"Weights take {units.size(shown.weight_bytes_per_device)} of each device. At most {units.percent(shown.kv_use_fraction)} of the "
        f"cache is in use, with {units.number(shown.running_requests)} running requests of a replica on average{lost}."
    )


# --- evidence --------------------------------------------------------------------------------------------------------------------


def _alternatives(advice: LanguageAdvice) -> str:
    if advice.outcome == "infeasible" and not advice.others:
        return f"Nothing that was searched keeps {targets_in_words(advice.workload.slo)}, at any cost"
    compared = named(roles(advice), lambda it: deployment(it.deployment))
    if len(compared) > 1:
        return f"{units.counted(len(compared), 'deployment')} compared, the cheapest of each device among them"
    return "No alternative was found"


def _model(advice: LanguageAdvice) -> str:
    model = advice.model
    active = (
        "" if model.active_parameters == model.parameters else f", {units.count(model.active_parameters)} of them active a token"
    )
    return f"{model.name}: {units.count(model.parameters)} parameters{active}, {units.counted(model.layers, 'layer')}"


def _evidence(advice: LanguageAdvice) -> str:
    devices = ", ".join(device.id for device in advice.devices)
    return f"Nothing was measured here: a configuration, and what is published of {devices}"
