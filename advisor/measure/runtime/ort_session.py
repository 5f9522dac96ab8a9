"""ONNX Runtime sessions: open, run, and observe what a run does. The one doorway to `onnxruntime`."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from advisor.disk import temporary
from advisor.errors import ModelError
from advisor.measure.runtime import ort_errors
from advisor.measure.runtime.quiet import without_native_words
from advisor.schema.catalog import CPU
from advisor.schema.record import Record

# onnxruntime ships no types, and importing it only to name one would load it: a session is known here by what is done with it.
Session = Any

Feeds = Mapping[str, np.ndarray]
Optimization = Literal["all", "extended", "basic", "disabled"]

# The name under which the catalog knows OpenVINO's own runtime, beside the execution providers of ONNX Runtime: its plug-in for ONNX
# Runtime offers the processors of one maker alone (onnxruntime-ep-openvino 1.8.1, 2026-11).
OPENVINO = "openvino"

FAILED = "the model fails on the given inputs: "  # what the fault of a call begins with
SLOW_BYTES_PER_S = 20e6
MOST_NAMED = 3  # inputs of a call
SLOWER = 4.0  # than in proportion to its inputs a call may be before it counts as hung
_FATAL_ONLY = 4  # failed calls raise; ONNX Runtime's own copy of the message on stderr would only break the progress bar


class Place(Record, frozen=True, kw_only=True):
    """What runs a file: an execution provider of ONNX Runtime or OPENVINO, and how it is set up."""

    provider: str = CPU
    provider_options: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    session_options: dict[str, str] = {}  # noqa: RUF012


ON_CPU = Place()


def open_session(
    path: Path,
    *,
    intra_op_num_threads: int = 1,
    place: Place = ON_CPU,
    optimization: Optimization = "all",
    save_as: Path | None = None,
    save_weights_apart: bool = False,
    profile_prefix: Path | None = None,
    keeps_memory: bool = True,  # that calls took, for the next one, as a server does
) -> Session:
    """Return a session on the file; raise ModelError if the runtime refuses it, or would run it elsewhere than asked."""
    if place.provider == OPENVINO:
        from advisor.measure.runtime import openvino_session

        return openvino_session.open_session(path, intra_op_num_threads=intra_op_num_threads, options=place.provider_options)
    _refuse_other_encodings(path)
    ort = _runtime()
    levels = ort.GraphOptimizationLevel
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = intra_op_num_threads, 1
    options.log_severity_level = _FATAL_ONLY
    options.enable_cpu_mem_arena = options.enable_mem_pattern = keeps_memory
    options.graph_optimization_level = {
        "all": levels.ORT_ENABLE_ALL,
        "extended": levels.ORT_ENABLE_EXTENDED,
        "basic": levels.ORT_ENABLE_BASIC,
        "disabled": levels.ORT_DISABLE_ALL,
    }[optimization]
    # Idle pools of other sessions spin on the cores otherwise, and make every session in the process about 2.3 times slower.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    for key, value in place.session_options.items():
        options.add_session_config_entry(key, value)
    if save_as is not None:
        options.optimized_model_filepath = str(save_as)
        if save_weights_apart:
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{save_as.name}.data")
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
        # Prepacked weights vanish from the shapes that the profile records.
        options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        # Falling back would try the same provider again, and say so on stdout.
        wanted: list[Any] = [CPU] if place.provider == CPU else [(place.provider, place.provider_options), CPU]
        session = ort.InferenceSession(str(path), options, providers=wanted, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises a family of pybind exceptions whose only common base is Exception
        fault, hint = ort_errors.refusal(error, ort.__version__)
        raise ModelError(f"{path}: {fault}", hint=hint) from error
    if session.get_providers()[0] != place.provider:
        # A library that the provider needs is missing, as a rule: ONNX Runtime says so on stderr and goes on without it.
        raise ModelError(
            f"{path}: {place.provider} does not start here; ONNX Runtime would use {session.get_providers()[0]} instead",
            hint="check the driver and the libraries of that provider",
        )
    return session


class Say(Protocol):
    """Takes what is begun, in words, and the seconds that it may take beyond the usual: who waits tells so what takes too long."""

    def __call__(self, what: str, allowed_s: float = 0.0) -> None:
        """Say that it begins."""


def unsaid(what: str, allowed_s: float = 0.0) -> None:
    """Say it to nobody."""


def loading_s(path: Path) -> float:
    """Return the seconds in which the slowest of disks gives a file, as far as it is in one piece."""
    return path.stat().st_size / SLOW_BYTES_PER_S if path.is_file() else 0.0


class _Told:
    """A session that says of each call that it begins."""

    def __init__(self, session: Session, say: Say, how: str) -> None:
        self._session, self._say, self._how = session, say, how
        self.get_outputs = session.get_outputs
        self._largest, self._took_s = 0, 0.0  # elements of the largest inputs so far, and what their call took

    def run(self, names: list[str] | None, feeds: Feeds) -> list[Any]:
        listed = [f"{name} {list(values.shape)}" for name, values in feeds.items()]
        more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
        elements = sum(values.size for values in feeds.values())
        is_larger = elements > self._largest
        # A longer text takes longer, by as much as it is longer and more.
        allowed_s = SLOWER * self._took_s * elements / self._largest if is_larger and self._largest else 0.0
        self._say(f"a call {self._how}".rstrip() + f" with {', '.join(listed[:MOST_NAMED])}{more}", allowed_s)
        started_s = time.monotonic()
        outputs: list[Any] = self._session.run(names, feeds)
        if is_larger:
            self._largest, self._took_s = elements, time.monotonic() - started_s
        return outputs


def told(session: Session, say: Say, how: str = "") -> Session:
    """Return the session, saying of each call that it begins, and with what; `how` tells it from those of other sessions."""
    return _Told(session, say, how)


def _refuse_other_encodings(path: Path) -> None:
    """Raise ModelError if the name is no UTF-8: the runtime would look for another file."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        name = os.fsencode(path).decode(errors="replace")
        raise ModelError(
            f"{name}: its name or a folder's is not written in UTF-8, which ONNX Runtime needs", hint="rename it, or link to it"
        ) from error


