"""How well an order was predicted."""

import numpy as np


def spearman(said: np.ndarray, true: np.ndarray) -> float | None:
    """Return Spearman's correlation of two series (values,); None where one of them has no order to agree with."""
    if len(said) < 2 or min(np.ptp(said), np.ptp(true)) <= 0:
        return None
    return float(np.corrcoef(_ranks(said), _ranks(true))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks, those of equal values their mean."""
    return np.array([(values < value).sum() + ((values == value).sum() - 1) / 2 for value in values])
