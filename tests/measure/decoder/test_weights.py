"""Tensors of a checkpoint: the same numbers in every form of file, and each fault named with the tensor."""

import json
import os

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.decoder import weights
from advisor.measure.decoder.shape import read_shape
from advisor.measure.decoder.weights import open_weights
from advisor.measure.runtime import memory
from tests import checkpoints

NORM, QUERY = "model.norm.weight", "model.layers.1.self_attn.q_proj.weight"


def read(folder):
    return open_weights(folder, read_shape(folder))


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_tensors_are_those_that_were_saved(tmp_path, dtype, files):
    found = read(checkpoints.save(tmp_path, dtype=dtype, files=files))

    for name, values in checkpoints.weights(checkpoints.config_of()).items():
        expected = checkpoints.as_stored(values, dtype)
        if dtype == "BF16":
            expected = np.frombuffer((expected.astype(np.uint32) << 16).tobytes(), np.float32).reshape(values.shape)
        np.testing.assert_array_equal(expected.astype(np.float32), found.array(name))
        assert np.float32 == found.array(name).dtype


def test_what_is_worked_out_of_the_configuration_may_lie_among_the_weights(tmp_path):
    folder = checkpoints.save(tmp_path, tie_word_embeddings=True)
    tensors = checkpoints.weights(checkpoints.config_of(tie_word_embeddings=True))
    more = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(8, np.float32),
        "lm_head.weight": np.ones((160, 64), np.float32),
    }

    checkpoints.write_safetensors(folder / "model.safetensors", tensors | more)

    np.testing.assert_array_equal(tensors[NORM], read(folder).array(NORM))


def rewritten(without=(), more=None, dtype="F32", **changed):
    def damage(folder):
        tensors = checkpoints.weights(checkpoints.config_of())
        kept = {name: values for name, values in tensors.items() if name not in without}
        checkpoints.write_safetensors(folder / "model.safetensors", kept | (more or {}), dtype, **changed)

    return damage


def cut(count):
    def damage(folder):
        os.truncate(folder / "model.safetensors", count)

    return damage


def written(content):
    return lambda folder: (folder / "model.safetensors").write_bytes(content)


ENTRY = {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}
FAULTS = [
    (rewritten(without=[QUERY]), f"{QUERY} is missing"),
    (rewritten(without=["lm_head.weight"]), r"lm_head.weight is missing .*tie_word_embeddings is false"),
    (rewritten(more={NORM: np.ones(65, np.float32)}), rf"{NORM} has shape \[65\], and by config.json it has \[64\]"),
    (rewritten(more={QUERY: np.ones(64 * 64, np.float32)}), rf"{QUERY} has shape \[4096\]"),
    (
        rewritten(more={"model.layers.1.self_attn.q_proj.bias": np.ones(64, np.float32)}),
        "q_proj.*, which config.json does not describe",
    ),
    (rewritten(dtype="F64"), "is stored as 'F64'"),
    (rewritten(**{NORM: ENTRY | {"dtype": "F8_E4M3"}}), f"{NORM} is stored as 'F8_E4M3'"),
    (rewritten(**{NORM: ENTRY | {"dtype": ["F32"]}}), f"{NORM} is stored as a list"),
    (rewritten(**{NORM: ENTRY | {"shape": [10**30] * 100}}), f"{NORM} has shape a list of 100"),
    (rewritten(**{NORM: ENTRY | {"shape": [64.0]}}), f"{NORM} has shape"),
    (rewritten(**{NORM: ENTRY | {"shape": None}}), f"{NORM} has shape None"),
    (rewritten(**{NORM: 3}), f"{NORM} has shape None"),
    (rewritten(**{NORM: ENTRY | {"data_offsets": [0, 255]}}), f"{NORM} would take 256 B"),
    (rewritten(**{NORM: ENTRY | {"data_offsets": [-256, 0]}}), f"{NORM} would take 256 B"),
    (rewritten(**{NORM: ENTRY | {"data_offsets": [10**12, 10**12 + 256]}}), f"{NORM} would take 256 B"),
    (rewritten(**{NORM: ENTRY | {"data_offsets": [0.0, 256.0]}}), f"{NORM}: data_offsets: a list of 2: not two numbers"),
    (rewritten(**{NORM: ENTRY | {"data_offsets": "abc"}}), f"{NORM}: data_offsets: 'abc': not two numbers"),
    (cut(100_000), "would take .* that the file does not have"),
    (cut(100), "cut short"),
    (cut(4), "cut short"),
    (cut(0), "cut short"),
    (written(b"\xff" * 64), "not a safetensors file"),
    (written((8).to_bytes(8, "little") + b"nothing!"), "not valid JSON"),
    (written((3).to_bytes(8, "little") + b"[1]"), "holds no keys"),
]


@pytest.mark.parametrize(("damage", "complaint"), FAULTS, ids=[str(number) for number in range(len(FAULTS))])
def test_a_fault_of_the_weights_is_named(tmp_path, damage, complaint):
    folder = checkpoints.save(tmp_path)
    damage(folder)

    with pytest.raises(InputError, match=complaint) as refused:
        read(folder)

    assert str(folder) in refused.value.fault
    assert "\n" not in refused.value.fault + refused.value.hint


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, value):
    folder = checkpoints.save(tmp_path)
    tensors = checkpoints.weights(checkpoints.config_of())
    tensors[QUERY][3, 5] = value
    checkpoints.write_safetensors(folder / "model.safetensors", tensors, "BF16")

    with pytest.raises(InputError, match=f"{QUERY} holds values that are no numbers"):
        read(folder).array(QUERY)


def listed(**changes):
    def damage(folder):
        path = folder / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        index["weight_map"] |= changes
        path.write_text(json.dumps(index))

    return damage


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (
            lambda folder: (folder / "model-00002-of-00002.safetensors").unlink(),
            "model-00002-of-00002.safetensors is missing, which",
        ),
        (listed(**{NORM: "../model.safetensors"}), "'../model.safetensors': no safetensors file of this folder"),
        (listed(**{NORM: "/etc/hostname"}), "'/etc/hostname': no safetensors file"),
        (listed(**{NORM: "a" * 300 + ".safetensors"}), "'aaa.*: no safetensors file"),
        (listed(**{NORM: "a\0.safetensors"}), "no safetensors file"),
        (listed(**{NORM: "\ud800.safetensors"}), "no safetensors file"),
        (listed(**{NORM: 3}), "weight_map: names no files"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{}"), "weight_map: names no files"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("["), "not valid JSON"),
    ],
)
def test_a_fault_of_an_index_is_named(tmp_path, damage, complaint):
    folder = checkpoints.save(tmp_path, files=2)
    damage(folder)

    with pytest.raises(InputError, match=complaint):
        read(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_weights_that_can_run_code_are_refused_with_the_way_to_others(tmp_path, name):
    folder = checkpoints.save(tmp_path)
    (folder / "model.safetensors").rename(folder / name)

    with pytest.raises(InputError, match=f"^{folder}: its weights are in {name}") as refused:
        read(folder)
    assert "safe_serialization=True" in refused.value.hint


def test_a_folder_without_weights_says_what_it_lacks(tmp_path):
    folder = checkpoints.save(tmp_path)
    (folder / "model.safetensors").unlink()

    with pytest.raises(InputError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        read(folder)


def test_a_tensor_that_does_not_fit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    folder = checkpoints.save(tmp_path)
    monkeypatch.setattr(memory, "available_bytes", lambda: weights.COPIES * 160 * 64 * 4 - 1)

    with pytest.raises(InputError, match=r"model\.embed_tokens\.weight takes .* while it is converted"):
        read(folder)
