"""The feed-forward networks that a configuration describes, by kind: dense ones, experts, and what every token passes beside experts."""

from collections.abc import Iterator

from advisor.measure.architecture.families import Family
from advisor.measure.decoder.config_values import Values
from advisor.measure.decoder.shape import MOST_LAYERS, MOST_WIDTH
from advisor.schema.language import FeedForwardLayers

MOST_EXPERTS = 2**16
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
EXPERTS_PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts", "moe_k")
SHARED_EXPERTS = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")


def feed_forward_layers(config: Values, family: Family, *, layers: int, hidden_size: int) -> tuple[FeedForwardLayers, ...]:
    """Return the kinds of networks, dense ones first."""
    sparse = sum(_is_sparse(config, layers)) if _has_experts(config, family) else 0
    found = []
    if sparse < layers:
        found.append(
            FeedForwardLayers(
                layers=layers - sparse,
                inner_size=_inner_size(config, family, hidden_size),
                is_gated=family.is_gated,
            )
        )
    if sparse:
        found.append(_experts(config, family, sparse))
    return tuple(found)


def _has_experts(config: Values, family: Family) -> bool:
    if family.experts != "optional":
        return family.experts == "always"
    return config.flag("enable_moe_block", True) and config.count(config.key_of(*EXPERTS), MOST_EXPERTS, 0, least=0) > 0


def _inner_size(config: Values, family: Family, hidden_size: int) -> int:
    default = None if family.inner_factor is None else family.inner_factor * hidden_size
    return config.count(config.key_of(family.dense_inner, "n_inner"), MOST_WIDTH, default)


def _experts(config: Values, family: Family, layers: int) -> FeedForwardLayers:
    experts = config.count(config.key_of(*EXPERTS), MOST_EXPERTS)
    key = config.key_of(*EXPERTS_PER_TOKEN)
    per_token = config.count(key, MOST_EXPERTS)
    if per_token > experts:
        raise config.wrong(key, f"there are only {experts} experts")
    inner_size = config.count(family.expert_inner, MOST_WIDTH)
    if family.shared_inner is None:
        shared_inner_size = config.count(config.key_of(*SHARED_EXPERTS), MOST_EXPERTS, 0, least=0) * inner_size
    else:
        shared_inner_size = config.count(family.shared_inner, MOST_WIDTH, 0, least=0)
    return FeedForwardLayers(
        layers=layers,
        inner_size=inner_size,
        experts=experts,
        experts_per_token=per_token,
        shared_inner_size=shared_inner_size,
        is_gated=family.is_gated,
    )


def _is_sparse(config: Values, layers: int) -> Iterator[bool]:
    """Yield of each layer whether it has experts: where every key that says something of it says so."""
    listed = [True] * layers
    for key, kinds, sparse in (("mlp_layer_types", ("dense", "sparse"), "sparse"), ("moe_layer_freq", (0, 1), 1)):
        if isinstance(config.given(key), list):
            listed = [was and kind == sparse for was, kind in zip(listed, config.each_layer(key, layers, kinds), strict=True)]
    each = 1 if isinstance(config.given("moe_layer_freq"), list) else config.count("moe_layer_freq", MOST_LAYERS, 1)
    step = config.count(config.key_of("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval"), MOST_LAYERS, 1)
    first = config.count(config.key_of("first_k_dense_replace", "moe_layer_start_index"), MOST_LAYERS, 0, least=0)
    last = (
        layers - 1
        if config.given("moe_layer_end_index") in (None, -1)
        else config.count("moe_layer_end_index", MOST_LAYERS, least=0)
    )
    dense = _dense_alone(config, layers)
    for layer in range(layers):
        in_turn = layer % each == 0 and (layer + 1) % step == 0
        yield listed[layer] and in_turn and first <= layer <= last and layer not in dense


def _dense_alone(config: Values, layers: int) -> frozenset[int]:
    """Return the layers that a list names as dense."""
    named = config.given("mlp_only_layers")
    if named is None:
        return frozenset()
    if not isinstance(named, list) or any(isinstance(entry, bool) or entry not in range(layers) for entry in named):
        raise config.wrong("mlp_only_layers", f"not a list of layers, which count from 0 to {layers - 1}")
    return frozenset(named)
