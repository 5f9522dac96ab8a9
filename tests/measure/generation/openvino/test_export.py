"""A checkpoint in OpenVINO's own format: the same decoder."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError, MissingDependencyError
from advisor.measure.decoder import numpy_decoder
from advisor.measure.decoder.decoder_folder import read_label
from advisor.measure.generation.openvino.export import to_int8, write_openvino
from advisor.measure.generation.openvino.plain_model import PlainModel
from tests.decoders import CONTEXT_TOKENS, LLAMA, write_checkpoint

TOKENS = np.random.default_rng(3).integers(0, LLAMA["vocab_size"], size=50, dtype=np.int64)
STRETCHED = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
KINDS = {
    "tied": {},
    "biased": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False},
    "stretched": {"rope_scaling": STRETCHED, "num_key_value_heads": 2},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"]},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "head_dim": 48, "tie_word_embeddings": False},
    "mistral": {"architectures": ["MistralForCausalLM"], "sliding_window": CONTEXT_TOKENS},
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_what_the_checkpoint_does(kind, tmp_path):
    pytest.importorskip("openvino")
    checkpoint = write_checkpoint(tmp_path / "given", **KINDS[kind])

    write_openvino(checkpoint, tmp_path / "written")

    assert numpy_decoder.agreement(PlainModel.open(tmp_path / "written", threads=1), checkpoint, TOKENS) < 1e-4


@pytest.mark.parametrize("kind", ["tied", "qwen3"])
def test_in_8_bits_it_computes_nearly_the_same_and_is_smaller(kind, tmp_path):
    pytest.importorskip("openvino")
    checkpoint = write_checkpoint(tmp_path / "given", **KINDS[kind])

    floats = write_openvino(checkpoint, tmp_path / "fp32")
    bits = write_openvino(checkpoint, tmp_path / "int8", scheme="int8-weight-only")

    apart = numpy_decoder.agreement(PlainModel.open(tmp_path / "int8", threads=1), checkpoint, TOKENS)
    assert 1e-4 < apart < 0.05
    assert bits.label.weight_bytes < floats.label.weight_bytes
    assert bits.bytes < floats.bytes


def test_the_folder_says_what_it_holds(checkpoint, tmp_path):
    pytest.importorskip("openvino")

    made = write_openvino(checkpoint, tmp_path / "written", max_tokens=64)

    assert made.label == read_label(tmp_path / "written")
    assert (made.scheme, made.label.max_tokens, made.label.facts.layers) == ("fp32", 64, LLAMA["num_hidden_layers"])


def test_the_same_checkpoint_gives_the_same_files(checkpoint, tmp_path):
    pytest.importorskip("openvino")

    first, second = (write_openvino(checkpoint, tmp_path / name) for name in ("first", "second"))

    assert first.sha256 == second.sha256


def test_longer_requests_than_it_was_trained_on_are_refused(checkpoint, tmp_path):
    pytest.importorskip("openvino")

    with pytest.raises(InputError, match=f"max_position_embeddings is {CONTEXT_TOKENS}"):
        write_openvino(checkpoint, tmp_path / "written", max_tokens=CONTEXT_TOKENS + 1)


def test_a_window_shorter_than_requests_is_refused_and_one_as_long_is_not(tmp_path):
    pytest.importorskip("openvino")
    checkpoint = write_checkpoint(tmp_path / "given", architectures=["MistralForCausalLM"], sliding_window=64)

    with pytest.raises(InputError, match="layers look back 64 tokens") as refused:
        write_openvino(checkpoint, tmp_path / "written")

    assert "at most 64 tokens" in refused.value.hint
    assert 64 == write_openvino(checkpoint, tmp_path / "written", max_tokens=64).label.max_tokens


def test_without_the_extra_it_is_said_by_name(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(MissingDependencyError, match="needs the package openvino") as refused:
        write_openvino(checkpoint, tmp_path / "written")

    assert "pip install 'serving-advisor[openvino]'" == refused.value.hint
    assert not (tmp_path / "written").exists()


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_8_bits_are_off_by_half_a_step_at_most(rows):
    matrix = np.array(rows, dtype=np.float32)

    values, scales = to_int8(matrix)

    assert np.all(np.abs(values * scales - matrix) <= scales * np.float32(0.5001))
