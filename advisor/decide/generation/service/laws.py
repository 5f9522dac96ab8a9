"""Measured points -> a law that is linear in what a step has to do, no coefficient below zero, and draws of what the law may be.

Least squares of relative errors: a step of a millisecond counts as much as one of a second. How far points lie off the law beyond what
their own visits explain is its misfit, which every draw of the law has to bear.
"""

import math
from collections.abc import Sequence
from itertools import chain, combinations
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from advisor.medians import (
    MEDIAN_OVER_MEAN,
    NORMAL_95,
    SCALE_EFFICIENCY,
    UNREPEATED_FRACTION,
    bounded_scale,
    student_t_95,
)

# Of a law through as many points as it has coefficients, nothing shows how far off it is elsewhere.
UNCHECKED_SIGMA = 0.05
# Points nearer to a law than this, as a logarithm, are on it.
ON_THE_LAW = 1e-3
# Points that tell what a round has in common.
FEWEST_OF_ROUND = 3
# A smaller sum of squares by less than this part is rounding: then fewer coefficients say as much.
SAME_FIT = 1e-9
# A coefficient below zero by no more than this part of the whole is rounding.
ROUNDING = 1e-12


class Points(NamedTuple):
    """Measured steps of one kind: what each has to do, and how long it takes by each of its visits."""

    features: np.ndarray  # (points, coefficients), the first of them 1
    visits_s: tuple[np.ndarray, ...]  # of each point, the medians of its visits

    @property
    def seconds(self) -> np.ndarray:
        """The median of each point's visits (points,)."""
        return np.array([float(np.exp(np.median(np.log(visits)))) for visits in self.visits_s])

    @property
    def deviations(self) -> np.ndarray:
        """Logarithms of visits over the mean of their point, as far apart as single ones are from the truth; lone ones left out."""
        found = [
            (np.log(visits) - np.log(visits).mean()) * math.sqrt(len(visits) / (len(visits) - 1))
            for visits in self.visits_s
            if len(visits) > 1
        ]
        return np.concatenate(found) if found else np.empty(0)

    def and_also(self, other: "Points") -> "Points":
        """Return the points of both."""
        return Points(np.concatenate([self.features, other.features]), self.visits_s + other.visits_s)


class Spread(NamedTuple):
    """How much visits of one point differ: their pooled deviations, the standard deviation of these, and its degrees of freedom."""

    deviations: np.ndarray  # of logarithms; empty: no point was visited twice
    scale: float
    freedom: float

    def of_median(self, visits: int) -> float:
        """Return the standard deviation of the logarithm of a median of so many visits."""
        return (MEDIAN_OVER_MEAN if visits > 2 else 1.0) * self.scale / math.sqrt(visits)

    @property
    def widening(self) -> float:
        """How much wider than a normal law's an interval is that stands on so few visits."""
        return student_t_95(self.freedom) / NORMAL_95


def spread_of(kinds: Sequence[Points]) -> Spread:
    """Return what the visits of all kinds of steps say together, for it is one machine that disturbs them."""
    deviations = np.concatenate([points.deviations for points in kinds])
    if not len(deviations):
        return Spread(deviations, math.log1p(UNREPEATED_FRACTION) / NORMAL_95, math.inf)
    freedom = sum(len(visits) - 1 for points in kinds for visits in points.visits_s)
    return Spread(deviations, bounded_scale(deviations.tolist()), SCALE_EFFICIENCY * freedom)


class Law(NamedTuple):
    """A law, the points that it is from, and what it may be instead: each draw is as likely as any other."""

    cost: np.ndarray  # (coefficients,) in seconds, none below 0
    draws: np.ndarray  # (draws, coefficients)
    misfit_sigma: float  # of logarithms: how far points are off what is made of them beyond what their visits explain
    noise_sigma: float  # of logarithms: how far visits alone put them off
    points: Points
    by_size: np.ndarray | None = (
        None  # (largest + 1,) seconds over the law, by how many requests are decoded; None: the law holds
    )
    draws_by_size: np.ndarray | None = None  # (draws, largest + 1)

    @property
    def is_off(self) -> bool:
        """Whether points lie farther off the law than their own noise puts them."""
        return self.misfit_sigma > max(self.noise_sigma, ON_THE_LAW)

    @property
    def off_fraction(self) -> float:
        """The part of how far points lie off the law that the noise of their visits does not explain: what is kept of it between them."""
        off, noise = self.misfit_sigma**2, self.noise_sigma**2
        return off / (off + noise) if off > 0 else 0.0

    def residuals(self) -> np.ndarray:
        """Return the logarithms of points over the law (points,)."""
        return _logs_over(self.points.features, self.points.seconds, self.cost)


def _logs_over(features: np.ndarray, seconds: np.ndarray, cost: np.ndarray) -> np.ndarray:
    # A law may give nothing where points lie far off it.
    return np.asarray(np.log(seconds / np.maximum(features @ cost, ROUNDING * seconds)))


