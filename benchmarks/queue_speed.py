"""How many requests a second does the simulated queue take on one core? Beside simpy, numba, a Python loop and the event-by-event twin.

    python benchmarks/queue_speed.py [--json FILE] [--quick]

All simulate the same queue from the same input and have to answer with the same latencies before they are timed. They take turns, so
that what else the machine does falls on all of them; speeds and ratios are medians over the turns. simpy and numba come with the extra
`bench`; what cannot be imported is left out and said. Instructions are counted by valgrind and do not depend on the machine's load.

Keys: `sim_requests_per_s`, `sim_over_<peer>` (how many times as fast as simpy, python, twin, numba) and `sim_scatter_fraction` (the middle
half of the kernel's own turns), of a server that batches up to 8; `sim_requests_per_s_<workload>` and `sim_over_<peer>_<workload>` of each
workload; `callgrind_instructions_per_request`; `advise_trace_s` and `advise_trace_peak_bytes` of `advisor advise`, from process start,
on a trace of `advise_trace_requests` recorded requests, a file of `advise_trace_bytes`.
"""

import argparse
import functools
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np

from advisor.kernels import queue_sim, reference
from harness import Figure, Figures, Size, Unknown, in_turns, parsed, parser_of, ratio, save, scatter, show
from parts.trace_advice import trace_figures

UTILIZATION = 0.7
CLASSES = 4
FACTORS = 4096  # as many as the advisor draws
CALLGRIND_CALLS = (1, 5)


class Queue(NamedTuple):
    """The arguments of simulate_queue."""

    arrival_s: np.ndarray  # (requests,) ascending
    size_class: np.ndarray  # (requests,)
    service_s: np.ndarray  # (max_batch_size, classes)
    service_factor: np.ndarray  # (factors,)
    instances: int
    max_queue_delay_s: float


class Workload(NamedTuple):
    """A way to serve; requests come at random, as many as keep the servers busy for UTILIZATION of the time if batches are full."""

    instances: int
    max_batch_size: int
    max_queue_delay_s: float


WORKLOADS = {
    "1_server_batch_1": Workload(1, 1, 0.0),
    "1_server_batch_8": Workload(1, 8, 0.004),
    "2_servers_batch_8": Workload(2, 8, 0.004),
    "4_servers_batch_32": Workload(4, 32, 0.004),
}
HEADLINE = "1_server_batch_8"


class Effort(NamedTuple):
    """How much of a run is made."""

    turns: int
    slow_requests: int  # for what takes microseconds a request
    fast_requests: int  # a p99 is read off 12,000, a p99.9 off 120,000
    trace_requests: int  # recorded ones that are advised on
    profile_s: float  # budget of the profile that the advice is on


EFFORTS: dict[Size, Effort] = {
    "full": Effort(25, 10_000, 100_000, 5_000_000, 20.0),
    "quick": Effort(5, 10_000, 100_000, 1_000_000, 10.0),
    "tiny": Effort(2, 200, 2_000, 2_000, 1.0),
}
FAST = ("kernel", "numba")
PEERS = ("simpy", "python", "twin", "numba")

# Latency of each request. Kernel and twin also count batches and busy seconds, which costs them a little.
Simulate = Callable[[Queue], Any]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--calls", type=int, nargs=2, help=argparse.SUPPRESS)  # and requests: what runs under callgrind
    arguments = parsed(parser)
    if arguments.calls is not None:
        calls, requests = arguments.calls
        queue = _queue(WORKLOADS[HEADLINE], requests)
        for _ in range(calls):
            _kernel(queue)
        return
    figures = measure(arguments.size)
    show(figures)
    save(arguments.json, arguments.size, figures)


def measure(size: Size) -> Figures:
    """Print the table and return its figures: requests per second of the kernel, how often it is as fast as others, instructions."""
    simulators, effort = _simulators(), EFFORTS[size]
    taken = {name: _seconds_per_request(workload, simulators, effort) for name, workload in WORKLOADS.items()}
    print(f"\n{'requests per second':<22}" + "".join(f"{name:>16}" for name in simulators))
    for name, seconds in taken.items():
        cells = ("-" if isinstance(of, Unknown) else f"{1 / statistics.median(of):,.0f}" for of in seconds.values())
        print(f"{name:<22}" + "".join(f"{cell:>16}" for cell in cells))
    figures = _figures(taken[HEADLINE], "") | {"sim_scatter_fraction": scatter(_of_kernel(taken[HEADLINE]))}
    for name, seconds in taken.items():
        figures |= _figures(seconds, f"_{name}")
    figures["callgrind_instructions_per_request"] = (
        Unknown("a tiny run counts none") if size == "tiny" else _instructions_per_request(effort.fast_requests)
    )
    return figures | trace_figures(effort.trace_requests, budget_s=effort.profile_s)