@cache
def _runtime() -> Any:
    """Return the package, told once to write nothing to the terminal below fatal errors: failed calls raise."""
    # What it finds wrong with devices it writes while it is imported, before anybody can tell it not to (onnxruntime issue 27092).
    with without_native_words():
        import onnxruntime as ort

    # The level of a session is its own; its tools, and what belongs to no session, write at this one.
    ort.set_default_logger_severity(_FATAL_ONLY)
    # The environment variable set by `advisor` is what stops telemetry. In a process that imported onnxruntime before advisor it comes
    # too late; this call then still keeps the names of models out of it.
    ort.disable_telemetry_events()
    return ort


def silence() -> None:
    """Drop what ONNX Runtime would write to the terminal below fatal errors, in sessions too that its own tools open."""
    _runtime()


def providers() -> tuple[str, ...]:
    """Return the execution providers that can be asked for here, and OPENVINO where that is installed."""
    import importlib.util

    found = tuple(_runtime().get_available_providers())
    return (*found, OPENVINO) if importlib.util.find_spec("openvino") is not None else found


def call(session: Session, feeds: Feeds) -> list[Any]:
    """Return the outputs as ONNX Runtime gives them, nothing done beside: what is timed; raise ModelError if the call fails."""
    try:
        return session.run(None, feeds)  # type: ignore[no-any-return]
    except Exception as error:  # see above
        raise ModelError(
            f"{FAILED}{ort_errors.in_words(error)}",
            hint="give valid inputs with --inputs FILE.npz",
        ) from error


def run(session: Session, feeds: Feeds) -> dict[str, np.ndarray]:
    """Return the outputs by name, each as one array; raise ModelError if the call fails."""
    names = [output.name for output in session.get_outputs()]
    return {name: _as_array(value) for name, value in zip(names, call(session, feeds), strict=True)}


def growing_axis(single: tuple[int, ...], double: tuple[int, ...]) -> int | None:
    """Return the axis along which an output of this shape for one item is twice as long for two, None if there is none."""
    if len(single) != len(double):
        return None
    changed = [axis for axis, (one, two) in enumerate(zip(single, double, strict=True)) if one != two]
    return changed[0] if len(changed) == 1 and double[changed[0]] == 2 * single[changed[0]] else None


def items_axis(one: tuple[int, ...], many: tuple[int, ...], multiple: int = 1) -> int | None:
    """Return the axis of an output along which items lie, from its shape for one item and for two, None if there is none.

    Where the model takes multiples of a number of items alone both may be of one call; the first axis that it divides is taken.
    """
    if multiple == 1 or one != many:
        return growing_axis(one, many)
    return next((axis for axis, size in enumerate(one) if size and size % multiple == 0), None)


def executed_nodes(path: Path, feeds: Feeds, say: Say = unsaid) -> Iterator[dict[str, Any]]:
    """Yield the nodes that a call of the unoptimized graph really executed; raise ModelError, before the first of them, if it fails.

    Each has `name`, `operator`, `inputs` and `outputs` (tuples of shapes) and `output_bytes`; nodes inside If and Loop count as often as
    they ran, so that there may be a million: they are read one at a time.
    """
    with temporary.folder() as folder:
        say("opening it without optimization", loading_s(path))
        session = open_session(path, optimization="disabled", profile_prefix=folder / "nodes", keeps_memory=False)
        run(told(session, say, "without optimization"), feeds)
        written = Path(session.end_profiling())
        del session  # and its weights
        say("reading what was executed")
        with written.open(errors="replace") as file:
            for line in file:  # an array of JSON, one event a line
                event = _event(line, path)
                if event.get("name", "").endswith("_kernel_time"):
                    yield _executed(event)


def _event(line: str, path: Path) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        event: dict[str, Any] = json.loads(line.rstrip().rstrip(","))
    except ValueError as error:
        raise ModelError(
            f"{path}: a node's name holds quotes or line breaks, with which ONNX Runtime does not report what ran",
            hint="give its nodes names of letters and digits",
        ) from error
    return event


def versions() -> dict[str, str]:
    """Return the versions that decide what is measured."""
    import importlib.metadata
    import importlib.util

    found = {"onnxruntime": _runtime().__version__, "numpy": np.__version__}
    return found | {OPENVINO: importlib.metadata.version(OPENVINO)} if importlib.util.find_spec(OPENVINO) is not None else found


def _executed(event: dict[str, Any]) -> dict[str, Any]:
    details = event["args"]
    return {
        "name": event["name"].removesuffix("_kernel_time"),
        "operator": details["op_name"],
        "inputs": _shapes(details["input_type_shape"]),
        "outputs": _shapes(details["output_type_shape"]),
        "output_bytes": int(details["output_size"]),
    }


def _shapes(listed: list[dict[str, list[int]]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(shape) for entry in listed for shape in entry.values())


def _as_array(value: Any) -> np.ndarray:
    """Return an output as an array; ZipMap's list of dictionaries becomes (items, classes) in the order of its keys."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([[row[key] for key in sorted(row)] for row in value])
    try:
        return np.asarray(value)
    except ValueError as error:  # a sequence of tensors of different shapes
        raise ModelError(
            "an output is a sequence of tensors of different shapes", hint="export the model with one tensor for each output"
        ) from error
