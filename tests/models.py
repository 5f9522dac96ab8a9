"""Small ONNX models, one for each peculiarity that files in the world have. Text for the graph, arrays for the weights."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 10  # what ONNX Runtime read before it learned opset 22; every release since does

WIDTH = 8
CLASSES = 4
VOCABULARY = 50
# Parameters of the models that are one MLP stored in different ways: two matrices and their biases.
MLP_PARAMETERS = WIDTH * 16 + 16 + 16 * CLASSES + CLASSES


def build(
    text: str,
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = OPSET,
    ir_version: int = IR_VERSION,
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """Return the model whose graph is `text` in ONNX's textual syntax, `weights` added as initializers."""
    graph = onnx.parser.parse_graph(f"g {text}")
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items())
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, version) for name, version in (domains or {}).items())]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write the model and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def random_weights(seed: int = 0, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return normal random float32 arrays of these shapes."""
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
