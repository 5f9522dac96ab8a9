"""A model -> the same without its random draws, so that the rest can be tried, or in 32-bit floats. A doorway to `onnx`."""

from pathlib import Path
from typing import Any

import numpy as np

from advisor.measure.model import onnx_file, onnx_graph

FLOAT, INT32, FLOAT16, BFLOAT16 = 1, 6, 10, 16  # TensorProto.DataType
RANDOM = {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
HALVES = {FLOAT16, BFLOAT16}
WIDE = "~float32"  # behind the name of an input or output, for its value in 32 bits


def without_draws(source: Path, target: Path) -> None:
    """Write the model with something fixed, of the same type and shape, in the place of each random draw."""
    model = onnx_graph.inlined(onnx_file.load_whole(source))
    for graph in onnx_file.graphs(model):
        nodes = list(graph.node)
        del graph.node[:]
        for number, node in enumerate(nodes):
            graph.node.extend(_fixed(node, f"{node.output[0] if node.output else ''}_fixed{number}"))
    onnx_file.save_whole(model, target, apart=bool(onnx_file.external_files(onnx_file.load(source), source)))


def _fixed(node: Any, name: str) -> list[Any]:
    """Return what stands for a node; `name` is one that the graph does not know."""
    from onnx import helper, numpy_helper

    given, results = onnx_graph.attributes(node), list(node.output)
    if node.op_type not in RANDOM or node.domain not in ("", "ai.onnx"):
        return [node]
    dtype = given.get("dtype")
    if node.op_type in ("RandomNormal", "RandomUniform"):
        values = np.zeros(given.get("shape", []), dtype=helper.tensor_dtype_to_np_dtype(dtype or 1))
        return [helper.make_node("Constant", [], results, value=numpy_helper.from_array(values))]
    if node.op_type == "Dropout":
        return [node] if len(results) > 1 and results[1] else [helper.make_node("Identity", node.input[:1], results[:1])]
    if node.op_type == "Multinomial":
        best = helper.make_node("ArgMax", node.input, [f"{name}_best"], axis=1, keepdims=1)
        copies = helper.make_node("Concat", [f"{name}_best"] * given.get("sample_size", 1), [name], axis=1)
        return [best, copies, helper.make_node("Cast", [name], results, to=given.get("dtype", INT32))]
    # A number less itself is zero, in the type and the shape that the draw takes from it.
    first = [helper.make_node("Sub", [node.input[0], node.input[0]], [name if dtype else results[0]])]
    return [*first, helper.make_node("Cast", [name], results, to=dtype)] if dtype else first


# --- 32-bit floats ------------------------------------------------------------------------------------------------------


def in_float32(source: Path, target: Path, *, apart: bool) -> None:
    """Write the model with 32-bit weights and arithmetic; a Cast stands after each input and before each output of 16 bits."""
    model = onnx_graph.inlined(onnx_file.load_whole(source))
    inputs = {value.name: value.type.tensor_type.elem_type for value in model.graph.input if _is_half(value)}
    outputs = {value.name: value.type.tensor_type.elem_type for value in model.graph.output if _is_half(value)}
    stored = {tensor.name for graph in onnx_file.graphs(model) for tensor in graph.initializer}
    inputs = {name: kind for name, kind in inputs.items() if name not in stored}
    for value in model.graph.input:
        if value.name in stored and _is_half(value):
            value.type.tensor_type.elem_type = FLOAT
    for graph in onnx_file.graphs(model):
        _widen(graph, is_main=graph is model.graph, renamed={name: name + WIDE for name in inputs.keys() | outputs.keys()})
    _add_casts(model.graph, inputs, outputs)
    onnx_file.save_whole(model, target, apart=apart)


def _is_half(value: Any) -> bool:
    return value.type.HasField("tensor_type") and value.type.tensor_type.elem_type in HALVES


def _widen(graph: Any, *, is_main: bool, renamed: dict[str, str]) -> None:
    """Turn all that is in 16 bits in one graph to 32 bits, and use the wide values of inputs and outputs."""
    del graph.value_info[:]  # types of values in between: they follow from the others
    for tensor in [*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)]:
        _widen_tensor(tensor)
        tensor.name = renamed.get(tensor.name, tensor.name)
    for value in () if is_main else (*graph.input, *graph.output):
        if _is_half(value):
            value.type.tensor_type.elem_type = FLOAT
        value.name = renamed.get(value.name, value.name)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
        for attribute in node.attribute:
            for tensor in (attribute.t, *attribute.tensors, attribute.sparse_tensor.values):
                _widen_tensor(tensor)
            # `to` of Cast and `dtype` of what makes tensors name an element type.
            if attribute.name in ("to", "dtype") and attribute.i in HALVES:
                attribute.i = FLOAT


def _widen_tensor(tensor: Any) -> None:
    from onnx import numpy_helper

    if tensor.data_type in HALVES:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def _add_casts(graph: Any, inputs: dict[str, int], outputs: dict[str, int]) -> None:
    from onnx import helper

    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(helper.make_node("Cast", [name], [name + WIDE], name=f"{name}{WIDE}_cast", to=FLOAT) for name in inputs)
    graph.node.extend(nodes)
    # An input that is an output too is one already.
    for name, kind in outputs.items():
        if name not in inputs:
            graph.node.append(helper.make_node("Cast", [name + WIDE], [name], name=f"{name}{WIDE}_cast", to=kind))
