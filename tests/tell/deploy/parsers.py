"""The readers of other programs that exports are held against; a test that needs one that is absent is skipped and says so."""

import importlib.metadata
import importlib.util
import sys
from types import ModuleType

import pytest


def model_config() -> ModuleType:
    """Return Triton's messages of protobuf out of its client, of which nothing else is loaded: the rest of it wants gRPC."""
    name = "model_config_pb2"
    if name in sys.modules:
        return sys.modules[name]
    try:
        files = importlib.metadata.files("tritonclient") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tritonclient is not installed: pip install tritonclient")
    path = next(str(file.locate()) for file in files if file.name == f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module
