"""The last step: load tests of the recommendation and of the baseline."""

from functools import partial
from operator import attrgetter
from pathlib import Path

import msgspec

from advisor.decide.advice.advise import advise
from advisor.decide.advice.sites import Request, under_load
from advisor.decide.advice.wording import with_load_tests
from advisor.decide.load_test.comparison import taught
from advisor.decide.service.measured import setting_of
from advisor.disk import locks
from advisor.disk.reading import STANDARD_INPUT
from advisor.errors import ExitStatus, InputError
from advisor.files.records import digest, sha256, write_record
from advisor.measure.runtime.machine import read_machine
from advisor.measure.timing.journal import of_load_tests
from advisor.measure.variants.making import Report
from advisor.schema.advice import Advice, LoadTest, Prediction
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.options import USUAL_LOAD_TEST_S, USUAL_MAX_UNCERTAINTY
from advisor.schema.profile import Profile
from advisor.steps.advise import exit_status as exit_status_of_advice
from advisor.steps.advise import notes_of, read_advice, read_any_advice, read_profile, recorded, request_of, with_quality_on
from advisor.steps.generation.reading import check_advising
from advisor.steps.language.configuration import no_load_test
from advisor.steps.report import are_written, check_reports, write_reports
from advisor.steps.serve import inputs_of, serve_for_real
from advisor.units import counted, parse_moment
from advisor.visits import is_valid


def verify(
    advice_path: Path,
    workload_path: Path | None,
    *,
    wanted_s: float | None,
    now: str,
    report: Report,
    rules_folder: Path | None = None,
) -> Advice | GenerationAdvice:
    """Load-test the recommendation and the baseline; return the advice with what was observed, written to the files too.

    What is learned of service inside a server goes into the profile and the advice is made anew with it; a recommendation that changed
    is served in its turn. Each load test is on disk as soon as it has run: the same command resumes from there. `wanted_s` is the length
    of each; None: as long as is usual.
    """
    now = parse_moment(now)
    if advice_path == STANDARD_INPUT:
        raise InputError(
            "-: what is observed is written into the advice, and standard input cannot be written",
            hint="name the file of the advice",
        )
    advice = read_any_advice(advice_path)
    if isinstance(advice, LanguageAdvice):
        raise no_load_test(advice_path)
    profile_path = advice_path.parent / (getattr(advice, "profile_path", None) or "profile.json")
    with locks.held(advice_path, profile_path):
        return load_tested(advice_path, workload_path, wanted_s=wanted_s, now=now, report=report, rules_folder=rules_folder)


def load_tested(
    advice_path: Path,
    workload_path: Path | None,
    *,
    wanted_s: float | None,
    now: str,
    report: Report,
    rules_folder: Path | None = None,
) -> Advice | GenerationAdvice:
    """Do what `verify` does, where the caller holds the locks of advice and profile."""
    now = parse_moment(now)
    about = read_any_advice(advice_path)
    if isinstance(about, GenerationAdvice):
        from advisor.steps.generation import verify as generation  # with all that simulates tokens

        check_advising(rules_folder)
        return generation.load_tested(about, advice_path, workload_path, wanted_s=wanted_s, now=now, report=report)
    usual_s = USUAL_LOAD_TEST_S if wanted_s is None else wanted_s
    return _load_tested(advice_path, workload_path, wanted_s=usual_s, now=now, report=report, rules_folder=rules_folder)


def _load_tested(
    advice_path: Path, workload_path: Path | None, *, wanted_s: float, now: str, report: Report, rules_folder: Path | None
) -> Advice:
    advice, profile_path, measured = _read(advice_path, workload_path)
    here = _here(measured, advice, advice_path)
    trace = recorded(advice.workload, workload_path, measured.model) if workload_path else None
    is_reported = are_written(advice_path.parent)
    if is_reported:
        check_reports(advice_path.parent)
    journal = of_load_tests(advice_path, sha256(advice_path), wanted_s, LoadTest)

    def asked_of(known: Profile) -> Request:
        return request_of(
            advice.workload,
            known,
            profile_path,
            workload_path=workload_path,
            profile_sha256=digest(known),
            now=now,
            rules_folder=rules_folder,
            max_uncertainty=advice.certainty.max_uncertainty if advice.certainty else USUAL_MAX_UNCERTAINTY,
            confidence=advice.confidence,
            notes=notes_of(advice.workload, trace),
        )

    def serve(asked: Advice, known: Profile) -> tuple[LoadTest, ...]:
        sites = under_load(known, asked_of(known), trace)
        site_of = {site.hardware: site for site in (sites.home, *sites.allowed)}
        served = {entry.candidate: entry for entry in _to_serve(asked) if entry.candidate.hardware in here}

        def test_of(prediction: Prediction) -> LoadTest:
            candidate = prediction.candidate
            report(0.0, wanted_s, f"load-testing {candidate.variant}")
            rows = inputs_of(known, candidate.hardware, profile_path.parent)
            return serve_for_real(site_of[candidate.hardware], prediction, profile_path.parent, wanted_s=wanted_s, rows=rows)

        by = attrgetter("candidate")
        return tuple(journal.once(candidate, partial(test_of, entry), by=by) for candidate, entry in served.items())

    tests = serve(advice, measured)
    measured = _with_lessons(measured, tests)
    judged_on = {entry.quality.data_sha256 for entry in advice.variants if entry.quality is not None}
    again = advise(with_quality_on(measured, judged_on), asked_of(measured), trace)
    tests = tuple({test.candidate: test for test in (*tests, *serve(again, measured))}.values())
    verified = with_load_tests(again, tests, before=advice)
    write_record(profile_path, measured)
    write_record(advice_path, verified)
    journal.remove()
    if is_reported:
        write_reports(verified, advice_path.parent)
    return verified


