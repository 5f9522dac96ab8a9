"""The measuring third of the pipeline: model file to profile.json, with the variant files beside it."""

import hashlib
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import numpy as np

from advisor import __version__
from advisor.errors import AdvisorError, InputError
from advisor.files import check_writable, read_json, read_yaml, sha256, write_atomically, write_record
from advisor.measure import checkpoint, model_facts, model_inputs, onnx_graph, profiler, quality
from advisor.measure.machine import read_machine
from advisor.measure.ort_session import versions
from advisor.measure.store import Journal
from advisor.measure.variants import Plan, Report
from advisor.schema import SCHEMA_VERSION, ModelFacts, OfflineWorkload, Profile, ProfileSettings, Scheme, Workload
from advisor.verification import trial
from advisor.workload_file import read_question, sequence_lengths

DEFAULT_BUDGET_S = 60.0
DEFAULT_MAX_BATCH_SIZE = 64
# The trial takes some seconds beside the budget: who gives less for everything wants none of it.
LEAST_BUDGET_FOR_TRIAL_S = 10.0


class ProfileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of a profile; None leaves the workload or the default to say it."""

    workload: Path | None = None
    inputs: Path | None = None
    variants: tuple[Path, ...] = ()
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
    workload = read_question(options.workload) if options.workload else None
    check_writable(output)
    folder = output.with_suffix(".variants")
    if (model / "config.json").is_file():
        report(0.0, options.budget_s, "reading the checkpoint")  # its export takes a while
    plan = _plan(model, folder, options, workload, now=now)
    if output.is_file() and not options.fresh:
        known = read_json(output, Profile, made_by="advisor profile --fresh")
        if known.fingerprint == plan.fingerprint:
            return known
    journal_path = output.with_suffix(".journal")
    if options.fresh:
        journal_path.unlink(missing_ok=True)
    journal = Journal(journal_path, plan.fingerprint)
    try:
        measured = profiler.measure(plan, journal, report)
        if options.budget_s >= LEAST_BUDGET_FOR_TRIAL_S:
            report(options.budget_s, options.budget_s, "a short trial inside a server")
            measured = _with_trial(measured, output.parent)
        write_record(output, measured)
    except BaseException:
        if journal.visits:
            journal.close()
        else:
            journal.remove()
        raise
    journal.remove()
    return measured


def _with_trial(measured: Profile, folder: Path) -> Profile:
    try:
        return msgspec.structs.replace(measured, trial=trial(measured, folder))
    except AdvisorError as error:
        # What is missing is told; the profile holds without it.
        return msgspec.structs.replace(measured, notes=(*measured.notes, f"no trial inside a server: {error.fault}"))


def _plan(model: Path, folder: Path, options: ProfileOptions, workload: Workload | OfflineWorkload | None, *, now: str) -> Plan:
    lengths = sequence_lengths(workload)
    floor = workload.quality if workload else None
    data = options.workload.parent / floor.data if options.workload and floor and floor.data else None
    rows_path = options.inputs
    rows = model_inputs.read_npz(rows_path, "--inputs") if rows_path else None
    baseline = _onnx_file(model, folder)
    facts = _facts(model, baseline, lengths, rows)
    if rows_path is not None and rows is not None:
        model_inputs.check_rows(facts.inputs, rows, rows_path)
    if data is not None and floor is not None:
        examples = model_inputs.read_npz(data, "quality.data")
        quality.check(floor.metric, facts.outputs, examples, model_inputs.check_rows(facts.inputs, examples, data))
    for path in options.variants:
        _check_variant(path, facts)
    settings = ProfileSettings(
        sequence_lengths=lengths,
        max_batch_size=options.max_batch_size,
        max_latency_s=workload.slo.latency_s if isinstance(workload, Workload) else None,  # of a batch job, any
        budget_s=options.budget_s,
        seed=options.seed,
        inputs_sha256=sha256(rows_path) if rows_path else None,
        quality_metric=floor.metric if floor and data else None,
        quality_data_sha256=sha256(data) if data else None,
        given_sha256=tuple(onnx_graph.read_graph(path).sha256 for path in options.variants),
    )
    machine, catalogue = read_machine(), schemes()
    parts = (SCHEMA_VERSION, __version__, facts, settings, catalogue, machine, versions())
    return Plan(
        baseline=baseline,
        folder=folder,
        facts=facts,
        settings=settings,
        schemes=catalogue,
        given=options.variants,
        machine=machine,
        rows=str(rows_path.resolve()) if rows_path else None,
        data=str(data.resolve()) if data else None,
        created=now,
        fingerprint=hashlib.sha256(msgspec.json.encode(parts)).hexdigest(),
    )


def _check_variant(path: Path, facts: ModelFacts) -> None:
    """Raise InputError unless the file takes the same inputs and gives the same outputs as the model."""
    if not path.is_file():
        raise InputError(f"--variant: {path}: no such file", hint="give an .onnx file made from the same model")
    graph = onnx_graph.read_graph(path)
    for what, ours, theirs in (
        ("inputs", [(entry.name, entry.dtype) for entry in facts.inputs], [(entry.name, entry.dtype) for entry in graph.inputs]),
        ("outputs", [entry.name for entry in facts.outputs], [entry.name for entry in graph.outputs]),
    ):
        if sorted(ours) != sorted(theirs):
            raise InputError(
                f"--variant: {path}: its {what} are {theirs}, the model's are {ours}",
                hint="a variant is served in the model's place: it must take and give the same",
            )


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
