"""The process that times one variant: reads a request a line on stdin, replies a line on stdout.

A process of its own, so that a variant that crashes, hangs or eats the memory takes nothing else with it.
"""

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from advisor.errors import AdvisorError, ModelError
from advisor.measure.model import input_rows
from advisor.measure.runtime import control_groups, cores, machine, memory, ort_session
from advisor.measure.runtime.waiting import WaitingClock, at_work, thread_ids, waited_s
from advisor.measure.worker import child, output_file
from advisor.schema.catalog import CPU
from advisor.schema.model import ModelInput
from advisor.schema.record import Record


class Load(Record, frozen=True, kw_only=True, tag=True):
    """Open the file once; `rows` is the user's .npz, None for generated inputs; `largest` as in Batching."""

    path: str
    inputs: tuple[ModelInput, ...]
    rows: str | None
    seed: int
    largest: int | None = None
    place: ort_session.Place = ort_session.ON_CPU


class Time(Record, frozen=True, kw_only=True, tag=True):
    """Call the model over and over for `seconds`, at least `min_calls` times, on each of `instances` sessions side by side."""

    batch_size: int
    sequence_length: int | None
    intra_op_num_threads: int
    instances: int
    seconds: float
    min_calls: int
    warm_up_calls: int


class Predict(Record, frozen=True, kw_only=True, tag=True):
    """Write the outputs for `items` items, in order, to the .npz file `target`; `rows` as in Load, None for generated inputs."""

    rows: str | None
    items: int
    batch_size: int
    sequence_length: int | None
    target: str


class Predicted(Record, frozen=True, kw_only=True, tag=True):
    """The outputs are written."""


class Loaded(Record, frozen=True, kw_only=True, tag=True):
    """`load_s` is the time to open the first session, its file in the page cache or not as it happened."""

    load_s: float


class Timed(Record, frozen=True, kw_only=True, tag=True):
    """Seconds of each call, instances pooled, in order of completion within each; the disturbances as in Visit."""

    latency_s: tuple[float, ...]
    waited_s: tuple[float, ...] | None
    run_delay_s: float | None
    involuntary_switches: int | None
    steal_s: float | None
    core_hop_s: float | None
    throttled_s: float | None
    peak_memory_bytes: int
    opened_s: float  # that it took to open sessions which were not open yet


class Failed(Record, frozen=True, kw_only=True, tag=True):
    """The request could not be carried out; the worker goes on."""

    fault: str


Request = Load | Time | Predict
Reply = Loaded | Timed | Predicted | Failed

# Different items in turn keep a model whose work depends on its input (a tree, an early exit) from being timed on one path alone.
DISTINCT_FEEDS = 4
WARM_UP_S = 0.01
# Of all of them: of larger ones there are fewer, and one at the least.
FEED_BYTES = 256_000_000
# Of a process: as long as it holds less, sessions stay open for the next visit of their setting. Each has weights of its own, and what
# its largest call took.
KEPT_BYTES = 400_000_000


class _Calls(NamedTuple):
    """What one instance's calls took, and how long of that it waited, as in Timed."""

    latency_s: list[float]
    waited_s: tuple[float, ...] | None


