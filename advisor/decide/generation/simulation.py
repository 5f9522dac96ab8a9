"""One replica under load -> when its users get their tokens, in many runs that differ by requests and by what the laws may be.

Each run takes another draw of the laws and the next draw of requests, so intervals over runs hold both.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from advisor.decide.generation.service.step_time import DRAWS, Costs
from advisor.decide.generation.traffic import Load
from advisor.decide.queue.demand import quantiles
from advisor.decide.service.stalls import StallProcess, draws
from advisor.kernels import decode_sim
from advisor.schema.generation import Policy, Quantiles, TokenTimes
from advisor.schema.record import Basis, Estimate
from advisor.schema.workload import TokenSlo

POLICY: dict[Policy, int] = {
    "prefill_first": decode_sim.PREFILL_FIRST,
    "chunked": decode_sim.CHUNKED,
    "mixed": decode_sim.MIXED,
}
MAX_STALLS = 1_000_000  # of a run; with more the machine is of no use
SHOWN = (0.5, 0.9, 0.99)
KEPT = 1 + 1e-9  # times a target: the clock of a simulation runs for hours, and differences of its times lose digits


class Run(NamedTuple):
    """One simulated run; times are those of the requests (counted,) after its warm-up."""

    ttft_s: np.ndarray
    tpot_s: np.ndarray  # the mean of a request; 0 where there is no second token
    itl_s: np.ndarray  # the longest of a request; 0 where there is no second token
    latency_s: np.ndarray
    has_later: np.ndarray  # whether there is a second token
    requests_per_s: float  # of the one replica
    output_tokens_per_s: float
    utilization: float
    running_requests: float  # mean
    waiting_requests: float
    kv_use: float  # of the cache, the largest
    preemptions_per_request: float
    prefill_fraction: float  # of the busy time

    def reached(self, quantile: float) -> "Reached":
        """Return what so many of the requests keep."""
        later = self.tpot_s[self.has_later]
        return Reached(
            float(quantiles(self.ttft_s, (quantile,))[0]),
            float(quantiles(later, (quantile,))[0]) if len(later) else 0.0,
            float(quantiles(self.latency_s, (quantile,))[0]),
        )

    def kept_fraction(self, slo: TokenSlo) -> float:
        """Return the share of the requests that keep every target."""
        kept = np.ones(len(self.ttft_s), dtype=bool)
        for times, target in ((self.ttft_s, slo.ttft_s), (self.tpot_s, slo.tpot_s), (self.latency_s, slo.latency_s)):
            if target is not None:
                kept &= times <= target * KEPT
        return float(kept.mean())


class Reached(NamedTuple):
    """What a part of the requests keeps, the target's quantile of each time."""

    ttft_s: float
    tpot_s: float
    latency_s: float

    def late(self, slo: TokenSlo) -> tuple[bool, bool, bool]:
        """Return which of the targets are missed: time to the first token, of each later one, to the last one."""
        pairs = zip(self, (slo.ttft_s, slo.tpot_s, slo.latency_s), strict=True)
        first, later, last = (target is not None and value > target * KEPT for value, target in pairs)
        return first, later, last


class Batching(Protocol):
    """How a replica serves, as far as a simulation asks: what may run side by side, in what steps, with how much cached."""

    @property
    def setting(self) -> Hashable:
        """What the seconds of its steps depend on."""

    @property
    def policy(self) -> Policy:
        """How prompts and decode steps take turns."""

    @property
    def max_running_requests(self) -> int:
        """How many requests run side by side at most."""

    @property
    def chunk_tokens(self) -> int | None:
        """Of a chunk, or the budget of a mixed step; None: prompts are read whole."""

    @property
    def kv_tokens(self) -> int:
        """How many tokens the cache holds."""


class Machine(NamedTuple):
    """What a step takes beside its law: single steps over their median, and when the cores stand still."""

    factors: np.ndarray  # (factors,)
    stalls: StallProcess | None
    threads: int


