"""Layers that are described one by one."""

import pytest

from advisor.errors import InputError
from advisor.measure.architecture.config import read_architecture
from tests import configs

# Of Llama-3.3-Nemotron-Super-49B: heads in a group of the layers that have attention, the factor of their networks, how many there are.
SUPER = [
    *((8, 2.625, 1), (8, 5.25, 48)),
    *((None, 0.5, 6), (None, 1.0, 8), (None, 1.3125, 10), (None, 2.625, 5), (None, 3.28125, 1), (None, 5.25, 1)),
]


def block(in_group, factor):
    return {
        "attention": {
            "n_heads_in_group": in_group,
            "no_op": in_group is None,
            "replace_with_linear": False,
            "window_length": None,
        },
        "ffn": {"ffn_mult": factor, "no_op": factor is None, "replace_with_linear": False, "sparsify": None},
    }


def described(folder, blocks, **changes):
    changes = {"intermediate_size": None, "num_key_value_heads": None, "num_hidden_layers": len(blocks)} | changes
    config = configs.config_of("llama-3.1-70b", architectures=["DeciLMForCausalLM"], block_configs=blocks, **changes)
    return read_architecture(configs.write(folder, config))


def test_a_searched_model_has_the_weights_that_are_published(tmp_path):
    found = described(tmp_path, [block(in_group, factor) for in_group, factor, count in SUPER for _ in range(count)])

    assert pytest.approx(49.87e9, rel=1e-3) == found.parameters
    assert [(49, 64, 8)] == [(it.layers, it.heads, it.kv_heads) for it in found.attention]
    assert 80 == sum(it.layers for it in found.feed_forward)
    assert 28_672 in {it.inner_size for it in found.feed_forward}  # as in the Llama that it was made of


def test_a_layer_may_lack_its_network(tmp_path):
    found = described(tmp_path, [block(8, 1.0), block(8, None), block(16, 1.0)])

    assert ({8: 2, 4: 1}, 2) == (
        {it.kv_heads: it.layers for it in found.attention},
        sum(it.layers for it in found.feed_forward),
    )


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [
        ([block(8, 1.0), {}], r"block_configs\[1\].attention: None: not described"),
        ([block(8, 1.0), 3], "block_configs: a list of 2: what 1 stands for there holds no keys"),
        ([block(7, 1.0)], r"block_configs\[0\].attention.n_heads_in_group: 7: does not divide the 64"),
        ([block(8, -1.0)], r"block_configs\[0\].ffn.ffn_mult: -1.0: outside"),
        ([block(8, 1000.0)], "wider than"),
        ([block(None, 1.0)], "describes no layer with attention"),
        ([block(8, 1.0) | {"ffn": {"replace_with_linear": True}}], "DeciLMForCausalLM has single matrices in place of layers"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_blocks_that_are_none_are_refused(tmp_path, blocks, complaint):
    with pytest.raises(InputError, match=complaint):
        described(tmp_path, blocks)


def test_every_layer_is_described(tmp_path):
    with pytest.raises(InputError, match="block_configs: a list of 1: not a description of each of the 80 layers"):
        described(tmp_path, [block(8, 1.0)], num_hidden_layers=80)
