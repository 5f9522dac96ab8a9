"""The straight line from files to advice: profile, advise, report. Here files are read and written; nothing is decided."""

import hashlib
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import numpy as np

from advisor import __version__
from advisor.decide.advise import Request, advise, with_load_tests
from advisor.decide.bench import Bench
from advisor.decide.load_judgement import Observed, expected_service_s, judge, learned, offered
from advisor.errors import InputError
from advisor.files import check_writable, read_json, read_yaml, sha256, write_atomically, write_record
from advisor.measure import checkpoint, load_test, model_facts, model_inputs, profiler, quality
from advisor.measure.machine import read_machine
from advisor.measure.ort_session import versions
from advisor.measure.server import Serve
from advisor.measure.store import Journal
from advisor.measure.variants import Plan
from advisor.rulebook import read_rules
from advisor.schema import (
    SCHEMA_VERSION,
    Advice,
    Candidate,
    LoadTest,
    ModelFacts,
    Profile,
    ProfileSettings,
    Scheme,
    Trace,
    Workload,
)
from advisor.tell.report import render
from advisor.workload_file import read_trace, read_workload, sequence_lengths

DEFAULT_BUDGET_S = 60.0
DEFAULT_MAX_BATCH_SIZE = 64
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
        write_record(output, measured)
    except BaseException:
        if journal.visits:
            journal.close()
        else:
            journal.remove()
        raise
    journal.remove()
    return measured


