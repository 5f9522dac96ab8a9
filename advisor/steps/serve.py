"""A configuration served for real under an open loop: the load test of a prediction, and the short trial of what a server adds."""

import statistics
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from advisor.decide.advice.sites import Request, under_load
from advisor.decide.load_test.calibration import Batches, as_queued, calibrate, held_against, own_way
from advisor.decide.load_test.comparison import Observed, OfferedLoad, compare, expected, expected_service_s, offered_load
from advisor.decide.queue.prediction import predict
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import noise_of_test, setting_of, undisturbed
from advisor.decide.service.stalls import process_of
from advisor.errors import InputError, ModelError
from advisor.files.records import sha256
from advisor.measure.model import onnx_graph
from advisor.measure.runtime.ort_session import Place as RunsOn
from advisor.measure.serving import load_test
from advisor.measure.serving.server import Serve
from advisor.measure.timing.ledger import LONGEST_TRIED_CALL_S, Ledger
from advisor.schema.advice import Candidate, LoadTest, Place, Prediction
from advisor.schema.arrays.trace import Trace
from advisor.schema.profile import Calibration, Measurement, Profile, Site
from advisor.schema.record import Estimate
from advisor.schema.workload import HardwareChoice, Inputs, OnlineWorkload, SequenceLength, Slo, Traffic
from advisor.units import seconds

TRIAL_S = 3.0
TRIAL_PART = 0.8  # of the time for trials; requests go on a little longer than was wanted
TRIALS = 3  # unless one has the machine to itself before
LATEST_TRIAL_S = 0.05
TRIAL_UTILIZATION = 0.4
TRIAL_REQUESTS_PER_S = 400.0
TRIAL_BATCH_SIZE = 4


def serve_for_real(
    site: SiteUnderLoad, prediction: Prediction, folder: Path, *, wanted_s: float, rows: Path | None = None
) -> LoadTest:
    """Load-test one replica of the predicted candidate and compare it with the prediction; `folder` is that of the profile.

    `rows` is the file with the user's own inputs, None for generated ones.
    """
    return _served_and_observed(site, prediction, folder, wanted_s=wanted_s, rows=rows)[0]


def _served_and_observed(
    site: SiteUnderLoad, prediction: Prediction, folder: Path, *, wanted_s: float, rows: Path | None
) -> tuple[LoadTest, Observed]:
    candidate, slo = prediction.candidate, site.workload.slo
    offer = offered_load(site, candidate, wanted_s=wanted_s)
    replayed = expected(site, candidate, offer)
    observed = observe(site, candidate, offer, folder, rows)
    test = compare(
        prediction,
        replayed,
        observed,
        quantile=slo.quantile,
        target_s=slo.latency_s,
        noise_fraction=noise_of_test(site.service, candidate.intra_op_num_threads, candidate.instances, observed.duration_s),
        stalls=site.service.watches,
    )
    return test, observed


def observe(site: SiteUnderLoad, candidate: Candidate, offer: OfferedLoad, folder: Path, rows: Path | None = None) -> Observed:
    """Serve the requests by one replica of the candidate and return what was observed; `folder` and `rows` as for `serve_for_real`."""
    arrival_s = offer.requests.arrival_s
    replay = load_test.replay(_serve(site, candidate, folder, len(arrival_s), rows), arrival_s, offer.lengths)
    in_time = np.argsort(replay.ended_s)
    taken_s = replay.ended_s - replay.call_s - replay.assembly_s
    had_own_way = own_way(arrival_s, replay.transit_s, taken_s, replay.ended_s)
    wait_s, was_idle = replay.wait_s, replay.was_idle
    if candidate.max_queue_delay_s == 0:
        wait_s, was_idle = as_queued(
            arrival_s,
            float(np.median(replay.transit_s[had_own_way])),  # the first request has it, at the least
            size=replay.batch_size,
            ended_s=replay.ended_s,
            busy_s=replay.call_s + replay.assembly_s,
            wait_s=wait_s,
            was_idle=was_idle,
            instances=candidate.instances,
        )
    batches = Batches(
        wait_s=wait_s[in_time],
        assembly_s=replay.assembly_s[in_time],
        call_s=replay.call_s[in_time],
        waited_s=replay.waited_s[in_time],
        was_idle=was_idle[in_time],
        by_timer=((replay.batch_size < candidate.max_batch_size) & (candidate.max_queue_delay_s > 0))[in_time],
        size=replay.batch_size[in_time],
        expected_s=expected_service_s(site, candidate, replay.batch_size, replay.batch_length)[in_time],
        transit_s=replay.transit_s,
        had_own_way=had_own_way,
    )
    return Observed(
        latency_s=offer.requests.each(replay.latency_s),
        lag_s=offer.requests.each(replay.lag_s),
        offered_requests_per_s=offer.requests_per_s,
        duration_s=replay.duration_s,
        run_delay_s=replay.run_delay_s,
        batches=batches,
        ended_s=replay.ended_s[in_time],
        stalls=replay.stalls,
        others_fraction=replay.others_fraction,
    )


def inputs_of(measured: Profile, hardware: str, folder: Path) -> Path | None:
    """Return the file with the user's own inputs that a site was measured with, None where they were generated.

    Raises InputError where it is gone, or another.
    """
    site = next(entry for entry in measured.sites if entry.hardware.id == hardware)
    if site.inputs_path is None:
        return None
    path = folder / site.inputs_path
    if not path.is_file() or sha256(path) != measured.settings.inputs_sha256:
        raise InputError(f"{path}: not the inputs that the profile was measured with", hint="run advisor profile again")
    return path


