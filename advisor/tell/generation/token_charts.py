"""The charts of models that answer token by token: times against the load of one replica, the memory of the cache, and replays."""

from collections.abc import Mapping, Sequence

from advisor import units
from advisor.schema.generation import KvPoint, LoadPoint, Replay
from advisor.schema.record import Estimate
from advisor.schema.workload import TokenSlo
from advisor.tell.charts import drawing
from advisor.tell.charts.compared import Entry, Limit, compared
from advisor.tell.charts.drawing import HALF, WIDE, Axis, Chart, series_of
from advisor.tell.charts.over import At, Plot, over
from advisor.tell.charts.palette import color_of, shape_of
from advisor.tell.charts.scales import linear_scale, log_scale
from advisor.tell.generation.naming import TIMES, TPOT, TTFT, Time, at_slo, of_time, targets
from advisor.tell.words.figures import Part, Row, figure

LEAST_S = 1e-9
PREDICTED, REPLAYED = "predicted", "measured in a replay"


def load_charts(
    points: Sequence[LoadPoint], slo: TokenSlo, each: float, color: int, replays: Sequence[Replay] = ()
) -> tuple[Chart, ...]:
    """Draw TTFT and TPOT over the requests a second of one replica, of which the workload brings `each`; replays are of that replica."""
    found = []
    for time in (TTFT, TPOT):
        of_points = [point.ttft_slo_s if time is TTFT else point.tpot_slo_s for point in points]
        predicted = [(point.requests_per_s, it) for point, it in zip(points, of_points, strict=True) if it is not None]
        measured = [
            (replay.offered_requests_per_s, it)
            for replay in replays
            if replay.offered_requests_per_s is not None and (it := at_slo(replay.measured, time)) is not None
        ]
        if predicted:
            limits = {target.time: target.limit_s for target in targets(slo)}
            found.append(_load_chart(time, units.quantile(slo.quantile), predicted, measured, limits.get(time), each, color))
    return tuple(found)


def _load_chart(
    time: Time,
    quantile: str,
    predicted: Sequence[tuple[float, Estimate]],
    measured: Sequence[tuple[float, Estimate]],
    limit_s: float | None,
    each: float,
    color: int,
) -> Chart:
    every = [*predicted, *measured]
    seconds = [end for _, it in every for end in (it.value, it.low, it.high) if end > 0] + ([] if limit_s is None else [limit_s])
    x = Axis(
        title="requests a second, one replica",
        scale=linear_scale(max(*(rate for rate, _ in every), each)),
        written=drawing.NUMBER,
    )
    scale = log_scale(min(seconds, default=LEAST_S), max(seconds, default=1.0))
    y = Axis(title=f"{time.name} {quantile}", scale=scale, written=drawing.SECONDS)
    looks = {PREDICTED: (color_of(color), shape_of(color))} | ({REPLAYED: (color_of(color + 1), "diamond")} if measured else {})
    at = [
        At(series=PREDICTED if row < len(predicted) else REPLAYED, x=rate, estimate=it, row=row)
        for row, (rate, it) in enumerate(every)
    ]
    target = None if limit_s is None else Limit(limit_s, f"target {units.seconds(limit_s)}")
    said = "" if target is None else f"; {target.text}"
    return Chart(
        id=time.name.lower(),
        place="load",
        title=f"{time.name} {quantile} by load",
        says=f"{units.counted(len(every), 'load')} of one replica, with 90 % intervals{said}.",
        width=HALF,
        spec=over(
            Plot(lines=at[: len(predicted)], alone=at[len(predicted) :], target=target, here=Limit(each, "this workload")),
            series_of(looks),
            x,
            y,
        ),
        columns=("Requests", f"{time.name} {quantile}", "How"),
        rows=tuple(
            Row(label=units.rate(rate), cells=(figure(it, units.seconds), point.series))
            for (rate, it), point in zip(every, at, strict=True)
        ),
    )


def cache_charts(points: Sequence[KvPoint], room_bytes: float, at_most: int, color: int) -> tuple[Chart, ...]:
    """Draw bytes of the cache over running requests, of which there are `at_most`, beside the room for them; () where nothing is known."""
    if not points:
        return ()
    running = [point.running_requests for point in points]
    x = Axis(title="running requests", scale=linear_scale(max(*running, at_most)), written=drawing.NUMBER)
    most = max(room_bytes, *(point.kv_bytes for point in points), 1.0)
    y = Axis(title="KV cache", scale=linear_scale(most), written=drawing.BYTES)
    at = [
        At(series="KV cache", x=float(point.running_requests), estimate=_exactly(point.kv_bytes), row=row)
        for row, point in enumerate(points)
    ]
    room = units.size(room_bytes)
    chart = Chart(
        id="cache",
        place="cache",
        title="KV cache by running requests",
        says=f"Memory of the cache of one replica, which holds {room}.",
        width=HALF,
        spec=over(
            Plot(lines=at, target=Limit(room_bytes, f"holds {room}"), here=Limit(float(at_most), "at most")),
            series_of({"KV cache": (color_of(color), shape_of(color))}),
            x,
            y,
        ),
        columns=("Running requests", "KV cache"),
        rows=tuple(Row(label=f"{point.running_requests:,}", cells=(units.size(point.kv_bytes),)) for point in points),
    )
    return (chart,)


def _exactly(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value, basis="simulated", source="counted")


# --- replays ---------------------------------------------------------------------------------------------------------------

SIDES: Mapping[str, tuple[str, str]] = {
    "measured": (color_of(1), "circle"),
    "predicted": (color_of(0), "square"),
    "at its own speed": (color_of(4), "triangle-up"),
}


def replay_charts(replays: Sequence[Replay]) -> tuple[Chart, ...]:
    """Draw what each replay measured beside what was predicted, and what is expected at the speed of its own steps."""
    return tuple(_replay_chart(number, replay) for number, replay in enumerate(replays, start=1))


def _replay_chart(number: int, replay: Replay) -> Chart:
    sides = dict(zip(SIDES, (replay.measured, replay.before, replay.expected), strict=True))
    entries: list[Entry] = []
    rows: list[Row] = []
    for time in TIMES:
        if of_time(replay.measured, time) is None:
            continue
        for quantile in ("p50", "p90", "p99"):
            name = f"{time.name} {quantile}"
            cells: list[Part] = []
            for side, times in sides.items():
                quantiles = None if times is None else of_time(times, time)
                estimate: Estimate | None = None if quantiles is None else getattr(quantiles, quantile)
                cells.append(figure(estimate, units.seconds, "not known"))
                if estimate is not None:
                    entries.append(Entry(figure=name, series=side, estimate=estimate, row=len(rows)))
            rows.append(Row(label=name, cells=tuple(cells)))
    there = {entry.series for entry in entries}
    return Chart(
        id=f"replay-{number}",
        place=f"replay {number}",
        title=f"Predicted against measured: replay {number}",
        says=f"{units.counted(replay.requests, 'request')} that were really served, with 90 % intervals.",
        width=WIDE,
        spec=compared(
            entries,
            series_of({name: look for name, look in SIDES.items() if name in there}),
            title="time",
            written=drawing.SECONDS,
            target=None,
        ),
        columns=("Figure", "Measured", "Predicted", "At its own speed"),
        rows=tuple(rows),
    )
