"""The measuring third of the pipeline for a generative model: a decoder's folder to a profile, with the variants in folders beside it."""

import hashlib
import os
from pathlib import Path

import msgspec

from advisor import __version__
from advisor.disk import locks, temporary
from advisor.disk.beside import check_places, owned
from advisor.errors import InputError
from advisor.files.catalog import hardware_of, read_device
from advisor.files.records import read_json, write_record
from advisor.files.workload import examples_sha256, read_question
from advisor.measure.generation.making import SCHEMES, described
from advisor.measure.generation.openvino.making import FORMS
from advisor.measure.generation.timing.journal import GenerationJournal
from advisor.measure.runtime import memory
from advisor.measure.runtime.machine import read_machine
from advisor.measure.runtime.ort_session import versions
from advisor.measure.timing.journal import noting_what_is_kept
from advisor.measure.timing.ledger import Ledger
from advisor.measure.variants.making import Report
from advisor.schema.catalog import LOCAL
from advisor.schema.generation import DecoderFacts, GenerationProfile, GenerationSettings, GenerationSite
from advisor.schema.options import ProfileOptions
from advisor.schema.record import SCHEMA_VERSION
from advisor.schema.workload import GenerationWorkload
from advisor.steps import model_folder
from advisor.steps.distillation.of_decoders import Smaller, draft_of, students_of
from advisor.steps.distillation.students import paths_in
from advisor.steps.generation.asked import Asked, asked_of
from advisor.steps.generation.dispatch import ASKING
from advisor.steps.generation.measuring import Measuring
from advisor.steps.generation.measuring import are_still as variants_are_still
from advisor.steps.generation.plan import OPENVINO, USUALLY, How, Plan, Stage
from advisor.steps.shared.keys import profile_key
from advisor.steps.shared.profiles import Here, SharedProfile
from advisor.units import parse_moment


def profile_generation(
    model: Path, output: Path, options: ProfileOptions, *, now: str, report: Report, how: How = USUALLY
) -> GenerationProfile:
    """Measure the decoder and write the profile to `output`; go on where an interrupted run of the same command stopped.

    A finished profile of the same model, settings, versions and machine is returned as it is, unless `options.fresh`. Raises InputError
    while another process writes the same output..
    """
    now = parse_moment(now)
    check_places(model, output, options)
    with locks.held(output):
        return measured_into(model, output, options, now=now, report=report, how=how)


def measured_into(
    model: Path, output: Path, options: ProfileOptions, *, now: str, report: Report, how: How = USUALLY
) -> GenerationProfile:
    """Do what `profile_generation` does, where the caller holds the lock of the output."""
    now = parse_moment(now)
    options = _checked(options)
    workload = _asked_for_tokens(options)
    variants = output.with_suffix(".variants")
    smaller = (*([] if options.draft is None else [options.draft]), *paths_in(options.students))
    with owned(variants, inputs=(model, *smaller)), temporary.home() as scratch, how.start() as apart:
        temporary.remove_abandoned(variants)
        ledger = Ledger(options.budget_s)
        ledger.trial_s = 0.0  # what a server adds is seen where requests are replayed
        report(0.0, options.budget_s, "reading the model", line=ledger.promise)
        with ledger.loading():
            facts = apart.call(model_folder.reading(str(model)), described, model)
            draft = None if options.draft is None else draft_of(apart, model, facts, options.draft)
            students = students_of(apart, model, facts, options.students, scratch)
        asked = asked_of(facts, workload, options, free_bytes=memory.available_bytes())
        plan = _plan(
            model, variants, facts, asked, Smaller(draft, students.decoders), workload, options, now=now, engine=how.openvino()
        )
        stage = Stage(ledger, report, apart, scratch, how)
        known, shared = None if options.fresh else _known(output), _shared(plan, options, stage)
        if known is not None and (site := _finished(known, plan)) is not None:
            if variants_are_still(site.variants, output.parent, apart):
                shared.put(known)
                return known
            stage.say("measuring again", line=f"{variants.name} no longer holds what was measured: the model is measured again")
        others = _other_sites(known, plan, output) if known is not None else ()
        plan = msgspec.structs.replace(plan, excluded=students.exclusions)
        if (site := shared.site()) is not None and variants_are_still(site.variants, output.parent, apart):
            found = _profile_of(plan, (site, *others))
            write_record(output, found)
            return found
        measured = _measured(plan, output, others, stage, fresh=options.fresh)
        shared.put(measured)
        return measured


def _shared(plan: Plan, options: ProfileOptions, stage: Stage) -> SharedProfile[GenerationSite]:
    """Return the profile as it may lie in the store that the options name; the model as given is here anyway."""
    key = profile_key(plan.facts, plan.settings, plan.hardware, plan.machine, plan.versions)
    here = Here(key, plan.folder, plan.created, {plan.facts.sha256: os.path.relpath(plan.model, plan.folder.parent)})
    return SharedProfile(
        options.store, here, lambda line: stage.say("looking at what was measured before", line=line), fresh=options.fresh
    )


def _profile_of(plan: Plan, sites: tuple[GenerationSite, ...]) -> GenerationProfile:
    return GenerationProfile(schema_version=SCHEMA_VERSION, model=plan.facts, settings=plan.settings, sites=sites)


