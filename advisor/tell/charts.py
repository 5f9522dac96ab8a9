"""Where the marks of the report's charts lie: numbers only, rounded to a tenth of a view-box unit; the template draws them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from advisor import units
from advisor.schema.advice import Advice, Prediction, ServiceCurve, SpeedTie
from advisor.schema.model import ModelFacts
from advisor.schema.record import Estimate, Record
from advisor.tell import axes
from advisor.tell.axes import Box, Label, Point, Scale, Tick
from advisor.tell.options import NEEDED_TODAY, TODAY, Option, curves_shown, options, subject

COLORS = 8  # the palette in the style of the page; a ninth variant starts over and differs by its label
MAX_SETTINGS = 3  # panels in a row
MAX_NAME = 30  # characters of a variant beside its mark
MAX_NAME_IN_PANEL = 16

Setting = tuple[int, int]  # intra_op_num_threads, instances


class Target(Record, frozen=True, kw_only=True):
    """The line of the latency target."""

    y: float
    label: Label


class OptionPoint(Record, frozen=True, kw_only=True):
    """An option as a mark."""

    option: Option
    point: Point
    label: Label


class Frontier(Record, frozen=True, kw_only=True):
    """Cost to the right, latency at the target's quantile upwards; `stairs` is the lowest latency that each cost can buy."""

    width: float
    height: float
    area: Box
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    target: Target
    stairs: tuple[tuple[float, float], ...]
    points: tuple[OptionPoint, ...]


class StripRow(Record, frozen=True, kw_only=True):
    """One latency quantile with its interval."""

    label: str
    y: float
    x: float
    x_low: float
    x_high: float


class StripGroup(Record, frozen=True, kw_only=True):
    """The latency quantiles of one option."""

    option: Option
    y: float
    rows: tuple[StripRow, ...]


class Strip(Record, frozen=True, kw_only=True):
    """Latency to the right, a row for each quantile of each option."""

    width: float
    height: float
    area: Box
    ticks: tuple[Tick, ...]
    target_x: float
    groups: tuple[StripGroup, ...]


class Curve(Record, frozen=True, kw_only=True):
    """Seconds per call of one variant."""

    variant: str
    points: tuple[Point, ...]
    label: Label


class Panel(Record, frozen=True, kw_only=True):
    """One small multiple of service curves; all panels share their axes. `target` is None where it lies outside of them."""

    intra_op_num_threads: int
    instances: int
    sequence_length: int | None
    width: float
    height: float
    area: Box
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    target: Target | None
    curves: tuple[Curve, ...]


class Segment(Record, frozen=True, kw_only=True):
    """A part of a whole, as a piece of a bar."""

    name: str
    estimate: Estimate
    x: float
    width: float


class OperatorBar(Record, frozen=True, kw_only=True):
    """One operator type; `flop_fraction` is its part of the known operations, None where its own are unknown."""

    type: str
    count: int
    flop_per_item: float | None
    flop_fraction: float | None
    width: float


def colors(advice: Advice) -> dict[str, int]:
    """Return the number of each variant's color in the palette, the same in every chart: of every variant that the advice names."""
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


# --- cost against latency --------------------------------------------------------------------------------------------------


def frontier(advice: Advice) -> Frontier:
    """Lay out cost against latency for all options."""
    width, height = 600.0, 350.0
    area = left, top, right, bottom = 56.0, 26.0, width - 24.0, height - 44.0
    shown = options(advice)
    costs = [option.prediction.cost_usd_per_hour.value for option in shown]
    latencies = [option.prediction.latency_slo_s for option in shown]
    target_s = advice.workload.slo.latency_s
    x_scale = axes.scale_over(costs, start=left, end=right)
    y_scale = axes.scale_over([*_ends(latencies), target_s], start=bottom, end=top)
    marks = [
        axes.place_interval(axes.place(x_scale, cost), latency, y_scale) for cost, latency in zip(costs, latencies, strict=True)
    ]
    names = [
        ", ".join((f"{option.number} {axes.shortened(option.prediction.candidate.variant, MAX_NAME)}", *option.roles))
        for option in shown
    ]
    stairs = _stairs([(mark.x, mark.y) for option, mark in zip(shown, marks, strict=True) if option.on_frontier])
    target = _target(axes.place(y_scale, target_s), f"target {units.seconds(target_s)}", marks, area)
    lines = [
        (left, target.y - 1, right, target.y + 1),
        axes.label_box(target.label),
        *((*start, *end) for start, end in pairwise(stairs)),
    ]
    placed = zip(shown, marks, axes.labels_beside(marks, names, area=area, lines=lines), strict=True)
    return Frontier(
        width=width,
        height=height,
        area=area,
        x_ticks=axes.ticks(x_scale, units.usd_per_hour),
        y_ticks=axes.ticks(y_scale, units.seconds),
        target=target,
        stairs=stairs,
        points=tuple(OptionPoint(option=option, point=mark, label=label) for option, mark, label in placed),
    )