def _figures(seconds: "dict[str, list[float] | Unknown]", suffix: str) -> Figures:
    kernel_s = _of_kernel(seconds)
    figures: Figures = {f"sim_requests_per_s{suffix}": 1 / statistics.median(kernel_s)}
    for peer in PEERS:
        taken = seconds[peer]
        figures[f"sim_over_{peer}{suffix}"] = taken if isinstance(taken, Unknown) else ratio(taken, kernel_s)
    return figures


def _of_kernel(seconds: "dict[str, list[float] | Unknown]") -> list[float]:
    taken = seconds["kernel"]
    assert not isinstance(taken, Unknown), "it comes with the advisor"
    return taken


def _simulators() -> "dict[str, Simulate | Unknown]":
    """Return all that can simulate here, the kernel first."""
    return {"kernel": _kernel, "numba": _compiled_by_numba(), "python": _python, "twin": _twin, "simpy": _simpy_if_installed()}


def _seconds_per_request(
    workload: Workload, simulators: "dict[str, Simulate | Unknown]", effort: Effort
) -> "dict[str, list[float] | Unknown]":
    """Return what a request took in each turn, once all agree."""
    short, long = _queue(workload, effort.slow_requests), _queue(workload, effort.fast_requests)
    given = {name: long if name in FAST else short for name in simulators}
    present = {name: simulate for name, simulate in simulators.items() if not isinstance(simulate, Unknown)}
    for name, simulate in present.items():
        np.testing.assert_allclose(_kernel(given[name]), simulate(given[name]), rtol=1e-9, err_msg=name)
    seconds = in_turns({name: functools.partial(simulate, given[name]) for name, simulate in present.items()}, effort.turns)
    return {
        name: simulate if isinstance(simulate, Unknown) else [taken / len(given[name].arrival_s) for taken in seconds[name]]
        for name, simulate in simulators.items()
    }


def _queue(workload: Workload, requests: int) -> Queue:
    rng = np.random.default_rng(1)
    size, classes = workload.max_batch_size, np.arange(CLASSES)
    service_s = (0.002 + 0.0005 * np.arange(1, size + 1)[:, None]) * (1 + 0.2 * classes)
    # The largest of `size` classes drawn evenly is at most c with probability ((c + 1) / CLASSES) ** size.
    full_batch_s = float(service_s[-1] @ np.diff((np.arange(CLASSES + 1) / CLASSES) ** size))
    requests_per_s = UTILIZATION * workload.instances * size / full_batch_s
    return Queue(
        arrival_s=np.cumsum(rng.exponential(1 / requests_per_s, requests)),
        size_class=rng.integers(CLASSES, size=requests, dtype=np.intp),
        service_s=service_s,
        service_factor=rng.lognormal(0.0, 0.1, FACTORS),
        instances=workload.instances,
        max_queue_delay_s=workload.max_queue_delay_s,
    )


def _kernel(queue: Queue) -> np.ndarray:
    latency_s, _, _ = queue_sim.simulate_queue(*queue[:4], instances=queue.instances, max_queue_delay_s=queue.max_queue_delay_s)
    return latency_s


def _twin(queue: Queue) -> np.ndarray:
    latency_s, _, _ = reference.simulate_queue(*queue[:4], instances=queue.instances, max_queue_delay_s=queue.max_queue_delay_s)
    return latency_s


def _batch_by_batch(
    arrival_s: Any, size_class: Any, service_s: Any, service_factor: Any, free_at_s: Any, max_queue_delay_s: float, latency_s: Any
) -> None:
    """Write the latencies; of lists in Python, of arrays by numba, so that each gets what it is fastest with."""
    requests, max_batch_size = len(arrival_s), len(service_s)
    oldest = draw = 0
    while oldest < requests:
        free = 0
        for server in range(1, len(free_at_s)):
            if free_at_s[server] < free_at_s[free]:
                free = server
        full = oldest + max_batch_size
        start_s = arrival_s[oldest] + max_queue_delay_s
        if full <= requests:
            start_s = min(start_s, arrival_s[full - 1])
        start_s = max(start_s, free_at_s[free])
        end, largest = oldest + 1, size_class[oldest]
        while end < full and end < requests and arrival_s[end] <= start_s:
            largest = max(largest, size_class[end])
            end += 1
        end_s = start_s + service_s[end - oldest - 1][largest] * service_factor[draw]
        draw = draw + 1 if draw + 1 < len(service_factor) else 0
        for request in range(oldest, end):
            latency_s[request] = end_s - arrival_s[request]
        free_at_s[free] = end_s
        oldest = end


