"""The rows of the tables of advice on a generative model: each cell in words, the same in every format."""

from collections.abc import Callable, Mapping

from advisor import units
from advisor.schema.generation import (
    GenerationAdvice,
    GenerationPrediction,
    GenerationVariantSummary,
    Replay,
    Speculation,
    TextQuality,
    TokenTimes,
)
from advisor.schema.language import DeploymentPrediction, LanguageAdvice
from advisor.schema.record import Estimate, Record
from advisor.schema.workload import TokenSlo
from advisor.tell.generation.naming import (
    BINDS,
    NO_SECOND_TOKEN,
    TIMES,
    Time,
    at_slo,
    cache_of_a_token,
    configuration,
    engine_of,
    generation_columns,
    layers,
    named,
    of_time,
    policy,
    roles,
    room_of_a_request,
    subject,
    targets,
)
from advisor.tell.generation.words import TEXTS, kv_bytes_per_token
from advisor.tell.options import today_is_given
from advisor.tell.words.figures import Figure, Format, Part, Row, figure, known, rows_of, source_of

NOT_TRAINED = "not trained"
Words = Callable[[GenerationPrediction], str]
QUANTILES = {0.5: "p50", 0.9: "p90", 0.99: "p99"}
GIVEN_AS = {
    "checkpoint": "a checkpoint",
    "onnxruntime-genai": "a folder of onnxruntime-genai",
    "export": "an ONNX export with its past",
}


class VariantRow(Record, frozen=True, kw_only=True):
    """One variant: steps beside quality."""

    id: str
    title: str
    size: str
    prefill: Figure
    decode: Figure
    most: Figure
    quality: Figure
    quality_of: tuple[str, ...]  # parts of a list
    agreement: Figure
    admitted: bool
    admitted_because: str


class WayRow(Record, frozen=True, kw_only=True):
    """One configuration among those that the report names."""

    role: str
    variant: str
    configuration: str
    times: tuple[Figure, ...]  # of each promise, at its quantile
    cost: Figure
    input_cost: Figure
    output_cost: Figure
    quality: Figure
    keeps: Part


# --- what is run and what is predicted of it -------------------------------------------------------------------------------


def generation_setting_rows(advice: GenerationAdvice) -> tuple[Row, ...]:
    """Return the settings of the configuration that the report is about."""
    shown = subject(advice).candidate
    each = kv_bytes_per_token(advice, shown.variant)
    rows: dict[str, Part] = {
        "Variant": shown.variant,
        "Engine": engine_of(advice, shown),
        "Threads": str(shown.intra_op_num_threads),
        "Running requests": f"at most {shown.max_running_requests:,}",
        "Prompts": policy(shown),
        "KV cache": f"{shown.kv_tokens:,} tokens, {units.size(shown.kv_tokens * each)}",
        "Replicas": str(shown.replicas),
        "Hardware": shown.hardware,
    }
    return rows_of(rows)


def generation_origin_rows(advice: GenerationAdvice) -> tuple[Row, ...]:
    """Return what is served, and how that differs from today."""
    shown = subject(advice)
    made = next((it for it in advice.variants if it.id == shown.candidate.variant), None)
    rows: dict[str, Part] = {}
    if made is not None:
        rows["Form"] = f"{made.title}, {units.size(made.bytes)}, {units.size(made.weight_bytes)} of weights"
    rows["Made from"] = f"{GIVEN_AS[advice.model.given_as]}, sha256 {advice.model.sha256[:12]}"
    same = "no difference" if today_is_given(advice) else "no difference but for the replicas, which are not given"
    rows["Differs from today"] = "; ".join(shown.changes) or same
    return rows_of(rows)


