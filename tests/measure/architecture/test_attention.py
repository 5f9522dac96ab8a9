"""Layers of attention by kind."""

import pytest

from advisor.errors import InputError
from advisor.measure.architecture.config import read_architecture
from advisor.schema.language import AttentionLayers
from tests import configs


def windows_of(found):
    return {it.window_tokens: it.layers for it in found.attention}


def test_heads_share_keys():
    assert (
        AttentionLayers(kind="gqa", layers=80, heads=64, kv_heads=8, head_dimension=128, value_dimension=128),
    ) == configs.architecture_of("llama-3.1-70b").attention


def test_a_file_of_an_old_llama_names_no_heads_of_keys(tmp_path):
    assert 32 == configs.described(tmp_path, "llama-3.1-8b", num_key_value_heads=None).attention[0].kv_heads


def test_where_the_class_has_another_number_the_heads_of_keys_are_missed(tmp_path):
    with pytest.raises(InputError, match="num_key_value_heads is missing"):
        configs.described(tmp_path, "mixtral-8x7b", num_key_value_heads=None)


def test_heads_read_out_of_a_latent():
    assert (
        AttentionLayers(
            kind="mla",
            layers=61,
            heads=128,
            kv_heads=128,
            head_dimension=192,
            value_dimension=128,
            q_lora_rank=1536,
            kv_lora_rank=512,
            rope_dimension=64,
        ),
    ) == configs.architecture_of("deepseek-v3").attention


def test_queries_need_no_latent(tmp_path):
    assert configs.described(tmp_path, "deepseek-v3", q_lora_rank=None).attention[0].q_lora_rank is None


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("gpt-oss-120b", {128: 18, None: 18}),
        ("gpt-oss-20b", {128: 12, None: 12}),  # by the number of the class: the file has no list
        ("gemma-4-26b-a4b", {1024: 25, None: 5}),
        ("mimo-v2-flash", {128: 39, None: 9}),
        ("llama-4-maverick", {8192: 36, None: 12}),
        ("mixtral-8x7b", {None: 32}),
    ],
)
def test_windows_are_those_of_the_layers(name, windows):
    assert windows == windows_of(configs.architecture_of(name))


@pytest.mark.parametrize(
    ("name", "changes", "windows"),
    [
        ("mixtral-8x7b", {"sliding_window": 4096}, {4096: 32}),
        ("mixtral-8x7b", {"sliding_window": 32_768}, {None: 32}),  # as long as the context
        ("mixtral-8x7b", {"architectures": ["MistralForCausalLM"], "sliding_window": None}, {None: 32}),
        ("qwen3-0.6b", {"use_sliding_window": True, "sliding_window": 512, "max_window_layers": 20}, {None: 20, 512: 8}),
        ("llama-3.1-8b", {"sliding_window": 4096}, {None: 32}),  # the class has none
        ("llama-4-maverick", {"attention_chunk_size": None}, {None: 48}),
        ("llama-4-maverick", {"no_rope_layers": [0, 1] * 24}, {None: 24, 8192: 24}),
        ("llama-4-maverick", {"no_rope_layers": [], "no_rope_layer_interval": 2}, {None: 24, 8192: 24}),
    ],
    ids=str,
)
def test_windows_are_read_in_every_form(tmp_path, name, changes, windows):
    assert windows == windows_of(configs.described(tmp_path, name, **changes))


def test_a_class_with_a_window_by_default_has_it_where_the_file_is_silent(tmp_path):
    config = configs.config_of("mixtral-8x7b", architectures=["MistralForCausalLM"])
    del config["sliding_window"]

    assert {4096: 32} == windows_of(read_architecture(configs.write(tmp_path, config)))


def test_chunks_are_noted():
    assert (
        "attention in chunks counts as attention with a window of that length" in configs.architecture_of("llama-4-scout").notes
    )


def test_layers_with_a_window_may_have_heads_of_their_own():
    kinds = configs.architecture_of("mimo-v2-flash").attention

    assert [(4, 192, 128), (8, 192, 128)] == [(it.kv_heads, it.head_dimension, it.value_dimension) for it in kinds]
    assert {(8, 256), (2, 512)} == {
        (it.kv_heads, it.head_dimension) for it in configs.architecture_of("gemma-4-26b-a4b").attention
    }


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("gpt-oss-120b", {"layer_types": ["full_attention"]}, "layer_types: a list of 1: not a list of .* for 36 layers"),
        ("gpt-oss-120b", {"layer_types": ["other"] * 36}, "layer_types: a list of 36: not a list of"),
        ("gpt-oss-120b", {"layer_types": 36}, "layer_types: 36: not a list of"),
        ("gpt-oss-20b", {"sliding_window": 0}, "sliding_window: 0: outside of 1 to"),
        ("mimo-v2-flash", {"hybrid_layer_pattern": [2] * 48}, "hybrid_layer_pattern: a list of 48: not a list of 0 and 1"),
        ("mimo-v2-flash", {"hybrid_layer_pattern": None}, "layer_types: None: does not say which layers"),
        ("deepseek-v3", {"kv_lora_rank": None}, "kv_lora_rank is missing"),
        ("deepseek-v3", {"qk_rope_head_dim": 0}, "qk_rope_head_dim: 0: outside"),
        ("mimo-v2-flash", {"swa_num_key_value_heads": 7}, "swa_num_key_value_heads: 7: does not divide the 64 attention heads"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_attention_that_is_none_is_refused(tmp_path, name, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        configs.described(tmp_path, name, **changes)
