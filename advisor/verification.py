"""The last step of the pipeline: what the advice says, served for real."""

import statistics
from operator import attrgetter
from pathlib import Path

import msgspec
import numpy as np

from advisor.decide.advice.advise import advise
from advisor.decide.advice.wording import with_load_tests
from advisor.decide.load_test.calibration import Batches, own_way
from advisor.decide.load_test.comparison import Observed, Offer, expected, expected_service_s, judge, learned, offered
from advisor.decide.queue.site import Bench, predict
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import noise_floor
from advisor.errors import InputError, ModelError
from advisor.files.records import digest, sha256, write_atomically, write_record
from advisor.measure.runtime.ort_session import Place
from advisor.measure.serving import load_test
from advisor.measure.serving.server import Serve
from advisor.measure.variants.making import Report
from advisor.pipeline import read_advice, read_profile, recorded, request_of, with_quality_on, write_reports
from advisor.schema import (
    Advice,
    Calibration,
    Candidate,
    HardwareChoice,
    Inputs,
    LoadTest,
    Measurement,
    Prediction,
    Profile,
    SequenceLength,
    Slo,
    Traffic,
    Workload,
)
from advisor.units import seconds

TRIAL_S = 3.0
TRIALS = 3  # unless one has the machine to itself before
LATEST_TRIAL_S = 0.05
TRIAL_UTILIZATION = 0.4
TRIAL_REQUESTS_PER_S = 400.0
TRIAL_BATCH_SIZE = 4
LONGEST_TRIED_CALL_S = 0.1  # what a server adds is lost in the spread of longer calls


def verify(
    advice_path: Path, workload_path: Path | None, *, wanted_s: float, now: str, report: Report, rules_folder: Path | None = None
) -> Advice:
    """Serve the recommendation and the baseline for real, and return the advice with what was seen, in the files too.

    What is learned of service inside a server goes into the profile and the advice is made anew with it; a recommendation that changed
    is served in its turn. Each load test is on disk as soon as it has run: the same command goes on from there.
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
    told = advice.recommended or advice.nearest_miss
    if told is not None and told.candidate.hardware not in ("local", measured.hardware):
        raise InputError(
            f"{advice_path}: it is to run on {told.candidate.hardware}, and this is {measured.hardware}",
            hint=f"profile it there with --hardware {told.candidate.hardware}, merge, and verify there",
        )
    if advice.workload.hardware.prices is not None and workload_path is None:
        raise InputError(f"{advice_path}: its prices are in a file beside the workload", hint="name the workload file with -w")
    trace = recorded(advice.workload, workload_path) if workload_path else None
    journal = TestJournal(advice_path.with_suffix(".load-tests"), f"{sha256(advice_path)} {wanted_s:g}")

    def serve(asked: Advice, known: Profile) -> tuple[LoadTest, ...]:
        bench = Bench(known, asked.workload, trace)
        told = [asked.recommended or asked.nearest_miss, asked.baseline]
        for prediction in (entry for entry in told if entry is not None and entry.candidate not in journal.tests):
            report(0.0, wanted_s, f"serving {prediction.candidate.variant} for real")
            journal.add(serve_for_real(bench, prediction, profile_path.parent, wanted_s=wanted_s))
        return tuple(journal.tests[candidate] for candidate in {entry.candidate: None for entry in told if entry is not None})

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


class TestJournal:
    """The load tests of a verification in the making, one JSON line each; a line that a kill cut short is dropped."""

    __test__ = False  # its name makes pytest take it for a test

    def __init__(self, path: Path, key: str) -> None:
        """`key` is of the advice and of how long each test lasts: what was seen of others is not gone on with."""
        self.path = path
        self.tests: dict[Candidate, LoadTest] = {}
        lines = path.read_bytes().splitlines() if path.is_file() else []
        if not lines or lines[0].decode(errors="replace") != key:
            write_atomically(path, f"{key}\n".encode())
            return
        for line in lines[1:]:
            try:
                test = msgspec.json.decode(line, type=LoadTest)
            except (msgspec.DecodeError, UnicodeDecodeError):
                break
            self.tests[test.candidate] = test

    def add(self, test: LoadTest) -> None:
        """Keep the test, on disk before this returns."""
        self.tests[test.candidate] = test
        key = self.path.read_bytes().partition(b"\n")[0]
        write_atomically(self.path, b"\n".join([key, *map(msgspec.json.encode, self.tests.values()), b""]))

    def remove(self) -> None:
        """Delete the file: the advice is written."""
        self.path.unlink(missing_ok=True)


def serve_for_real(bench: Bench, prediction: Prediction, folder: Path, *, wanted_s: float) -> LoadTest:
    """Run one replica of the predicted candidate under the workload's load and judge it; `folder` is that of the profile."""
    candidate, slo = prediction.candidate, bench.workload.slo
    offer = offered(bench, candidate, wanted_s=wanted_s)
    said = expected(bench, candidate, offer)
    noise = noise_floor(bench.profile, candidate.intra_op_num_threads, candidate.instances)
    seen = observe(bench, candidate, offer, folder)
    return judge(prediction, said, seen, quantile=slo.quantile, target_s=slo.latency_s, noise_fraction=noise)