def generation_rows(advice: GenerationAdvice) -> tuple[Row, ...]:
    """Return every predicted figure with its target, a cell for each of the `generation_columns`."""
    shown_times = {name: it.times for name, it in generation_columns(advice).items()}
    rows = [row for time in TIMES for row in time_rows(advice.workload.slo, time, shown_times)]
    slo = advice.workload.slo
    enough = f"at least {units.rate(advice.mean_requests_per_s)}"
    rows += [
        _row(
            advice,
            "Goodput: requests within all targets",
            "goodput_fraction",
            units.proportion,
            f"at least {units.proportion(slo.quantile)}",
        ),
        _row(advice, "Capacity within the targets", "capacity_requests_per_s", units.rate, enough, "not computed"),
        _row(advice, "Utilization", "utilization_fraction", units.percent),
        _times_row(advice, "Output tokens", "output_tokens_per_s"),
        _times_row(advice, "Requests", "requests_per_s"),
        _plain(advice, "Running requests, on average", lambda it: units.number(it.running_requests)),
        _plain(advice, "Waiting requests, on average", lambda it: units.number(it.waiting_requests)),
        _plain(advice, "KV cache in use, at most", lambda it: units.percent(it.kv_use_fraction)),
        _plain(advice, "Preemptions a request", lambda it: units.plain(it.preemptions_per_request)),
        _plain(advice, "Time spent on prompts", lambda it: units.percent(it.prefill_fraction)),
        _plain(advice, "Gives way first", lambda it: BINDS[it.binding]),
        _row(advice, "Cost per hour", "cost_usd_per_hour", units.usd_per_hour),
        _row(advice, "Cost per million requests", "cost_usd_per_million_requests", units.usd),
        _row(advice, "Cost per million input tokens", "cost_usd_per_million_input_tokens", units.usd),
        _row(advice, "Cost per million output tokens", "cost_usd_per_million_output_tokens", units.usd),
        _quality_row(advice),
    ]
    shown = generation_columns(advice).values()
    source = "the upper end of the interval of each target"
    return (*rows, Row(label="Keeps the targets", cells=tuple(keeps(it) for it in shown), source=source))


def time_rows(slo: TokenSlo, time: Time, shown: Mapping[str, TokenTimes]) -> list[Row]:
    """Return a row for each quantile of a time, that of the promise marked with its limit; `shown` is by column."""
    limits = {target.time: target.limit_s for target in targets(slo)}
    at_most = f"at most {units.seconds(limits[time])}" if time in limits else ""
    named = QUANTILES if slo.quantile in QUANTILES else {**QUANTILES, slo.quantile: "slo"}
    rows = []
    for at, field in sorted(named.items()):
        cells = {name: figure(_at(times, time, field), units.seconds, NO_SECOND_TOKEN) for name, times in shown.items()}
        rows.append(
            Row(
                label=f"{time.name} {units.quantile(at)}",
                cells=tuple(cells.values()),
                goal=at_most if at == slo.quantile else "",
                source=source_of(cells),
            )
        )
    return rows


def _at(times: TokenTimes, time: Time, field: str) -> Estimate | None:
    found = of_time(times, time)
    estimate: Estimate | None = None if found is None else getattr(found, field)
    return estimate


def _row(advice: GenerationAdvice, label: str, field: str, format_: Format, goal: str = "", absent: str = "not measured") -> Row:
    cells = {name: figure(getattr(it, field), format_, absent) for name, it in generation_columns(advice).items()}
    return Row(label=label, cells=tuple(cells.values()), goal=goal, source=source_of(cells))


def _times_row(advice: GenerationAdvice, label: str, field: str) -> Row:
    cells = {name: figure(getattr(it.times, field), units.rate) for name, it in generation_columns(advice).items()}
    return Row(label=label, cells=tuple(cells.values()), source=source_of(cells))


def _plain(advice: GenerationAdvice, label: str, words: Words) -> Row:
    return Row(
        label=label, cells=tuple(words(it) for it in generation_columns(advice).values()), source="counted in the simulation"
    )


def _quality_row(advice: GenerationAdvice) -> Row:
    floor = advice.workload.quality
    goal = f"at most {units.percent(floor.max_drop)}" if floor else "no floor set"
    cells = {name: quality_lost(it, advice) for name, it in generation_columns(advice).items()}
    return Row(label="Increase of perplexity", cells=tuple(cells.values()), goal=goal, source=source_of(cells))


