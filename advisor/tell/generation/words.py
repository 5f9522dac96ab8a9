"""The sentences of advice on a generative model: what to do, what it saves, what it risks, and the headings that state an answer."""

from collections.abc import Sequence

from advisor import units
from advisor.schema.generation import ENGINE_NAMES, GenerationAdvice, GenerationPrediction, LookupText, Replay, SpeculationAdvice
from advisor.schema.record import Record
from advisor.tell.generation.naming import (
    BINDS,
    at_slo,
    configuration,
    engine_of,
    joined,
    layers,
    named,
    policy_means,
    roles,
    subject,
    targets,
    targets_in_words,
)
from advisor.tell.generation.students import OF_STUDENTS, of_students
from advisor.tell.options import TIED, today_is_given
from advisor.tell.words.figures import Sentence, figure, unproven_of, written

RISK_FREE = "No risk was found beyond the intervals given below."
SERVED = (
    "Requests were really served, at times fixed beforehand, and times count from the moment each was due. Predicted is the simulation of "
    "these very requests by what was known before. At its own speed is the same with steps as quick as they were meanwhile: what is then "
    "left is queueing, without the minutes in which a machine is quicker or slower. With few requests the p99 is the time of one or two."
)
TIMES = (
    "TTFT is the time to the first token, from arrival. TPOT is the time of each later one, the mean of a request. ITL is that of each "
    "later token by itself. The latency goes on until the last token."
)
COMPARED = (
    "Perplexity is measured on the text of the workload, its increase paired with the model as given; bits per byte do not depend on the "
    "tokenizer. Greedy agreement is the share of places in the text where both expect the same next token. It is a proxy for quality and "
    "never admits a variant."
)
SPLIT = (
    "The cost of an hour is split by the time that is spent: what reads prompts is paid by input tokens, what generates by output tokens, "
    "and idle time is divided in the same proportion."
)
TEXTS: dict[LookupText, str] = {
    "given": "On the text of the workload",
    "copying": "Where answers copy from their prompts",
    "free": "Where answers are free text",
}
IN_SHORT: dict[LookupText, str] = {"given": "the given text", "copying": "copying text", "free": "free text"}
USES = {"on": "on", "off": "off", "not known": "not shown to pay"}


class GenerationWords(Record, frozen=True, kw_only=True):
    """The sentences of a report on a generative model; None and () where there is nothing to report."""

    about: str
    what_to_do: str
    lookup: str | None  # whether to let the engine guess tokens, by looking them up
    draft: str | None  # and by a draft
    what_misses: str | None  # the constraint that nothing keeps
    compared_because: Sentence
    risks: tuple[str, ...]
    run: str
    variant: str  # whose color the charts have
    run_because: str
    predicted: Sentence
    load: str
    times: str
    curve: str | None
    curve_because: str | None
    cost: Sentence
    cost_because: str
    cost_split: str
    cache: str
    cache_because: str
    served: str | None
    served_because: str | None
    replays: tuple[str, ...]  # beside those of the advice
    ties: str | None
    ties_because: str | None
    alternatives: str
    unproven: Sentence | None
    unproven_because: str | None
    variants: str
    variants_because: str
    students: str | None
    students_because: str | None
    speculation: str | None
    speculated: tuple[Sentence, ...]
    model: str
    evidence: str
    exclusions: str | None
    written: str


