"""Cost against a time that users wait for: a mark for each configuration, numbered, with what it loses or runs on as the color."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from advisor import units
from advisor.schema.record import Estimate
from advisor.tell.charts.compared import Limit
from advisor.tell.charts.drawing import (
    DOTS,
    SECONDS,
    USD,
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
from advisor.tell.charts.palette import ACCENT, INK, SOFT, light
from advisor.tell.charts.scales import part, scale_over
from advisor.tell.options import NEEDED_TODAY, TODAY

HEIGHT = 300
NEAR = (0.03, 0.05)  # of both axes: marks as near as this share their words
ON_THE_RIGHT = 0.6  # of the axis: from there on words stand before their mark
# Of the width of a chart of 500 pixels, and of the height: what words take, and how near to them a mark is hidden.
WORDS_BEGIN, CHARACTER = 0.024, 0.013
LINE_PX, HIDDEN = 14, 0.04
# What is said beside a mark, for it is what a reader looks for; the table has the rest.
SAID = {TODAY: "today", NEEDED_TODAY: "today", **{role: role for role in ("recommended", "most likely", "nearest miss")}}


Place = tuple[float, float]  # parts of the two axes


class Mark(NamedTuple):
    """A configuration; its row in the table is its place among all."""

    cost_usd: float
    time_s: Estimate
    series: str
    roles: tuple[str, ...]
    on_frontier: bool


class Titles(NamedTuple):
    """What the axes are called."""

    cost: str
    time: str


def shown_by(marks: Sequence[Mark], what: str, time: str, color: str, target: Limit) -> str:
    """Return in a sentence what such a chart shows."""
    dotted = f"; dotted: the lowest {time} at each cost" if len(_stairs(marks)) > 1 else ""
    return f"{units.counted(len(marks), what)} with the 90 % interval of the {time}; color: {color}{dotted}; {target.text}."


def scatter(marks: Sequence[Mark], series: Series, titles: Titles, target: Limit | None) -> Json:
    """Return the specification; dotted is the lowest time that each cost can buy."""
    ends = [end for mark in marks for end in (mark.time_s.value, mark.time_s.low, mark.time_s.high)]
    x = Axis(title=titles.cost, scale=scale_over(mark.cost_usd for mark in marks), written=USD)
    y = Axis(title=titles.time, scale=scale_over([*ends, *([target.at] if target else [])]), written=SECONDS)
    plain = {"x": encoded(x, "x", grid=True), "y": encoded(y, "y", grid=True)}
    encoding = plain | colored(series)
    places = [(part(x.scale, mark.cost_usd), part(y.scale, mark.time_s.value)) for mark in marks]
    words = _words(marks, places)
    beside = _beside(places, words)
    data = [
        {
            "x": mark.cost_usd,
            "series": mark.series,
            "row": row,
            "text": words[row],
        }
        | beside[row]
        | interval_of("y", y, mark.time_s)
        for row, mark in enumerate(marks)
    ]
    chosen = [it for it, mark in zip(data, marks, strict=True) if "recommended" in mark.roles]
    layers = [
        *(limit("y", y, target.at, target.text) if target else []),
        line(_stairs(marks), plain, interpolate="step-after", strokeDash=list(DOTS), strokeWidth=1.2, color=light(SOFT)),
        whiskers(data, encoding, "y"),
        _rings(chosen, plain),
        points(data, encoding, size=80),
        _texts([it for it in data if it["text"]], plain),
    ]
    return specification(layers, height=HEIGHT)


def _rings(chosen: Sequence[Json], encoding: Json) -> Json:
    return points(chosen, encoding, size=260, filled=False, stroke=light(ACCENT), shape="circle", strokeWidth=1.6, tooltip=None)


def _texts(said: Sequence[Json], encoding: Json) -> Json:
    mark = {
        "type": "text",
        "align": {"expr": "datum.side"},
        "dx": {"expr": "datum.side === 'left' ? 12 : -12"},
        "dy": {"expr": "datum.down"},
        "baseline": "middle",
        "color": light(INK),
    }
    return {"data": {"values": list(said)}, "mark": mark, "encoding": encoding | {"text": {"field": "text"}}}


def _beside(places: Sequence[Place], words: Sequence[str]) -> list[Json]:
    """Return on which side of each mark its words stand, and how much lower: where they hide nothing, if there is such a place."""
    found: list[Json] = []
    taken: list[tuple[float, float, float]] = [
        (right, right, up) for right, up in places
    ]  # from where, to where, at which height
    for (right, up), text in zip(places, words, strict=True):
        sides = ("right", "left") if right > ON_THE_RIGHT else ("left", "right")
        chosen = {"side": sides[0], "down": 0}
        for side, down in itertools.product(sides, (0, -LINE_PX, LINE_PX) if text else ()):
            near, far = WORDS_BEGIN, WORDS_BEGIN + CHARACTER * len(text)
            begins, ends = (right + near, right + far) if side == "left" else (right - far, right - near)
            level = up - down / HEIGHT
            is_free = not any(begins <= last and first <= ends and abs(at - level) < HIDDEN for first, last, at in taken)
            if is_free and 0 <= begins and ends <= 1:
                chosen = {"side": side, "down": down}
                taken.append((begins, ends, level))
                break
        found.append(chosen)
    return found


def _words(marks: Sequence[Mark], places: Sequence[Place]) -> list[str]:
    """Return what stands beside each mark: the first of those that lie on each other speaks for all."""
    together: dict[int, list[int]] = {}
    for row, (right, up) in enumerate(places):
        near = (at for at in together if abs(places[at][0] - right) < NEAR[0] and abs(places[at][1] - up) < NEAR[1])
        together.setdefault(next(near, row), []).append(row)
    return [_said(marks, together.get(row, ())) for row in range(len(marks))]


def _said(marks: Sequence[Mark], rows: Sequence[int]) -> str:
    roles = dict.fromkeys(SAID[role] for row in rows for role in marks[row].roles if role in SAID)
    return f"{', '.join(str(row + 1) for row in rows)} {', '.join(roles)}".strip()


def _stairs(marks: Sequence[Mark]) -> list[Json]:
    """Return the lowest time that each cost can buy; what is on the frontier for its quality alone lies above."""
    lowest: list[Json] = []
    for mark in marks:
        if mark.on_frontier and (not lowest or mark.time_s.value < lowest[-1]["y"]):
            lowest.append({"x": mark.cost_usd, "y": mark.time_s.value})
    return lowest
