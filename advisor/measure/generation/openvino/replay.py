"""Requests served by OpenVINO's engine as they arrive, and whether each gets the tokens that it gets alone."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.measure.generation.clock import LoopClock
from advisor.measure.generation.openvino.engine import Engine, Held
from advisor.measure.generation.openvino.plain_model import PlainModel
from advisor.measure.generation.replay import TIE_FRACTION, Arrivals, Replayed, Requests
from advisor.schema.record import Record, Seconds


class MixedStep(Record, frozen=True, kw_only=True):
    """One step of the loop, and when it began."""

    held: Held
    began_s: Seconds
    took_s: Seconds


class Served(NamedTuple):
    """What became of requests, and the steps of the loop."""

    replayed: Replayed
    steps: tuple[MixedStep, ...]


def serve(engine: Engine, requests: Requests, *, clock: LoopClock) -> Served:
    """Serve the requests, first come, first served, and return what was observed.

    Raises InputError for what cannot be served: a request that is too long, and a cache that could run full, since what the engine throws
    out and reads again is not in its log.
    """
    check(engine, requests)
    arrivals = Arrivals(requests)
    waiting: deque[int] = deque()
    count = len(requests.prompts)
    arrival_s = [0.0] * count
    token_s: list[list[float]] = [[] for _ in range(count)]
    tokens: list[list[int]] = [[] for _ in range(count)]
    steps: list[MixedStep] = []
    unanswered = count
    while unanswered:
        for moment_s, number in arrivals.taken(clock.now_s()):
            arrival_s[number] = moment_s
            waiting.append(number)
        while waiting and engine.running < engine.max_running:
            number = waiting.popleft()
            engine.add(number, requests.prompts[number], requests.output_tokens[number])
        if not engine.running:
            clock.wait_until(arrivals.next_s)
            continue
        held, began_s = engine.next_held(), clock.now_s()
        found = engine.step()
        now_s = clock.now_s()
        steps.append(MixedStep(held=held, began_s=began_s, took_s=now_s - began_s))
        for number, new in found.items():
            tokens[number] += new
            token_s[number] += [now_s] * len(new)
            if len(tokens[number]) >= requests.output_tokens[number]:
                unanswered -= 1
                arrivals.answered(now_s)
    replayed = Replayed(
        clock=clock.kind,
        arrival_s=tuple(arrival_s),
        token_s=tuple(map(tuple, token_s)),
        tokens=tuple(map(tuple, tokens)),
        steps=(),
        duration_s=clock.now_s(),
    )
    return Served(replayed, tuple(steps))


def check(engine: Engine, requests: Requests) -> None:
    """Raise InputError for requests that cannot be served."""
    if not requests.prompts:
        raise InputError("there are no requests to serve", hint="give a trace with at least one")
    sizes = []
    for number, (prompt, output) in enumerate(zip(requests.prompts, requests.output_tokens, strict=True), 1):
        if len(prompt) < 1 or output < 1:
            raise InputError(
                f"request {number}: {len(prompt)} tokens to read and {output} to write", hint="each needs at least one of both"
            )
        try:
            engine.check(len(prompt), output)
        except InputError as error:
            raise InputError(f"request {number}: {error.fault}", hint=error.hint) from error
        sizes.append(len(prompt) + output + engine.proposed)
    most = most_at_once(sizes, engine.max_running)
    if most > engine.kv_tokens:
        raise InputError(
            f"{engine.max_running} of these requests side by side may take {most} tokens, and the cache holds {engine.kv_tokens}",
            hint="give the cache as much, or run fewer requests",
        )


def most_at_once(sizes: Iterable[int], running: int) -> int:
    """Return the most tokens that so many requests have together while they run side by side: with a cache for them none is thrown out."""
    return sum(sorted(sizes)[-running:])


def tokens_alone(engine: Engine, prompt: np.ndarray, output_tokens: int) -> tuple[int, ...]:
    """Return the greedy tokens that a request gets with the engine for itself."""
    assert not engine.running, "others run"
    engine.check(len(prompt), output_tokens)
    engine.add(0, prompt, output_tokens)
    found: list[int] = []
    while engine.running:
        found += engine.step().get(0, ())
    return tuple(found)


def is_equal(plain: PlainModel, prompt: np.ndarray, alone: Sequence[int], tokens: Sequence[int]) -> bool:
    """Return whether a request got the same tokens alone and among others.

    Where they part the two tokens have to be a tie, nearer to each other than rounding is; what follows from there has no equal.
    """
    parted = next((place for place, pair in enumerate(zip(alone, tokens, strict=True)) if pair[0] != pair[1]), None)
    if parted is None:
        return True
    logits = plain.logits(np.concatenate([prompt, np.array(alone[:parted], dtype=np.int64)]))[-1]
    return abs(float(logits[alone[parted]]) - float(logits[tokens[parted]])) <= TIE_FRACTION * float(np.ptp(logits))


def sample_equals_alone(
    engine: Engine, plain: PlainModel, requests: Requests, replayed: Replayed, *, sample: int, seed: int
) -> bool:
    """Return whether as many requests, drawn at random, got the tokens that each of them gets alone."""
    drawn = np.random.default_rng(seed).permutation(len(requests.prompts))[:sample]
    return all(
        is_equal(plain, requests.prompts[number], tokens_alone(engine, requests.prompts[number], len(tokens)), tokens)
        for number, tokens in ((number, replayed.tokens[number]) for number in drawn.tolist())
    )
