"""Seconds of steps -> the laws that the simulation counts with, over all that it may meet.

A step that decodes B requests with S tokens cached takes a + b B + c S and something more for each B, a step that also reads n tokens
a + b B + c S + d n + e n (past + n/2) and something more for each B + n. Tensor cores are kept waiting for weights until a step is wide
enough, so time over tokens is flat and then steep: the line (a, d) runs below that, and what lies over it is kept token by token.
"""

from typing import NamedTuple, Protocol

import numpy as np

from advisor.decide.generation.service.laws import fitted
from advisor.decide.generation.service.step_time import Costs

# Places on each axis at which steps are asked for, in even ratios.
BATCHES, CONTEXTS, WIDTHS = 24, 14, 48
MIXED_BATCHES, MIXED_CONTEXTS, READS, PASTS = 5, 3, 12, 3
SHORTEST_CONTEXT = 32.0
LEAST_S = 1e-7
ROUNDING = 1e-9


class Steps(Protocol):
    """What the laws are of."""

    def decode_s(self, batch: np.ndarray, context_tokens: np.ndarray) -> np.ndarray:
        """Return the seconds of steps that decode."""

    def mixed_s(self, batch: np.ndarray, context_tokens: np.ndarray, tokens: np.ndarray, past_tokens: np.ndarray) -> np.ndarray:
        """Return the seconds of steps that decode and read."""

    def prefill_s(self, tokens: np.ndarray, past_tokens: np.ndarray) -> np.ndarray:
        """Return the seconds of steps that read."""

    def of_tokens_s(self, tokens: np.ndarray) -> np.ndarray:
        """Return the part of the seconds of a step that reads which its tokens alone decide about."""


class Reach(NamedTuple):
    """What the simulation may meet."""

    longest_context: int
    max_running: int
    token_budget: int
    kv_tokens: int | None  # that the cache holds; None: nobody knows


def costs_of(steps: Steps, reach: Reach) -> Costs:
    """Return the laws of steps within reach."""
    batches, fixed_s, token_s = _decoding(steps, reach)
    budget = reach.token_budget
    widths = _ratios(1.0, budget, WIDTHS)
    of_tokens_s = np.interp(np.arange(budget + 1), widths, steps.of_tokens_s(widths))
    start_s, slope_s = _line_below(of_tokens_s)
    a, b, d, e = _around(steps, reach, token_s, of_tokens_s)
    mixed = np.array([a + start_s, b + slope_s, token_s, d + slope_s, e])
    token_extra = np.maximum(of_tokens_s - start_s - slope_s * np.arange(budget + 1), 0.0)
    running = np.arange(reach.max_running + 1)
    decode_extra = np.interp(running, batches, fixed_s) - mixed[0] - mixed[1] * running
    decode_extra[0] = 0.0
    return Costs(_reading(steps, reach), mixed[:3].copy(), mixed, decode_extra, decode_extra, token_extra)


def scaled(costs: Costs, decode: float, prefill: float) -> Costs:
    """Return the laws with steps so many times as long, by what they do."""
    return Costs(
        costs.prefill * prefill,
        costs.decode * decode,
        costs.mixed * np.array([decode, decode, decode, prefill, prefill]),
        costs.decode_extra * decode,
        costs.mixed_extra * decode,
        costs.token_extra * prefill,
    )


def _ratios(first: float, last: float, count: int) -> np.ndarray:
    """Return whole numbers from first to last in even ratios."""
    return np.unique(np.round(np.geomspace(first, max(last, first), count)))


def _contexts(reach: Reach, count: int) -> np.ndarray:
    longest = float(reach.longest_context)
    return np.geomspace(min(SHORTEST_CONTEXT, longest), longest, count)


