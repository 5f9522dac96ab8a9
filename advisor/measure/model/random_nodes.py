"""A model that draws random numbers -> the same model drawing none, so that the rest of it can be tried. A doorway to `onnx`."""

from pathlib import Path
from typing import Any

import numpy as np

from advisor.measure.model import onnx_file, onnx_graph

RANDOM = {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
_INT32, _INT64 = 6, 7  # TensorProto.DataType


def write_without(source: Path, target: Path) -> None:
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
        return [best, copies, helper.make_node("Cast", [name], results, to=given.get("dtype", _INT32))]
    # A number less itself is zero, in the type and the shape that the draw takes from it.
    first = [helper.make_node("Sub", [node.input[0], node.input[0]], [name if dtype else results[0]])]
    return [*first, helper.make_node("Cast", [name], results, to=dtype)] if dtype else first
