"""The one doorway to SciPy and its solver HiGHS: what to do of many things at the most gain, how many of each at the least cost."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-6  # HiGHS keeps constraints to about so much


class Limit(NamedTuple):
    """What all that is chosen may take together, of something that each takes a part of."""

    taken: Sequence[float]
    at_most: float


class Answer(NamedTuple):
    """What is chosen, its gain, and what no other choice can gain more than."""

    chosen: tuple[int, ...]
    gain: float
    bound: float


def choose(gain: Sequence[float], limits: Sequence[Limit], one_of: Sequence[Sequence[int]]) -> Answer | None:
    """Return the choice of most gain within the limits, exactly one of each group; None where there is none.

    Solved to a gap of zero: the bound is the gain but for rounding.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    worth = np.array(gain, dtype=np.float64)
    constraints = [LinearConstraint(np.array([limit.taken]), -np.inf, limit.at_most) for limit in limits]
    if one_of:
        groups = np.zeros((len(one_of), len(worth)))
        for row, members in enumerate(one_of):
            groups[row, list(members)] = 1.0
        constraints.append(LinearConstraint(groups, 1.0, 1.0))
    # The solver minimizes, and stops at its own tolerance unless asked to continue to the end.
    found = milp(
        -worth, integrality=np.ones(len(worth)), bounds=Bounds(0, 1), constraints=constraints, options={"mip_rel_gap": 0.0}
    )
    if found.x is None:
        return None
    chosen = tuple(int(index) for index in np.flatnonzero(found.x > 0.5))
    total = float(worth[list(chosen)].sum())
    bound = total if found.mip_dual_bound is None else max(total, -float(found.mip_dual_bound))
    return Answer(chosen=chosen, gain=total, bound=bound)


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
