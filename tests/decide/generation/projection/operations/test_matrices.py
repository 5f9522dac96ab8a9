"""Matrix products of a layer: all weights are among them, and each device has its part."""

import pytest

from advisor.decide.generation.projection.operations.grounds import COMPUTED, numbers_of
from advisor.decide.generation.projection.operations.matrices import (
    grids_of,
    of_attention,
    of_feed_forward,
    of_network,
    of_vocabulary,
)
from tests.language_models import DEEPSEEK, LLAMA_8B, LLAMA_70B, MIXTRAL, device


def weights_of(shapes):
    return sum(n * k for n, k in shapes)


@pytest.mark.parametrize("model", [LLAMA_8B, LLAMA_70B])
def test_the_products_of_a_dense_decoder_hold_all_its_weights(model):
    attention, network = model.attention[0], model.feed_forward[0]
    layer = of_attention(attention, model.hidden_size, 1) + of_feed_forward(network, model.hidden_size, 1)

    found = model.layers * weights_of(layer) + weights_of([of_vocabulary(model, 1)])

    # The rest is the table of embeddings, and norms.
    assert model.parameters - model.vocabulary * model.hidden_size == pytest.approx(found, rel=1e-4)


def test_llama_has_the_products_that_its_configuration_says():
    assert [(6144, 4096), (4096, 4096)] == of_attention(LLAMA_8B.attention[0], 4096, 1)
    assert [(28672, 4096), (4096, 14336)] == of_network(14336, 4096, 1, is_gated=True)
    assert [(14336, 4096), (4096, 14336)] == of_network(14336, 4096, 1, is_gated=False)


def test_devices_share_queries_and_networks_and_hold_a_head_of_keys_each_at_least():
    whole, parts = (of_attention(LLAMA_8B.attention[0], 4096, degree) for degree in (1, 8))

    assert [(n / 8, k) for n, k in whole[:1]] == parts[:1]
    # Sixteen devices for eight heads of keys: two hold the same one.
    assert (4096 / 16 + 2 * 128, 4096) == of_attention(LLAMA_8B.attention[0], 4096, 16)[0]
    assert weights_of(of_network(14336, 4096, 8, is_gated=True)) * 8 == weights_of(of_network(14336, 4096, 1, is_gated=True))


def test_every_device_makes_the_whole_latent_and_unfolds_its_own_heads():
    whole, parts = (of_attention(DEEPSEEK.attention[0], 7168, degree) for degree in (1, 8))

    assert (1536 + 512 + 64, 7168) == whole[0] == parts[0]
    assert [(128 * 192, 1536), (128 * 256, 512), (7168, 128 * 128)] == whole[1:]
    assert [(n / 8, k) for n, k in whole[1:3]] == parts[1:3]


def test_experts_leave_a_router_and_what_all_tokens_share():
    assert [(8, 4096)] == of_feed_forward(MIXTRAL.feed_forward[0], 4096, 1)
    assert [(256, 7168), (4096, 7168), (7168, 2048)] == of_feed_forward(DEEPSEEK.feed_forward[1], 7168, 1)


def test_products_are_looked_up_in_their_own_numbers_first():
    assert "fp8" == grids_of(COMPUTED["fp8"], "fp8")[0]
    assert ("bf16",) == grids_of(numbers_of("fp8", device("a100_80_sxm")), "fp8")
    assert ("int4", "bf16") == grids_of(COMPUTED["int4"], "int4")
