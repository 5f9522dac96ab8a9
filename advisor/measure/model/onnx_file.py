"""ONNX file <-> parsed model, its weights in the file or beside it. One of the doorways to `onnx`."""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.disk.reading import refuse_special
from advisor.errors import InputError, ModelError
from advisor.measure.model import file_kinds

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, TensorProto


def load(path: Path) -> "ModelProto":
    """Return the parsed file, external weights left on disk.

    Raise InputError if it is no ONNX file, ModelError if a part of it is missing.
    """
    import onnx
    from google.protobuf.message import DecodeError

    refuse_special(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file", hint="give the path of an .onnx file or of a Hugging Face checkpoint directory")
    try:
        # By default the format is guessed from the suffix, and a binary file called model.json is then read as JSON.
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise _other_format(path, "not a readable ONNX file (truncated or another format)") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="make the file readable") from error
    if not model.graph.node or not model.opset_import:
        raise _other_format(path, "parses as ONNX but holds no operators")
    external_files(model, path)
    return model


def _other_format(path: Path, unknown: str) -> InputError:
    """Return the complaint about a file that is no model in ONNX: what it is, or `unknown`."""
    kind = file_kinds.kind_of(path)
    if kind is None:
        way_out = "give an .onnx file that onnx.load can read; export or download it again if it is truncated"
        return InputError(f"{path}: {unknown}", hint=way_out)
    return InputError(f"{path}: not an ONNX file: it is {kind.what}", hint=kind.way_out)


def refuse_folder(path: Path) -> None:
    """Raise InputError if the folder is a model of another format than a Hugging Face checkpoint."""
    kind = file_kinds.kind_of(path)
    if kind is not None:
        raise InputError(f"{path}: not an ONNX file: it is {kind.what}", hint=kind.way_out)


def load_whole(path: Path) -> "ModelProto":
    """Return the parsed file with its external weights."""
    import onnx

    return onnx.load(path, format="protobuf")


def save_whole(model: "ModelProto", path: Path, *, apart: bool) -> None:
    """Write the model, its weights in a file beside it if they are to be apart."""
    import onnx

    onnx.save(model, path, format="protobuf", save_as_external_data=apart, location=f"{path.name}.data" if apart else None)


def save_beside(model: "ModelProto", path: Path) -> None:
    """Write a model that was loaded without its external weights; they are looked for beside it, as they were."""
    import onnx

    onnx.save(model, path, format="protobuf")


def copy(source: Path, target: Path) -> None:
    """Copy a model; weights in files of their own lie beside the copy under its name, as a file that is renamed does not find its own."""
    model = load(source)
    names = {name: f"{target.name}.data{number or ''}" for number, name in enumerate(_locations(model))}
    if not names:
        shutil.copyfile(source, target)
        return
    for tensor in _tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = names[entry.value]
    for name, new in names.items():
        shutil.copyfile(source.parent / name, target.parent / new)
    save_beside(model, target)


def opset_of(path: Path) -> int:
    """Return the version of ONNX's own operator set that the file asks for."""
    return opset_in(load(path))


def opset_in(model: "ModelProto") -> int:
    """Return the version of ONNX's own operator set that the model asks for."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def convert_opset(source: Path, target: Path, opset: int) -> None:
    """Write the model in another version of ONNX's own operator set."""
    from onnx import version_converter

    save_whole(version_converter.convert_version(load_whole(source), opset), target, apart=False)


def name_nodes(path: Path) -> None:
    """Give a name to each node of the file that has none, or that of another: by name nodes are chosen and left out."""
    model = load(path)
    taken: set[str] = set()
    renamed = False
    for graph in graphs(model):
        for number, node in enumerate(graph.node):
            if not node.name or node.name in taken:
                node.name = next(name for name in (f"{node.op_type}_{number}_{turn}" for turn in count()) if name not in taken)
                renamed = True
            taken.add(node.name)
    if renamed:
        save_beside(model, path)


def inner_graphs(attribute: "AttributeProto") -> "list[GraphProto]":
    """Return the graphs that an attribute holds: branches and bodies."""
    return [attribute.g, *attribute.graphs] if attribute.HasField("g") else list(attribute.graphs)


def graphs(model: "ModelProto") -> Iterator[Any]:
    """Yield every graph and local function."""
    for graph in (model.graph, *model.functions):
        yield from _with_inner(graph)


def _with_inner(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in inner_graphs(attribute):
                yield from _with_inner(inner)


def _tensors(model: "ModelProto") -> "Iterator[TensorProto]":
    """Yield every tensor that the file holds, in whatever graph or attribute."""
    for graph in graphs(model):
        yield from getattr(graph, "initializer", ())
        sparse = [*getattr(graph, "sparse_initializer", ())]
        for node in graph.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                sparse += (attribute.sparse_tensor, *attribute.sparse_tensors)
        for tensor in sparse:
            yield from (tensor.values, tensor.indices)


def _locations(model: "ModelProto") -> list[str]:
    """Return where external data is, as the file names it."""
    return sorted({entry.value for tensor in _tensors(model) for entry in tensor.external_data if entry.key == "location"})


def external_files(model: "ModelProto", path: Path) -> list[Path]:
    """Return the files with the weights of a model at `path`; raise ModelError if one of them is missing."""
    try:
        files = [path.parent / name for name in _locations(model)]
    except TypeError as error:  # bytes, where they are no UTF-8
        raise ModelError(
            f"{path}: the name of a file with its weights is no text", hint="export the model again; the file is damaged"
        ) from error
    for file in files:
        refuse_special(file)
        if not file.is_file():
            raise ModelError(
                f"{path}: its weights are in {file.name}, which is missing beside it",
                hint=f"put {file.name} into {path.parent}, with exactly this name",
            )
    return files
