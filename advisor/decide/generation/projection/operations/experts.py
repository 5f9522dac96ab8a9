"""Experts: each token is sent to a few of many networks, and a step reads the weights of all that some token is sent to.

Of N experts, k a token, a step of B tokens meets N (1 - (1 - k / N)^B) of them, where tokens choose evenly and by themselves. A shape is
(experts, experts a token, hidden size, inner size of an expert on one device).
"""

from collections.abc import Sequence

import numpy as np

from advisor.decide.generation.projection.operations.grounds import Foundation, Numbers
from advisor.decide.generation.projection.operations.kernels import kernel_of
from advisor.decide.generation.projection.operations.matrices import OUTPUT_BYTES, grids_of
from advisor.decide.generation.projection.operations.tables import Work
from advisor.schema.language import FeedForwardLayers, WeightPrecision


def distinct_experts(experts: float, per_token: float, tokens: np.ndarray) -> np.ndarray:
    """Return how many experts some token of a step is sent to, on average."""
    return np.asarray(experts * (1.0 - (1.0 - per_token / experts) ** tokens))


def routed(shape: Sequence[float], sizes: Sequence[np.ndarray], numbers: Numbers) -> Work:
    """Return what the experts of a layer ask for; three matrices each."""
    experts, per_token, hidden, inner = shape
    (tokens,) = sizes
    weights = 3.0 * hidden * inner
    moved = distinct_experts(experts, per_token, tokens) * weights * numbers.weight_bytes
    passing = per_token * tokens * ((hidden + inner) * numbers.activation_bytes + (hidden + 2.0 * inner) * OUTPUT_BYTES)
    return Work(flop=2.0 * weights * per_token * tokens, bytes=moved + passing)


class Experts:
    """The routed experts of layers of one kind on one of the tensor-parallel devices, each of which has a part of every expert."""

    def __init__(
        self,
        foundation: Foundation,
        layers: FeedForwardLayers,
        hidden: int,
        numbers: Numbers,
        weights: WeightPrecision,
        tensor_parallel: int,
    ) -> None:
        self._kernel = kernel_of(foundation, "experts", routed, numbers, _grids(numbers, weights))
        # Of two matrices instead of three as much less.
        self._size = 1.0 if layers.is_gated else 2.0 / 3.0
        inner = layers.inner_size / tensor_parallel
        self._shape = (float(layers.experts or 1), float(layers.experts_per_token or 1), float(hidden), inner)

    def seconds(self, tokens: np.ndarray) -> np.ndarray:
        """Return the seconds in one layer of so many tokens."""
        return np.asarray(self._size * self._kernel.seconds(self._shape, np.maximum(tokens, 1.0)))


def _grids(numbers: Numbers, weights: WeightPrecision) -> tuple[str, ...]:
    """Return the precisions whose grids may stand for experts: published ones in fp8 have a scale for each block of weights."""
    others = grids_of(numbers, weights)
    return ("fp8_block", *others) if numbers.computed_in == "fp8" else others
