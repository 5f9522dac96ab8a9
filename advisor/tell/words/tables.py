"""The rows of the tables of advice on a service: each cell in words, the same in every format."""

from advisor import units
from advisor.quality_floor import level_format, loss_format
from advisor.schema.advice import Advice, LoadTest, PlaceAnswer, Prediction, VariantSummary
from advisor.schema.catalog import STALE_DAYS
from advisor.schema.profile import Agreement, QualityResult
from advisor.schema.record import Record
from advisor.tell.options import Option, has_cost, options, subject, today_is_given
from advisor.tell.words.advice import NO_AXIS, quantile_of, tail, target_of
from advisor.tell.words.batch_sizes import batch_sizes
from advisor.tell.words.figures import (
    Figure,
    Format,
    Part,
    Row,
    Sentence,
    as_text,
    configuration,
    figure,
    known,
    rows_of,
    source_of,
)

NOT_KNOWN = "not known"
POWER_NOT_KNOWN = "power not known"
NOT_TRAINED = "not trained"


class PlaceRow(Record, frozen=True, kw_only=True):
    """One kind of hardware in the ranking."""

    hardware: str
    machine: str
    variant: str
    configuration: str
    ground: str
    latency: Figure
    latency_source: str
    cost: Figure
    per_million: Figure
    energy: Figure
    price: str
    keeps: Part


class OptionRow(Record, frozen=True, kw_only=True):
    """One configuration among the alternatives."""

    option: Option
    configuration: str
    latency: Figure
    cost: Figure
    per_million: Figure
    quality: Figure
    keeps: Part


class VariantRow(Record, frozen=True, kw_only=True):
    """One variant: speed beside quality."""

    id: str
    title: str
    size: str
    speedup: Figure
    throughput: Figure
    agreement: tuple[str | Figure, ...]  # parts of a list
    quality: Figure
    quality_of: tuple[str, ...]  # parts of a list: where the figure of the quality comes from
    admitted: bool
    admitted_because: str
    kept: Sentence | None  # None: nothing was left in full precision


# --- what is run and what is predicted of it -------------------------------------------------------------------------------


def columns(advice: Advice) -> dict[str, Prediction]:
    """Return the predictions to compare: that of the report's subject and today's, or one if they are the same."""
    shown, is_given = subject(advice), today_is_given(advice)
    ours = "Recommended" if advice.recommended else "Most likely" if advice.likely else "Nearest miss"
    today = (
        "Today"
        if is_given
        else f"Today's configuration, {units.counted(advice.baseline.candidate.replicas, 'replica')} estimated"
    )
    if shown.candidate != advice.baseline.candidate:
        return {ours: shown, today: advice.baseline}
    if shown is advice.baseline and advice.recommended is None:
        return {today: shown}
    return {f"Today and {ours.lower()}" if is_given else f"{ours}, in today's configuration": shown}


def setting_rows(advice: Advice) -> tuple[Row, ...]:
    """Return the settings of the configuration that the report is about."""
    shown = subject(advice).candidate
    delay = units.seconds(shown.max_queue_delay_s) if shown.max_queue_delay_s else "none"
    rows: dict[str, Part] = {
        "Variant": shown.variant,
        "Threads": str(shown.intra_op_num_threads),
        "Instances": str(shown.instances),
        "Max batch size": str(shown.max_batch_size),
        "Max queue delay": delay,
        "Replicas": str(shown.replicas),
        "Hardware": shown.hardware,
    }
    return rows_of(rows)


def origin_rows(advice: Advice) -> tuple[Row, ...]:
    """Return which file is served, and how that differs from today."""
    shown = subject(advice)
    rows: dict[str, Part] = {}
    made = [it for it in advice.variants if it.id == shown.candidate.variant]
    # Hardware that was not measured gets the file of a machine that was.
    for it in [it for it in made if it.hardware == shown.candidate.hardware] or made[:1]:
        rows["File"] = f"{it.path}, {units.size(it.bytes)}, sha256 {it.sha256[:12]}: {it.title}"
    rows["Made from"] = f"{advice.model.name}, sha256 {advice.model.sha256[:12]}"
    if shown.candidate.max_batch_size > 1:
        rows["Batch sizes, simulated"] = batch_sizes(shown)
    same = "no difference" if today_is_given(advice) else "no difference but for the replicas, which are not given"
    rows["Differs from today"] = "; ".join(shown.changes) or same
    return rows_of(rows)


