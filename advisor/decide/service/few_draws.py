"""A few observed durations -> the same at the ends of the interval that so few of them leave of every quantile, whatever their law."""

import math
from statistics import NormalDist

import numpy as np


def shifted(values: np.ndarray, standard_errors: float) -> np.ndarray:
    """Return the values (n,) in their order, each at the quantile that lies so many standard errors of a share above its own; or below.

    How many of n draws lie beyond a quantile is binomial, and the arcsine of the root of a share has the standard error 1 / (2 sqrt n).
    Beyond the largest, nothing was observed: what is so many times as rare as a quantile that the largest surely reaches is taken to be
    as many times as long, but no rarer than one draw in n.
    """
    count = len(values)
    if standard_errors == 0.0:
        return values
    # A draw stands for the quantiles between the share that is below it and that with it: the bound has to hold for all of them.
    below = np.arange(count) + (1.0 if standard_errors > 0 else 0.0)
    moved = np.arcsin(np.sqrt(below / count)) + standard_errors / (2 * math.sqrt(count))
    order = np.argsort(values, kind="stable")
    middles = (np.arange(count) + 0.5) / count
    ascending = np.interp(np.sin(np.clip(moved, 0.0, math.pi / 2)) ** 2, middles, values[order])
    if standard_errors > 0:
        # All of n draws lie below a quantile beyond which so many are expected with the probability exp(-expected).
        expected = -math.log(1 - NormalDist().cdf(standard_errors))
        ascending *= np.maximum(expected / np.maximum(count - below, 1.0), 1.0)
    found = np.empty(count)
    found[order] = ascending
    return found
