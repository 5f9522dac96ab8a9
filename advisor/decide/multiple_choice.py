"""Exactly one of each group at the most gain within a few limits: the multiple-choice knapsack, for tens of thousands of groups.

Lagrangian relaxation prices the limits (Fisher 1981) and bounds what any choice can gain. Whatever loses more at these prices than the
bound lies above the best choice found so far is in no better one and is fixed (reduction as in Pisinger 1995); what is left, mostly a few
dozen groups, is solved exactly as an integer program. Equal groups are one with a number: they would differ in nothing but their order.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from advisor.decide import integer_program
from advisor.decide.integer_program import Answer, Limit

ROUNDING = 1e-9  # of sums of gains, in parts of them
FIRST_CORE = 400  # options of the program that a better choice is looked for with, before what remains is fixed
MOST_NODES = 50_000  # of the program's search: where that does not suffice, the bound says what may be missed
PASSES = 20
TOO_MUCH = 2.0  # of a limit


class _Options(NamedTuple):
    """All options, those of a group side by side; equal groups once, `times` how often (groups,)."""

    gain: np.ndarray  # (options,)
    taken: np.ndarray  # (limits, options), in parts of the limit
    first: np.ndarray  # (groups,) where the options of each begin
    group: np.ndarray  # (options,)
    times: np.ndarray
    as_given: tuple[tuple[tuple[int, ...], ...], ...]  # per group: of each equal one, the options by their places as given

    def value(self, counts: np.ndarray) -> float:
        """Return the gain of so many of each option."""
        return math.fsum((self.gain * counts)[counts > 0])

    def fits(self, counts: np.ndarray) -> bool:
        """Return whether so many of each option are within the limits."""
        return bool(np.all(self.taken @ counts <= 1.0))


class _Prices(NamedTuple):
    """Prices of the limits, what no choice can gain more than, and what each option loses at them beside the best of its group."""

    of_limits: np.ndarray
    bound: float
    loss: np.ndarray


def choose(gain: Sequence[float], limits: Sequence[Limit], one_of: Sequence[Sequence[int]]) -> Answer | None:
    """Return the choice of most gain within the limits, exactly one of each group; None where there is none.

    Every option is in one group. The bound is the gain but for rounding where the search came to its end, else it says what a better
    choice could gain at most.
    """
    options = _without_the_dominated(np.asarray(gain, dtype=np.float64), limits, one_of)
    prices = _priced(options)
    found = _feasible(options, prices)
    if found is None:
        return None
    found = _upgraded(options, prices, found)
    found = _better(options, prices, found, FIRST_CORE)[0]
    found, bound = _better(options, prices, found, None)
    total = options.value(found)
    return Answer(chosen=_as_given(options, found), gain=total, bound=max(total, bound))


def _without_the_dominated(gain: np.ndarray, limits: Sequence[Limit], one_of: Sequence[Sequence[int]]) -> _Options:
    """Return the options but for those that gain no more than another of their group and take no less of anything."""
    taken = np.array([_in_parts(limit) for limit in limits]).reshape(len(limits), len(gain))
    equal: dict[bytes, list[tuple[int, ...]]] = {}
    for members in one_of:
        rows = np.column_stack([-gain[list(members)], taken[:, list(members)].T])
        left = _least(rows)
        # What is dominated lies elsewhere in each of equal groups: each keeps the places of its own.
        equal.setdefault(rows[left].tobytes(), []).append(tuple(members[at] for at in left))
    groups = tuple(map(tuple, equal.values()))
    places = [place for group in groups for place in group[0]]
    sizes = [len(group[0]) for group in groups]
    return _Options(
        gain=gain[places],
        taken=taken[:, places],
        first=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int),
        group=np.repeat(np.arange(len(groups)), sizes),
        times=np.array([len(group) for group in groups]),
        as_given=groups,
    )


def undominated(options: Sequence[tuple[float, ...]]) -> list[int]:
    """Return which of some options (gain, what it takes of each limit) no other one beats: gains as much, and takes no more of anything."""
    rows = np.array(options)
    rows[:, 0] *= -1
    return [int(place) for place in _least(rows)]


def _in_parts(limit: Limit) -> np.ndarray:
    """Return what each takes in parts of the limit; however small that is, more than all of it is too much."""
    taken = np.asarray(limit.taken, dtype=np.float64)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return np.where(taken > limit.at_most, TOO_MUCH, np.where(taken > 0, taken / limit.at_most, 0.0))


def _least(rows: np.ndarray) -> np.ndarray:
    """Return the rows, in their order, that no other row is at most as large as in everything; of equal ones the first."""
    no_more = (rows[:, None, :] <= rows[None, :, :]).all(axis=2)  # entry i, j: i is at most j
    earlier = np.arange(len(rows))[:, None] < np.arange(len(rows))[None, :]
    dominates = no_more & (~no_more.T | earlier)
    return np.flatnonzero(~dominates.any(axis=0))


def _priced(options: _Options) -> _Prices:
    """Return the prices at which the bound is least, found by cutting planes (Kelley 1960): a plane for each price that was tried."""
    limits = len(options.taken)
    at, best = np.zeros(limits), None
    planes: list[tuple[float, np.ndarray]] = []
    for _ in range(200):
        prices = _at(options, at)
        best = prices if best is None or prices.bound < best.bound else best
        chosen = np.zeros(len(options.gain))
        chosen[_best_of_each(options, at)] = options.times
        slope = 1.0 - options.taken @ chosen
        planes.append((prices.bound - float(slope @ at), slope))
        found = integer_program.lowest(
            planes, most=np.full(limits, 1.0 + float(np.abs(options.gain) @ options.times[options.group]))
        )
        if best.bound - found.height <= ROUNDING * (1 + abs(best.bound)):
            break
        at = found.at
    assert best is not None
    return best


def _best_of_each(options: _Options, prices: np.ndarray) -> np.ndarray:
    worth = options.gain - prices @ options.taken
    most = np.maximum.reduceat(worth, options.first)
    is_best = worth == most[options.group]
    places = np.flatnonzero(is_best)
    return places[np.unique(options.group[places], return_index=True)[1]]


def _at(options: _Options, prices: np.ndarray) -> _Prices:
    worth = options.gain - prices @ options.taken
    most = np.maximum.reduceat(worth, options.first)
    bound = math.fsum(most * options.times) + float(prices.sum())
    return _Prices(prices, bound, most[options.group] - worth)


def _feasible(options: _Options, prices: _Prices) -> np.ndarray | None:
    """Return how many of each option a choice within the limits has: the best at prices as far above these as it takes."""

    def at(factor: float) -> np.ndarray:
        counts = np.zeros(len(options.gain))
        spent = (prices.of_limits + (factor > 0) * ROUNDING * (1 + abs(prices.bound))) * (1 + factor)
        counts[_best_of_each(options, spent)] = options.times
        return counts

    dearer = next((factor for factor in (0.0, *(2.0**power for power in range(-30, 60, 2))) if options.fits(at(factor))), None)
    if dearer is not None:
        return at(dearer)
    # The limits are in each other's way, or there is nothing within them.
    found = integer_program.mix(np.zeros(len(options.gain)), options.taken, options.group, options.times, nodes=None)
    return None if found is None or not options.fits(found.counts) else found.counts


def _upgraded(options: _Options, prices: _Prices, counts: np.ndarray) -> np.ndarray:
    """Return the choice with what is left of the limits spent where it gains most for what it takes."""
    counts = counts.copy()
    weight = np.maximum(prices.of_limits, ROUNDING * (1 + abs(prices.bound)))
    for _ in range(PASSES):
        left = 1.0 - options.taken @ counts
        now = np.flatnonzero(counts)
        # A group of which options are mixed already is gone on with from the last of them.
        current = np.zeros(len(options.times), dtype=int)
        current[options.group[now]] = now
        more = options.gain - options.gain[current[options.group]]
        takes = options.taken - options.taken[:, current[options.group]]
        moves = np.flatnonzero(more > 0)
        order = moves[np.argsort(-more[moves] / np.maximum(weight @ takes[:, moves], 1e-300))]
        moved: set[int] = set()
        for option in order:
            group = int(options.group[option])
            if group in moved:
                continue
            positive = takes[:, option] > 0
            room = np.min(left[positive] / takes[positive, option]) if positive.any() else math.inf
            units = min(counts[current[group]], math.floor(room))
            if units >= 1:
                counts[option] += units
                counts[current[group]] -= units
                left = left - units * takes[:, option]
                moved.add(group)
        if not moved:
            break
    return counts


def _better(options: _Options, prices: _Prices, counts: np.ndarray, most: int | None) -> tuple[np.ndarray, float]:
    """Return the best choice that differs from the best at these prices in what may be in a better one, and what bounds any other.

    With `most` only so many options are looked at, those that lose least, and the bound is that of the prices.
    """
    value, slack = options.value(counts), ROUNDING * (1 + abs(prices.bound))
    allowed = prices.loss <= prices.bound - value + slack
    if most is not None:
        if allowed.sum() <= most:
            return counts, prices.bound
        allowed &= prices.loss <= np.partition(prices.loss, most)[most]
    allowed[_best_of_each(options, prices.of_limits)] = True
    size = np.add.reduceat(allowed.astype(int), options.first)
    is_open = allowed & (size > 1)[options.group]
    fixed = np.where(allowed & ~is_open, options.times[options.group], 0)
    if not is_open.any():
        return (fixed, options.value(fixed)) if options.fits(fixed) and options.value(fixed) > value else (counts, value)
    core = np.flatnonzero(is_open)
    _, group = np.unique(options.group[core], return_inverse=True)
    times = options.times[np.unique(options.group[core])]
    room = 1.0 - options.taken @ fixed
    found = integer_program.mix(options.gain[core], options.taken[:, core], group, times, room=room, nodes=MOST_NODES)
    bound = prices.bound if found is None or most is not None else max(value, options.value(fixed) + found.bound)
    if found is None:
        return counts, prices.bound if most is not None else value
    made = fixed.astype(float)
    made[core] = found.counts
    return (made, bound) if options.fits(made) and options.value(made) > value else (counts, bound)


def _as_given(options: _Options, counts: np.ndarray) -> tuple[int, ...]:
    """Return the chosen options by their places as given."""
    chosen: list[int] = []
    waiting = list(map(iter, options.as_given))
    for option in np.flatnonzero(counts):
        group = int(options.group[option])
        chosen += [next(waiting[group])[option - options.first[group]] for _ in range(int(counts[option]))]
    return tuple(sorted(chosen))