def prediction_rows(advice: Advice) -> tuple[Row, ...]:
    """Return every predicted figure with its target, a cell for each of the `columns`."""
    slo, workload = advice.workload.slo, advice.workload
    shown = columns(advice).values()
    target, name = target_of(advice), quantile_of(advice)
    at_most = f"at most {target}"
    quantiles = {0.5: "latency_p50_s", 0.95: "latency_p95_s", 0.99: "latency_p99_s"}
    rows = [
        _prediction_row(advice, f"{units.quantile(at)} latency", field, units.seconds, at_most if at == slo.quantile else "")
        for at, field in sorted(
            (quantiles if slo.quantile in quantiles else {**quantiles, slo.quantile: "latency_slo_s"}).items()
        )
    ]
    if workload.traffic.diurnal:
        rows.append(_prediction_row(advice, f"{name} in the busiest part", "latency_busiest_s", units.seconds))
    enough = f"at least {units.rate(advice.mean_requests_per_s)}"
    rows += [
        _prediction_row(
            advice,
            f"Goodput: requests within {target}",
            "goodput_fraction",
            units.proportion,
            f"at least {units.proportion(slo.quantile)}",
        ),
        _prediction_row(advice, "Utilization", "utilization_fraction", units.percent),
        _prediction_row(advice, "Capacity within the target", "capacity_requests_per_s", units.rate, enough, "not computed"),
        _prediction_row(advice, "Cost per hour", "cost_usd_per_hour", units.usd_per_hour),
        _prediction_row(advice, "Cost per million requests", "cost_usd_per_million_requests", units.usd),
    ]
    most_joules = workload.energy.max_joules_per_request if workload.energy else None
    joules = f"at most {units.joules(most_joules)}" if most_joules else ""
    sought = (
        ("Cost per month", "cost_usd_per_month", units.usd, "", NOT_KNOWN),
        ("Cost per million tokens", "cost_usd_per_million_tokens", units.usd, "", NOT_KNOWN),
        ("Energy per request", "energy_joules_per_request", units.joules, joules, POWER_NOT_KNOWN),
        ("Carbon per million requests", "carbon_grams_per_million_requests", units.grams, "", NOT_KNOWN),
    )
    rows += [_prediction_row(advice, *row) for row in sought if any(getattr(prediction, row[1]) for prediction in shown)]
    return (*rows, _quality_row(advice), _kept_row(advice))


def _prediction_row(advice: Advice, label: str, field: str, format_: Format, goal: str = "", absent: str = "not measured") -> Row:
    is_tail, is_cost = field in {"latency_p99_s", "latency_slo_s"}, field.startswith("cost_")

    def cell(it: Prediction) -> Figure:
        if is_tail:
            return tail(getattr(it, field), format_, it.utilization_fraction)
        if is_cost and not has_cost(it, advice):
            return Figure(shown="no number is shown to be enough")
        return figure(getattr(it, field), format_, absent)

    cells = {name: cell(it) for name, it in columns(advice).items()}
    return Row(label=label, cells=tuple(cells.values()), goal=goal, source=source_of(cells))


def _quality_row(advice: Advice) -> Row:
    floor = advice.workload.quality
    goal = f"at most {loss_format(floor.metric)(floor.max_drop)}" if floor else "no floor set"
    cells = {name: quality_lost(it, advice) for name, it in columns(advice).items()}
    return Row(label="Quality drop", cells=tuple(cells.values()), goal=goal, source=source_of(cells))


def _kept_row(advice: Advice) -> Row:
    cells = tuple(keeps(it) for it in columns(advice).values())
    source = f"the upper end of the {quantile_of(advice)} interval; servers must keep up all day"
    return Row(label="Keeps the target", cells=cells, source=source)


def keeps(it: Prediction) -> Part:
    """Return whether a configuration keeps the target, as far as that is shown."""
    return it.meets_slo if it.meets_slo or it.misses_slo else "not shown"


