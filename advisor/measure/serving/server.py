"""The process that serves a configuration for real: a queue, a dynamic batcher, and sessions that share the cores.

Reads request numbers from stdin, eight bytes little-endian, until it ends; then writes when each request came and was done, and the
moments of each batch: due, taken, assembled, ended, and how long its call waited for a core. The payload of a request is known
beforehand by its number, so what is timed is queueing, batching, padding and the model.
"""

import gc
import math
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from advisor.measure.model import input_rows
from advisor.measure.runtime import control_groups, cores, machine, ort_session
from advisor.measure.runtime.waiting import Reading, WaitingClock, at_work, thread_ids, waited_s
from advisor.schema.catalog import CPU
from advisor.schema.model import ModelInput
from advisor.schema.record import Record

WARM_UP_CALLS = 3
DISTINCT_ITEMS = 16  # where they are generated


class Serve(Record, frozen=True, kw_only=True):
    """What to serve and how; `path` is the variant's file."""

    path: str
    inputs: tuple[ModelInput, ...]
    intra_op_num_threads: int
    instances: int
    max_batch_size: int
    max_queue_delay_s: float
    requests: int
    seed: int
    rows: str | None = None  # the user's own inputs (.npz); None: generated
    place: ort_session.Place = ort_session.ON_CPU


class Batch(NamedTuple):
    """What happened to one batch; moments on time.monotonic."""

    ready_s: float  # it was due, and the instance that took it was free
    taken_s: float
    assembled_s: float
    ended_s: float
    size: int
    length: int  # padded; 0 without a sequence axis
    was_idle: bool  # the instance had to be woken up for it
    waited_s: float  # of the call, that a thread at work on it waited for a core, the longest; NaN where it is not known


class Items:
    """The payloads: the user's own inputs, or a few generated ones, of the longest length, made before the clock starts and cut."""

    def __init__(self, serve: Serve, lengths: np.ndarray | None) -> None:
        """`lengths` (requests,) is the sequence length of each request, None without a sequence axis."""
        self.serve = serve
        self.lengths = lengths
        longest = None if lengths is None else int(lengths.max())
        self.items = _given(serve, longest) if serve.rows is not None else _generated(serve, longest)

    def length(self, number: int) -> int | None:
        """Return the sequence length of a request."""
        return None if self.lengths is None else int(self.lengths[number])

    def batch(self, numbers: list[int]) -> dict[str, np.ndarray]:
        """Return the inputs of a batch, shorter items padded to the longest with zeros, their masks zero there."""
        lengths = [self.length(number) for number in numbers]
        longest = max((length for length in lengths if length is not None), default=None)
        feeds = {}
        for entry in self.serve.inputs:
            parts = [self.items[number % len(self.items)][entry.name] for number in numbers]
            if entry.batch_axis is None:
                feeds[entry.name] = parts[0]
                continue
            if entry.sequence_axis is None or longest is None:
                feeds[entry.name] = np.concatenate(parts, axis=entry.batch_axis)
                continue
            cut = [slice(None)] * parts[0].ndim
            cut[entry.sequence_axis] = slice(longest)
            stacked = np.concatenate([part[tuple(cut)] for part in parts], axis=entry.batch_axis)
            rows = np.moveaxis(stacked, (entry.batch_axis, entry.sequence_axis), (0, 1))
            for row, length in enumerate(lengths):
                rows[row, length:] = 0
            feeds[entry.name] = stacked
        return input_rows.padded(self.serve.inputs, feeds)


def _generated(serve: Serve, longest: int | None) -> list[dict[str, np.ndarray]]:
    return [
        input_rows.generate(serve.inputs, batch_size=1, sequence_length=longest, seed=serve.seed + number)
        for number in range(DISTINCT_ITEMS)
    ]


def _given(serve: Serve, longest: int | None) -> list[dict[str, np.ndarray]]:
    """Return the user's items, as the profile was measured with them, as many of them as there are requests."""
    path = Path(serve.rows or "")
    rows = input_rows.read_npz(path, "--inputs")
    count = min(input_rows.check_rows(serve.inputs, rows, path), serve.requests)
    return [input_rows.take(serve.inputs, rows, start=number, batch_size=1, sequence_length=longest) for number in range(count)]


