"""Feed-forward networks by kind."""

import pytest

from advisor.errors import InputError
from advisor.schema.language import FeedForwardLayers
from tests import configs

DENSE_FIRST = (
    FeedForwardLayers(layers=3, inner_size=18_432),
    FeedForwardLayers(layers=58, inner_size=2048, experts=256, experts_per_token=8, shared_inner_size=2048),
)
IN_TURN = (
    FeedForwardLayers(layers=24, inner_size=16_384),
    FeedForwardLayers(layers=24, inner_size=8192, experts=128, experts_per_token=1, shared_inner_size=8192),
)


@pytest.mark.parametrize(
    ("name", "networks"),
    [
        ("llama-3.1-8b", (FeedForwardLayers(layers=32, inner_size=14_336),)),
        ("mixtral-8x7b", (FeedForwardLayers(layers=32, inner_size=14_336, experts=8, experts_per_token=2),)),
        ("qwen3-30b-a3b", (FeedForwardLayers(layers=48, inner_size=768, experts=128, experts_per_token=8),)),
        ("gpt-oss-120b", (FeedForwardLayers(layers=36, inner_size=2880, experts=128, experts_per_token=4),)),
        ("deepseek-v3", DENSE_FIRST),
        ("llama-4-maverick", IN_TURN),
        (
            "gemma-4-26b-a4b",
            (FeedForwardLayers(layers=30, inner_size=704, experts=128, experts_per_token=8, shared_inner_size=2112),),
        ),
    ],
    ids=str,
)
def test_networks_are_those_of_the_layers(name, networks):
    assert networks == configs.architecture_of(name).feed_forward


@pytest.mark.parametrize(
    ("name", "changes", "dense"),
    [
        ("qwen3-30b-a3b", {"mlp_only_layers": [0, 5]}, 2),
        ("qwen3-30b-a3b", {"decoder_sparse_step": 2}, 24),
        ("deepseek-v3", {"first_k_dense_replace": 0}, 0),
        ("deepseek-v3", {"moe_layer_freq": 2}, 32),  # of 61 layers from 0 on the even ones, of these not 0 and 2
        ("deepseek-v3", {"mlp_layer_types": ["dense"] * 10 + ["sparse"] * 51}, 10),
        ("deepseek-v3", {"n_routed_experts": None}, 61),
        ("gemma-4-26b-a4b", {"enable_moe_block": False}, 30),
        ("mimo-v2-flash", {"moe_layer_freq": [0, 1] * 24}, 24),
    ],
    ids=lambda value: str(value)[:40],
)
def test_which_layers_have_experts_is_read_in_every_form(tmp_path, name, changes, dense):
    found = configs.described(tmp_path, name, **changes)

    assert dense == sum(it.layers for it in found.feed_forward if it.experts is None)
    assert found.layers == sum(it.layers for it in found.feed_forward)


def test_several_shared_experts_are_as_wide_as_all_of_them(tmp_path):
    assert 3 * 2048 == configs.described(tmp_path, "deepseek-v3", n_shared_experts=3).feed_forward[1].shared_inner_size


def test_two_names_of_one_thing_may_stand_there_if_they_agree(tmp_path):
    """As in the files of gpt-oss."""
    with pytest.raises(InputError, match="experts_per_token: 2: num_experts_per_tok says 4"):
        configs.described(tmp_path, "gpt-oss-20b", experts_per_token=2)


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("mixtral-8x7b", {"num_local_experts": None}, "num_local_experts is missing"),
        ("mixtral-8x7b", {"num_experts_per_tok": 9}, "num_experts_per_tok: 9: there are only 8 experts"),
        ("mixtral-8x7b", {"num_experts_per_tok": 0}, "num_experts_per_tok: 0: outside"),
        (
            "qwen3-30b-a3b",
            {"mlp_only_layers": [48]},
            "mlp_only_layers: a list of 1: not a list of layers, which count from 0 to 47",
        ),
        ("qwen3-30b-a3b", {"mlp_only_layers": 3}, "mlp_only_layers: 3: not a list"),
        ("deepseek-v3", {"first_k_dense_replace": -1}, "first_k_dense_replace: -1: outside of 0 to"),
        (
            "deepseek-v3",
            {"mlp_layer_types": ["dense"]},
            "mlp_layer_types: a list of 1: not a list of dense and sparse for 61 layers",
        ),
        ("deepseek-v3", {"moe_intermediate_size": None}, "moe_intermediate_size is missing"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_networks_that_are_none_are_refused(tmp_path, name, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        configs.described(tmp_path, name, **changes)
