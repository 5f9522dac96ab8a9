"""The load law of speculation on what was held back: sweeps over the rate, with drafts of k tokens of which each is accepted with a.

A request takes p_w to read and (v_w + k d_w) / E a token to verify and draft, where E = (1 - a^(k+1)) / (1 - a) tokens come of a step, and
of a busy server's time p_B + (v_B + k d_B) / E (arXiv 2605.15051):

    latency = (p_w + (v_w + k d_w) / E) / (1 - rate (p_B + (v_B + k d_B) / E))

The six seconds are those of one model on one device. Each (a, k) is predicted by what is fitted on all others of its model.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from advisor.decide.generation.elsewhere.speculation import tokens_per_step
from parts.generation_elsewhere import Judged
from parts.generation_rows import LeftOut, Run

# A sweep is made with twice as many requests at most: from here on they wait for each other, which the law knows nothing of.
MOST_RUNNING = 64
LEVEL = 0.9
LEAST_FREE = 1e-3  # of the time of a server: the law has no latency beyond
LEAST_S = 1e-12


class Sweep(NamedTuple):
    """Points of one model, arrays of one length."""

    tokens_per_step: np.ndarray
    draft_tokens: np.ndarray
    requests_per_s: np.ndarray
    latency_s: np.ndarray

    def where(self, places: np.ndarray) -> "Sweep":
        """Return some of the points."""
        return Sweep(*(values[places] for values in self))


class Law(NamedTuple):
    """The seconds of the law (6,): p_w, v_w, d_w, p_B, v_B, d_B; and the factor within which nine of ten fitted latencies lie."""

    seconds: np.ndarray
    factor: float

    def latency_s(self, sweep: Sweep) -> np.ndarray:
        """Return the latency of each point of a sweep."""
        return np.asarray(np.exp(_log_latency(self.seconds, sweep)))


def judge_speculation(runs: Sequence[Run]) -> tuple[list[Judged], list[LeftOut]]:
    """Return the latency of each point, predicted by the other (a, k) of its model; and the points that the law does not hold for."""
    judged, left_out = [], []
    by_model: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        latency_s, rate = _latency_s(run), run.requests_per_s
        if latency_s is None or rate is None:
            left_out.append(LeftOut(run.row, run.source, "rate or latency is not published"))
        elif latency_s * rate > MOST_RUNNING:
            left_out.append(LeftOut(run.row, run.source, f"more than {MOST_RUNNING} requests run, and wait for each other"))
        else:
            by_model[run.source, run.model].append(run)
    for of_model in by_model.values():
        sweep, drafts = sweep_of(of_model), [(run.acceptance, run.draft_tokens) for run in of_model]
        if len(set(drafts)) == 1:
            left_out += [LeftOut(run.row, run.source, "there is no other draft of its model") for run in of_model]
            continue
        for held_back in sorted(set(drafts)):
            places = np.array([draft == held_back for draft in drafts])
            law = fitted(sweep.where(~places))
            said = law.latency_s(sweep.where(places))
            of_draft = [of_model[place] for place in np.flatnonzero(places)]
            judged += [_judged(run, float(value), law.factor) for run, value in zip(of_draft, said, strict=True)]
    return judged, left_out


def sweep_of(runs: Sequence[Run]) -> Sweep:
    """Return the points of runs whose acceptance, rate and latency are known."""
    points = [
        (tokens_per_step(run.acceptance or 0.0, run.draft_tokens), run.draft_tokens, run.requests_per_s, _latency_s(run))
        for run in runs
    ]
    return Sweep(*np.array(points, dtype=float).T)


def fitted(sweep: Sweep) -> Law:
    """Return the law with the least relative errors, none of its seconds below 0."""
    from scipy.optimize import least_squares, nnls

    # Multiplied out the law is linear in its seconds: latency = w + rate x latency x B. From there by relative errors.
    each = 1 / sweep.tokens_per_step
    terms = np.stack([np.ones_like(each), each, each * sweep.draft_tokens], axis=1)
    running = (sweep.requests_per_s * sweep.latency_s)[:, None]
    start, _ = nnls(np.hstack([terms, running * terms]) / sweep.latency_s[:, None], np.ones(len(each)))
    found = least_squares(
        lambda seconds: _log_latency(seconds, sweep) - np.log(sweep.latency_s),
        np.maximum(start, 1e-6),
        bounds=(0.0, np.inf),
        x_scale=np.maximum(start, 1e-4),
        loss="soft_l1",
        f_scale=0.05,
    ).x
    off = np.sort(np.abs(_log_latency(found, sweep) - np.log(sweep.latency_s)))
    place = min(int(np.ceil(LEVEL * (len(off) + 1))) - 1, len(off) - 1)
    return Law(found, float(np.exp(off[place])))


def _log_latency(seconds: np.ndarray, sweep: Sweep) -> np.ndarray:
    each = 1 / sweep.tokens_per_step
    p_w, v_w, d_w, p_b, v_b, d_b = seconds
    alone_s = p_w + (v_w + sweep.draft_tokens * d_w) * each
    free = 1 - sweep.requests_per_s * (p_b + (v_b + sweep.draft_tokens * d_b) * each)
    return np.asarray(np.log(np.maximum(alone_s, LEAST_S)) - np.log(np.maximum(free, LEAST_FREE)))


def _latency_s(run: Run) -> float | None:
    return next((each.value for each in run.measured if (each.figure, each.quantile) == ("e2e", None)), None)


def _judged(run: Run, said: float, factor: float) -> Judged:
    return Judged(
        *(run.row, run.source, run.kind, run.engine, run.model, run.device, "sweep", run.alike, "e2e", None),
        *(said, said / factor, said * factor, _latency_s(run) or 0.0),
    )
