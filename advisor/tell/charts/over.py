"""Figures over something that grows: lines with the intervals of their points, and what they have to stay below."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from advisor.schema.record import Estimate
from advisor.tell.charts.compared import Limit
from advisor.tell.charts.drawing import (
    Axis,
    Json,
    Series,
    colored,
    encoded,
    interval_of,
    limit,
    line,
    points,
    specification,
    whiskers,
)
from advisor.tell.charts.scales import part

HEIGHT = 210
SAID = 0.35  # of the width, that words take


class At(NamedTuple):
    """A point of a line, and the row of the table that has it."""

    series: str
    x: float
    estimate: Estimate
    row: int
    is_interval: bool = False  # its middle is not told
    size: int = 90  # of a mark that stands by itself


class Plot(NamedTuple):
    """What is drawn: lines, and points that stand by themselves; `here` is where the workload is."""

    lines: Sequence[At]
    alone: Sequence[At] = ()
    target: Limit | None = None
    here: Limit | None = None


def over(plot: Plot, series: Series, x: Axis, y: Axis, *, height: int = HEIGHT) -> Json:
    """Return the specification of lines over an axis; no legend where there is one line and nothing else."""
    has_legend = len(series.names) > 1
    encoding = {"x": encoded(x, "x", grid=False), "y": encoded(y, "y", grid=True), **colored(series, legend=has_legend)}

    def data(of: Iterable[At]) -> list[Json]:
        return [{"series": at.series, "x": at.x, "row": at.row} | interval_of("y", y, at.estimate) for at in of]

    lines = data(plot.lines)
    layers = [
        *(limit("y", y, plot.target.at, plot.target.text, at_right=_is_clearer_at_right(plot, x, y)) if plot.target else []),
        *(limit("x", x, plot.here.at, plot.here.text, aside=True) if plot.here else []),
        line(lines, encoding),
        whiskers([*lines, *data(plot.alone)], encoding, "y"),
        points(lines, encoding, size=34),
    ]
    for size in sorted({at.size for at in plot.alone}, reverse=True):
        layers.append(points(data(at for at in plot.alone if at.size == size and not at.is_interval), encoding, size=size))
    return specification(layers, height=height)


def _is_clearer_at_right(plot: Plot, x: Axis, y: Axis) -> bool:
    """Return whether the words of the target are farther from the marks at the right end of the chart than at the left one."""
    if plot.target is None:
        return False
    limit_ = part(y.scale, plot.target.at)
    near = {False: 1.0, True: 1.0}
    for at in (*plot.lines, *plot.alone):
        right = part(x.scale, at.x)
        if abs(right - 0.5) > 0.5 - SAID:
            near[right > 0.5] = min(near[right > 0.5], abs(part(y.scale, at.estimate.value) - limit_))
    return near[True] > near[False]
