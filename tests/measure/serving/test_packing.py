"""What a server gets beside its configuration: weights by the names that the model knows, items, and answers to compare with."""

import numpy as np
import pytest
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.measure.model import onnx_graph
from advisor.measure.serving.packing import ITEMS, Tensors, weights_of, write_items
from tests import models
from tests.profiles import facts


def sha256(path):
    return onnx_graph.read_graph(path).sha256


def tensors(**changes):
    entry = replace(facts(has_length=False).inputs[0], shape=("batch", models.WIDTH), example_shape=(1, models.WIDTH), **changes)
    return Tensors(inputs=(entry,), outputs=("logits",))


def test_weights_are_named_as_the_model_names_them(tmp_path):
    path = models.save_with_external_data(models.mlp(), tmp_path / "m.onnx")

    assert ("m.onnx.data",) == weights_of(path, sha256(path), "fp32")


def test_weights_that_changed_are_not_those_that_were_measured(tmp_path):
    path = models.save_with_external_data(models.mlp(), tmp_path / "m.onnx")
    before = sha256(path)
    data = tmp_path / "m.onnx.data"
    data.write_bytes(b"\x01" + data.read_bytes()[1:])

    with pytest.raises(InputError, match="no longer the file that was measured"):
        weights_of(path, before, "fp32")


def test_items_and_answers_are_saved_by_their_place(tmp_path):
    path = models.save(models.mlp(), tmp_path / "m.onnx")

    assert write_items(tmp_path / "items.npz", tensors(), path)
    with np.load(tmp_path / "items.npz", allow_pickle=False) as saved:
        assert ITEMS == int(saved["count"])
        assert (1, models.WIDTH) == saved["3.input.0"].shape and (1, models.CLASSES) == saved["3.output.0"].shape


def test_texts_are_saved_without_objects_of_python(tmp_path):
    asked = tensors(dtype="string")

    assert not write_items(tmp_path / "items.npz", asked, None)
    with np.load(tmp_path / "items.npz", allow_pickle=False) as saved:
        assert "U" == saved["0.input.0"].dtype.kind and "0.output.0" not in saved.files


def test_an_output_that_the_file_does_not_have_is_nothing_to_compare_with(tmp_path):
    path = models.save(models.mlp(), tmp_path / "m.onnx")
    asked = replace(tensors(), outputs=("other",))

    assert not write_items(tmp_path / "items.npz", asked, path)
