"""The straight line from files to advice: profile, advise, report. Here files are read and written; nothing is decided."""

import csv
import hashlib
import sys
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import numpy as np

from advisor import __version__
from advisor.decide.advise import Request, Trace, advise
from advisor.errors import InputError
from advisor.files import read_json, read_yaml, sha256, to_json, write_atomically, write_record
from advisor.measure import checkpoint, model_facts, model_inputs, profiler, quality
from advisor.measure.machine import read_machine
from advisor.measure.ort_session import versions
from advisor.measure.store import Journal
from advisor.measure.variants import Plan
from advisor.rulebook import read_rules
from advisor.schema import SCHEMA_VERSION, Advice, ModelFacts, Profile, ProfileSettings, Scheme, Workload
from advisor.tell.report import render

DEFAULT_BUDGET_S = 60.0
DEFAULT_MAX_BATCH_SIZE = 64
MIN_TRACE_REQUESTS = 100  # fewer say nothing of a p99
Report = Callable[[float, float, str], None]


class ProfileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of a profile; None leaves the workload or the default to say it."""

    workload: Path | None = None
    inputs: Path | None = None
    budget_s: float = DEFAULT_BUDGET_S
    max_batch_size: int = DEFAULT_MAX_BATCH_SIZE
    seed: int = 0
    fresh: bool = False


def inspect(model: Path, inputs: Path | None, folder: Path) -> ModelFacts:
    """Return the facts of an ONNX file, or of a checkpoint, which is exported into `folder` first."""
    rows = model_inputs.read_npz(inputs, "--inputs") if inputs else None
    return _facts(model, _onnx_file(model, folder), (), rows)


def profile(model: Path, output: Path, options: ProfileOptions, *, now: str, report: Report) -> Profile:
    """Measure the model and write the profile to `output`; go on where an interrupted run of the same command stopped.

    A finished profile of the same model, settings, versions and machine is returned as it is, unless `options.fresh`.
    """
    workload = read_workload(options.workload) if options.workload else None
    folder = output.with_suffix(".variants")
    report(0.0, options.budget_s, "reading the model")
    plan = _plan(model, folder, options, workload, now=now)
    if output.is_file() and not options.fresh:
        known = read_json(output, Profile, made_by="advisor profile")
        if known.fingerprint == plan.fingerprint:
            return known
    journal_path = output.with_suffix(".journal")
    if options.fresh:
        journal_path.unlink(missing_ok=True)
    journal = Journal(journal_path, plan.fingerprint)
    try:
        measured = profiler.measure(plan, journal, report)
        write_record(output, measured)
    except BaseException:
        if journal.visits:
            journal.close()
        else:
            journal.remove()
        raise
    journal.remove()
    return measured


def read_workload(path: Path) -> Workload:
    """Return the workload; raise InputError for what contradicts itself or names a file that is not there."""
    workload = read_yaml(path, Workload)
    traffic, hardware = workload.traffic, workload.hardware
    if (traffic.requests_per_s is None) == (traffic.trace is None):
        raise InputError(f"{path}: traffic: give either requests_per_s or trace", hint="for example: traffic: {requests_per_s: 40}")
    for name in hardware.allowed:
        if name != "local":
            raise InputError(
                f"{path}: hardware.allowed: {name!r} was not measured", hint="only `local`, the machine of the profile, can be judged"
            )
        if name not in hardware.price_usd_per_hour:
            raise InputError(f"{path}: hardware.price_usd_per_hour: no price for {name!r}", hint=f"add: price_usd_per_hour: {{{name}: 0.34}}")
    lengths = workload.inputs.sequence_length if workload.inputs else None
    if lengths is not None and not lengths.p50 <= (lengths.p95 or lengths.p50) <= (lengths.max or sys.maxsize):
        raise InputError(f"{path}: inputs.sequence_length: p50, p95 and max must ascend", hint="for example: {p50: 32, p95: 128, max: 256}")
    for key, name in (("traffic.trace", traffic.trace), ("quality.data", workload.quality.data if workload.quality else None)):
        if name is not None and not (path.parent / name).is_file():
            raise InputError(f"{path}: {key}: {path.parent / name}: no such file", hint="give a path relative to the workload file")
    return workload


def sequence_lengths(workload: Workload | None) -> tuple[int, ...]:
    """Return the lengths to measure: the median first, then a short one, the 95th percentile and the longest."""
    lengths = workload.inputs.sequence_length if workload and workload.inputs else None
    if lengths is None:
        return ()
    p95 = lengths.p95 or lengths.p50
    # A lognormal law is symmetric around its median on a log scale, so this is about the 5th percentile.
    short = max(1, round(lengths.p50**2 / p95))
    return tuple(dict.fromkeys((lengths.p50, short, p95, lengths.max or p95)))


def _plan(model: Path, folder: Path, options: ProfileOptions, workload: Workload | None, *, now: str) -> Plan:
    lengths = sequence_lengths(workload)
    data = options.workload.parent / workload.quality.data if options.workload and workload and _data(workload) else None
    rows_path = options.inputs
    rows = model_inputs.read_npz(rows_path, "--inputs") if rows_path else None
    baseline = _onnx_file(model, folder)
    facts = _facts(model, baseline, lengths, rows)
    if rows_path is not None and rows is not None:
        model_inputs.check_rows(facts.inputs, rows, rows_path)
    if data is not None and workload is not None and workload.quality is not None:
        examples = model_inputs.read_npz(data, "quality.data")
        quality.check(workload.quality.metric, facts.outputs, examples, model_inputs.check_rows(facts.inputs, examples, data))
    settings = ProfileSettings(
        sequence_lengths=lengths,
        max_batch_size=options.max_batch_size,
        max_latency_s=workload.slo.latency_s if workload else None,
        budget_s=options.budget_s,
        seed=options.seed,
        inputs_sha256=sha256(rows_path) if rows_path else None,
        quality_metric=workload.quality.metric if workload and workload.quality and data else None,
        quality_data_sha256=sha256(data) if data else None,
    )
    machine, catalogue = read_machine(), schemes()
    parts = (SCHEMA_VERSION, __version__, facts, settings, catalogue, machine, versions())
    return Plan(
        baseline=baseline,
        folder=folder,
        facts=facts,
        settings=settings,
        schemes=catalogue,
        machine=machine,
        rows=str(rows_path.resolve()) if rows_path else None,
        data=str(data.resolve()) if data else None,
        created=now,
        fingerprint=hashlib.sha256(msgspec.json.encode(parts)).hexdigest(),
    )


def _data(workload: Workload) -> str | None:
    return workload.quality.data if workload.quality else None


def _facts(model: Path, baseline: Path, lengths: tuple[int, ...], rows: dict[str, np.ndarray] | None) -> ModelFacts:
    return model_facts.inspect_onnx(
        baseline, name=model.name, format_="checkpoint" if model.is_dir() else "onnx", sequence_lengths=lengths, rows=rows
    )


def _onnx_file(model: Path, folder: Path) -> Path:
    """Return the ONNX file of the model; a checkpoint is exported once and the file kept as long as the checkpoint is the same."""
    if not model.exists():
        raise InputError(f"{model}: no such file or directory", hint="give an .onnx file or a Hugging Face checkpoint directory")
    if not model.is_dir():
        return model
    exported, mark = folder / "exported.onnx", folder / "exported.sha256"
    digest = checkpoint.digest(model)
    if not (exported.is_file() and mark.is_file() and mark.read_text() == digest):
        checkpoint.export(model, exported)
        write_atomically(mark, digest.encode())
    return exported


def schemes() -> tuple[Scheme, ...]:
    """Return the schemes of the catalogue, in the order of their file names."""
    found = []
    for entry in sorted(files("advisor.catalog.schemes").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            with as_file(entry) as path:
                found.append(read_yaml(path, Scheme))
    return tuple(found)




def advise_on(profile_path: Path, workload_path: Path, *, now: str) -> Advice:
    """Return the advice on a saved profile."""
    measured = read_json(profile_path, Profile, made_by="advisor profile")
    workload = read_workload(workload_path)
    trace = _read_trace(workload_path.parent / workload.traffic.trace) if workload.traffic.trace else None
    with as_file(files("advisor.rules")) as folder:
        rules = read_rules(folder)
    request = Request(
        workload=workload,
        rules=rules,
        profile_sha256=sha256(profile_path),
        profile_path=profile_path.name,
        created=now,
    )
    try:
        return advise(measured, request, trace)
    except InputError as error:
        raise InputError(f"{workload_path}: {error.fault}", hint=error.hint) from error


def recommend(model: Path, output: Path, options: ProfileOptions, *, now: str, report: Report) -> Advice:
    """Profile, advise and report into the folder `output`; return the advice."""
    assert options.workload is not None
    profile(model, output / "profile.json", options, now=now, report=report)
    report(options.budget_s, options.budget_s, "simulating and searching")
    advice = advise_on(output / "profile.json", options.workload, now=now)
    write_record(output / "advice.json", advice)
    for format_, name in (("html", "report.html"), ("md", "report.md")):
        write_atomically(output / name, render(advice, format_).encode())
    return advice


def read_advice(path: Path) -> Advice:
    """Return the advice in a file."""
    return read_json(path, Advice, made_by="advisor advise")


def _read_trace(path: Path) -> Trace:
    """Return the requests of a CSV file with the columns arrival_s and, optionally, sequence_length."""
    way_out = "write a CSV file with a header line and the columns arrival_s (seconds, ascending) and, if lengths vary, sequence_length"
    arrival_s, lengths = [], []
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if "arrival_s" not in (reader.fieldnames or ()):
                raise InputError(f"{path}: no column arrival_s", hint=way_out)
            for row in reader:
                try:
                    arrival_s.append(float(row["arrival_s"]))
                    if "sequence_length" in row:
                        lengths.append(int(row["sequence_length"]))
                except (TypeError, ValueError):
                    raise InputError(f"{path}: line {reader.line_num}: not a number: {dict(row)}", hint=way_out) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})", hint=way_out) from error
    times = np.array(arrival_s)
    if len(times) < MIN_TRACE_REQUESTS or not np.isfinite(times).all() or (np.diff(times) < 0).any() or times[-1] <= times[0]:
        raise InputError(
            f"{path}: {len(times)} requests, of which arrival_s must be finite and ascend; at least {MIN_TRACE_REQUESTS} are needed",
            hint=way_out,
        )
    if lengths and min(lengths) < 1:
        raise InputError(f"{path}: a sequence_length below 1", hint=way_out)
    return Trace(arrival_s=tuple(arrival_s), sequence_length=tuple(lengths) or None)
