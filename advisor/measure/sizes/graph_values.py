"""How large the values of a graph are at the least, by what its file alone says: before anything is opened. A doorway to `onnx`."""

from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from advisor.errors import ModelError
from advisor.measure.runtime import memory
from advisor.units import size

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

# Bytes of an element by its TensorProto.DataType; those of 4 bits are packed in pairs, and a text is a pointer at the least.
ELEMENT_BYTES = {1: 4, 5: 2, 4: 2, 6: 4, 7: 8, 8: 8, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2}
# Stored values that are shapes, counts and the like are few; inference reads no others.
MOST_READ = 1024
# Of a graph without its weights. Inference makes copies, and nothing of that size is a graph of nodes: trees keep theirs in attributes.
LARGEST_GRAPH_BYTES = 64_000_000
# Elements of a vector. Propagation takes each for a shape, at 72 bytes a dimension (onnx 1.23): 1.4 GB for a sound of 20 million samples.
LONGEST_SHAPE = 100_000


class Value(NamedTuple):
    """A value of a graph: its name, the operator that makes it (None for an input) and its least size."""

    name: str
    operator: str | None
    least_bytes: int


def refuse_large(model: "ModelProto", path: Path) -> None:
    """Raise ModelError if a value of the graph takes more memory than there may be for one; the model is of no more use after this.

    And if a Scan says that it has more inputs to scan than it has: the runtime makes room for as many as it says.
    """
    for graph in _graphs(model.graph):
        for node in graph.node:
            said = max((attribute.i for attribute in node.attribute if attribute.name == "num_scan_inputs"), default=0)
            if said > len(node.input):
                raise ModelError(
                    f"{path}: {node.op_type} {node.name!r} scans {said} inputs and has {len(node.input)}",
                    hint="export the model again",
                )
    room = memory.available_bytes()
    if room is None:
        return
    # What the file itself says comes first: inference on values of such sizes takes memory by them.
    for found in (declared_values(model), least_values(model)):
        _refuse_largest(found, path, room)


def _refuse_largest(values: Iterable[Value], path: Path, room: int) -> None:
    largest = max(values, key=lambda value: value.least_bytes, default=None)
    if largest is None or largest.least_bytes <= memory.most_for_one(room):
        return
    made = "an input" if largest.operator is None else f"which {largest.operator} makes"
    raise ModelError(
        f"{path}: {largest.name!r}, {made}, takes {size(largest.least_bytes)} in a call with one item; one value may take "
        f"{size(memory.most_for_one(room))} of the {size(room)} of memory that are free here",
        hint="export the model for smaller values, or use a machine with more memory",
    )


def least_values(model: "ModelProto") -> Iterator[Value]:
    """Return the values that are no stored weights, inner graphs included, a size that the file leaves open counted as one.

    What the file stores is dropped from the model, but for shapes and the like.
    """
    import onnx

    for tensor in _tensors(model):
        if prod(tensor.dims) > MOST_READ:
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"):
                tensor.ClearField(field)
    whole = model
    if model.ByteSize() < LARGEST_GRAPH_BYTES:
        try:
            whole = onnx.shape_inference.infer_shapes(model)
            # Data is propagated: exporters compute shapes from shapes. A node on which that fails is passed over.
            if not any(len(shape) == 1 and shape[0] > LONGEST_SHAPE for _, _, shape in _shapes(whole)):
                whole = onnx.shape_inference.infer_shapes(model, data_prop=True)
        except Exception:  # noqa: BLE001  whatever its C++ finds wrong; the runtime that opens the file next says it better
            whole = model
    return declared_values(whole)


def declared_values(model: "ModelProto") -> Iterator[Value]:
    """Yield the values of which the file says a shape, and sparse tensors, inner graphs included; an open size is counted as one."""
    for graph in _graphs(model.graph):
        for sparse in [*graph.sparse_initializer, *_sparse_constants(graph)]:
            yield Value(sparse.values.name, "a sparse tensor", _bytes(sparse.values.data_type, list(sparse.dims)))
    for operator, value, shape in _shapes(model):
        yield Value(value.name, operator, _bytes(value.type.tensor_type.elem_type, shape))


def _shapes(model: "ModelProto") -> Iterator[tuple[str | None, Any, list[int]]]:
    """Yield what makes each value, the value, and the shape that is said of it; an open size is counted as one."""
    for graph in _graphs(model.graph):
        makers = {name: node.op_type for node in graph.node for name in node.output}
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor_type = value.type.tensor_type
            if tensor_type.HasField("shape"):
                yield (
                    makers.get(value.name),
                    value,
                    [axis.dim_value if axis.HasField("dim_value") else 1 for axis in tensor_type.shape.dim],
                )


def _bytes(element_type: int, shape: list[int]) -> int:
    # A size below zero is how some tools spell an open one.
    return ELEMENT_BYTES.get(element_type, 1) * prod(axis if axis >= 0 else 1 for axis in shape)


def _tensors(model: "ModelProto") -> "Iterator[TensorProto]":
    for graph in (*_graphs(model.graph), *model.functions):
        yield from getattr(graph, "initializer", ())
        for node in graph.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)


def _sparse_constants(graph: Any) -> list[Any]:
    attributes = (attribute for node in graph.node for attribute in node.attribute)
    return [attribute.sparse_tensor for attribute in attributes if attribute.HasField("sparse_tensor")]


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and those inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)
