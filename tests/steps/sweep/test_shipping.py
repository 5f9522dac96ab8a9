"""What a machine elsewhere is sent lies there as it lies here, and what it sends back lands where it belongs."""

import os
from pathlib import Path

import pytest

from advisor.errors import InputError
from advisor.measure.worker.apart import Apart
from advisor.schema.options import ProfileOptions
from advisor.steps.sweep.measuring import Task
from advisor.steps.sweep.on_a_machine import Desk, Result, keep, measured_here
from advisor.steps.sweep.shipping import files_of, model_and_weights, moved, results_of, unpack
from tests import models


@pytest.fixture(scope="module")
def apart():
    with Apart() as process:
        yield process


def task_in(folder: Path, **options) -> Task:
    (folder / "w").mkdir(exist_ok=True)
    (folder / "w" / "workload.yaml").write_text("name: w\n")
    (folder / "w" / "rows.npz").write_bytes(b"rows")
    asked = ProfileOptions(workload=folder / "w" / "workload.yaml", **options)
    return Task("m", folder / "m" / "model.onnx", "local", folder / "out" / "profile.json", asked, (folder / "w" / "rows.npz",))


def test_a_model_takes_its_weights_along_and_paths_lead_from_each_to_each_as_before(tmp_path, apart):
    task = task_in(tmp_path)
    models.save_with_external_data(models.mlp(), task.path)
    (task.output.parent / "profile.variants").mkdir(parents=True)
    (task.output.parent / "profile.variants" / "int8.onnx").write_bytes(b"int8")
    task.output.write_bytes(b"{}")

    files = files_of(task, apart)
    root = tmp_path / "there"
    unpack(((str(path), path.read_bytes()) for path in files), root)
    there = moved(task, root)

    assert {"workload.yaml", "rows.npz", "model.onnx", "model.onnx.data", "profile.json", "int8.onnx"} == {
        path.name for path in files
    }
    assert os.path.relpath(task.path, task.output) == os.path.relpath(there.path, there.output)
    assert [path.read_bytes() for path in model_and_weights(task.path)] == [
        path.read_bytes() for path in model_and_weights(there.path)
    ]
    assert (b"rows", b"name: w\n") == (there.files[0].read_bytes(), there.options.workload.read_bytes())
    assert ["profile.json", "int8.onnx"] == [path.name for path in results_of(there)]


def test_weights_that_are_a_link_out_of_the_models_folder_are_not_sent(tmp_path, apart):
    task = task_in(tmp_path)
    models.save_with_external_data(models.mlp(), task.path)
    weights = task.path.with_name("model.onnx.data")
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InputError, match="leads out of the model's own folder"):
        files_of(task, apart)


def test_a_checkpoint_is_sent_whole(tmp_path, apart):
    task = task_in(tmp_path)._replace(path=tmp_path / "checkpoint")
    (task.path / "sub").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "sub/tokenizer.json"):
        (task.path / name).write_bytes(b"x")

    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in files_of(task, apart)}


NO_DESK = Desk(lambda _: pytest.fail("it begins"), lambda *_: pytest.fail("it measures"), lambda *_: None)


def test_a_machine_with_another_version_or_without_the_store_measures_nothing(tmp_path):
    task = task_in(tmp_path)

    other = measured_here(task, (), NO_DESK, "node", "0.0.0", created="2026-11-22T00:00:00+00:00")
    from advisor import __version__

    away = task._replace(options=task.options._replace(store=str(tmp_path / "not mounted")))
    without = measured_here(away, (), NO_DESK, "node", __version__, created="2026-11-22T00:00:00+00:00")

    assert "and the sweep is run by 0.0.0" in other.failure.fault and "pip install" in other.failure.hint
    assert "not mounted, where the store lies" in without.failure.fault


def test_a_profile_that_was_sent_back_is_there_only_where_its_variants_are(tmp_path):
    task = task_in(tmp_path)
    folder = task.output.with_suffix(".variants")
    result = Result(3, 1.0, ((str(task.output), b"profile"), (str(folder / "int8.onnx"), b"int8")))

    folder.parent.mkdir()
    folder.write_bytes(b"in the way")
    with pytest.raises(InputError, match="cannot write there"):
        keep(task, result)
    assert not task.output.exists()

    folder.unlink()
    keep(task, result)
    assert (b"profile", b"int8") == (task.output.read_bytes(), (folder / "int8.onnx").read_bytes())
