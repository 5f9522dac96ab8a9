"""Servers in Python: what was advised as constants, above code that is the same for all."""

from collections.abc import Iterator
from pathlib import Path

import advisor.templates
from advisor.inert.text import inert
from advisor.schema.model import ModelInput
from advisor.schema.record import Record
from advisor.tell.deploy.escapes import literal
from advisor.tell.deploy.served import DATATYPES, OPENVINO, Served
from advisor.tell.pages import laid_out

MODEL_FILE = "model.onnx"
ITEMS_FILE = "items.npz"
# As the calls were timed: threads of a session spin for more work within a call, and stop when it ends, for idle pools of other sessions
# would keep their cores busy.
SPINNING = {"session.intra_op.allow_spinning": "1", "session.force_spinning_stop": "1"}
# Of OpenVINO's own runtime, likewise; where threads run is decided outside, instance by instance.
OPENVINO_OPTIONS = {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
# What an answer may be off by beyond what the profile saw of it: twice as far, and the arithmetic of another processor.
FARTHER, ROUNDING = 2.0, 1e-3
SET_ONCE = ("scalar", "state", "count")  # roles of inputs that a request may leave out: the example's are taken
# Packages that servers were tried with.
RAY, BENTOML = "ray[serve]==2.60.0", "bentoml==1.4.40"
ONGOING = 4  # batches that a Ray replica may hold for each of its sessions, queued ones counted
PORT = 8000


class Code(Record, frozen=True, kw_only=True):
    """What a template of code is filled in with; texts are literals of Python already."""

    made_by: str
    constants: str
    is_openvino: bool


def session_code(served: Served) -> str:
    """Return the module with the sessions: options, threads, spinning and cores, and how requests share a call."""
    return _code(served, "session", session_constants(served))


def server_code(served: Served) -> str:
    """Return the server over HTTP with dynamic batching, of nothing but the standard library and the sessions."""
    return _code(served, "serve", {"MAX_QUEUE_DELAY_S": served.candidate.max_queue_delay_s, "PORT": PORT})


def ray_code(served: Served) -> str:
    """Return the application of Ray Serve; a replica of it is one of those that are advised, with all its sessions."""
    scale, candidate = served.scale, served.candidate
    constants = {
        "BATCH_WAIT_TIMEOUT_S": candidate.max_queue_delay_s,
        "MAX_ONGOING_REQUESTS": ONGOING * candidate.max_batch_size * candidate.instances,
        "ACTOR_OPTIONS": {"num_cpus": served.cores, "num_gpus": 1} if served.on_gpu else {"num_cpus": served.cores},
        "AUTOSCALING": {
            "min_replicas": scale.least,
            "initial_replicas": scale.replicas,
            "max_replicas": scale.most,
            "target_ongoing_requests": scale.ongoing_requests,
        },
    }
    return _code(served, "ray", constants)


def bentoml_code(served: Served) -> str:
    """Return the service of BentoML, with a process for each session."""
    constants = {
        # BentoML drops what it thinks it cannot answer in so long, and finds by itself how long to wait for more.
        "MAX_LATENCY_MS": max(1, round(served.slo_latency_s * 1e3)),
        "RESOURCES": {"cpu": str(served.cores), "gpu": 1} if served.on_gpu else {"cpu": str(served.cores)},
    }
    return _code(served, "bentoml", constants)


def requirements(served: Served, *more: str) -> str:
    """Return the packages with the versions that were measured."""
    runtime = "openvino" if served.runs_on.provider == OPENVINO else "onnxruntime"
    named = "onnxruntime-gpu" if served.on_gpu else runtime
    known = {named: served.versions.get(runtime), "numpy": served.versions.get("numpy")}
    pinned = [f"{name}=={inert(version)}" if version else name for name, version in known.items()]
    return "\n".join([f"# {_made_by(served)}", *pinned, *more]) + "\n"


def snippet(served: Served) -> str:
    """Return the few lines that open a session as it was measured, to paste."""
    return "\n".join(_openvino_lines(served) if served.runs_on.provider == OPENVINO else _ort_lines(served))


def _ort_lines(served: Served) -> Iterator[str]:
    candidate, runs_on = served.candidate, served.runs_on
    is_alone = candidate.instances == 1 or served.on_gpu
    yield from () if is_alone else ("import os", "")
    yield from ("import onnxruntime", "")
    yield from () if is_alone else _kept_apart(served)
    yield from ("options = onnxruntime.SessionOptions()", f"options.intra_op_num_threads = {candidate.intra_op_num_threads}")
    yield "options.inter_op_num_threads = 1"
    for key, value in (SPINNING | runs_on.session_options).items():
        yield f"options.add_session_config_entry({literal(key)}, {literal(value)})"
    provider = literal(runs_on.provider)
    listed = f"({provider}, {literal(runs_on.provider_options)})" if runs_on.provider_options else provider
    yield f"session = onnxruntime.InferenceSession({literal(MODEL_FILE)}, options, providers=[{listed}])"


def _openvino_lines(served: Served) -> Iterator[str]:
    is_alone = served.candidate.instances == 1
    yield from () if is_alone else ("import os", "")
    yield from ("import openvino", "")
    yield from () if is_alone else _kept_apart(served)
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


def session_constants(served: Served) -> dict[str, object]:
    """Return what the module with the sessions knows of model and advice, by the names of its constants."""
    candidate, runs_on, model = served.candidate, served.runs_on, served.model
    is_openvino = runs_on.provider == OPENVINO
    batched = [entry for entry in model.inputs if entry.batch_axis is not None]
    agreement = served.variant.agreement
    seen = 1.0 if agreement is None else agreement.cosine_min
    return {
        "NAME": served.slug,
        "MODEL": MODEL_FILE,
        "ITEMS": ITEMS_FILE,
        "THREADS": candidate.intra_op_num_threads,
        "INSTANCES": candidate.instances,
        "MAX_BATCH_SIZE": candidate.max_batch_size,
        "MULTIPLE": max((entry.batch_multiple for entry in batched), default=1),
        "PADS": any(entry.role == "mask" for entry in model.inputs),
        "PINS": not served.on_gpu,
        **({} if is_openvino else {"PROVIDERS": [(runs_on.provider, dict(runs_on.provider_options))]}),
        **({} if is_openvino else {"SESSION_ENTRIES": SPINNING | runs_on.session_options}),
        **({"OPTIONS": openvino_options(served)} if is_openvino else {}),
        "INPUTS": [_input(entry) for entry in model.inputs],
        "OUTPUTS": [
            {"name": entry.name, "datatype": DATATYPES[entry.dtype], "sequence_axis": _sequence_axis(entry.shape, model.inputs)}
            for entry in model.outputs
        ],
        "LEAST_COSINE": None if seen is None else max(-1.0, round(1.0 - FARTHER * (1.0 - seen) - ROUNDING, 6)),
    }


def _input(entry: ModelInput) -> dict[str, object]:
    return {
        "name": entry.name,
        "dtype": entry.dtype,
        "datatype": DATATYPES[entry.dtype],
        "shape": [size if isinstance(size, int) and size > 0 else None for size in entry.shape],
        "batch_axis": entry.batch_axis,
        "sequence_axis": entry.sequence_axis,
        "is_optional": entry.role in SET_ONCE,
    }


def _sequence_axis(shape: tuple[int | str | None, ...], inputs: tuple[ModelInput, ...]) -> int | None:
    """Return the axis of an output that is as long as the sequence of an input, by the name that both have in the file."""
    names = {entry.shape[entry.sequence_axis] for entry in inputs if entry.sequence_axis is not None}
    return next((axis for axis, size in enumerate(shape) if isinstance(size, str) and size in names), None)


def _code(served: Served, name: str, constants: dict[str, object]) -> str:
    lines = "\n".join(f"{key} = {literal(value)}" for key, value in constants.items())
    code = Code(made_by=_made_by(served), constants=lines, is_openvino=served.runs_on.provider == OPENVINO)
    return laid_out(code, _template(name))


def _made_by(served: Served) -> str:
    return f"serving-advisor {inert(served.advisor_version)}, advice of {inert(served.created)}"


def _template(name: str) -> Path:
    # The names begin with _ : they are no documents, and their folder is no format of reports.
    return next(path for root in advisor.templates.__path__ if (path := Path(root) / "deploy" / f"_{name}.py.j2").is_file())