def simulate(load: Load, way: Batching, costs: Costs, machine: Machine, seed: int, *, kv_tokens: int | None = None) -> Run:
    """Return what the requests of a load meet on one replica; `kv_tokens` is a cache of another size than the way has."""
    kv_tokens = kv_tokens or way.kv_tokens
    stalls = _stalls(machine, load, costs, seed)
    served = decode_sim.simulate(
        load.arrival_s,
        load.input_tokens,
        load.output_tokens,
        load.prefix_hit_tokens,
        prefill_cost=np.ascontiguousarray(costs.prefill),
        decode_cost=np.ascontiguousarray(costs.decode),
        mixed_cost=np.ascontiguousarray(costs.mixed) if way.policy == "mixed" else None,
        decode_extra_s=costs.extra(way.policy, way.max_running_requests),
        token_extra_s=costs.extra_of_tokens(way.chunk_tokens) if way.policy == "mixed" else None,
        policy=POLICY[way.policy],
        max_running_requests=way.max_running_requests,
        chunk_tokens=way.chunk_tokens or 0,
        kv_tokens=kv_tokens,
        shared_prefix_tokens=load.shared_prefix_tokens,
        step_factors=np.roll(machine.factors, seed * 7919),
        stall_at_s=None if stalls is None else stalls[0],
        stall_s=None if stalls is None else stalls[1],
        clients=load.clients,
        think_s=np.full(len(load.input_tokens), load.think_s) if load.clients else None,
    )
    counted = load.counted
    later = load.output_tokens[counted] - 1
    arrived_s, first_s, last_s = (times[counted] for times in (served.arrived_s, served.first_token_s, served.last_token_s))
    span_s = max(served.end_s - float(served.arrived_s[0]), 1e-12)
    busy_s = max(served.prefill_s + served.decode_s, 1e-12)
    count = len(load.input_tokens)
    tpot_s = (last_s - first_s) / np.maximum(later, 1)
    outside_s = _outside_s(costs, tpot_s[later > 0])
    return Run(
        ttft_s=first_s - arrived_s + outside_s,
        tpot_s=tpot_s,
        itl_s=served.longest_gap_s[counted],
        latency_s=last_s - arrived_s + outside_s,
        has_later=later > 0,
        requests_per_s=count / span_s,
        output_tokens_per_s=float(load.output_tokens.sum()) / span_s,
        utilization=min(busy_s / span_s, 1.0),
        running_requests=served.running_integral / span_s,
        waiting_requests=served.waiting_integral / span_s,
        kv_use=min(served.kv_peak_tokens / kv_tokens, 1.0),
        preemptions_per_request=float(np.sum(served.preemptions)) / count,
        prefill_fraction=min(served.prefill_s / busy_s, 1.0),
    )


def _outside_s(costs: Costs, tpot_s: np.ndarray) -> float:
    """Return what goes on top of the time in the engine: the way there and back, and steps as long as usual that are planned by then."""
    return costs.outside_s + (costs.planned_steps * float(tpot_s.mean()) if len(tpot_s) else 0.0)


