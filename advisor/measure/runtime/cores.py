"""The cores under the measurement: threads kept on some of them, and how far apart two of them are at the moment.

Where the system does not let a thread choose its cores, nothing is pinned and no distance is known.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence

import numpy as np

from advisor.kernels import core_ping
from advisor.measure.runtime.machine import usable_cores

# 100 blocks of 400 hops: 1 to 10 ms. The median of the blocks is untouched by those in which a side had lost its core.
BLOCKS = 100
HOPS_THERE = 200
LIMIT_S = 0.05
ENOUGH_BLOCKS = 5
CELLS = 33  # the middle one has a cache line to itself, of 128 bytes even


@contextlib.contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Keep the calling thread, and the threads that it starts, on these cores while the body runs."""
    before = _pin(cores)
    try:
        yield
    finally:
        if before is not None:
            _pin(before)


def _pin(cores: Sequence[int]) -> list[int] | None:
    """Return the cores that the calling thread had before, None if it could not be moved."""
    try:
        before = usable_cores()
        os.sched_setaffinity(0, cores)
    except (AttributeError, OSError, ValueError):  # not Linux, a sandbox that forbids it, a core taken away meanwhile
        return None
    return before


def places(usable: list[int], *, threads: int, instances: int) -> list[list[int]]:
    """Return which of the usable cores each instance has: its own where several run side by side, all of them where they do not suffice.

    A lone instance may use any core. Held on one, it was not faster in undisturbed visits, and a third fewer visits were undisturbed,
    since it could not leave a core that somebody else began to use. Side by side, two free threads often shared one core instead.
    """
    if instances == 1 or threads * instances > len(usable):
        return [usable] * instances
    return [usable[index * threads : (index + 1) * threads] for index in range(instances)]


def hop_s(cores: Sequence[int]) -> float | None:
    """Return the seconds that a cache line takes from the first of the cores to the last; None where that cannot be known.

    A virtual machine whose cores are moved apart shows it here and, on one thread, nowhere else.
    """
    if len(cores) < 2:
        return None
    cell, ends = np.zeros(CELLS, dtype=np.int64), (cores[0], cores[-1])
    readings = [np.zeros(BLOCKS) for _ in ends]
    finished = [0, 0]

    def bounce(side: int) -> None:
        # Not restored: the thread ends here.
        if _pin([ends[side]]) is not None:
            finished[side] = core_ping.bounce(cell, readings[side], side=side, hops=HOPS_THERE, limit_s=LIMIT_S)

    threads = [threading.Thread(target=bounce, args=(side,)) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if min(finished) < ENOUGH_BLOCKS:
        return None
    return float(np.median(readings[0][: finished[0]]))
