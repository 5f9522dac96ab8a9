"""The one doorway to scipy and its solver HiGHS: which of many things to do, each wholly or not at all, at the most gain."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from advisor.errors import InputError


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

    Solved to a gap of zero: the bound is the gain but for rounding. Raises InputError where scipy is not installed.
    """
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
    except ImportError as error:
        raise InputError("the solver is not installed", hint="pip install 'serving-advisor[portfolio]'") from error

    worth = np.array(gain, dtype=np.float64)
    constraints = [LinearConstraint(np.array([limit.taken]), -np.inf, limit.at_most) for limit in limits]
    if one_of:
        groups = np.zeros((len(one_of), len(worth)))
        for row, members in enumerate(one_of):
            groups[row, list(members)] = 1.0
        constraints.append(LinearConstraint(groups, 1.0, 1.0))
    # The solver minimizes, and stops at its own tolerance unless it is told to go on to the end.
    found = milp(
        -worth, integrality=np.ones(len(worth)), bounds=Bounds(0, 1), constraints=constraints, options={"mip_rel_gap": 0.0}
    )
    if found.x is None:
        return None
    chosen = tuple(int(index) for index in np.flatnonzero(found.x > 0.5))
    total = float(worth[list(chosen)].sum())
    bound = total if found.mip_dual_bound is None else max(total, -float(found.mip_dual_bound))
    return Answer(chosen=chosen, gain=total, bound=bound)
