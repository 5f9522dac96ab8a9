"""When the cores stand still: a watcher that looks at nothing but the clock. What the host does is left when all else is taken out.

A thread that finds the clock further than a moment ago was either kept from its core by another of this machine's threads, which the
kernel counts, or the core itself stood still: the host ran something else on it.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from advisor.kernels import core_ping
from advisor.measure.runtime import cores
from advisor.schema.profile import Stalls

# Interrupts take microseconds, and timers end up to 50 us late. A clock that goes on by more has stood still.
SHORTEST_S = 0.0002
# Some 10 us of work 500 times a second: half a hundredth of a core.
SLEEP_S = 0.002
LONGEST_LOOK_S = 0.1
DIGITS = 4  # of a gap


class OwnWaiting:
    """How long the calling thread has waited for a core, since it was started; read in microseconds, from one descriptor."""

    def __init__(self) -> None:
        """Raise OSError where the kernel hides it."""
        self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def read_s(self) -> float:
        """Return the seconds so far."""
        return int(os.pread(self._file, 64, 0).split()[1]) / 1e9

    def __enter__(self) -> "OwnWaiting":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def watch(seconds: float, core: int) -> Stalls | None:
    """Return the stalls of a core by a watcher that keeps it busy for so many seconds; None where the kernel hides what waiting was."""
    with cores.pinned([core]):
        return _watched(lambda looked_s: seconds - looked_s, sleep_s=0.0)


@contextlib.contextmanager
def beside() -> Iterator[list[Stalls]]:
    """Watch while the body runs, by a thread that sleeps nearly all the time; what it saw is in the list afterwards, if anything could be.

    Of a stall that begins while the watcher sleeps only what is left at its end shows. Half of the sleep is added, which is right on
    average, and stalls shorter than that are not counted.
    """
    found: list[Stalls] = []
    is_over = threading.Event()

    def look() -> None:
        seen = _watched(lambda _: 0.0 if is_over.is_set() else LONGEST_LOOK_S, sleep_s=SLEEP_S)
        found.extend([] if seen is None else [seen])

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        is_over.set()
        watcher.join()


def _watched(left_s: Callable[[float], float], *, sleep_s: float) -> Stalls | None:
    """Watch from the calling thread as long as anything is left, by the seconds looked so far.

    Gaps are taken less what the thread waited for a core in them, and only time in which it had its core was watched.
    """
    try:
        waiting = OwnWaiting()
    except OSError:
        return None
    gaps_s: list[float] = []
    watched_s = looked_s = 0.0
    with waiting:
        before_s = waiting.read_s()
        while (limit_s := left_s(looked_s)) > 0:
            gap_s, took_s = core_ping.stand_still(shortest_s=SHORTEST_S, limit_s=limit_s, sleep_s=sleep_s)
            after_s = waiting.read_s()
            waited_s = after_s - before_s
            before_s = after_s
            looked_s += took_s
            watched_s += max(took_s - waited_s, 0.0)
            if gap_s - waited_s > SHORTEST_S:
                gaps_s.append(gap_s - waited_s + sleep_s / 2)
    # Both to the same digits, or a gap that is just long enough would be shorter than the shortest.
    shortest_s, *gaps_s = (float(f"{each_s:.{DIGITS}g}") for each_s in (SHORTEST_S + sleep_s / 2, *gaps_s))
    return Stalls(watched_s=watched_s, gaps_s=tuple(gaps_s), shortest_s=shortest_s)
