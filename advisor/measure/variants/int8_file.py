"""Files in 8-bit integers: what ONNX Runtime's quantizer leaves to be done to them.

It rounds weights to the nearest step, which shifts the mean of what each channel gives; and where a node is left in floats between
quantized ones, ONNX Runtime quantizes it after all when it opens the file. Both are put right here.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from advisor.measure.model import onnx_file, onnx_graph
from advisor.measure.runtime import ort_session

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

WITH_BIAS = {"Conv", "Gemm"}
WITH_WEIGHTS = WITH_BIAS | {"MatMul"}
ABSORBED = ("Clip", "Relu")  # what becomes a part of the range of the node before it
AXES_ARE_AN_INPUT = 18  # of ReduceMean, from this opset on
INT32 = np.iinfo(np.int32)
MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators

Feeds = dict[str, np.ndarray]
Means = dict[str, np.ndarray]


# --- the shift that rounding leaves -----------------------------------------------------------------------------------------


def mean_inputs(prepared: Path, calibration: Callable[[], Iterable[Feeds]]) -> Means:
    """Return by node the mean of what it reads over the items to calibrate on: a value for each channel (features, of a product)."""
    import onnx

    model = onnx_file.load(prepared)
    floats = onnx.TensorProto.FLOAT  # ONNX Runtime's processors take no mean of shorter ones
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if tensor.data_type == floats}
    read: dict[str, str] = {}
    means: dict[str, str] = {}  # the mean of an input is asked for once, however many read it
    for node in list(model.graph.node):
        if node.op_type in WITH_WEIGHTS and node.input[1] in shapes and (node.op_type != "Gemm" or is_plain(node)):
            read[node.name], shape = node.input[0], shapes[node.input[1]]
            if node.input[0] not in means and len(shape) >= 2:
                features = shape[-1] if node.op_type == "Gemm" and onnx_graph.attributes(node).get("transB", 0) else shape[-2]
                means[node.input[0]] = _add_mean(model, node, axes=len(shape), features=features)
    if not means:
        return {}
    watched = prepared.with_name(f"means-{prepared.name}")
    onnx_file.save_beside(model, watched)
    session = ort_session.open_session(watched, optimization="basic")
    sums: dict[str, np.ndarray] = {}
    passes = 0
    for feeds in calibration():
        passes += 1
        outputs = ort_session.run(session, feeds)
        for name in means.values():  # the model's own outputs may differ in shape from item to item
            sums[name] = sums.get(name, 0.0) + outputs[name].astype(np.float64)
    watched.unlink()
    return {node: sums[means[name]] / passes for node, name in read.items() if name in means} if passes else {}


def _add_mean(model: "ModelProto", reader: "NodeProto", *, axes: int, features: int) -> str:
    """Add an output with the mean of what the node reads, over all axes but that of its channels; return its name."""
    import onnx
    from onnx import helper, numpy_helper

    name, graph = reader.input[0], model.graph
    given, over = f"mean of {name}", [0]
    if reader.op_type == "Conv":
        over = [axis for axis in range(axes) if axis != 1]
    else:  # a product reads any number of axes, the last of them its features
        graph.initializer.append(numpy_helper.from_array(np.array([-1, features]), f"shape for {name}"))
        graph.node.append(helper.make_node("Reshape", [name, f"shape for {name}"], [f"rows of {name}"]))
        name = f"rows of {name}"
    if onnx_file.opset_in(model) >= AXES_ARE_AN_INPUT:
        graph.initializer.append(numpy_helper.from_array(np.array(over), f"axes of {name}"))
        graph.node.append(helper.make_node("ReduceMean", [name, f"axes of {name}"], [given], keepdims=0))
    else:
        graph.node.append(helper.make_node("ReduceMean", [name], [given], axes=over, keepdims=0))
    graph.output.append(helper.make_tensor_value_info(given, onnx.TensorProto.FLOAT, None))
    return given


def correct_biases(quantized: Path, prepared: Path, means: Means, *, apart: bool) -> None:
    """Take out of each stored bias what rounding the weights adds to the mean of its channel, `means` being those of the inputs.

    The weights W become W + E, so the mean output shifts by the sum of E over what a channel reads, times the mean of that: Nagel et
    al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.2. Padding is not looked at.
    """
    graph, model = onnx_file.load_whole(prepared).graph, onnx_file.load_whole(quantized)
    floats, held = _arrays(graph), _arrays(model.graph)
    weights = {node.name: node.input[1] for node in graph.node if node.name in means}
    makers = {name: node for node in model.graph.node for name in node.output}
    corrected: Means = {}
    for node in model.graph.node:
        weight, bias = (makers.get(node.input[place]) if len(node.input) > place else None for place in (1, 2))
        if node.name not in weights or weight is None or bias is None:
            continue
        if {weight.op_type, bias.op_type} != {"DequantizeLinear"}:
            continue
        error = _dequantized(weight, held) - floats[weights[node.name]].astype(np.float64)
        shift, scale, before = _shift(node, error, means[node.name]), held[bias.input[1]], held[bias.input[0]]
        if shift.shape == before.shape:
            after = np.clip(before - np.round(shift / scale.astype(np.float64)), INT32.min, INT32.max)
            corrected[bias.input[0]] = after.astype(before.dtype)
    _replace(model.graph, corrected)
    onnx_file.save_whole(model, quantized, apart=apart)


def correct_sums(quantized: Path, prepared: Path, means: Means, *, apart: bool) -> None:
    """Do the same for products whose inputs are quantized at run time: what is added to them is the bias, and is stored in floats."""
    graph, model = onnx_file.load_whole(prepared).graph, onnx_file.load_whole(quantized)
    floats, held = _arrays(graph), _arrays(model.graph)
    readers = _readers(graph)
    corrected: Means = {}
    for node in graph.node:
        weight = node.input[1] if node.name in means and node.op_type in ("Gemm", "MatMul") else None
        bias = _added(node, readers, floats) if weight is not None else None
        # The names are those that the quantizer gives.
        parts = [held.get(f"{weight}_{part}") for part in ("quantized", "scale", "zero_point")]
        if weight is None or bias is None or bias not in held or len(readers[bias]) > 1 or len(readers[weight]) > 1:
            continue
        values, scale, zero = (None if part is None else part.astype(np.float64) for part in parts)
        if values is None or scale is None or zero is None:
            continue
        is_transposed = node.op_type == "Gemm" and onnx_graph.attributes(node).get("transB", 0)
        error = (values - zero) * scale - (floats[weight].T if is_transposed else floats[weight]).astype(np.float64)
        shift = means[node.name] @ error
        if held[bias].shape == shift.shape:
            corrected[bias] = (held[bias] - shift).astype(held[bias].dtype)
    _replace(model.graph, corrected)
    onnx_file.save_whole(model, quantized, apart=apart)


def _added(node: "NodeProto", readers: "dict[str, list[NodeProto]]", stored: dict[str, np.ndarray]) -> str | None:
    """Return the name of what is added to the product of a node, None if nothing stored is."""
    if node.op_type == "Gemm":
        return node.input[2] if len(node.input) > 2 and node.input[2] in stored else None
    following = readers.get(node.output[0], [])
    if len(following) != 1 or following[0].op_type != "Add":
        return None
    return next((name for name in following[0].input if name in stored), None)


def is_plain(node: "NodeProto") -> bool:
    """Return whether a Gemm is a product and a bias and nothing else; its weights may be transposed."""
    values = onnx_graph.attributes(node)
    return (values.get("alpha", 1.0), values.get("beta", 1.0), values.get("transA", 0)) == (1.0, 1.0, 0)


def _shift(node: "NodeProto", error: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return by how much the mean of each output channel is off, with weights off by `error` and inputs of that mean."""
    values = onnx_graph.attributes(node)
    if node.op_type == "Gemm":
        return np.asarray(error @ mean if values.get("transB", 0) else mean @ error)
    groups = values.get("group", 1)
    of_channel = error.reshape(*error.shape[:2], -1).sum(axis=2)  # (outputs, inputs of a group)
    parts = of_channel.reshape(groups, -1, of_channel.shape[1])
    return np.asarray(np.einsum("goc,gc->go", parts, mean.reshape(groups, -1)).ravel())


