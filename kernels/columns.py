"""What the search kernel reads: the bounds of each point, a column each. Plain Python, for kernel, twin and callers to share."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Columns(NamedTuple):
    """The points of a space, a column (points,) for each of their properties; search.pyx has the inequalities that they stand in.

    A point is all of a candidate but its delay and its replicas: variant, hardware, threads, instances, batch size. The candidates of a
    point have 1..max_replicas replicas and the `delays` entries of `delay_s` (an argument of the kernel) from `first_delay` on.
    Floats are finite and at least 0.
    """

    price_usd_per_hour: NDArray[np.float64]  # of one replica
    load: NDArray[np.float64]  # replicas: servers rest at times if there are more of them than this
    busy: NDArray[np.float64]  # replicas that the least work keeps busy, at most `load`
    floor_s: NDArray[np.float64]  # the least latency of a request that does not wait
    queue_s: NDArray[np.float64]  # replica-seconds: over the replicas that are not busy, the wait for a server
    slack_s: NDArray[np.float64]  # seconds for each replica that this wait may be less
    fill_s: NDArray[np.float64]  # seconds that a batch takes to fill, for each replica that shares the requests
    max_replicas: NDArray[np.intp]  # at least 1
    first_delay: NDArray[np.intp]  # index in delay_s
    delays: NDArray[np.intp]  # how many, at least 1
