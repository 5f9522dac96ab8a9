"""Levers pulled together: which of them exclude each other, in which order they act, and what they save as one."""

import math
from collections.abc import Iterable, Sequence

from advisor.decide.lifetime import cost
from advisor.decide.lifetime.moves import Move
from advisor.decide.lifetime.serving_cost import Values

# Of these only one can be pulled: what the one changes is gone with the other.
EXCLUSIVE = ({"distil", "fine-tune-small"}, {"reserve", "spot"})
ALONE = {"to-api"}  # with it there is nothing left to change
# First what a request asks for, then where it is served and how busy that is, and at last the price of the hours that are left: one
# reserves the devices that were chosen, not those that were given up.
ORDER = (
    *("fine-tune-small", "distil", "quantize", "prefix-cache"),
    *("self-host", "to-api", "other-device", "autoscale"),
    *("reserve", "spot"),
)


def fit_together(ids: Iterable[str]) -> bool:
    """Return whether such levers can be pulled together."""
    pulled = set(ids)
    return not any(len(pulled & group) > 1 for group in EXCLUSIVE) and not (pulled & ALONE and len(pulled) > 1)


def in_order(moves: Iterable[Move]) -> tuple[Move, ...]:
    """Return the levers in the order in which they act; one that has no place there acts before the price of the hours."""
    return tuple(sorted(moves, key=_place))


def _place(move: Move) -> int:
    return ORDER.index(move.lever.id) if move.lever.id in ORDER else ORDER.index("reserve") - 1


def saved_usd(moves: Sequence[Move], x: Values) -> float:
    """Return what the levers save together over the horizon, discounted; 0 where what they change has no known cost."""
    after: Values = x
    for move in in_order(moves):
        after = move.changed(after)
    lines = tuple(sorted({line for move in moves for line in move.lines}))
    before_usd, after_usd = cost.by_month(x, lines), cost.by_month(after, lines)
    return 0.0 if before_usd is None or after_usd is None else math.fsum(before_usd) - math.fsum(after_usd)