def _to_serve(advice: Advice) -> list[Prediction]:
    return [entry for entry in (_subject(advice), advice.baseline) if entry is not None]


def _subject(advice: Advice) -> Prediction | None:
    return advice.recommended or advice.likely or advice.nearest_miss


def _read(advice_path: Path, workload_path: Path | None) -> tuple[Advice, Path, Profile]:
    """Return the advice and the profile that it was made from, with its place; raise InputError where this machine cannot replay it."""
    advice = read_advice(advice_path)
    profile_path = advice_path.parent / (advice.profile_path or "profile.json")
    measured = read_profile(profile_path)
    if sha256(profile_path) != advice.profile_sha256:
        raise InputError(f"{profile_path}: not the profile that {advice_path} was made from", hint="run `advisor advise` again")
    _check_files(advice, advice_path, workload_path)
    _check_served(advice, measured, advice_path)
    return advice, profile_path, measured


def _check_files(advice: Advice, advice_path: Path, workload_path: Path | None) -> None:
    """Raise InputError where the advice stands on a file that it names and does not hold."""
    if advice.workload.traffic.trace is not None and workload_path is None:
        raise InputError(
            f"{advice_path}: its traffic is a trace, which the file does not hold", hint="give the workload file with -w"
        )
    if advice.workload.hardware.prices is not None and workload_path is None:
        raise InputError(f"{advice_path}: its prices are in a file beside the workload", hint="give the workload file with -w")


def _check_served(advice: Advice, measured: Profile, advice_path: Path) -> None:
    """Raise InputError where the advice names what its profile has nothing of."""
    points = {(site.hardware.id, *setting_of(entry)) for site in measured.sites for entry in site.measurements}
    sites = {site.hardware.id for site in measured.sites}
    for candidate in (prediction.candidate for prediction in _to_serve(advice)):
        if candidate.hardware in sites and (candidate.hardware, *setting_of(candidate)) not in points:
            raise InputError(
                f"{advice_path}: {candidate.variant} on {candidate.hardware}: nothing was measured of it in this setting",
                hint="run `advisor advise` again",
            )


def _here(measured: Profile, advice: Advice, advice_path: Path) -> set[str]:
    """Return the sites that this machine is: as many cores of the same processor as measured there.

    Raises InputError where what is to be served runs at another.
    """
    machine = read_machine()
    here = {
        site.hardware.id
        for site in measured.sites
        if (site.machine.cpu, site.machine.cores, site.machine.instruction_sets)
        == (machine.cpu, machine.cores, machine.instruction_sets)
    }
    shown = _subject(advice)
    if shown is not None and shown.candidate.hardware not in here:
        known = next((site for site in measured.sites if site.hardware.id == shown.candidate.hardware), None)
        there = f"{known.machine.cpu} with {counted(known.machine.cores, 'core')}" if known else shown.candidate.hardware
        raise InputError(
            f"{advice_path}: to be served on {shown.candidate.hardware} ({there}), but this is a {machine.cpu} with "
            f"{counted(machine.cores, 'core')}",
            hint=f"profile it there with --hardware {shown.candidate.hardware}, merge, and verify there",
        )
    return here


def _with_lessons(measured: Profile, tests: tuple[LoadTest, ...]) -> Profile:
    """Return the profile with what the load tests taught of service inside a server, each at its site."""
    sites = (
        taught(site, tuple(test for test in tests if test.candidate.hardware == site.hardware.id)) for site in measured.sites
    )
    return msgspec.structs.replace(measured, sites=tuple(sites))


def exit_status(advice: Advice | GenerationAdvice) -> ExitStatus:
    """Return what verified advice means to the caller.

    A load test of what the advice is about counts for more than the advice, unless it was not valid or nothing is recommended.
    """
    if isinstance(advice, GenerationAdvice):
        from advisor.steps.generation.verify import exit_status

        return exit_status(advice)
    shown = _subject(advice)
    test = next((test for test in advice.load_tests if shown is not None and test.candidate == shown.candidate), None)
    if test is not None and not is_valid(test):
        return ExitStatus.NOT_VALID
    if advice.recommended is None:
        return exit_status_of_advice(advice)
    if test is None:
        return ExitStatus.NOT_VALID
    return ExitStatus.ADVICE if test.meets_slo else ExitStatus.MISSED
