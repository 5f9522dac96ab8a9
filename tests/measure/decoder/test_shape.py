"""What a config.json describes: read as transformers reads it, or refused in two lines."""

import json

import pytest

from advisor.errors import InputError
from advisor.measure.decoder import shape
from advisor.measure.decoder.shape import Rope, read_shape
from tests import checkpoints


def described(folder, kind="llama", **changes):
    """Return the shape of a folder that holds nothing but such a config.json."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(checkpoints.config_of(kind, **changes)))
    return read_shape(folder)


def test_sizes_are_those_of_the_file(tmp_path):
    found = described(tmp_path, "qwen3")

    assert (2, 4, 2, 32) == (found.layers, found.attention_heads, found.kv_heads, found.head_dimension)
    assert (64, 96, 160, 128) == (found.hidden_size, found.intermediate_size, found.vocabulary, found.context_tokens)
    assert found.has_head_norms and found.ties_embeddings and not found.has_input_biases


@pytest.mark.parametrize("kind", checkpoints.KINDS)
def test_the_tensors_are_those_that_such_a_model_has(tmp_path, kind):
    written = {name: values.shape for name, values in checkpoints.weights(checkpoints.config_of(kind)).items()}

    assert written == dict(shape.tensors_of(described(tmp_path, kind)))


def test_facts_count_each_weight_once_and_the_cache_of_a_token(tmp_path):
    facts = shape.facts_of(checkpoints.save(tmp_path, "qwen3"), read_shape(tmp_path))

    assert sum(values.size for values in checkpoints.weights(checkpoints.config_of("qwen3")).values()) == facts.parameters
    # Two layers, keys and values, two heads of 32 numbers in 32 bits.
    assert 2 * 2 * 2 * 32 * 4 == facts.kv_bytes_per_token
    assert ("checkpoint", "Qwen3ForCausalLM", None) == (facts.given_as, facts.architecture, facts.window_tokens)


@pytest.mark.parametrize(
    ("kind", "changes", "windows"),
    [
        ("llama", {"sliding_window": 7}, (None, None)),
        ("mistral with a window", {}, (5, 5)),
        ("mistral without", {}, (None, None)),
        ("qwen2", {"sliding_window": 7}, (None, None)),
        ("qwen2, a layer with a window", {}, (None, 5)),
        ("qwen2, a layer with a window", {"max_window_layers": 0}, (5, 5)),
        ("qwen2, a layer with a window", {"layer_types": ["sliding_attention", "full_attention"]}, (5, None)),
        ("qwen2, a layer with a window", {"sliding_window": None}, (None, None)),
    ],
)
def test_a_window_is_where_the_class_has_one(tmp_path, kind, changes, windows):
    assert windows == described(tmp_path, kind, **changes).windows


def test_the_window_of_all_layers_is_a_fact(tmp_path):
    facts = shape.facts_of(checkpoints.save(tmp_path, "mistral with a window"), read_shape(tmp_path))

    assert 5 == facts.window_tokens


STRETCHED = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}


@pytest.mark.parametrize(
    ("changes", "rope"),
    [
        ({}, Rope(theta=10000.0)),
        ({"rope_theta": None}, Rope(theta=10000.0)),
        ({"rope_theta": None, "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}}, Rope(theta=500.0)),
        ({"rope_theta": 500, "rope_parameters": {"rope_theta": 500.0}}, Rope(theta=500.0)),
        ({"rope_scaling": {"type": "linear", "factor": 4}}, Rope(theta=10000.0, kind="linear", factor=4.0)),
        (
            {"rope_theta": None, "rope_parameters": {"rope_theta": 500.0, **checkpoints.LLAMA3}},
            Rope(
                theta=500.0,
                kind="llama3",
                factor=8.0,
                low_frequency_factor=1.0,
                high_frequency_factor=4.0,
                original_context_tokens=32,
            ),
        ),
    ],
)
def test_positions_are_read_in_every_form(tmp_path, changes, rope):
    assert rope == described(tmp_path, **changes).rope


def test_what_old_files_leave_out_is_what_the_class_has(tmp_path):
    found = described(tmp_path, num_key_value_heads=None, rms_norm_eps=None, tie_word_embeddings=None, hidden_act=None)

    assert (4, 1e-6, False) == (found.kv_heads, found.norm_epsilon, found.ties_embeddings)
    assert 128 == described(tmp_path, "qwen3", head_dim=None).head_dimension


# --- what is refused ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"num_attention_heads": -4}, "num_attention_heads: -4: outside of 1 to"),
        ({"num_attention_heads": 0}, "num_attention_heads: 0: outside"),
        ({"num_attention_heads": 3}, "num_key_value_heads: 2: does not divide the 3 attention heads"),
        ({"num_attention_heads": 10, "num_key_value_heads": 5}, "does not divide hidden_size 64"),
        ({"num_attention_heads": True}, "num_attention_heads: True: not a whole number"),
        ({"num_hidden_layers": 10**18}, "num_hidden_layers: 1000000000000000000: outside"),
        ({"hidden_size": 64.0}, "hidden_size: 64.0: not a whole number"),
        ({"hidden_size": "64"}, "hidden_size: '64': not a whole number"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"vocab_size": [1, 2]}, "vocab_size: a list of 2: not a whole number"),
        ({"max_position_embeddings": 10**400}, "max_position_embeddings: 1000.*: outside"),
        ({"head_dim": 24}, "heads of 24 are not modeled here"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps: nan: outside"),
        ({"rms_norm_eps": -1e-5}, "rms_norm_eps: -1e-05: outside"),
        ({"rope_theta": float("nan")}, "rope_theta: nan: outside"),
        ({"rope_theta": float("inf")}, "rope_theta: inf: outside"),
        ({"rope_theta": 10**400}, "rope_theta: 1000.*: outside"),
        ({"rope_theta": -1.0}, "rope_theta: -1.0: outside"),
        ({"rope_theta": "x" * 1000}, "rope_theta: 'x{10,50}…: not a number"),
        ({"rope_parameters": {"rope_theta": float("nan")}}, r"rope_parameters\.rope_theta: nan: outside"),
        ({"rope_parameters": {"rope_theta": 500.0}}, "rope_theta: 10000.0: rope_parameters has another one, 500"),
        ({"rope_parameters": {"full_attention": {}}}, "other positions for each kind of layer"),
        ({"rope_parameters": 3}, "rope_parameters: 3: holds no keys"),
        ({"rope_parameters": {}, "rope_scaling": STRETCHED | {"rope_type": "llama3"}}, "rope_scaling: .* says otherwise"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling.rope_type: 'yarn': not modeled here"),
        ({"rope_scaling": {"type": "dynamic"}}, "rope_scaling.type: 'dynamic': not modeled here"),
        ({"rope_scaling": {"type": 3}}, "rope_scaling.type: 3: not a text"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling.factor is missing"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "rope_scaling.factor: 0: outside"),
        ({"rope_scaling": STRETCHED | {"rope_type": "llama3", "high_freq_factor": 1.0}}, "not above low_freq_factor 1"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor: 0.5: positions of a part"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "rope_parameters.partial_rotary_factor: 0.5: positions of a part"),
        ({"hidden_act": "gelu"}, "hidden_act: 'gelu': this activation is not modeled"),
        ({"hidden_act": ["silu"]}, "hidden_act: a list of 1: not a text"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings: 'no': neither true nor false"),
        ({"quantization_config": {"quant_method": "gptq"}}, "the weights are quantized .'gptq'."),
        ({"architectures": None}, "architectures: None: names no class"),
        ({"architectures": []}, "names no class"),
        ({"architectures": [3]}, "names no class"),
        ({"architectures": {"a": 1}}, "names no class"),
        ({"architectures": ["MixtralForCausalLM"]}, "MixtralForCausalLM has experts, which is not modeled here"),
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel has learned positions"),
        ({"architectures": ["LlavaForConditionalGeneration"]}, "LlavaForConditionalGeneration reads more than tokens"),
        ({"architectures": ["LlamaModel"]}, "LlamaModel is not modeled here; modeled are LlamaForCausalLM"),
    ],
    ids=str,
)
def test_a_configuration_that_is_wrong_is_refused_by_key_and_value(tmp_path, changes, complaint):
    with pytest.raises(InputError, match=rf"^{tmp_path}/config\.json: .*{complaint}") as refused:
        described(tmp_path, **changes)

    assert "\n" not in refused.value.fault + refused.value.hint
    assert len(refused.value.fault) < len(str(tmp_path)) + 200


@pytest.mark.parametrize("kind", ["mistral with a window", "qwen2", "qwen3"])
def test_heads_of_keys_are_left_out_by_llamas_alone(tmp_path, kind):
    with pytest.raises(InputError, match="num_key_value_heads is missing"):
        described(tmp_path, kind, num_key_value_heads=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"use_sliding_window": True, "sliding_window": -5},
        {"use_sliding_window": 1},
        {"layer_types": ["full_attention"]},
        {"layer_types": ["full_attention", "chunked_attention"]},
        {"layer_types": "full_attention"},
        {"max_window_layers": -1},
    ],
    ids=str,
)
def test_a_window_that_is_none_is_refused(tmp_path, changes):
    with pytest.raises(InputError, match=rf"config\.json: {next(reversed(changes))}: "):
        described(tmp_path, "qwen2", **changes)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": "\xe9"}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"hidden_size": 1' + b"0" * 5000 + b"}", "not valid JSON"),
        (b"[1]", "holds no keys"),
        (b"null", "holds no keys"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_configuration_that_cannot_be_read_is_refused(tmp_path, content, complaint):
    (tmp_path / "config.json").write_bytes(content)

    with pytest.raises(InputError, match=rf"^{tmp_path}/config\.json: {complaint}"):
        read_shape(tmp_path)


def test_a_folder_without_a_configuration_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}: a directory without config.json"):
        read_shape(tmp_path)
