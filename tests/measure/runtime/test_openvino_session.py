"""OpenVINO's runtime behind the same interface: the same names, the same values, results that stay."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

from advisor.errors import ModelError
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.model.input_rows import generate
from advisor.measure.runtime import ort_session
from advisor.measure.runtime.ort_session import OPENVINO, Place
from tests import models
from tests.models import save

pytest.importorskip("openvino")
IN_FLOATS = Place(provider=OPENVINO, provider_options={"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.parametrize("build", [models.mlp, models.embedding, models.lstm])
def test_it_gives_what_onnx_runtime_gives_at_every_batch_size(build, tmp_path):
    path = save(build(), tmp_path / "model.onnx")
    inputs = inspect_onnx(path, name="m").inputs
    here, there = (ort_session.open_session(path, place=place) for place in (ort_session.ON_CPU, IN_FLOATS))

    for batch_size in (1, 3, 1):
        feeds = generate(inputs, batch_size=batch_size, sequence_length=None, seed=1)
        expected, actual = ort_session.run(here, feeds), ort_session.run(there, feeds)
        assert list(expected) == list(actual)
        for name, values in expected.items():
            np.testing.assert_allclose(values, actual[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_that_fails_spoils_none_after_it(threads, tmp_path):
    path = save(models.only_in_batches_of(4, multiples=False), tmp_path / "model.onnx")
    session = ort_session.open_session(path, place=IN_FLOATS, intra_op_num_threads=threads)
    taken, refused = (np.random.default_rng(0).standard_normal((size, models.WIDTH)).astype(np.float32) for size in (4, 8))
    first = ort_session.run(session, {"x": taken})["y"]

    with contextlib.suppress(ModelError):
        ort_session.run(session, {"x": refused})  # on one thread OpenVINO answers, as if the others were not there
    after = ort_session.run(session, {"x": taken})["y"]

    np.testing.assert_array_equal(first, after)


def test_an_output_that_only_passes_a_value_on_keeps_its_name(tmp_path):
    text = "(float[n, 4] x) => (float[n, 4] y) { hidden = Relu(x) \n y = Identity(hidden) }"
    session = ort_session.open_session(save(models.build(text, {}), tmp_path / "model.onnx"), place=IN_FLOATS)

    assert ["y"] == [output.name for output in session.get_outputs()]


def test_outputs_of_one_call_outlast_the_next(tmp_path):
    path = save(models.mlp(), tmp_path / "model.onnx")
    inputs = inspect_onnx(path, name="m").inputs
    session = ort_session.open_session(path, place=IN_FLOATS)
    first = ort_session.run(session, generate(inputs, batch_size=2, sequence_length=None, seed=1))["logits"]
    kept = first.copy()

    ort_session.run(session, generate(inputs, batch_size=2, sequence_length=None, seed=2))

    np.testing.assert_array_equal(kept, first)


def test_a_model_that_it_cannot_load_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="OpenVINO cannot load it"):
        ort_session.open_session(save(models.custom_operator(), tmp_path / "model.onnx"), place=IN_FLOATS)


def test_a_provider_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ModelError):
        ort_session.open_session(save(models.mlp(), tmp_path / "m.onnx"), place=Place(provider="CUDAExecutionProvider"))


def test_its_telemetry_is_never_loaded(tmp_path):
    # The real package is a dependency of openvino, and may or may not be here: this one would give itself away.
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry" / "__init__.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w')")
    path = save(models.mlp(), tmp_path / "model.onnx")
    ours = "from pathlib import Path; from advisor.measure.runtime import openvino_session as o; "
    ours += f"o.open_session(Path({str(path)!r}), intra_op_num_threads=1, options={{}})"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    subprocess.run([sys.executable, "-c", ours], env=environment, check=True)
    assert not (tmp_path / "loaded").exists()

    subprocess.run([sys.executable, "-c", "import openvino"], env=environment, check=False, capture_output=True)
    assert (tmp_path / "loaded").exists()  # so the test would have seen it