def certainty_rows(advice: Advice) -> tuple[Row, ...]:
    """Return the cheapest that keeps the target at either end of the service times, and in the middle."""
    known = advice.certainty
    if known is None:
        return ()
    ends = {"Cheapest if calls are quick": known.quick, "Most likely": known.likely, "Cheapest if calls are slow": known.slow}
    return rows_of(
        {
            label: f"{configuration(end.candidate)}: {units.usd_per_hour(end.usd_per_hour)}" if end else "nothing"
            for label, end in ends.items()
        }
    )


def quality_lost(prediction: Prediction, advice: Advice) -> Figure:
    """Return the quality drop of a prediction from what runs today."""
    absent = "as today" if prediction.candidate.variant == advice.baseline.candidate.variant else "not measured"
    untrained = {name for it in advice.students if not it.student.is_trained for name in it.variants}
    absent = NOT_TRAINED if prediction.candidate.variant in untrained else absent
    return figure(prediction.quality_drop, format_of_loss(advice), absent)


def format_of_loss(advice: Advice) -> Format:
    """Return what prints a loss of the quality that was measured."""
    floor = advice.workload.quality
    metric = floor.metric if floor else next((it.quality.metric for it in advice.variants if it.quality), None)
    return units.points if metric is None else loss_format(metric)


# --- hardware, load tests, alternatives ------------------------------------------------------------------------------------


def place_rows(advice: Advice) -> tuple[PlaceRow, ...]:
    """Return the ranking of the hardware."""
    return tuple(
        PlaceRow(
            hardware=place.hardware,
            machine=f"{place.name}: {place.machine}",
            variant=place.prediction.candidate.variant,
            configuration=configuration(place.prediction.candidate),
            ground=ground(place),
            latency=figure(place.prediction.latency_slo_s, units.seconds),
            latency_source=place.prediction.latency_slo_s.source,
            cost=figure(place.prediction.cost_usd_per_hour, units.usd_per_hour),
            per_million=figure(place.prediction.cost_usd_per_million_requests, units.usd),
            energy=figure(place.prediction.energy_joules_per_request, units.joules, POWER_NOT_KNOWN),
            price=_price(place),
            keeps=keeps(place.prediction),
        )
        for place in advice.places
    )


def ground(place: PlaceAnswer) -> str:
    """Return whether service times were measured on the hardware or projected to it."""
    return "measured" if place.ground == "measured" else "projected"


def _price(place: PlaceAnswer) -> str:
    if place.price_date is None:
        return "price from the workload file"
    return f"price of {place.price_date}" + (f", older than {STALE_DAYS} days" if place.price_is_stale else "")


def load_test_rows(test: LoadTest) -> tuple[Row, ...]:
    """Return what a load test observed, and what was expected."""
    expected, learned = test.expected, test.calibration
    p99 = tail(expected.latency_p99_s, units.seconds, expected.utilization_fraction)
    rows = [
        Row(
            label="p50 latency", cells=(figure(test.latency_p50_s, units.seconds), figure(expected.latency_p50_s, units.seconds))
        ),
        Row(
            label="p95 latency", cells=(figure(test.latency_p95_s, units.seconds), figure(expected.latency_p95_s, units.seconds))
        ),
        Row(label="p99 latency", cells=(figure(test.latency_p99_s, units.seconds), p99)),
        Row(
            label="Throughput",
            cells=(figure(test.throughput_requests_per_s, units.rate), figure(expected.throughput_requests_per_s, units.rate)),
        ),
        Row(
            label="Utilization",
            cells=(units.percent(test.utilization_fraction), figure(expected.utilization_fraction, units.percent)),
        ),
        Row(label="Call time, relative to the profile", cells=(figure(learned.call_ratio, units.ratio), "")),
        Row(label="Server overhead per batch", cells=(figure(learned.per_batch_s, units.seconds), "")),
    ]
    if test.candidate.max_batch_size > 1:
        rows.append(Row(label="Server overhead per request", cells=(figure(learned.per_request_s, units.seconds), "")))
    return (*rows, Row(label="Keeps the target", cells=(test.meets_slo, test.predicted.meets_slo)))