def observe(bench: Bench, candidate: Candidate, offer: Offer, folder: Path) -> Observed:
    """Serve the requests by one replica of the candidate and return what was seen; `folder` is that of the profile."""
    seen = load_test.replay(_serve(bench.profile, candidate, folder, len(offer.arrival_s)), offer.arrival_s, offer.lengths)
    in_time = np.argsort(seen.ended_s)
    batches = Batches(
        wait_s=seen.wait_s[in_time],
        assembly_s=seen.assembly_s[in_time],
        call_s=seen.call_s[in_time],
        was_idle=seen.was_idle[in_time],
        by_timer=((seen.batch_size < candidate.max_batch_size) & (candidate.max_queue_delay_s > 0))[in_time],
        size=seen.batch_size[in_time],
        expected_s=expected_service_s(bench, candidate, seen.batch_size, seen.batch_length)[in_time],
        transit_s=seen.transit_s,
        had_own_way=own_way(offer.arrival_s, seen.transit_s, seen.ended_s - seen.call_s - seen.assembly_s, seen.ended_s),
    )
    return Observed(
        latency_s=seen.latency_s,
        lag_s=seen.lag_s,
        duration_s=seen.duration_s,
        run_delay_s=seen.run_delay_s,
        batches=batches,
        ended_s=seen.ended_s[in_time],
    )


def _serve(measured: Profile, candidate: Candidate, folder: Path, requests: int) -> Serve:
    variant = next(variant for variant in measured.variants if variant.id == candidate.variant)
    path = folder / variant.path
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
        place=Place(
            provider=variant.provider, provider_options=variant.provider_options, session_options=variant.session_options
        ),
    )


def held(advice: Advice) -> bool:
    """Return whether the recommendation kept its target in a load test whose generator kept up."""
    recommended = advice.recommended.candidate if advice.recommended else None
    return any(test.candidate == recommended and test.meets_slo and test.generator_kept_up for test in advice.load_tests)


def trial(measured: Profile, folder: Path) -> Calibration | None:
    """Return what a server adds to the calls of the model as given, from a few seconds of light load; None where it would not show.

    `folder` is that of the profile.
    """
    as_given = next(variant.id for variant in measured.variants if variant.derived_from is None)
    alone = [entry for entry in measured.measurements if _point(entry) == (as_given, 1, 1, 1) and entry.visits]
    if not alone:
        return None
    call_s = statistics.median(visit_s for visit in alone[0].visits for visit_s in visit.latency_s)
    if call_s > LONGEST_TRIED_CALL_S:
        return None
    length = alone[0].sequence_length if len(measured.settings.sequence_lengths) else None
    workload = Workload(
        name="trial",
        traffic=Traffic(requests_per_s=min(TRIAL_UTILIZATION / call_s, TRIAL_REQUESTS_PER_S)),
        slo=Slo(latency_s=1.0, quantile=0.5),
        hardware=HardwareChoice(price_usd_per_hour={"local": 1.0}),
        inputs=None if length is None else Inputs(sequence_length=SequenceLength(p50=length)),
    )
    bench = Bench(measured, workload, None)
    configuration = Configuration(
        variant=as_given,
        intra_op_num_threads=1,
        instances=1,
        max_batch_size=min(TRIAL_BATCH_SIZE, bench.grids[as_given, 1, 1].max_batch_size),
        max_queue_delay_s=0.0,
    )
    prediction = predict(bench, configuration, 1, today_replicas=1)
    tests = []
    for _ in range(TRIALS):
        tests.append(serve_for_real(bench, prediction, folder, wanted_s=TRIAL_S))
        if tests[-1].generator_kept_up:
            break
    # Stalls of the machine are in what a request takes to its place in the queue, and a server here has them too.
    best = min(tests, key=attrgetter("generator_lag_p99_s"))
    if best.generator_lag_p99_s > LATEST_TRIAL_S:
        raise ModelError(
            f"its generator was up to {seconds(best.generator_lag_p99_s)} late", hint="measure again on a quiet machine"
        )
    return best.calibration


def _point(entry: Measurement) -> tuple[str, int, int, int]:
    return (entry.variant, entry.batch_size, entry.intra_op_num_threads, entry.instances)
