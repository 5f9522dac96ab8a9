"""Files of models: a copy is whole, wherever the weights are."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from advisor.errors import AdvisorError, ModelError
from advisor.measure.model import onnx_file
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.model.input_rows import generate
from advisor.measure.runtime.ort_session import open_session, run
from tests import models
from tests.models import WIDTH, save, save_with_external_data

BUILDS = [models.mlp, models.branches, models.loop, lambda: models.with_constant_nodes(models.mlp())]
IDS = ["initializers", "branches", "loop", "constants"]


def save_in_several_files(model, path):
    """Write the model with each tensor in a file of its own, one of them in a folder."""
    (path.parent / "deep").mkdir(parents=True)
    for number, tensor in enumerate(model.graph.initializer):
        name = f"deep/{tensor.name}" if number == 0 else tensor.name
        (path.parent / name).write_bytes(numpy_helper.to_array(tensor).tobytes())
        onnx.external_data_helper.set_external_data(tensor, location=name)
        tensor.ClearField("raw_data")
    return save(model, path)


def outputs_of(path):
    return run(open_session(path), generate(inspect_onnx(path, name="m").inputs, batch_size=1, sequence_length=None, seed=0))


def assert_is_whole(copy, expected):
    """Fail unless the copy, alone in its folder, answers as expected."""
    for name, values in outputs_of(copy).items():
        np.testing.assert_array_equal(expected[name], values)


@pytest.mark.parametrize("build", BUILDS, ids=IDS)
@pytest.mark.parametrize("store", [save, save_with_external_data])
def test_a_copy_under_another_name_and_elsewhere_answers_the_same(build, store, tmp_path):
    source = store(build(), tmp_path / "source" / "model.onnx")
    expected = outputs_of(source)
    copy = tmp_path / "copy" / "other.onnx"
    copy.parent.mkdir()

    onnx_file.copy(source, copy)
    for file in source.parent.iterdir():
        file.unlink()

    assert_is_whole(copy, expected)
    assert all(file.name.startswith(copy.name) for file in copy.parent.iterdir())


def test_a_copy_of_a_model_in_several_files_is_whole_and_one_copy_does_not_touch_another(tmp_path):
    source = save_in_several_files(models.mlp(), tmp_path / "source" / "model.onnx")
    expected = outputs_of(source)

    for name in ("one.onnx", "two.onnx"):
        onnx_file.copy(source, tmp_path / name)
    for file in tmp_path.glob("one.onnx*"):
        file.unlink()

    assert_is_whole(tmp_path / "two.onnx", expected)


def test_a_model_whose_weights_are_missing_is_not_copied(tmp_path):
    source = save_with_external_data(models.mlp(), tmp_path / "source" / "model.onnx")
    source.with_name("model.onnx.data").unlink()

    with pytest.raises(ModelError, match=r"its weights are in model\.onnx\.data, which is missing beside it"):
        onnx_file.copy(source, tmp_path / "copy.onnx")
    assert not (tmp_path / "copy.onnx").exists()


def test_weights_in_an_attribute_are_a_part_of_the_model(tmp_path):
    text = f"(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) {{ c = ConstantOfShape <value = float {{2}}> (s) y = Mul(x, c) }}"
    source = save_with_external_data(models.build(text, {"s": np.array([WIDTH])}), tmp_path / "model.onnx")

    named = onnx_file.external_files(onnx_file.load(source), source)

    assert [source.with_name("model.onnx.data")] == named


@pytest.mark.parametrize("location", ["w" * 300, "w/" * 3000, "w\0"], ids=["long", "deep", "zero"])
def test_a_name_of_weights_that_no_file_can_have_is_refused(tmp_path, location):
    model = models.mlp()
    for tensor in model.graph.initializer:
        onnx.external_data_helper.set_external_data(tensor, location=location)

    with pytest.raises(AdvisorError):
        onnx_file.load(save(model, tmp_path / "model.onnx"))


def test_a_name_of_weights_that_is_no_text_is_a_damaged_file(tmp_path):
    path = save_in_several_files(models.mlp(), tmp_path / "source" / "model.onnx")
    path.write_bytes(path.read_bytes().replace(b"deep/w1", b"deep/\xda1"))

    with pytest.raises(ModelError, match="the name of a file with its weights is no text"):
        onnx_file.load(path)
