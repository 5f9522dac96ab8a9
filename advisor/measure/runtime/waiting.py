"""How long threads of this process waited for a core, call by call: the kernel's own count, through files kept open."""

import os
import threading
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

NANOSECONDS_PER_S = 1e9
LONGEST_LINE = 128  # three numbers of 64 bits
# Of the time that a thread computes, a call never takes less than this part, whatever the kernel counts as waiting: its count goes on
# between two calls too, in which a thread may lose its core as well as in one.
LEAST_OF_CPU_TIME = 0.8
# Less than this part of a call, and the two clocks may differ by themselves.
WITHHELD_FRACTION = 0.01
LEAST_CPU_TIME_S = 1e-6  # where the clock of the processor time is coarser than a call


class Reading(NamedTuple):
    """The counts at one moment, as the kernel prints them: taken between calls, made sense of after the last."""

    lines: tuple[bytes, ...]  # of each thread, empty for one that has ended
    cpu_s: float  # that the thread which takes the readings has computed


class WaitingClock:
    """The counts of some threads of this process, opened once: to open them at each call would take longer than a short call."""

    def __init__(self, thread_ids: Iterable[int]) -> None:
        """Without a count of the kernel, or where it counts nothing, `is_known` is False and readings are empty."""
        self._files: list[int] = []
        self.is_known = False
        try:
            for thread_id in thread_ids:
                self._files.append(os.open(f"/proc/self/task/{thread_id}/schedstat", os.O_RDONLY))
        except OSError:
            self.close()
            return
        # A kernel that does not count prints zeros, of a thread that has run too.
        self.is_known = any(computed for computed, _ in map(_counts_ns, self.read().lines))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.pop())

    def read(self) -> Reading:
        """Return the counts of this moment, as cheaply as possible: a few microseconds on one thread."""
        return Reading(tuple(map(_line, self._files)), time.thread_time())


def waited_s(latency_s: Sequence[float], readings: Sequence[Reading], *, computes_alone: bool = False) -> tuple[float, ...]:
    """Return of each call the longest that one of its threads waited; `readings` are one before the first call and one after each.

    Where the caller `computes_alone`, whatever it did not compute in it waited, also for a core that the host withheld: of that the kernel
    tells no thread, but it does not count it as computing. Empty where no thread waited at all. What the waiting leaves of a call is
    positive, and hardly less than its caller computed.
    """
    if not readings or (not computes_alone and _waits_ns(readings[0]) == _waits_ns(readings[-1])):
        return ()
    counts = [_waits_ns(reading) for reading in readings]
    found = []
    for call, latency in enumerate(latency_s):
        more = zip(counts[call], counts[call + 1], strict=True)
        waited = max(max(0, after - before) for before, after in more) / NANOSECONDS_PER_S
        cpu_s = max(readings[call + 1].cpu_s - readings[call].cpu_s, LEAST_CPU_TIME_S)
        if computes_alone and latency - cpu_s > WITHHELD_FRACTION * latency:
            waited = max(waited, latency - cpu_s)
        found.append(min(waited, max(0.0, latency - max(LEAST_OF_CPU_TIME * cpu_s, LEAST_CPU_TIME_S))))
    return tuple(found) if any(found) else ()


def thread_ids() -> set[int]:
    """Return the threads of this process, empty where the system does not list them."""
    try:
        return {int(name) for name in os.listdir("/proc/self/task")}
    except (OSError, ValueError):
        return set()


def at_work(pool: set[int], threads: int) -> set[int]:
    """Return the threads that a call from this one keeps at work, this one among them; `pool` are those that its session started.

    A runtime whose sessions share their threads starts none for the second: then they are any of the process.
    """
    return {threading.get_native_id()} | (pool if pool or threads == 1 else thread_ids())


def _line(file: int) -> bytes:
    try:
        return os.pread(file, LONGEST_LINE, 0)
    except ProcessLookupError:  # the thread has ended
        return b""


def _counts_ns(line: bytes) -> tuple[int, int]:
    """Return how long the thread has computed, which is stale while it runs, and waited; zeros for one that has ended."""
    fields = line.split()
    return (int(fields[0]), int(fields[1])) if len(fields) > 1 else (0, 0)


def _waits_ns(reading: Reading) -> list[int]:
    return [waited for _, waited in map(_counts_ns, reading.lines)]
