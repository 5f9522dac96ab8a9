"""Prompt lookup, measured off and on: how many tokens a step gives, and what that does to the time, by text and by how many requests run.

The engine proposes tokens that followed the latest few where these stood before, in the prompt or the answer, and checks them all in one
step: an answer that copies its prompt comes several tokens at a time, and any other pays for checking what is thrown away.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.measure.generation.clock import Read
from advisor.measure.generation.openvino.engine import Engine, Lookup, engine_time, open_engine
from advisor.medians import student_t_95
from advisor.schema.generation import Clock, Speculation
from advisor.schema.record import Estimate

Text = Literal["given", "copying", "free"]
ASK_TO_COPY, COPY_BEGINS = "Repeat the following text, word by word:\n\n", "\n\nThe same text again:\n\n"
FEWEST_ROUNDS, MOST_ROUNDS = 3, 8  # of fewer pairs an interval says nothing
USUAL = Lookup()
BUDGET_TOKENS = 512  # of a step, beside those of the running requests: what it reads of prompts
BEGUN_TOKENS = 8  # of the copy, that are given: from there on a model without instructions goes on by itself


class Run(NamedTuple):
    """Requests that were begun together and served until the last token."""

    seconds: float  # of all steps
    tpot_s: float  # of each later token, the mean over requests
    tokens_per_step: float  # of a request, first token apart
    tokens: tuple[tuple[int, ...], ...]  # of each request


class Pair(NamedTuple):
    """The same requests without and with lookup, one after the other."""

    off: Run
    on: Run


def copying_prompts(document: np.ndarray, encode: Callable[[str], Sequence[int]], *, count: int, tokens: int) -> list[np.ndarray]:
    """Return prompts that give a piece of the document each, ask to repeat it and begin to; `tokens` are those of a piece."""
    before, between = (np.array(encode(text), dtype=np.int64) for text in (ASK_TO_COPY, COPY_BEGINS))
    return [
        np.concatenate([before, piece, between, piece[:BEGUN_TOKENS]]) for piece in pieces(document, count=count, tokens=tokens)
    ]


def free_prompts(document: np.ndarray, *, count: int, tokens: int) -> list[np.ndarray]:
    """Return prompts of a piece of the document each, to go on from."""
    return pieces(document, count=count, tokens=tokens)


def pieces(document: np.ndarray, *, count: int, tokens: int) -> list[np.ndarray]:
    """Return pieces of a document (tokens,), spread over all of it; raise InputError for one that is shorter than a piece."""
    if len(document) < tokens:
        raise InputError(
            f"the text has {len(document)} tokens, and trying prompt lookup takes {tokens}", hint="give a longer text"
        )
    begins = np.linspace(0, len(document) - tokens, count).round().astype(int)
    return [document[begin : begin + tokens] for begin in begins.tolist()]


def run(engine: Engine, prompts: Sequence[np.ndarray], output_tokens: int, clock: Read) -> Run:
    """Serve the prompts side by side and return what was observed; `clock` reads seconds."""
    for number, prompt in enumerate(prompts):
        engine.add(number, prompt, output_tokens)
    began_s = clock()
    now_s = began_s
    first_s: dict[int, float] = {}
    last_s: dict[int, float] = {}
    tokens: dict[int, list[int]] = {number: [] for number in range(len(prompts))}
    asked = 0  # of the steps that decode, once for each request in them
    while engine.running:
        asked += engine.next_held().batch_size
        found = engine.step()
        now_s = clock()
        for number, new in found.items():
            first_s.setdefault(number, now_s)
            last_s[number] = now_s
            tokens[number] += new
    later = output_tokens - 1
    return Run(
        seconds=now_s - began_s,
        tpot_s=statistics.fmean((last_s[number] - first_s[number]) / later for number in tokens),
        tokens_per_step=len(prompts) * later / asked,
        tokens=tuple(map(tuple, tokens.values())),
    )


def pairs(
    off: Engine, on: Engine, prompts: Sequence[np.ndarray], *, running: int, output_tokens: int, rounds: int, clock: Read
) -> tuple[Pair, ...]:
    """Return rounds of runs without and with lookup, in turns, each round on prompts of its own, and begun by the other of the two.

    Raises InputError for fewer rounds, prompts or tokens than say something, and for requests that are too long.
    """
    # On the same prompts again rounds would differ by the machine alone, and nothing would show what another text does.
    if rounds < FEWEST_ROUNDS or len(prompts) < rounds * running or output_tokens < 2:
        raise InputError(
            f"{rounds} rounds on {len(prompts)} prompts, {running} at once, {output_tokens} tokens each: too few to compare",
            hint=f"give {FEWEST_ROUNDS} rounds, a prompt for each request of all of them, and 2 tokens at the least",
        )
    for prompt in prompts:
        on.check(len(prompt), output_tokens)
    _warm_up(off, on, prompts[0], clock)
    found = []
    for number in range(rounds):
        chosen = prompts[number * running : (number + 1) * running]
        if number % 2:
            second = run(on, chosen, output_tokens, clock)
            found.append(Pair(run(off, chosen, output_tokens, clock), second))
        else:
            first = run(off, chosen, output_tokens, clock)
            found.append(Pair(first, run(on, chosen, output_tokens, clock)))
    return tuple(found)


def _warm_up(off: Engine, on: Engine, prompt: np.ndarray, clock: Read) -> None:
    """Make the first calls, which are like no others."""
    for engine in (off, on):
        run(engine, [prompt], 2, clock)


def try_lookup(
    folder: Path,
    prompts: Mapping[Text, Sequence[np.ndarray]],
    *,
    threads: int,
    running: Sequence[int] = (1, 8),
    lookup: Lookup = USUAL,
    output_tokens: int = 48,
    clock: Clock = "cpu",
) -> tuple[Speculation, ...]:
    """Return what lookup does to each kind of text at each number of running requests, in the decoder that `write_openvino` wrote.

    There are as many rounds as there are prompts for, up to MOST_ROUNDS: the fewest are three times as many prompts as run at once.
    Raises what `open_engine` and `pairs` do.
    """
    most = max(running)
    longest = max(len(prompt) for listed in prompts.values() for prompt in listed)

    def opened(with_lookup: Lookup | None) -> Engine:
        return open_engine(
            folder,
            threads=threads,
            max_running=most,
            budget_tokens=BUDGET_TOKENS + most * (1 + lookup.tokens),
            kv_tokens=most * (longest + output_tokens + lookup.tokens),
            lookup=with_lookup,
        )

    read = time.perf_counter if clock == "wall" else engine_time(threads)
    found = []
    with opened(None) as off, opened(lookup) as on:
        for text, listed in prompts.items():
            for count in running:
                rounds = min(MOST_ROUNDS, len(listed) // count)
                made = pairs(off, on, listed, running=count, output_tokens=output_tokens, rounds=rounds, clock=read)
                found.append(speculation(made, text=text, running=count, lookup_tokens=lookup.tokens, clock=clock))
    return tuple(found)


def speculation(found: Sequence[Pair], *, text: Text, running: int, lookup_tokens: int, clock: Clock) -> Speculation:
    """Return what pairs of runs say, as typical figures with the interval of the typical pair."""
    source = f"{len(found)} pairs of runs of {running} requests side by side, in turns, {clock} clock"

    def typical(values: Sequence[float], what: str) -> Estimate:
        return _typical(values, f"{what}, {source}")

    return Speculation(
        text=text,
        running_requests=running,
        lookup_tokens=lookup_tokens,
        tokens_per_step=typical([pair.on.tokens_per_step for pair in found], "later tokens of a request a step"),
        tpot_off_s=typical([pair.off.tpot_s for pair in found], "seconds a later token without lookup"),
        tpot_on_s=typical([pair.on.tpot_s for pair in found], "seconds a later token with lookup"),
        speedup=typical([pair.off.seconds / pair.on.seconds for pair in found], "whole time without over with, prompts included"),
    )


def _typical(values: Sequence[float], source: str) -> Estimate:
    """Return the geometric mean with its 90 % interval by Student's t: figures that are ratios or times."""
    logs = [math.log(value) for value in values]
    center = statistics.fmean(logs)
    half = student_t_95(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Estimate(
        value=math.exp(center), low=math.exp(center - half), high=math.exp(center + half), basis="measured", source=source
    )