class Server:
    """One queue and `instances` sessions; whichever is free takes the next batch when it is due."""

    def __init__(self, serve: Serve, lengths: np.ndarray | None) -> None:
        self.serve = serve
        self.items = Items(serve, lengths)
        # As in the profile: instances side by side have cores of their own, which their sessions' threads take over.
        self.places = cores.places(machine.usable_cores(), threads=serve.intra_op_num_threads, instances=serve.instances)
        self.sessions: list[ort_session.Session] = []
        self.pools: list[set[int]] = []  # of each session, the threads that it started
        for place in self.places:
            before = thread_ids()
            self.sessions.append(self._open(place))
            self.pools.append(thread_ids() - before)
        self.queue: deque[tuple[int, float]] = deque()  # number, time of arrival
        self.due = threading.Condition()
        self.is_closed = False
        self.arrived_s = np.full(serve.requests, np.nan)
        self.done_s = np.full(serve.requests, np.nan)
        self.batches: list[Batch] = []

    def _open(self, place: list[int]) -> ort_session.Session:
        with cores.pinned(place):
            return ort_session.open_session(
                Path(self.serve.path), intra_op_num_threads=self.serve.intra_op_num_threads, place=self.serve.place
            )

    def warm_up(self) -> None:
        """Run every session at the smallest and the largest batch, so that no first call is measured."""
        for session in self.sessions:
            for size in (1, self.serve.max_batch_size):
                for _ in range(WARM_UP_CALLS):
                    ort_session.call(session, self.items.batch([number % self.serve.requests for number in range(size)]))

    def arrive(self, number: int) -> None:
        """Put a request into the queue, as of now."""
        with self.due:
            now = time.monotonic()
            self.arrived_s[number] = now
            self.queue.append((number, now))
            self.due.notify()

    def close(self) -> None:
        """Say that no request will come any more."""
        with self.due:
            self.is_closed = True
            self.due.notify_all()

    def work(self, instance: int) -> None:
        """Take batches and run them until the queue is closed and empty."""
        with cores.pinned(self.places[instance]):
            working = at_work(self.pools[instance], self.serve.intra_op_num_threads)
            with WaitingClock(working) as clock:
                self._work(instance, clock)

    def _work(self, instance: int, clock: WaitingClock) -> None:
        free_s = time.monotonic()
        while taken := self._next_batch():
            numbers, due_s, taken_s = taken
            feeds = self.items.batch(numbers)
            before = clock.read()
            assembled_s = time.monotonic()
            ort_session.call(self.sessions[instance], feeds)
            ended_s = time.monotonic()
            after = clock.read()
            self.done_s[numbers] = ended_s
            length = max(self.items.length(number) or 0 for number in numbers)
            waited = self._waited_s(ended_s - assembled_s, before, after) if clock.is_known else np.nan
            batch = Batch(max(due_s, free_s), taken_s, assembled_s, ended_s, len(numbers), length, free_s < due_s, waited)
            self.batches.append(batch)
            free_s = ended_s

    def _waited_s(self, call_s: float, before: Reading, after: Reading) -> float:
        is_alone = self.serve.place.provider == CPU and self.serve.intra_op_num_threads == 1
        return sum(waited_s([call_s], [before, after], computes_alone=is_alone))

    def _next_batch(self) -> tuple[list[int], float, float] | None:
        """Wait until a batch is due: full, or its oldest request has waited long enough, or nothing more will come.

        Return its requests, when it was due and when it was taken; None at the end.
        """
        most, delay_s = self.serve.max_batch_size, self.serve.max_queue_delay_s
        with self.due:
            while True:
                if self.queue:
                    now = time.monotonic()
                    due_s = self.queue[0][1] + delay_s
                    if len(self.queue) >= most:
                        due_s = min(due_s, self.queue[most - 1][1])
                    if due_s <= now or self.is_closed:
                        numbers = [self.queue.popleft()[0] for _ in range(min(len(self.queue), most))]
                        if self.queue:
                            self.due.notify()  # what is left has a due time that no waiting instance knows of
                        return numbers, min(due_s, now), now
                    self.due.wait(due_s - now)
                elif self.is_closed:
                    return None
                else:
                    self.due.wait()


class _Counts(NamedTuple):
    """What went on while requests came, in seconds; NaN where the system does not report it."""

    passed_s: float
    run_delay_s: float  # the threads of this process waited for a core
    throttled_s: float  # a quota kept them off the cores
    own_computed_s: float
    all_computed_s: float  # by all processes, on the cores that this one may use

    @staticmethod
    def read() -> "_Counts":
        """Return the counts so far."""
        known = (machine.run_delay_s(), control_groups.throttled_s(), time.process_time(), machine.computed_s())
        return _Counts(time.monotonic(), *(np.nan if count is None else count for count in known))

    def since(self, before: "_Counts") -> "_Counts":
        """Return by how much the counts went up."""
        return _Counts(*(max(now - then, 0.0) if not math.isnan(now) else now for now, then in zip(self, before, strict=True)))


def main() -> None:
    """Serve as `argv` asks: JSON file of Serve, .npy file of lengths or "-", .npz file to write; print "ready" after the warm-up."""
    machine.end_with_parent()
    description, lengths, target = sys.argv[1:4]
    machine.wake_punctually()
    serve = msgspec.json.decode(Path(description).read_bytes(), type=Serve)
    server = Server(serve, None if lengths == "-" else np.load(lengths))
    server.warm_up()
    # A collection in the middle of a run would be counted as the model's: nothing here makes cycles worth collecting.
    gc.disable()
    threads = [threading.Thread(target=server.work, args=(instance,)) for instance in range(serve.instances)]
    for thread in threads:
        thread.start()
    before = _Counts.read()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    source = sys.stdin.buffer
    while number := source.read(8):
        server.arrive(int.from_bytes(number, "little"))
    # Threads that have ended no longer show in the kernel's list, so their waiting is read while they still live.
    counted = _Counts.read().since(before)
    server.close()
    for thread in threads:
        thread.join()
    columns = dict(zip(Batch._fields, map(np.array, zip(*server.batches, strict=True)), strict=True))
    np.savez(target, arrived_s=server.arrived_s, done_s=server.done_s, allow_pickle=False, **counted._asdict(), **columns)


if __name__ == "__main__":
    main()
