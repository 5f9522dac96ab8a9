"""Weights are those that are published, and those that files really hold."""

import pytest

from advisor.measure.architecture.config import read_architecture
from tests import checkpoints, configs

# In billions: all, and those of one token; of the cards of the models, and of the reports arXiv 2407.21783 (Llama 3), 2401.04088 (Mixtral),
# 2505.09388 (Qwen3), 2412.19437 (DeepSeek-V3), 2508.10925 (gpt-oss), 2507.20534 (Kimi K2).
PUBLISHED = {
    "llama-3.1-8b": (8.03, 8.03),
    "llama-3.1-70b": (70.6, 70.6),
    "llama-3.1-405b": (405.9, 405.9),
    "mixtral-8x7b": (46.7, 12.9),
    "qwen3-0.6b": (0.6, 0.6),
    "qwen3-32b-fp8": (32.8, 32.8),
    "qwen3-30b-a3b": (30.5, 3.3),
    "qwen3-235b-a22b": (235, 22),
    "deepseek-v3": (671, 37),
    "kimi-k2.5": (1040, 32.6),
    "gpt-oss-20b": (20.9, 3.6),
    "gpt-oss-120b": (116.8, 5.13),
    "llama-4-scout": (109, 17),
    "llama-4-maverick": (400, 17),
    "gemma-4-26b-a4b": (25.2, 3.8),
    "mimo-v2-flash": (309, 15),
}
# Of all tensors of the files.
EXACT = {
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "mixtral-8x7b": 46_702_792_704,
    "qwen3-0.6b": 596_049_920,
    "qwen3-30b-a3b": 30_532_122_624,
}


def test_every_configuration_is_compared():
    assert configs.NAMES == sorted(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_are_as_many_as_published(name):
    everything, active = PUBLISHED[name]

    found = configs.architecture_of(name)

    assert pytest.approx(everything * 1e9, rel=0.015) == found.parameters
    assert pytest.approx(active * 1e9, rel=0.03) == found.active_parameters


@pytest.mark.parametrize("name", EXACT)
def test_weights_are_as_many_as_the_files_hold(name):
    assert EXACT[name] == configs.architecture_of(name).parameters


@pytest.mark.parametrize("kind", checkpoints.KINDS)
def test_weights_are_as_many_as_a_checkpoint_has(tmp_path, kind):
    written = checkpoints.weights(checkpoints.config_of(kind))

    found = read_architecture(checkpoints.save(tmp_path, kind))

    assert sum(values.size for values in written.values()) == found.parameters == found.active_parameters


def test_experts_that_a_token_is_not_sent_to_are_not_active(tmp_path):
    some, all_of_them = (
        configs.described(tmp_path, "mixtral-8x7b", num_experts_per_tok=experts).active_parameters for experts in (2, 8)
    )

    assert 6 * 32 * 3 * 4096 * 14_336 == all_of_them - some
    assert configs.architecture_of("mixtral-8x7b").parameters == all_of_them


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"architectures": ["OPTForCausalLM"], "ffn_dim": 16_384, "num_attention_heads": 32}, 6.66e9),
        ({"architectures": ["GPTJForCausalLM"], "n_embd": 4096, "n_head": 16, "n_layer": 28, "vocab_size": 50_400}, 6.05e9),
        ({"architectures": ["BloomForCausalLM"], "n_embed": 4096, "n_layer": 30, "vocab_size": 250_880}, 7.07e9),
    ],
    ids=str,
)
def test_older_classes_have_the_weights_that_are_published(tmp_path, changes, more):
    config = {
        "max_position_embeddings": 2048,
        "vocab_size": 50_272,
        **({} if "n_layer" in changes else {"hidden_size": 4096, "num_hidden_layers": 32}),
        **({} if "n_head" in changes else {"num_attention_heads": 32}),
        **changes,
    }

    assert pytest.approx(more, rel=0.01) == read_architecture(configs.write(tmp_path, config)).parameters
