"""Which file is the model: found in a folder, followed where a hub's cache links it, refused where a link leads elsewhere."""

import os
from pathlib import Path

import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.model.onnx_graph import read_graph
from advisor.steps.model_folder import chosen, inspect, without_links
from tests.models import MLP_PARAMETERS, mlp, save, save_with_external_data


@pytest.fixture
def hub(tmp_path):
    """A model with its weights apart, as a hub's cache lays it: links in a snapshot lead to files named by their content."""
    repository = tmp_path / "models--acme--enc"
    whole = save_with_external_data(mlp(), tmp_path / "made" / "model.onnx")
    snapshot = repository / "snapshots" / "r1" / "onnx"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    for name, blob in (("model.onnx", "aa11"), ("model.onnx.data", "bb22")):
        os.replace(whole.parent / name, repository / "blobs" / blob)
        (snapshot / name).symlink_to(Path("../../../blobs") / blob)
    return snapshot / "model.onnx"


def test_the_links_of_a_hub_are_followed(hub, tmp_path):
    assert MLP_PARAMETERS == inspect(hub, None).parameters
    assert MLP_PARAMETERS == read_graph(without_links(hub, tmp_path / "kept")).parameters


def test_a_file_that_has_a_second_name_is_the_same_file(tmp_path):
    path = save_with_external_data(mlp(), tmp_path / "model.onnx")
    os.link(tmp_path / "model.onnx.data", tmp_path / "second")

    assert MLP_PARAMETERS == inspect(path, None).parameters


@pytest.mark.parametrize("where", ["refs", "elsewhere"])
def test_a_link_that_leads_out_of_the_models_own_tree_is_refused_with_where_it_leads(hub, tmp_path, where):
    repository = hub.parents[3]
    target = repository / "refs" / "main" if where == "refs" else tmp_path / "secret"
    os.replace(repository / "blobs" / "bb22", target)
    link = hub.parent / "model.onnx.data"
    link.unlink()
    link.symlink_to(target)

    with pytest.raises(InputError) as refusal:
        inspect(hub, None)

    assert f"a symbolic link that leads out of the model's own folder, to {target}" in refusal.value.fault


def test_a_model_without_links_is_taken_where_it_is(tmp_path):
    apart = save_with_external_data(mlp(), tmp_path / "apart" / "model.onnx")
    whole = save(mlp(), tmp_path / "whole.onnx")

    assert (apart, whole) == tuple(without_links(path, tmp_path / "kept") for path in (apart, whole))
    assert not (tmp_path / "kept").exists()


def test_the_copy_follows_the_file_that_it_is_of(hub, tmp_path):
    without_links(hub, tmp_path / "kept")
    other = save_with_external_data(mlp(dtype="double"), tmp_path / "other" / "model.onnx")
    os.replace(other.parent / "model.onnx.data", hub.parents[3] / "blobs" / "bb22")
    os.replace(other, hub.parents[3] / "blobs" / "aa11")

    assert {"float64"} == {entry.dtype for entry in read_graph(without_links(hub, tmp_path / "kept")).inputs}


def test_of_a_folder_the_only_onnx_file_is_the_model(tmp_path):
    path = save(mlp(), tmp_path / "repo" / "onnx" / "model.onnx")
    (tmp_path / "repo" / "config.json").write_text("{}")

    assert path == chosen(tmp_path / "repo")
    assert MLP_PARAMETERS == inspect(tmp_path / "repo", None).parameters


def test_several_onnx_files_in_a_folder_are_listed_with_what_to_type(tmp_path):
    for name in ("model_fp16.onnx", "model.onnx", "model_quantized.onnx"):
        save(mlp(), tmp_path / "onnx" / name)

    with pytest.raises(InputError) as refusal:
        inspect(tmp_path, None)

    assert refusal.value.fault.endswith("3 ONNX files: onnx/model.onnx, onnx/model_fp16.onnx, onnx/model_quantized.onnx")
    assert f"'{tmp_path / 'onnx' / 'model.onnx'}'" in refusal.value.hint
    assert "--variant" in refusal.value.hint


def test_a_checkpoint_with_weights_stays_a_checkpoint(tmp_path):
    save(mlp(), tmp_path / "onnx" / "model.onnx")
    (tmp_path / "model.safetensors").write_bytes(b"")

    assert tmp_path == chosen(tmp_path)


def test_a_figure_of_a_file_that_no_record_takes_is_said_to_make_no_sense(tmp_path):
    model = mlp()
    model.opset_import.add(domain="odd", version=2**60)

    with pytest.raises(ModelError, match=r"model\.onnx: .*: what was found in it makes no sense \(.*opset"):
        inspect(save(model, tmp_path / "model.onnx"), None)
