"""Sums over tensor-parallel devices: each holds a part of every token's result, and all get the sum (all-reduce)."""

import math
from collections.abc import Sequence

import numpy as np

from advisor.decide.generation.projection.operations.grounds import COMPUTED, PLAIN, Foundation, Numbers
from advisor.decide.generation.projection.operations.kernels import kernel_of
from advisor.decide.generation.projection.operations.tables import Rates, Work

ELEMENT_BYTES = 2.0  # what is summed has 16 bits, whatever the weights have


def sum_bytes(tokens: np.ndarray | float, hidden: float) -> np.ndarray | float:
    """Return the bytes of the hidden states of tokens, which a sum over devices is of."""
    return tokens * hidden * ELEMENT_BYTES


def summing(shape: Sequence[float], sizes: Sequence[np.ndarray], numbers: Numbers) -> Work:
    """Return what a sum over devices sends (Patarasuk and Yuan, J. Parallel Distrib. Comput. 69(2), 2009: 2 (g - 1) / g of its bytes)."""
    (devices,) = shape
    (message,) = sizes
    sent = 2.0 * (devices - 1.0) / devices * message
    return Work(flop=np.zeros_like(sent), bytes=sent)


def _over_the_link(rates: Rates) -> Rates:
    return Rates(math.inf, rates.link_bytes_per_s, rates.link_bytes_per_s)


class Communication:
    """All-reduces among the tensor-parallel devices of a replica."""

    def __init__(self, foundation: Foundation, tensor_parallel: int) -> None:
        self._devices = tensor_parallel
        self._kernel = kernel_of(foundation, "all_reduce", summing, COMPUTED[PLAIN], (PLAIN,), rates=_over_the_link)

    def all_reduce_s(self, message_bytes: np.ndarray) -> np.ndarray:
        """Return the seconds of a sum of so many bytes, which every device has."""
        if self._devices == 1:
            return np.zeros_like(message_bytes, dtype=float)
        return self._kernel.seconds((float(self._devices),), np.maximum(message_bytes, 1.0))
