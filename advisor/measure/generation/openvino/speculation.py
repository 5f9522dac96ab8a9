"""Speculation, measured off and on: how many tokens a step gives, and what that does to the time, by text and by how many requests run.

The engine checks tokens that are proposed, all of them in one step. Prompt lookup proposes what followed the latest few tokens where these
stood before, in the prompt or the answer: an answer that copies its prompt comes several tokens at a time, and any other pays for checking
what is thrown away. A draft, a smaller decoder, proposes what it would say itself, and its own steps are paid for as well.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.measure.generation.clock import Read
from advisor.measure.generation.openvino.engine import Engine, Lookup, Proposer, engine_time, open_engine
from advisor.medians import student_t_95
from advisor.schema.generation import Clock, LookupText, Speculation
from advisor.schema.record import Estimate

ASK_TO_COPY, COPY_BEGINS = "Repeat the following text, word by word:\n\n", "\n\nThe same text again:\n\n"
FEWEST_ROUNDS, MOST_ROUNDS = 3, 8  # of fewer pairs an interval says nothing; beyond the most it hardly becomes narrower
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
    """The same requests without and with speculation, one after the other."""

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
        raise InputError(f"the text has {len(document)} tokens, and trying speculation takes {tokens}", hint="give a longer text")
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


class Engines(NamedTuple):
    """The same decoder without and with speculation."""

    off: Engine
    on: Engine


def open_engines(
    folder: Path, *, threads: int, most_running: int, longest_prompt: int, output_tokens: int, proposer: Proposer = USUAL
) -> Engines:
    """Open the engine of a decoder twice, and make the first calls, which are like no others.

    Raises what `open_engine` does, and InputError for requests that are too long.
    """

    def opened(speculating: Proposer | None) -> Engine:
        return open_engine(
            folder,
            threads=threads,
            max_running=most_running,
            budget_tokens=BUDGET_TOKENS + most_running * (1 + proposer.tokens),
            kv_tokens=most_running * (longest_prompt + output_tokens + proposer.tokens),
            proposer=speculating,
        )

    engines = Engines(opened(None), opened(proposer))
    engines.on.check(longest_prompt, output_tokens)
    prompt = np.arange(min(longest_prompt, BEGUN_TOKENS), dtype=np.int64) % engines.on.vocabulary
    for engine in engines:
        run(engine, [prompt] * most_running, 2, time.perf_counter)
    return engines


def pairs(
    engines: Engines, prompts: Sequence[np.ndarray], *, running: int, output_tokens: int, rounds: int, clock: Read
) -> Iterator[Pair]:
    """Yield rounds of runs without and with speculation, in turns, each round on prompts of its own, and begun by the other of the two.

    Raises InputError for fewer rounds, prompts or tokens than say something, and for requests that are too long.
    """
    # On the same prompts again rounds would differ by the machine alone, and nothing would show what another text does.
    if rounds < FEWEST_ROUNDS or len(prompts) < rounds * running or output_tokens < 2:
        raise InputError(
            f"{rounds} rounds on {len(prompts)} prompts, {running} at once, {output_tokens} tokens each: too few to compare",
            hint=f"give {FEWEST_ROUNDS} rounds, a prompt for each request of all of them, and 2 tokens at the least",
        )
    for prompt in prompts:
        engines.on.check(len(prompt), output_tokens)
    for number in range(rounds):
        chosen = prompts[number * running : (number + 1) * running]
        if number % 2:
            second = run(engines.on, chosen, output_tokens, clock)
            yield Pair(run(engines.off, chosen, output_tokens, clock), second)
        else:
            first = run(engines.off, chosen, output_tokens, clock)
            yield Pair(first, run(engines.on, chosen, output_tokens, clock))


def tried(
    engines: Engines,
    prompts: Sequence[np.ndarray],
    *,
    text: LookupText,
    draft: str | None = None,
    running: int,
    output_tokens: int,
    seconds: float,
    most_s: float,
    clock: Clock = "cpu",
    now: Read = time.perf_counter,
) -> Speculation | None:
    """Return what speculation does to these prompts, so many at once; None where even the fewest rounds take longer than `most_s`.

    Of more rounds than the fewest as many are made as there are prompts for and end within `seconds`. Raises what `pairs` does.
    """
    began_s = now()
    rounds = min(MOST_ROUNDS, len(prompts) // running)
    read = time.perf_counter if clock == "wall" else engine_time(engines.off.threads)
    found: list[Pair] = []
    for pair in pairs(engines, prompts, running=running, output_tokens=output_tokens, rounds=rounds, clock=read):
        found.append(pair)
        spent_s = now() - began_s
        each_s = spent_s / len(found)
        if len(found) < FEWEST_ROUNDS and spent_s + (FEWEST_ROUNDS - len(found)) * each_s > most_s:
            return None
        if len(found) >= FEWEST_ROUNDS and spent_s + each_s > seconds:
            break
    return speculation(found, text=text, draft=draft, running=running, proposed_tokens=engines.on.proposed, clock=clock)


def speculation(
    found: Sequence[Pair], *, text: LookupText, draft: str | None = None, running: int, proposed_tokens: int, clock: Clock
) -> Speculation:
    """Return what pairs of runs say, as typical figures with the interval of the typical pair; `draft` proposes, None: lookup."""
    source = f"{len(found)} pairs of runs of {running} requests side by side, in turns, {clock} clock"

    def typical(values: Sequence[float], what: str) -> Estimate:
        return _typical(values, f"{what}, {source}")

    return Speculation(
        draft=draft,
        text=text,
        running_requests=running,
        proposed_tokens=proposed_tokens,
        acceptance=_accepted([pair.on.tokens_per_step for pair in found], proposed_tokens, source),
        tokens_per_step=typical([pair.on.tokens_per_step for pair in found], "later tokens of a request a step"),
        tpot_off_s=typical([pair.off.tpot_s for pair in found], "seconds a later token without speculation"),
        tpot_on_s=typical([pair.on.tpot_s for pair in found], "seconds a later token with speculation"),
        speedup=typical([pair.off.seconds / pair.on.seconds for pair in found], "whole time without over with, prompts included"),
    )


def _accepted(tokens_per_step: Sequence[float], proposed: int, source: str) -> Estimate:
    """Return the share of proposed tokens that stayed, the mean with its 90 % interval: beside them each step gives one of the model's."""
    shares = [(tokens - 1) / proposed for tokens in tokens_per_step]
    center = statistics.fmean(shares)
    half = student_t_95(len(shares) - 1) * statistics.stdev(shares) / math.sqrt(len(shares))
    low, value, high = (min(1.0, max(0.0, end)) for end in (center - half, center, center + half))
    return Estimate(value=value, low=low, high=high, basis="measured", source=f"share of proposed tokens that stayed, {source}")


def _typical(values: Sequence[float], source: str) -> Estimate:
    """Return the geometric mean with its 90 % interval by Student's t: figures that are ratios or times."""
    logs = [math.log(value) for value in values]
    center = statistics.fmean(logs)
    half = student_t_95(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Estimate(
        value=math.exp(center), low=math.exp(center - half), high=math.exp(center + half), basis="measured", source=source
    )
