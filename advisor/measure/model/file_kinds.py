"""What a file is that is no ONNX file, by its content first and by its suffix where that says nothing, and the way from it to ONNX."""

import json
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

HEAD_BYTES = 4096


class Kind(NamedTuple):
    """What a file is, in words, and what to do to get an ONNX file."""

    what: str
    way_out: str


_TORCH = "load it in PyTorch and write it with torch.onnx.export(model, example_input, 'model.onnx')"
_CHECKPOINT = "give the checkpoint directory with config.json beside it, or load the weights in PyTorch and use torch.onnx.export"
_KERAS = "convert it: python -m tf2onnx.convert --keras FILE --output model.onnx"
_PACKED = "unpack it and give the .onnx file inside"
_SKLEARN = "load it where it was trained and convert it: skl2onnx, onnxmltools or torch.onnx.export, whatever made it"
_BOOSTED = "load it in the library that wrote it and convert it with onnxmltools"
_AGAIN = "download it again, signed in where the site asks for it, from the link to the file itself"
_ORIGIN = "give the ONNX file, or the framework's model, that it was made from; it cannot be turned back"

GIT_LFS = Kind("a Git LFS pointer, not the file that it stands for", "run `git lfs pull` where it was cloned, then try again")
LINK = Kind(
    "the path of another file, as links become where they are copied without following them",
    "give the file that it names, or copy the folder again with its links followed (cp -rL)",
)
PAGE = Kind("a web page, not a model", _AGAIN)
JSON = Kind("a JSON file", "give the .onnx file; a message of a failed download is JSON too")
XML = Kind("an XML file", _AGAIN)
OPENVINO = Kind("OpenVINO's own format", "give the ONNX file that it was converted from; the advisor runs OpenVINO on that")
PMML = Kind("a PMML model", "convert the model that it was written from with skl2onnx or onnxmltools")
TORCH = Kind("a PyTorch file", _TORCH)
NUMPY = Kind("a NumPy array file", "give it with --inputs, and as the model an .onnx file")
ZIP = Kind("a zip archive", _PACKED)
KERAS = Kind("a Keras model", _KERAS)
GZIP = Kind("compressed with gzip", "unpack it (gunzip, or tar -xzf) and give the .onnx file inside")
TFLITE = Kind("a TensorFlow Lite model", "convert it: python -m tf2onnx.convert --tflite FILE --output model.onnx")
ORT_FORMAT = Kind(
    "in ONNX Runtime's own format (ORT)", "give the .onnx file that it was made from: no graph can be read from this one"
)
SAFETENSORS = Kind("weights in safetensors format, without the network", _CHECKPOINT)
PICKLE = Kind("a Python pickle", _SKLEARN)
GGUF = Kind("a GGUF model of llama.cpp", "give the Hugging Face checkpoint directory that it was converted from")
SAVED_MODEL = Kind(
    "a TensorFlow SavedModel", "convert its folder: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx"
)
FROZEN_GRAPH = Kind(
    "a TensorFlow graph",
    "convert it: python -m tf2onnx.convert --graphdef FILE --inputs IN:0 --outputs OUT:0 --output model.onnx",
)
CORE_ML = Kind("a Core ML model", "give the model that it was converted from, written as ONNX by its framework")
TENSOR_RT = Kind("an engine of TensorRT", _ORIGIN)

