"""How many weights a decoder has, and how many of them one token uses."""

from typing import NamedTuple

from advisor.measure.architecture.families import Family, Part
from advisor.measure.decoder.config_values import Values
from advisor.schema.language import AttentionLayers, FeedForwardLayers

MOST_PARAMETERS = 10**15  # the largest models stay below a hundredth of it


class Frame(NamedTuple):
    """What is there once, around the layers."""

    layers: int
    hidden_size: int
    vocabulary: int
    context_tokens: int
    ties_embeddings: bool


class Extras(NamedTuple):
    """What layers have beside the matrices that their records describe."""

    biases: frozenset[Part]
    has_head_norms: bool
    values_are_keys: bool  # in layers without a window: one matrix makes both


def extras_of(config: Values, family: Family) -> Extras:
    """Return what the class has, and what the file adds."""
    biases = set(family.biases)
    if config.flag("attention_bias", False):
        biases |= {"input", "output"}
    if config.flag("mlp_bias", False):
        biases |= {"mlp"}
    return Extras(
        biases=frozenset(biases),
        has_head_norms=family.has_head_norms or config.flag("use_qk_norm", False),
        values_are_keys=config.flag("attention_k_eq_v", False),
    )


def count_parameters(
    config: Values,
    family: Family,
    frame: Frame,
    attention: tuple[AttentionLayers, ...],
    feed_forward: tuple[FeedForwardLayers, ...],
) -> tuple[int, int]:
    """Return all weights, and those that one token uses: of experts those that it is sent to.

    The input embeddings count among the latter, as in the published figures, unless the publisher of the class leaves them out. Layers
    that predict further tokens and parts for other inputs than text are not in it.
    """
    extras = extras_of(config, family)
    shared = frame.layers * family.norms * frame.hidden_size + frame.hidden_size
    shared += sum(it.layers * _of_attention(it, frame.hidden_size, extras) for it in attention)
    everything = active = shared
    for it in feed_forward:
        everything += it.layers * _of_network(it, frame.hidden_size, extras, it.experts)
        active += it.layers * _of_network(it, frame.hidden_size, extras, it.experts_per_token)
    table = frame.vocabulary * frame.hidden_size
    positions = frame.context_tokens * frame.hidden_size if family.learns_positions else 0
    everything += positions + (table if frame.ties_embeddings else 2 * table)
    active += 2 * table if family.embedding_is_active and not frame.ties_embeddings else table
    if everything > MOST_PARAMETERS:
        raise config.wrong("hidden_size", f"with the other sizes a model of {everything:.1e} weights, more than any has")
    return everything, active


def _of_attention(it: AttentionLayers, hidden_size: int, extras: Extras) -> int:
    """Return the weights of one layer of attention."""
    if it.kv_lora_rank is not None and it.rope_dimension is not None:
        return _of_latent(it, hidden_size, it.kv_lora_rank, it.rope_dimension)
    queries, keys = it.heads * it.head_dimension, it.kv_heads * it.head_dimension
    values = 0 if extras.values_are_keys and it.window_tokens is None else it.kv_heads * it.value_dimension
    counted = hidden_size * (queries + keys + values + it.heads * it.value_dimension)
    counted += queries + keys + values if "input" in extras.biases else 0
    counted += hidden_size if "output" in extras.biases else 0
    return counted + (2 * it.head_dimension if extras.has_head_norms else 0)


def _of_latent(it: AttentionLayers, hidden_size: int, kv_rank: int, rope_dimension: int) -> int:
    """Return the weights of one layer of latent attention: down to the latents with a norm each, up to the heads, and back."""
    queries = it.heads * it.head_dimension
    counted = hidden_size * queries if it.q_lora_rank is None else it.q_lora_rank * (hidden_size + 1 + queries)
    counted += hidden_size * (kv_rank + rope_dimension) + kv_rank
    counted += kv_rank * it.heads * (it.head_dimension - rope_dimension + it.value_dimension)
    return counted + it.heads * it.value_dimension * hidden_size


def _of_network(it: FeedForwardLayers, hidden_size: int, extras: Extras, experts: int | None) -> int:
    """Return the weights of one feed-forward layer, with so many of its experts."""
    matrices = 3 if it.is_gated else 2
    counted = matrices * hidden_size * it.inner_size
    if "mlp" in extras.biases:
        counted += (matrices - 1) * it.inner_size + hidden_size
    if experts is None or it.experts is None:
        return counted
    return experts * counted + hidden_size * it.experts + matrices * hidden_size * it.shared_inner_size
