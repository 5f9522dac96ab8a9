"""Where the marks of the charts on a generative model lie: TTFT and TPOT against load, and the memory of the cache by running requests."""

import math
from collections.abc import Callable, Sequence

from advisor import units
from advisor.schema.generation import GenerationAdvice, KvPoint, LoadPoint
from advisor.schema.record import Estimate, Record
from advisor.schema.workload import TokenSlo
from advisor.tell import axes
from advisor.tell.axes import Box, Label, Point, Scale, Tick
from advisor.tell.generation.naming import TPOT, TTFT, Time, subject, targets
from advisor.tell.generation.words import kv_bytes_per_token

WIDTH, HEIGHT = 420.0, 260.0
COLORS = 8  # as in the style of the page


class Line(Record, frozen=True, kw_only=True):
    """A line across the whole chart, or up through it, with its words."""

    at: float
    label: Label


class Panel(Record, frozen=True, kw_only=True):
    """A figure over something that grows. `limit` is what it has to stay below, `here` where the workload is."""

    id: str
    title: str
    x_title: str
    y_title: str
    width: float
    height: float
    area: Box
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    limit: Line | None
    here: Line | None


def generation_colors(advice: GenerationAdvice) -> dict[str, int]:
    """Return the number of each variant's color in the palette, the same in every chart and table."""
    named = [*(it.id for it in advice.variants), *(it.candidate.variant for it in advice.replays)]
    others = (
        advice.recommended,
        advice.likely,
        advice.nearest_miss,
        advice.unproven,
        advice.baseline,
        *advice.ties,
        *advice.others,
    )
    named += [it.candidate.variant for it in others if it is not None]
    return {variant: number % COLORS for number, variant in enumerate(dict.fromkeys(named))}


def load_panels(advice: GenerationAdvice) -> tuple[Panel, ...]:
    """Lay out TTFT and TPOT at the quantile of the targets over the load of one replica, both with their target."""
    each = advice.mean_requests_per_s / subject(advice).candidate.replicas
    return panels_by_load(advice.load_curve, advice.workload.slo, each)


def panels_by_load(points: Sequence[LoadPoint], slo: TokenSlo, each: float) -> tuple[Panel, ...]:
    """Lay out TTFT and TPOT over the requests a second of one replica, of which the workload brings `each`."""
    rates = [point.requests_per_s for point in points]
    by_time: tuple[tuple[Time, Sequence[Estimate | None]], ...] = (
        (TTFT, [point.ttft_slo_s for point in points]),
        (TPOT, [point.tpot_slo_s for point in points]),
    )
    limits = {target.time: target.limit_s for target in targets(slo)}
    at = units.quantile(slo.quantile)
    panels = []
    for time, estimates in by_time:
        found = [(rate, estimate) for rate, estimate in zip(rates, estimates, strict=True) if estimate is not None]
        if found:
            panels.append(_load_panel(time, at, found, limits.get(time), each))
    return tuple(panels)


def _load_panel(time: Time, at: str, found: Sequence[tuple[float, Estimate]], limit_s: float | None, each: float) -> Panel:
    area = left, top, right, bottom = _area()
    x_scale = axes.linear_scale(max([*(rate for rate, _ in found), each]), start=left, end=right)
    seconds = [end for _, it in found for end in (it.value, it.low, it.high) if end > 0]
    seconds += [] if limit_s is None else [limit_s]
    y_scale = axes.log_scale(min(seconds, default=1.0), max(seconds, default=1.0), start=bottom, end=top)
    points = tuple(axes.place_interval(axes.place(x_scale, rate), estimate, y_scale) for rate, estimate in found)
    return Panel(
        id=time.name.lower(),
        title=f"{time.name} {at} by load",
        x_title="requests a second, one replica",
        y_title=f"{time.name} {at}",
        width=WIDTH,
        height=HEIGHT,
        area=area,
        x_ticks=_thinned(x_scale, units.number),
        y_ticks=axes.ticks(y_scale, units.seconds),
        points=points,
        limit=_limit(axes.place(y_scale, limit_s), f"target {units.seconds(limit_s)}", points, area)
        if limit_s is not None
        else None,
        here=_here(axes.place(x_scale, each), "this workload", area),
    )


def kv_panel(advice: GenerationAdvice) -> Panel | None:
    """Lay out the memory of the cache over running requests, and how much there is; None where nothing is known of it."""
    shown = subject(advice).candidate
    room = shown.kv_tokens * kv_bytes_per_token(advice, shown.variant)
    return panel_of_cache(advice.kv_curve, room, shown.max_running_requests)


def panel_of_cache(points_: Sequence[KvPoint], room: float, at_most: int) -> Panel | None:
    """Lay out bytes of the cache over running requests, of which there are `at_most`, beside the `room` for them."""
    if not points_:
        return None
    area = left, top, right, bottom = _area()
    most = max(point.running_requests for point in points_)
    x_scale = axes.linear_scale(max(most, at_most), start=left, end=right)
    y_scale = axes.linear_scale(max([room, *(point.kv_bytes for point in points_)]), start=bottom, end=top)
    places = [(axes.place(x_scale, point.running_requests), axes.place(y_scale, point.kv_bytes)) for point in points_]
    points = tuple(Point(x=x, y=y, y_low=y, y_high=y) for x, y in places)
    return Panel(
        id="kv",
        title="KV cache by running requests",
        x_title="running requests",
        y_title="KV cache",
        width=WIDTH,
        height=HEIGHT,
        area=area,
        x_ticks=_thinned(x_scale, units.number),
        y_ticks=axes.ticks(y_scale, units.size),
        points=points,
        limit=_limit(axes.place(y_scale, room), f"holds {units.size(room)}", points, area),
        here=_here(axes.place(x_scale, at_most), "at most", area),
    )


def _area() -> Box:
    return 62.0, 30.0, WIDTH - 16.0, HEIGHT - 44.0


def _thinned(scale: Scale, format_: Callable[[float], str]) -> tuple[Tick, ...]:
    """Return the ticks of an axis on which labels stand side by side."""
    ticks = axes.ticks(scale, format_)
    widest = max((len(tick.label) for tick in ticks), default=1) * axes.CHARACTER_WIDTH + 10
    step = math.ceil(widest * len(ticks) / abs(scale.end - scale.start))
    return ticks[::step]


def _limit(y: float, text: str, points: Sequence[Point], area: Box) -> Line:
    left, _, right, _ = area
    places = [
        Label(x=x, y=y + below, anchor=anchor, text=text)
        for below in (-5, axes.LINE_HEIGHT)
        for x, anchor in ((left + 5, "start"), (right, "end"))
    ]
    return Line(at=y, label=axes.first_free(places, [axes.mark_box(point) for point in points]))


def _here(x: float, text: str, area: Box) -> Line:
    left, top, right, _ = area
    anchor = "end" if x > (left + right) / 2 else "start"
    return Line(at=x, label=Label(x=x, y=top - 4, anchor=anchor, text=text))
