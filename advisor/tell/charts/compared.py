"""Estimates of the same figures side by side: a row for each figure, a mark with its interval for each of what is compared."""

from collections.abc import Sequence
from typing import NamedTuple

from advisor.schema.record import Estimate
from advisor.tell.charts.drawing import (
    Axis,
    Json,
    Series,
    colored,
    encoded,
    interval_of,
    limit,
    points,
    specification,
    whiskers,
)
from advisor.tell.charts.scales import scale_over

ROW_HEIGHT = 17


class Entry(NamedTuple):
    """A figure of one of what is compared, and the row of the table that has it."""

    figure: str
    series: str
    estimate: Estimate
    row: int
    is_interval: bool = False  # its middle is not told: near saturation a small error moves it a lot


class Limit(NamedTuple):
    """A value that figures have to stay below, and its words."""

    at: float
    text: str


def compared(entries: Sequence[Entry], series: Series, *, title: str, written: str, target: Limit | None) -> Json:
    """Return the specification: the figures downwards in the order in which they come, their values to the right."""
    figures = list(dict.fromkeys(entry.figure for entry in entries))
    ends = [end for entry in entries for end in (entry.estimate.value, entry.estimate.low, entry.estimate.high)]
    axis = Axis(title=title, scale=scale_over([*ends, *([target.at] if target else [])]), written=written)
    data = [
        {"figure": entry.figure, "series": entry.series, "row": entry.row} | interval_of("x", axis, entry.estimate)
        for entry in entries
    ]
    pointed = [it for it, entry in zip(data, entries, strict=True) if not entry.is_interval]
    side = {"field": "series", "type": "nominal", "scale": {"domain": list(series.names), "paddingInner": 0.2}}
    encoding = {
        "y": {
            "field": "figure",
            "type": "nominal",
            "sort": None,
            "scale": {"domain": figures, "paddingInner": 0.25, "paddingOuter": 0.15},
            "axis": {"title": None, "domain": False, "ticks": False, "labelPadding": 8},
        },
        "yOffset": side,
        "x": encoded(axis, "x", grid=True),
        **colored(series),
    }
    beyond = limit("x", axis, target.at, target.text) if target else []
    return specification(
        [*beyond, whiskers(data, encoding, "x"), points(pointed, encoding)],
        height=ROW_HEIGHT * len(figures) * max(len(series.names), 2),
    )
