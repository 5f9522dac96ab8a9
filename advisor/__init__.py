"""Measure a model, decide how to serve it, and say how sure one can be."""

import os

# A user's model is their secret. ONNX Runtime's Linux wheel reads this variable when its library is loaded, spools device and model
# names and looks a host up unless it is set; the Python switch comes too late. Child processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
