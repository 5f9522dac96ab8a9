"""Two estimates of one figure: whether they differ beyond their intervals, and by how much."""

import math
from typing import Literal, NamedTuple

from advisor.schema.gate.comparison import Outcome
from advisor.schema.record import Estimate

Scale = Literal["parts", "difference"]  # a change counts in parts of the older value, or as it is


class Change(NamedTuple):
    """A change towards the worse: below 0 it is one to the better. `half_width` is that of its 90 % interval.

    In parts both are logarithms, so that a rise and the fall that undoes it are of one size.
    """

    worse_by: float
    half_width: float
    is_shown: bool  # the intervals have nothing in common


def outcome(old: Estimate, new: Estimate, *, is_worse_when_higher: bool) -> Outcome:
    """Return how a figure has changed: where the intervals touch, it is the same."""
    if new.low > old.high:
        return "worse" if is_worse_when_higher else "better"
    if new.high < old.low:
        return "better" if is_worse_when_higher else "worse"
    return "same"


def shown_change(old: Estimate, new: Estimate, scale: Scale) -> float | None:
    """Return the change of the values, in parts of the older one or as it is; None where there are no parts of it."""
    if scale == "difference":
        return new.value - old.value
    if old.value == 0:
        return 0.0 if new.value == 0 else None
    parts = new.value / old.value - 1.0
    return parts if math.isfinite(parts) else None


def change(old: Estimate, new: Estimate, scale: Scale, *, is_worse_when_higher: bool) -> Change:
    """Return the change, its errors taken for independent; its half width is infinite where an end is not above 0 and parts are asked for.

    Figures of one machine share errors, such as what a server adds: a difference is known better than this says, never worse.
    """
    sign = 1.0 if is_worse_when_higher else -1.0
    is_shown = outcome(old, new, is_worse_when_higher=is_worse_when_higher) != "same"
    if old.value == new.value:
        return Change(0.0, 0.0, is_shown)
    if scale == "difference":
        return Change(sign * (new.value - old.value), math.hypot(_half(old), _half(new)), is_shown)
    if min(old.low, new.low, old.value, new.value) <= 0:
        return Change(sign * math.copysign(math.inf, new.value - old.value), math.inf, is_shown)
    return Change(sign * (math.log(new.value) - math.log(old.value)), math.hypot(_half_log(old), _half_log(new)), is_shown)


def _half(it: Estimate) -> float:
    return (it.high - it.low) / 2


def _half_log(it: Estimate) -> float:
    return (math.log(it.high) - math.log(it.low)) / 2
