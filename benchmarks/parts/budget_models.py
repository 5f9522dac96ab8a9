"""Models of every length of a call, a tenth of a millisecond to two seconds: made here, of random weights, for they are only timed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from parts.models import forest

OPSET, IR_VERSION = 17, 10
TREES, FEW_TREES = 1000, 5


class _Graph:
    """A graph in the making: nodes in their order, weights drawn as they are asked for."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, *shape: int, fan_in: int) -> str:
        values = self.random.standard_normal(shape, dtype=np.float32) / np.float32(fan_in**0.5)
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def constant(self, values: list[int]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def save(self, path: Path, last: str, given: tuple[str | int, ...], made: tuple[str | int, ...]) -> None:
        self.nodes.append(helper.make_node("Identity", [last], ["y"], name="last"))
        x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", given), ("y", made)))
        graph = helper.make_graph(self.nodes, "g", [x], [y], self.weights)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), path)


def _mlp(path: Path, *, width: int, layers: int) -> None:
    graph, value = _Graph(), "x"
    for _ in range(layers):
        value = graph.add("Relu", graph.add("MatMul", value, graph.weight(width, width, fan_in=width)))
    graph.save(path, value, ("batch", width), ("batch", width))


def _convolutions(path: Path, *, size: int, channels: int, layers: int, classes: int = 10) -> None:
    graph = _Graph()
    value = graph.add("Conv", "x", graph.weight(channels, 3, 3, 3, fan_in=27), pads=[1, 1, 1, 1])
    for _ in range(layers):
        weight = graph.weight(channels, channels, 3, 3, fan_in=9 * channels)
        value = graph.add("Relu", graph.add("Conv", value, weight, pads=[1, 1, 1, 1]))
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", value))
    value = graph.add("MatMul", pooled, graph.weight(channels, classes, fan_in=channels))
    graph.save(path, value, ("batch", 3, size, size), ("batch", classes))


def _encoder(path: Path, *, length: int, width: int, heads: int, layers: int) -> None:
    graph, value = _Graph(), "x"
    apart, together = graph.constant([0, length, heads, width // heads]), graph.constant([0, length, width])
    for _ in range(layers):
        query, key, held = (graph.add("MatMul", value, graph.weight(width, width, fan_in=width)) for _ in range(3))
        query, held = (graph.add("Transpose", graph.add("Reshape", of, apart), perm=[0, 2, 1, 3]) for of in (query, held))
        key = graph.add("Transpose", graph.add("Reshape", key, apart), perm=[0, 2, 3, 1])
        scores = graph.add("Softmax", graph.add("MatMul", query, key), axis=-1)
        mixed = graph.add("Transpose", graph.add("MatMul", scores, held), perm=[0, 2, 1, 3])
        mixed = graph.add("MatMul", graph.add("Reshape", mixed, together), graph.weight(width, width, fan_in=width))
        value = graph.add("Add", value, mixed)
        inner = graph.add("Relu", graph.add("MatMul", value, graph.weight(width, 4 * width, fan_in=width)))
        value = graph.add("Add", value, graph.add("MatMul", inner, graph.weight(4 * width, width, fan_in=4 * width)))
    graph.save(path, value, ("batch", length, width), ("batch", length, width))


def _trees(path: Path, *, trees: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    forest(path, trees)


# In the order of what a call takes on one core that does a hundred thousand million operations in a second.
MAKERS: dict[str, Callable[[Path], None]] = {
    "mlp": partial(_mlp, width=256, layers=8),
    "forest": partial(_trees, trees=TREES),
    "wide": partial(_mlp, width=2048, layers=6),
    "convolutions": partial(_convolutions, size=64, channels=64, layers=6),
    "encoder": partial(_encoder, length=128, width=384, heads=6, layers=6),
    "images": partial(_convolutions, size=160, channels=96, layers=6),
    "long": partial(_encoder, length=512, width=768, heads=12, layers=8),
    "large_images": partial(_convolutions, size=320, channels=112, layers=6),
}
SMALL: dict[str, Callable[[Path], None]] = {
    "mlp": partial(_mlp, width=64, layers=2),
    "convolutions": partial(_convolutions, size=8, channels=4, layers=1),
}
