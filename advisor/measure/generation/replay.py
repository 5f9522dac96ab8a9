"""A small real server: requests by their arrivals, continuous batching over the rows of one cache, greedy tokens, and a log of its steps.

First come, first served. prefill_first: while a waiting request can be admitted its whole prompt is read in one call; else all that run get
a token. chunked: a chunk of the prompt that is being read, then a token for all that have been read before. The first token is that of
the prompt. It is the loop that the simulation has, step by step.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.measure.generation.clock import LoopClock
from advisor.measure.generation.slots import Slots, Steps, next_token
from advisor.schema.generation import Clock, Policy
from advisor.schema.record import Count, Record, Seconds, Whole

# Rounding differs with how many rows share a product: of tokens whose logits are nearer than this part of their range, either may win.
TIE_FRACTION = 1e-3


class Requests(NamedTuple):
    """Prompts and how many tokens each is to get; they come at their arrivals, or as clients ask, one after the other.

    A client of a closed loop sends a request `think_s` of it after the answer to its last one, or after the beginning.
    """

    prompts: Sequence[np.ndarray]  # (tokens,) each
    output_tokens: Sequence[int]
    arrival_s: Sequence[float] | None  # ascending; None: a closed loop
    clients: int = 1
    think_s: Sequence[float] = ()  # (requests,), of a closed loop


class Step(Record, frozen=True, kw_only=True):
    """One call of the model in the loop, and when it began."""

    kind: Literal["prefill", "decode"]
    batch_size: Count
    tokens: Count  # that were read
    context_tokens: Whole  # that were cached before, of all rows together
    began_s: Seconds
    took_s: Seconds


class Replayed(Record, frozen=True, kw_only=True):
    """What became of each request, in their order, and of the loop."""

    clock: Clock
    arrival_s: tuple[Seconds, ...]
    token_s: tuple[tuple[Seconds, ...], ...]  # when each token was there
    tokens: tuple[tuple[Whole, ...], ...]
    steps: tuple[Step, ...]
    duration_s: Seconds

    def first_s(self) -> np.ndarray:
        """Return when each request had its first token (requests,)."""
        return np.array([times[0] for times in self.token_s])

    def last_s(self) -> np.ndarray:
        """Return when each request had its last token (requests,)."""
        return np.array([times[-1] for times in self.token_s])

    def ttft_s(self) -> np.ndarray:
        """Return the seconds from arrival to the first token (requests,)."""
        return np.asarray(self.first_s() - np.array(self.arrival_s))

    def latency_s(self) -> np.ndarray:
        """Return the seconds from arrival to the last token (requests,)."""
        return np.asarray(self.last_s() - np.array(self.arrival_s))

    def tpot_s(self) -> np.ndarray:
        """Return the mean seconds of each later token, of the requests that have any."""
        counts = np.array([len(times) for times in self.token_s])
        later = counts > 1
        return np.asarray((self.last_s() - self.first_s())[later] / (counts[later] - 1))

    def itl_s(self) -> np.ndarray:
        """Return the seconds of every later token of all requests."""
        return np.concatenate([np.diff(times) for times in self.token_s])


def replay(
    decoder: Steps,
    requests: Requests,
    policy: Policy,
    *,
    max_running: int,
    chunk_tokens: int | None = None,
    clock: LoopClock,
) -> Replayed:
    """Serve the requests and return what was observed; raise InputError for one that the cache cannot hold, and for a mixed policy."""
    check(decoder, requests, policy, max_running=max_running, chunk_tokens=chunk_tokens)
    return _Loop(decoder, requests, chunk_tokens if policy == "chunked" else None, max_running, clock).run(policy)


def check(decoder: Steps, requests: Requests, policy: Policy, *, max_running: int, chunk_tokens: int | None) -> None:
    """Raise InputError for what cannot be served."""
    if policy == "mixed":
        raise InputError(
            "policy mixed: ONNX Runtime cannot read prompts and decode in one call", hint="use prefill_first or chunked"
        )
    if policy == "chunked" and not chunk_tokens:
        raise InputError("policy chunked: no size of a chunk", hint="give the tokens of a chunk, such as 128")
    if not 1 <= max_running <= decoder.slots:
        raise InputError(f"{max_running} running requests: the cache has {decoder.slots} rows", hint="run fewer side by side")
    if not requests.prompts:
        raise InputError("there are no requests to serve", hint="give a trace with at least one")
    for number, (prompt, output) in enumerate(zip(requests.prompts, requests.output_tokens, strict=True), 1):
        if len(prompt) < 1 or output < 1:
            raise InputError(
                f"request {number}: {len(prompt)} tokens to read and {output} to write", hint="each needs at least one of both"
            )
        if (needed := len(prompt) + output - 1) > decoder.max_tokens:
            raise InputError(
                f"request {number}: {len(prompt)} tokens to read and {output} to write take {needed} places of a cache of "
                f"{decoder.max_tokens} a request",
                hint="serve it with a longer context, or leave such requests out",
            )


class Arrivals:
    """Requests by when they come; those of a closed loop come as others are answered."""

    def __init__(self, requests: Requests) -> None:
        self._think_s = requests.think_s
        self._due: list[tuple[float, int]] = []
        self._unsent: deque[int] = deque()
        if requests.arrival_s is not None:
            self._due = [(float(moment_s), number) for number, moment_s in enumerate(requests.arrival_s)]
            heapq.heapify(self._due)
            return
        self._unsent.extend(range(len(requests.prompts)))
        for _ in range(requests.clients):
            self.answered(0.0)

    @property
    def next_s(self) -> float:
        """When the next request comes."""
        return self._due[0][0]

    def taken(self, now_s: float) -> list[tuple[float, int]]:
        """Return the moments and numbers of those that have come by now."""
        found = []
        while self._due and self._due[0][0] <= now_s:
            found.append(heapq.heappop(self._due))
        return found

    def answered(self, now_s: float) -> None:
        """Let the client that got its last token think, and send the next request."""
        if self._unsent:
            number = self._unsent.popleft()
            heapq.heappush(self._due, (now_s + self._think_s[number], number))


class _Loop:
    """The loop of one replay."""

    def __init__(self, decoder: Steps, requests: Requests, chunk_tokens: int | None, max_running: int, clock: LoopClock) -> None:
        self._requests, self._chunk_tokens, self._clock = requests, chunk_tokens, clock
        self._arrivals, self._slots = Arrivals(requests), Slots(decoder, max_running)
        self._waiting: deque[int] = deque()
        self._arrival_s = [0.0] * len(requests.prompts)
        self._token_s: list[list[float]] = [[] for _ in requests.prompts]
        self._tokens: list[list[int]] = [[] for _ in requests.prompts]
        self._unanswered = len(requests.prompts)
        self._steps: list[Step] = []

    def run(self, policy: Policy) -> Replayed:
        """Serve until everybody has an answer."""
        slots = self._slots
        while self._unanswered:
            for moment_s, number in self._arrivals.taken(self._clock.now_s()):
                self._arrival_s[number] = moment_s
                self._waiting.append(number)
            if slots.is_empty and not self._waiting:
                self._clock.wait_until(self._arrivals.next_s)
                continue
            if slots.has_room and self._waiting:
                number = self._waiting.popleft()
                slots.take(number, self._requests.prompts[number], self._requests.output_tokens[number])
            has_read = slots.is_reading
            if has_read:
                self._read()
                slots.settle()
            # With a chunk goes a step of all that are read by then; a whole prompt delays them once, the next one again.
            if slots.running and not (has_read and policy == "prefill_first"):
                self._decode()
                slots.settle()
        return Replayed(
            clock=self._clock.kind,
            arrival_s=tuple(self._arrival_s),
            token_s=tuple(map(tuple, self._token_s)),
            tokens=tuple(map(tuple, self._tokens)),
            steps=tuple(self._steps),
            duration_s=self._clock.now_s(),
        )

    def _read(self) -> None:
        began_s = self._clock.now_s()
        read = self._slots.read(self._chunk_tokens)
        now_s = self._clock.now_s()
        self._log("prefill", 1, read.tokens, read.past_tokens, began_s, now_s)
        if read.token is not None:
            self._emit(read.request, read.token, now_s)

    def _decode(self) -> None:
        began_s = self._clock.now_s()
        decoded = self._slots.decode()
        now_s = self._clock.now_s()
        batch_size = len(decoded.requests)
        self._log("decode", batch_size, batch_size, decoded.context_tokens, began_s, now_s)
        for number, token in zip(decoded.requests, decoded.tokens, strict=True):
            self._emit(number, token, now_s)

    def _log(
        self, kind: Literal["prefill", "decode"], batch: int, tokens: int, context: int, began_s: float, now_s: float
    ) -> None:
        step = Step(kind=kind, batch_size=batch, tokens=tokens, context_tokens=context, began_s=began_s, took_s=now_s - began_s)
        self._steps.append(step)

    def _emit(self, number: int, token: int, now_s: float) -> None:
        self._token_s[number].append(now_s)
        self._tokens[number].append(token)
        if len(self._tokens[number]) == self._requests.output_tokens[number]:
            self._unanswered -= 1
            self._arrivals.answered(now_s)


def tokens_alone(decoder: Steps, prompt: np.ndarray, output_tokens: int) -> tuple[int, ...]:
    """Return the greedy tokens that the request gets with the decoder for itself."""
    found = [next_token(decoder, prompt, 0, 0)]
    while len(found) < output_tokens:
        found.append(int(_logits_behind(decoder, prompt, found).argmax()))
    return tuple(found)


def _logits_behind(decoder: Steps, prompt: np.ndarray, answer: Sequence[int]) -> np.ndarray:
    """Return the logits (vocabulary,) behind an answer, all of which but the last token is cached behind its prompt in the first row."""
    cached = np.array([len(prompt) + len(answer) - 1], dtype=np.int64)
    found: np.ndarray = decoder.decode(np.array(answer[-1:], dtype=np.int64), cached)[0]
    return found


def equals_alone(decoder: Steps, prompt: np.ndarray, tokens: Sequence[int]) -> bool:
    """Return whether a replayed request got the tokens that it gets alone.

    Where they part the two tokens have to be a tie, nearer to each other than rounding is; what follows from there has no equal.
    """
    alone = tokens_alone(decoder, prompt, len(tokens))
    parted = next((place for place, pair in enumerate(zip(alone, tokens, strict=True)) if pair[0] != pair[1]), None)
    if parted is None:
        return True
    logits = decoder.prefill(prompt, 0)
    for place in range(1, parted + 1):
        logits = _logits_behind(decoder, prompt, alone[:place])
    apart = abs(float(logits[alone[parted]]) - float(logits[tokens[parted]]))
    return apart <= TIE_FRACTION * float(np.ptp(logits))


def sample_equals_alone(decoder: Steps, requests: Requests, replayed: Replayed, *, sample: int, seed: int) -> bool:
    """Return whether as many requests, drawn at random, got the tokens that each of them gets alone."""
    count = len(requests.prompts)
    drawn = np.random.default_rng(seed).permutation(count)[:sample]
    return all(equals_alone(decoder, requests.prompts[number], replayed.tokens[number]) for number in drawn.tolist())
