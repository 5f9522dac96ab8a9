"""The matrix products of a layer: each is (n, k), what a token gets and what it brings, of one of so many tensor-parallel devices.

Columns of the first products and rows of the second ones are divided (Shoeybi and others, "Megatron-LM", arXiv 1909.08053). A head of keys
and values is not: where there are fewer of them than devices, several devices hold the same one.
"""

from collections.abc import Sequence

import numpy as np

from advisor.decide.generation.projection.operations.grounds import Numbers
from advisor.decide.generation.projection.operations.tables import Work
from advisor.schema.language import Architecture, AttentionLayers, FeedForwardLayers

OUTPUT_BYTES = 2.0  # products leave in 16 bits, whatever they are computed in
Shape = tuple[float, float]  # n, k


def product(shape: Sequence[float], sizes: Sequence[np.ndarray], numbers: Numbers) -> Work:
    """Return what a product of m tokens with a matrix asks for."""
    n, k = shape
    (tokens,) = sizes
    moved = n * k * numbers.weight_bytes + tokens * (k * numbers.activation_bytes + n * OUTPUT_BYTES)
    return Work(flop=2.0 * n * k * tokens, bytes=moved)


def grids_of(numbers: Numbers, weights: str) -> tuple[str, ...]:
    """Return the precisions whose grids may stand for products of such weights, the best first."""
    if numbers.unpacks:
        own = {"int4": ("int4",), "fp4": ("mxfp4",)}.get(weights, ())
        return (*own, "bf16")
    return {"bf16": ("bf16",), "fp8": ("fp8", "fp8_block", "bf16"), "fp4": ("fp4", "fp8", "bf16")}[numbers.computed_in]


def key_value_heads(layers: AttentionLayers, tensor_parallel: int) -> int:
    """Return how many heads of keys and values a device holds."""
    return -(-layers.kv_heads // tensor_parallel)


def of_attention(layers: AttentionLayers, hidden: int, tensor_parallel: int) -> list[Shape]:
    """Return the products around attention: into heads and out of them."""
    heads = layers.heads / tensor_parallel
    leaving = (float(hidden), heads * layers.value_dimension)
    if layers.kind == "gqa":
        kv_heads = key_value_heads(layers, tensor_parallel)
        entering = heads * layers.head_dimension + kv_heads * (layers.head_dimension + layers.value_dimension)
        return [(entering, float(hidden)), leaving]
    latent, rope = layers.kv_lora_rank or 0, layers.rope_dimension or 0
    queries = heads * layers.head_dimension
    # Every device makes the whole latent for itself. What turns it into heads is applied to queries and values, where tokens decode, and
    # to the latent, where they are read: the same matrices.
    unfolding = (heads * (layers.head_dimension - rope + layers.value_dimension), float(latent))
    if layers.q_lora_rank is None:
        return [(queries + latent + rope, float(hidden)), unfolding, leaving]
    return [(float(layers.q_lora_rank + latent + rope), float(hidden)), (queries, float(layers.q_lora_rank)), unfolding, leaving]


def of_network(inner: float, hidden: int, tensor_parallel: int, *, is_gated: bool) -> list[Shape]:
    """Return the products of a dense feed-forward network."""
    own = inner / tensor_parallel
    return [(own * (2 if is_gated else 1), float(hidden)), (float(hidden), own)]


def of_feed_forward(layers: FeedForwardLayers, hidden: int, tensor_parallel: int) -> list[Shape]:
    """Return the products that every token passes: the dense network, or the router and the experts that all tokens share."""
    if layers.experts is None:
        return of_network(layers.inner_size, hidden, tensor_parallel, is_gated=layers.is_gated)
    shared = layers.shared_inner_size
    passed = of_network(shared, hidden, tensor_parallel, is_gated=layers.is_gated) if shared else []
    return [(float(layers.experts), float(hidden)), *passed]


def of_vocabulary(architecture: Architecture, tensor_parallel: int) -> Shape:
    """Return the product that makes the logits."""
    return (architecture.vocabulary / tensor_parallel, float(architecture.hidden_size))
