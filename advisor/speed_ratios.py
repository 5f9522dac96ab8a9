"""How many times as long one thing takes as another, from visits of the same round, and how much such ratios differ by themselves.

What the machine does to both of a round cancels in their ratio, so ratios are surer than the two medians would be.
"""

import itertools
import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

from advisor.medians import (
    AGAIN,
    CORRECTED_SIGMA,
    MAD_OF_NORMAL,
    MEDIAN_OVER_MEAN,
    NORMAL_95,
    between_processes_of,
    between_visits_of,
    log_median,
    of_one,
    point_of,
    residuals_of,
    sampling_variance,
    student_t_95,
    visited_often,
)
from advisor.schema.profile import Measurement, Site
from advisor.visits import is_clean, pairs


class PairNoise(NamedTuple):
    """How much the ratios of one point differ from round to round: what the machine does to both of a round is not in it.

    Standard deviations of logarithms, `between_processes` that of each of the two, with their degrees of freedom.
    """

    between_pairs: float
    freedom: float
    between_processes: float
    process_freedom: float

    @property
    def process_difference(self) -> float:
        """What 90 % of the differences of one file between two processes stay below, however often each is visited."""
        return math.sqrt(2.0) * student_t_95(self.process_freedom) * self.between_processes


class Ratios(NamedTuple):
    """Logarithms of how many times as long one thing takes as another, each of two visits of the same round."""

    logs: tuple[float, ...]
    disturbed: tuple[bool, ...]

    @property
    def center(self) -> float:
        """The typical one."""
        return statistics.median(self.logs)

    def half_width(self, noise: PairNoise) -> float:
        """Return half of the 90 % interval of the typical ratio of these two processes, however long they were measured.

        By the pooled noise, and never less than by how much the ratios themselves differ: those of several points need not be equal.
        """
        count = len(self.logs)
        pooled = student_t_95(noise.freedom) * noise.between_pairs
        if count < 3:
            return pooled / math.sqrt(count)
        own = statistics.median(abs(log - self.center) for log in self.logs) / MAD_OF_NORMAL
        return MEDIAN_OVER_MEAN * max(pooled, student_t_95(count - 1) * own) / math.sqrt(count)

    @property
    def doubt(self) -> float:
        """Half of the 90 % interval of what taking the waiting out of both may be off by.

        Sharing a core slows one more than the other: an fp32 encoder by 0.2 more than its int8 form, as a logarithm (2026-11-29).
        """
        return NORMAL_95 * math.sqrt(2.0) * CORRECTED_SIGMA * math.sqrt(statistics.fmean(self.disturbed))


def ratios(before: Measurement, after: Measurement) -> Ratios:
    """Return how many times as long the first takes as the second; their visits are as they were made, for the rounds to meet."""
    found = pairs(before.visits, after.visits)
    logs = tuple(log_median(one) - log_median(other) for one, other in found)
    return Ratios(logs, tuple(not (is_clean(one) and is_clean(other)) for one, other in found))


def together(found: Iterable[Ratios]) -> Ratios:
    """Return the ratios of several points as those of one."""
    return Ratios(*(tuple(itertools.chain.from_iterable(parts)) for parts in zip(*found, strict=True)))


def pair_noise(site: Site) -> PairNoise:
    """Return the noise of ratios to the model as given, pooled over all points of the site, whose visits are as they were made."""
    as_given = {variant.id for variant in site.variants if variant.derived_from is None}
    before = {point_of(entry)[1:]: entry for entry in site.measurements if entry.variant in as_given}
    others = [entry for entry in site.measurements if entry.variant not in as_given and point_of(entry)[1:] in before]
    found = [(entry.variant, ratios(before[point_of(entry)[1:]], entry)) for entry in others]
    found = [(name, made) for name, made in found if made.logs]
    residuals = [residual for _, made in found for residual in residuals_of(made.logs)]
    every = [made for name, made in found if name.endswith(AGAIN)]
    elsewhere = visited_often(every, [len(made.logs) for made in every])
    residuals = residuals or [made.center for made in elsewhere]
    spread, freedom = between_visits_of(residuals)
    if not residuals:
        spread *= math.sqrt(2.0)
    if not elsewhere and site.noise_fraction is not None:
        return PairNoise(spread, freedom, of_one(site.noise_fraction), math.inf)
    explained = [sampling_variance(spread, len(made.logs)) / 2 for made in elsewhere]
    return PairNoise(spread, freedom, *between_processes_of([made.center / math.sqrt(2.0) for made in elsewhere], explained))
