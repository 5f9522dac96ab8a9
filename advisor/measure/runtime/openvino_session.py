"""Sessions of OpenVINO's own runtime, used like those of ONNX Runtime. The one doorway to `openvino`."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.errors import MissingDependencyError, ModelError

INSTALL = "pip install 'serving-advisor[openvino]'"


class Output(NamedTuple):
    """What is asked of an output."""

    name: str


class Session:
    """A compiled model with one request, which takes calls one after the other; `compile_` gives the model, and again after a failure."""

    def __init__(self, compile_: Callable[[], Any]) -> None:
        self._compile = compile_
        self._begin()

    def _begin(self) -> None:
        compiled = self._compile()
        self._request = compiled.create_infer_request()
        self._inputs = {name: port for port in compiled.inputs for name in port.get_names()}
        self._outputs = list(compiled.outputs)

    def get_outputs(self) -> list[Output]:
        """Return the outputs in the order of the file."""
        return [Output(_name_in_file(port)) for port in self._outputs]

    def run(self, names: None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return all outputs; `names` is None, as everywhere here."""
        given = {self._inputs[name]: values for name, values in feeds.items() if name in self._inputs}
        try:
            found = self._request.infer(given, share_inputs=True)
        except RuntimeError:
            # The shapes of a call that failed stay in the model, and every later call would fail with them (2026.4, several threads).
            self._begin()
            raise
        # The request keeps the memory of its outputs and writes the next ones there.
        return [np.array(found[port]) for port in self._outputs]


def _name_in_file(port: Any) -> str:
    """Return what the file calls an output: where it only passes a value on, OpenVINO knows it by that value's name as well."""
    name: str = port.node.friendly_name.partition("/sink_port_")[0]
    return name if name in port.get_names() else str(port.get_any_name())


def load_openvino(path: Path) -> Any:
    """Return the package, which is needed for `path`; raise MissingDependencyError where it is absent."""
    # Importing openvino reports the import through this package, if that is there; without it a stub takes its place.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError(f"{path}: running it in OpenVINO needs the package openvino", hint=INSTALL) from error
    return openvino


def refused(path: Path, error: Exception) -> ModelError:
    """Return the error of a file that OpenVINO cannot load, with the last line of what it says."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return ModelError(
        f"{path}: OpenVINO cannot load it: {(lines or [type(error).__name__])[-1][:300]}", hint="serve it with ONNX Runtime"
    )


def open_session(path: Path, *, intra_op_num_threads: int, options: Mapping[str, str]) -> Session:
    """Return a session on the processor; raise ModelError if OpenVINO refuses the file."""
    openvino = load_openvino(path)
    settings = {
        "INFERENCE_NUM_THREADS": intra_op_num_threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # where it runs is decided outside, instance by instance
        **options,
    }
    try:
        return Session(lambda: openvino.Core().compile_model(str(path), "CPU", settings))
    except Exception as error:  # OpenVINO raises RuntimeError and pybind's own exceptions for whatever it does not like
        raise refused(path, error) from error