def _dequantized(node: "NodeProto", held: dict[str, np.ndarray]) -> np.ndarray:
    values, scale = held[node.input[0]].astype(np.float64), held[node.input[1]].astype(np.float64)
    zero = held[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros_like(scale)
    if scale.ndim:
        shape = [1] * values.ndim
        shape[onnx_graph.attributes(node).get("axis", 1)] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return np.asarray((values - zero) * scale)


def _readers(graph: "GraphProto") -> "dict[str, list[NodeProto]]":
    """Return by value the nodes that read it."""
    found: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _arrays(graph: "GraphProto") -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _replace(graph: "GraphProto", arrays: dict[str, np.ndarray]) -> None:
    from onnx import numpy_helper

    for tensor in graph.initializer:
        if tensor.name in arrays:
            tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name], tensor.name))


# --- floats that stay floats ------------------------------------------------------------------------------------------------


def keep_floats(quantized: Path, *, apart: bool) -> None:
    """Write nodes with weights in floats between quantized ones so that ONNX Runtime leaves them as they are.

    Its optimizer WeightBiasQuantization (1.21 and later) takes each Conv or Gemm that reads a DequantizeLinear and is read by a
    QuantizeLinear for one that somebody forgot, and rounds its weights with a single scale. Its own fused forms of these operators
    compute the same and are not touched.
    """
    from onnx import helper

    model = onnx_file.load_whole(quantized)
    stored = {tensor.name for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    readers = _readers(model.graph)
    kept = []
    for node in model.graph.node:
        maker = makers.get(node.input[0]) if node.input else None
        if node.op_type not in WITH_BIAS or node.input[1] not in stored or maker is None:
            continue
        if maker.op_type == "DequantizeLinear" and _leads_to_integers(node, readers):
            if node.op_type == "Gemm":
                # Its fused form has to have an activation: this one, with a slope of one, does nothing.
                node.attribute.append(helper.make_attribute("activation", "LeakyRelu"))
                node.attribute.append(helper.make_attribute("activation_alpha", 1.0))
            node.op_type, node.domain = f"Fused{node.op_type}", MICROSOFT
            kept.append(node.name)
    if not kept:
        return
    if MICROSOFT not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    onnx_file.save_whole(model, quantized, apart=apart)


def _leads_to_integers(node: "NodeProto", readers: "dict[str, list[NodeProto]]") -> bool:
    while True:
        following = readers.get(node.output[0], [])
        if len(following) != 1:
            return False
        node = following[0]
        if node.op_type not in ABSORBED:
            return node.op_type == "QuantizeLinear"