class Worker:
    """The sessions of one variant, opened as they are first needed and kept."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.rows = input_rows.read_npz(Path(load.rows), "--inputs") if load.rows else None
        self.sessions: dict[tuple[int, int, tuple[int, ...]], ort_session.Session] = {}
        self.pools: dict[int, set[int]] = {}  # by id of the session, the threads that it started
        started = time.perf_counter()
        self._session(threads=1, instance=0, place=machine.usable_cores())
        self.load_s = time.perf_counter() - started

    def _session(self, *, threads: int, instance: int, place: list[int]) -> ort_session.Session:
        key = _key(threads, instance, place)
        if key not in self.sessions:
            # The threads that a session starts stay on the cores of the one that opens it.
            before = thread_ids()
            with cores.pinned(place):
                session = ort_session.open_session(Path(self.load.path), intra_op_num_threads=threads, place=self.load.place)
            self.sessions[key], self.pools[id(session)] = session, thread_ids() - before
            memory.give_back()  # what reading the file took does not count as held by the sessions
        return self.sessions[key]

    def _sessions(self, threads: int, places: list[list[int]]) -> list[ort_session.Session]:
        """Return a session for each place, opened where there is none; others are closed where this process holds much memory."""
        if memory.held_bytes(os.getpid()) > KEPT_BYTES:
            wanted = {_key(threads, instance, place) for instance, place in enumerate(places)}
            for key in self.sessions.keys() - wanted:
                del self.pools[id(self.sessions[key])]
                del self.sessions[key]
        return [self._session(threads=threads, instance=instance, place=place) for instance, place in enumerate(places)]

    def _distinct(self, request: Time) -> list[dict[str, np.ndarray]]:
        """Return the inputs of calls that take turns."""
        feeds = [self._feeds(request, 0)]
        each = sum(values.nbytes for values in feeds[0].values())
        while len(feeds) < DISTINCT_FEEDS and (len(feeds) + 1) * each <= FEED_BYTES:
            feeds.append(self._feeds(request, len(feeds)))
        return feeds

    def _feeds(self, request: Time, offset: int) -> dict[str, np.ndarray]:
        load = self.load
        if self.rows is not None:
            start = offset * request.batch_size
            feeds = input_rows.take(
                load.inputs, self.rows, start=start, batch_size=request.batch_size, sequence_length=request.sequence_length
            )
        else:
            feeds = input_rows.generate(
                load.inputs, batch_size=request.batch_size, sequence_length=request.sequence_length, seed=load.seed + offset
            )
        return input_rows.padded(load.inputs, feeds)

    def time(self, request: Time) -> Timed:
        """Return the latencies of one visit; instances start together and each runs in a thread of its own."""
        count = request.intra_op_num_threads
        places = cores.places(machine.usable_cores(), threads=count, instances=request.instances)
        began_s = time.perf_counter()
        open_before = set(self.sessions)
        sessions = self._sessions(count, places)
        opened_s = time.perf_counter() - began_s
        # The first call of a session that was closed meanwhile finds everything cold, whatever was timed of the point before.
        warm_up_calls = max(request.warm_up_calls, int(bool(self.sessions.keys() - open_before)))
        feeds = self._distinct(request)
        _warm_up(sessions, places, feeds, warm_up_calls)
        together = threading.Barrier(len(sessions))
        results: list[_Calls | AdvisorError | MemoryError] = [_Calls([], None) for _ in sessions]

        def calls(index: int) -> None:
            with cores.pinned(places[index]):
                together.wait()
                try:
                    working = at_work(self.pools[id(sessions[index])], count)
                    is_on_cpu = self.load.place.provider == CPU
                    results[index] = _timed_calls(sessions[index], feeds, request, working, is_on_cpu=is_on_cpu)
                except (AdvisorError, MemoryError) as error:
                    results[index] = error
                together.wait()

        def calls_of_another(index: int) -> None:
            calls(index)
            together.wait()  # threads that have ended no longer show in the kernel's figures of a process

        hops_s = [cores.hop_s(places[0])] if count > 1 else []
        before = _disturbances()
        threads = [threading.Thread(target=calls_of_another, args=(index,)) for index in range(1, len(sessions))]
        for thread in threads:
            thread.start()
        calls(0)
        run_delay_s, switches, steal_s, throttled_s = (_increase(*pair) for pair in zip(before, _disturbances(), strict=True))
        together.wait()
        for thread in threads:
            thread.join()
        hops_s += [cores.hop_s(places[0])] if count > 1 else []
        made: list[_Calls] = []
        for result in results:
            if isinstance(result, Exception):
                raise result
            made.append(result)
        return Timed(
            latency_s=tuple(latency for one in made for latency in one.latency_s),
            waited_s=_waits(made),
            run_delay_s=run_delay_s,
            involuntary_switches=None if switches is None else int(switches),
            steal_s=steal_s,
            throttled_s=throttled_s,
            # Cores that were apart at either end were apart for a part of the visit.
            core_hop_s=max((hop_s for hop_s in hops_s if hop_s is not None), default=None),
            peak_memory_bytes=machine.peak_memory_bytes(),
            opened_s=opened_s,
        )

    def predict(self, request: Predict) -> None:
        """Write the outputs of the items to `request.target`, item by item."""
        rows = input_rows.read_npz(Path(request.rows), "data") if request.rows else None
        (session,) = self._sessions(machine.core_count(), [machine.usable_cores()])
        layout = self._layout(session, request, rows)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in layout}
        for start in range(0, request.items, request.batch_size):
            count = min(request.batch_size, request.items - start)
            for name, values in ort_session.run(session, self._items(request, rows, start, count)).items():
                parts[name] += layout[name].split(values, count)
        output_file.write(Path(request.target), {name: layout[name].items(listed) for name, listed in parts.items()})

    def _layout(
        self, session: ort_session.Session, request: Predict, rows: dict[str, np.ndarray] | None
    ) -> dict[str, output_file.Layout]:
        """Return how each output holds the items of a call.

        Shapes show along which axis they lie; in recurrent networks it is often the second.
        """
        multiple = input_rows.multiple(self.load.inputs)
        one = two = ort_session.run(session, self._items(request, rows, 0, 1))
        # A model that takes one item, or so many and no other number, refuses more; both calls then have the same shapes.
        if self.load.largest is None or 2 * multiple <= self.load.largest:
            with contextlib.suppress(ModelError):
                two = ort_session.run(session, self._items(request, rows, 0, 2 * multiple))
        layout = {}
        for name, values in one.items():
            axis = ort_session.items_axis(values.shape, two[name].shape, multiple)
            size = values.shape[axis] // multiple if axis is not None else 0
            layout[name] = output_file.Layout(axis=axis, rows=size)
        return layout

    def _items(self, request: Predict, rows: dict[str, np.ndarray] | None, start: int, count: int) -> dict[str, np.ndarray]:
        inputs = self.load.inputs
        if rows is not None:
            return input_rows.padded(inputs, input_rows.take(inputs, rows, start=start, batch_size=count))
        seed = self.load.seed + start
        feeds = input_rows.generate(inputs, batch_size=count, sequence_length=request.sequence_length, seed=seed)
        return input_rows.padded(inputs, feeds)


def _key(threads: int, instance: int, place: list[int]) -> tuple[int, int, tuple[int, ...]]:
    # On one thread a session has none of its own and runs wherever it is called.
    return threads, instance, tuple(place) if threads > 1 else ()


def _warm_up(
    sessions: list[ort_session.Session], places: list[list[int]], feeds: list[dict[str, np.ndarray]], calls: int
) -> None:
    """Call each session so often, and where that is at all, until WARM_UP_S are over: short calls find weights cold for a while."""
    if calls == 0:
        return
    for session, place in zip(sessions, places, strict=True):
        with cores.pinned(place):
            started, made = time.perf_counter(), 0
            while made < calls or time.perf_counter() - started < WARM_UP_S:
                ort_session.run(session, feeds[made % len(feeds)])
                made += 1


def _disturbances() -> tuple[float | None, int | None, float | None, float | None]:
    return machine.run_delay_s(), machine.involuntary_switches(), machine.steal_s(), control_groups.throttled_s()


def _increase(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)


def _waits(made: list[_Calls]) -> tuple[float, ...] | None:
    """Return the waits of all instances' calls, in the order of their latencies; empty where none waited, None where one is not known."""
    found: list[float] = []
    for calls in made:
        if calls.waited_s is None:
            return None
        found += calls.waited_s or [0.0] * len(calls.latency_s)
    return tuple(found) if any(found) else ()


