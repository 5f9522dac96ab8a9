"""The decoder once more, in plain NumPy from the checkpoint's own files: what a graph is held against.

Nothing is shared with the graph but the reading of the files, positions least of all: a wrong reading of these agrees with itself.
"""

import math
from pathlib import Path
from typing import Protocol

import numpy as np

from advisor.errors import InputError, ModelError
from advisor.measure.decoder.shape import DecoderShape, Rope, read_shape
from advisor.measure.decoder.weights import Weights, open_weights
from advisor.units import percent

# Of the range of the logits: 32-bit sums in another order differ by 1e-6 to 1e-5, a wrong norm, angle or window by 1e-2 and more.
TOLERANCE = 1e-3


class GivesLogits(Protocol):
    """A decoder in any form."""

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Return logits (tokens, vocabulary) of each position."""


def over_range(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest difference of logits over the range of the true ones; inf where one is no number."""
    difference = float(np.max(np.abs(found - truth)) / np.ptp(truth))
    return difference if math.isfinite(difference) else math.inf


def in_words(difference: float) -> str:
    """Describe a difference of logits."""
    return percent(difference) if math.isfinite(difference) else "more than can be said"


def agreement(decoder: GivesLogits, checkpoint: Path, tokens: np.ndarray, truth: np.ndarray | None = None) -> float:
    """Return the largest difference of logits from the checkpoint's own, over the range of these; inf where one is no number."""
    truth = logits(checkpoint, tokens) if truth is None else truth
    if not np.isfinite(truth).all():
        raise InputError(
            f"{checkpoint}: its own logits are no numbers", hint="its weights are damaged: download or save it again"
        )
    return over_range(decoder.logits(tokens), truth)


def check(decoder: GivesLogits, checkpoint: Path, tokens: np.ndarray, truth: np.ndarray | None = None) -> float:
    """Return the agreement; raise ModelError if the graph that was written of the checkpoint is not that decoder."""
    difference = agreement(decoder, checkpoint, tokens, truth)
    if difference > TOLERANCE:
        raise ModelError(
            f"{checkpoint}: the graph that advisor wrote does not compute what the checkpoint does: logits are off by "
            f"{in_words(difference)}",
            hint="report it with the config.json: it is a fault of advisor; an export by optimum-cli is measured meanwhile",
        )
    return difference


def logits(checkpoint: Path, tokens: np.ndarray) -> np.ndarray:
    """Return logits (tokens, vocabulary) of each position of one text; one tensor of the checkpoint at a time is in memory."""
    # What is beyond all floats is shown by the logits.
    with np.errstate(over="ignore", invalid="ignore"):
        return _logits(checkpoint, tokens)


def _logits(checkpoint: Path, tokens: np.ndarray) -> np.ndarray:
    shape = read_shape(checkpoint)
    weights = open_weights(checkpoint, shape)
    stream = weights.array("model.embed_tokens.weight")[tokens]
    for layer in range(shape.layers):
        part = _Part(weights, f"model.layers.{layer}.")
        stream = stream + _attention(part, _norm(stream, part.array("input_layernorm.weight"), shape.norm_epsilon), shape, layer)
        stream = stream + _mlp(part, _norm(stream, part.array("post_attention_layernorm.weight"), shape.norm_epsilon))
    last = _norm(stream, weights.array("model.norm.weight"), shape.norm_epsilon)
    head = weights.array("model.embed_tokens.weight" if shape.ties_embeddings else "lm_head.weight")
    found: np.ndarray = last @ head.T
    return found


class _Part:
    """The tensors of one layer."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        self._weights, self._prefix = weights, prefix

    def array(self, name: str) -> np.ndarray:
        return self._weights.array(f"{self._prefix}{name}")

    def projected(self, name: str, given: np.ndarray) -> np.ndarray:
        found: np.ndarray = given @ self.array(f"{name}.weight").T
        return found + self.array(f"{name}.bias") if self._weights.has(f"{self._prefix}{name}.bias") else found


def _norm(given: np.ndarray, weight: np.ndarray, epsilon: float) -> np.ndarray:
    squares = np.mean(given.astype(np.float64) ** 2, axis=-1, keepdims=True)
    normed: np.ndarray = (given / np.sqrt(squares + epsilon) * weight).astype(np.float32)
    return normed


def _mlp(part: _Part, given: np.ndarray) -> np.ndarray:
    gate = part.projected("mlp.gate_proj", given)
    # exp of a large number is inf, and one over that is 0, as it should be.
    opened = gate / (1.0 + np.exp(-gate))
    return part.projected("mlp.down_proj", opened * part.projected("mlp.up_proj", given))


def _attention(part: _Part, given: np.ndarray, shape: DecoderShape, layer: int) -> np.ndarray:
    """Return what attention adds to each position; a head of keys serves as many heads of queries as there are more of these."""
    count, dimension = len(given), shape.head_dimension
    queries = part.projected("self_attn.q_proj", given).reshape(count, shape.attention_heads, dimension)
    keys = part.projected("self_attn.k_proj", given).reshape(count, shape.kv_heads, dimension)
    values = part.projected("self_attn.v_proj", given).reshape(count, shape.kv_heads, dimension)
    if shape.has_head_norms:
        queries = _norm(queries, part.array("self_attn.q_norm.weight"), shape.norm_epsilon)
        keys = _norm(keys, part.array("self_attn.k_norm.weight"), shape.norm_epsilon)
    queries, keys = _rotated(queries, shape.rope), _rotated(keys, shape.rope)
    place = np.arange(count)
    is_seen = place[None, :] <= place[:, None]
    window = shape.windows[layer]
    if window is not None:
        is_seen &= place[None, :] > place[:, None] - window
    shared = shape.attention_heads // shape.kv_heads
    attended = np.empty((count, shape.attention_heads, dimension), np.float32)
    for head in range(shape.attention_heads):
        scores = queries[:, head] @ keys[:, head // shared].T / math.sqrt(dimension)
        scores = np.where(is_seen, scores.astype(np.float64), -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        attended[:, head] = shares @ values[:, head // shared]
    return part.projected("self_attn.o_proj", attended.reshape(count, -1))


def _rotated(heads: np.ndarray, rope: Rope) -> np.ndarray:
    """Return heads (tokens, heads, dimension), each pair of numbers half a head apart turned as a point of the plane by its angle."""
    half = heads.shape[-1] // 2
    frequencies = np.array([_frequency(rope, pair, half) for pair in range(half)], dtype=np.float32)
    angles = (np.arange(len(heads), dtype=np.float32)[:, None] * frequencies).astype(np.float64)
    points = (heads[..., :half] + 1j * heads[..., half:]) * np.exp(1j * angles)[:, None, :]
    return np.concatenate([points.real, points.imag], axis=-1).astype(np.float32)


def _frequency(rope: Rope, pair: int, half: int) -> float:
    """Return the angle, in radians, by which a pair turns from one position to the next."""
    plain = math.pow(rope.theta, -pair / half)
    if rope.kind == "default":
        return plain
    if rope.kind == "linear":
        return plain / rope.factor
    wavelength = 2 * math.pi / plain
    if wavelength < rope.original_context_tokens / rope.high_frequency_factor:
        return plain
    if wavelength > rope.original_context_tokens / rope.low_frequency_factor:
        return plain / rope.factor
    blend = (rope.original_context_tokens / wavelength - rope.low_frequency_factor) / (
        rope.high_frequency_factor - rope.low_frequency_factor
    )
    return (1 - blend) * plain / rope.factor + blend * plain