def generation_words(advice: GenerationAdvice) -> GenerationWords:
    """Return the sentences of the report."""
    shown, unproven = subject(advice), advice.unproven
    reads, generates = (units.percent(part) for part in (shown.prefill_fraction, 1 - shown.prefill_fraction))
    split = f"{reads} of the busy time reads prompts, {generates} generates."
    return GenerationWords(
        about=f"Advice on serving a generative model ({advice.model.architecture}), workload {advice.workload.name}",
        what_to_do=_what_to_do(advice),
        lookup=lookup(advice),
        draft=draft(advice),
        what_misses=(advice.binding_constraint or "no single constraint could be identified")
        if advice.outcome == "infeasible"
        else None,
        compared_because=_compared(advice),
        risks=advice.risks or (RISK_FREE,),
        run=_run(advice),
        variant=shown.candidate.variant,
        run_because=f"Who comes first: {policy_means(shown.candidate)}.",
        predicted=_predicted(advice),
        load=f"At {units.rate(advice.mean_requests_per_s)} on average; 90 % intervals in parentheses.",
        times=TIMES,
        curve=_curve(advice) if advice.load_curve else None,
        curve_because=_curve_because(shown) if advice.load_curve else None,
        cost=_cost(shown),
        cost_because=SPLIT,
        cost_split=split,
        cache=_cache(advice),
        cache_because=_cache_because(shown),
        served=_served(advice) if advice.replays else None,
        served_because=SERVED if advice.replays else None,
        replays=tuple(_replay(replay) for replay in advice.replays),
        ties=f"{units.counted(len(advice.ties), 'other configuration')} cannot be told apart from it" if advice.ties else None,
        ties_because=TIED.format("times and of what they carry") if advice.ties else None,
        alternatives=_alternatives(advice),
        unproven=unproven_of(unproven.candidate.variant, unproven.cost_usd_per_hour) if unproven else None,
        unproven_because=_unproven_because(unproven) if unproven else None,
        variants=_variants(advice),
        variants_because=COMPARED,
        students=of_students(advice) if advice.students else None,
        students_because=OF_STUDENTS if advice.students else None,
        speculation=_speculation(advice) if advice.speculation else None,
        speculated=tuple(_speculated(entry) for entry in advice.speculation),
        model=f"{advice.model.architecture}: {units.count(advice.model.parameters)} parameters, {layers(advice.model)}",
        evidence=_evidence(advice),
        exclusions=f"{units.counted(len(advice.exclusions), 'option')} not considered" if advice.exclusions else None,
        written=written(advice.advisor_version),
    )


