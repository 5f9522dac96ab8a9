"""What attention asks for: of requests that decode, each over its own cached tokens, and of prompts that are read behind cached ones.

A shape of grouped queries is (heads of keys and values, heads, their dimension), that of a latent (heads,), both of one device.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from advisor.decide.generation.projection.operations.grounds import COMPUTED, PLAIN, Foundation, Numbers
from advisor.decide.generation.projection.operations.kernels import Kernel, kernel_of
from advisor.decide.generation.projection.operations.matrices import key_value_heads
from advisor.decide.generation.projection.operations.tables import Work
from advisor.schema.arrays.kernels import Operation
from advisor.schema.language import AttentionLayers, KvPrecision

# Caches by their numbers: queries, answers and what is computed have 16 bits, whatever is cached.
CACHED = {precision: Numbers(COMPUTED[precision].weight_bytes, PLAIN, 2.0) for precision in ("bf16", "fp8")}
# A query, or an answer, leaves and enters in 16 bits.
QUERY_BYTES = 2.0
# Of the latent models that were measured: those of DeepSeek-V3, to which grids of latents belong.
LATENT, ROPE, NOPE, VALUE = 512, 64, 128, 128


def decoding(shape: Sequence[float], sizes: Sequence[np.ndarray], numbers: Numbers) -> Work:
    """Return what one query a request over `context` cached tokens of each asks for."""
    kv_heads, heads, dimension = shape
    batch, context = sizes
    held = 2.0 * kv_heads * dimension * numbers.weight_bytes * batch * context
    return Work(flop=4.0 * heads * dimension * batch * context, bytes=held + 2.0 * heads * dimension * QUERY_BYTES * batch)


def reading(shape: Sequence[float], sizes: Sequence[np.ndarray], numbers: Numbers) -> Work:
    """Return what prompts of so many tokens ask for, read whole: every token looks at those before it."""
    kv_heads, heads, dimension = shape
    prompts, tokens = sizes
    pairs = prompts * tokens * tokens / 2.0
    moved = 2.0 * kv_heads * dimension * numbers.weight_bytes + 2.0 * heads * dimension * QUERY_BYTES
    return Work(flop=4.0 * heads * dimension * pairs, bytes=moved * prompts * tokens)


def decoding_latent(shape: Sequence[float], sizes: Sequence[np.ndarray], numbers: Numbers) -> Work:
    """Return what one query a request over a cached latent asks for: all heads look at the same."""
    (heads,) = shape
    batch, context = sizes
    flop = 2.0 * heads * (2 * LATENT + ROPE) * batch * context
    moved = (LATENT + ROPE) * numbers.weight_bytes * batch * context + heads * (2 * LATENT + ROPE) * QUERY_BYTES * batch
    return Work(flop=flop, bytes=moved)


def reading_latent(shape: Sequence[float], sizes: Sequence[np.ndarray], numbers: Numbers) -> Work:
    """Return what prompts ask for whose latent has been unfolded into heads."""
    (heads,) = shape
    prompts, tokens = sizes
    pairs = prompts * tokens * tokens / 2.0
    flop = 2.0 * heads * (NOPE + ROPE + VALUE) * pairs
    return Work(flop=flop, bytes=2.0 * heads * (NOPE + ROPE + VALUE) * QUERY_BYTES * prompts * tokens)


def _with_heads(shape: tuple[float, ...], times: int) -> tuple[float, ...]:
    """Return a shape with so many times the heads of queries."""
    heads = len(shape) // 2  # the place of (heads of keys and values, heads, dimension), and of (heads,)
    return (*shape[:heads], times * shape[heads], *shape[heads + 1 :])


class Attention:
    """Attention of layers of one kind on one of the tensor-parallel devices."""

    def __init__(self, foundation: Foundation, layers: AttentionLayers, kv: KvPrecision, tensor_parallel: int) -> None:
        self.layers = layers.layers
        self._window = float(layers.window_tokens or math.inf)
        heads = layers.heads / tensor_parallel
        if layers.kind == "mla":
            self._shape: tuple[float, ...] = (heads,)
            self._repeated: tuple[float, ...] = self._shape
            self._decoding = self._kernel(foundation, "generation_mla", decoding_latent, kv)
            self._reading = self._kernel(foundation, "context_mla", reading_latent, kv)
            # Grids are of one latent; another one is as much more or less work.
            rope, latent = layers.rope_dimension or 0, layers.kv_lora_rank or 0
            self._decoded_size = (2 * latent + rope) / (2 * LATENT + ROPE)
            self._read_size = (layers.head_dimension + layers.value_dimension) / (NOPE + ROPE + VALUE)
        else:
            self._shape = (float(key_value_heads(layers, tensor_parallel)), heads, float(layers.head_dimension))
            self._repeated = (heads, *self._shape[1:])
            self._decoding = self._kernel(foundation, "generation", decoding, kv)
            self._reading = self._kernel(foundation, "context", reading, kv)
            self._decoded_size = self._read_size = 1.0

    @staticmethod
    def _kernel(
        foundation: Foundation,
        operation: Operation,
        law: Callable[[Sequence[float], Sequence[np.ndarray], Numbers], Work],
        kv: KvPrecision,
    ) -> Kernel:
        return kernel_of(foundation, operation, law, CACHED[kv], (kv, PLAIN), numbers_of=CACHED)

    def decode_s(self, batch: np.ndarray, context: np.ndarray, *, repeats_heads: float = 0.0, queries: int = 1) -> np.ndarray:
        """Return the seconds in one layer where so many requests decode, with so many tokens cached of each on average.

        Where an engine `repeats_heads` as a whole (1), it reads keys and values once for each head of queries; caches let it do so in part.
        Several `queries` of a request look at the same cache, which is read once: they are so many times as many heads.
        """
        sizes = np.maximum(batch, 1.0), np.clip(context, 1.0, self._window)
        found = self._attended_s(self._shape, queries, *sizes)
        if repeats_heads > 0:
            found = found ** (1 - repeats_heads) * self._attended_s(self._repeated, queries, *sizes) ** repeats_heads
        return np.asarray(self._decoded_size * found)

    def _attended_s(self, shape: tuple[float, ...], queries: int, batch: np.ndarray, context: np.ndarray) -> np.ndarray:
        found = self._decoding.seconds(shape, batch, context)
        if queries == 1:
            return found
        return np.asarray(np.maximum(found, self._decoding.seconds(_with_heads(shape, queries), batch, context)))

    def prefill_s(self, tokens: np.ndarray, past: np.ndarray, prompts: np.ndarray) -> np.ndarray:
        """Return the seconds in one layer where prompts are read, each of `tokens` behind `past` cached ones.

        That is the whole prompt less the pairs of tokens that were looked at before; a window leaves no more pairs than it is long.
        """
        tokens = np.maximum(tokens, 1.0)
        pairs = tokens * np.minimum(past + tokens / 2.0, self._window)
        length = past + tokens
        whole_s = self._reading.seconds(self._shape, prompts, length)
        # As many pairs in a square as there are: where the past is long, few rows have many columns.
        square_s = self._reading.seconds(self._shape, prompts, np.sqrt(2.0 * pairs))
        share = np.minimum(pairs / (length * length / 2.0), 1.0)
        return np.asarray(self._read_size * np.maximum(whole_s * share, np.minimum(square_s, whole_s)))
