"""The doorway to HiGHS, through SciPy: how many replicas of each option serve a rate at the least cost."""

from collections.abc import Sequence

import numpy as np

TOLERANCE = 1e-6  # HiGHS keeps constraints to about so much


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