def _decoding(steps: Steps, reach: Reach) -> tuple[np.ndarray, np.ndarray, float]:
    """Return batches (batches,), what steps of each take before anything is cached (batches,), and what a cached token adds.

    Least squares of relative errors, one slope and a start for each batch.
    """
    batches = _ratios(1.0, reach.max_running, BATCHES)
    contexts = _contexts(reach, CONTEXTS)
    cached = batches[:, None] * contexts
    seconds = steps.decode_s(np.broadcast_to(batches[:, None], cached.shape), cached)
    # What the cache does not hold is never met; the shortest contexts always count.
    counts = cached <= (reach.kv_tokens or np.inf)
    counts[:, :2] = True
    weight = counts / seconds**2
    whole = weight.sum(axis=1, keepdims=True)
    cached_off = cached - (weight * cached).sum(axis=1, keepdims=True) / whole
    spread = float((weight * cached_off**2).sum())
    # Contexts that differ by rounding alone say nothing about a slope.
    is_spread = spread > ROUNDING * float((weight * cached**2).sum())
    token_s = max(float((weight * cached_off * seconds).sum()) / spread, 0.0) if is_spread else 0.0
    fixed_s = (weight * (seconds - token_s * cached)).sum(axis=1) / whole[:, 0]
    return batches, np.maximum(fixed_s, LEAST_S), token_s


def _line_below(seconds: np.ndarray) -> tuple[float, float]:
    """Return start and slope of the line below seconds by number of tokens (tokens + 1,) that meets them at the end; neither below 0."""
    last = len(seconds) - 1
    if last < 2:
        return float(seconds.min()), 0.0
    tokens = np.arange(1, last)
    slope = max(float(((seconds[last] - seconds[1:last]) / (last - tokens)).min()), 0.0)
    each = np.arange(1, last + 1)
    # Below the line that meets the end there may be less than nothing at its start.
    start = float((seconds[1:] - slope * each).min())
    return (start, slope) if start >= 0 else (0.0, float((seconds[1:] / each).min()))


def _around(steps: Steps, reach: Reach, token_s: float, of_tokens_s: np.ndarray) -> tuple[float, float, float, float]:
    """Return what mixed steps take beside their tokens and what is cached: by themselves, a request, a token read, a pair of tokens."""
    most = max(min(reach.max_running, reach.token_budget - 1), 1)
    # A step that reads and decodes nobody is one of them.
    batches = np.append(0.0, _ratios(1.0, most, MIXED_BATCHES))
    reads = _ratios(1.0, reach.token_budget, READS)
    pasts = np.append(0.0, np.geomspace(max(reach.longest_context / 16, 1.0), max(reach.longest_context / 2, 1.0), PASTS - 1))
    grid = np.meshgrid(batches, _contexts(reach, MIXED_CONTEXTS), reads, pasts, indexing="ij")
    batch, context, read, past = (axis.ravel() for axis in grid)
    met = (batch + read <= reach.token_budget) & (batch * context <= (reach.kv_tokens or np.inf))
    met &= read + past <= max(reach.longest_context, 1.0)
    met |= (batch <= 1) & (read == 1) & (past == 0)
    batch, context, read, past = (axis[met] for axis in (batch, context, read, past))
    seconds = steps.mixed_s(batch, batch * context, read, past)
    width = np.minimum(batch + read, reach.token_budget).astype(int)
    left = seconds - token_s * batch * context - of_tokens_s[width]
    features = np.stack([np.ones_like(batch), batch, read, read * (past + read / 2)], axis=1)
    a, b, d, e = _nonnegative(features / seconds[:, None], left / seconds)
    return a, b, d, e


def _nonnegative(design: np.ndarray, wanted: np.ndarray) -> list[float]:
    """Return coefficients of least squares, none below zero: those that would be are left out, the worst first."""
    scale = np.maximum(np.abs(design).max(axis=0), 1e-300)
    used = list(range(design.shape[1]))
    found = np.zeros(design.shape[1])
    while used:
        part = np.linalg.lstsq(design[:, used] / scale[used], wanted, rcond=None)[0]
        if (part >= 0).all():
            found[used] = part / scale[used]
            break
        used.pop(int(np.argmin(part)))
    return [float(each) for each in found]


def _reading(steps: Steps, reach: Reach) -> np.ndarray:
    """Return the law of steps that read and do nothing else (3,)."""
    reads = _ratios(1.0, reach.longest_context, READS)
    pasts = np.append(0.0, np.geomspace(max(reach.longest_context / 16, 1.0), max(reach.longest_context / 2, 1.0), PASTS - 1))
    read, past = (axis.ravel() for axis in np.meshgrid(reads, pasts, indexing="ij"))
    met = (read + past <= reach.longest_context) | (past == 0)
    read, past = read[met], past[met]
    features = np.stack([np.ones_like(read), read, read * (past + read / 2)], axis=1)
    return np.asarray(fitted(features, steps.prefill_s(read, past)[None])[0])
