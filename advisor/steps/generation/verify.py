"""The last step for a generative model: requests of its workload are really served by what is advised, beside what was expected."""

from pathlib import Path

import msgspec

from advisor.decide.generation.advise import advise_generation
from advisor.errors import ExitStatus, InputError
from advisor.files.records import digest, sha256, write_record
from advisor.measure.runtime.machine import read_machine
from advisor.measure.variants.making import Report
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import (
    GenerationAdvice,
    GenerationCandidate,
    GenerationPrediction,
    GenerationProfile,
    GenerationSite,
    Replay,
)
from advisor.steps.advise import exit_status as exit_status_of_advice
from advisor.steps.generation.advise import recorded_of, request_of, with_quality_on
from advisor.steps.generation.reading import read_generation
from advisor.steps.generation.replaying import Asked, replayed
from advisor.steps.report import are_written, check_reports, write_reports
from advisor.units import counted, parse_moment
from advisor.visits import CONTAMINATED_FRACTION

MOST_REPLAYS = 2  # what is learned of one may make another configuration the answer
WHOLE_PROMPTS = "replays read every prompt whole: the loop that serves them keeps no beginning that prompts share"


def load_tested(
    advice: GenerationAdvice, advice_path: Path, workload_path: Path | None, *, wanted_s: float | None, now: str, report: Report
) -> GenerationAdvice:
    """Serve requests of the workload by what is advised; return the advice with the replays, written to profile and advice too.

    The caller holds the locks of both. The advice is made anew with what was seen, and where it changed that is served in its turn.
    """
    now = parse_moment(now)
    profile_path = advice_path.parent / (advice.profile_path or "profile.json")
    measured = read_generation(profile_path, f"but {advice_path} is about a generative model")
    if sha256(profile_path) != advice.profile_sha256:
        raise InputError(f"{profile_path}: not the profile that {advice_path} was made from", hint="run `advisor advise` again")
    _check_files(advice, advice_path, workload_path)
    recorded = recorded_of(advice.workload, workload_path) if workload_path is not None else None
    is_reported = are_written(advice_path.parent)
    if is_reported:
        check_reports(advice_path.parent)
    judged_on = {it.quality.perplexity.data_sha256 for it in advice.variants if it.quality is not None}
    known = with_quality_on(measured, judged_on)
    served: set[GenerationCandidate] = set()
    while (shown := subject(advice)) is not None and shown.candidate not in served and len(served) < MOST_REPLAYS:
        served.add(shown.candidate)
        site = _site_of(shown, measured, advice_path)
        report(0.0, wanted_s or 0.0, f"serving requests on {shown.candidate.variant}")
        asked = Asked(known, next(it for it in known.sites if it.hardware.id == site.hardware.id), shown, profile_path.parent)
        replay = replayed(asked, advice.workload, recorded, wanted_s=wanted_s)
        measured, known = (_with_replay(it, replay) for it in (measured, known))
        advice = _again(advice, known, measured, profile_path, workload_path, recorded, now=now)
        write_record(profile_path, measured)
        write_record(advice_path, advice)
    if is_reported:
        write_reports(advice, advice_path.parent)
    return advice


def subject(advice: GenerationAdvice) -> GenerationPrediction | None:
    """Return what is served for real: what is recommended, else what is most likely or misses least."""
    return advice.recommended or advice.likely or advice.nearest_miss


def exit_status(advice: GenerationAdvice) -> ExitStatus:
    """Return what advice with replays means to the caller; a replay of what it is about counts for more than the advice.

    Not valid is one during which others kept the cores busy, on the clock on the wall: what it saw is not what the model does.
    """
    shown = subject(advice)
    replay = _replay_of(advice, shown) if shown is not None else None
    if replay is not None and not is_valid(replay):
        return ExitStatus.NOT_VALID
    if advice.recommended is None:
        return exit_status_of_advice(advice)
    if replay is None:
        return ExitStatus.NOT_VALID
    return ExitStatus.ADVICE if replay.meets_slo else ExitStatus.MISSED


def is_valid(replay: Replay) -> bool:
    """Return whether a replay saw the model alone: processor time does, whoever else is at work."""
    waited = replay.run_delay_fraction
    return replay.clock == "cpu" or waited is None or waited <= CONTAMINATED_FRACTION


def _replay_of(advice: GenerationAdvice, shown: GenerationPrediction) -> Replay | None:
    """Return the latest replay of this configuration in this advice."""
    return next((it for it in reversed(advice.replays) if it.candidate == shown.candidate), None)


def _check_files(advice: GenerationAdvice, advice_path: Path, workload_path: Path | None) -> None:
    """Raise InputError where the advice stands on a file that it names and does not hold."""
    for what, name in (
        ("traffic is a trace", advice.workload.traffic.trace),
        ("prices are in a file", advice.workload.hardware.prices),
    ):
        if name is not None and workload_path is None:
            raise InputError(f"{advice_path}: its {what} ({name}), which it does not hold", hint="give the workload file with -w")


def _site_of(shown: GenerationPrediction, measured: GenerationProfile, advice_path: Path) -> GenerationSite:
    """Return the site that this machine is; raise InputError where what is advised runs elsewhere, or was not measured."""
    candidate = shown.candidate
    site = next((it for it in measured.sites if it.hardware.id == candidate.hardware), None)
    if site is None or candidate.variant not in {it.id for it in site.variants}:
        raise InputError(
            f"{advice_path}: {candidate.variant} on {candidate.hardware}: nothing was measured of it",
            hint="run `advisor advise` again",
        )
    machine, there = read_machine(), site.machine
    if (there.cpu, there.cores, there.instruction_sets) != (machine.cpu, machine.cores, machine.instruction_sets):
        raise InputError(
            f"{advice_path}: to be served on {candidate.hardware} ({there.cpu} with {counted(there.cores, 'core')}), but this is a "
            f"{machine.cpu} with {counted(machine.cores, 'core')}",
            hint=f"profile it there with --hardware {candidate.hardware}, and verify there",
        )
    return site


def _with_replay(measured: GenerationProfile, replay: Replay) -> GenerationProfile:
    sites = (
        msgspec.structs.replace(site, replays=(*site.replays, replay)) if site.hardware.id == replay.candidate.hardware else site
        for site in measured.sites
    )
    return msgspec.structs.replace(measured, sites=tuple(sites))


def _again(
    advice: GenerationAdvice,
    known: GenerationProfile,
    measured: GenerationProfile,
    profile_path: Path,
    workload_path: Path | None,
    recorded: Requests | None,
    *,
    now: str,
) -> GenerationAdvice:
    """Return the advice on what is known now; `measured` is what is written, with quality on whatever text."""
    request = request_of(
        advice.workload,
        known,
        profile_path,
        workload_path=workload_path,
        recorded=recorded,
        profile_sha256=digest(measured),
        now=now,
        confidence=advice.confidence,
        max_uncertainty=advice.max_uncertainty,
    )
    made = advise_generation(known, request)
    prefix = advice.workload.tokens.shared_prefix if advice.workload.tokens is not None else 0
    notes = (WHOLE_PROMPTS,) if prefix else ()
    replays = tuple(replay for site in known.sites for replay in site.replays)
    return msgspec.structs.replace(made, replays=replays, notes=(*made.notes, *notes))
