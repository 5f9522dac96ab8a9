"""Speculation: how many tokens a step gives that verifies a draft, what it costs by how many requests run, and up to where that pays."""

import math
import statistics
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from advisor.decide.generation.elsewhere.steps import MeanRequest, Steps, requests_per_s
from advisor.errors import InputError
from advisor.schema.catalog import AcceptanceLength
from advisor.schema.language import Architecture, SpeculationByLoad, SpeculationChoice
from advisor.schema.record import Estimate
from advisor.schema.workload import SpeculationAsked
from advisor.units import counted, number, percent, rate, ratio

# Tokens that are proposed a step, where the user does not say how many: beyond these little is gained.
DRAFTS = (1, 2, 3, 5)
# Which of its methods counts first of a family; heads that models come with (MTP) say nothing of families without one.
USUAL_METHODS = ("mtp", "eagle3", "eagle")
USUAL_METHOD = "eagle3"  # of a model whose family has none
# The table is of code. Of other texts less of what is proposed is accepted: at the low end so much of it, our assumption.
OTHER_TEXTS = 0.7
# And it is of large models of experts. Of what theirs accept beyond the first token, heads of dense ones did so much: two tokens of EAGLE-3
# gave Qwen3 of 1.7 to 32 billion parameters 1.79 to 2.19 a step (published by AngelSlim), where the table has 2.3 to 2.7.
OF_DENSE = 0.7
# A draft has to be trained, loaded and watched: what gains less is not worth it.
WORTH = 1.05


def tokens_per_step(acceptance: float, draft_tokens: int) -> float:
    """Return how many tokens a step gives if each proposed one is accepted with this probability behind accepted ones.

    (1 - a^(k + 1)) / (1 - a): Leviathan, Kalman and Matias, arXiv 2211.17192.
    """
    return sum(acceptance**place for place in range(draft_tokens + 1))


def choices(
    model: Architecture, asked: SpeculationAsked | None, table: Sequence[AcceptanceLength]
) -> tuple[SpeculationChoice, ...]:
    """Return the drafts to consider, fewer tokens first; raise InputError for a method of which nobody says what it accepts."""
    asked = asked or SpeculationAsked()
    drafts = DRAFTS if asked.draft_tokens is None else (asked.draft_tokens,)
    if asked.acceptance is None:
        return _of_table(model, asked.method, drafts, table)
    ends = asked.acceptance if isinstance(asked.acceptance, tuple) else (asked.acceptance, asked.acceptance)
    low, high = min(ends), max(ends)
    said = number(low) if low == high else f"{number(low)} to {number(high)}"
    return tuple(
        SpeculationChoice(
            method=asked.method or _method_of(model, table),
            draft_tokens=draft,
            tokens_per_step=Estimate(
                value=tokens_per_step((low + high) / 2, draft),
                low=tokens_per_step(low, draft),
                high=tokens_per_step(high, draft),
                basis="assumed",
                source=f"each proposed token is accepted with probability {said}, by the workload file",
            ),
        )
        for draft in drafts
    )


def _of_table(
    model: Architecture, method: str | None, drafts: Sequence[int], table: Sequence[AcceptanceLength]
) -> tuple[SpeculationChoice, ...]:
    methods = sorted({entry.method for entry in table})
    if method is not None and method not in methods:
        raise InputError(
            f"speculation.method: nobody says how many tokens of {method!r} are accepted",
            hint=f"give speculation.acceptance, or a method of the table: {', '.join(methods) or 'it is empty'}",
        )
    wanted = method or _method_of(model, table)
    # Where nobody measured it of the family, that of other families tells more than nothing.
    kin = [entry for entry in _kin(model, table) if entry.method == wanted]
    rows = kin or [entry for entry in table if entry.method == wanted]
    if not rows:
        return ()
    longest = max(entry.draft_tokens for entry in rows)
    found = []
    for draft in drafts:
        # Beyond what was measured no more is gained.
        seen = [entry for entry in rows if entry.draft_tokens == min(draft, longest)]
        if seen:
            given = _measured(seen, is_kin=bool(kin), is_dense=model.is_dense)
            found.append(SpeculationChoice(method=rows[0].method, draft_tokens=draft, tokens_per_step=given))
    return tuple(found)


