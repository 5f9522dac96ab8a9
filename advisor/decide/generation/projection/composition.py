"""A decoder on tensor-parallel devices -> the seconds of its kernels in a step, by what they are for.

What depends on the tokens of a step alone, however they came: matrices, experts, norms and sums over devices. What depends on who looks
back at how much: attention.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from advisor.decide.generation.projection.operations.attention import Attention
from advisor.decide.generation.projection.operations.communication import Communication, sum_bytes
from advisor.decide.generation.projection.operations.experts import Experts
from advisor.decide.generation.projection.operations.grounds import COMPUTED, PLAIN, Foundation, numbers_of
from advisor.decide.generation.projection.operations.kernels import kernel_of
from advisor.decide.generation.projection.operations.matrices import (
    OUTPUT_BYTES,
    Shape,
    grids_of,
    of_attention,
    of_feed_forward,
    of_vocabulary,
    product,
)
from advisor.schema.language import Architecture, KvPrecision, WeightPrecision

# Passes over the hidden state in a layer, each a read or a write: two norms with the sum before each (3 and 3), and rotating and storing
# keys and values. Over the inner state: reading both halves and writing their product.
HIDDEN_PASSES, INNER_PASSES = 8.0, 3.0
# Of its bandwidth that a device reaches in such passes.
PASSING_SHARE = 0.75
# Sums over devices in a layer: behind attention and behind the feed-forward network.
SUMS = 2


class Parts(NamedTuple):
    """Seconds of kernels, arrays of one shape."""

    matrices: np.ndarray  # and what is done to each element
    attention: np.ndarray
    communication: np.ndarray
    experts: np.ndarray

    def plus(self, other: "Parts") -> "Parts":
        """Return both, one after the other."""
        return Parts(*(one + more for one, more in zip(self, other, strict=True)))


class Composition:
    """The kernels of one decoder in one precision on so many devices."""

    def __init__(
        self,
        architecture: Architecture,
        foundation: Foundation,
        *,
        tensor_parallel: int,
        weights: WeightPrecision,
        kv: KvPrecision,
    ) -> None:
        self._hidden = float(architecture.hidden_size)
        self.layers = architecture.layers
        numbers = numbers_of(weights, foundation.hardware)
        self._products = kernel_of(foundation, "gemm", product, numbers, grids_of(numbers, weights))
        # The vocabulary stays as it was trained.
        self._logits = kernel_of(foundation, "gemm", product, COMPUTED[PLAIN], (PLAIN,))
        self._vocabulary = of_vocabulary(architecture, tensor_parallel)
        self._communication = Communication(foundation, tensor_parallel)
        self._attention = [Attention(foundation, kind, kv, tensor_parallel) for kind in architecture.attention]
        self._shapes = _shapes(architecture, tensor_parallel)
        self._experts = [
            (kind.layers, Experts(foundation, kind, architecture.hidden_size, numbers, weights, tensor_parallel))
            for kind in architecture.feed_forward
            if kind.experts is not None
        ]
        self._passed_bytes = _passed_bytes(architecture, tensor_parallel)
        self._passes_per_s = foundation.rates(PLAIN).bytes_per_s * PASSING_SHARE

    def of_tokens(self, tokens: np.ndarray, sampled: np.ndarray) -> Parts:
        """Return what steps of so many tokens take, of which `sampled` get a successor; without attention."""
        tokens, sampled = np.asarray(tokens, dtype=float), np.asarray(sampled, dtype=float)
        matrices = tokens * self._passed_bytes / self._passes_per_s
        for shape, count in self._shapes.items():
            matrices = matrices + count * self._products.seconds(shape, tokens)
        nothing = np.zeros_like(matrices)
        routed = sum((layers * experts.seconds(tokens) for layers, experts in self._experts), nothing)
        matrices = matrices + self._logits.seconds(self._vocabulary, np.maximum(sampled, 1.0))
        sums = self.layers * SUMS * self._communication.all_reduce_s(np.asarray(sum_bytes(tokens, self._hidden)))
        return Parts(matrices, nothing, sums, routed)

    def of_decoding(
        self, batch: np.ndarray, context_tokens: np.ndarray, *, repeats_heads: float = 0.0, queries: int = 1
    ) -> Parts:
        """Return what attention takes where so many requests decode, `queries` tokens each, that have `context_tokens` cached together."""
        batch = np.asarray(batch, dtype=float)
        each = np.asarray(context_tokens, dtype=float) / np.maximum(batch, 1.0)
        layers = (
            kind.layers * kind.decode_s(batch, each, repeats_heads=repeats_heads, queries=queries) for kind in self._attention
        )
        seconds = sum(layers, np.zeros_like(each))
        return _attending(np.where(batch > 0, seconds, 0.0))

    def of_reading(self, tokens: np.ndarray, past_tokens: np.ndarray, prompts: np.ndarray) -> Parts:
        """Return what attention takes where so many tokens in all are read of `prompts`, behind `past_tokens` of each."""
        tokens, past, prompts = (np.asarray(each, dtype=float) for each in (tokens, past_tokens, prompts))
        each = tokens / prompts
        seconds = sum((kind.layers * kind.prefill_s(each, past, prompts) for kind in self._attention), np.zeros_like(each))
        return _attending(np.where(tokens > 0, seconds, 0.0))


def draft_of(architecture: Architecture) -> Architecture:
    """Return a draft as EAGLE's and the heads that models come with (MTP) are: one layer like the last of the model, and its head."""
    attention, network = architecture.attention[-1], architecture.feed_forward[-1]
    return msgspec.structs.replace(
        architecture,
        layers=1,
        attention=(msgspec.structs.replace(attention, layers=1),),
        feed_forward=(msgspec.structs.replace(network, layers=1),),
    )


def _attending(seconds: np.ndarray) -> Parts:
    nothing = np.zeros_like(seconds)
    return Parts(nothing, seconds, nothing, nothing)


def _shapes(architecture: Architecture, tensor_parallel: int) -> dict[Shape, int]:
    """Return the products of a step, and in how many layers each is."""
    found: dict[Shape, int] = {}
    hidden = architecture.hidden_size
    for attention in architecture.attention:
        for shape in of_attention(attention, hidden, tensor_parallel):
            found[shape] = found.get(shape, 0) + attention.layers
    for network in architecture.feed_forward:
        for shape in of_feed_forward(network, hidden, tensor_parallel):
            found[shape] = found.get(shape, 0) + network.layers
    return found


def _passed_bytes(architecture: Architecture, tensor_parallel: int) -> float:
    """Return the bytes that a token has read and written one by one in all layers, on one device."""
    hidden = architecture.layers * HIDDEN_PASSES * architecture.hidden_size
    inner = 0.0
    for network in architecture.feed_forward:
        # Experts do it as a part of their kernel.
        size = network.inner_size if network.experts is None else network.shared_inner_size
        inner += network.layers * INNER_PASSES * size / tensor_parallel
    return (hidden + inner) * OUTPUT_BYTES
