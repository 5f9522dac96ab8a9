"""The precision of the weights of a checkpoint, as its configuration gives it."""

import json

import pytest

from advisor.errors import InputError
from advisor.measure.architecture.config import read_architecture
from tests import configs

INT4 = {"num_bits": 4, "type": "int"}
FP8 = {"num_bits": 8, "type": "float"}
FP4 = {"num_bits": 4, "type": "float", "group_size": 16}


def groups(*weights):
    return {
        "config_groups": {f"group_{place}": {"weights": one} for place, one in enumerate(weights)},
        "quant_method": "compressed-tensors",
    }


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("llama-3.1-8b", "bf16"),
        ("qwen3-32b-fp8", "fp8"),
        ("deepseek-v3", "fp8"),
        ("gpt-oss-120b", "fp4"),
        ("kimi-k2.5", "int4"),  # said in the part for text
    ],
)
def test_weights_come_as_the_file_says(name, weights):
    assert weights == configs.architecture_of(name).weights


@pytest.mark.parametrize(
    ("quantization", "weights"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "fp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "fp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}}, "fp8"),
        (groups(FP4), "fp4"),
        (groups(INT4), "int4"),
        (groups(FP8), "fp8"),
        (groups(FP4, FP8, None), "fp8"),  # the widest: it has to fit
        (None, "bf16"),
    ],
    ids=str,
)
def test_every_form_of_quantization_is_read(tmp_path, quantization, weights):
    assert weights == configs.described(tmp_path, "llama-3.1-8b", quantization_config=quantization).weights


@pytest.mark.parametrize(
    ("quantization", "complaint"),
    [
        ({"quant_method": "gptq", "bits": 8}, "quant_method: 'gptq': weights that are quantized so"),
        ({"quant_method": "aqlm"}, "quant_method: 'aqlm': weights that are quantized so"),
        ({"quant_algo": "W8A8_SQ_PER_CHANNEL"}, "quant_algo: 'W8A8_SQ_PER_CHANNEL': weights"),
        ({"quant_method": "quark"}, "global_quant_config: None: does not say how"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int8"}}}, r"weight\.dtype: 'int8': weights"),
        ({}, "quant_method: None: not a text"),
        (
            groups({"num_bits": 8, "type": "int"}),
            r"config_groups\['group_0'\].weights.num_bits: 8: weights of so many bits \('int'\)",
        ),
        (groups({"num_bits": [4], "type": "int"}), "num_bits: a list of 1: weights of so many bits"),
        (groups("x"), "weights: 'x': holds no keys"),
        ({"config_groups": {"a\nb": 3}}, r"config_groups: a dict of 1: what 'a\\nb' stands for there holds no keys"),
        ("fp8", "quantization_config: 'fp8': holds no keys"),
    ],
    ids=str,
)
def test_quantization_that_is_not_modeled_is_refused(tmp_path, quantization, complaint):
    with pytest.raises(InputError, match=complaint) as refused:
        configs.described(tmp_path, "llama-3.1-8b", quantization_config=quantization)

    assert "\n" not in refused.value.fault


@pytest.mark.parametrize(
    ("dtype", "weights", "notes"),
    [
        ("float16", "bf16", ()),
        ("float8_e4m3fn", "fp8", ()),
        ("float32", "bf16", ("the weights are saved in 32 bits and served in 16",)),
        (None, "bf16", ()),
    ],
)
def test_floats_are_served_in_16_bits(tmp_path, dtype, weights, notes):
    found = configs.described(tmp_path, "llama-3.1-8b", torch_dtype=dtype)

    assert (weights, notes) == (found.weights, found.notes)


def test_numbers_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="torch_dtype: 'complex64': not one of auto, bfloat16"):
        configs.described(tmp_path, "llama-3.1-8b", torch_dtype="complex64")


def test_a_file_of_the_optimizer_beside_the_configuration_counts(tmp_path):
    path = configs.write(tmp_path, configs.config_of("llama-3.1-70b"))
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": {"quant_algo": "NVFP4"}}))

    found = read_architecture(path)

    assert ("fp4", ("the weights are quantized as hf_quant_config.json says",)) == (found.weights, found.notes)


def test_a_file_of_the_optimizer_beside_another_configuration_does_not(tmp_path):
    path = tmp_path / "llama.json"
    path.write_text(json.dumps(configs.config_of("llama-3.1-70b")))
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": {"quant_algo": "NVFP4"}}))

    assert "bf16" == read_architecture(path).weights


def test_quantization_that_only_the_name_tells_of_is_noted(tmp_path):
    found = configs.described(tmp_path / "Llama-3.1-70B-NVFP4", "llama-3.1-70b")

    assert ("bf16", ("NVFP4 is in its name, but not in its configuration: the weights count as they would in 16 bits",)) == (
        found.weights,
        found.notes,
    )


def test_a_damaged_file_of_the_optimizer_is_refused_by_its_name(tmp_path):
    path = configs.write(tmp_path, configs.config_of("llama-3.1-70b"))
    (tmp_path / "hf_quant_config.json").write_text("{")

    with pytest.raises(InputError, match=r"hf_quant_config\.json: not valid JSON"):
        read_architecture(path)
