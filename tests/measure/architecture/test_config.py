"""What a config.json says of a decoder, and what it may never give: anything but an architecture, or an error in two lines."""

import copy
import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.generation.projection import memory
from advisor.errors import InputError
from advisor.measure.architecture.config import read_architecture
from advisor.schema.language import Architecture
from tests import configs


def test_sizes_are_those_of_the_file():
    found = configs.architecture_of("llama-3.1-70b")

    assert (80, 8192, 128_256, 131_072, False) == (
        found.layers,
        found.hidden_size,
        found.vocabulary,
        found.context_tokens,
        found.ties_embeddings,
    )
    assert ("llama-3.1-70b", "LlamaForCausalLM", "bf16", ()) == (found.name, found.architecture, found.weights, found.notes)


def test_the_configuration_is_known_by_its_bytes(tmp_path):
    path = configs.write(tmp_path, configs.config_of("llama-3.1-8b"))

    assert hashlib.sha256(path.read_bytes()).hexdigest() == read_architecture(path).sha256


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("Qwen3-8B/config.json", "Qwen3-8B"),
        ("hub/models--Qwen--Qwen3-8B/snapshots/b968826d9c46/config.json", "Qwen--Qwen3-8B"),
        ("Qwen3-8B.json", "Qwen3-8B"),
        ("Qwen--Qwen3-8B_config.json", "Qwen--Qwen3-8B"),
        ("line\nbreak/config.json", r"line\nbreak"),
    ],
)
def test_a_model_is_named_for_its_folder_or_file(tmp_path, place, name):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(configs.config_of("llama-3.1-8b")))

    assert name == read_architecture(path).name


def test_a_folder_is_read_as_the_configuration_in_it(tmp_path):
    path = configs.write(tmp_path / "model", configs.config_of("qwen3-0.6b"))

    assert read_architecture(path) == read_architecture(path.parent)


@pytest.mark.parametrize("name", ["gemma-4-26b-a4b", "kimi-k2.5", "llama-4-maverick"])
def test_of_a_model_of_several_kinds_of_input_the_part_for_text_is_taken(name):
    found = configs.architecture_of(name)

    assert configs.config_of(name)["architectures"][0] == found.architecture
    assert found.notes[0] == f"the part of {found.architecture} that decodes text: what reads images or sound is not counted"


def test_the_type_of_the_text_part_stands_for_its_class(tmp_path):
    text = configs.config_of("qwen3-0.6b")
    del text["architectures"]
    whole = {"architectures": ["Qwen3VLForConditionalGeneration"], "text_config": text | {"model_type": "qwen3_vl_text"}}

    found = read_architecture(configs.write(tmp_path, whole))

    alone = configs.architecture_of("qwen3-0.6b")
    assert (alone.attention, alone.feed_forward, alone.parameters) == (found.attention, found.feed_forward, found.parameters)


def test_embeddings_are_tied_where_the_whole_model_says_so(tmp_path):
    config = configs.config_of("llama-4-scout") | {"tie_word_embeddings": True}

    assert read_architecture(configs.write(tmp_path, config)).ties_embeddings
    assert not configs.architecture_of("llama-4-scout").ties_embeddings


def test_a_context_beyond_what_is_reckoned_with_is_cut_and_noted():
    found = configs.architecture_of("llama-4-scout")

    assert 10_000_000 == found.context_tokens
    assert "its context of 10,485,760 tokens counts as 10,000,000" in found.notes


def test_layers_for_further_tokens_are_noted():
    assert (
        "its layers that predict further tokens (num_nextn_predict_layers) are not counted"
        in configs.architecture_of("deepseek-v3").notes
    )


def test_what_files_of_gemma_leave_out_is_what_the_class_has(tmp_path):
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10_240,
        "num_hidden_layers": 34,
        "sliding_window": 1024,
    }
    whole = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": text, "vision_config": {}}

    found = read_architecture(configs.write(tmp_path, whole))

    # Of the published 4.3 billion, 0.4 read images.
    assert pytest.approx(3.88e9, rel=0.01) == found.parameters
    assert {(29, 1024), (5, None)} == {(it.layers, it.window_tokens) for it in found.attention}
    assert found.ties_embeddings