def _measured(rows: Sequence[AcceptanceLength], *, is_kin: bool, is_dense: bool) -> Estimate:
    lengths = [entry.tokens_per_step for entry in rows]
    names = ", ".join(dict.fromkeys(entry.model for entry in rows))
    share = OF_DENSE if is_dense else 1.0
    fewer = f"; dense models accept {percent(OF_DENSE)} of what these do beyond the first token" if is_dense else ""
    return Estimate(
        value=1 + share * (statistics.median(lengths) - 1),
        low=1 + share * OTHER_TEXTS * (min(lengths) - 1),
        high=max(lengths),
        basis="measured" if is_kin and not is_dense else "assumed",
        source=(
            f"{'models of the family' if is_kin else 'models of other families'} ({names}): {rows[0].source}{fewer}; the low end is of "
            "texts that are harder to guess"
        ),
    )


def _kin(model: Architecture, table: Sequence[AcceptanceLength]) -> list[AcceptanceLength]:
    """Return the rows of the model's family: by its name, or else by its architecture."""
    for name in (model.name.lower(), model.architecture.lower()):
        if found := [entry for entry in table if family_of(entry.model) in name]:
            return found
    return []


def _method_of(model: Architecture, table: Sequence[AcceptanceLength]) -> str:
    """Return the method that is usual for a model."""
    has = [entry.method for entry in _kin(model, table)]
    return next((name for name in (*USUAL_METHODS, *has) if name in has), USUAL_METHOD)


def family_of(name: str) -> str:
    """Return the letters that a model's name begins with: "qwen" of qwen3.5-397b."""
    return "".join(takewhile(str.isalpha, name.lower()))


# --- what it costs -------------------------------------------------------------------------------------------------------------


def step_ratio(steps: Steps, batch: np.ndarray, context_tokens: float, draft_tokens: int) -> np.ndarray:
    """Return how many times as long a step takes that has a draft made and verifies it (batches,), over one that does not.

    `context_tokens` are cached of each request.
    """
    cached = batch * context_tokens
    drafted_s = steps.draft_s(batch, cached, draft_tokens) + steps.verify_s(batch, cached, draft_tokens)
    return np.asarray(drafted_s / steps.decode_s(batch, cached))


def draft_share(steps: Steps, most: int, context_tokens: float, draft_tokens: int) -> float:
    """Return what making a draft takes of a step where one request runs, of replicas that run up to the most."""
    # The very steps that `by_requests` asks for: kernels answer them once.
    batch = powers(most).astype(float)
    cached = batch * context_tokens
    return float(steps.draft_s(batch, cached, draft_tokens)[0] / steps.decode_s(batch, cached)[0])


def by_requests(steps: Steps, most: int, context_tokens: float, draft_tokens: int) -> np.ndarray:
    """Return the same for each number of requests from none (where it is 1) to the most (most + 1,), linear between powers of two."""
    batch = powers(most)
    found = step_ratio(steps, batch.astype(float), context_tokens, draft_tokens)
    ratios = np.interp(np.arange(most + 1), batch, found)
    ratios[0] = 1.0
    return np.asarray(ratios)


def powers(most: int) -> np.ndarray:
    """Return the powers of two up to a number, and that number (counts,)."""
    return np.array(sorted({1 << power for power in range(most.bit_length())} | {most}))


