"""The course of a day: each part of it sampled in proportion to its requests, one after the other, in minutes instead of hours.

A queue settles in seconds while the rate changes over hours, so each part's latencies are those of its own rate, and a sample of it
says what all of it would. It does not hold for an overloaded part: its queue grows as long as the part lasts in truth.
"""

import numpy as np

SECONDS_PER_DAY = 86_400.0
HOURS_PER_DAY = 24
# A part with less of the busiest part's rate counts as empty: one request drawn in it would have to stand for hours.
EMPTY_BELOW = 1e-3


def relative_rates(diurnal: tuple[float, ...]) -> np.ndarray:
    """Return the rate of each part over the mean rate of the day (parts,)."""
    # Over the largest first: equal rates are then exactly one, and their mean as well.
    rates = np.array(diurnal) / max(diurnal)
    rates[rates < EMPTY_BELOW] = 0.0
    return np.asarray(rates / rates.mean())


def busiest_share(rates: np.ndarray) -> float:
    """Return the share of the day's requests that come in its busiest part, or in those that are equally busy."""
    return float(rates[rates == rates.max()].sum() / rates.sum())


def parts(rates: np.ndarray, requests: int) -> np.ndarray:
    """Return the part that each of so many requests of one day belongs to (requests,), ascending."""
    return np.searchsorted(np.cumsum(rates) / rates.sum(), (np.arange(requests) + 0.5) / requests, side="right")


def gaps_of_day(gaps: np.ndarray, rates: np.ndarray, *, warm_up: int, mean_gap: float) -> np.ndarray:
    """Return gaps between requests (requests,) at the mean rate as those of one day, after a warm-up at the mean rate.

    Every part lasts equally long, also one in which nothing comes: it passes before the next request does.
    """
    of_day = gaps.copy()
    counted = len(gaps) - warm_up
    part = parts(rates, counted)
    of_day[warm_up:] /= rates[part]
    empty = np.cumsum(rates == 0.0)
    # The day begins where the one before has ended, so what was empty at its end passes first.
    passed = np.diff(empty[part], prepend=empty[part[-1]] - empty[-1])
    of_day[warm_up:] += passed * (counted / len(rates) * mean_gap)
    return of_day
