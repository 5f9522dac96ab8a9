"""The charts of advice on a service: cost against latency, latency against the target and against the load, calls by batch size."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from advisor import units
from advisor.schema.advice import Advice, LoadTest, Prediction, Replayed, ServiceCurve, SpeedTie
from advisor.schema.record import Estimate, Record
from advisor.tell.charts.compared import Entry, Limit, compared
from advisor.tell.charts.drawing import HALF, NARROW, NUMBER, SECONDS, WIDE, Axis, Chart, Series, series_of
from advisor.tell.charts.over import At, Plot, over
from advisor.tell.charts.palette import COLORS, color_of, shape_of
from advisor.tell.charts.scales import linear_scale, log_scale, scale_over, size_scale
from advisor.tell.options import curves_shown, subject
from advisor.tell.words.advice import tail
from advisor.tell.words.figures import Figure, Row, figure, setting
from advisor.tell.words.tables import columns

MAX_SETTINGS = 3  # panels in a row
Setting = tuple[int, int]  # intra_op_num_threads, instances


def variant_colors(advice: Advice) -> dict[str, int]:
    """Return the number of each variant's color, the same in every chart and table: of every variant that the advice names."""
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
    found = {name: _quantiles(it, it.utilization_fraction, slo.quantile) for name, it in shown.items()}
    names = list(dict.fromkeys(name for quantiles in found.values() for name in quantiles))
    target = units.seconds(slo.latency_s)
    return Chart(
        id="latency",
        place="prediction",
        title="Predicted latency against the target",
        says=f"Latency quantiles with their 90 % intervals; the target of {units.quantile(slo.quantile)} is {target}.",
        width=WIDE,
        spec=compared(
            _entries(found),
            _looks(advice, shown),
            title="latency",
            written=SECONDS,
            target=Limit(slo.latency_s, f"target {target}"),
        ),
        columns=("Figure", *shown),
        rows=tuple(Row(label=name, cells=tuple(quantiles[name][1] for quantiles in found.values())) for name in names),
    )


def _looks(advice: Advice, shown: dict[str, Prediction]) -> Series:
    """Return color and shape of what is compared; of one variant in two configurations the second has another shape."""
    numbers = variant_colors(advice)
    variants = [it.candidate.variant for it in shown.values()]
    shift = 1 if len(set(variants)) < len(variants) else 0
    return series_of(
        {
            name: (color_of(numbers[variant]), shape_of(numbers[variant] + place * shift))
            for place, (name, variant) in enumerate(zip(shown, variants, strict=True))
        }
    )


def _quantiles(
    it: Prediction | Replayed | LoadTest, utilization: Estimate | None, target: float
) -> dict[str, tuple[Estimate, Figure]]:
    """Return each quantile by its name, with the words that the tables have for it."""
    parts = {0.5: it.latency_p50_s, 0.95: it.latency_p95_s, 0.99: it.latency_p99_s, target: it.latency_slo_s}
    return {
        f"{units.quantile(at)} latency": (
            parts[at],
            tail(parts[at], units.seconds, utilization) if at not in (0.5, 0.95) else figure(parts[at], units.seconds),
        )
        for at in sorted(parts)
    }


def _entries(found: dict[str, dict[str, tuple[Estimate, Figure]]]) -> list[Entry]:
    return [
        Entry(figure=name, series=series, estimate=estimate, row=row, is_interval=words.interval is None)
        for series, quantiles in found.items()
        for row, (name, (estimate, words)) in enumerate(quantiles.items())
    ]


# --- predicted against measured --------------------------------------------------------------------------------------------

MEASURED, PREDICTED = "measured", "predicted"
SIDES = series_of({MEASURED: (color_of(1), "circle"), PREDICTED: (color_of(0), "square")})


def load_test_charts(advice: Advice) -> tuple[Chart, ...]:
    """Draw what each load test observed beside what was predicted of the same requests."""
    return tuple(_load_test_chart(advice, number, test) for number, test in enumerate(advice.load_tests, start=1))


