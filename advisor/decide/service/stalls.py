"""Watches of the clock -> the stalls of a core as a process: how often they begin, and how long they last."""

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from advisor.schema.profile import Stalls
from advisor.schema.record import Record

DRAWS = 4096
AT_ONCE = 1 << 18  # moments, of which a long trace has millions
# An instance of many threads waits for whichever of its cores stands still; with more of them than that, its work moves to the others.
MOST_STALLED_FRACTION = 0.25
# Robust standard deviations above the median: what is farther out is not spread.
FAR_OUT = 5.0
NORMAL_MAD = 1.4826  # the standard deviation of a normal law over its median absolute deviation
NORMAL_95 = 1.645
SIDE = {"low": -NORMAL_95, "value": 0.0, "high": NORMAL_95}


class StallProcess(Record, frozen=True, kw_only=True):
    """Stalls of one core: as many a second at either end of a 90 % interval, each of a length drawn from `lengths_s` by weight."""

    rate_per_s: dict[str, float]  # by end: "low", "value", "high"
    lengths_s: tuple[float, ...]  # ascending
    weights: tuple[float, ...]  # of the lengths, 1 in all
    shortest_s: float  # shorter ones were not seen

    @property
    def mean_s(self) -> float:
        """The mean length of a stall."""
        return float(np.dot(self.lengths_s, self.weights))

    @property
    def fraction(self) -> float:
        """The part of the time that a core stands still."""
        return self.rate_per_s["value"] * self.mean_s


def process_of(watches: Sequence[Stalls]) -> StallProcess | None:
    """Return what all watches say together, None without any.

    Watches do not see stalls from the same length on, so each length is counted over the time of those that would have seen it.
    """
    if not sum(entry.watched_s for entry in watches) > 0:
        return None
    # What was rounded to just below the shortest is not shorter than what its own watch could see.
    lengths_s = np.sort([max(gap_s, entry.shortest_s) for entry in watches for gap_s in entry.gaps_s])
    watched_s = np.array([sum(entry.watched_s for entry in watches if entry.shortest_s <= length_s) for length_s in lengths_s])
    per_s = 1 / watched_s
    rate = float(per_s.sum())
    # Counts are Poisson's: each length's variance is its own rate over the time that it was watched for.
    error = math.sqrt(float((per_s**2).sum()))
    return StallProcess(
        rate_per_s={end: max(0.0, rate + side * error) for end, side in SIDE.items()},
        lengths_s=tuple(lengths_s.tolist()),
        weights=tuple((per_s / rate).tolist()) if rate > 0 else (),
        shortest_s=min(entry.shortest_s for entry in watches),
    )


def draws(process: StallProcess | None, *, cores: int, seed: tuple[int, ...], end: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return seconds from the beginning of a stall to that of the next, and how long each lasts, both (DRAWS,); None if there are none.

    What needs several cores, as a batch does whose threads wait for the last of them, meets the stalls of all.
    """
    if process is None or not process.rate_per_s[end] * process.mean_s > 0:
        return None
    random = np.random.default_rng(seed)
    places = np.searchsorted(np.cumsum(process.weights), (np.arange(DRAWS) + 0.5) / DRAWS)
    length_s = np.array(process.lengths_s)[np.minimum(places, len(process.lengths_s) - 1)]
    rate_per_s = min(process.rate_per_s[end] * cores, MOST_STALLED_FRACTION / float(length_s.mean()))
    # Whatever the draws, so many stalls take so long in all: a cycle has its share of them exactly.
    gap_s = random.standard_exponential(DRAWS)
    gap_s = np.maximum(gap_s / gap_s.mean() / rate_per_s, 1e-6)
    return gap_s, random.permutation(length_s)


def kept_draws(process: StallProcess | None) -> Callable[[int, int, str, int], tuple[np.ndarray, np.ndarray] | None]:
    """Return what gives the draws of what needs so many cores, by seed, end and stream, each of which has draws of its own; once each."""

    @cache
    def of(cores: int, seed: int, end: str, stream: int) -> tuple[np.ndarray, np.ndarray] | None:
        return draws(process, cores=cores, seed=(seed, stream), end=end)

    return of


def delay_s(moments_s: np.ndarray, stalls: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return how long a core that is idle but for these moments (moments,), ascending, stands still at each before it goes on."""
    gap_s, length_s = stalls
    cycle_s = float(gap_s.sum())
    begins_s = np.cumsum(gap_s)
    over_s = np.maximum.accumulate(begins_s + length_s)
    found = np.empty(len(moments_s))
    for first in range(0, len(moments_s), AT_ONCE):
        at_s = moments_s[first : first + AT_ONCE] % cycle_s
        last = np.searchsorted(begins_s, at_s, side="right") - 1
        found[first : first + AT_ONCE] = np.where(last < 0, 0.0, np.maximum(over_s[last] - at_s, 0.0))
    return found


def begun(recorded: np.ndarray, seed: int) -> np.ndarray:
    """Return what a load test recorded (n,), in its order, from where a run begins: for batches and requests the same moment of it."""
    return np.roll(recorded, -int(np.random.default_rng((seed, 4)).random() * len(recorded)))


def robust_deviation(values: np.ndarray) -> float:
    """Return the standard deviation that the middle half of the values would have under a normal law."""
    return NORMAL_MAD * float(np.median(np.abs(values - np.median(values))))


def is_stalled(
    excess_s: np.ndarray, deviation_s: np.ndarray | float, process: StallProcess | None, expected: float
) -> np.ndarray:
    """Return which durations (n,) are taken for stalled ones: far above what is usual, and no more than the watches account for.

    `excess_s` is by how much each lies above its median, `deviation_s` how far they lie apart usually; so many are `expected`. What is
    simulated as a stall must not be in the spread as well; what the watches do not account for has other causes, and stays.
    """
    found = np.zeros(len(excess_s), dtype=bool)
    if process is None:
        return found
    far = np.flatnonzero((excess_s > process.shortest_s) & (excess_s > FAR_OUT * deviation_s))
    most = expected + NORMAL_95 * math.sqrt(expected)
    if len(far) <= most:
        found[far] = True
    elif most >= 1:
        # Evenly from the shortest to the longest, for nothing says which of them are stalls.
        by_excess = far[np.argsort(excess_s[far], kind="stable")]
        found[by_excess[np.linspace(0, len(far) - 1, int(most)).round().astype(int)]] = True
    return found
