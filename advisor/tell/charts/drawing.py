"""Marks and axes -> a Vega-Lite specification, and the record of a chart with the table that lies behind it.

Names of variants, models and devices go into the data and into the domains of scales, never into a field, a title or an expression:
whatever is in them stays text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from advisor.schema.record import Estimate, Record
from advisor.tell.charts.palette import INK, LINE, SOFT, light
from advisor.tell.charts.scales import Scale, held, part
from advisor.tell.words.figures import Row

Json = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # of equal widths: text lies in the browser as it lies in the picture
FONT_SIZE = 12
WIDE, HALF, NARROW = 720, 430, 360  # of pictures; in the browser a chart is as wide as its place
DASHES, DOTS = (5, 3), (1.5, 3)

# How the values of an axis are written, as the figures of the tables are.
_THREE = ",.3~r"
NUMBER = f"format(datum.value, '{_THREE}')"
RATIO = f"{NUMBER} + '×'"
PERCENT = f"format(datum.value * 100, '{_THREE}') + ' %'"
SECONDS = (
    f"datum.value === 0 ? '0' : datum.value < 1e-3 ? format(datum.value * 1e6, '{_THREE}') + ' µs' : "
    f"datum.value < 1 ? format(datum.value * 1e3, '{_THREE}') + ' ms' : datum.value < 120 ? format(datum.value, '{_THREE}') + ' s' : "
    f"datum.value < 3600 ? format(datum.value / 60, '{_THREE}') + ' min' : format(datum.value / 3600, '{_THREE}') + ' h'"
)
BYTES = (
    f"datum.value === 0 ? '0' : datum.value < 1e6 ? format(datum.value / 1e3, '{_THREE}') + ' kB' : "
    f"datum.value < 1e9 ? format(datum.value / 1e6, '{_THREE}') + ' MB' : "
    f"datum.value < 1e12 ? format(datum.value / 1e9, '{_THREE}') + ' GB' : format(datum.value / 1e12, '{_THREE}') + ' TB'"
)
USD = (
    "datum.value === 0 ? '$0' : abs(datum.value) >= 1e6 ? '$' + format(datum.value / 1e6, ',.3~r') + ' M' : "
    "'$' + format(datum.value, abs(datum.value) < 100 ? '.2~f' : ',.0f')"
)
SMALL_USD = "'$' + format(datum.value, ',.2~r')"

CONFIG: Json = {
    "aria": False,  # the chart has one name, and its table is what can be read
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "domainColor": light(LINE),
        "gridColor": light(LINE),
        "tickColor": light(LINE),
        "labelColor": light(SOFT),
        "titleColor": light(SOFT),
        "labelFontSize": FONT_SIZE,
        "titleFontSize": FONT_SIZE,
        "titleFontWeight": "normal",
        "labelLimit": 230,
    },
    "legend": {
        "orient": "top",
        "direction": "vertical",
        "titleColor": light(SOFT),
        "titleFontWeight": "normal",
        "titleFontSize": FONT_SIZE,
        "labelColor": light(INK),
        "labelFontSize": FONT_SIZE,
        "labelLimit": 300,
        "rowPadding": 3,
        "symbolStrokeWidth": 0,
    },
    "text": {"color": light(INK), "fontSize": FONT_SIZE, "font": FONT},
}
Channel = Literal["x", "y"]


class Chart(Record, frozen=True, kw_only=True):
    """A chart: its name, what it shows in a sentence, how it is drawn, and the table of its figures.

    Each mark that stands for a figure has the number of its row in the table, as `row`.
    """

    id: str
    place: str  # the part of the report that it belongs to
    title: str
    says: str
    width: int  # of a picture
    spec: Json
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


class Axis(Record, frozen=True, kw_only=True):
    """A scale with its title, and how its values are written."""

    title: str
    scale: Scale
    written: str


class Series(Record, frozen=True, kw_only=True):
    """Names with the color and the shape of their marks, as the legend has them."""

    names: tuple[str, ...]
    colors: tuple[str, ...]
    shapes: tuple[str, ...]
    title: str | None = None


def specification(layers: Iterable[Json], *, height: int) -> Json:
    """Return the whole specification; whoever draws it gives it a width."""
    return {
        "$schema": SCHEMA,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 4, "top": 6, "right": 8, "bottom": 4},
        "height": height,
        "config": CONFIG,
        "layer": list(layers),
    }


def encoded(axis: Axis, field: str, *, grid: bool) -> Json:
    """Return the position of a mark on an axis."""
    scale = axis.scale
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"type": "log" if scale.is_log else "linear", "domain": [scale.low, scale.high], "nice": False},
        "axis": {
            "title": axis.title,
            "values": list(scale.ticks),
            "labelExpr": axis.written,
            "grid": grid,
            "labelOverlap": True,
            "labelFlush": False,
        },
    }


def colored(series: Series, *, legend: bool = True) -> Json:
    """Return color and shape of the marks of a series."""
    shown = {"title": series.title} if legend else None

    def channel(values: tuple[str, ...]) -> Json:
        scale = {"domain": list(series.names), "range": list(values)}
        return {"field": "series", "type": "nominal", "scale": scale, "legend": shown}

    return {"color": channel(series.colors), "shape": channel(series.shapes)}


def interval_of(channel: Channel, axis: Axis, estimate: Estimate) -> Json:
    """Return the value and both ends of an estimate as they lie within an axis."""
    return {
        channel: estimate.value,
        f"{channel}_low": held(axis.scale, estimate.low),
        f"{channel}_high": held(axis.scale, estimate.high),
    }


def points(data: Sequence[Json], encoding: Json, *, size: int = 60, **more: Any) -> Json:
    """Return marks that show the row of the table on which they rest when they are pointed at."""
    mark = {"type": "point", "filled": True, "opacity": 1, "size": size, "tooltip": {"content": "data"}, "clip": False} | more
    return {"data": {"values": list(data)}, "mark": mark, "encoding": encoding}


def whiskers(data: Sequence[Json], encoding: Json, channel: Channel) -> Json:
    """Return a thin line from the lower to the upper end of each interval."""
    ends = {
        channel: encoding[channel] | {"field": f"{channel}_low"},
        f"{channel}2": {"field": f"{channel}_high"},
    }
    kept = {name: part for name, part in encoding.items() if name not in (channel, "shape")}
    return {"data": {"values": list(data)}, "mark": {"type": "rule", "strokeWidth": 1.4}, "encoding": kept | ends}


def line(data: Sequence[Json], encoding: Json, **mark: Any) -> Json:
    """Return a line through the points, from left to right."""
    kept = {name: part for name, part in encoding.items() if name != "shape"}
    given = {"type": "line", "strokeWidth": 1.6} | mark
    return {"data": {"values": list(data)}, "mark": given, "encoding": kept}


def limit(channel: Channel, axis: Axis, at: float, text: str, *, aside: bool = False, at_right: bool = False) -> list[Json]:
    """Return a line right across the chart at a value of an axis, with its words; none where the value lies beyond the axis."""
    if not axis.scale.low <= at <= axis.scale.high:
        return []
    data = {"values": [{"at": at, "text": text}]}
    position = {channel: encoded(axis, "at", grid=channel == "y" or not aside)}
    dash = {"strokeDash": list(DOTS if aside else DASHES), "color": light(SOFT if aside else INK), "strokeWidth": 1.3}
    words: Json = {"type": "text", "color": light(SOFT if aside else INK)}
    if channel == "y":
        place = {"align": "right", "dx": -2, "x": "width"} if at_right else {"align": "left", "dx": 4, "x": 0}
        words |= place | {"baseline": "bottom", "dy": -3}
    else:
        words |= {"align": "right" if part(axis.scale, at) > 0.5 else "left", "baseline": "bottom", "dx": 0, "y": -2}
    return [
        {"data": data, "mark": {"type": "rule"} | dash, "encoding": position},
        {"data": data, "mark": words, "encoding": position | {"text": {"field": "text"}}},
    ]


def series_of(names: Mapping[str, tuple[str, str]], title: str | None = None) -> Series:
    """Return a series of names with the color and the shape of each."""
    return Series(
        names=tuple(names),
        colors=tuple(color for color, _ in names.values()),
        shapes=tuple(shape for _, shape in names.values()),
        title=title,
    )