def _load_test_chart(advice: Advice, number: int, test: LoadTest) -> Chart:
    slo = advice.workload.slo
    found = {
        MEASURED: _quantiles(test, None, slo.quantile),
        PREDICTED: _quantiles(test.expected, test.expected.utilization_fraction, slo.quantile),
    }
    target = units.seconds(slo.latency_s)
    return Chart(
        id=f"load-test-{number}",
        place="load tests",
        title=f"Predicted against measured: {test.candidate.variant}, {units.rate(test.offered_requests_per_s)}",
        says=f"Latency quantiles of one replica that was served for real, with 90 % intervals; target {target}.",
        width=HALF,
        spec=compared(_entries(found), SIDES, title="latency", written=SECONDS, target=Limit(slo.latency_s, f"target {target}")),
        columns=("Figure", "Measured", "Predicted"),
        rows=tuple(Row(label=name, cells=(words, found[PREDICTED][name][1])) for name, (_, words) in found[MEASURED].items()),
    )


# --- latency against the load ----------------------------------------------------------------------------------------------

SIMULATED, EXPECTED, OBSERVED = "predicted", "predicted for the load test", "measured in the load test"
LOADS = {SIMULATED: (color_of(0), "circle"), EXPECTED: (color_of(4), "square"), OBSERVED: (color_of(1), "diamond")}
# Measured and predicted stand at one load: the smaller one lies on the larger.
SIZES = {SIMULATED: 34, EXPECTED: 170, OBSERVED: 60}


def load_charts(advice: Advice) -> tuple[Chart, ...]:
    """Draw the target's quantile over the load of one replica, and where the load tests of it stood; none where no curve is known."""
    if not advice.load_curve:
        return ()
    shown, slo = subject(advice), advice.workload.slo
    name, each = f"{units.quantile(slo.quantile)} latency", advice.mean_requests_per_s / shown.candidate.replicas
    found = list(_at_loads(advice, f"{units.quantile(slo.quantile)} latency"))
    points = [
        At(series=what, x=rate, estimate=it, row=row, is_interval=words.interval is None, size=SIZES[what])
        for row, (what, rate, it, words) in enumerate(found)
    ]
    seconds = [end for at in points for end in (at.estimate.value, at.estimate.low, at.estimate.high)]
    x = Axis(title="requests a second, one replica", scale=linear_scale(max(each, *(at.x for at in points))), written=NUMBER)
    y = Axis(title=name, scale=scale_over([*seconds, slo.latency_s]), written=SECONDS)
    target = Limit(slo.latency_s, f"target {units.seconds(slo.latency_s)}")
    tested = "; the load test beside what was predicted of it" if len(points) > len(advice.load_curve) else ""
    chart = Chart(
        id="load",
        place="load",
        title=f"{name} by load",
        says=f"One replica of the configuration above at parts of its capacity, with 90 % intervals{tested}; {target.text}.",
        width=WIDE,
        spec=over(
            Plot(
                lines=[at for at in points if at.series == SIMULATED],
                alone=[at for at in points if at.series != SIMULATED],
                target=target,
                here=Limit(each, "this workload"),
            ),
            series_of({what: look for what, look in LOADS.items() if what in {at.series for at in points}}),
            x,
            y,
        ),
        columns=("Requests, one replica", name, "How"),
        rows=tuple(Row(label=units.rate(rate), cells=(words, what)) for what, rate, _, words in found),
    )
    return (chart,)


def _at_loads(advice: Advice, name: str) -> Iterator[tuple[str, float, Estimate, Figure]]:
    """Yield what is known of the replica at a load: how, the load, the latency, and that in words."""
    shown, quantile = subject(advice).candidate, advice.workload.slo.quantile
    for point in advice.load_curve:
        yield SIMULATED, point.requests_per_s, point.latency_slo_s, figure(point.latency_slo_s, units.seconds)
    for test in advice.load_tests:
        if replace(test.candidate, replicas=shown.replicas) == shown:
            expected = _quantiles(test.expected, test.expected.utilization_fraction, quantile)[name]
            yield EXPECTED, test.offered_requests_per_s, *expected
            yield OBSERVED, test.offered_requests_per_s, *_quantiles(test, None, quantile)[name]


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
    x = Axis(title="batch size", scale=size_scale(sizes), written=NUMBER)
    y = Axis(title="call time", scale=log_scale(min(seconds), max(seconds)), written=SECONDS)
    return tuple(_call_chart(advice, number, curves, x, y) for number, curves in enumerate(shown, start=1))


def _call_chart(advice: Advice, number: int, curves: Sequence[ServiceCurve], x: Axis, y: Axis) -> Chart:
    numbers, slo = variant_colors(advice), advice.workload.slo
    lines: list[At] = []
    rows: list[Row] = []
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
