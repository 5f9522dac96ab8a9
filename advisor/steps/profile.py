"""The measuring third of the pipeline: model file to profile.json, with the variant files beside it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from advisor import __version__
from advisor.disk import locks, temporary
from advisor.disk.beside import check_places, owned
from advisor.disk.writing import write_atomically
from advisor.errors import InputError
from advisor.files.catalog import hardware_of, read_device, schemes
from advisor.files.records import sha256, write_record
from advisor.files.workload import (
    examples_sha256,
    fitting,
    lengths_are_recorded,
    read_question,
    read_workload,
    sequence_lengths,
    trace_of,
)
from advisor.measure.quality import own_code
from advisor.measure.runtime.machine import read_machine
from advisor.measure.runtime.ort_session import providers, versions
from advisor.measure.runtime.power import Meter
from advisor.measure.timing import profiler
from advisor.measure.timing.journal import noting_what_is_kept
from advisor.measure.timing.ledger import Ledger
from advisor.measure.timing.profile_journal import ProfileJournal
from advisor.measure.variants import preflight
from advisor.measure.variants.making import Plan, Report, Today, baseline_id
from advisor.measure.variants.processes import Tools
from advisor.measure.variants.quantize import QUANTIZING
from advisor.measure.worker.apart import Apart
from advisor.quality_floor import OWN
from advisor.schema.catalog import CPU, LOCAL, Hardware, Scheme
from advisor.schema.generation import GenerationProfile
from advisor.schema.model import Graph, ModelFacts
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Machine, Profile, ProfileSettings, Site
from advisor.schema.record import SCHEMA_VERSION
from advisor.schema.workload import Baseline, GenerationWorkload, OfflineWorkload, OnlineWorkload
from advisor.steps import model_folder
from advisor.steps.deciding import decider, served
from advisor.steps.distillation.students import Students, paths_in, students_of
from advisor.steps.examples import GivenModel, asked_examples, base_of, with_consent
from advisor.steps.generation import dispatch
from advisor.steps.generation.reading import read_one_pass
from advisor.steps.shared.one_pass import SharedSite, saying
from advisor.steps.shared.profiles import check_store
from advisor.units import parse_moment

KEPT_INPUTS, FRESH = "inputs.npz", "advisor profile --fresh"
# The maker of a GPU -> the execution provider that reaches it.
PROVIDER_OF_GPUS = {"NVIDIA": "CUDAExecutionProvider"}


def profile(model: Path, output: Path, options: ProfileOptions, *, now: str, report: Report) -> Profile | GenerationProfile:
    """Measure the model and write the profile to `output`; go on where an interrupted run of the same command stopped.

    A finished profile of the same model, settings, versions and machine is returned as it is, unless `options.fresh`. Raises InputError
    while another process writes the same output.
    """
    now = parse_moment(now)
    check_places(model, output, options)
    with locks.held(output):
        return measured_into(model, output, options, now=now, report=report)


def measured_into(model: Path, output: Path, options: ProfileOptions, *, now: str, report: Report) -> Profile | GenerationProfile:
    """Do what `profile` does, where the caller holds the lock of the output."""
    now = parse_moment(now)
    check_store(options.store)
    workload = read_question(options.workload) if options.workload else None
    if isinstance(workload, GenerationWorkload):
        from advisor.steps.generation import profile as generation

        dispatch.check_generates(model, options)
        return generation.measured_into(model, output, options, now=now, report=report)
    if options.draft is not None:
        raise InputError(
            f"--draft: {options.draft}: proposes tokens to a decoder, and this model is measured as one pass",
            hint=f"leave it out, or ask about tokens: {dispatch.ASKING}",
        )
    options = with_consent(workload, options)
    model = model_folder.chosen(model)
    if options.hardware != LOCAL:
        device = read_device(options.hardware)
        provider_for(device, providers())
        options = options._replace(hardware=device.id)
    variants = output.with_suffix(".variants")
    inputs = (model, *options.variants, *paths_in(options.students))
    with owned(variants, inputs=inputs), temporary.home() as place, Apart() as apart:
        temporary.remove_abandoned(variants)
        return _profile(model, output, options, workload, place, apart, now=now, report=report)


def _profile(
    model: Path,
    output: Path,
    options: ProfileOptions,
    workload: OnlineWorkload | OfflineWorkload | None,
    scratch: Path,
    apart: Apart,
    *,
    now: str,
    report: Report,
) -> Profile:
    """Measure, the user's examples kept in `scratch` meanwhile."""
    folder, ledger = output.with_suffix(".variants"), Ledger(options.budget_s)
    if (model / "config.json").is_file():
        report(0.0, options.budget_s, "reading the checkpoint", line=ledger.promise)
    with ledger.loading():
        baseline = model_folder.file_of(apart, model, folder)  # the export of a checkpoint takes a while
    with ledger.looking():
        plan = plan_for(model, folder, options, workload, scratch, now=now, baseline=baseline, apart=apart)
    say, tools = saying(report, ledger), Tools(plan, apart)
    known, shared = (
        _known(output, fresh=options.fresh),
        SharedSite(options, plan, schemes_on(plan.provider, schemes()), tools, say),
    )
    if known is not None and not options.fresh and (site := _finished(known, plan)) is not None:
        if tools.restored(site.variants):
            shared.put(known)
            return known
        say(f"{folder.name} no longer holds what was measured: the model is measured again")
    others = _other_sites(known, plan, output) if known is not None else ()
    if (site := shared.site()) is not None:
        found = Profile(schema_version=SCHEMA_VERSION, model=plan.facts, settings=plan.settings, sites=(site, *others))
        write_record(output, found)
        return found
    journal_path = output.with_suffix(".journal")
    if options.fresh:
        journal_path.unlink(missing_ok=True)
    journal, meter = ProfileJournal(journal_path, plan.fingerprint), Meter()

    def metered(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
        meter.read()
        report(done_s, of_s, what, line=line)

    decide = None if options.general else decider(workload, options.workload, plan.facts, output.parent, ledger, now=now)
    try:
        with noting_what_is_kept(journal.visits):
            report(ledger.spent_s, ledger.expected_s, "loading the model", line=ledger.promise)
            measured = profiler.measure(msgspec.structs.replace(plan, ask=decide), journal, ledger, metered, apart)
            measured = served(measured, output.parent, decide, ledger, metered)
            site = msgspec.structs.replace(measured.sites[0], power=meter.power())
            report(ledger.spent_s, ledger.spent_s, "writing the profile")
            measured = msgspec.structs.replace(measured, sites=(site, *others))
            write_record(output, measured)
    except BaseException:
        if not journal.visits:
            journal.remove()
        raise
    journal.remove()
    shared.put(measured)
    return measured


def _kept_inputs(rows: Path | None, folder: Path) -> str | None:
    """Return where a copy of the user's own inputs lies, from the folder of the profile: load tests serve them too."""
    if rows is None:
        return None
    kept = folder / KEPT_INPUTS
    if kept.is_symlink():
        kept.unlink()  # a copy is ours; what a link leads to is not
    if not (kept.exists() and kept.samefile(rows)):
        write_atomically(kept, rows.read_bytes())
    return f"{folder.name}/{KEPT_INPUTS}"


def _known(output: Path, *, fresh: bool) -> Profile | None:
    """Return the profile that is there already; None where there is none, or none that can be read and all is to be measured anew."""
    if not output.is_file():
        return None
    try:
        return read_one_pass(output, "and this one is measured as one pass", made_by=FRESH, hint=f"name another file, or {FRESH}")
    except InputError:
        if fresh:
            return None
        raise


def _finished(known: Profile, plan: Plan) -> Site | None:
    """Return what an equal run measured on this machine, None where there was none."""
    asked = (plan.fingerprint, plan.hardware.id)
    return next((site for site in known.sites if (site.fingerprint, site.hardware.id) == asked), None)


def _other_sites(known: Profile, plan: Plan, output: Path) -> tuple[Site, ...]:
    """Return what other machines measured: measuring here must not lose it.

    Raises InputError where it does not go together with what is to be measured.
    """
    others = tuple(site for site in known.sites if site.hardware.id != plan.hardware.id)
    are_alike = (known.model.sha256, known.settings.sequence_lengths) == (plan.facts.sha256, plan.settings.sequence_lengths)
    if others and not are_alike:
        names = ", ".join(site.hardware.id for site in others)
        raise InputError(
            f"{output}: holds measurements by {names} of another model or at other lengths",
            hint="name another file with --output",
        )
    return others


def plan_for(
    model: Path,
    folder: Path,
    options: ProfileOptions,
    workload: OnlineWorkload | OfflineWorkload | None,
    scratch: Path,
    *,
    now: str,
    baseline: Path | None = None,
    apart: Apart | None = None,
) -> Plan:
    """Return what is to be measured, variants in `folder`, examples in `scratch`; `baseline` is the model's ONNX file, if there is one.

    The model and the user's arrays are looked at in `apart`, a process of their own.
    """
    now = parse_moment(now)
    if apart is None:
        with Apart() as own:
            return plan_for(model, folder, options, workload, scratch, now=now, baseline=baseline, apart=own)
    baseline = baseline or model_folder.file_of(apart, model, folder)
    if (
        isinstance(workload, OnlineWorkload)
        and options.workload
        and lengths_are_recorded(workload, read_workload(options.workload))
    ):
        # Those who log requests log their lengths, whether this model reads them or not.
        workload = fitting(workload, model_folder.facts_of(apart, model, baseline, (), options.inputs))
    facts = model_folder.facts_of(apart, model, baseline, sequence_lengths(workload), options.inputs)
    given = model_folder.given_files(apart, options.variants, folder, facts)
    whole = GivenModel(model, facts)
    students = students_of(
        apart,
        whole,
        baseline,
        folder,
        options,
        taken=(baseline_id(facts), *(path.stem for path in options.variants), *(scheme.id for scheme in schemes())),
        is_planned=isinstance(workload, OnlineWorkload) and workload.lifecycle is not None,
    )
    return _plan(apart, whole, baseline, given, students, folder, options, workload, scratch, now=parse_moment(now))


def _plan(
    apart: Apart,
    model: GivenModel,
    baseline: Path,
    given: tuple[tuple[Path, Graph], ...],
    students: Students,
    folder: Path,
    options: ProfileOptions,
    workload: OnlineWorkload | OfflineWorkload | None,
    scratch: Path,
    *,
    now: str,
) -> Plan:
    """Return the plan for a model whose facts are known, and those of the variants that the user gave."""
    facts, is_checkpoint = model.facts, model.path.is_dir()
    machine, available = read_machine(), providers()
    hardware = hardware_of(options.hardware, machine)
    provider = provider_for(hardware, available)
    catalog = schemes_on(provider, schemes())
    wanted = _wanted(options, workload, catalog)
    case = preflight.Case(facts=facts, machine=machine, providers=available, is_checkpoint=is_checkpoint)
    chosen, excluded = preflight.select(catalog, case, wanted)
    is_calibrated = any(scheme.method in QUANTIZING for scheme in chosen)  # or mixed: its operators are chosen on them
    reading = model_folder.reading("the examples")
    how: dict[str, Any] = {"is_calibrated": is_calibrated, "learned": students.learned}
    asked = apart.call(reading, asked_examples, workload, options, model, scratch, **how)
    settings = _settings(workload, options, [graph.sha256 for _, graph in given], wanted, has_data=asked.data is not None)
    settings = msgspec.structs.replace(settings, max_batch_size=_largest(options, facts), students_sha256=students.sha256)
    parts = (SCHEMA_VERSION, __version__, facts, settings, catalog, machine, versions(), available, students.learned)
    return Plan(
        baseline=baseline,
        folder=folder,
        facts=facts,
        settings=settings,
        schemes=tuple(chosen),
        given=tuple(path for path, _ in given),
        students=students.files,
        hardware=hardware,
        provider=provider,
        machine=machine,
        rows=str(options.inputs.resolve()) if options.inputs else None,
        inputs_path=_kept_inputs(options.inputs, folder),
        data=asked.data,
        created=now,
        fingerprint=hashlib.sha256(msgspec.json.encode(parts)).hexdigest(),
        checkpoint=model.path if is_checkpoint else None,
        calibration=asked.calibration,
        providers=available,
        own_metric=_own_metric(workload, options),
        excluded=(*excluded, *students.exclusions),
        notes=(*asked.notes, *dispatch.note_on(model.path), *students.notes),
        today=_today(workload, facts, machine),
        kept=wanted | {path.stem for path in options.variants} | students.ids,
    )


def _largest(options: ProfileOptions, facts: ModelFacts) -> int:
    return min(filter(None, (options.max_batch_size, facts.batching.largest)))


def _today(workload: OnlineWorkload | OfflineWorkload | None, facts: ModelFacts, machine: Machine) -> Today:
    today = (workload.baseline if isinstance(workload, OnlineWorkload) else None) or Baseline()
    return Today(today.variant or baseline_id(facts), today.intra_op_num_threads or machine.cores, today.instances or 1)


def provider_for(hardware: Hardware, available: tuple[str, ...]) -> str:
    """Return what runs the model as given on the hardware; raise InputError where ONNX Runtime has nothing here that does."""
    if hardware.kind in ("cpu", "edge"):
        return CPU
    provider = PROVIDER_OF_GPUS.get(hardware.vendor) if hardware.kind == "gpu" else None
    if provider in available:
        return provider
    needed = f"{provider}, which is missing here" if provider else "a provider that advisor does not support"
    raise InputError(
        f"--hardware: {hardware.id} is a {hardware.kind}, which needs {needed}; ONNX Runtime has: {', '.join(available)}",
        hint="give the id of this machine, or install the ONNX Runtime build for that device",
    )


def schemes_on(provider: str, catalog: tuple[Scheme, ...]) -> tuple[Scheme, ...]:
    """Return the schemes for a machine whose model as given runs on the provider: what others ran on CPUs runs there too.

    The model as given on that provider is no variant of itself.
    """
    if provider == CPU:
        return catalog
    others = (scheme for scheme in catalog if (scheme.method, scheme.provider) != ("provider", provider))
    return tuple(msgspec.structs.replace(scheme, provider=provider) if scheme.provider == CPU else scheme for scheme in others)


def _wanted(
    options: ProfileOptions, workload: OnlineWorkload | OfflineWorkload | None, catalog: tuple[Scheme, ...]
) -> frozenset[str]:
    """Return the schemes that the user named, as options or as what is served today."""
    known = [scheme.id for scheme in catalog]
    for name in options.schemes:
        if name not in known:
            raise InputError(f"--scheme: there is no {name!r}", hint=f"the catalog has: {', '.join(known)}")
    today = workload.baseline.variant if isinstance(workload, OnlineWorkload) and workload.baseline else None
    return frozenset(name for name in known if name in options.schemes or name == today)


def _settings(
    workload: OnlineWorkload | OfflineWorkload | None,
    options: ProfileOptions,
    given_sha256: list[str],
    wanted: frozenset[str],
    *,
    has_data: bool,
) -> ProfileSettings:
    """Return the settings that a profile records; `has_data`: whether there is data to measure quality on."""
    floor, base = workload.quality if workload else None, base_of(options)
    measurable = floor if has_data else None
    return ProfileSettings(
        sequence_lengths=sequence_lengths(workload),
        max_batch_size=options.max_batch_size,
        max_latency_s=workload.slo.latency_s if isinstance(workload, OnlineWorkload) else None,  # of a batch job, any
        budget_s=options.budget_s,
        seed=options.seed,
        inputs_sha256=sha256(options.inputs) if options.inputs else None,
        quality_metric=measurable.metric if measurable else None,
        quality_data_sha256=examples_sha256(base, floor.data) if floor and floor.data else None,
        given_sha256=tuple(given_sha256),
        quality_max_drop=measurable.max_drop if measurable else None,
        quality_max_slice_drop=measurable.max_slice_drop if measurable else None,
        calibration_sha256=examples_sha256(base, floor.calibration) if floor and floor.calibration else None,
        wanted=tuple(sorted(wanted)),
        asked_sha256=_asked_sha256(workload, options),
    )


def _asked_sha256(workload: OnlineWorkload | OfflineWorkload | None, options: ProfileOptions) -> str | None:
    """Return the digest of what decides which points are timed: another question rests on others."""
    if options.general or not isinstance(workload, OnlineWorkload):
        return None
    recorded = trace_of(workload.traffic, options.workload).sha256 if workload.traffic.trace and options.workload else ""
    asked = (workload.traffic, workload.slo, workload.inputs, workload.baseline)
    return hashlib.sha256(msgspec.json.encode(asked) + recorded.encode()).hexdigest()


def _own_metric(workload: OnlineWorkload | OfflineWorkload | None, options: ProfileOptions) -> Callable[..., object] | None:
    """Return the user's function, where the metric is one."""
    floor = workload.quality if workload else None
    if floor is None or not OWN.fullmatch(floor.metric):
        return None
    return own_code.load(floor.metric, base_of(options), "quality.metric", is_allowed=options.allow_code)
