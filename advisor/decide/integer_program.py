"""The one doorway to SciPy and its solver HiGHS: what to do of many things at the most gain, how many of each at the least cost."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-6  # HiGHS keeps constraints to about so much
PART_OF_A_LIMIT = 1e-6
TRIES = 3


class Limit(NamedTuple):
    """What all that is chosen may take together, of something that each takes a part of."""

    taken: Sequence[float]
    at_most: float


class Answer(NamedTuple):
    """What is chosen, its gain, and what no other choice can gain more than."""

    chosen: tuple[int, ...]
    gain: float
    bound: float


class Mix(NamedTuple):
    """How many of each option, and what no other numbers of them gain more than."""

    counts: np.ndarray
    bound: float


class Lowest(NamedTuple):
    """Where the highest of some planes is lowest, and how high it is there."""

    at: np.ndarray
    height: float


def mix(
    gain: np.ndarray,
    taken: np.ndarray,
    group: np.ndarray,
    times: np.ndarray,
    *,
    room: np.ndarray | None = None,
    nodes: int | None,
) -> Mix | None:
    """Return how many of each option (options,) gain most, `times` in each group, with `taken` (limits, options) within `room`.

    `room` is 1 of each limit unless given. Solved to a gap of zero, or to the best within so many `nodes` of the search: the bound says
    which. None where nothing fits, or nothing was found.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    # In units so small that the solver's tolerance is next to nothing of a limit.
    taken = taken / PART_OF_A_LIMIT
    limit = (np.ones(len(taken)) if room is None else room) / PART_OF_A_LIMIT
    at_most = limit
    places = np.arange(len(gain))
    groups = csr_array((np.ones(len(gain)), (group, places)), shape=(len(times), len(gain)))
    bound, counts = None, None
    for _ in range(TRIES):
        constraints = [LinearConstraint(groups, times, times)]
        if len(taken):
            constraints.append(LinearConstraint(csr_array(taken), -np.inf, at_most))
        # The solver minimizes, and stops at its own tolerance unless asked to continue to the end.
        found = milp(
            -gain,
            integrality=np.ones(len(gain)),
            bounds=Bounds(0, times[group]),
            constraints=constraints,
            options={"mip_rel_gap": 0.0} | ({} if nodes is None else {"node_limit": nodes}),
        )
        if found.x is None:
            return None
        counts = np.rint(found.x)
        if bound is None:  # with less room it would be that of another question
            bound = float(gain @ counts) if found.mip_dual_bound is None else -float(found.mip_dual_bound)
        over = taken @ counts - limit
        if not (over > 0).any():
            break
        # It keeps limits to a tolerance: what goes beyond them by that is asked for with so much less of them.
        at_most = at_most - np.maximum(2 * over, TOLERANCE * (over > 0))
    assert counts is not None and bound is not None
    return Mix(counts, max(bound, float(gain @ counts)))


def lowest(planes: Sequence[tuple[float, np.ndarray]], *, most: np.ndarray) -> Lowest:
    """Return where the highest of the planes height + slope @ x is lowest, for x (limits,) from 0 to `most`."""
    from scipy.optimize import linprog

    if not len(most):
        return Lowest(most, max(height for height, _ in planes))
    # In units of the largest height: the solver's tolerances mean the same for every sum of money.
    unit = max(1.0, *(abs(height) for height, _ in planes))
    slopes = np.array([slope for _, slope in planes])
    found = linprog(
        np.append(np.zeros(len(most)), 1.0),
        A_ub=np.column_stack([slopes, -np.ones(len(planes))]),
        b_ub=np.array([-height / unit for height, _ in planes]),
        bounds=[*((0.0, end / unit) for end in most), (None, None)],
    )
    return Lowest(found.x[:-1] * unit, float(found.fun) * unit)


def cheapest_mix(
    usd_per_hour: Sequence[float], capacity_per_s: Sequence[float], *, requests_per_s: float, spare_replicas: int, most: int
) -> tuple[int, ...] | None:
    """Return how many replicas of each option to run, None where `most` of each do not suffice.

    Whatever option loses `spare_replicas` replicas, what is left carries the rate: sum(capacity n) - spare capacity[o] used[o] >= rate for
    every option o, where used[o] is 1 if it has any replicas.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    options = len(usd_per_hour)
    capacity = np.array(capacity_per_s)
    # In units of the rate, so that the solver's tolerances mean the same for every workload.
    share = capacity / requests_per_s
    counts, used = np.eye(options), np.eye(options)
    carries = np.hstack([np.tile(share, (options, 1)), -np.diag(share * spare_replicas)])
    only_if_used = np.hstack([counts, -most * used])
    # At least the spare ones, or losing them would mean nothing.
    at_least = np.hstack([counts, -max(spare_replicas, 1) * used])
    solved = milp(
        np.concatenate([usd_per_hour, np.zeros(options)]),
        constraints=[
            LinearConstraint(carries, lb=1 + TOLERANCE),
            LinearConstraint(only_if_used, ub=0.0),
            LinearConstraint(at_least, lb=0.0),
        ],
        integrality=np.ones(2 * options),
        bounds=Bounds(0, np.concatenate([np.full(options, most), np.ones(options)])),
        options={"mip_rel_gap": 0.0},
    )
    return tuple(round(count) for count in solved.x[:options]) if solved.success else None
