"""A file that is no ONNX file is named for what it is, by its content before its suffix, with the way to ONNX."""

import gzip
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.model import file_kinds, onnx_file
from tests import models


def archive(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "x")


def tar(path):
    (path.parent / "inside").write_text("x")
    with tarfile.open(path, "w") as file:
        file.add(path.parent / "inside", "inside")


def safetensors(path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


CONTENTS = {
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90405214\n",
    "the path of another file": b"../../blobs/aa11",
    "web page": b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>",
    "an XML file": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "OpenVINO": b'<?xml version="1.0"?><net name="m" version="11"></net>',
    "PMML": b'<?xml version="1.0"?><PMML version="4.4"></PMML>',
    "a JSON file": b'{"error": "Repository not found"}',
    "zip archive": lambda path: archive(path, "readme.txt"),
    "with onnx/model.onnx in it": lambda path: archive(path, "onnx/model.onnx"),
    "damaged zip": b"PK\x03\x04 and nothing more",
    "PyTorch": lambda path: archive(path, "model/data.pkl", "model/version"),
    "Keras": lambda path: archive(path, "config.json", "model.weights.h5"),
    "NumPy": lambda path: np.savez(path.with_suffix(""), a=np.zeros(3)) or path.with_suffix(".npz").rename(path),
    "gzip": gzip.compress(b"x"),
    "tar archive": tar,
    "bzip2": b"BZh91AY&SY",
    "7z": b"7z\xbc\xaf\x27\x1c\x00\x04",
    "ORT": b"\x1c\x00\x00\x00ORTM" + bytes(60),
    "TensorFlow Lite": b"\x1c\x00\x00\x00TFL3" + bytes(60),
    "safetensors": safetensors,
    "Python pickle": pickle.dumps({"a": [1, 2]}),
    "GGUF": b"GGUF\x03\x00\x00\x00" + bytes(40),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "LightGBM": b"tree\nversion=v4\nnum_class=1\n",
    "empty": b"",
    "nothing but zeros": bytes(500),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_is_named_by_its_content_whatever_it_is_called(tmp_path, name):
    path, content = tmp_path / "model.onnx", CONTENTS[name]
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)

    with pytest.raises(InputError, match=rf"model\.onnx: not an ONNX file: it is .*{name}") as caught:
        onnx_file.load(path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        *((suffix, "PyTorch") for suffix in (".pt", ".pth", ".ckpt", ".PT")),
        (".tflite", "TensorFlow Lite"),
        (".safetensors", "safetensors"),
        (".pkl", "pickle"),
        (".gguf", "GGUF"),
        (".h5", "Keras"),
        (".engine", "TensorRT"),
        (".pb", "TensorFlow graph"),
        (".ort", "ORT"),
        (".mlmodel", "Core ML"),
    ],
)
def test_where_the_content_says_nothing_the_suffix_does(tmp_path, suffix, name):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"\xff\xfe\xfd nothing that anybody knows")

    kind = file_kinds.kind_of(path)

    assert kind is not None and name in kind.what and kind.way_out


def test_a_pickle_called_pt_is_pytorchs(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"state": 1}))

    assert file_kinds.TORCH == file_kinds.kind_of(path)


def test_the_folder_of_a_saved_model_is_known_by_what_is_in_it(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")

    with pytest.raises(InputError, match="it is a TensorFlow SavedModel") as caught:
        onnx_file.refuse_folder(tmp_path)
    assert "tf2onnx" in caught.value.hint


def test_a_folder_and_a_file_of_no_known_kind_are_not_named(tmp_path):
    (tmp_path / "file").write_bytes(b"\xff\xfe\xfd")

    assert (None, None) == (file_kinds.kind_of(tmp_path), file_kinds.kind_of(tmp_path / "file"))


@pytest.mark.parametrize("build", [models.mlp, models.forest, models.branches, models.encoder_of_texts])
def test_an_onnx_file_is_taken_for_nothing_else(tmp_path, build):
    assert file_kinds.kind_of(models.save(build(), tmp_path / "model.onnx")) is None