def quality_lost(prediction: GenerationPrediction, advice: GenerationAdvice) -> Figure:
    """Return how much higher the perplexity of a prediction is than that of what runs today."""
    absent = "as today" if prediction.candidate.variant == advice.baseline.candidate.variant else "not measured"
    return figure(prediction.quality_drop, units.percent, absent)


def keeps(it: GenerationPrediction | DeploymentPrediction) -> Part:
    """Return whether a configuration keeps its targets, as far as that is shown."""
    return it.meets_slo if it.meets_slo or it.misses_slo else "not shown"


# --- load, memory, variants --------------------------------------------------------------------------------------------------


def load_rows(advice: GenerationAdvice | LanguageAdvice) -> tuple[Row, ...]:
    """Return TTFT and TPOT of one replica by its load."""
    return tuple(
        Row(
            label=units.rate(point.requests_per_s),
            cells=(
                figure(point.ttft_slo_s, units.seconds),
                figure(point.tpot_slo_s, units.seconds, NO_SECOND_TOKEN),
                units.rate(point.output_tokens_per_s),
            ),
        )
        for point in advice.load_curve
    )


def kv_rows(advice: GenerationAdvice | LanguageAdvice) -> tuple[Row, ...]:
    """Return the memory of the cache by running requests."""
    return tuple(Row(label=f"{point.running_requests:,}", cells=(units.size(point.kv_bytes),)) for point in advice.kv_curve)


def generation_variant_rows(advice: GenerationAdvice) -> tuple[VariantRow, ...]:
    """Return every variant, the model as given first."""
    return tuple(
        VariantRow(
            id=it.id,
            title=it.title,
            size=units.size(it.bytes),
            prefill=figure(it.prefill_tokens_per_s, units.rate),
            decode=figure(it.decode_step_s, units.seconds),
            most=figure(it.decode_tokens_per_s, units.rate),
            quality=figure(
                it.quality.perplexity.drop if it.quality else None,
                units.percent,
                "not measured" if _is_trained(it) else NOT_TRAINED,
            ),
            quality_of=_quality_of(it.quality),
            agreement=figure(it.quality.greedy_agreement if it.quality else None, units.proportion),
            admitted=it.admitted,
            admitted_because=it.admitted_because,
        )
        for it in advice.variants
    )


def _is_trained(it: GenerationVariantSummary) -> bool:
    return it.student is None or it.student.is_trained


def _quality_of(it: TextQuality | None) -> tuple[str, ...]:
    if it is None:
        return ()
    before, after = it.perplexity.baseline, it.perplexity.value
    return (
        f"perplexity {units.number(after)}, as given {units.number(before)}",
        f"{units.number(it.bits_per_byte)} bits per byte, as given {units.number(it.baseline_bits_per_byte)}",
        f"{it.tokens:,} tokens",
    )


def speculation_rows(advice: GenerationAdvice) -> tuple[Row, ...]:
    """Return what was measured of speculation, by text and by running requests."""
    return tuple(_speculation_row(it, entry) for it in advice.variants for entry in it.speculation)


def _speculation_row(it: GenerationVariantSummary, entry: Speculation) -> Row:
    return Row(
        label=f"{it.id}, {entry.draft or 'prompt lookup'}: {TEXTS[entry.text][:1].lower()}{TEXTS[entry.text][1:]}",
        cells=(
            f"{entry.running_requests:,}",
            f"{entry.proposed_tokens:,}",
            figure(entry.acceptance, units.percent),
            figure(entry.tokens_per_step, units.number),
            figure(entry.tpot_off_s, units.seconds),
            figure(entry.tpot_on_s, units.seconds),
            figure(entry.speedup, units.ratio),
        ),
    )


# --- replays, alternatives, model --------------------------------------------------------------------------------------------


