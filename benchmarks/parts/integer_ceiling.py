"""How much faster this processor multiplies in 8-bit integers than in floats: what no quantized network can beat."""

from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from advisor.measure.runtime import ort_session
from harness import in_turns, ratio

CALLS = 5
ROWS, INNER, COLUMNS = 128, 384, 1536  # a sentence of 128 tokens through the wide layer of MiniLM
CHANNELS, SIDE = 128, 28  # the second stage of ResNet-18


def ceilings(folder: Path, *, turns: int) -> dict[str, float]:
    """Return by kind of operator the time in floats over that in integers, the same sizes, nothing else in the graph; one thread."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    found = {}
    for name, (floats, integers, shape) in {"MatMul": _products(random), "Conv": _convolutions(random)}.items():
        values = random.uniform(0, 255, size=shape)
        calls = {}
        for kind, model, dtype in (("floats", floats, np.float32), ("integers", integers, np.uint8)):
            path = folder / f"{name}-{kind}.onnx"
            path.write_bytes(model.SerializeToString())
            calls[kind] = partial(_call, ort_session.open_session(path), {"x": values.astype(dtype)})
        seconds = in_turns(calls, turns)
        found[name] = ratio(seconds["floats"], seconds["integers"])
    return found


def _call(session: "ort.InferenceSession", feed: dict[str, np.ndarray]) -> None:
    for _ in range(CALLS):
        session.run(None, feed)


def _products(random: np.random.Generator) -> tuple[ModelProto, ModelProto, tuple[int, ...]]:
    weights = random.integers(-64, 65, size=(INNER, COLUMNS))
    floats = helper.make_node("MatMul", ["x", "w"], ["y"])
    integers = helper.make_node("MatMulInteger", ["x", "w", "", "zero"], ["y"])
    shape = (ROWS, INNER)
    return (
        _model(floats, TensorProto.FLOAT, TensorProto.FLOAT, shape, w=weights.astype(np.float32)),
        _model(integers, TensorProto.UINT8, TensorProto.INT32, shape, w=weights.astype(np.int8), zero=np.array(0, np.int8)),
        shape,
    )


def _convolutions(random: np.random.Generator) -> tuple[ModelProto, ModelProto, tuple[int, ...]]:
    weights = random.integers(-64, 65, size=(CHANNELS, CHANNELS, 3, 3))
    floats = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    names = ["x", "scale", "zero", "w", "scale", "zero_w", "scale_y", "zero"]
    integers = helper.make_node("QLinearConv", names, ["y"], pads=[1, 1, 1, 1])
    shape = (1, CHANNELS, SIDE, SIDE)
    scales: dict[str, np.ndarray] = {
        "scale": np.array(0.01, np.float32),
        "scale_y": np.array(1.0, np.float32),
        "zero": np.array(0, np.uint8),
        "zero_w": np.array(0, np.int8),
    }
    return (
        _model(floats, TensorProto.FLOAT, TensorProto.FLOAT, shape, w=weights.astype(np.float32)),
        _model(integers, TensorProto.UINT8, TensorProto.UINT8, shape, w=weights.astype(np.int8), **scales),
        shape,
    )


def _model(node: NodeProto, read: int, given: int, shape: tuple[int, ...], **stored: np.ndarray) -> ModelProto:
    x = helper.make_tensor_value_info("x", read, shape)
    y = helper.make_tensor_value_info("y", given, None)
    held = [numpy_helper.from_array(np.asarray(values), name) for name, values in stored.items()]
    return helper.make_model(
        helper.make_graph([node], "g", [x], [y], held), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
