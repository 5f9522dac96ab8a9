"""Measure a model, decide how to serve it, and report how far each figure can be off."""

import importlib
import os
from typing import Any

# A user's model is their secret. Unless this variable is set when its library is loaded, ONNX Runtime's Linux wheel notes device and
# model names in the user's cache folder and looks a host up; its Python switch comes too late. Child processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
# What Python programs call, loaded by whoever asks for it: the command line waits for nothing that it does not use.
OFFERED = ("advise", "classify", "profile", "recommend", "verify")


def __getattr__(name: str) -> Any:
    if name in OFFERED:
        return getattr(importlib.import_module("advisor.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *OFFERED])
