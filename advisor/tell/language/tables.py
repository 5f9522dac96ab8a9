"""The rows of the tables of advice on a language model elsewhere: each cell in words, the same in every format."""

from collections.abc import Callable

from advisor import units
from advisor.schema.catalog import Hardware
from advisor.schema.language import Architecture, DeploymentPrediction, LanguageAdvice
from advisor.schema.record import Record
from advisor.tell.generation.naming import BINDS, NO_SECOND_TOKEN, TIMES, at_slo, named, targets
from advisor.tell.generation.tables import keeps, time_rows
from advisor.tell.language.naming import (
    GROUNDS,
    attention,
    deployment,
    device_name,
    draft,
    feed_forward,
    in_short,
    language_columns,
    precisions,
    roles,
    subject,
)
from advisor.tell.language.words import name_of, room_bytes
from advisor.tell.words.evidence import search_words
from advisor.tell.words.figures import Figure, Format, Part, Row, figure, rows_of, source_of

API_COLUMNS = (
    "API",
    "Million input tokens",
    "Million cached",
    "Million output tokens",
    "Cost per month",
    "The fleet is always cheaper from",
    "Price of",
)
ACCEPTING_COLUMNS = ("Precision", "Served on", "Cost per month", "Saves")
SPECULATION_COLUMNS = ("Draft", "Running requests", "Tokens a step", "Speed-up")


class DeploymentRow(Record, frozen=True, kw_only=True):
    """One deployment among those that the report names."""

    role: str
    device: str
    deployment: str
    ground: str
    times: tuple[Figure, ...]  # of each promise, at its quantile
    cost: Figure
    input_cost: Figure
    output_cost: Figure
    keeps: Part


# --- what is run and what is predicted of it -----------------------------------------------------------------------------------


def language_setting_rows(advice: LanguageAdvice) -> tuple[Row, ...]:
    """Return the settings of the deployment that the report is about, none where there is none."""
    shown = subject(advice)
    if shown is None:
        return ()
    it = shown.deployment
    rows: dict[str, Part] = {
        "Device": device_name(advice, it.device),
        "Devices": f"{it.devices:,}",
        "Replicas": f"{it.replicas:,}",
        "Tensor parallel": f"{it.tensor_parallel:,}",
        "Weights": it.weights,
        "KV cache": f"{it.kv}, {it.kv_tokens:,} tokens, {units.size(room_bytes(shown))}",
        "Running requests": f"at most {it.max_running_requests:,}",
        "Token budget": f"{it.token_budget:,} a step",
        "Speculation": draft(it.speculation),
    }
    return rows_of(rows)


def language_rows(advice: LanguageAdvice) -> tuple[Row, ...]:
    """Return every predicted figure with its target, a cell for each of the `language_columns`."""
    if subject(advice) is None:
        return ()
    slo, columns = advice.workload.slo, language_columns(advice)

    def row(label: str, field: str, format_: Format, goal: str = "", absent: str = "not known") -> Row:
        cells = {name: figure(getattr(it, field), format_, absent) for name, it in columns.items()}
        return Row(label=label, cells=tuple(cells.values()), goal=goal, source=source_of(cells))

    def plain(label: str, words: Callable[[DeploymentPrediction], str], source: str = "counted in the simulation") -> Row:
        return Row(label=label, cells=tuple(words(it) for it in columns.values()), source=source)

    times = {name: it.times for name, it in columns.items()}
    return (
        plain("Deployment", lambda it: in_short(it.deployment), "what is compared"),
        *(entry for time in TIMES for entry in time_rows(slo, time, times)),
        row(
            "Goodput: requests within all targets",
            "goodput_fraction",
            units.proportion,
            f"at least {units.proportion(slo.quantile)}",
        ),
        row(
            "Capacity within the targets",
            "capacity_requests_per_s",
            units.rate,
            f"at least {units.rate(advice.mean_requests_per_s)}",
            "not computed",
        ),
        row("Utilization", "utilization_fraction", units.percent),
        plain("Running requests of a replica, on average", lambda it: units.number(it.running_requests)),
        plain("KV cache in use, at most", lambda it: units.percent(it.kv_use_fraction)),
        plain("Preemptions a request", lambda it: units.plain(it.preemptions_per_request)),
        plain("Time spent on prompts", lambda it: units.percent(it.prefill_fraction)),
        plain("Gives way first", lambda it: BINDS[it.binding]),
        plain("Step times stand on", lambda it: GROUNDS[it.ground], "where seconds of a step come from"),
        plain("Weights on each device", lambda it: units.size(it.weight_bytes_per_device), "the configuration"),
        row("Cost per hour", "cost_usd_per_hour", units.usd_per_hour),
        row("Cost per month", "cost_usd_per_month", units.usd_per_month),
        row("Cost per request", "cost_usd_per_request", units.usd),
        row("Cost per million input tokens", "cost_usd_per_million_input_tokens", units.usd),
        row("Cost per million output tokens", "cost_usd_per_million_output_tokens", units.usd),
        row("Energy per output token", "energy_j_per_output_token", units.joules, absent="the power of the device is not known"),
        Row(
            label="Keeps the targets",
            cells=tuple(keeps(it) for it in columns.values()),
            source="the upper end of the interval of each target",
        ),
    )