def _stalls(machine: Machine, load: Load, costs: Costs, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return when the replica stands still and for how long, for as long as the run may last; None where it never does."""
    found = draws(machine.stalls, cores=machine.threads, seed=(seed, 8), end="value")
    if found is None:
        return None
    gap_s, length_s = found
    # Nobody decoding beside anybody: no run takes longer.
    alone_s = alone(load, None, costs)
    lasts_s = float(load.arrival_s[-1]) + float(alone_s.latency_s.sum()) + load.think_s * len(load.input_tokens)
    count = int(min(math.ceil(lasts_s / float(gap_s.mean())) + 1, MAX_STALLS))
    return np.cumsum(np.resize(gap_s, count)), np.resize(length_s, count)


class Alone(NamedTuple):
    """What each request (requests,) takes when nobody else is there: no policy serves it sooner."""

    ttft_s: np.ndarray
    tpot_s: np.ndarray
    latency_s: np.ndarray
    has_later: np.ndarray


def alone(load: Load, way: Batching | None, costs: Costs) -> Alone:
    """Return what requests take that find an idle replica; without a way, with prompts that are read whole."""
    is_mixed = way is not None and way.policy == "mixed"
    a, b, c = costs.mixed[[0, 3, 4]] if is_mixed else costs.prefill
    token_s = costs.mixed[2] if is_mixed else costs.decode[2]
    # No step is quicker than one that decodes a single request.
    fixed_s = float(costs.fixed_s("mixed" if is_mixed else "prefill_first", 1)[0])
    read, past = load.read_tokens.astype(float), load.prefix_hit_tokens
    steps = np.ceil(read / way.chunk_tokens) if way is not None and way.chunk_tokens else 1.0
    # A mixed step may read beside what it decodes.
    a = min(a, fixed_s) if is_mixed else a
    ttft_s = a * steps + b * read + c * read * (past + read / 2)
    later = load.output_tokens - 1.0
    # The cache grows by a token a step: on average by half of them.
    tpot_s = fixed_s + token_s * (load.input_tokens + np.maximum(later - 1, 0) / 2)
    return Alone(ttft_s, tpot_s, ttft_s + later * tpot_s, later > 0)


class Work(NamedTuple):
    """What the requests of a load bring on average, as far as the seconds depend on it that a replica works for them."""

    read_tokens: np.ndarray  # (requests,) of each prompt
    read: float  # the same on average
    pairs: float  # of tokens that reading looks at
    later: float  # tokens of answers after the first
    context: float  # cached tokens that these look at

    def seconds(self, way: Batching, costs: Costs, fixed: "FixedParts | None" = None) -> float:
        """Return the seconds of a replica that a request takes at least, however many are served side by side.

        `fixed` is what is known already of as many requests as may run, or more.
        """
        fixed = fixed or fixed_parts(costs, way.policy, way.max_running_requests)
        decoding = float(fixed.least_s[way.max_running_requests - 1]) * self.later
        if way.policy == "mixed":
            a, b, c, d, e = costs.mixed.tolist()
            reading = min(a, fixed.alone_s) * self.read / (way.chunk_tokens or 1)
            tokens_s, pairs_s = c * self.context, d * self.read + e * self.pairs
            if len(costs.token_extra) > 1:
                # A step that reads bears what its tokens cost together: of decoding, no more than the law is certain to come on top.
                by_law = min((a / way.max_running_requests + b) * self.later, decoding)
                return float(max(decoding, max(by_law, reading) + pairs_s) + tokens_s)
            return float(max(decoding, reading) + tokens_s + pairs_s)
        calls = float(np.ceil(self.read_tokens / way.chunk_tokens).mean()) if way.chunk_tokens else 1.0
        a, b, c = costs.prefill
        return float(a * calls + b * self.read + c * self.pairs + decoding + costs.decode[2] * self.context)


class FixedParts(NamedTuple):
    """What steps take whatever is cached."""

    alone_s: float  # of one request
    least_s: np.ndarray  # (requests,) of a step, for each of its requests, that decodes up to 1, up to 2 ...: each bears its part


def fixed_parts(costs: Costs, policy: Policy, requests: int) -> FixedParts:
    """Return what steps take of up to so many requests, whatever is cached."""
    fixed_s = costs.fixed_s(policy, requests)
    return FixedParts(float(fixed_s[0]), np.minimum.accumulate(fixed_s / np.arange(1, requests + 1)))


def work_of(load: Load) -> Work:
    """Return what the requests of a load bring."""
    read, past = load.read_tokens.astype(float), load.prefix_hit_tokens
    later = load.output_tokens - 1.0
    return Work(
        read_tokens=read,
        read=float(read.mean()),
        pairs=float((read * (past + read / 2)).mean()),
        later=float(later.mean()),
        context=float((later * (load.input_tokens + np.maximum(later - 1, 0) / 2)).mean()),
    )


def work_s(load: Load, way: Batching, costs: Costs) -> float:
    """Return the seconds of a replica that a request takes at least, on average, however many are served side by side."""
    return work_of(load).seconds(way, costs)


# --- over all runs -------------------------------------------------------------------------------------------------------------


def place_of(confidence: float, runs: int = DRAWS) -> int:
    """Return the place, in ascending order, of the run that stands for this confidence: the second last of twenty is the upper end."""
    return round(confidence * (runs - 1))


def over_runs(values: Sequence[float], basis: Basis, source: str) -> Estimate:
    """Return the median run with the 90 % interval over runs."""
    ordered = sorted(values)
    low, high = place_of(0.05, len(ordered)), place_of(0.95, len(ordered))
    return Estimate(
        value=float(np.median(ordered)), low=float(ordered[low]), high=float(ordered[high]), basis=basis, source=source
    )


def token_times(runs: Sequence[Run], quantile: float, *, replicas: int, basis: Basis, source: str) -> TokenTimes:
    """Return what users wait for, over all runs; the throughput is that of all replicas."""

    def estimate(of: Callable[[Run], float], among: Sequence[Run] = runs) -> Estimate:
        return over_runs([of(run) for run in among], basis, source)

    def at(of: Callable[[Run], np.ndarray], among: Sequence[Run] = runs, *, says: str = "") -> Quantiles:
        found = np.array([quantiles(of(run), (*SHOWN, quantile)) for run in among])
        p50, p90, p99, slo = (over_runs(column.tolist(), basis, source + says) for column in found.T)
        return Quantiles(p50=p50, p90=p90, p99=p99, slo=slo)

    answering = [run for run in runs if run.has_later.any()]
    return TokenTimes(
        ttft_s=at(lambda run: run.ttft_s),
        tpot_s=at(lambda run: run.tpot_s[run.has_later], answering) if answering else None,
        itl_s=at(lambda run: run.itl_s[run.has_later], answering, says="; the longest of each request") if answering else None,
        latency_s=at(lambda run: run.latency_s),
        output_tokens_per_s=estimate(lambda run: replicas * run.output_tokens_per_s),
        requests_per_s=estimate(lambda run: replicas * run.requests_per_s),
    )
