"""The charts of advice on a service: cost against latency, latency against the target and against the load, calls by batch size."""

from collections.abc import Iterator, Sequence

from advisor import units
from advisor.schema.advice import Advice, LoadTest, Prediction, ServiceCurve, SpeedTie
from advisor.schema.record import Estimate, Record
from advisor.tell.charts import drawing
from advisor.tell.charts.compared import Entry, Limit, compared
from advisor.tell.charts.drawing import NARROW, WIDE, Axis, Chart, Series, series_of
from advisor.tell.charts.over import At, Plot, over
from advisor.tell.charts.palette import COLORS, color_of, shape_of
from advisor.tell.charts.scales import log_scale, size_scale
from advisor.tell.options import curves_shown, subject
from advisor.tell.words.figures import Row, figure, setting
from advisor.tell.words.tables import columns

MAX_SETTINGS = 3  # panels in a row
Setting = tuple[int, int]  # intra_op_num_threads, instances


def variant_colors(advice: Advice) -> dict[str, int]:
    """Return the number of each variant's color in the palette, the same in every chart and table: of every variant that the advice names."""
    return {variant: number % COLORS for number, variant in enumerate(dict.fromkeys(_variants_in(advice)))}


def _variants_in(part: object) -> Iterator[str]:
    """Yield the variants named anywhere in the advice, those of its table first.

    What another machine measured, and what is advised there, may be of variants that this one has never had; so no list of the fields
    that may hold one is kept here.
    """
    if isinstance(part, Advice):
        yield from (it.id for it in part.variants)
    if isinstance(part, SpeedTie):
        yield part.simpler
    if isinstance(part, Record):
        for field in part.__struct_fields__:
            value = getattr(part, field)
            if field == "variant" and isinstance(value, str):
                yield value
            else:
                yield from _variants_in(value)
    elif isinstance(part, tuple):
        for entry in part:
            yield from _variants_in(entry)


# --- latency quantiles against the target ----------------------------------------------------------------------------------


def latency_chart(advice: Advice) -> Chart:
    """Draw the latency quantiles of what runs today and of what is advised, or of the nearest miss."""
    slo, shown = advice.workload.slo, columns(advice)
    found = {name: _quantiles(it, slo.quantile) for name, it in shown.items()}
    numbers = variant_colors(advice)
    at = list(dict.fromkeys(name for quantiles in found.values() for name in quantiles))
    entries = [
        Entry(figure=f"{name} latency", series=series, estimate=quantiles[name], row=at.index(name))
        for name in at
        for series, quantiles in found.items()
    ]
    # Of one variant in two configurations the second has a mark of its own.
    names = {
        name: (color_of(numbers[it.candidate.variant]), shape_of(numbers[it.candidate.variant] + (place if _is_one(shown) else 0)))
        for place, (name, it) in enumerate(shown.items())
    }
    target = units.seconds(slo.latency_s)
    return Chart(
        id="latency",
        place="prediction",
        title="Predicted latency against the target",
        says=f"Latency quantiles with their 90 % intervals; the target of {units.quantile(slo.quantile)} is {target}.",
        width=WIDE,
        spec=compared(
            entries, series_of(names), title="latency", written=drawing.SECONDS, target=Limit(slo.latency_s, f"target {target}")
        ),
        columns=("Figure", *shown),
        rows=tuple(
            Row(label=f"{name} latency", cells=tuple(figure(quantiles[name], units.seconds) for quantiles in found.values()))
            for name in at
        ),
    )


def _is_one(shown: dict[str, Prediction]) -> bool:
    return len({it.candidate.variant for it in shown.values()}) < len(shown)


def _quantiles(prediction: Prediction, target: float) -> dict[str, Estimate]:
    shown = {
        0.5: prediction.latency_p50_s,
        0.95: prediction.latency_p95_s,
        0.99: prediction.latency_p99_s,
        target: prediction.latency_slo_s,
    }
    return {units.quantile(quantile): shown[quantile] for quantile in sorted(shown)}


# --- predicted against measured --------------------------------------------------------------------------------------------

MEASURED, PREDICTED = "measured", "predicted"
SIDES = series_of({MEASURED: (color_of(1), "circle"), PREDICTED: (color_of(0), "square")})


def load_test_charts(advice: Advice) -> tuple[Chart, ...]:
    """Draw what each load test observed beside what was predicted of the same requests."""
    return tuple(_load_test_chart(advice, number, test) for number, test in enumerate(advice.load_tests, start=1))


