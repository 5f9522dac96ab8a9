"""The clocks that steps are timed by: that on the wall, and the processor time of the threads at work, which no other process takes.

A core that is shared makes the wall's clock go on while nothing is computed; on one thread the processor's is then within a few percent of
a quiet machine's wall. On several threads it is their time divided by how many they are: exact while all of them compute, or spin.
"""

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self

from advisor.measure.runtime.waiting import Reading, WaitingClock, at_work, waited_s
from advisor.schema.generation import Clock, StepVisit
from advisor.schema.record import SHORTEST_CALL_S
from advisor.visits import CONTAMINATED_FRACTION

Read = Callable[[], float]


class LoopClock(Protocol):
    """What a loop that serves requests lives by: seconds since it began, and waiting for the next request."""

    kind: Clock

    def now_s(self) -> float:
        """Return the seconds so far."""

    def wait_until(self, moment_s: float) -> None:
        """Go on at that moment, at once where it has passed."""


class WallClock:
    """Seconds as users see them; waiting is sleeping."""

    kind: Clock = "wall"

    def __init__(self) -> None:
        self._began_s = time.perf_counter()

    def now_s(self) -> float:
        """Return the seconds since the clock was made."""
        return time.perf_counter() - self._began_s

    def wait_until(self, moment_s: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, moment_s - self.now_s()))


class ProcessorClock:
    """Processor time of the threads at work; idle waits cost nothing and are skipped, so a replay may be over sooner than it says."""

    kind: Clock = "cpu"

    def __init__(self, threads: int, *, read: Read | None = None) -> None:
        """`read` takes the place of the processor time of this process."""
        self._read = read or processor_time(threads)
        self._skipped_s = -self._read()

    def now_s(self) -> float:
        """Return the seconds computed since the clock was made, and those that were skipped."""
        return self._read() + self._skipped_s

    def wait_until(self, moment_s: float) -> None:
        """Skip what is left until then."""
        self._skipped_s += max(0.0, moment_s - self.now_s())


def loop_clock(kind: Clock, threads: int) -> LoopClock:
    """Return a clock of that kind for a loop whose calls keep so many threads at work."""
    return WallClock() if kind == "wall" else ProcessorClock(threads)


def processor_time(threads: int) -> Read:
    """Return what reads the processor time of calls from this thread, which keep so many threads at work, by how many they are."""
    if threads == 1:
        return time.thread_time
    return lambda: time.process_time() / threads


class Laps:
    """The times of calls one after the other, by all clocks at once; use as a context manager around them."""

    def __init__(self, threads: int, *, wall: Read = time.perf_counter, cpu: Read | None = None) -> None:
        """With a `cpu` of somebody else's nothing is asked of the kernel, and what waited is not known."""
        self._is_alone = threads == 1
        self._wall, self._cpu = wall, cpu or processor_time(threads)
        self._waiting = WaitingClock(at_work(set(), threads) if cpu is None else ())
        self.wall_s: list[float] = []
        self._cpu_s: list[float] = []
        self._readings: list[Reading] = []

    def __enter__(self) -> Self:
        self._readings.append(self._waiting.read())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._waiting.close()

    def take(self, call: Callable[[], object]) -> None:
        """Make the call and note how long it took."""
        cpu_s, wall_s = self._cpu(), self._wall()
        call()
        wall_s, cpu_s = self._wall() - wall_s, self._cpu() - cpu_s
        # A clock that is coarser than a call may not have moved.
        self.wall_s.append(max(wall_s, SHORTEST_CALL_S))
        self._cpu_s.append(max(cpu_s, SHORTEST_CALL_S))
        self._readings.append(self._waiting.read())

    def visit(self, order: int) -> StepVisit:
        """Return all that was noted."""
        waits = None
        if self._waiting.is_known:
            waits = sum(waited_s(self.wall_s, self._readings, computes_alone=self._is_alone))
        return StepVisit(order=order, wall_s=tuple(self.wall_s), cpu_s=tuple(self._cpu_s), waited_s=waits)


def clock_of(visits: Iterable[StepVisit]) -> Clock:
    """Return the clock that figures are to be of: the processor's where threads waited for a core for more than a little of the time."""
    known = [visit for visit in visits if visit.waited_s is not None]
    waited = sum(visit.waited_s or 0.0 for visit in known)
    return "cpu" if waited > CONTAMINATED_FRACTION * sum(sum(visit.wall_s) for visit in known) else "wall"
