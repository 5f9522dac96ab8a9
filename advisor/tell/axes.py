"""Axes, ticks and labels that keep clear of each other: what every chart of the report needs, in units of its view box."""

import math
from collections.abc import Callable, Iterable, Sequence

from advisor.schema.record import Estimate, Record

CHARACTER_WIDTH = 7.2  # of the 12-unit chart font, on the generous side: a label may end early but never overlap
LINE_HEIGHT = 14.0
MAX_LINEAR_RANGE = 15.0  # beyond this ratio the small values of a linear axis cannot be read
MAX_TICKS = 9

Box = tuple[float, float, float, float]  # left, top, right, bottom


class Scale(Record, frozen=True, kw_only=True):
    """An axis: the value `low` lies at the coordinate `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool


class Tick(Record, frozen=True, kw_only=True):
    """A grid line and its label."""

    at: float
    label: str


class Point(Record, frozen=True, kw_only=True):
    """A mark with the ends of its vertical interval."""

    x: float
    y: float
    y_low: float
    y_high: float


class Label(Record, frozen=True, kw_only=True):
    """A text beside its mark; `anchor` as SVG says it: start, end."""

    x: float
    y: float
    anchor: str
    text: str


def linear_scale(high: float, *, start: float, end: float) -> Scale:
    """Return an axis from zero to the first tick above `high`."""
    step = _linear_step(high)
    return Scale(low=0.0, high=step * (math.floor(high / step) + 1), start=start, end=end, logarithmic=False)


def log_scale(low: float, high: float, *, start: float, end: float) -> Scale:
    """Return a logarithmic axis whose ends are the nearest 1, 2 or 5 times a power of ten beyond `low` and `high`."""
    steps = _round_steps(low, high, (1, 2, 5))
    outer_low = max(step for step in steps if step < low)
    outer_high = min(step for step in steps if step > high)
    return Scale(low=outer_low, high=outer_high, start=start, end=end, logarithmic=True)


def scale_over(values: Iterable[float], *, start: float, end: float) -> Scale:
    """Return an axis that holds `values`: from zero, or logarithmic where they are too far apart for that."""
    positive = [value for value in values if value > 0]
    low, high = min(positive, default=1.0), max(positive, default=1.0)
    if high <= MAX_LINEAR_RANGE * low:
        return linear_scale(high, start=start, end=end)
    return log_scale(low, high, start=start, end=end)


def place(scale: Scale, value: float) -> float:
    """Return the coordinate of `value`; what lies beyond an end is put at that end."""
    held = min(max(value, scale.low), scale.high)
    if scale.logarithmic:
        part = math.log(held / scale.low) / math.log(scale.high / scale.low)
    else:
        part = (held - scale.low) / (scale.high - scale.low)
    return round(scale.start + part * (scale.end - scale.start), 1)


def place_interval(x: float, estimate: Estimate, scale: Scale) -> Point:
    """Return the mark of an estimate on a vertical axis."""
    return Point(x=x, y=place(scale, estimate.value), y_low=place(scale, estimate.low), y_high=place(scale, estimate.high))


def ticks(scale: Scale, format_: Callable[[float], str]) -> tuple[Tick, ...]:
    """Return round values along the axis, few enough to read."""
    if scale.logarithmic:
        fine, coarse = (_within_ends(scale, _round_steps(scale.low, scale.high, digits)) for digits in ((1, 2, 5), (1,)))
        values = fine if len(fine) <= MAX_TICKS else thinned(coarse)
    else:
        step = _linear_step(scale.high)
        values = [step * number for number in range(round(scale.high / step) + 1)]
    return tuple(Tick(at=place(scale, value), label=format_(value) if value else "0") for value in values)


def thinned(values: list[float]) -> list[float]:
    """Return every n-th value, few enough for an axis."""
    return values[:: math.ceil(len(values) / MAX_TICKS)]


def _linear_step(high: float) -> float:
    return next(step for step in _round_steps(high / 10, high, (1, 2, 5)) if high <= (MAX_TICKS - 2) * step)


def _round_steps(low: float, high: float, digits: Sequence[int]) -> list[float]:
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    # Through text, since 2 * 10.0**-3 is not the number that is written 0.002.
    return [float(f"{digit}e{exponent}") for exponent in exponents for digit in digits]


def _within_ends(scale: Scale, values: list[float]) -> list[float]:
    return [value for value in values if scale.low <= value <= scale.high]


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def labels_beside(marks: Sequence[Point], names: Sequence[str], *, area: Box, lines: Sequence[Box]) -> list[Label]:
    """Put each name beside, above or below its mark, clear of marks and lines; in a crowd only the first word is left."""
    taken = [*(mark_box(mark) for mark in marks), *lines]
    labels = []
    for mark, name in zip(marks, names, strict=True):
        places = (*_places(mark, name), *_places(mark, name.split(" ", 1)[0]))
        label = first_free([label for label in places if _inside(label_box(label), area)], taken)
        taken.append(label_box(label))
        labels.append(label)
    return labels


def first_free(labels: Sequence[Label], taken: Sequence[Box]) -> Label:
    """Return the first label that is clear of what is taken, or the last one, which then overlaps."""
    free = [label for label in labels if not any(_overlap(label_box(label), box) for box in taken)]
    return (free or labels[-1:])[0]


def mark_box(mark: Point) -> Box:
    """Return the room that a mark and its whisker take."""
    return mark.x - 6, min(mark.y_high, mark.y - 6), mark.x + 6, max(mark.y_low, mark.y + 6)


def label_box(label: Label) -> Box:
    """Return the room that a label takes."""
    width = CHARACTER_WIDTH * len(label.text)
    left = label.x if label.anchor == "start" else label.x - width
    return left, label.y - LINE_HEIGHT + 4, left + width, label.y + 4


def _places(mark: Point, text: str) -> list[Label]:
    heights = ((12, mark.y + 4), (6, mark.y_high - 5), (6, mark.y_low + LINE_HEIGHT))
    sides = ((1, "start"), (-1, "end"))
    return [
        Label(x=round(mark.x + side * gap, 1), y=round(y, 1), anchor=anchor, text=text)
        for gap, y in heights
        for side, anchor in sides
    ]


def _inside(box: Box, area: Box) -> bool:
    # A mark on an edge of the area may carry a label that is a line beyond it.
    return box[0] >= area[0] and box[1] >= area[1] - LINE_HEIGHT and box[2] <= area[2] and box[3] <= area[3] + LINE_HEIGHT


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def spread(positions: Sequence[float], *, low: float, high: float) -> list[float]:
    """Return the positions a line apart, or evenly where there is no room, in the same order and between the two ends."""
    gap = min(LINE_HEIGHT, (high - low) / max(len(positions), 1))
    order = sorted(range(len(positions)), key=positions.__getitem__)
    moved = list(positions)
    floor = low
    for rank, index in enumerate(order):
        ceiling = high - gap * (len(order) - 1 - rank)
        moved[index] = min(max(positions[index], floor), ceiling)
        floor = moved[index] + gap
    return moved