def _load_test_chart(advice: Advice, number: int, test: LoadTest) -> Chart:
    slo = advice.workload.slo
    parts = {0.5: "latency_p50_s", 0.95: "latency_p95_s", 0.99: "latency_p99_s", slo.quantile: "latency_slo_s"}
    rows, entries = [], []
    for at in sorted(parts):
        name = f"{units.quantile(at)} latency"
        sides: dict[str, Estimate] = {MEASURED: getattr(test, parts[at]), PREDICTED: getattr(test.expected, parts[at])}
        entries += [Entry(figure=name, series=side, estimate=estimate, row=len(rows)) for side, estimate in sides.items()]
        rows.append(Row(label=name, cells=tuple(figure(estimate, units.seconds) for estimate in sides.values())))
    target = units.seconds(slo.latency_s)
    return Chart(
        id=f"load-test-{number}",
        place="load tests",
        title=f"Predicted against measured: {test.candidate.variant}, {units.rate(test.offered_requests_per_s)}",
        says=f"Latency quantiles of one replica that was served for real, with 90 % intervals; the target is {target}.",
        width=WIDE,
        spec=compared(entries, SIDES, title="latency", written=drawing.SECONDS, target=Limit(slo.latency_s, f"target {target}")),
        columns=("Figure", "Measured", "Predicted"),
        rows=tuple(rows),
    )


# --- seconds per call over batch sizes -------------------------------------------------------------------------------------


def call_charts(advice: Advice) -> tuple[Chart, ...]:
    """Draw calls of the shortest and the longest sequence length, each for the threads and instances that matter most."""
    lengths = sorted({curve.sequence_length for curve in curves_shown(advice) if curve.sequence_length is not None})
    told_lengths: list[int | None] = [*dict.fromkeys((*lengths[:1], *lengths[-1:]))] or [None]
    told_settings = sorted(_settings(advice)[:MAX_SETTINGS], key=_instances_first)
    facets = [
        [curve for curve in curves_shown(advice) if curve.sequence_length == length and _setting(curve) == told]
        for length in told_lengths
        for told in told_settings
    ]
    shown = [curves for curves in facets if curves]
    if not shown:
        return ()
    every = [curve for curves in shown for curve in curves]
    seconds = [end for curve in every for it in curve.latency_s for end in (it.value, it.low, it.high) if end > 0] or [1.0]
    sizes: list[float] = sorted({float(size) for curve in every for size in curve.batch_size})
    x = Axis(title="batch size", scale=size_scale(sizes), written=drawing.NUMBER)
    y = Axis(title="call time", scale=log_scale(min(seconds), max(seconds)), written=drawing.SECONDS)
    return tuple(_call_chart(advice, number, curves, x, y) for number, curves in enumerate(shown, start=1))


def _call_chart(advice: Advice, number: int, curves: Sequence[ServiceCurve], x: Axis, y: Axis) -> Chart:
    numbers, slo = variant_colors(advice), advice.workload.slo
    lines, rows = [], []
    for curve in curves:
        for size, latency_s in zip(curve.batch_size, curve.latency_s, strict=True):
            lines.append(At(series=curve.variant, x=float(size), estimate=latency_s, row=len(rows)))
            rows.append(Row(label=curve.variant, cells=(units.number(size), figure(latency_s, units.seconds))))
    names = {curve.variant: (color_of(numbers[curve.variant]), shape_of(numbers[curve.variant])) for curve in curves}
    length = f", sequence length {curves[0].sequence_length}" if curves[0].sequence_length else ""
    where = setting(curves[0].instances, curves[0].intra_op_num_threads) + length
    return Chart(
        id=f"calls-{number}",
        place="calls",
        title=f"Call time by batch size: {where}",
        says="One line a variant, with 90 % intervals, both axes logarithmic.",
        width=NARROW,
        spec=over(
            Plot(lines=lines, target=Limit(slo.latency_s, f"target {units.seconds(slo.latency_s)}")), series_of(names), x, y
        ),
        columns=("Variant", "Batch size", "Call time"),
        rows=tuple(rows),
    )


def _setting(of: ServiceCurve) -> Setting:
    return of.intra_op_num_threads, of.instances


def _settings(advice: Advice) -> list[Setting]:
    """Return the settings that were measured, those of the advice and of today first."""
    measured = dict.fromkeys(_setting(curve) for curve in curves_shown(advice))
    candidates = [prediction.candidate for prediction in (subject(advice), advice.baseline)]
    first = dict.fromkeys((candidate.intra_op_num_threads, candidate.instances) for candidate in candidates)
    return [*(told for told in first if told in measured), *(told for told in measured if told not in first)]


def _instances_first(told: Setting) -> Setting:
    intra_op_num_threads, instances = told
    return instances, intra_op_num_threads
