"""The last step: what the advice says, served for real."""

from pathlib import Path

import msgspec

from advisor.decide.advice.advise import advise
from advisor.decide.advice.wording import with_load_tests
from advisor.decide.load_test.comparison import learned
from advisor.decide.queue.site import Bench
from advisor.errors import InputError
from advisor.files.records import digest, sha256, write_record
from advisor.measure.timing.journal import Journal
from advisor.measure.variants.making import Report
from advisor.schema.advice import Advice, Candidate, LoadTest
from advisor.schema.profile import Profile
from advisor.steps.advise import read_advice, read_profile, recorded, request_of, with_quality_on
from advisor.steps.report import write_reports
from advisor.steps.serve import serve_for_real
from advisor.units import parse_moment


def verify(
    advice_path: Path, workload_path: Path | None, *, wanted_s: float, now: str, report: Report, rules_folder: Path | None = None
) -> Advice:
    """Serve the recommendation and the baseline for real, and return the advice with what was seen, in the files too.

    What is learned of service inside a server goes into the profile and the advice is made anew with it; a recommendation that changed
    is served in its turn. Each load test is on disk as soon as it has run: the same command goes on from there.
    """
    now = parse_moment(now)
    advice, profile_path, measured = _read(advice_path, workload_path)
    trace = recorded(advice.workload, workload_path) if workload_path else None
    journal, kept = _begun(advice_path, wanted_s)

    def serve(asked: Advice, known: Profile) -> tuple[LoadTest, ...]:
        bench = Bench(known, asked.workload, trace)
        told = [asked.recommended or asked.nearest_miss, asked.baseline]
        for prediction in (entry for entry in told if entry is not None and entry.candidate not in kept):
            report(0.0, wanted_s, f"serving {prediction.candidate.variant} for real")
            journal.add(serve_for_real(bench, prediction, profile_path.parent, wanted_s=wanted_s))
            kept[prediction.candidate] = journal.entries[-1]
        return tuple(kept[candidate] for candidate in {entry.candidate: None for entry in told if entry is not None})

    tests = serve(advice, measured)
    measured = msgspec.structs.replace(measured, calibrations=learned(measured.calibrations, tests))
    judged_on = {entry.quality.data_sha256 for entry in advice.variants if entry.quality is not None}
    measured_there = with_quality_on(measured, judged_on)
    request = request_of(
        advice.workload,
        profile_path,
        workload_path=workload_path,
        profile_sha256=digest(measured),
        now=now,
        rules_folder=rules_folder,
    )
    again = advise(measured_there, request, trace)
    tests = tuple({test.candidate: test for test in (*tests, *serve(again, measured))}.values())
    verified = with_load_tests(again, tests, before=advice)
    write_record(profile_path, measured)
    write_record(advice_path, verified)
    journal.remove()
    if (advice_path.parent / "report.html").is_file():
        write_reports(verified, advice_path.parent)
    return verified


def _read(advice_path: Path, workload_path: Path | None) -> tuple[Advice, Path, Profile]:
    """Return the advice and the profile that it was made from, with its place; raise InputError where this machine cannot replay it."""
    advice = read_advice(advice_path)
    profile_path = advice_path.parent / (advice.profile_path or "profile.json")
    measured = read_profile(profile_path)
    if sha256(profile_path) != advice.profile_sha256:
        raise InputError(
            f"{profile_path}: not the profile that {advice_path} was made from", hint="make the advice again: advisor advise"
        )
    if advice.workload.traffic.trace is not None and workload_path is None:
        raise InputError(
            f"{advice_path}: its traffic is a trace, which is not in the file", hint="name the workload file with -w"
        )
    told = advice.recommended or advice.nearest_miss
    if told is not None and told.candidate.hardware not in ("local", measured.hardware):
        raise InputError(
            f"{advice_path}: it is to run on {told.candidate.hardware}, and this is {measured.hardware}",
            hint=f"profile it there with --hardware {told.candidate.hardware}, merge, and verify there",
        )
    if advice.workload.hardware.prices is not None and workload_path is None:
        raise InputError(f"{advice_path}: its prices are in a file beside the workload", hint="name the workload file with -w")
    return advice, profile_path, measured


def _begun(advice_path: Path, wanted_s: float) -> tuple[Journal[LoadTest], dict[Candidate, LoadTest]]:
    """Return the journal of the load tests and those that have run; other advice, or tests of another length, begin a new one."""
    question = f"{sha256(advice_path)} {wanted_s:g}"
    journal = Journal(advice_path.with_suffix(".load-tests"), question, msgspec.json.Decoder(LoadTest))
    return journal, {test.candidate: test for test in journal.entries}


def held(advice: Advice) -> bool:
    """Return whether the recommendation kept its target in a load test whose generator kept up."""
    recommended = advice.recommended.candidate if advice.recommended else None
    return any(test.candidate == recommended and test.meets_slo and test.generator_kept_up for test in advice.load_tests)