def replay_rows(replay: Replay) -> tuple[Row, ...]:
    """Return what was measured of requests that were really served, what was predicted, and what is expected at the speed of its steps."""
    parts = (replay.measured, replay.before, replay.expected)
    rows = [
        Row(
            label=f"{time.name} {name}",
            cells=tuple(figure(None if times is None else _at(times, time, name), units.seconds, "not known") for times in parts),
        )
        for time in TIMES
        if of_time(replay.measured, time) is not None
        for name in QUANTILES.values()
    ]
    for label, field in (("Output tokens", "output_tokens_per_s"), ("Requests", "requests_per_s")):
        estimates = [None if times is None else getattr(times, field) for times in parts]
        rows.append(Row(label=label, cells=tuple(figure(it, units.rate, "not known") for it in estimates)))
    return tuple(rows)


def replay_facts(replay: Replay) -> tuple[Row, ...]:
    """Return what else a replay showed."""
    rows: dict[str, Part] = {
        "Keeps the targets": replay.meets_slo,
        "Intervals that overlap with what was predicted": _overlap(replay.covered_before)
        if replay.covered_before
        else "not known",
        "Intervals that overlap at its own speed": _overlap(replay.covered),
        "Tokens equal those of the request alone": "not compared" if replay.tokens_equal is None else replay.tokens_equal,
        "Reading prompts, relative to the profile": figure(replay.step_ratio_prefill, units.ratio),
        "Generating, relative to the profile": figure(replay.step_ratio_decode, units.ratio),
        "Waited for a core": known(replay.run_delay_fraction, units.percent),
    }
    return rows_of(rows)


def _overlap(covered: dict[str, bool]) -> str:
    apart = [name.replace("_", " ") for name, is_covered in covered.items() if not is_covered]
    return f"{len(covered) - len(apart)} of {len(covered)}" + (f", not {', '.join(apart)}" if apart else "")


def way_rows(advice: GenerationAdvice) -> tuple[WayRow, ...]:
    """Return every configuration that the report names, once, the cheapest first."""
    return tuple(
        WayRow(
            role=", ".join(parts),
            variant=it.candidate.variant,
            configuration=words,
            times=tuple(
                figure(at_slo(it.times, target.time), units.seconds, NO_SECOND_TOKEN) for target in targets(advice.workload.slo)
            ),
            cost=figure(it.cost_usd_per_hour, units.usd_per_hour),
            input_cost=figure(it.cost_usd_per_million_input_tokens, units.usd),
            output_cost=figure(it.cost_usd_per_million_output_tokens, units.usd),
            quality=quality_lost(it, advice),
            keeps=keeps(it),
        )
        for words, parts, it in named(roles(advice), lambda it: configuration(it.candidate))
    )


def way_columns(advice: GenerationAdvice) -> tuple[str, ...]:
    """Return the heads of the columns of `way_rows`."""
    at = units.quantile(advice.workload.slo.quantile)
    names = tuple(f"{target.time.name} {at}" for target in targets(advice.workload.slo))
    return ("Configuration", *names, "Cost per hour", "Per million in", "Per million out", "Perplexity", "Keeps targets")


def decoder_rows(advice: GenerationAdvice) -> tuple[Row, ...]:
    """Return the facts of the model."""
    model = advice.model
    window = "all of it" if model.window_tokens is None else f"{model.window_tokens:,} tokens"
    in_layers = f"{model.layers:,}" if model.encoder is None else layers(model)
    rows: dict[str, Part] = {
        "Given as": f"{GIVEN_AS[model.given_as]}, sha256 {model.sha256[:12]}",
        "Parameters": units.count(model.parameters),
        "Layers": f"{in_layers}, hidden size {model.hidden_size:,}, vocabulary {model.vocabulary:,}",
        "Attention": f"{model.attention_heads} heads of {model.head_dimension}, {model.kv_heads} of keys and values, over {window}",
        "Context": room_of_a_request(model),
        "KV cache per token": cache_of_a_token(model),
    }
    return rows_of(rows)
