"""A configuration that describes each layer by itself, as a search has found them (DeciLM, Nemotron of Puzzle)."""

from collections import Counter

import msgspec

from advisor.measure.architecture.refusals import not_modeled
from advisor.measure.decoder.config_values import Values
from advisor.measure.decoder.shape import MOST_HEADS, MOST_WIDTH
from advisor.schema.language import AttentionLayers, FeedForwardLayers
from advisor.schema.record import LONGEST_SEQUENCE

SMALLEST_FACTOR, LARGEST_FACTOR = 1e-6, 1024.0  # of hidden_size, in a network
MULTIPLE = 256  # to which the width of a network is rounded up


def block_layers(
    config: Values, name: str, *, layers: int, hidden_size: int
) -> tuple[tuple[AttentionLayers, ...], tuple[FeedForwardLayers, ...]]:
    """Return the kinds of attention and of networks; a layer may lack either."""
    blocks = config.parts("block_configs")
    if len(blocks) != layers:
        raise config.wrong("block_configs", f"not a description of each of the {layers} layers")
    attention: Counter[AttentionLayers] = Counter()
    networks: Counter[FeedForwardLayers] = Counter()
    for block in blocks:
        part, network = _present(config, name, block, "attention"), _present(config, name, block, "ffn")
        if part is not None:
            attention[_attention(config, part, hidden_size)] += 1
        if network is not None:
            networks[_network(network, hidden_size)] += 1
    if not attention or not networks:
        raise config.wrong("block_configs", "describes no layer with attention, or none with a network")
    return (
        tuple(msgspec.structs.replace(one, layers=count) for one, count in attention.items()),
        tuple(msgspec.structs.replace(one, layers=count) for one, count in networks.items()),
    )


def _present(config: Values, name: str, block: Values, key: str) -> Values | None:
    """Return what describes a part of a layer, None where the layer lacks it."""
    part = block.part(key)
    if part is None:
        raise block.wrong(key, "not described")
    if part.flag("replace_with_linear", False) or part.given("sparsify"):
        raise not_modeled(config, name, "single matrices in place of layers")
    return None if part.flag("no_op", False) else part


def _attention(config: Values, part: Values, hidden_size: int) -> AttentionLayers:
    heads = config.count("num_attention_heads", MOST_HEADS)
    if hidden_size % heads:
        raise config.wrong("num_attention_heads", f"does not divide hidden_size {hidden_size}")
    in_group = part.count("n_heads_in_group", MOST_HEADS)
    if heads % in_group:
        raise part.wrong("n_heads_in_group", f"does not divide the {heads} attention heads")
    return AttentionLayers(
        kind="gqa",
        layers=1,
        heads=heads,
        kv_heads=heads // in_group,
        head_dimension=hidden_size // heads,
        value_dimension=hidden_size // heads,
        window_tokens=None if part.given("window_length") is None else part.count("window_length", LONGEST_SEQUENCE),
    )


def _network(part: Values, hidden_size: int) -> FeedForwardLayers:
    """Return a network, as wide as a factor says: of two thirds of twice hidden_size, rounded up (modeling_decilm.py)."""
    width = int(2 * part.number("ffn_mult", SMALLEST_FACTOR, LARGEST_FACTOR) * hidden_size / 3)
    inner_size = MULTIPLE * max(1, -(-width // MULTIPLE))
    if inner_size > MOST_WIDTH:
        raise part.wrong("ffn_mult", f"a network of {inner_size}, wider than {MOST_WIDTH}")
    return FeedForwardLayers(layers=1, inner_size=inner_size)
