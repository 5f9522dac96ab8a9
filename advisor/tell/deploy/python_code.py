"""Servers in Python: what was advised as constants, above code that is the same for all."""

from collections.abc import Mapping
from pathlib import Path

import advisor.templates
from advisor.schema.model import ModelInput
from advisor.schema.record import Record
from advisor.tell.deploy.escapes import literal, remark
from advisor.tell.deploy.served import DATATYPES, OPENVINO, Served
from advisor.tell.deploy.snippet import MODEL_FILE, SPINNING, openvino_options
from advisor.tell.pages import laid_out

ITEMS_FILE = "items.npz"
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


def session_code(served: Served, *, has_neighbors: bool = False) -> str:
    """Return the module with the sessions: options, threads, spinning and cores, and how requests share a call.

    `has_neighbors`: other replicas may run on the same machine, and would take the same cores for their own.
    """
    return _code(served, "session", session_constants(served, has_neighbors=has_neighbors))


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
    latency_ms = max(1, round(served.slo_latency_s * 1e3))
    # BentoML drops what it thinks it cannot answer in so long, and finds by itself how long to wait for more.
    batching = {"batchable": True, "max_batch_size": served.candidate.max_batch_size, "max_latency_ms": latency_ms}
    constants = {
        "BATCHING": batching if served.candidate.max_batch_size > 1 else {},
        "RESOURCES": {"cpu": str(served.cores), "gpu": 1} if served.on_gpu else {"cpu": str(served.cores)},
    }
    return _code(served, "bentoml", constants)


def requirements(served: Served, *more: str) -> str:
    """Return the packages with the versions that were measured."""
    runtime = "openvino" if served.runs_on.provider == OPENVINO else "onnxruntime"
    named = "onnxruntime-gpu" if served.on_gpu else runtime
    known = {named: served.versions.get(runtime), "numpy": served.versions.get("numpy")}
    pinned = [f"{name}=={remark(version)}" if version else name for name, version in known.items()]
    return "\n".join([f"# {_made_by(served)}", *pinned, *more]) + "\n"


def session_constants(served: Served, *, has_neighbors: bool = False) -> dict[str, object]:
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
        "PINS_UP_TO": _pins_up_to(served, has_neighbors=has_neighbors),
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


def _pins_up_to(served: Served, *, has_neighbors: bool) -> int:
    """Return on how many cores at most each instance takes some for its own: on a larger machine others may have the same ones."""
    if served.on_gpu:
        return 0
    return served.cores if has_neighbors else max(served.cores, served.machine_cores)


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


def _code(served: Served, name: str, constants: Mapping[str, object]) -> str:
    lines = "\n".join(f"{key} = {literal(value)}" for key, value in constants.items())
    code = Code(made_by=_made_by(served), constants=lines, is_openvino=served.runs_on.provider == OPENVINO)
    return laid_out(code, _template(name))


def _made_by(served: Served) -> str:
    return f"serving-advisor {remark(served.advisor_version)}, advice of {remark(served.created)}"


def _template(name: str) -> Path:
    # The names begin with _ : they are no documents, and their folder is no format of reports.
    return next(path for root in advisor.templates.__path__ if (path := Path(root) / "deploy" / f"_{name}.py.j2").is_file())