def _timed_calls(
    session: ort_session.Session, feeds: list[dict[str, np.ndarray]], request: Time, working: set[int], *, is_on_cpu: bool
) -> _Calls:
    latencies: list[float] = []
    with WaitingClock(working) as clock:
        readings = [clock.read()]
        ends = time.perf_counter() + request.seconds
        while len(latencies) < request.min_calls or time.perf_counter() < ends:
            started = time.perf_counter()
            ort_session.call(session, feeds[len(latencies) % len(feeds)])
            latencies.append(time.perf_counter() - started)
            readings.append(clock.read())
        is_known = clock.is_known
    # On other devices the caller waits for the result, and that is no waiting for a core.
    is_alone = is_on_cpu and len(working) == 1
    return _Calls(latencies, waited_s(latencies, readings, computes_alone=is_alone) if is_known else None)


def respond(worker: Worker | None, request: Request) -> tuple[Worker | None, Reply]:
    """Return the worker to go on with and the reply."""
    try:
        if isinstance(request, Load):
            worker = Worker(request)
            return worker, Loaded(load_s=worker.load_s)
        if worker is None:
            return None, Failed(fault="nothing is loaded")
        if isinstance(request, Predict):
            worker.predict(request)
            machine.forget_peak_memory()  # the user's data and all outputs at once are no part of serving
            return worker, Predicted()
        return worker, worker.time(request)
    except AdvisorError as error:
        return worker, Failed(fault=error.fault)
    except MemoryError:
        return worker, Failed(fault="out of memory")


def main() -> None:
    """Reply requests until there are no more, as there are not when the parent has closed its end."""
    decoder = msgspec.json.Decoder(Request)
    requests, replies = child.begin(sys.argv)
    worker: Worker | None = None
    for line in requests:
        worker, reply = respond(worker, decoder.decode(line))
        replies.write(msgspec.json.encode(reply) + b"\n")
        replies.flush()


if __name__ == "__main__":
    main()