def as_sentences(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return each part as a sentence."""
    return tuple(f"{capitalized(part)}." for part in parts)


def capitalized(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


# --- the decision ----------------------------------------------------------------------------------------------------------


def _what_to_do(advice: GenerationAdvice) -> str:
    if advice.outcome == "change" and advice.recommended is not None:
        return f"Serve {configuration(advice.recommended.candidate)}."
    if advice.outcome == "keep" and advice.recommended is not None:
        same = configuration(advice.recommended.candidate)
        return f"Change nothing. Today: {same}." if today_is_given(advice) else f"Keep today's configuration: {same}."
    if advice.outcome == "inconclusive":
        likely = f"most likely, {configuration(advice.likely.candidate)}" if advice.likely else None
        return f"Nothing to approve yet: {likely or 'most likely, nothing keeps the targets'}."
    return f"Nothing to approve: no configuration that was searched keeps {targets_in_words(advice.workload.slo)}."


def _compared(advice: GenerationAdvice) -> Sentence:
    """Return what explains the cost where it is not compared with today's, or stays; nothing where the difference speaks for itself."""
    if advice.recommended is None or advice.outcome == "inconclusive":
        return ()
    if not today_is_given(advice):
        return _one_replica(advice)
    if advice.outcome != "keep":
        return ()
    return (
        "No candidate that keeps the targets and the quality floor is cheap enough, against today's ",
        figure(advice.baseline.cost_usd_per_hour, units.usd_per_hour),
        ", to be worth it.",
    )


def _one_replica(advice: GenerationAdvice) -> Sentence:
    """Return what one replica carries beside one of today's configuration: today's number is not known."""
    each = advice.one_replica
    if each is None:
        return ()
    ours, theirs = (figure(it, units.rate) for it in (each.recommended_requests_per_s, each.baseline_requests_per_s))
    return ("Within the targets, one replica carries ", ours, "; one of today's configuration ", theirs, ".")


def _run(advice: GenerationAdvice) -> str:
    shown = subject(advice).candidate
    verb = {"change": "Run", "keep": "Keep running", "inconclusive": "Most likely: run" if advice.likely else "Today runs"}.get(
        advice.outcome, "The nearest miss runs" if advice.nearest_miss else "Today runs"
    )
    threads = units.counted(shown.intra_op_num_threads, "thread")
    most = units.counted(shown.max_running_requests, "running request")
    return f"{verb} {shown.variant} on {engine_of(advice, shown)} with {threads} and up to {most}"


def _predicted(advice: GenerationAdvice) -> Sentence:
    shown, slo = subject(advice), advice.workload.slo
    whose = (
        "" if advice.recommended else "Most likely: " if advice.likely else "Nearest miss: " if advice.nearest_miss else "Today: "
    )
    parts: list[Sentence] = []
    for target in targets(slo):
        estimate = at_slo(shown.times, target.time)
        limit = f", target {units.seconds(target.limit_s)}"
        name = f"{target.time.name} {units.quantile(slo.quantile)} "
        parts.append((name, figure(estimate, units.seconds, "not predicted"), limit))
    return (whose, *(word for number, part in enumerate(parts) for word in (("; ",) if number else ()) + part))


# --- load, cost, memory ------------------------------------------------------------------------------------------------------


def _curve(advice: GenerationAdvice) -> str:
    first, last = advice.load_curve[0].requests_per_s, advice.load_curve[-1].requests_per_s
    return f"TTFT and TPOT against load: one replica at {units.ends(first, last, units.rate)}"


def _curve_because(shown: GenerationPrediction) -> str:
    return f"When traffic grows, {BINDS[shown.binding]} gives way first."


def _cost(shown: GenerationPrediction) -> Sentence:
    read, made = shown.cost_usd_per_million_input_tokens, shown.cost_usd_per_million_output_tokens
    return ("A million input tokens cost ", figure(read, units.usd), ", a million output tokens ", figure(made, units.usd))


def _cache(advice: GenerationAdvice) -> str:
    shown = subject(advice).candidate
    each = kv_bytes_per_token(advice, shown.variant)
    return f"The KV cache holds {shown.kv_tokens:,} tokens in {units.size(shown.kv_tokens * each)}, {units.size(each)} each"


def _cache_because(shown: GenerationPrediction) -> str:
    lost = f"; {units.number(shown.preemptions_per_request)} preemptions a request" if shown.preemptions_per_request else ""
    return (
        f"At most {units.percent(shown.kv_use_fraction)} of it is in use, with {units.number(shown.running_requests)} running and "
        f"{units.number(shown.waiting_requests)} waiting requests on average{lost}."
    )


def kv_bytes_per_token(advice: GenerationAdvice, variant: str) -> int:
    """Return what a token takes in the cache of a variant."""
    return next((it.kv_bytes_per_token for it in advice.variants if it.id == variant), advice.model.kv_bytes_per_token)


# --- replays, alternatives ---------------------------------------------------------------------------------------------------


def _served(advice: GenerationAdvice) -> str:
    mine = [replay for replay in advice.replays if replay.candidate == subject(advice).candidate]
    if not mine:
        return "Other configurations were served for real, not this one"
    return f"Served for real, it {'kept' if mine[-1].meets_slo else 'missed'} the targets"


def _replay(replay: Replay) -> str:
    rate = "" if replay.offered_requests_per_s is None else f" at {units.rate(replay.offered_requests_per_s)}"
    clock = "processor time" if replay.clock == "cpu" else "the clock on the wall"
    return (
        f"{configuration(replay.candidate)}: {replay.requests:,} requests{rate} to one replica on {ENGINE_NAMES[replay.engine]}, "
        f"{units.percent(replay.load_fraction)} of its capacity, for {units.seconds(replay.duration_s)} of {clock}."
    )


def _alternatives(advice: GenerationAdvice) -> str:
    if advice.outcome == "infeasible" and not advice.others:
        return f"No configuration that was searched keeps {targets_in_words(advice.workload.slo)}, at any cost"
    compared = named(roles(advice), lambda it: configuration(it.candidate))
    if len(compared) > 1:
        return f"{units.counted(len(compared), 'configuration')} compared"
    return "No alternative was found"


def _unproven_because(unproven: GenerationPrediction) -> str:
    return (
        f"{configuration(unproven.candidate)}. To have it considered, add a text (quality: {{metric: perplexity, data: text.txt}}) and the "
        "increase that you accept (quality.max_drop) to the workload file, and profile again."
    )


def _variants(advice: GenerationAdvice) -> str:
    admitted = sum(it.admitted for it in advice.variants)
    return f"{admitted} of {units.counted(len(advice.variants), 'variant')} may be served"


# --- speculation, evidence ---------------------------------------------------------------------------------------------------


def lookup(advice: GenerationAdvice) -> str | None:
    """Return in short whether to let the engine look tokens up, None where that was not tried."""
    return _in_short(advice, [entry for entry in advice.speculation if entry.draft is None])


def draft(advice: GenerationAdvice) -> str | None:
    """Return in short whether to let a draft propose tokens, None where that was not tried."""
    every = [entry for entry in advice.speculation if entry.draft is not None]
    said = _in_short(advice, every)
    return None if said is None else f"{every[0].draft}: {said}"


def _in_short(advice: GenerationAdvice, tried: Sequence[SpeculationAdvice]) -> str | None:
    """Return what was advised on one way to guess tokens, of the advised variant where it was tried with that, else of the first."""
    if not tried:
        return None
    advised = subject(advice).candidate.variant
    ours = [entry for entry in tried if entry.variant == advised]
    listed = ours or [entry for entry in tried if entry.variant == tried[0].variant]
    first = listed[0]
    whose = "" if ours else f" ({first.variant} on {ENGINE_NAMES[first.engine]}, in place of {advised})"
    return "; ".join((*map(_lookup_of, listed), *_at_load(listed))) + whose


def _lookup_of(entry: SpeculationAdvice) -> str:
    text, upto, most = IN_SHORT[entry.text], entry.advised_up_to_running_requests, entry.measured_at[-1]
    if upto is None:
        tried = joined([f"{load:,}" for load in entry.measured_at])
        return f"not shown to pay for {text} at {tried} running {'request' if entry.measured_at == (1,) else 'requests'}"
    if upto < most:
        return f"on for {text} up to {units.number(upto)} running requests, not at {most:,}"
    return f"on for {text} at {units.counted(most, 'running request')}, the most that was tried"


def _at_load(listed: list[SpeculationAdvice]) -> tuple[str, ...]:
    """Return what to use at as many requests as the advised configuration runs, one sentence or none."""
    running = listed[0].running_requests
    if running is None:
        return ()
    by_use = ((word, [IN_SHORT[it.text] for it in listed if it.use == use]) for use, word in USES.items())
    said = ", ".join(f"{word} for {joined(texts)}" for word, texts in by_use if texts)
    return (f"at the {units.number(running)} that run here on average: {said}",)


def _speculation(advice: GenerationAdvice) -> str:
    ways = dict.fromkeys(entry.draft for entry in advice.speculation)
    return "; ".join(_of_way(advice, way) for way in ways)


def _of_way(advice: GenerationAdvice, way: str | None) -> str:
    """Return on how much text one way to guess tokens pays; None: by looking them up."""
    tried = [entry for entry in advice.speculation if entry.draft == way]
    kinds = {entry.text for entry in tried}
    pays = {entry.text for entry in tried if entry.advised_up_to_running_requests is not None}
    name = "Prompt lookup" if way is None else f"The draft {way}"
    if not pays:
        return f"{name} is not shown to pay at any load that was measured"
    return f"{name} pays on {len(pays)} of {units.counted(len(kinds), 'kind')} of text, while few requests run"


def _speculated(entry: SpeculationAdvice) -> Sentence:
    upto = entry.advised_up_to_running_requests
    when = "not advised at any load" if upto is None else f"advised up to {units.number(upto)} running requests"
    alone: Sentence = ()
    if entry.speedup_at_one is not None:
        alone = ("; a request alone gets ", figure(entry.speedup_at_one, units.ratio), " the speed")
    by = "" if entry.draft is None else f", with the draft {entry.draft}"
    return (f"{TEXTS[entry.text]}, on {ENGINE_NAMES[entry.engine]}{by}: {when}", *alone, f": {entry.because}")


def _evidence(advice: GenerationAdvice) -> str:
    samples = units.counted(sum(site.samples for site in advice.sites), "step")
    took = units.seconds(sum(site.measuring_s for site in advice.sites))
    return f"{samples}, measured for {took} on {' and on '.join(site.machine.cpu for site in advice.sites)}"
