"""How many steps a second does the simulation of continuous batching take on one core? Beside its twin in Python and a loop by numba.

Requests have lengths as those of conversations and come at random, at LOAD of what the replica can do; each policy has them all. The twin
simulates the first of them. The loop is what one would write: it goes over the running requests at each step, reads prompts first and
knows no cache that is full; the kernel has to give the same times. All take turns; seconds are those of the processor, figures medians.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from advisor.kernels import decode_reference, decode_sim
from harness import Figures, Size, Unknown, in_turns, ratio, scatter

POLICIES = {"prefill_first": decode_sim.PREFILL_FIRST, "chunked": decode_sim.CHUNKED, "mixed": decode_sim.MIXED}
LOAD = 0.9  # of the requests that are finished a second when all wait from the first
MAX_RUNNING = 16
CHUNK_TOKENS = 256
FACTORS = 4096
# Of a model of 135 million parameters on one core: seconds, and of a token, and of a token for each one before it.
PREFILL_COST = np.array([0.01, 1.6e-3, 1e-7])
DECODE_COST = np.array([6e-3, 3.3e-3, 6e-6])
MIXED_COST = np.array([6e-3, 3.3e-3, 6e-6, 1.6e-3, 1e-7])


class Effort(NamedTuple):
    """How much of a run is made."""

    turns: int
    requests: int
    twin_requests: int


EFFORTS: dict[Size, Effort] = {
    "full": Effort(15, 20_000, 200),
    "quick": Effort(5, 20_000, 100),
    "tiny": Effort(2, 200, 20),
}


class Load(NamedTuple):
    """Requests in order of arrival, (requests,) each."""

    arrival_s: np.ndarray
    input_tokens: np.ndarray
    output_tokens: np.ndarray

    def first(self, count: int) -> "Load":
        return Load(*(values[:count] for values in self))


def decode_speed(size: Size) -> Figures:
    """Return steps a second of each policy, and how many times as fast as twin and loop the kernel is.

    Keys: `decode_sim_iterations_per_s_POLICY`, `decode_sim_times_python_POLICY` and `decode_sim_scatter_fraction_POLICY`, the slowest of
    the policies as `decode_sim_iterations_per_s` and `decode_sim_times_python`, and `decode_sim_times_numba` of prefill_first.
    """
    effort = EFFORTS[size]
    figures: Figures = {}
    for name, policy in POLICIES.items():
        figures |= _figures(name, policy, effort)
    for key in ("decode_sim_iterations_per_s", "decode_sim_times_python"):
        figures[key] = min(figure for name in POLICIES if isinstance(figure := figures[f"{key}_{name}"], float))
    return figures


def _figures(name: str, policy: int, effort: Effort) -> Figures:
    load = _load(policy, effort.requests)
    short = load.first(effort.twin_requests)
    steps, twin_steps = _kernel(policy, load).steps, _kernel(policy, short).steps
    assert twin_steps == _twin(policy, short).steps
    calls: dict[str, Callable[[], Any]] = {
        "kernel": functools.partial(_kernel, policy, load),
        "twin": functools.partial(_twin, policy, short),
    }
    loop = _compiled_loop() if policy == decode_sim.PREFILL_FIRST else None
    if loop is not None and not isinstance(loop, Unknown):
        served = _kernel(policy, load)
        for ours, theirs in zip((served.first_token_s, served.last_token_s), loop(load), strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-9)
        calls["numba"] = functools.partial(loop, load)
    # All is one thread: on the clock of the processor others on the machine do not count.
    seconds = in_turns(calls, effort.turns, time.process_time)
    kernel_s = [taken / steps for taken in seconds["kernel"]]
    figures: Figures = {
        f"decode_sim_iterations_per_s_{name}": 1 / statistics.median(kernel_s),
        f"decode_sim_scatter_fraction_{name}": scatter(kernel_s),
        f"decode_sim_times_python_{name}": ratio([taken / twin_steps for taken in seconds["twin"]], kernel_s),
    }
    if isinstance(loop, Unknown):
        figures["decode_sim_times_numba"] = loop
    elif loop is not None:
        figures["decode_sim_times_numba"] = ratio(seconds["numba"], seconds["kernel"])
    return figures


def _load(policy: int, requests: int) -> Load:
    rng = np.random.default_rng(1)
    input_tokens = np.clip(rng.lognormal(np.log(900), 0.8, requests), 1, 8000).astype(np.int64)
    output_tokens = np.clip(rng.lognormal(np.log(130), 0.9, requests), 1, 2000).astype(np.int64)
    at_once = Load(np.zeros(requests), input_tokens, output_tokens)
    gap_s = _kernel(policy, at_once).end_s / requests / LOAD
    return at_once._replace(arrival_s=np.cumsum(rng.exponential(gap_s, requests)))


def _arguments(policy: int) -> dict[str, Any]:
    return {
        "prefill_cost": PREFILL_COST,
        "decode_cost": DECODE_COST,
        "mixed_cost": MIXED_COST,
        "policy": policy,
        "max_running_requests": MAX_RUNNING,
        "chunk_tokens": CHUNK_TOKENS,
        "kv_tokens": MAX_RUNNING * 10_000,
        "step_factors": _factors(),
    }


@functools.cache
def _factors() -> np.ndarray:
    return np.random.default_rng(2).lognormal(0.0, 0.05, FACTORS)


def _kernel(policy: int, load: Load) -> decode_sim.Served:
    return decode_sim.simulate(*load, np.zeros_like(load.input_tokens), **_arguments(policy))


def _twin(policy: int, load: Load) -> decode_reference.Served:
    return decode_reference.simulate(*load, np.zeros_like(load.input_tokens), **_arguments(policy))


def _request_by_request(
    arrival_s: Any, input_tokens: Any, output_tokens: Any, prefill_cost: Any, decode_cost: Any, factors: Any, max_running: int
) -> tuple[Any, Any]:
    """Return when each request had its first and its last token, prompts read first."""
    requests = len(arrival_s)
    first_s, last_s = np.zeros(requests), np.zeros(requests)
    running, cached, left = np.zeros(max_running, np.int64), np.zeros(max_running, np.int64), np.zeros(max_running, np.int64)
    now_s = 0.0
    head = arrived = count = steps = 0
    while head < requests or count:
        while arrived < requests and arrival_s[arrived] <= now_s:
            arrived += 1
        if head == arrived and count == 0:
            now_s = arrival_s[arrived]
            continue
        factor = factors[steps % len(factors)]
        steps += 1
        if head < arrived and count < max_running:
            n = input_tokens[head]
            now_s += (prefill_cost[0] + prefill_cost[1] * n + prefill_cost[2] * n * (n / 2)) * factor
            first_s[head] = last_s[head] = now_s
            if output_tokens[head] > 1:
                running[count], cached[count], left[count] = head, n, output_tokens[head] - 1
                count += 1
            head += 1
            continue
        context = 0
        for place in range(count):
            context += cached[place]
        now_s += (decode_cost[0] + decode_cost[1] * count + decode_cost[2] * context) * factor
        place = 0
        while place < count:
            cached[place] += 1
            left[place] -= 1
            if left[place] == 0:
                last_s[running[place]] = now_s
                count -= 1
                running[place], cached[place], left[place] = running[count], cached[count], left[count]
            else:
                place += 1
    return first_s, last_s


def _compiled_loop() -> Callable[[Load], tuple[Any, Any]] | Unknown:
    try:
        import numba
    except ImportError as error:
        return Unknown(str(error))
    compiled = numba.njit(_request_by_request)

    def serve(load: Load) -> tuple[Any, Any]:
        first_s, last_s = compiled(*load, PREFILL_COST, DECODE_COST, _factors(), MAX_RUNNING)
        return first_s, last_s

    return serve
