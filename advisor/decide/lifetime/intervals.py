"""One rule for every interval: each input is moved to its ends by itself, and what that changes is added up by squares.

The inputs are taken to be independent. Costs are compared on a logarithmic scale and shares by their odds, so that no interval
leaves what is possible. Where a cost goes in steps, of whole replicas, several inputs may each take the same step by themselves: its
interval ends where all of them together lead. A sum of costs lies at neither end below any of its parts with the least that the others
can be, as it does in every draw of the inputs.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from advisor.schema.record import Basis, Estimate

LARGEST_LOGARITHM = 690.0  # beyond, there are no floats; no cost is a googol


class Ends(NamedTuple):
    """A figure with the ends of its interval."""

    value: float
    low: float
    high: float


class Moved(NamedTuple):
    """What a cost is with one input at an end of its interval."""

    name: str
    end: float
    usd: float


class Part(NamedTuple):
    """A part of a sum: its interval, and what it is never less than."""

    ends: Ends
    least: float


def of_cost(value: float, at_ends: Sequence[float]) -> Ends:
    """Return the interval of a cost; `at_ends` are the costs with one input at an end of its interval each."""
    return _spread(value, at_ends, math.log, _exp)


def of_steps(compute: Callable[[Mapping[str, float]], float | None], x: Mapping[str, float], moved: Sequence[Moved]) -> Part:
    """Return the interval of a cost that may go in steps; `moved` are all ends of what moves it, also those that do not move it alone.

    Raises ValueError for a cost that is not known.
    """
    value = compute(x)
    if value is None:
        raise ValueError("a cost that is not known has no interval")
    found = of_cost(value, [each.usd for each in moved])
    least = _farthest(compute, x, value, moved, found.low, 1)
    most = _farthest(compute, x, value, moved, found.high, -1)
    return Part(Ends(value, max(found.low, least), min(found.high, most)), min(found.low, least) if moved else value)


def _farthest(
    compute: Callable[[Mapping[str, float]], float | None],
    x: Mapping[str, float],
    value: float,
    moved: Sequence[Moved],
    wanted: float,
    sign: int,
) -> float:
    """Return how far down (sign 1) or up (-1) the inputs lead together, or `wanted` if they lead so far.

    Inputs are moved one beside the other, what moves the cost most alone before the others: no other order is tried.
    """
    helpful = {each.name: each.end for each in sorted(moved, key=lambda it: -sign * it.usd) if sign * each.usd < sign * value}
    together = compute({**x, **helpful})
    if together is not None and sign * together <= sign * wanted:
        return wanted
    at, best = x, value
    for each in sorted(moved, key=lambda it: sign * it.usd):
        trial = {**at, each.name: each.end}
        usd = compute(trial) if sign * each.usd <= sign * value else None
        if usd is not None and sign * usd < sign * best:
            at, best = trial, usd
    return best


def of_share(share: float, at_ends: Sequence[float]) -> Ends:
    """Return the interval of a share."""
    return _spread(share, at_ends, _odds, _share)


def of_sum(value: float, at_ends: Sequence[float], parts: Iterable[Part]) -> Ends:
    """Return the interval of a sum of costs, none of which is negative."""
    found, each = of_cost(value, at_ends), list(parts)
    least = math.fsum(part.least for part in each)
    low = max((found.low, *(part.ends.low + least - part.least for part in each)))
    high = max((found.high, *(part.ends.high + least - part.least for part in each)))
    return Ends(value, min(value, low), max(value, high))


def of_saving(value: float, at_ends: Sequence[float], together: tuple[float, float], most: float) -> Ends:
    """Return the interval of a saving, which may be negative.

    `together` are the savings with all inputs at their unfavorable and at their favorable ends: nothing lies beyond these. No more
    is saved than `most`, the upper end of what is paid today.
    """
    up, down = (math.hypot(*(end - value for end in at_ends if (end > value) == is_up)) for is_up in (True, False))
    least, best = min((value, *at_ends, *together)), max((value, *at_ends, *together))
    return Ends(value, max(value - down, least), max(value, min(value + up, best, most)))


def estimate(ends: Ends, basis: Basis, source: str) -> Estimate:
    """Return the figure as a record."""
    return Estimate(value=ends.value, low=ends.low, high=ends.high, basis=basis, source=source)


def _spread(value: float, at_ends: Sequence[float], to_scale: Callable[[float], float], back: Callable[[float], float]) -> Ends:
    if not _is_inside(value, to_scale):
        return Ends(value, min((value, *at_ends)), max((value, *at_ends)))
    center = to_scale(value)
    differences = [to_scale(end) - center for end in at_ends if _is_inside(end, to_scale)]
    up, down = (math.hypot(*(part for part in differences if part * sign > 0)) for sign in (1, -1))
    # There and back a figure may change in its last digit: one that nothing moves is exact. An end at which it is 0, or all, has no
    # place on the scale, and is an end of the interval.
    beyond = [value, *(end for end in at_ends if not _is_inside(end, to_scale))]
    low, high = (back(center - down) if down else value), (back(center + up) if up else value)
    return Ends(value, min(low, *beyond), max(high, *beyond))


def _is_inside(value: float, to_scale: Callable[[float], float]) -> bool:
    return value > 0 and (to_scale is not _odds or value < 1)


def _exp(logarithm: float) -> float:
    return math.exp(min(logarithm, LARGEST_LOGARITHM))


def _odds(share: float) -> float:
    return math.log(share / (1 - share))


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0
