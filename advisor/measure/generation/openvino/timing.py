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
from advisor.measure.generation.scripts import DECODED, NO_POINTS, Part, Points, Script, points_of_plays
from advisor.measure.runtime.waiting import WaitingClock, thread_ids, waited_s
from advisor.schema.generation import StepVisit
from advisor.schema.record import SHORTEST_CALL_S


class Sample(NamedTuple):
    """One step, timed."""

    held: Held
    wall_s: float
    cpu_s: float
    waited_s: float | None


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
        check(engine, script)
    random = np.random.default_rng(seed)
    bench = Bench(engine, random, wall, cpu or engine_time(engine.threads))
    bench.play(min(listed, key=lambda script: script.tokens(engine.budget_tokens)))  # a first call is like no other
    samples: dict[Script, list[list[Sample]]] = {script: [] for script in listed}
    for _ in range(rounds):
        for place in random.permutation(len(listed)).tolist():
            samples[listed[place]].append(bench.play(listed[place]))
    orders = itertools.count()
    return points_of(samples.values(), variant=variant, threads=engine.threads, orders=orders)


def check(engine: Engine, script: Script) -> None:
    """Raise InputError for a script that the engine cannot take."""
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


class Bench:
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


def parts_of(samples: Sequence[Sample], orders: Iterator[int]) -> tuple[Part, ...]:
    """Return a play of a script as parts, each with the next order: step by step, and those in a row that only decode as one.

    A step that reads several prompts at once is none: it looks back from several places.
    """
    return tuple(
        _part(samples[begin:end], next(orders)) for begin, end in _stretches(samples) if len(samples[begin].held.prompts) < 2
    )


def whole(samples: Sequence[Sample], order: int) -> StepVisit:
    """Return a play of a script as a visit of one step, that took as long as all of its steps."""
    every = _visit(samples, order)
    return StepVisit(order=order, wall_s=(sum(every.wall_s),), cpu_s=(sum(every.cpu_s),), waited_s=every.waited_s)


def points_of(played: Iterable[Sequence[Sequence[Sample]]], *, variant: str, threads: int, orders: Iterator[int]) -> Points:
    """Return the points of scripts, each of which was played in rounds."""
    points = NO_POINTS
    for rounds in played:
        plays = [parts_of(samples, orders) for samples in rounds]
        points = points.and_also(points_of_plays(plays, variant=variant, threads=threads))
    return points


def _stretches(samples: Sequence[Sample]) -> Iterator[tuple[int, int]]:
    """Yield where parts begin and end."""
    begin = 0
    for _, group in itertools.groupby(enumerate(samples), key=_kind):
        count = len(list(group))
        yield begin, begin + count
        begin += count


def _kind(numbered: tuple[int, Sample]) -> tuple[int, int]:
    """Return what samples in a row share that are one part: those that read a prompt are each for themselves."""
    number, sample = numbered
    return sample.held.batch_size, number if sample.held.prompts else -1


def _part(samples: Sequence[Sample], order: int) -> Part:
    first, context = samples[0].held, sum(sample.held.context_tokens for sample in samples)
    read = first.prompts[0] if first.prompts else None
    return Part(
        batch_size=first.batch_size,
        context_tokens=round(context / len(samples)),
        tokens=read.tokens if read else 0,
        past_tokens=read.past_tokens if read else 0,
        visit=_visit(samples, order),
    )


def _visit(samples: Sequence[Sample], order: int) -> StepVisit:
    waits = [sample.waited_s for sample in samples]
    return StepVisit(
        order=order,
        wall_s=tuple(sample.wall_s for sample in samples),
        cpu_s=tuple(sample.cpu_s for sample in samples),
        waited_s=None if None in waits else sum(wait or 0.0 for wait in waits),
    )