def by_load(steps: Steps, choice: SpeculationChoice, request: MeanRequest, *, most: int, running: float) -> SpeculationByLoad:
    """Return what a draft gains by how many such requests run, up to the most of a replica; `running` do on average."""
    batch = powers(most)
    tokens, off, loads = choice.tokens_per_step, _off(steps), batch.astype(float)
    plain = requests_per_s(steps, loads, request)
    faster = [
        requests_per_s(steps, loads, request, draft_tokens=choice.draft_tokens, tokens_per_step=gives) / plain
        for gives in (tokens.value, tokens.low, tokens.high)
    ]
    source = (
        f"requests a second of a replica that so many keep busy, their prompts read, with a draft over without: {tokens.source}"
    )
    speedups = tuple(
        Estimate(value=value, low=min(low / off, value), high=max(high * off, value), basis="simulated", source=source)
        for value, low, high in zip(*(each.tolist() for each in faster), strict=True)
    )
    crossing = _crossing(batch, [entry.value for entry in speedups], WORTH)
    surely = None if crossing is None else _crossing(batch, [entry.low for entry in speedups], 1.0)
    surely = None if crossing is None or surely is None else min(surely, crossing)
    at_crossing = None if crossing is None else float(requests_per_s(steps, np.array([crossing]), request)[0])
    pays = all(entry.value >= WORTH for entry in speedups)
    return SpeculationByLoad(
        choice=choice,
        running_requests=tuple(batch.tolist()),
        speedup=speedups,
        advised_up_to_running_requests=crossing,
        surely_up_to_running_requests=surely,
        advised_up_to_requests_per_s=at_crossing,
        pays_at_every_load=pays,
        because=_because(choice, batch, speedups, Crossing(crossing, surely, at_crossing), running, pays=pays),
    )


class Crossing(NamedTuple):
    """Up to how many running requests a draft pays, None where not for one: as is most likely, and for sure; and at which traffic."""

    running: float | None
    surely: float | None
    requests_per_s: float | None


def _off(steps: Steps) -> float:
    """Return by what factor the ratio of two steps may be off: most of what steps are off by is the same in both, half is counted."""
    low, high = steps.factors
    return math.sqrt(math.sqrt(high / low))


def _crossing(batch: np.ndarray, speedup: Sequence[float], worth: float) -> float | None:
    """Return up to how many running requests it gains so much, linear in logarithms between them; None: not for one."""
    if speedup[0] < worth:
        return None
    for place in range(1, len(speedup)):
        if speedup[place] < worth:
            above, below = math.log(speedup[place - 1] / worth), math.log(speedup[place] / worth)
            part = above / (above - below)
            return float(batch[place - 1] * (batch[place] / batch[place - 1]) ** part)
    return float(batch[-1])


def _because(
    choice: SpeculationChoice,
    batch: np.ndarray,
    speedup: Sequence[Estimate],
    crossing: Crossing,
    running: float,
    *,
    pays: bool,
) -> str:
    tokens = choice.tokens_per_step
    gives = (
        f"{number(tokens.value)} tokens a step ({number(tokens.low)} to {number(tokens.high)}) of {choice.draft_tokens} proposed"
    )
    first, last = speedup[0], speedup[-1]
    ends = f"{ratio(first.value)} with one running request, {ratio(last.value)} with {int(batch[-1])}"
    if tokens.high <= 1.0:
        return f"no proposed token is accepted: every step gives one token and takes longer ({ends})"
    if crossing.running is None or crossing.requests_per_s is None:
        return f"{gives} gain {percent(WORTH - 1)} at no load ({ends})"
    if pays:
        return f"{gives} pay at every load that a replica has ({ends})"
    within = "within" if running <= crossing.running else "beyond"
    on_average = counted(round(running), "request")
    sure = "not surely for one" if crossing.surely is None else f"surely up to {number(crossing.surely)}"
    return (
        f"{gives} pay up to {number(crossing.running)} running requests, {sure}: {rate(crossing.requests_per_s)} at one replica ({ends}); "
        f"{on_average} run on average, {within} that"
    )