def option_rows(advice: Advice) -> tuple[OptionRow, ...]:
    """Return every configuration that the report compares, the cheapest first."""
    return tuple(
        OptionRow(
            option=option,
            configuration=configuration(option.prediction.candidate),
            latency=figure(option.prediction.latency_slo_s, units.seconds),
            cost=figure(option.prediction.cost_usd_per_hour, units.usd_per_hour),
            per_million=figure(option.prediction.cost_usd_per_million_requests, units.usd),
            quality=quality_lost(option.prediction, advice),
            keeps=keeps(option.prediction),
        )
        for option in options(advice)
    )


def variant_rows(advice: Advice) -> tuple[VariantRow, ...]:
    """Return every variant of every machine, the one that the others there are compared with first."""
    seen: set[str] = set()
    rows = []
    most_items = max((it.quality.items for it in advice.variants if it.quality is not None), default=0)
    for it in advice.variants:
        where = f", on {it.hardware}" if len(advice.sites) > 1 else ""
        rows.append(_variant_row(it, where, "not measured" if it.hardware in seen else "itself", most_items))
        seen.add(it.hardware)
    return tuple(rows)


def _variant_row(it: VariantSummary, where: str, absent: str, most_items: int) -> VariantRow:
    kept: Sentence | None = None
    is_trained = it.student is None or it.student.is_trained
    if it.kept_operators:
        cost = figure(it.kept_cost, units.ratio)
        kept = (
            f"Left in full precision in {it.id}, for ",
            cost,
            f" the time of the fully quantized scheme: {', '.join(it.kept_operators)}.",
        )
    return VariantRow(
        id=it.id,
        title=it.title + where,
        size=units.size(it.bytes),
        speedup=figure(it.speedup, units.ratio, absent),
        throughput=figure(it.throughput_items_per_s, units.rate),
        agreement=_agreement(it.agreement, absent if is_trained else NOT_TRAINED),
        quality=_quality(it.quality) if is_trained else Figure(shown=NOT_TRAINED),
        quality_of=_quality_of(it.quality, most_items),
        admitted=it.admitted,
        admitted_because=it.admitted_because,
        kept=kept,
    )


def _agreement(it: Agreement | None, absent: str) -> tuple[str | Figure, ...]:
    if it is None:
        return (Figure(shown=absent),)
    same = f"same top class {units.proportion(it.top1_agreement)}" if it.top1_agreement is not None else None
    mean, least = (as_text(known(cosine, units.similarity)) for cosine in (it.cosine_mean, it.cosine_min))
    parts = (
        f"cosine {mean}",
        f"lowest {least}",
        f"max difference {units.number(it.max_abs_difference)}",
        same,
        f"{it.items} {it.inputs} {'input' if it.items == 1 else 'inputs'}",
    )
    return tuple(part for part in parts if part is not None)


def _quality(it: QualityResult | None) -> Figure:
    if it is None:
        return Figure(shown="not measured")
    return figure(it.drop, loss_format(it.metric))


def _quality_of(it: QualityResult | None, most_items: int) -> tuple[str, ...]:
    """Return where a quality comes from; what loses nothing, or too much, is judged on the first of the items that others are judged on."""
    if it is None:
        return ()
    level, items = level_format(it.metric), units.counted(it.items, "item")
    return (
        f"{it.metric} {level(it.value)}",
        f"baseline {level(it.baseline)}",
        items if it.items == most_items else f"the first {it.items:,} of {units.counted(most_items, 'item')}",
        f"data {it.data_sha256[:12]}",
    )


def curve_rows(advice: Advice) -> tuple[Row, ...]:
    """Return every measured call: threads, instances, sequence length, batch size and its time."""
    return tuple(
        Row(
            label=curve.variant + (f", on {curve.hardware}" if len(advice.sites) > 1 else ""),
            cells=(
                str(curve.intra_op_num_threads),
                str(curve.instances),
                str(curve.sequence_length or NO_AXIS),
                str(size),
                figure(latency_s, units.seconds),
            ),
        )
        for curve in advice.service_curves
        for size, latency_s in zip(curve.batch_size, curve.latency_s, strict=True)
    )


def fleet_rows(advice: Advice) -> tuple[Row, ...]:
    """Return every fleet plan that was computed, with its cost."""
    plans = advice.fleet.options if advice.fleet else ()
    return tuple(Row(label=plan.name, cells=(units.usd_per_hour(plan.usd_per_hour),)) for plan in plans)
