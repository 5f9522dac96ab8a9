"""The few lines that open a session as it was measured: what is pasted into a server of one's own."""

from collections.abc import Iterator

from advisor.tell.deploy.escapes import literal
from advisor.tell.deploy.served import OPENVINO, Served

MODEL_FILE = "model.onnx"
# As the calls were timed: threads of a session spin for more work within a call, and stop when it ends, for idle pools of other sessions
# would keep their cores busy.
SPINNING = {"session.intra_op.allow_spinning": "1", "session.force_spinning_stop": "1"}
# Of OpenVINO's own runtime, likewise; where threads run is decided outside, instance by instance.
OPENVINO_OPTIONS: dict[str, str | int | bool] = {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}


def snippet(served: Served) -> str:
    """Return the lines, of Python."""
    return "\n".join(_openvino_lines(served) if served.runs_on.provider == OPENVINO else _ort_lines(served))


def _ort_lines(served: Served) -> Iterator[str]:
    candidate, runs_on = served.candidate, served.runs_on
    has_place = candidate.instances > 1 and not served.on_gpu
    if has_place:
        yield from ("import os", "")
    yield from ("import onnxruntime", "")
    if has_place:
        yield from _kept_apart(served)
    yield from ("options = onnxruntime.SessionOptions()", f"options.intra_op_num_threads = {candidate.intra_op_num_threads}")
    yield "options.inter_op_num_threads = 1"
    for key, value in (SPINNING | runs_on.session_options).items():
        yield f"options.add_session_config_entry({literal(key)}, {literal(value)})"
    provider = literal(runs_on.provider)
    listed = f"({provider}, {literal(runs_on.provider_options)})" if runs_on.provider_options else provider
    yield f"session = onnxruntime.InferenceSession({literal(MODEL_FILE)}, options, providers=[{listed}])"


def _openvino_lines(served: Served) -> Iterator[str]:
    has_place = served.candidate.instances > 1
    if has_place:
        yield from ("import os", "")
    yield from ("import openvino", "")
    if has_place:
        yield from _kept_apart(served)
    yield f"options = {literal(openvino_options(served))}"
    yield f'model = openvino.Core().compile_model({literal(MODEL_FILE)}, "CPU", options)'


def _kept_apart(served: Served) -> Iterator[str]:
    threads = served.candidate.intra_op_num_threads
    yield f"instance = 0  # of {served.candidate.instances}, each in a thread of its own on cores of its own"
    yield f"os.sched_setaffinity(0, range(instance * {threads}, (instance + 1) * {threads}))"


def openvino_options(served: Served) -> dict[str, str | int | bool]:
    """Return the properties that OpenVINO compiles the model with."""
    return {
        "INFERENCE_NUM_THREADS": served.candidate.intra_op_num_threads,
        **OPENVINO_OPTIONS,
        **served.runs_on.provider_options,
    }
