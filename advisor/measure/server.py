"""The process that serves a configuration for real: a queue, a dynamic batcher, and sessions that share the cores.

Reads request numbers from stdin, eight bytes little-endian, until it ends; then writes when each request was done and what each batch
took. The payload of a request is known beforehand by its number, so what is timed is queueing, batching, padding and the model.
"""

import sys
import threading
import time
from collections import deque
from pathlib import Path

import msgspec
import numpy as np

from advisor.measure import model_inputs, ort_session
from advisor.schema import ModelInput, Record

WARM_UP_CALLS = 3
DISTINCT_ITEMS = 16


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


class Items:
    """The payloads: a few distinct items of the longest length, made before the clock starts and cut as requests need."""

    def __init__(self, serve: Serve, lengths: np.ndarray | None) -> None:
        """`lengths` (requests,) is the sequence length of each request, None without a sequence axis."""
        self.serve = serve
        self.lengths = lengths
        longest = None if lengths is None else int(lengths.max())
        self.items = [
            model_inputs.generate(serve.inputs, batch_size=1, sequence_length=longest, seed=serve.seed + number)
            for number in range(DISTINCT_ITEMS)
        ]

    def length(self, number: int) -> int | None:
        """Return the sequence length of a request."""
        return None if self.lengths is None else int(self.lengths[number])

    def batch(self, numbers: list[int]) -> dict[str, np.ndarray]:
        """Return the inputs of a batch, shorter items padded to the longest with zeros, their masks zero there."""
        lengths = [self.length(number) for number in numbers]
        longest = max((length for length in lengths if length is not None), default=None)
        feeds = {}
        for entry in self.serve.inputs:
            parts = [self.items[number % DISTINCT_ITEMS][entry.name] for number in numbers]
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
        return feeds


class Server:
    """One queue and `instances` sessions; whichever is free takes the next batch when it is due."""

    def __init__(self, serve: Serve, lengths: np.ndarray | None) -> None:
        self.serve = serve
        self.items = Items(serve, lengths)
        self.sessions = [
            ort_session.open_session(Path(serve.path), intra_op_num_threads=serve.intra_op_num_threads)
            for _ in range(serve.instances)
        ]
        self.queue: deque[tuple[int, float]] = deque()  # number, time of arrival
        self.due = threading.Condition()
        self.is_closed = False
        self.done_s = np.full(serve.requests, np.nan)
        self.batches: list[tuple[float, int, int]] = []  # seconds, size, padded length

    def warm_up(self) -> None:
        """Run every session at the smallest and the largest batch, so that no first call is measured."""
        for session in self.sessions:
            for size in (1, self.serve.max_batch_size):
                for _ in range(WARM_UP_CALLS):
                    ort_session.call(session, self.items.batch([number % self.serve.requests for number in range(size)]))

    def arrive(self, number: int) -> None:
        """Put a request into the queue, as of now."""
        with self.due:
            self.queue.append((number, time.monotonic()))
            self.due.notify()

    def close(self) -> None:
        """Say that no request will come any more."""
        with self.due:
            self.is_closed = True
            self.due.notify_all()

    def work(self, instance: int) -> None:
        """Take batches and run them until the queue is closed and empty."""
        while numbers := self._next_batch():
            started = time.monotonic()
            feeds = self.items.batch(numbers)
            ort_session.call(self.sessions[instance], feeds)
            ended = time.monotonic()
            self.done_s[numbers] = ended
            lengths = [self.items.length(number) or 0 for number in numbers]
            self.batches.append((ended - started, len(numbers), max(lengths)))

    def _next_batch(self) -> list[int]:
        """Wait until a batch is due: full, or its oldest request has waited long enough, or nothing more will come."""
        with self.due:
            while True:
                if self.queue:
                    left = self.queue[0][1] + self.serve.max_queue_delay_s - time.monotonic()
                    if len(self.queue) >= self.serve.max_batch_size or left <= 0 or self.is_closed:
                        size = min(len(self.queue), self.serve.max_batch_size)
                        numbers = [self.queue.popleft()[0] for _ in range(size)]
                        if self.queue:
                            self.due.notify()  # what is left has a due time that no waiting instance knows of
                        return numbers
                    self.due.wait(left)
                elif self.is_closed:
                    return []
                else:
                    self.due.wait()


def main() -> None:
    """Serve as argv says: JSON file of Serve, .npy file of lengths or "-", .npz file to write; say "ready" when warm."""
    description, lengths, target = sys.argv[1:4]
    serve = msgspec.json.decode(Path(description).read_bytes(), type=Serve)
    server = Server(serve, None if lengths == "-" else np.load(lengths))
    server.warm_up()
    threads = [threading.Thread(target=server.work, args=(instance,)) for instance in range(serve.instances)]
    for thread in threads:
        thread.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    source = sys.stdin.buffer
    while number := source.read(8):
        server.arrive(int.from_bytes(number, "little"))
    server.close()
    for thread in threads:
        thread.join()
    batches = np.array(server.batches).reshape(-1, 3)
    np.savez(target, done_s=server.done_s, service_s=batches[:, 0], size=batches[:, 1], length=batches[:, 2])


if __name__ == "__main__":
    main()