def _plan(model: Path, folder: Path, options: ProfileOptions, workload: Workload | None, *, now: str) -> Plan:
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
    settings = ProfileSettings(
        sequence_lengths=lengths,
        max_batch_size=options.max_batch_size,
        max_latency_s=workload.slo.latency_s if workload else None,
        budget_s=options.budget_s,
        seed=options.seed,
        inputs_sha256=sha256(rows_path) if rows_path else None,
        quality_metric=floor.metric if floor and data else None,
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
    measured = _read_profile(profile_path)
    workload = read_workload(workload_path)
    request, trace = _request(workload, profile_path, now=now), _trace(workload, workload_path)
    if workload.quality is not None and workload.quality.data is not None:
        measured = _with_quality_on(measured, {sha256(workload_path.parent / workload.quality.data)})
    try:
        return advise(measured, request, trace)
    except InputError as error:
        raise InputError(f"{workload_path}: {error.fault}", hint=error.hint) from error


def _read_profile(path: Path) -> Profile:
    measured = read_json(path, Profile, made_by="advisor profile")
    as_given = {variant.id for variant in measured.variants if variant.derived_from is None}
    if not any(entry.variant in as_given and entry.visits for entry in measured.measurements):
        raise InputError(
            f"{path}: holds no measurement of the model as it was given", hint="measure again: advisor profile --fresh"
        )
    return measured


def _with_quality_on(measured: Profile, data_sha256: set[str]) -> Profile:
    """Return the profile without what was measured on other data: it says nothing of the floor that the workload sets."""
    variants = (
        msgspec.structs.replace(
            entry, quality=entry.quality if entry.quality and entry.quality.data_sha256 in data_sha256 else None
        )
        for entry in measured.variants
    )
    return msgspec.structs.replace(measured, variants=tuple(variants))


def _request(workload: Workload, profile_path: Path, *, now: str) -> Request:
    with as_file(files("advisor.rules")) as folder:
        rules = read_rules(folder)
    return Request(
        workload=workload,
        rules=rules,
        profile_sha256=sha256(profile_path),
        profile_path=profile_path.name,
        created=now,
    )


def _trace(workload: Workload, workload_path: Path) -> Trace | None:
    name = workload.traffic.trace
    return read_trace(workload_path.parent / name) if name is not None else None


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


def verify(advice_path: Path, workload_path: Path | None, *, wanted_s: float, now: str, report: Report) -> Advice:
    """Serve the recommendation and the baseline for real, and return the advice with what was seen, in the files too.

    What is learned of service inside a server goes into the profile and the advice is made anew with it; a recommendation that changed
    is served in its turn.
    """
    advice = read_advice(advice_path)
    profile_path = advice_path.parent / (advice.profile_path or "profile.json")
    measured = _read_profile(profile_path)
    if sha256(profile_path) != advice.profile_sha256:
        raise InputError(
            f"{profile_path}: not the profile that {advice_path} was made from", hint="make the advice again: advisor advise"
        )
    if advice.workload.traffic.trace is not None and workload_path is None:
        raise InputError(
            f"{advice_path}: its traffic is a trace, which is not in the file", hint="name the workload file with -w"
        )
    trace = _trace(advice.workload, workload_path) if workload_path else None
    tests = _load_tests(advice, measured, trace, profile_path.parent, (), wanted_s=wanted_s, report=report)
    measured = msgspec.structs.replace(measured, service_ratios=learned(measured.service_ratios, tests))
    write_record(profile_path, measured)
    judged_on = {entry.quality.data_sha256 for entry in advice.variants if entry.quality is not None}
    again = advise(_with_quality_on(measured, judged_on), _request(advice.workload, profile_path, now=now), trace)
    tests = _load_tests(again, measured, trace, profile_path.parent, tests, wanted_s=wanted_s, report=report)
    verified = with_load_tests(again, tests)
    write_record(advice_path, verified)
    return verified


def _load_tests(
    advice: Advice,
    measured: Profile,
    trace: Trace | None,
    folder: Path,
    known: tuple[LoadTest, ...],
    *,
    wanted_s: float,
    report: Report,
) -> tuple[LoadTest, ...]:
    """Return a load test of the recommendation (or of the nearest miss) and of the baseline, those that are known first."""
    bench = Bench(measured, advice.workload, trace)
    tests = {test.candidate: test for test in known}
    for prediction in (advice.recommended or advice.nearest_miss, advice.baseline):
        if prediction is None or prediction.candidate in tests:
            continue
        candidate = prediction.candidate
        report(0.0, wanted_s, f"serving {candidate.variant} for real")
        arrival_s, lengths = offered(bench, candidate, wanted_s=wanted_s)
        seen = load_test.replay(serve_of(measured, candidate, folder, len(arrival_s)), arrival_s, lengths)
        observed = Observed(
            latency_s=seen.latency_s,
            lag_s=seen.lag_s,
            duration_s=seen.duration_s,
            service_s=seen.service_s,
            batch_size=seen.batch_size,
            expected_service_s=expected_service_s(bench, candidate, seen.batch_size, seen.batch_length),
        )
        tests[candidate] = judge(prediction, advice.workload, observed)
    return tuple(tests.values())


def serve_of(measured: Profile, candidate: Candidate, folder: Path, requests: int) -> Serve:
    """Return what a server process needs to serve the candidate; `folder` is that of the profile."""
    path = folder / next(variant.path for variant in measured.variants if variant.id == candidate.variant)
    if not path.is_file():
        raise InputError(f"{path}: no such file; the profile names it for {candidate.variant}", hint="run advisor profile again")
    return Serve(
        path=str(path),
        inputs=measured.model.inputs,
        intra_op_num_threads=candidate.intra_op_num_threads,
        instances=candidate.instances,
        max_batch_size=candidate.max_batch_size,
        max_queue_delay_s=candidate.max_queue_delay_s,
        requests=requests,
        seed=measured.settings.seed,
    )


def held(advice: Advice) -> bool:
    """Return whether the recommendation kept its target in a load test whose generator kept up."""
    recommended = advice.recommended.candidate if advice.recommended else None
    return any(test.candidate == recommended and test.meets_slo and test.generator_kept_up for test in advice.load_tests)


def read_advice(path: Path) -> Advice:
    """Return the advice in a file."""
    return read_json(path, Advice, made_by="advisor advise")