def _serve(site: SiteUnderLoad, candidate: Candidate, folder: Path, requests: int, rows: Path | None) -> Serve:
    variant = site.variants[candidate.variant]
    path = folder / variant.path
    if not path.is_file():
        raise InputError(f"{path}: no such file; the profile names it for {candidate.variant}", hint="run advisor profile again")
    if not onnx_graph.is_still(path, variant.sha256):
        raise InputError(
            f"{path}: no longer the file that was measured as {candidate.variant}",
            hint="run advisor profile again: it makes it anew",
        )
    return Serve(
        path=str(path),
        inputs=site.model.inputs,
        intra_op_num_threads=candidate.intra_op_num_threads,
        instances=candidate.instances,
        max_batch_size=candidate.max_batch_size,
        max_queue_delay_s=candidate.max_queue_delay_s,
        requests=requests,
        seed=site.settings.seed,
        rows=str(rows.resolve()) if rows is not None else None,
        place=RunsOn(
            provider=variant.provider, provider_options=variant.provider_options, session_options=variant.session_options
        ),
    )


class Trial(NamedTuple):
    """A short load test of the model as given under light load, and the batches that were observed."""

    test: LoadTest
    workload: OnlineWorkload
    batches: Batches


def trial(measured: Profile, here: Site, folder: Path, ledger: Ledger) -> Trial | None:
    """Return a load test of the model as given, some seconds of light load: what a server adds; None where it would not show.

    `here` is the site of this machine, `folder` that of the profile. There is one trial at least, and others as the ledger has time.
    """
    as_given = next(variant.id for variant in here.variants if variant.derived_from is None)
    alone = [entry for entry in undisturbed(here).measurements if _point(entry) == (as_given, 1, 1, 1) and entry.visits]
    if not alone:
        return None
    call_s = statistics.median(visit_s for visit in alone[0].visits for visit_s in visit.latency_s)
    if call_s > LONGEST_TRIED_CALL_S:
        return None
    length = alone[0].sequence_length if len(measured.settings.sequence_lengths) else None
    light = _light(min(TRIAL_UTILIZATION / call_s, TRIAL_REQUESTS_PER_S), length)
    site = loaded(measured, here, light)
    configuration = Configuration(
        variant=as_given,
        intra_op_num_threads=1,
        instances=1,
        max_batch_size=min(TRIAL_BATCH_SIZE, site.grids[as_given, 1, 1].max_batch_size),
        max_queue_delay_s=0.0,
    )
    prediction = predict(site, configuration, 1, today_replicas=1)
    trials: list[Trial] = []
    # Half of the time is for the answer, once it is known.
    wanted_s = min(TRIAL_S, TRIAL_PART * ledger.trial_s / 2)
    rows = inputs_of(measured, here.hardware.id, folder)
    while len(trials) < TRIALS and (not trials or ledger.has_time_for(wanted_s)):
        with ledger.loading():  # most of it starts the server; the requests are counted
            test, observed = _served_and_observed(site, prediction, folder, wanted_s=wanted_s, rows=rows)
        trials.append(Trial(test, light, observed.batches))
        ledger.tried(test.duration_s)
        if test.generator_kept_up:
            break
    # Stalls of the machine are in what a request takes to its place in the queue, and a server here has them too.
    best = min(trials, key=attrgetter("test.generator_lag_p99_s"))
    if best.test.generator_lag_p99_s > LATEST_TRIAL_S:
        raise ModelError(
            f"the load generator was up to {seconds(best.test.generator_lag_p99_s)} late", hint="measure again on a quiet machine"
        )
    return best


def lesson_of(tried: Trial, measured: Profile) -> Calibration:
    """Return what the trial teaches of service inside a server, beside what is known by now of calls outside of one.

    A trial is made early: what a call takes by itself, and how far equal things differ, later visits tell better.
    """
    candidate, batches = tried.test.candidate, tried.batches
    site = loaded(measured, measured.sites[0], tried.workload)
    expected_s = expected_service_s(site, candidate, batches.size, np.zeros(len(batches.size)))  # all have the one length
    known = calibrate(
        candidate,
        msgspec.structs.replace(batches, expected_s=expected_s),
        noise_fraction=noise_of_test(site.service, candidate.intra_op_num_threads, candidate.instances, tried.test.duration_s),
        stalls=process_of((*site.service.watches, *tried.test.stalls)),
    )
    return held_against(known, site.grids[setting_of(candidate)].medians[0][0])


def loaded(measured: Profile, here: Site, workload: OnlineWorkload, trace: Trace | None = None) -> SiteUnderLoad:
    """Return a site of the profile under a workload, where nobody asks what it costs."""
    free = Estimate(value=1.0, low=1.0, high=1.0, basis="assumed", source="no price is asked for")
    place = Place(hardware=here.hardware, machine="", price_usd_per_hour=free, price_date=None, price_is_stale=False, carbon=None)
    request = Request(
        workload=workload, rules=(), profile_sha256="", profile_path=None, created=here.created, home=place, places=(place,)
    )
    return under_load(measured, request, trace).home


def _light(requests_per_s: float, length: int | None) -> OnlineWorkload:
    return OnlineWorkload(
        name="trial",
        traffic=Traffic(requests_per_s=requests_per_s),
        slo=Slo(latency_s=1.0, quantile=0.5),
        hardware=HardwareChoice(),
        inputs=None if length is None else Inputs(sequence_length=SequenceLength(p50=length)),
    )


def _point(entry: Measurement) -> tuple[str, int, int, int]:
    return (entry.variant, entry.batch_size, entry.intra_op_num_threads, entry.instances)
