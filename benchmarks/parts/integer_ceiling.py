"""How much faster this processor multiplies in 8-bit integers than in floats: what no quantized network can beat."""

import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from advisor.measure.runtime import ort_session

ROUNDS, CALLS = 30, 5
ROWS, INNER, COLUMNS = 128, 384, 1536  # a sentence of 128 tokens through the wide layer of MiniLM
CHANNELS, SIDE = 128, 28  # the second stage of ResNet-18


def ceilings(folder: Path) -> dict[str, float]:
    """Return by kind of operator the time in floats over that in integers, the same sizes, nothing else in the graph; one thread."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    found = {}
    for name, (floats, integers, shape) in {"MatMul": _products(random), "Conv": _convolutions(random)}.items():
        sessions = []
        for kind, model in (("floats", floats), ("integers", integers)):
            path = folder / f"{name}-{kind}.onnx"
            path.write_bytes(model.SerializeToString())
            sessions.append(ort_session.open_session(path))
        values = random.uniform(0, 255, size=shape)
        feeds = [{"x": values.astype(np.float32)}, {"x": values.astype(np.uint8)}]
        found[name] = _ratio(sessions, feeds)
    return found


def _ratio(sessions: "list[ort.InferenceSession]", feeds: list[dict[str, np.ndarray]]) -> float:
    """Return the median of the ratios of two sessions called in turn."""
    ratios = []
    for _ in range(ROUNDS):
        spent = []
        for session, feed in zip(sessions, feeds, strict=True):
            started = time.perf_counter()
            for _ in range(CALLS):
                session.run(None, feed)
            spent.append(time.perf_counter() - started)
        ratios.append(spent[0] / spent[1])
    return statistics.median(ratios)


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
    scales = {
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
