"""Measure a model, decide how to serve it, and report how far each figure can be off."""

import os

# A user's model is their secret. Unless this variable is set when its library is loaded, ONNX Runtime's Linux wheel notes device and
# model names in the user's cache folder and looks a host up; its Python switch comes too late. Child processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
