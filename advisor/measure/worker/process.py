"""The process that times one variant: reads a request a line on stdin, replies a line on stdout.

A process of its own, so that a variant that crashes, hangs or eats the memory takes nothing else with it.
"""

import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np

from advisor.errors import AdvisorError, ModelError
from advisor.measure.model import input_rows
from advisor.measure.runtime import control_groups, cores, machine, ort_session
from advisor.schema.model import ModelInput
from advisor.schema.record import Record


class Load(Record, frozen=True, kw_only=True, tag=True):
    """Open the file once; `rows` is the user's .npz, None for generated inputs."""

    path: str
    inputs: tuple[ModelInput, ...]
    rows: str | None
    seed: int
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
    run_delay_s: float | None
    involuntary_switches: int | None
    steal_s: float | None
    core_hop_s: float | None
    throttled_s: float | None
    peak_memory_bytes: int


class Failed(Record, frozen=True, kw_only=True, tag=True):
    """The request could not be carried out; the worker goes on."""

    fault: str


Request = Load | Time | Predict
Reply = Loaded | Timed | Predicted | Failed

# Different items in turn keep a model whose work depends on its input (a tree, an early exit) from being timed on one path alone.
DISTINCT_FEEDS = 4


class Worker:
    """The sessions of one variant, opened as they are first needed and kept."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.rows = input_rows.read_npz(Path(load.rows), "--inputs") if load.rows else None
        self.sessions: dict[tuple[int, int, tuple[int, ...]], ort_session.Session] = {}
        started = time.perf_counter()
        self._session(threads=1, instance=0, place=machine.usable_cores())
        self.load_s = time.perf_counter() - started

    def _session(self, *, threads: int, instance: int, place: list[int]) -> ort_session.Session:
        # On one thread a session has none of its own and runs wherever it is called.
        key = (threads, instance, tuple(place) if threads > 1 else ())
        if key not in self.sessions:
            # The threads that a session starts stay on the cores of the one that opens it.
            with cores.pinned(place):
                self.sessions[key] = ort_session.open_session(
                    Path(self.load.path), intra_op_num_threads=threads, place=self.load.place
                )
        return self.sessions[key]

    def _feeds(self, request: Time, offset: int) -> dict[str, np.ndarray]:
        load = self.load
        if self.rows is not None:
            start = offset * request.batch_size
            return input_rows.take(
                load.inputs, self.rows, start=start, batch_size=request.batch_size, sequence_length=request.sequence_length
            )
        return input_rows.generate(
            load.inputs, batch_size=request.batch_size, sequence_length=request.sequence_length, seed=load.seed + offset
        )

    def time(self, request: Time) -> Timed:
        """Return the latencies of one visit; instances start together and each runs in a thread of its own."""
        count = request.intra_op_num_threads
        places = cores.places(machine.usable_cores(), threads=count, instances=request.instances)
        sessions = [self._session(threads=count, instance=index, place=place) for index, place in enumerate(places)]
        feeds = [self._feeds(request, offset) for offset in range(DISTINCT_FEEDS)]
        for session, place in zip(sessions, places, strict=True):
            with cores.pinned(place):
                for call in range(request.warm_up_calls):
                    ort_session.run(session, feeds[call % DISTINCT_FEEDS])
        together = threading.Barrier(len(sessions))
        results: list[list[float] | AdvisorError | MemoryError] = [[] for _ in sessions]

        def calls(index: int) -> None:
            with cores.pinned(places[index]):
                together.wait()
                try:
                    results[index] = _timed_calls(sessions[index], feeds, seconds=request.seconds, min_calls=request.min_calls)
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
        for result in results:
            if isinstance(result, Exception):
                raise result
        return Timed(
            latency_s=tuple(latency for result in results if isinstance(result, list) for latency in result),
            run_delay_s=run_delay_s,
            involuntary_switches=None if switches is None else int(switches),
            steal_s=steal_s,
            throttled_s=throttled_s,
            # Cores that were apart at either end were apart for a part of the visit.
            core_hop_s=max((hop_s for hop_s in hops_s if hop_s is not None), default=None),
            peak_memory_bytes=machine.peak_memory_bytes(),
        )

    def predict(self, request: Predict) -> None:
        """Write the outputs of the items to `request.target`, items along the first axis of each."""
        rows = input_rows.read_npz(Path(request.rows), "data") if request.rows else None
        usable = machine.usable_cores()
        session = self._session(threads=machine.core_count(), instance=0, place=usable)
        # The shapes show along which axis an output has its items; in recurrent networks it is often the second.
        one, two = (ort_session.run(session, self._items(request, rows, 0, size)) for size in (1, min(2, request.batch_size)))
        axis_of = {name: ort_session.growing_axis(one[name].shape, two[name].shape) for name in one}
        parts: dict[str, list[np.ndarray]] = {name: [] for name in one}
        for start in range(0, request.items, request.batch_size):
            count = min(request.batch_size, request.items - start)
            for name, values in ort_session.run(session, self._items(request, rows, start, count)).items():
                parts[name].append(_items_first(values, axis_of[name]))
        try:
            whole = {name: np.concatenate(listed) for name, listed in parts.items()}
        except ValueError as error:
            raise ModelError("an output differs in shape from item to item", hint="compare it by a metric of your own") from error
        # An object array (labels that are texts) would need pickling; its text holds the same.
        texts = {name: values.astype(str) if values.dtype == object else values for name, values in whole.items()}
        np.savez(request.target, allow_pickle=False, **texts)

    def _items(self, request: Predict, rows: dict[str, np.ndarray] | None, start: int, count: int) -> dict[str, np.ndarray]:
        inputs = self.load.inputs
        if rows is not None:
            return input_rows.take(inputs, rows, start=start, batch_size=count)
        seed = self.load.seed + start
        return input_rows.generate(inputs, batch_size=count, sequence_length=request.sequence_length, seed=seed)


def _items_first(values: np.ndarray, axis: int | None) -> np.ndarray:
    """Return one call's output with items along the first axis; without such an axis, the call is one item."""
    if axis is not None:
        return np.moveaxis(values, axis, 0)
    return values if values.shape[:1] == (1,) else values[np.newaxis]


def _disturbances() -> tuple[float | None, int | None, float | None, float | None]:
    return machine.run_delay_s(), machine.involuntary_switches(), machine.steal_s(), control_groups.throttled_s()


def _increase(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)


def _timed_calls(
    session: ort_session.Session, feeds: list[dict[str, np.ndarray]], *, seconds: float, min_calls: int
) -> list[float]:
    latencies: list[float] = []
    ends = time.perf_counter() + seconds
    while len(latencies) < min_calls or time.perf_counter() < ends:
        started = time.perf_counter()
        ort_session.call(session, feeds[len(latencies) % len(feeds)])
        latencies.append(time.perf_counter() - started)
    return latencies


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
    """Reply requests until stdin ends, as it does when the parent dies."""
    decoder = msgspec.json.Decoder(Request)
    # Libraries that print would break the protocol: only this handle reaches the parent.
    replies, sys.stdout = sys.stdout.buffer, sys.stderr
    worker: Worker | None = None
    for line in sys.stdin.buffer:
        worker, reply = respond(worker, decoder.decode(line))
        replies.write(msgspec.json.encode(reply) + b"\n")
        replies.flush()


if __name__ == "__main__":
    main()
