"""The last step of the pipeline: what the advice says, served for real."""

from pathlib import Path

import msgspec

from advisor.decide.advise import advise, with_load_tests
from advisor.decide.bench import Bench
from advisor.decide.load_judgement import Observed, expected_service_s, judge, learned, offered
from advisor.errors import InputError
from advisor.files import sha256, write_record
from advisor.measure import load_test
from advisor.measure.server import Serve
from advisor.measure.variants import Report
from advisor.pipeline import read_advice, read_profile, recorded, request_of, with_quality_on, write_reports
from advisor.schema import Advice, Candidate, LoadTest, Prediction, Profile, Trace


def verify(advice_path: Path, workload_path: Path | None, *, wanted_s: float, now: str, report: Report) -> Advice:
    """Serve the recommendation and the baseline for real, and return the advice with what was seen, in the files too.

    What is learned of service inside a server goes into the profile and the advice is made anew with it; a recommendation that changed
    is served in its turn.
    """
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
    trace = recorded(advice.workload, workload_path) if workload_path else None
    tests = _load_tests(advice, measured, trace, profile_path.parent, (), wanted_s=wanted_s, report=report)
    measured = msgspec.structs.replace(measured, service_ratios=learned(measured.service_ratios, tests))
    write_record(profile_path, measured)
    judged_on = {entry.quality.data_sha256 for entry in advice.variants if entry.quality is not None}
    again = advise(with_quality_on(measured, judged_on), request_of(advice.workload, profile_path, now=now), trace)
    tests = _load_tests(again, measured, trace, profile_path.parent, tests, wanted_s=wanted_s, report=report)
    verified = with_load_tests(again, tests)
    write_record(advice_path, verified)
    if (advice_path.parent / "report.html").is_file():
        write_reports(verified, advice_path.parent)
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
        report(0.0, wanted_s, f"serving {prediction.candidate.variant} for real")
        tests[prediction.candidate] = serve_for_real(bench, prediction, folder, wanted_s=wanted_s)
    return tuple(tests.values())


def serve_for_real(bench: Bench, prediction: Prediction, folder: Path, *, wanted_s: float) -> LoadTest:
    """Run one replica of the predicted candidate under the workload's load and judge it; `folder` is that of the profile."""
    candidate = prediction.candidate
    arrival_s, lengths = offered(bench, candidate, wanted_s=wanted_s)
    seen = load_test.replay(_serve(bench.profile, candidate, folder, len(arrival_s)), arrival_s, lengths)
    observed = Observed(
        latency_s=seen.latency_s,
        lag_s=seen.lag_s,
        duration_s=seen.duration_s,
        service_s=seen.service_s,
        batch_size=seen.batch_size,
        expected_service_s=expected_service_s(bench, candidate, seen.batch_size, seen.batch_length),
    )
    return judge(prediction, bench.workload, observed)


def _serve(measured: Profile, candidate: Candidate, folder: Path, requests: int) -> Serve:
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
