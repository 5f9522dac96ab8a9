"""How firm a verdict is: asked again with every input moved, and where the nearest change of one that a user can set turns it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from advisor.decide.lifetime.serving_cost import Values
from advisor.decide.verdict.settings import Setting, in_words, settable, within_reach
from advisor.schema.catalog import Class
from advisor.schema.lifetime import USUAL_FACTOR, Flip, Moved
from advisor.schema.record import Estimate

Ask = Callable[[str, float], Class | None]  # the class with one input at another value

LARGEST_STEP = 14  # 2^14: what takes an input sixteen thousand times as large will not happen
CLOSE = 1e-9  # relative: so near to where it turns is exact enough


def moves(figures: Mapping[str, Estimate]) -> tuple[Moved, ...]:
    """Return how far each input is moved: to the ends of its interval, and by the usual factor where a user gave none."""
    x = {name: figure.value for name, figure in figures.items()}
    can_be_set = settable(figures)
    found = []
    for name, figure in sorted(figures.items()):
        if figure.low < figure.high:
            found.append(Moved(input=name, low=figure.low, high=figure.high, has_range=True))
        elif name in can_be_set:
            least, most = within_reach(name, can_be_set[name], x)
            low, high = max(least, figure.value / USUAL_FACTOR), min(most, figure.value * USUAL_FACTOR)
            found.append(Moved(input=name, low=low, high=high, has_range=False))
    return tuple(sorted(found, key=_without_range_first))


def _without_range_first(moved: Moved) -> bool:
    return moved.has_range


def turned_by(x: Values, moved: Sequence[Moved], ask: Ask, now: Class) -> tuple[str, ...]:
    """Return the ends at which the class is another, each input moved by itself, in words."""
    found = []
    for entry in moved:
        for end in dict.fromkeys((entry.low, entry.high)):
            other = ask(entry.input, end) if end != x[entry.input] else now
            if other is not None and other != now:
                found.append(f"{in_words(entry.input, end)}{'' if entry.has_range else ' (no range is given)'}: {other}")
    return tuple(found)


def flips(figures: Mapping[str, Estimate], ask: Ask, now: Class) -> tuple[Flip, ...]:
    """Return the values of single inputs at which the class turns, the nearest by ratio first: of inputs that can be set, within reach.

    Inputs are halved and doubled in step until some turn it; within the step where it turns, by bisection. What turns it twice
    within one step stays unseen. Traffic is followed to the end, for everyone asks about it.
    """
    x = {name: figure.value for name, figure in figures.items()}
    found: list[Flip] = []
    can_be_set = settable(figures)
    movable = [(name, factor) for name in can_be_set for factor in (2.0, 0.5)]
    for step in range(LARGEST_STEP):
        for name, factor in list(movable):
            flip = _within(x, name, can_be_set[name], (factor**step, factor ** (step + 1)), ask, now)
            if flip is not None:
                found.append(flip)
                movable.remove((name, factor))
        if found:
            movable = [entry for entry in movable if entry[0] == "requests_per_s" and not _has(found, "requests_per_s")]
    return tuple(sorted(found, key=_distance))


def _has(found: list[Flip], name: str) -> bool:
    return any(flip.input == name for flip in found)


def _distance(flip: Flip) -> float:
    return abs(math.log(flip.at / flip.now))


def _within(x: Values, name: str, setting: Setting, factors: tuple[float, float], ask: Ask, now: Class) -> Flip | None:
    """Return where the class turns between two factors of an input; at the first, nearer to today, it has not turned yet."""
    value = x[name]
    least, most = within_reach(name, setting, x)
    stands, turned = (min(most, max(least, value * factor)) for factor in factors)
    if stands == turned:
        return None
    becomes = ask(name, turned)
    if becomes is None or becomes == now:
        return None
    while abs(turned - stands) > CLOSE * stands:
        middle = (stands + turned) / 2
        other = ask(name, middle)
        if other is None:
            return None  # between today and where it turns lies what cannot be
        if other == now:
            stands = middle
        else:
            turned, becomes = middle, other
    direction: Literal["below", "above"] = "below" if turned < stands else "above"
    return Flip(
        input=name,
        key=setting.key,
        now=value,
        at=stands,
        direction=direction,
        becomes=becomes,
        told=f"{direction} {in_words(name, stands)}",
    )
