"""The charts of a model's life: what it costs by part, and how far each input is from turning the verdict."""

from collections.abc import Sequence

from advisor import units
from advisor.schema.lifetime import Verdict
from advisor.schema.record import Estimate
from advisor.tell.charts import drawing
from advisor.tell.charts.drawing import (
    WIDE,
    Axis,
    Chart,
    Json,
    colored,
    encoded,
    interval_of,
    limit,
    points,
    series_of,
    specification,
)
from advisor.tell.charts.palette import INK, color_of, light
from advisor.tell.charts.scales import linear_scale, log_scale
from advisor.tell.words.figures import Format, Row, figure
from advisor.tell.words.life import MOST_FLIPS

BAR_HEIGHT = 24
KINDS = ("inference", "fine-tuning", "data", "pre-training")  # each with a color of its own
HALF_MORE = 1.5  # the least that an axis of factors reaches, either way


def life_charts(verdict: Verdict) -> tuple[Chart, ...]:
    """Return the charts of a verdict; none where its costs are not known."""
    return tuple(chart for chart in (_cost_chart(verdict), _flip_chart(verdict)) if chart is not None)


def _cost_chart(verdict: Verdict) -> Chart | None:
    """Draw the lines of the lifetime cost that are known, or the shares where the record has no lines."""
    lines = [(it.what, it.kind, it.usd) for it in verdict.lines if it.usd is not None and it.usd.high > 0]
    if lines:
        lines.sort(key=lambda entry: -entry[2].value)
        return _bars(
            lines, title="Lifetime cost by part", unit="cost over the planned life", written=drawing.USD, format_=units.usd
        )
    shares = sorted(((kind, kind, share) for kind, share in verdict.shares.items()), key=lambda entry: -entry[2].value)
    if not shares:
        return None
    return _bars(
        shares, title="Shares of the lifetime cost", unit="share of the cost", written=drawing.PERCENT, format_=units.percent
    )


def _bars(parts: Sequence[tuple[str, str, Estimate]], *, title: str, unit: str, written: str, format_: Format) -> Chart:
    ends = [end for *_, it in parts for end in (it.value, it.high)]
    axis = Axis(title=unit, scale=linear_scale(max(*ends, 1e-9)), written=written)
    data = [
        {"part": name, "series": kind, "row": row, "zero": 0} | interval_of("x", axis, it)
        for row, (name, kind, it) in enumerate(parts)
    ]
    kinds = [kind for kind in KINDS if kind in {it[1] for it in parts}]
    kinds += sorted({kind for _, kind, _ in parts} - set(kinds))
    series = series_of({kind: (color_of(number), "square") for number, kind in enumerate(kinds, start=1)})
    place = {
        "field": "part",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": [name for name, *_ in parts], "paddingInner": 0.35, "paddingOuter": 0.15},
        "axis": {"title": None, "domain": False, "ticks": False, "labelPadding": 8},
    }
    color = colored(series)["color"]
    at = encoded(axis, "x", grid=True)
    bar: Json = {"type": "bar", "tooltip": {"content": "data"}, "height": {"band": 0.8}}
    ends_of = {"x": at | {"field": "x_low"}, "x2": {"field": "x_high"}}
    spec = specification(
        [
            {"data": {"values": data}, "mark": bar, "encoding": {"y": place, "x": at, "x2": {"field": "zero"}, "color": color}},
            {
                "data": {"values": data},
                "mark": {"type": "rule", "color": light(INK), "strokeWidth": 1.4},
                "encoding": {"y": place, **ends_of},
            },
        ],
        height=BAR_HEIGHT * len(parts),
    )
    return Chart(
        id="cost",
        place="life cost",
        title=title,
        says=f"{units.counted(len(parts), 'part')}, the largest first, with 90 % intervals.",
        width=WIDE,
        spec=spec,
        columns=("Part", "Kind", "Cost" if format_ is units.usd else "Share"),
        rows=tuple(Row(label=name, cells=(kind, figure(it, format_))) for name, kind, it in parts),
    )


def _flip_chart(verdict: Verdict) -> Chart | None:
    """Draw by which factor an input would have to change, all others as they are, before the verdict turns."""
    found = [flip for flip in verdict.flips_when[:MOST_FLIPS] if flip.now > 0 and flip.at > 0 and flip.now != flip.at]
    if not found or verdict.robust is None:
        return None
    factors = [flip.at / flip.now for flip in found]
    reach = log_scale(min(*factors, 1 / HALF_MORE), max(*factors, HALF_MORE))
    axis = Axis(title="times what it is now", scale=reach, written=drawing.RATIO)
    data = [
        {"input": flip.input, "x": factor, "one": 1, "series": flip.becomes, "row": row}
        for row, (flip, factor) in enumerate(zip(found, factors, strict=True))
    ]
    sides = list(dict.fromkeys(flip.becomes for flip in found))
    series = series_of({side: (color_of(number), "triangle-up") for number, side in enumerate(sides, start=1)}, title="becomes")
    names = list(dict.fromkeys(flip.input for flip in found))
    place = {
        "field": "input",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": names, "paddingOuter": 0.3},
        "axis": {"title": None, "domain": False, "ticks": False, "labelPadding": 8},
    }
    at = encoded(axis, "x", grid=True)
    channels = colored(series)
    rule: Json = {"y": place, "x": at | {"field": "one"}, "x2": {"field": "x"}, "color": channels["color"]}
    return Chart(
        id="flips",
        place="life flips",
        title="How far the verdict is from turning",
        says="By which factor one input would have to change, all others as they are; the nearest first.",
        width=WIDE,
        spec=specification(
            [
                *limit("x", axis, 1.0, "now"),
                {"data": {"values": data}, "mark": {"type": "rule", "strokeWidth": 2}, "encoding": rule},
                points(data, {"y": place, "x": at, **channels}),
            ],
            height=BAR_HEIGHT * len(names),
        ),
        columns=("Input", "Factor", "The verdict turns", "It becomes"),
        rows=tuple(
            Row(label=flip.input, cells=(f"{units.number(factor)}×", flip.told, flip.becomes))
            for flip, factor in zip(found, factors, strict=True)
        ),
    )