def law_of(points: Points, spread: Spread, draws: int, random: np.random.Generator, sizes: np.ndarray | None = None) -> Law:
    """Return the law of measured points, drawn `draws` times with visits drawn anew from those that were made.

    `sizes` (points,) say how many requests each point decodes, 0 for those that do anything else. Where points are off one law of all
    sizes, for libraries change their ways with the size, each size keeps its own distance from it.
    """
    seconds = points.seconds
    cost = fitted(points.features, seconds[None])[0]
    noise = np.array([spread.of_median(len(visits)) for visits in points.visits_s])
    noise_sigma = math.sqrt(float(np.mean(noise**2)))
    freedom = len(seconds) - int(np.count_nonzero(cost))
    residuals = _logs_over(points.features, seconds, cost)
    moved = seconds * np.exp(np.stack([_median_noise(spread, len(made), draws, random) for made in points.visits_s], axis=1))
    drawn = fitted(points.features, moved)
    found = Law(cost, drawn, _misfit(residuals, freedom, noise_sigma), noise_sigma, points)
    if sizes is not None and found.is_off and len(known := np.unique(sizes[sizes > 0])) > 1:
        every = [_logs_over(points.features, *pair) for pair in zip(moved, drawn, strict=True)]
        left = residuals - np.where(sizes > 0, np.log(_by_size(residuals, sizes))[sizes], 0.0)
        found = found._replace(
            misfit_sigma=_misfit(left, freedom - len(known) + 1, noise_sigma),
            by_size=_by_size(residuals, sizes),
            draws_by_size=np.stack([_by_size(logs, sizes) for logs in every]),
        )
    off = random.permutation(normal_scores(draws)) * found.misfit_sigma
    return found._replace(draws=drawn * np.exp(off)[:, None])


def _misfit(residuals: np.ndarray, freedom: int, noise_sigma: float) -> float:
    """Return the standard deviation of logarithms (points,) beyond the noise of their visits."""
    return math.sqrt(max(0.0, float(residuals @ residuals) / freedom - noise_sigma**2)) if freedom > 0 else UNCHECKED_SIGMA


def _by_size(residuals: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the seconds over the law by size (largest + 1,), between measured sizes linear in logarithms; 1 for none."""
    known = np.unique(sizes[sizes > 0])
    means = [float(residuals[sizes == size].mean()) for size in known]
    return np.append(1.0, np.exp(np.interp(np.arange(1, int(known[-1]) + 1), known, means)))


def normal_scores(count: int) -> np.ndarray:
    """Return so many equally likely values of the standard normal law, ascending (count,)."""
    law = NormalDist()
    return np.array([law.inv_cdf((place + 0.5) / count) for place in range(count)])


def _median_noise(spread: Spread, visits: int, draws: int, random: np.random.Generator) -> np.ndarray:
    """Return how far off the truth the logarithm of a median of so many visits may be (draws,)."""
    if not len(spread.deviations):
        return np.asarray(random.standard_normal(draws) * spread.of_median(visits))
    drawn = random.choice(spread.deviations, (draws, visits))
    return np.asarray(spread.widening * np.median(drawn, axis=1))


def fitted(features: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return the coefficients (draws, coefficients) of least relative squares with none below zero; `seconds` is (draws, points).

    The best of such a problem is the plain least squares of those of its coefficients that are not zero. With a handful of them every
    set is tried: exact, and all draws at once. Of sets that fit alike the smallest is taken.
    """
    count = features.shape[1]
    size = np.abs(features / seconds.mean(axis=0)[:, None]).max(axis=0)
    scale = np.where(size > 0, size, 1.0)
    design = features[None] / seconds[:, :, None] / scale
    best = np.zeros((len(seconds), count))
    least = np.full(len(seconds), float(features.shape[0]))
    used = np.flatnonzero(size > 0).tolist()
    for chosen in chain.from_iterable(combinations(used, many) for many in range(1, len(used) + 1)):
        part = design[:, :, list(chosen)]
        found = np.linalg.pinv(part).sum(axis=2)  # times a vector of ones: each point over itself
        squares = ((np.einsum("dpk,dk->dp", part, found) - 1.0) ** 2).sum(axis=1)
        largest = np.abs(found).max(axis=1, keepdims=True)
        better = (found >= -ROUNDING * largest).all(axis=1) & (squares < least * (1 - SAME_FIT) - ROUNDING)
        least[better] = squares[better]
        best[better] = 0.0
        best[np.ix_(better, list(chosen))] = np.maximum(found[better], 0.0)
    return best / scale


def shared_by_round(kinds: Sequence[Points], spread: Spread) -> tuple[float, int]:
    """Return the standard deviation of what all points of a round have in common, over all rounds together, and how many rounds there are.

    The machine is quicker for some minutes and slower for others: that does not average out over points. (0, 1) where nothing shows it.
    """
    by_round: dict[int, list[float]] = {}
    for points in kinds:
        for visits in points.visits_s:
            logs = np.log(visits)
            for number, off in enumerate(logs - logs.mean() if len(logs) > 1 else ()):
                by_round.setdefault(number, []).append(float(off))
    rounds = [listed for listed in by_round.values() if len(listed) >= FEWEST_OF_ROUND]
    if len(rounds) < 2:
        return 0.0, 1
    between = float(np.var([np.mean(listed) for listed in rounds], ddof=1))
    explained = spread.scale**2 * float(np.mean([1 / len(listed) for listed in rounds]))
    return math.sqrt(max(0.0, between - explained) / len(rounds)), len(rounds)