def _target(y: float, text: str, marks: Sequence[Point], area: Box) -> Target:
    left, _, right, _ = area
    places = [
        Label(x=x, y=y + below, anchor=anchor, text=text)
        for below in (-5, axes.LINE_HEIGHT)
        for x, anchor in ((right, "end"), (left + 5, "start"))
    ]
    return Target(y=y, label=axes.first_free(places, [axes.mark_box(mark) for mark in marks]))


def _ends(estimates: Sequence[Estimate]) -> list[float]:
    return [end for estimate in estimates for end in (estimate.value, estimate.low, estimate.high)]


def _stairs(corners: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Join the corners, given from left to right, along the lowest latency that each cost can buy."""
    stairs = list(corners[:1])
    for x, y in corners[1:]:
        # What is on the frontier for its quality alone lies above the line. Down is larger, as in SVG.
        if y > stairs[-1][1]:
            stairs += [(x, stairs[-1][1]), (x, y)]
    return tuple(stairs)


# --- latency quantiles against the target ----------------------------------------------------------------------------------


def latency_strip(advice: Advice) -> Strip:
    """Lay out the latency quantiles of what runs today and of what is advised, or of the nearest miss."""
    compared = [option for option in options(advice) if {"today", "recommended", "nearest miss"} & set(option.roles)]
    shown = sorted(compared, key=_today_first)
    rows_of = [_quantiles(option.prediction, advice.workload.slo.quantile) for option in shown]
    width, top, row_height, header_height = 480.0, 24.0, 18.0, 28.0
    bottom = top + sum(header_height + row_height * len(rows) for rows in rows_of)
    area = left, _, right, _ = 40.0, top, width - 24.0, bottom
    target_s = advice.workload.slo.latency_s
    scale = axes.scale_over([*_ends([e for rows in rows_of for e in rows.values()]), target_s], start=left, end=right)
    groups = []
    y = top
    for option, rows in zip(shown, rows_of, strict=True):
        placed = (
            StripRow(
                label=name,
                y=y + header_height + row_height * number,
                x=axes.place(scale, estimate.value),
                x_low=axes.place(scale, estimate.low),
                x_high=axes.place(scale, estimate.high),
            )
            for number, (name, estimate) in enumerate(rows.items())
        )
        groups.append(StripGroup(option=option, y=y + header_height - 16.0, rows=tuple(placed)))
        y += header_height + row_height * len(rows)
    return Strip(
        width=width,
        height=bottom + 26.0,
        area=area,
        ticks=axes.ticks(scale, units.seconds),
        target_x=axes.place(scale, target_s),
        groups=tuple(groups),
    )


def _today_first(option: Option) -> bool:
    return not {TODAY, NEEDED_TODAY} & set(option.roles)


def _quantiles(prediction: Prediction, target: float) -> dict[str, Estimate]:
    shown = {
        0.5: prediction.latency_p50_s,
        0.95: prediction.latency_p95_s,
        0.99: prediction.latency_p99_s,
        target: prediction.latency_slo_s,
    }
    return {units.quantile(quantile): shown[quantile] for quantile in sorted(shown)}


# --- seconds per call over batch sizes -------------------------------------------------------------------------------------


def service_panels(advice: Advice) -> tuple[Panel, ...]:
    """Lay out the shortest and the longest sequence length, each for the threads and instances that matter most."""
    lengths = sorted({curve.sequence_length for curve in curves_shown(advice) if curve.sequence_length is not None})
    told_lengths: list[int | None] = [*dict.fromkeys((*lengths[:1], *lengths[-1:]))] or [None]
    told_settings = sorted(_settings(advice)[:MAX_SETTINGS], key=_instances_first)
    facets = {
        (length, setting): [
            curve for curve in curves_shown(advice) if curve.sequence_length == length and _setting(curve) == setting
        ]
        for length in told_lengths
        for setting in told_settings
    }
    shown = [curve for curves in facets.values() for curve in curves]
    target_s = advice.workload.slo.latency_s
    target_text = f"target {units.seconds(target_s)}"
    label_width = axes.CHARACTER_WIDTH * max(
        len(text) for text in (target_text, *(axes.shortened(it.variant, MAX_NAME_IN_PANEL) for it in shown))
    )
    width, height = 310.0, 246.0
    area = left, top, right, bottom = 50.0, 22.0, round(width - label_width - 12, 1), height - 40.0
    x_scale, x_ticks = _batch_axis(shown, start=left, end=right)
    seconds = [end for curve in shown for end in _ends(curve.latency_s) if end > 0] or [1.0]
    y_scale = axes.log_scale(min(seconds), max(seconds), start=bottom, end=top)
    y_ticks = axes.ticks(y_scale, units.seconds)
    target_y = axes.place(y_scale, target_s) if y_scale.low <= target_s <= y_scale.high else None
    panels = []
    for (length, (threads, instances)), members in facets.items():
        if not members:
            continue
        paths = [_path(curve, x_scale, y_scale) for curve in members]
        names = [axes.shortened(curve.variant, MAX_NAME_IN_PANEL) for curve in members]
        ends = [path[-1].y for path in paths]
        if target_y is not None:
            ends.append(target_y)
            names.append(target_text)
        labels = [
            Label(x=right + 8, y=round(y + 4, 1), anchor="start", text=name)
            for name, y in zip(names, axes.spread(ends, low=top, high=bottom), strict=True)
        ]
        panels.append(
            Panel(
                intra_op_num_threads=threads,
                instances=instances,
                sequence_length=length,
                width=width,
                height=height,
                area=area,
                x_ticks=x_ticks,
                y_ticks=y_ticks,
                target=Target(y=target_y, label=labels[-1]) if target_y is not None else None,
                curves=tuple(
                    Curve(variant=curve.variant, points=path, label=label)
                    for curve, path, label in zip(members, paths, labels, strict=False)  # the last label may be the target's
                ),
            )
        )
    return tuple(panels)


def _setting(of: ServiceCurve) -> Setting:
    return of.intra_op_num_threads, of.instances


def _settings(advice: Advice) -> list[Setting]:
    """Return the settings that were measured, those of the advice and of today first."""
    measured = dict.fromkeys(_setting(curve) for curve in curves_shown(advice))
    candidates = [prediction.candidate for prediction in (subject(advice), advice.baseline)]
    first = dict.fromkeys((candidate.intra_op_num_threads, candidate.instances) for candidate in candidates)
    return [*(setting for setting in first if setting in measured), *(setting for setting in measured if setting not in first)]


def _instances_first(setting: Setting) -> Setting:
    intra_op_num_threads, instances = setting
    return instances, intra_op_num_threads


def _batch_axis(curves: Sequence[ServiceCurve], *, start: float, end: float) -> tuple[Scale, tuple[Tick, ...]]:
    sizes: list[float] = sorted({size for curve in curves for size in curve.batch_size}) or [1.0]
    # A single batch size lies in the middle.
    low, high = (sizes[0], sizes[-1]) if len(sizes) > 1 else (sizes[0] / 2, sizes[0] * 2)
    scale = Scale(low=low, high=high, start=start, end=end, logarithmic=True)
    powers = [2.0**exponent for exponent in range(int(sizes[-1]).bit_length()) if 2**exponent >= low]
    marked = sizes if len(sizes) <= axes.MAX_TICKS else axes.thinned(powers)
    return scale, tuple(Tick(at=axes.place(scale, size), label=units.number(size)) for size in marked)


def _path(curve: ServiceCurve, x_scale: Scale, y_scale: Scale) -> tuple[Point, ...]:
    return tuple(
        axes.place_interval(axes.place(x_scale, size), latency, y_scale)
        for size, latency in zip(curve.batch_size, curve.latency_s, strict=True)
    )


# --- parts of a whole ------------------------------------------------------------------------------------------------------


def share_bar(shares: dict[str, Estimate], *, width: float = 720.0) -> tuple[Segment, ...]:
    """Lay the shares end to end over the whole width, the largest first."""
    whole = sum(share.value for share in shares.values())
    segments = []
    x = 0.0
    for name, share in sorted(shares.items(), key=_largest_first):
        part = width * share.value / whole if whole else 0.0
        segments.append(Segment(name=name, estimate=share, x=round(x, 1), width=round(part, 1)))
        x += part
    return tuple(segments)


def _largest_first(share: tuple[str, Estimate]) -> float:
    return -share[1].value


def operator_bars(model: ModelFacts, *, width: float = 120.0) -> tuple[OperatorBar, ...]:
    """Return the operator types by their part of the operations, those without a known count last."""
    whole = sum(operator.flop_per_item or 0.0 for operator in model.operators)
    bars = []
    for operator in model.operators:
        fraction = operator.flop_per_item / whole if operator.flop_per_item is not None and whole else None
        bars.append(
            OperatorBar(
                type=operator.type,
                count=operator.count,
                flop_per_item=operator.flop_per_item,
                flop_fraction=fraction,
                width=round(width * (fraction or 0.0), 1),
            )
        )
    return tuple(sorted(bars, key=_most_operations_first))


def _most_operations_first(bar: OperatorBar) -> tuple[bool, float, int]:
    return bar.flop_per_item is None, -(bar.flop_per_item or 0.0), -bar.count