# --- what is refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"num_hidden_layers": 0}, "num_hidden_layers: 0: outside of 1 to"),
        ({"num_hidden_layers": 32.0}, "num_hidden_layers: 32.0: not a whole number"),
        ({"num_hidden_layers": True}, "num_hidden_layers: True: not a whole number"),
        ({"num_hidden_layers": 10**400}, "num_hidden_layers: 1000.*: outside"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": float("nan")}, "hidden_size: nan: not a whole number"),
        ({"hidden_size": -4096}, "hidden_size: -4096: outside"),
        ({"hidden_size": 4095}, "num_attention_heads: 32: does not divide hidden_size 4095"),
        ({"num_attention_heads": 30, "head_dim": 128}, "num_key_value_heads: 8: does not divide the 30 attention heads"),
        ({"vocab_size": "128256"}, "vocab_size: '128256': not a whole number"),
        ({"max_position_embeddings": 2**50}, "max_position_embeddings: .*: outside"),
        ({"max_position_embeddings": 100, "n_positions": 200}, "n_positions: 200: max_position_embeddings says 100"),
        ({"intermediate_size": [1, 2]}, "intermediate_size: a list of 2: not a whole number"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings: 'no': neither true nor false"),
        ({"text_config": 3}, "text_config: 3: holds no keys"),
        ({"text_config": {}}, "vocab_size is missing|max_position_embeddings is missing"),
        ({"architectures": None}, "architectures: None: names no class"),
        ({"architectures": [3]}, "architectures: a list of 1: names no class"),
        ({"architectures": ["line\nbreak"]}, r"line\\nbreak is no decoder of text that is known here"),
        ({"architectures": ["x" * 1000]}, "x{30,40}… is no decoder of text"),
        ({"hidden_size": 2**20, "num_hidden_layers": 4096, "intermediate_size": 2**20}, "hidden_size: .*more than any has"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_configuration_that_is_wrong_is_refused_by_key_and_value(tmp_path, changes, complaint):
    with pytest.raises(InputError, match=rf"^{tmp_path}/config\.json: .*(?:{complaint})") as refused:
        configs.described(tmp_path, "llama-3.1-8b", **changes)

    assert "\n" not in refused.value.fault + refused.value.hint


@pytest.mark.parametrize("place", ["nowhere.json", "nowhere/config.json", "."])
def test_what_is_not_there_is_said(tmp_path, place):
    with pytest.raises(InputError, match="a configuration cannot be read") as refused:
        read_architecture(tmp_path / place)

    assert "give the config.json of a language model, or the folder that holds it" == refused.value.hint


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 10)
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [2**20, 2**53, 10**30, "full_attention", "sliding_attention", "dense", "bfloat16", "fp8", "LlamaForCausalLM"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw):
    """Draw a published configuration, some keys of it, or of its parts, changed, left out or taken from another."""
    config = configs.config_of(draw(st.sampled_from(configs.NAMES)))
    other = configs.config_of(draw(st.sampled_from(configs.NAMES)))
    for _ in range(draw(st.integers(1, 4))):
        part = config
        while parts := [value for value in part.values() if isinstance(value, dict)]:
            if draw(st.booleans()):
                break
            part = draw(st.sampled_from(parts))
        keys = sorted({*part, *other, *other.get("text_config", ())})
        key = draw(st.sampled_from(keys))
        match draw(st.sampled_from(("change", "remove", "take"))):
            case "remove":
                part.pop(key, None)
            case "take":
                part[key] = copy.deepcopy(other.get(key, other.get("text_config", {}).get(key)))
            case _:
                part[key] = draw(anything)
    return config


@given(damaged())
def test_whatever_a_configuration_says_it_is_described_or_refused_in_two_lines(tmp_path_factory, config):
    path = configs.write(tmp_path_factory.getbasetemp() / "damaged", config)
    try:
        found = read_architecture(path)
    except InputError as refused:
        assert "\n" not in refused.fault + refused.hint
        return

    assert found == msgspec.json.decode(msgspec.json.encode(found), type=Architecture)  # within the ranges of its fields
    assert found.active_parameters <= found.parameters
    assert sum(it.layers for it in found.attention) <= found.layers
    assert 0 < memory.weight_bytes_per_device(found, found.weights, 1)
    assert all(0 < each for each in memory.kv_bytes_per_token(found, "bf16", 8))