def _measured(plan: Plan, output: Path, others: tuple[GenerationSite, ...], stage: Stage, *, fresh: bool) -> GenerationProfile:
    journal_path = output.with_suffix(".journal")
    if fresh:
        journal_path.unlink(missing_ok=True)
    journal = GenerationJournal(journal_path, plan.fingerprint)
    try:
        with noting_what_is_kept(journal.entries):
            site = Measuring(plan, journal, stage).site()
            stage.report(stage.ledger.spent_s, stage.ledger.spent_s, "writing the profile")
            measured = _profile_of(plan, (site, *others))
            write_record(output, measured)
    except BaseException:
        if not journal.entries:
            journal.remove()
        raise
    journal.remove()
    return measured


def _checked(options: ProfileOptions) -> ProfileOptions:
    """Return the options with the id of the hardware; raise InputError for those that a generative model has no use for."""
    if options.inputs is not None:
        raise InputError(
            f"--inputs: {options.inputs}: a generative model is timed on prompts of the workload's lengths, whatever is in them",
            hint="leave it out; a text to judge quality on is quality.data of the workload",
        )
    if options.variants:
        raise InputError(
            f"--variant: {options.variants[0]}: files of one pass cannot take the place of a generative model",
            hint="leave it out; variants are made of the checkpoint",
        )
    if options.hardware == LOCAL:
        return options
    device = read_device(options.hardware)
    if device.kind not in ("cpu", "edge"):
        raise InputError(
            f"--hardware: {device.id} is a {device.kind}, and generative models are measured on processors alone",
            hint="give the id of this machine, or leave it out",
        )
    return options._replace(hardware=device.id)


def _asked_for_tokens(options: ProfileOptions) -> GenerationWorkload | None:
    """Return the workload, None without one; raise InputError for one that is about a model of one pass."""
    if options.workload is None:
        return None
    workload = read_question(options.workload)
    if isinstance(workload, GenerationWorkload):
        return workload
    raise InputError(
        f"{options.workload}: asks about a model of one pass, and this one generates token by token",
        hint=f"add, for example, {ASKING}",
    )


def _plan(
    model: Path,
    folder: Path,
    facts: DecoderFacts,
    asked: Asked,
    smaller: Smaller,
    workload: GenerationWorkload | None,
    options: ProfileOptions,
    *,
    now: str,
    engine: str | None,
) -> Plan:
    """Return the plan; `engine` is the version of OpenVINO's, None where there is none."""
    machine = read_machine()
    wanted = _wanted(options, workload)
    settings = GenerationSettings(
        budget_s=options.budget_s,
        seed=options.seed,
        max_context_tokens=asked.max_context_tokens,
        max_running_requests=asked.max_running,
        text_sha256=None if asked.text is None else examples_sha256(asked.text.parent, asked.text.name),
        wanted=wanted,
        draft_sha256=None if smaller.draft is None else smaller.draft.facts.sha256,
        students_sha256=tuple(it.facts.sha256 for it in smaller.students),
        input_fraction=asked.input_fraction,
        asked_sha256=hashlib.sha256(msgspec.json.encode((asked.lengths, asked.max_drop))).hexdigest(),
    )
    known = versions() | ({} if engine is None else {OPENVINO: engine})
    parts = (SCHEMA_VERSION, __version__, facts, settings, machine, known, smaller.decides)
    return Plan(
        model=model,
        folder=folder,
        facts=facts,
        settings=settings,
        asked=asked,
        draft=smaller.draft,
        students=smaller.students,
        wanted=wanted,
        today_threads=None if workload is None or workload.baseline is None else workload.baseline.intra_op_num_threads,
        versions=known,
        machine=machine,
        hardware=hardware_of(options.hardware, machine),
        created=now,
        fingerprint=hashlib.sha256(msgspec.json.encode(parts)).hexdigest(),
    )


def _wanted(options: ProfileOptions, workload: GenerationWorkload | None) -> tuple[str, ...]:
    """Return the schemes that the user named, as options or as what is served today: they are timed whatever their quality."""
    names = (*SCHEMES, *FORMS)
    for name in options.schemes:
        if name not in names:
            raise InputError(f"--scheme: there is no {name!r} of decoders", hint=f"there are: {', '.join(names)}")
    today = workload.baseline.variant if workload is not None and workload.baseline is not None else None
    return tuple(name for name in names if name in options.schemes or name == today)


def _known(output: Path) -> GenerationProfile | None:
    """Return the profile that is there already, None where there is none."""
    if not output.is_file():
        return None
    return read_json(output, GenerationProfile, made_by="advisor profile --fresh")


def _finished(known: GenerationProfile, plan: Plan) -> GenerationSite | None:
    """Return what an equal run measured on this machine, None where there was none."""
    asked = (plan.fingerprint, plan.hardware.id)
    return next((site for site in known.sites if (site.fingerprint, site.hardware.id) == asked), None)


def _other_sites(known: GenerationProfile, plan: Plan, output: Path) -> tuple[GenerationSite, ...]:
    """Return what other machines measured: measuring here must not lose it; raise InputError where it is of another model."""
    others = tuple(site for site in known.sites if site.hardware.id != plan.hardware.id)
    if others and known.model.sha256 != plan.facts.sha256:
        names = ", ".join(site.hardware.id for site in others)
        raise InputError(
            f"{output}: holds measurements by {names} of another model",
            hint=f"name another file than {os.fspath(output)} with --output",
        )
    return others
