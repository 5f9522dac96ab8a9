"""What is not modeled is refused by name."""

import json

import pytest

from advisor.errors import InputError
from advisor.measure.architecture.config import read_architecture
from advisor.measure.architecture.families import FAMILIES
from advisor.measure.architecture.refusals import OF_CLASSES
from tests import configs


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"architectures": ["NemotronHForCausalLM"], "hybrid_override_pattern": "MEM*E"}, "state-space layers"),
        ({"architectures": ["MambaForCausalLM"]}, "state-space layers"),
        ({"architectures": ["Qwen3NextForCausalLM"]}, "layers of linear attention"),
        ({"layer_types": ["linear_attention", "full_attention"] * 16}, "layers of linear attention"),
        ({"linear_attn_config": {"kda_layers": [1, 2]}}, "layers of linear attention"),
        ({"index_topk": 2048}, "sparse attention"),
        ({"sparse_attention_config": {"use_sparse_attention": True}}, "sparse attention"),
        ({"compress_ratios": [0, 4, 128]}, "attention to compressed keys"),
        ({"layers_block_type": ["mamba", "attention"]}, "state-space layers"),
        ({"cross_attention_layers": [3, 8]}, "layers of cross-attention to images"),
        ({"num_kv_shared_layers": 20}, "layers that read the cache of others"),
        ({"routed_expert_hidden_size": 1024}, "experts of another width"),
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "an encoder and a decoder"),
    ],
    ids=str,
)
def test_what_is_not_modeled_is_refused_by_name(tmp_path, changes, what):
    with pytest.raises(InputError, match=rf"config\.json: \w+ has {what}.*, which is not modeled here") as refused:
        configs.described(tmp_path, "llama-3.1-8b", **changes)

    assert "full, windowed or latent attention" in refused.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"index_topk": None},
        {"num_kv_shared_layers": 0},
        {"use_double_wide_mlp": False},
        {"sparse_attention_config": {"use_sparse_attention": False}},
    ],
    ids=str,
)
def test_what_is_turned_off_is_not_refused(tmp_path, changes):
    assert configs.architecture_of("llama-3.1-8b").attention == configs.described(tmp_path, "llama-3.1-8b", **changes).attention


def test_the_text_part_of_a_larger_model_is_refused_for_what_it_has(tmp_path):
    config = configs.config_of("kimi-k2.5", architectures=["KimiLinearForCausalLM"], linear_attn_config={"kda_layers": [1]})

    with pytest.raises(InputError, match="KimiLinearForCausalLM has layers of linear attention"):
        read_architecture(configs.write(tmp_path, config))


@pytest.mark.parametrize("name", ["BertForMaskedLM", "CLIPModel", "SomethingNewForCausalLM"])
def test_a_class_that_nobody_described_is_not_guessed_at(tmp_path, name):
    with pytest.raises(InputError, match=f"{name} is no decoder of text that is known here") as refused:
        configs.described(tmp_path, "llama-3.1-8b", architectures=[name])

    assert "name that under architectures" in refused.value.hint


def test_a_part_for_text_of_an_unknown_type_is_refused_by_the_class_of_the_whole(tmp_path):
    whole = {"architectures": ["CLIPModel"], "text_config": {"model_type": "clip_text_model"}}
    (tmp_path / "config.json").write_text(json.dumps(whole))

    with pytest.raises(InputError, match="CLIPModel is no decoder of text that is known here"):
        read_architecture(tmp_path)


def test_no_class_is_both_known_and_refused():
    assert set() == set(FAMILIES) & set(OF_CLASSES)
