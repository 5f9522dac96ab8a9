"""Steps of OpenVINO's engine, timed: scripts of requests that join each other, of which every step is a point.

The engine's cache grows with each step, so no step can be made twice; but a script that is played again has the same steps again.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.measure.generation.clock import Read
from advisor.measure.generation.openvino.engine import Engine, Held, engine_time
from advisor.measure.runtime.waiting import WaitingClock, thread_ids, waited_s
from advisor.schema.generation import DecodePoint, MixedPoint, PrefillPoint, StepVisit
from advisor.schema.record import SHORTEST_CALL_S

DECODED = 4  # steps in a row that only decode: one visit of a point
SHORT_TOKENS = 16  # of a prompt that costs next to nothing to read
LONG_IN_BUDGETS = 4  # of a prompt that is read in several steps, each farther behind its beginning


class Script(NamedTuple):
    """Requests of one length that run side by side, if any, and a prompt that joins them."""

    batch_size: int
    context_tokens: int  # of each of them, before its first token
    prompt_tokens: int

    @property
    def joined(self) -> int:
        """How many requests run in the end."""
        return self.batch_size + 1

    def most_steps(self, budget_tokens: int) -> int:
        """Return how many steps it takes at the most: to read the batch, to decode, to read the prompt, to decode again."""
        room = budget_tokens - self.batch_size
        return -(-self.batch_size * self.context_tokens // room) - (-self.prompt_tokens // room) + 2 * DECODED + 2

    def longest(self, budget_tokens: int) -> int:
        """Return how many tokens the longest of its requests may have in the end."""
        return max(self.context_tokens, self.prompt_tokens) + self.most_steps(budget_tokens)

    def tokens(self, budget_tokens: int) -> int:
        """Return how many tokens the cache may have to hold for it."""
        each = self.most_steps(budget_tokens)
        return self.batch_size * (self.context_tokens + each) + self.prompt_tokens + each


class Sample(NamedTuple):
    """One step, timed."""

    held: Held
    wall_s: float
    cpu_s: float
    waited_s: float | None


class Points(NamedTuple):
    """The steps of scripts by what they held: prompts alone, tokens alone, or both."""

    prefill: tuple[PrefillPoint, ...]
    decode: tuple[DecodePoint, ...]
    mixed: tuple[MixedPoint, ...]


def scripts(max_running: int, budget_tokens: int, max_tokens: int) -> tuple[Script, ...]:
    """Return what tells the law of steps: prompts short and long, few and many requests at a short and a long context, and both at once.

    What is longer than a request may be is cut; what then still does not fit is left out.
    """
    beside = max_running - 1  # of a prompt that joins
    room = budget_tokens - beside
    wanted = [Script(0, 0, length) for length in (SHORT_TOKENS, max(1, budget_tokens // 4), LONG_IN_BUDGETS * budget_tokens)]
    if beside:
        wanted += [Script(beside, SHORT_TOKENS, 2 * room + max(1, room // 4))]
        wanted += [Script(max(1, beside // 2), 8 * SHORT_TOKENS, max(1, room // 2))]
    found = []
    for script in wanted:
        most = max_tokens - script.most_steps(budget_tokens)
        cut = Script(script.batch_size, min(script.context_tokens, most), min(script.prompt_tokens, most))
        if most > 0 and cut not in found:
            found.append(cut)
    return tuple(found)


def timed(
    engine: Engine,
    listed: Sequence[Script],
    *,
    variant: str,
    rounds: int,
    seed: int = 0,
    wall: Read = time.perf_counter,
    cpu: Read | None = None,
) -> Points:
    """Play the scripts in rounds, each in another order, and return every step of them as a point with a visit of each round.

    Raises InputError for a script that the engine cannot take.
    """
    for script in listed:
        _check(engine, script)
    random = np.random.default_rng(seed)
    bench = _Bench(engine, random, wall, cpu or engine_time(engine.threads))
    bench.play(min(listed, key=lambda script: script.tokens(engine.budget_tokens)))  # a first call is like no other
    samples: dict[Script, list[list[Sample]]] = {script: [] for script in listed}
    for _ in range(rounds):
        for place in random.permutation(len(listed)).tolist():
            samples[listed[place]].append(bench.play(listed[place]))
    orders = itertools.count()
    return points_of(samples.values(), variant=variant, threads=engine.threads, orders=orders)


def _check(engine: Engine, script: Script) -> None:
    if script.joined > engine.max_running:
        raise InputError(
            f"{script.joined} requests side by side, and the engine runs {engine.max_running}", hint="open it for as many"
        )
    engine.check(script.longest(engine.budget_tokens), 0)
    if (needed := script.tokens(engine.budget_tokens)) > engine.kv_tokens:
        raise InputError(
            f"requests that may have {needed} tokens together, and the cache holds {engine.kv_tokens}",
            hint="open the engine with a larger cache",
        )


class _Bench:
    """Plays scripts and notes what their steps held and took."""

    def __init__(self, engine: Engine, random: np.random.Generator, wall: Read, cpu: Read) -> None:
        self._engine, self._random = engine, random
        self._wall, self._cpu = wall, cpu

    def play(self, script: Script) -> list[Sample]:
        """Return the steps of a script, in their order."""
        found: list[Sample] = []
        # The threads that compute are the engine's own: whoever of the process waited for a core held up the step.
        with WaitingClock(thread_ids()) as waiting:
            for number in range(script.batch_size):
                self._add(number, script.context_tokens, script)
            if script.batch_size:
                self._read_and_decode(found, waiting)
            self._add(script.batch_size, script.prompt_tokens, script)
            self._read_and_decode(found, waiting)
        self._engine.drop()
        return found

    def _add(self, number: int, tokens: int, script: Script) -> None:
        prompt = self._random.integers(0, self._engine.vocabulary, size=tokens, dtype=np.int64)
        # It is to run until the end: one token more than there are steps.
        self._engine.add(number, prompt, script.most_steps(self._engine.budget_tokens) + 1)

    def _read_and_decode(self, found: list[Sample], waiting: WaitingClock) -> None:
        while self._engine.next_held().prompts:
            found.append(self._step(waiting))
        found += [self._step(waiting) for _ in range(DECODED)]

    def _step(self, waiting: WaitingClock) -> Sample:
        held, before = self._engine.next_held(), waiting.read()
        wall_s, cpu_s = self._wall(), self._cpu()
        self._engine.step()
        wall_s, cpu_s = self._wall() - wall_s, self._cpu() - cpu_s
        waits = sum(waited_s([wall_s], [before, waiting.read()])) if waiting.is_known else None
        # A clock that is coarser than a step may not have moved.
        return Sample(held, max(wall_s, SHORTEST_CALL_S), max(cpu_s, SHORTEST_CALL_S), waits)


def points_of(played: Iterable[Sequence[Sequence[Sample]]], *, variant: str, threads: int, orders: Iterator[int]) -> Points:
    """Return the points of scripts, each of which was played in rounds: step by step, and those in a row that only decode as one.

    A step that reads several prompts at once is none: it looks back from several places.
    """
    points = Points((), (), ())
    for rounds in played:
        for begin, end in _stretches(rounds[0]):
            visits = tuple(_visit(samples[begin:end], next(orders)) for samples in rounds)
            points = _with(points, [sample.held for sample in rounds[0][begin:end]], variant, threads, visits)
    return points


def _stretches(samples: Sequence[Sample]) -> Iterator[tuple[int, int]]:
    """Yield where points begin and end."""
    begin = 0
    for _, group in itertools.groupby(enumerate(samples), key=_kind):
        count = len(list(group))
        yield begin, begin + count
        begin += count


def _kind(numbered: tuple[int, Sample]) -> tuple[int, int]:
    """Return what samples in a row share that are one point: those that read a prompt are each for themselves."""
    number, sample = numbered
    return sample.held.batch_size, number if sample.held.prompts else -1


def _visit(samples: Sequence[Sample], order: int) -> StepVisit:
    waits = [sample.waited_s for sample in samples]
    return StepVisit(
        order=order,
        wall_s=tuple(sample.wall_s for sample in samples),
        cpu_s=tuple(sample.cpu_s for sample in samples),
        waited_s=None if None in waits else sum(wait or 0.0 for wait in waits),
    )


def _with(points: Points, held: Sequence[Held], variant: str, threads: int, visits: tuple[StepVisit, ...]) -> Points:
    """Return the points and one more."""
    batch_size, prompts = held[0].batch_size, held[0].prompts
    context = round(sum(step.context_tokens for step in held) / len(held))
    if len(prompts) > 1:
        return points
    if not prompts:
        decode = DecodePoint(
            variant=variant, intra_op_num_threads=threads, batch_size=batch_size, context_tokens=context, visits=visits
        )
        return points._replace(decode=(*points.decode, decode))
    tokens, past_tokens = prompts[0].tokens, prompts[0].past_tokens
    if not batch_size:
        prefill = PrefillPoint(
            variant=variant, intra_op_num_threads=threads, tokens=tokens, past_tokens=past_tokens, visits=visits
        )
        return points._replace(prefill=(*points.prefill, prefill))
    mixed = MixedPoint(
        variant=variant,
        intra_op_num_threads=threads,
        batch_size=batch_size,
        context_tokens=context,
        tokens=tokens,
        past_tokens=past_tokens,
        visits=visits,
    )
    return points._replace(mixed=(*points.mixed, mixed))
