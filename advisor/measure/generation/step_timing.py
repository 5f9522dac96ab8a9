"""Steps of a decoder, timed: which points tell all others, how long a visit of one is, and the bench on which it is made."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from advisor.measure.generation.clock import Laps
from advisor.measure.generation.scripts import Script
from advisor.measure.generation.slots import Steps, next_token, next_tokens
from advisor.schema.generation import StepVisit
from advisor.schema.record import Cores, Count, Length, Record, Whole

DISTINCT_TOKENS = 4  # inputs that take turns, so that none finds all it needs in the caches of the processor
MOST_CALLS = 64  # of a visit
# To look back at so many tokens takes about as long as to read one (a Llama of 135 M parameters: 300 to 600).
CACHED_OF_A_TOKEN = 500


class Prefill(Record, frozen=True, kw_only=True, tag=True):
    """A prompt, or a chunk of one, that is read behind `past_tokens`."""

    tokens: Length
    past_tokens: Whole = 0


class Decode(Record, frozen=True, kw_only=True, tag=True):
    """One token more for each of so many requests, with `context_tokens` in the cache of all of them together."""

    batch_size: Count
    context_tokens: Whole


Step = Prefill | Decode | Script  # of a script all steps are made, one after the other


class Point(Record, frozen=True, kw_only=True):
    """One step of one variant on so many threads."""

    variant: str
    intra_op_num_threads: Cores
    step: Step


class Lengths(NamedTuple):
    """What requests are like, in tokens: how points are chosen."""

    shortest: int  # prompt, of a usual range of them
    usual: int
    longest: int
    context: int  # of a request that is nearly done
    chunk: int  # of a prompt, where it is not read at once
    prompts: Literal["in chunks", "whole", "alike"] = "in chunks"  # how they can be read; alike: whole, and all of one length


def prefill_steps(lengths: Lengths) -> tuple[Prefill, ...]:
    """Return the prompts to time: short, usual and long, one between the last two, and a chunk of one that is half read.

    Three lengths at the least, whatever the requests: of fewer nobody knows what grows by tokens, and what by pairs of them. What reads
    its prompts whole has no chunks, and where all of them are of one length nothing grows.
    """
    if lengths.prompts == "alike":
        return (Prefill(tokens=lengths.usual),)
    between = round((lengths.usual * lengths.longest) ** 0.5)
    tokens = {min(lengths.shortest, max(1, lengths.longest // 4)), lengths.usual, between, lengths.longest}
    if len(tokens) < 3:
        tokens.add(max(1, lengths.longest // 2))
    whole = tuple(Prefill(tokens=length) for length in sorted(tokens))
    if lengths.prompts == "whole":
        return whole
    chunk = max(1, min(lengths.chunk, lengths.context // 2))
    return (*whole, Prefill(tokens=chunk, past_tokens=max(1, lengths.context - chunk)))


def decode_steps(max_running: int, lengths: Lengths) -> tuple[Decode, ...]:
    """Return batch 1, 2, 4 .. and the largest, each at a short and at a long context of its requests."""
    doubled = itertools.takewhile(lambda size: size < max_running, (2**power for power in itertools.count()))
    short = lengths.usual if lengths.prompts == "alike" else max(1, min(lengths.shortest, lengths.context // 4))
    contexts = sorted({short, lengths.context})
    return tuple(
        Decode(batch_size=size, context_tokens=size * context) for size in (*doubled, max_running) for context in contexts
    )


def by_cost(steps: Iterable[Step]) -> list[Step]:
    """Return the steps with those first that take least: what is known of them tells what the others will take."""
    return sorted(steps, key=lambda step: (_size(step) + _cached(step) / CACHED_OF_A_TOKEN, isinstance(step, Decode)))


def rank(step: Step, steps: Iterable[Step]) -> int:
    """Return how soon a step is to be timed among others of its setting: 0 without these nothing is told, 1 long ones, 2 those between.

    Of the last kind the others tell what they take, where there is no time for them.
    """
    if isinstance(step, Prefill):
        lengths = sorted(other.tokens for other in steps if isinstance(other, Prefill) and not other.past_tokens)
        if step.past_tokens or step.tokens == lengths[-1]:
            return 1
        return 0 if step.tokens in lengths[:2] else 2
    if isinstance(step, Script):
        return _rank_of_script(step, [other for other in steps if isinstance(other, Script)])
    sizes = [other.batch_size for other in steps if isinstance(other, Decode)]
    return 0 if step.batch_size in (min(sizes), max(sizes)) else 2


def _rank_of_script(script: Script, scripts: Iterable[Script]) -> int:
    """Return 0 for the shortest and the longest prompt alone and for the most requests, 1 for fewer requests, 2 for prompts between."""
    alone = sorted(other.prompt_tokens for other in scripts if not other.batch_size)
    if not script.batch_size:
        return 0 if script.prompt_tokens in (alone[0], alone[-1]) else 2
    return 0 if script.batch_size == max(other.batch_size for other in scripts) else 1


def tell_all(timed: Collection[Step], steps: Collection[Step]) -> bool:
    """Return whether those of the steps that were timed tell what all of them take, and others: three prompts, and what has rank 0."""
    wanted = {step for step in steps if rank(step, steps) == 0}
    prompts = [sum(isinstance(step, Prefill) for step in listed) for listed in (timed, steps)]
    return wanted <= set(timed) and prompts[0] >= min(3, prompts[1])


def expected_call_s(step: Step, known: Mapping[Step, float]) -> float:
    """Return the seconds that a step takes at most, by those of its kind that are known; 0 where none is."""
    if step in known:
        return known[step]
    kind = [(_size(other), took_s) for other, took_s in known.items() if type(other) is type(step)]
    if not kind:
        return 0.0
    nearest = max((size for size, _ in kind if size <= _size(step)), default=min(size for size, _ in kind))
    # Nothing grows faster than in proportion to what is read, but for the context: of those as large the dearest counts.
    return max(took_s for size, took_s in kind if size == nearest) * max(1.0, _size(step) / nearest)


def _size(step: Step) -> int:
    """Return the tokens that a step reads."""
    if isinstance(step, Script):
        return step.size
    return step.tokens if isinstance(step, Prefill) else step.batch_size


def _cached(step: Step) -> int:
    """Return the tokens that it looks back at."""
    if isinstance(step, Script):
        return 0
    return step.past_tokens if isinstance(step, Prefill) else step.context_tokens


class Bench:
    """A decoder on which steps are timed, as the server makes them."""

    def __init__(self, decoder: Steps, threads: int, *, seed: int = 0, laps: Callable[[int], Laps] = Laps) -> None:
        """`laps` makes what notes the times, by the threads that are at work."""
        self.decoder, self._threads, self._laps = decoder, threads, laps
        self._random = np.random.default_rng(seed)

    def visit(self, step: Step, order: int, *, seconds: float, warm_up_calls: int) -> StepVisit:
        """Make the step again and again for so many seconds, once at the least."""
        calls = self._calls(step)
        for _ in range(warm_up_calls):
            next(calls)()
        with self._laps(self._threads) as laps:
            while not laps.wall_s or (sum(laps.wall_s) < seconds and len(laps.wall_s) < MOST_CALLS):
                laps.take(next(calls))
        return laps.visit(order)

    def _calls(self, step: Step) -> Iterator[Callable[[], object]]:
        """Return what makes the step, with other tokens from call to call.

        What is in the cache behind which it reads is whatever came there: the time is that of any other values.
        """
        decoder = self.decoder
        assert not isinstance(step, Script), "a cache of rows makes steps by themselves"
        if isinstance(step, Prefill):
            decoder.fill(decoder.slots - 1, step.past_tokens)
            prompts = [self._tokens(step.tokens) for _ in range(DISTINCT_TOKENS)]
            # The last row: prompts are read behind the rows that run.
            return itertools.cycle([_reading(decoder, prompt, decoder.slots - 1, step.past_tokens) for prompt in prompts])
        cached = _shared(step.context_tokens, step.batch_size)
        for slot, tokens in enumerate(cached.tolist()):
            decoder.fill(slot, tokens)
        latest = [self._tokens(step.batch_size) for _ in range(DISTINCT_TOKENS)]
        return itertools.cycle([_decoding(decoder, tokens, cached) for tokens in latest])

    def _tokens(self, count: int) -> np.ndarray:
        return self._random.integers(0, self.decoder.vocabulary, size=count, dtype=np.int64)


def _reading(decoder: Steps, tokens: np.ndarray, slot: int, past_tokens: int) -> Callable[[], object]:
    return lambda: next_token(decoder, tokens, slot, past_tokens)


def _decoding(decoder: Steps, tokens: np.ndarray, cached: np.ndarray) -> Callable[[], object]:
    return lambda: next_tokens(decoder, tokens, cached)


def _shared(total: int, parts: int) -> np.ndarray:
    """Return whole numbers (parts,) that differ by one at the most and are `total` together."""
    return np.array([total // parts + (part < total % parts) for part in range(parts)], dtype=np.int64)