def _python(queue: Queue) -> list[float]:
    latency_s = [0.0] * len(queue.arrival_s)
    arrival_s, size_class, service_s, service_factor = (values.tolist() for values in queue[:4])
    free_at_s = [-math.inf] * queue.instances
    _batch_by_batch(arrival_s, size_class, service_s, service_factor, free_at_s, queue.max_queue_delay_s, latency_s)
    return latency_s


def _compiled_by_numba() -> Simulate | Unknown:
    try:
        import numba
    except ImportError as error:
        return Unknown(str(error))
    compiled = numba.njit(_batch_by_batch)

    def simulate(queue: Queue) -> np.ndarray:
        latency_s = np.empty(len(queue.arrival_s))
        compiled(*queue[:4], np.full(queue.instances, -np.inf), queue.max_queue_delay_s, latency_s)
        return latency_s

    return simulate


def _simpy_if_installed() -> Simulate | Unknown:
    try:
        import simpy
    except ImportError as error:
        return Unknown(str(error))
    return lambda queue: _Processes(simpy, queue).run()


class _Processes:
    """The queue as simpy has it: a process for the arrivals, one that makes batches, and one for each batch."""

    def __init__(self, simpy: Any, queue: Queue) -> None:
        self.queue = queue
        self.environment = simpy.Environment()
        self.servers = simpy.Resource(self.environment, capacity=queue.instances)
        self.arrival_s = queue.arrival_s.tolist()
        self.waiting: deque[int] = deque()
        self.wanted, self.enough = 0, self.environment.event()
        self.latency_s = [0.0] * len(self.arrival_s)

    def run(self) -> list[float]:
        self.environment.process(self.arrive())
        self.environment.process(self.dispatch())
        self.environment.run()
        return self.latency_s

    def arrive(self) -> Generator[Any]:
        for request, arrival_s in enumerate(self.arrival_s):
            yield self.environment.timeout(arrival_s - self.environment.now)
            self.waiting.append(request)
            if len(self.waiting) == self.wanted and not self.enough.triggered:
                self.enough.succeed()

    def dispatch(self) -> Generator[Any]:
        max_batch_size, classes = len(self.queue.service_s), self.queue.size_class.tolist()
        service_s, factors = self.queue.service_s.tolist(), self.queue.service_factor.tolist()
        left, batches = len(self.arrival_s), 0
        while left:
            turn = self.servers.request()
            yield turn
            if not self.waiting:
                yield self.come(1)
            due_s = self.arrival_s[self.waiting[0]] + self.queue.max_queue_delay_s
            if len(self.waiting) < max_batch_size and self.environment.now < due_s:
                yield self.come(max_batch_size) | self.environment.timeout(due_s - self.environment.now)
            batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), max_batch_size))]
            largest = max(classes[request] for request in batch)
            self.environment.process(self.serve(turn, batch, service_s[len(batch) - 1][largest] * factors[batches % FACTORS]))
            left, batches = left - len(batch), batches + 1

    def come(self, wanted: int) -> Any:
        """Return an event for the moment at which so many wait."""
        self.wanted, self.enough = wanted, self.environment.event()
        return self.enough

    def serve(self, turn: Any, batch: list[int], duration_s: float) -> Generator[Any]:
        yield self.environment.timeout(duration_s)
        for request in batch:
            self.latency_s[request] = self.environment.now - self.arrival_s[request]
        self.servers.release(turn)


def _instructions_per_request(requests: int) -> Figure:
    """Return the instructions of the kernel for a request, its checks included; the difference of two runs, so start-up cancels."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return Unknown("valgrind is not installed")
    few, many = CALLGRIND_CALLS
    return (_instructions(valgrind, many, requests) - _instructions(valgrind, few, requests)) / ((many - few) * requests)


def _instructions(valgrind: str, calls: int, requests: int) -> int:
    """Return what callgrind counts in a process that calls the kernel so often."""
    command = [sys.executable, __file__, "--calls", str(calls), str(requests)]
    ran = subprocess.run(
        [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
        env=os.environ | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    counted = re.search(r"Collected : (\d+)", ran.stderr)
    if counted is None:
        raise SystemExit(f"callgrind printed no count: {ran.stderr[-500:]}")
    return int(counted[1])


if __name__ == "__main__":
    main()
