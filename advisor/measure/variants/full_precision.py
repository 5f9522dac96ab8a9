"""A model in 16-bit floats -> the same in 32-bit ones, with the inputs and outputs that it had. A doorway to `onnx`."""

from pathlib import Path
from typing import Any

import numpy as np

from advisor.measure.model import onnx_file, onnx_graph

FLOAT, FLOAT16, BFLOAT16 = 1, 10, 16  # TensorProto.DataType
HALVES = {FLOAT16, BFLOAT16}
WIDE = "~float32"  # behind the name of an input or output, for its value in 32 bits


def write(source: Path, target: Path, *, apart: bool) -> None:
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