# The first bytes of a file -> what it is.
MAGIC = {
    b"version https://git-lfs.github.com/spec": GIT_LFS,
    b"\x1f\x8b": GZIP,
    b"BZh": Kind("compressed with bzip2", "unpack it (bunzip2, or tar -xjf) and give the .onnx file inside"),
    b"\xfd7zXZ\x00": Kind("compressed with xz", "unpack it (unxz, or tar -xJf) and give the .onnx file inside"),
    b"\x28\xb5\x2f\xfd": Kind("compressed with zstd", "unpack it (unzstd) and give the .onnx file inside"),
    b"7z\xbc\xaf\x27\x1c": Kind("a 7z archive", _PACKED),
    b"Rar!": Kind("a rar archive", _PACKED),
    b"GGUF": GGUF,
    b"\x89HDF\r\n\x1a\n": Kind("an HDF5 file, as Keras writes (.h5)", _KERAS),
    b"\x93NUMPY": NUMPY,
    b"PAR1": Kind("a parquet file", "give it as quality.data, and as the model an .onnx file"),
    b"\x7fELF": Kind("a compiled program or library", _ORIGIN),
    b"ftrt": TENSOR_RT,
    b"tree\n": Kind("a LightGBM model", _BOOSTED),
    b"binf": Kind("an XGBoost model", _BOOSTED),
}
# A path that goes up or down, of printable characters alone: no message of a model is that.
LINK_TEXT = re.compile(rb"(\.\.?/)+[\x21-\x7e]{1,1024}")
# Flatbuffers have their name after the offset of the root.
FLATBUFFERS = {b"TFL3": TFLITE, b"ORTM": ORT_FORMAT}
SUFFIXES = {
    **dict.fromkeys((".pt", ".pth", ".pt2", ".ckpt", ".torchscript", ".ptl"), TORCH),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), PICKLE),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), KERAS),
    **dict.fromkeys((".plan", ".engine", ".trt"), TENSOR_RT),
    **dict.fromkeys((".mlmodel", ".mlpackage", ".mlmodelc"), CORE_ML),
    **dict.fromkeys((".npy", ".npz"), NUMPY),
    ".tflite": TFLITE,
    ".ort": ORT_FORMAT,
    ".safetensors": SAFETENSORS,
    ".gguf": GGUF,
    ".ggml": GGUF,
    ".bin": Kind("weights without the network", _CHECKPOINT),
    ".msgpack": Kind("weights of Flax, without the network", _CHECKPOINT),
    ".pb": FROZEN_GRAPH,
    ".pdmodel": Kind("a PaddlePaddle model", "convert it with paddle2onnx"),
    ".pmml": PMML,
    ".zip": ZIP,
    ".gz": GZIP,
    ".tar": Kind("a tar archive", _PACKED),
}
# A file in a folder that says what the folder is.
FOLDERS = {"saved_model.pb": SAVED_MODEL, "Manifest.json": CORE_ML, "coremldata.bin": CORE_ML}


def kind_of(path: Path) -> Kind | None:
    """Return what the file or folder is, None where neither its content nor its suffix says it."""
    if path.is_dir():
        return next((kind for name, kind in FOLDERS.items() if (path / name).is_file()), None)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return Kind("empty", "download or export it again")
    if not head.strip(b"\x00"):
        return Kind("nothing but zeros", "download it again: the room for it was made, and nothing written")
    return _by_content(path, head) or (SAVED_MODEL if path.name == "saved_model.pb" else SUFFIXES.get(path.suffix.lower()))


def _by_content(path: Path, head: bytes) -> Kind | None:
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    if head[4:8] in FLATBUFFERS:
        return FLATBUFFERS[head[4:8]]
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if head[257:262] == b"ustar":
        return SUFFIXES[".tar"]
    # Weights in safetensors begin with the length of a header in JSON, eight bytes little-endian, and the header.
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return TORCH if path.suffix.lower() in (".pt", ".pth", ".bin", ".ckpt") else PICKLE
    return _text(head)


def _archive(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ZIP._replace(what="a damaged zip archive", way_out="download it again")
    last = {name.rsplit("/", 1)[-1] for name in names}
    if "data.pkl" in last or "constants.pkl" in last:
        return TORCH
    if "model.weights.h5" in last:
        return KERAS
    if names and all(name.endswith(".npy") for name in names):
        return NUMPY
    inside = [name for name in names if name.endswith(".onnx")]
    return ZIP._replace(what=f"a zip archive with {inside[0]} in it") if inside else ZIP


def _text(head: bytes) -> Kind | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in text[:1024]:
        return PAGE
    if text.startswith((b"<?xml", b"<net ", b"<pmml")):
        return OPENVINO if b"<net " in text else PMML if b"<pmml" in text else XML
    if text[:1] in (b"{", b"["):
        try:
            decoded = head.decode()
        except UnicodeDecodeError as error:
            decoded = head[: error.start].decode() if error.start > HEAD_BYTES - 4 else ""
        return JSON if _is_json(decoded) else None
    return LINK if LINK_TEXT.fullmatch(head.removesuffix(b"\n")) else None


def _is_json(text: str) -> bool:
    """Return whether the beginning of a file is that of JSON: all of it, or as far as it was read."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return len(text) >= HEAD_BYTES - 4 and error.pos > len(text) // 2
    return True