# --- what else there is ----------------------------------------------------------------------------------------------------------


def deployment_rows(advice: LanguageAdvice) -> tuple[DeploymentRow, ...]:
    """Return every deployment that the report names, once, the cheapest first."""
    return tuple(
        DeploymentRow(
            role=", ".join(parts),
            device=it.deployment.device,
            deployment=words,
            ground=GROUNDS[it.ground],
            times=tuple(
                figure(at_slo(it.times, target.time), units.seconds, NO_SECOND_TOKEN) for target in targets(advice.workload.slo)
            ),
            cost=figure(it.cost_usd_per_month, units.usd_per_month),
            input_cost=figure(it.cost_usd_per_million_input_tokens, units.usd),
            output_cost=figure(it.cost_usd_per_million_output_tokens, units.usd),
            keeps=keeps(it),
        )
        for words, parts, it in named(roles(advice), lambda it: deployment(it.deployment))
    )


def deployment_columns(advice: LanguageAdvice) -> tuple[str, ...]:
    """Return the heads of the columns of `deployment_rows`."""
    at = units.quantile(advice.workload.slo.quantile)
    names = tuple(f"{target.time.name} {at}" for target in targets(advice.workload.slo))
    return ("Deployment", *names, "Cost per month", "Per million in", "Per million out", "Keeps targets", "Step times stand on")


def api_rows(advice: LanguageAdvice) -> tuple[Row, ...]:
    """Return what the same traffic costs by the token, the cheapest first."""
    return tuple(
        Row(
            label=name_of(api),
            cells=(
                units.usd(api.usd_per_million_input_tokens),
                "not sold" if api.usd_per_million_cached_tokens is None else units.usd(api.usd_per_million_cached_tokens),
                units.usd(api.usd_per_million_output_tokens),
                figure(api.usd_per_month, units.usd_per_month),
                "no traffic" if api.break_even_requests_per_s is None else units.rate(api.break_even_requests_per_s),
                api.date,
            ),
        )
        for api in sorted(advice.apis, key=lambda api: api.usd_per_month.value)
    )


def accepting_rows(advice: LanguageAdvice) -> tuple[Row, ...]:
    """Return what lower precisions would save, the most first."""
    return tuple(
        Row(
            label=precisions(offer.weights, offer.kv),
            cells=(
                in_short(offer.prediction.deployment),
                figure(offer.prediction.cost_usd_per_month, units.usd_per_month),
                figure(offer.saving_usd_per_month, units.usd_per_month),
            ),
        )
        for offer in sorted(advice.accepting, key=lambda offer: -offer.saving_usd_per_month.value)
    )


def draft_rows(advice: LanguageAdvice) -> tuple[Row, ...]:
    """Return what speculation gains by how many requests run."""
    return tuple(
        Row(
            label=draft(entry.choice),
            cells=(f"{running:,}", figure(entry.choice.tokens_per_step, units.number), figure(speedup, units.ratio)),
        )
        for entry in advice.speculation
        for running, speedup in zip(entry.running_requests, entry.speedup, strict=True)
    )


# --- the model and the evidence --------------------------------------------------------------------------------------------------


def architecture_rows(model: Architecture) -> tuple[Row, ...]:
    """Return the facts of the model."""
    rows: dict[str, Part] = {
        "Class": f"{model.architecture}, sha256 {model.sha256[:12]}",
        "Parameters": f"{units.count(model.parameters)}, {units.count(model.active_parameters)} of them active a token",
        "Comes in": model.weights,
        "Layers": f"{model.layers:,}, hidden size {model.hidden_size:,}, vocabulary {model.vocabulary:,}",
        "Attention": "; ".join(map(attention, model.attention)),
        "Feed-forward": "; ".join(map(feed_forward, model.feed_forward)),
        "Context": f"{model.context_tokens:,} tokens, prompt and answer together",
    }
    if model.notes:
        rows["Notes"] = "; ".join(model.notes)
    return rows_of(rows)


def language_evidence_rows(advice: LanguageAdvice) -> tuple[Row, ...]:
    """Return what the figures stand on: the configuration, and the search."""
    path = f"{advice.config_path}, " if advice.config_path else ""
    return rows_of({"Configuration": f"{path}sha256 {advice.model.sha256[:12]}", "Search": search_words(advice.certificate)})


def device_rows(advice: LanguageAdvice) -> tuple[Row, ...]:
    """Return the devices that were searched, each with its sources and their dates."""
    return tuple(Row(label=device.id, cells=(_device(device),)) for device in advice.devices)


def _device(it: Hardware) -> str:
    facts = []
    if it.memory_bytes is not None:
        facts.append(f"{units.size(it.memory_bytes)} of memory")
    if it.memory_bandwidth_bytes_per_s is not None:
        facts.append(f"{units.size(it.memory_bandwidth_bytes_per_s)}/s to it")
    dense = it.peak_flop_per_s.get("bf16", it.peak_flop_per_s.get("fp16"))
    if dense is not None:
        facts.append(f"{units.count(dense)}FLOP/s in 16 bits")
    sources = "; ".join(f"{source.what} ({source.date})" for source in it.sources)
    return f"{', '.join((it.name, *facts))}. {sources}"
