"""One rule for every interval: each input is moved to its ends by itself, and what that changes is added up by squares.

The inputs are taken to be independent. Costs are compared on a logarithmic scale and shares by their odds, so that no interval
leaves what is possible; a sum of costs lies at neither end below any of its parts, as it does in every draw of the inputs.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from advisor.schema.record import Basis, Estimate

LARGEST_LOGARITHM = 690.0  # beyond, there are no floats; no cost is a googol


class Ends(NamedTuple):
    """A figure with the ends of its interval."""

    value: float
    low: float
    high: float


def of_cost(value: float, at_ends: Sequence[float]) -> Ends:
    """Return the interval of a cost; `at_ends` are the costs with one input at an end of its interval each."""
    return _spread(value, at_ends, math.log, _exp)


def of_share(share: float, at_ends: Sequence[float]) -> Ends:
    """Return the interval of a share."""
    return _spread(share, at_ends, _odds, _share)


def of_sum(value: float, at_ends: Sequence[float], parts: Iterable[Ends]) -> Ends:
    """Return the interval of a sum of costs, none of which is negative."""
    found, each = of_cost(value, at_ends), [*parts, Ends(value, 0.0, 0.0)]
    return Ends(value, min(value, max(found.low, *(part.low for part in each))), max(found.high, *(part.high for part in each)))


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
