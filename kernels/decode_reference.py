"""The readable twin of decode_sim: every request keeps its own account, and every step asks all of them. For the tests; slow.

It takes valid input and checks nothing; decode_sim.pyx has the rules.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PREFILL_FIRST, CHUNKED, MIXED = range(3)


class Served(NamedTuple):
    """What decode_sim returns, field by field."""

    first_token_s: NDArray[np.float64]
    last_token_s: NDArray[np.float64]
    arrived_s: NDArray[np.float64]
    longest_gap_s: NDArray[np.float64]
    preemptions: NDArray[np.int64]
    steps: int
    prefill_s: float
    decode_s: float
    idle_s: float
    running_integral: float
    waiting_integral: float
    kv_peak_tokens: int
    end_s: float


def simulate(
    arrival_s: NDArray[np.float64],  # (requests,) ascending
    input_tokens: NDArray[np.int64],  # (requests,)
    output_tokens: NDArray[np.int64],  # (requests,)
    prefix_hit_tokens: NDArray[np.int64],  # (requests,)
    *,
    prefill_cost: NDArray[np.float64],  # (3,)
    decode_cost: NDArray[np.float64],  # (3,)
    mixed_cost: NDArray[np.float64] | None = None,  # (5,)
    decode_extra_s: NDArray[np.float64] | None = None,  # (max_running_requests + 1,) at least
    token_extra_s: NDArray[np.float64] | None = None,  # (chunk_tokens + 1,) at least
    policy: int,
    max_running_requests: int,
    chunk_tokens: int = 0,
    kv_tokens: int,
    shared_prefix_tokens: int = 0,
    step_factors: NDArray[np.float64],  # (factors,)
    stall_at_s: NDArray[np.float64] | None = None,  # (stalls,) ascending
    stall_s: NDArray[np.float64] | None = None,  # (stalls,)
    clients: int = 0,
    think_s: NDArray[np.float64] | None = None,  # (requests,)
) -> Served:
    """Serve request by request, where the kernel keeps sums over all that run; see decode_sim for the meaning."""
    lengths = zip(input_tokens.tolist(), output_tokens.tolist(), prefix_hit_tokens.tolist(), strict=True)
    requests = [_Request(number, *tokens) for number, tokens in enumerate(lengths)]
    every = (prefill_cost, decode_cost, mixed_cost, decode_extra_s, token_extra_s)
    costs = _Costs(*(() if cost is None else tuple(cost.tolist()) for cost in every))
    clock = _Clock(step_factors, stall_at_s, stall_s)
    thinking_s = think_s.tolist() if clients and think_s is not None else None
    sends = _Sends(arrival_s.tolist(), thinking_s, clients)
    limits = _Limits(max_running_requests, chunk_tokens, kv_tokens, shared_prefix_tokens)
    replica = _Replica(requests, costs, limits, sends, clock)
    replica.run(policy)
    return Served(
        np.array([request.token_s[0] for request in requests]),
        np.array([request.token_s[-1] for request in requests]),
        np.array([request.arrived_s for request in requests]),
        np.array([max((later - sooner for sooner, later in pairwise(request.token_s)), default=0.0) for request in requests]),
        np.array([request.preemptions for request in requests], dtype=np.int64),
        clock.steps,
        replica.prefill_s,
        replica.decode_s,
        replica.idle_s,
        replica.running_integral,
        replica.waiting_integral,
        replica.kv_peak_tokens,
        clock.now_s,
    )


@dataclass
class _Request:
    """One request: what it asks, what it has got, and what the cache holds of it."""

    number: int
    input_tokens: int
    output_tokens: int
    hit_tokens: int
    token_s: list[float] = field(default_factory=list)  # when it had each of its tokens
    arrived_s: float = 0.0
    since_s: float = 0.0  # it waits, or runs
    prompt_tokens: int = 0  # that had or have to be read since it was admitted
    cached_tokens: int = 0  # the prefix hit counted
    preemptions: int = 0

    @property
    def next_prompt_tokens(self) -> int:
        return self.input_tokens + len(self.token_s)

    @property
    def is_read(self) -> bool:
        return self.cached_tokens >= self.prompt_tokens

    @property
    def own_tokens(self) -> int:
        """What it takes of the cache while it runs: the whole prompt from the first."""
        return max(self.prompt_tokens, self.cached_tokens) - self.hit_tokens

    @property
    def is_finished(self) -> bool:
        return len(self.token_s) == self.output_tokens


class _Costs(NamedTuple):
    """The constants of the laws of steps."""

    prefill: tuple[float, ...]
    decode: tuple[float, ...]
    mixed: tuple[float, ...]
    extra: tuple[float, ...]  # by number of decoded requests; (): none
    token_extra: tuple[float, ...]  # by number of tokens of a step that reads; (): none, and `extra` counts

    def of_decoded(self, law: tuple[float, ...], count: int) -> float:
        """Return what a step that decodes so many costs, however much the cache holds of them."""
        return law[0] + law[1] * count + (self.extra[count] if self.extra else 0.0)


class _Limits(NamedTuple):
    """How requests are batched, and what the cache holds."""

    max_running: int
    chunk_tokens: int
    kv_tokens: int
    shared_prefix_tokens: int


class _Clock:
    """The time, which steps make pass."""

    def __init__(
        self, factors: NDArray[np.float64], stall_at_s: NDArray[np.float64] | None, stall_s: NDArray[np.float64] | None
    ) -> None:
        self.now_s, self.steps = 0.0, 0
        self.factors: Iterator[float] = cycle(factors.tolist())
        self.stalls: deque[tuple[float, float]] = deque()
        if stall_at_s is not None and stall_s is not None:
            self.stalls.extend(zip(stall_at_s.tolist(), stall_s.tolist(), strict=True))

    def step(self, duration_s: float) -> float:
        """Let a step pass, and return what it took with the stalls in its midst."""
        start_s = over_s = self.now_s
        end_s = start_s + duration_s * next(self.factors)
        while self.stalls and self.stalls[0][0] < end_s:
            at_s, length_s = self.stalls.popleft()
            if at_s + length_s > over_s:
                end_s += at_s + length_s - max(at_s, over_s)
                over_s = at_s + length_s
        self.now_s = end_s
        self.steps += 1
        return end_s - start_s


class _Sends:
    """Who arrives when."""

    def __init__(self, arrival_s: list[float], think_s: list[float] | None, clients: int) -> None:
        self.think_s = think_s
        self.coming = [] if think_s else [(time_s, number) for number, time_s in enumerate(arrival_s)]
        self.unsent = deque(range(len(arrival_s)) if think_s else ())
        for _ in range(clients):
            self.finished(0.0)

    def finished(self, now_s: float) -> None:
        """Let a client think, and then send the next request."""
        if self.think_s and self.unsent:
            number = self.unsent.popleft()
            heapq.heappush(self.coming, (now_s + self.think_s[number], number))

    def taken(self, now_s: float) -> list[tuple[float, int]]:
        """Return who has arrived by now, in order."""
        arrived = []
        while self.coming and self.coming[0][0] <= now_s:
            arrived.append(heapq.heappop(self.coming))
        return arrived


class _Replica:
    """The queue, those that run in order of admission, and the sums over time."""

    def __init__(self, requests: list[_Request], costs: _Costs, limits: _Limits, sends: _Sends, clock: _Clock) -> None:
        self.requests, self.costs, self.limits, self.sends, self.clock = requests, costs, limits, sends, clock
        self.waiting: deque[_Request] = deque()
        self.running: list[_Request] = []
        self.prefill_s = self.decode_s = self.idle_s = self.running_integral = self.waiting_integral = 0.0
        self.kv_peak_tokens = limits.shared_prefix_tokens

    def run(self, policy: int) -> None:
        """Serve until all requests are finished."""
        step = {PREFILL_FIRST: self.prefill_first, CHUNKED: self.chunked, MIXED: self.mixed}[policy]
        while not all(request.is_finished for request in self.requests):
            for time_s, number in self.sends.taken(self.clock.now_s):
                self.requests[number].arrived_s = self.requests[number].since_s = time_s
                self.waiting.append(self.requests[number])
            if self.waiting or self.running:
                step()
            else:
                next_s = self.sends.coming[0][0]
                self.idle_s += next_s - self.clock.now_s
                self.clock.now_s = next_s

    def prefill_first(self) -> None:
        if self.can_admit():
            request = self.admit()
            self.read(request, request.prompt_tokens)
        else:
            self.decode()

    def chunked(self) -> None:
        if not self.unread and self.can_admit():
            self.admit()
        if self.unread:
            self.read(self.unread[0], self.limits.chunk_tokens)
        if self.decoded:
            self.decode()

    def mixed(self) -> None:
        self.make_room()
        while self.can_admit(promised=len(self.decoded)):
            self.admit()
        decoded, room = self.decoded, max(self.limits.chunk_tokens - len(self.decoded), 0)
        parts = []
        for request in self.unread:
            part = min(request.prompt_tokens - request.cached_tokens, room)
            room -= part
            if part:
                parts.append((request, part))
        _, b, c, d, e = self.costs.mixed
        context = sum(request.cached_tokens for request in decoded)
        tokens = sum(part for _, part in parts)
        attention = 0.0
        for request, part in parts:
            attention += part * (request.cached_tokens + part / 2)
        decode_s, prefill_s = b * len(decoded) + c * context, d * tokens + e * attention
        if parts and self.costs.token_extra:
            fixed_s = self.costs.mixed[0] + b * len(decoded) + self.costs.token_extra[len(decoded) + tokens]
        else:
            fixed_s = self.costs.of_decoded(self.costs.mixed, len(decoded))
        passed_s = self.clock.step(fixed_s + c * context + d * tokens + e * attention)
        share = _share(bool(parts), bool(decoded), prefill_s, decode_s)
        self.prefill_s += passed_s * share
        self.decode_s += passed_s - passed_s * share
        self.give_tokens(decoded)
        for request, part in parts:
            self.has_read(request, part)

    @property
    def decoded(self) -> list[_Request]:
        return [request for request in self.running if request.is_read]

    @property
    def unread(self) -> list[_Request]:
        return [request for request in self.running if not request.is_read]

    @property
    def used_tokens(self) -> int:
        return self.limits.shared_prefix_tokens + sum(request.own_tokens for request in self.running)

    def can_admit(self, promised: int = 0) -> bool:
        if not self.waiting or len(self.running) == self.limits.max_running:
            return False
        request = self.waiting[0]
        prompt = request.next_prompt_tokens - request.hit_tokens
        return self.used_tokens + promised + prompt + 1 <= self.limits.kv_tokens

    def admit(self) -> _Request:
        request = self.waiting.popleft()
        self.waiting_integral += self.clock.now_s - request.since_s
        request.since_s = self.clock.now_s
        request.prompt_tokens, request.cached_tokens = request.next_prompt_tokens, request.hit_tokens
        self.running.append(request)
        self.kv_peak_tokens = max(self.kv_peak_tokens, self.used_tokens)
        return request

    def read(self, request: _Request, most: int) -> None:
        a, b, c = self.costs.prefill
        past = request.cached_tokens
        n = min(most, request.prompt_tokens - past)
        self.prefill_s += self.clock.step(a + b * n + c * n * (past + n / 2))
        self.has_read(request, n)

    def has_read(self, request: _Request, tokens: int) -> None:
        request.cached_tokens += tokens
        if request.is_read:
            request.token_s.append(self.clock.now_s)
            self.finish_if_due(request)

    def decode(self) -> None:
        self.make_room()
        decoded = self.decoded
        context = sum(request.cached_tokens for request in decoded)
        fixed_s = self.costs.of_decoded(self.costs.decode, len(decoded))
        self.decode_s += self.clock.step(fixed_s + self.costs.decode[2] * context)
        self.give_tokens(decoded)

    def give_tokens(self, decoded: list[_Request]) -> None:
        """Give one token to each; of those that finish with it the one admitted last leaves first."""
        for request in decoded:
            request.cached_tokens += 1
            request.token_s.append(self.clock.now_s)
        self.kv_peak_tokens = max(self.kv_peak_tokens, self.used_tokens)
        for request in reversed(decoded):
            self.finish_if_due(request)

    def finish_if_due(self, request: _Request) -> None:
        if request.is_finished:
            self.leave(request)
            self.sends.finished(self.clock.now_s)

    def make_room(self) -> None:
        """Preempt until a decode step fits the cache."""
        while self.used_tokens + len(self.decoded) > self.limits.kv_tokens:
            request = self.running[-1]
            self.leave(request)
            request.preemptions += 1
            request.since_s = self.clock.now_s
            self.waiting.appendleft(request)

    def leave(self, request: _Request) -> None:
        self.running.remove(request)
        self.running_integral += self.clock.now_s - request.since_s


def _share(reads: bool, decodes: bool, prefill_s: float, decode_s: float) -> float:
    """Return the part of a mixed step that is spent on reading; halves where neither part costs anything."""
    if not (reads and decodes):
        return float(reads)
    return prefill_s / (decode_s + prefill_s) if decode_s + prefill_s > 0 else 0.5
