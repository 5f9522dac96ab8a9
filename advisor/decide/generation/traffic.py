"""The requests to one replica of a generative model: when they come, and how many tokens each brings and gets."""

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from advisor.decide.queue.demand import Demand, warm_up
from advisor.decide.queue.items import Z_95
from advisor.errors import InputError
from advisor.schema.arrays.trace import Requests
from advisor.schema.workload import GenerationWorkload, OnlineWorkload, SequenceLength, Slo, Tokens
from advisor.units import percent

MAX_LOADS = 24  # kept for the next candidate
# Of a law that is cut, so many draws tell the share.
DRAWN_TO_TELL = 20_000


class Effort(NamedTuple):
    """How much is simulated: requests of a run beyond the quantile of the target, between the least and the most that a run has.

    A run whose answers have more tokens together has fewer requests, down to those that its quantile needs.
    """

    beyond_quantile: int = 60
    needed_beyond: int = 20
    least_requests: int = 3_000
    most_requests: int = 40_000
    most_tokens: int = 1_000_000
    seeds: int = 4  # draws of requests


class Load(NamedTuple):
    """What one replica is to serve, in the kernel's form; `clients` is 0 where requests come by themselves."""

    arrival_s: np.ndarray  # (requests,) ascending; of clients all 0
    input_tokens: np.ndarray  # (requests,) whole prompts, int64
    output_tokens: np.ndarray  # (requests,) int64, at least one each
    prefix_hit_tokens: np.ndarray  # (requests,) int64, of the prompt, that are cached already
    shared_prefix_tokens: int = 0
    clients: int = 0
    think_s: float = 0.0
    warm_up: int = 0  # requests from the beginning that do not count: the replica starts idle, which none in service does

    @property
    def counted(self) -> slice:
        """Which requests count: of clients not the last ones, beside which fewer and fewer are left."""
        last = len(self.input_tokens)
        return slice(self.warm_up, last - min(self.clients, (last - self.warm_up) // 2))

    @property
    def read_tokens(self) -> np.ndarray:
        """The tokens of each prompt that have to be read (requests,)."""
        return np.asarray(self.input_tokens - self.prefix_hit_tokens)

    @property
    def largest_tokens(self) -> int:
        """The tokens that the cache holds at most while the largest request runs alone."""
        return self.shared_prefix_tokens + int((self.read_tokens + self.output_tokens).max())


class TokenDemand:
    """The requests of a workload: the same draws for every candidate, so that candidates differ by how they serve alone."""

    def __init__(
        self, workload: GenerationWorkload, recorded: Requests | None, *, context_tokens: int, effort: Effort | None = None
    ) -> None:
        """`recorded` are the requests of the workload's trace. Raises InputError for lengths that the context cannot hold or that lack."""
        effort = effort or Effort()
        self.context_tokens, self.seeds = context_tokens, effort.seeds
        traffic = workload.traffic
        self.clients, self.think_s = traffic.clients, traffic.think_s
        self._tokens, self._recorded = workload.tokens, recorded
        self.shared_prefix = workload.tokens.shared_prefix if workload.tokens else 0
        self._effort = effort
        self._arrivals: Demand | None = None
        self.requests_per_s: float | None = None  # None: as many as clients get answers
        self.busiest_requests_per_s: float | None = None
        if self.clients is None and recorded is not None:
            self._check_times(recorded)
            self.requests_per_s = (len(recorded.arrival_s) - 1) / float(recorded.arrival_s[-1] - recorded.arrival_s[0])
            self.busiest_requests_per_s = self.requests_per_s
        elif self.clients is None:
            self._arrivals = _arrivals(workload)
            self.requests_per_s = self._arrivals.requests_per_s
            self.busiest_requests_per_s = self._arrivals.busiest_requests_per_s
        self._loads: dict[tuple[int, int], Load] = {}
        self._drawn: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self.notes = self._checked()
        self.requests = self._count(workload.slo.quantile)

    @property
    def is_closed(self) -> bool:
        """Whether clients send their next request when the last is answered."""
        return self.clients is not None

    @property
    def counts_by_replicas(self) -> bool:
        """Whether the requests of a run that count are others at another number of replicas."""
        return self.is_closed or self._recorded is not None

    def _count(self, quantile: float) -> int:
        """Return how many requests a run has."""
        effort, beyond = self._effort, 1 / (1 - quantile)
        count = min(max(effort.beyond_quantile * beyond, effort.least_requests), effort.most_requests)
        if self._tokens is not None:
            needed = min(effort.needed_beyond * beyond, count)
            count = max(min(count, effort.most_tokens / about(self._tokens.output)), needed)
        return round(count)

    @staticmethod
    def _check_times(recorded: Requests) -> None:
        if len(recorded.arrival_s) < 2 or not recorded.arrival_s[-1] > recorded.arrival_s[0]:
            raise InputError(
                f"traffic.trace: {len(recorded.arrival_s)} requests that last no time have no rate",
                hint="give a trace of at least two moments, or requests_per_s",
            )

    def load(self, seed: int, replicas: int, *, scale: float = 1.0) -> Load:
        """Return the requests at one of so many replicas, the whole stream `scale` times as dense; of clients, so many times as many."""
        if self.is_closed:
            return self._closed(seed, max(1, round(scale * self.clients_of(replicas))))
        key = (seed, replicas)
        if key not in self._loads:
            if len(self._loads) == MAX_LOADS:
                del self._loads[next(iter(self._loads))]
            self._loads[key] = self._open(seed, replicas)
        kept = self._loads[key]
        return kept if scale == 1.0 else kept._replace(arrival_s=kept.arrival_s / scale)

    def clients_of(self, replicas: int) -> int:
        """Return how many of the clients the busiest of so many replicas has."""
        return -(-(self.clients or 0) // replicas)

    def closed(self, seed: int, clients: int) -> Load:
        """Return the requests of so many clients at one replica."""
        return self._closed(seed, clients)

    def _closed(self, seed: int, clients: int) -> Load:
        count = max(self.requests, 4 * clients)
        inputs, outputs = self._lengths(seed, count)
        return self._made(np.zeros(count), inputs, outputs)._replace(
            clients=clients, think_s=self.think_s, warm_up=max(warm_up(count), clients)
        )

    def _open(self, seed: int, replicas: int) -> Load:
        if self._arrivals is not None:
            arrival_s = self._arrivals.stream(seed, replicas, requests=self.requests).arrival_s
            return self._made(arrival_s, *self._lengths(seed, len(arrival_s)))
        assert self._recorded is not None
        arrival_s = np.asarray(self._recorded.arrival_s, dtype=float) - float(self._recorded.arrival_s[0])
        inputs, outputs = self._lengths(seed, len(arrival_s))
        places = np.arange(len(arrival_s))
        if replicas > 1:
            mine = np.random.default_rng((seed, 1, replicas)).integers(replicas, size=len(arrival_s)) == 0
            mine[0] = True  # a stream is never empty
            places = np.flatnonzero(mine)
        places = places[: self._effort.most_requests]
        return self._made(arrival_s[places], inputs[places], outputs[places])

    def _made(self, arrival_s: np.ndarray, inputs: np.ndarray, outputs: np.ndarray) -> Load:
        return made(arrival_s, inputs, outputs, shared_prefix=self.shared_prefix)._replace(warm_up=warm_up(len(arrival_s)))

    # --- how long they are -------------------------------------------------------------------------------------------------

    def _lengths(self, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens that requests bring and get (count,), within the context."""
        # What was recorded is the same in every run.
        key = (seed if self._recorded_lengths is None else 0, count)
        if key not in self._drawn:
            if len(self._drawn) == MAX_LOADS:
                del self._drawn[next(iter(self._drawn))]
            self._drawn[key] = _within(*self._wanted(seed, count), self.context_tokens)
        return self._drawn[key]

    @property
    def _recorded_lengths(self) -> tuple[np.ndarray, np.ndarray] | None:
        recorded = self._recorded
        if recorded is None or recorded.input_tokens is None or recorded.output_tokens is None:
            return None
        return np.asarray(recorded.input_tokens, dtype=np.int64), np.asarray(recorded.output_tokens, dtype=np.int64)

    def _wanted(self, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what requests would bring and get, whatever the context."""
        if self._recorded_lengths is not None:
            # Clients ask for what was recorded again and again.
            inputs, outputs = self._recorded_lengths
            return np.resize(inputs, count), np.resize(outputs, count)
        assert self._tokens is not None
        inputs = drawn(self._tokens.input, count, np.random.default_rng((seed, 2)))
        return inputs, drawn(self._tokens.output, count, np.random.default_rng((seed, 3)))

    def _checked(self) -> tuple[str, ...]:
        """Return what has to be said of the lengths; raise InputError where they are lacking, are none, or fit no context."""
        if self._recorded_lengths is not None:
            self._check_recorded(*self._recorded_lengths)
            count = len(self._recorded_lengths[0])
        elif self._tokens is None:
            raise InputError(
                "traffic.trace: its requests have no lengths in tokens, and the workload gives none",
                hint="record input_tokens and output_tokens, or give tokens: {input: {p50: 500, p95: 2000}, output: {p50: 100, p95: 400}}",
            )
        else:
            self._check_law(self._tokens)
            count = DRAWN_TO_TELL
        inputs, outputs = self._wanted(0, count)
        cut = float(np.mean(inputs + outputs > self.context_tokens))
        found = []
        if cut:
            found.append(
                f"{percent(cut)} of the requests are longer than the context of {self.context_tokens:,} tokens and were cut to it: "
                "a server refuses such prompts, and ends such answers"
            )
        recorded, most = self._recorded, self._effort.most_requests
        if recorded is not None and not self.is_closed and len(recorded.arrival_s) > most:
            found.append(
                f"of the {len(recorded.arrival_s):,} recorded requests the first {most:,} that come to a replica are simulated; "
                "the rate is that of all"
            )
        return tuple(found)

    def _check_recorded(self, inputs: np.ndarray, outputs: np.ndarray) -> None:
        for name, what, values in (("input_tokens", "read", inputs), ("output_tokens", "write", outputs)):
            if none := int(np.sum(np.asarray(values) < 1)):
                raise InputError(
                    f"traffic.trace: {name}: {none:,} of {len(values):,} requests have no token to {what}",
                    hint="leave out what was not answered: a request has at least one token of both",
                )
        self._check_fit("traffic.trace", int(np.median(inputs)), int(np.median(outputs)))

    def _check_law(self, tokens: Tokens) -> None:
        for name, law in (("input", tokens.input), ("output", tokens.output)):
            if law.p50 < 1:
                raise InputError(f"tokens.{name}.p50: {law.p50} tokens", hint="a request has at least one token of both")
        if tokens.shared_prefix >= tokens.input.p50 > 0 and tokens.shared_prefix:
            raise InputError(
                f"tokens.shared_prefix: {tokens.shared_prefix:,} tokens, and half of the prompts have no more than {tokens.input.p50:,}",
                hint="tokens.input counts prompts whole, with the prefix that they share",
            )
        self._check_fit("tokens", tokens.input.p50, tokens.output.p50)

    def _check_fit(self, where: str, inputs: int, outputs: int) -> None:
        if inputs + outputs > self.context_tokens:
            raise InputError(
                f"{where}: a prompt of {inputs:,} tokens and an answer of {outputs:,} (p50) take {inputs + outputs:,}, and the context of "
                f"the model is {self.context_tokens:,} tokens",
                hint="serve a model with a longer context, or shorten prompts and answers",
            )

    @cached_property
    def mean_tokens(self) -> tuple[float, float]:
        """The mean tokens of a prompt and of an answer."""
        load = self.load(0, 1)
        return float(load.input_tokens.mean()), float(load.output_tokens.mean())

    @cached_property
    def median_tokens(self) -> tuple[int, int]:
        """The median tokens of a prompt and of an answer."""
        load = self.load(0, 1)
        return int(np.median(load.input_tokens)), int(np.median(load.output_tokens))

    @cached_property
    def longest_tokens(self) -> int:
        """The tokens of the longest request, prompt and answer together."""
        return max(int((load.input_tokens + load.output_tokens).max()) for load in self._of_one)

    @cached_property
    def largest_tokens(self) -> int:
        """The tokens that a cache has to hold for the largest request to run alone."""
        return max(load.largest_tokens for load in self._of_one)

    @property
    def _of_one(self) -> tuple[Load, ...]:
        return tuple(self.load(seed, 1) for seed in range(self.seeds))


def made(arrival_s: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, *, shared_prefix: int) -> Load:
    """Return requests (requests,) whose prompts begin alike: all but the first find that beginning in the cache."""
    inputs = np.ascontiguousarray(inputs, dtype=np.int64)
    # The last token of a prompt is always read: its answer begins there.
    hits = np.minimum(shared_prefix, inputs - 1)
    hits[:1] = 0
    return Load(
        arrival_s=np.ascontiguousarray(arrival_s, dtype=float),
        input_tokens=inputs,
        output_tokens=np.ascontiguousarray(outputs, dtype=np.int64),
        prefix_hit_tokens=hits,
        shared_prefix_tokens=shared_prefix,
    )


def drawn(law: SequenceLength, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw lengths (count,) from the lognormal law through p50 and p95, cut at its limit, of at least one token."""
    sigma = math.log((law.p95 or law.p50) / law.p50) / Z_95
    lengths = np.rint(law.p50 * np.exp(sigma * random.standard_normal(count)))
    return np.asarray(np.clip(lengths, 1, law.max or np.inf), dtype=np.int64)


def about(law: SequenceLength) -> float:
    """Return the mean length by the law that lengths are drawn from, whatever cuts it."""
    return law.p50 * math.exp((math.log((law.p95 or law.p50) / law.p50) / Z_95) ** 2 / 2)


def _within(inputs: np.ndarray, outputs: np.ndarray, context_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lengths (requests,) that fit the context together: prompts with room for one token, answers in what they leave."""
    inputs = np.minimum(inputs, context_tokens - 1)
    return inputs, np.minimum(outputs, context_tokens - inputs)


def _arrivals(workload: GenerationWorkload) -> Demand:
    """Return the arrivals as those of a one-pass model, which know no tokens."""
    traffic = workload.traffic
    if traffic.requests_per_s is None:
        raise InputError(
            "traffic: no requests_per_s, no trace and no clients",
            hint="give one of them, for example: traffic: {requests_per_s: 2}",
        )
    alone = OnlineWorkload(
        name=workload.name,
        traffic=traffic,
        slo=Slo(latency_s=1.0, quantile=workload.slo.quantile),  # of the target, the quantile alone bears on arrivals
        hardware=workload.hardware,
    )
    return Demand(alone, lengths=(None,), trace_s=None, trace_length=None)
