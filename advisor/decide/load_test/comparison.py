"""What a load test saw -> LoadTest: measured against predicted, with intervals, and whether the target and the prediction held."""

import math

import msgspec
import numpy as np

from advisor.decide.load_test.calibration import Batches, calibrate
from advisor.decide.queue.demand import quantiles
from advisor.decide.queue.items import Requests
from advisor.decide.queue.prediction import over_runs
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import service_table, setting_of
from advisor.decide.service.stalls import process_of
from advisor.medians import NORMAL_95
from advisor.schema.advice import Candidate, LoadTest, Prediction, Replayed
from advisor.schema.profile import Calibration, Site, Stalls
from advisor.schema.record import Estimate, Record

# A generator later than this, for one request in a hundred, did not offer the load that it was asked for; of long latencies it may be
# this part late.
ALLOWED_LAG_S = 0.005
ALLOWED_LAG_FRACTION = 0.1
UNSEEN_SEED = 97
BEYOND_QUANTILE = 10  # requests beyond the quantile that make its measured interval worth having
LONGEST_FACTOR = 3.0  # times the wanted duration, however rare the quantile
LAST_REQUESTS = 100
# Quantile of their latency. The generator ends with its last request, and its end may take a core from the last response.
LAST_RESPONSE = {"low": 0.0, "value": 0.5, "high": 1.0}
REPLAY_SEEDS = 8  # draws of service, for the one given stream of requests


class OfferedLoad(Record, frozen=True, kw_only=True):
    """The requests of one replica's load test, sent from 0 on, and the lengths of their items."""

    requests: Requests
    lengths: np.ndarray | None  # (items,), None without a sequence axis

    @property
    def requests_per_s(self) -> float:
        """The rate at which they are meant to be sent."""
        sent_s = self.requests.sent_s
        return float((len(sent_s) - 1) / max(sent_s[-1] - sent_s[0], np.finfo(float).tiny))


def offered_load(site: SiteUnderLoad, candidate: Candidate, *, wanted_s: float) -> OfferedLoad:
    """Return the requests of the load test of one replica of a candidate.

    No prediction was made with this stream. It lasts `wanted_s`, or longer if the quantile needs more requests.
    """
    stream = site.demand.busiest(UNSEEN_SEED, candidate.replicas, least_s=wanted_s)
    quantile = site.workload.slo.quantile
    needed = math.ceil(BEYOND_QUANTILE / (1 - quantile))
    since_s = stream.sent_s - stream.sent_s[0]
    within = int(np.searchsorted(since_s, wanted_s))
    at_most = int(np.searchsorted(since_s, wanted_s * LONGEST_FACTOR))
    chosen = stream.begun(max(2, min(max(within, needed), at_most)))
    lengths = np.array([length or 0 for length in site.demand.lengths])
    return OfferedLoad(
        requests=chosen._replace(arrival_s=chosen.arrival_s - chosen.arrival_s[0]),
        lengths=lengths[chosen.size_class] if site.demand.lengths[0] is not None else None,
    )


def expected_service_s(site: SiteUnderLoad, candidate: Candidate, batch_size: np.ndarray, batch_length: np.ndarray) -> np.ndarray:
    """Return the seconds (batches,) that each batch's call takes by the profile, without the overhead of a server."""
    grid = site.grids[setting_of(candidate)]
    table = service_table(grid, candidate.max_batch_size, site.demand.lengths, end="value")
    known = np.array([length or 0 for length in site.demand.lengths])
    return np.asarray(table[batch_size - 1, np.minimum(np.searchsorted(known, batch_length), len(known) - 1)])


def expected(site: SiteUnderLoad, candidate: Candidate, offer: OfferedLoad, *, counted: np.ndarray | None = None) -> Replayed:
    """Return the simulation of these same requests: only service times are random, not the arrivals.

    All are served. The quantiles are of those that `counted` (requests,) marks, or of all without it.
    """
    configuration = Configuration(
        variant=candidate.variant,
        intra_op_num_threads=candidate.intra_op_num_threads,
        instances=candidate.instances,
        max_batch_size=candidate.max_batch_size,
        max_queue_delay_s=candidate.max_queue_delay_s,
    )
    wanted = (0.5, 0.95, 0.99, site.workload.slo.quantile)
    sent_s = offer.requests.sent_s
    figures: dict[str, np.ndarray] = {}  # by end of the service interval: (seeds, quantiles and then throughput and utilization)
    for end in ("low", "value", "high"):
        rows = []
        for seed in range(REPLAY_SEEDS):
            run = site.simulator.replay(configuration, offer.requests, end, seed, with_stalls=True)
            chosen_s = run.latency_s if counted is None else run.latency_s[counted]
            # When the last request is answered is left to chance: as long after it as the requests before it were.
            late_s = quantiles(run.latency_s[-LAST_REQUESTS:], (LAST_RESPONSE[end],))[0]
            rate = len(run.latency_s) / (sent_s[-1] - sent_s[0] + late_s)
            rows.append([*quantiles(chosen_s, wanted), rate, run.utilization])
        figures[end] = np.array(rows)
    source = f"simulation of the {offer.requests.total:,} requests of the load test with {REPLAY_SEEDS} seeds"
    estimates = [
        over_runs({end: rows[:, column] for end, rows in figures.items()}, "simulated", source)
        for column in range(len(wanted) + 2)
    ]
    return Replayed(
        latency_p50_s=estimates[0],
        latency_p95_s=estimates[1],
        latency_p99_s=estimates[2],
        latency_slo_s=estimates[3],
        throughput_requests_per_s=estimates[4],
        utilization_fraction=estimates[5],
    )


class Observed(Record, frozen=True, kw_only=True):
    """One run; latencies (requests,) from the moment each was due, lags of the generator (requests,), and its batches."""

    latency_s: np.ndarray
    lag_s: np.ndarray
    offered_requests_per_s: float
    duration_s: float
    run_delay_s: float | None
    batches: Batches
    ended_s: np.ndarray  # (batches,) ascending, from the first due time
    stalls: tuple[Stalls, ...] = ()  # of the machine, as watched meanwhile
    others_fraction: float | None = None  # of the cores' time, that other programs computed


def compare(
    prediction: Prediction,
    replayed: Replayed,
    observed: Observed,
    *,
    quantile: float,
    target_s: float,
    noise_fraction: float,
    stalls: tuple[Stalls, ...] = (),
) -> LoadTest:
    """Return the load test of one replica of the predicted candidate, observed against expected.

    `replayed` is the simulation of these requests, `noise_fraction` how far such a test may be off under the candidate's setting.
    `stalls` are those that were watched before.
    """
    latency = {wanted: quantile_estimate(observed.latency_s, wanted) for wanted in (0.5, 0.95, 0.99, quantile)}
    measured, predicted = latency[quantile], replayed.latency_slo_s
    requests = len(observed.latency_s)
    rate = requests / observed.duration_s
    # Poisson noise of the number of completed requests: the offered load has it too.
    half = NORMAL_95 * math.sqrt(requests) / observed.duration_s
    waited_s, batches = observed.run_delay_s, observed.batches
    return LoadTest(
        candidate=prediction.candidate,
        requests=requests,
        offered_requests_per_s=observed.offered_requests_per_s,
        duration_s=observed.duration_s,
        latency_p50_s=latency[0.5],
        latency_p95_s=latency[0.95],
        latency_p99_s=latency[0.99],
        latency_slo_s=measured,
        throughput_requests_per_s=Estimate(
            value=rate,
            low=max(rate - half, 0.0),  # of two requests, the noise is more than they are
            high=rate + half,
            basis="measured",
            source=f"{requests} requests completed in {observed.duration_s:.0f} s",
        ),
        utilization_fraction=float(batches.busy_s.sum()) / observed.duration_s / prediction.candidate.instances,
        mean_batch_size=float(batches.size.mean()),
        generator_lag_p99_s=float(np.quantile(observed.lag_s, 0.99)),
        generator_kept_up=kept_up(observed),
        run_delay_fraction=None if waited_s is None else waited_s / observed.duration_s,
        calibration=calibrate(
            prediction.candidate,
            batches,
            noise_fraction=noise_fraction,
            stalls=process_of((*stalls, *observed.stalls)),
        ),
        meets_slo=measured.value <= target_s,
        predicted=prediction,
        expected=replayed,
        prediction_held=measured.overlaps(predicted),
        stalls=observed.stalls,
        others_fraction=observed.others_fraction,
    )


def kept_up(observed: Observed) -> bool:
    """Return whether the generator sent its requests when they were due, all but one in a hundred."""
    lag_s, latency_s = (float(np.quantile(values, 0.99)) for values in (observed.lag_s, observed.latency_s))
    return lag_s <= max(ALLOWED_LAG_S, ALLOWED_LAG_FRACTION * latency_s)


def quantile_estimate(latency_s: np.ndarray, quantile: float) -> Estimate:
    """Return a quantile of the latencies with the binomial interval of its rank, which holds whatever the distribution."""
    ordered = np.sort(latency_s)
    count = len(ordered)
    half = NORMAL_95 * math.sqrt(count * quantile * (1 - quantile))
    low, middle, high = (min(max(math.ceil(quantile * count + shift) - 1, 0), count - 1) for shift in (-half, 0.0, half))
    return Estimate(
        value=float(ordered[middle]),
        low=float(ordered[low]),
        high=float(ordered[high]),
        basis="measured",
        source=f"{count} requests of the load test, open loop, each timed from the moment it was due",
    )


def learned(known: tuple[Calibration, ...], tests: tuple[LoadTest, ...]) -> tuple[Calibration, ...]:
    """Return the calibrations, updated by the tests; a test whose generator lagged updates nothing."""
    found = {setting_of(entry): entry for entry in known}
    for test in tests:
        if test.generator_kept_up:
            found[setting_of(test.calibration)] = test.calibration
    return tuple(found[key] for key in sorted(found))


def taught(site: Site, tests: tuple[LoadTest, ...]) -> Site:
    """Return the site with what load tests there showed: what a server adds, and how the machine stood still meanwhile."""
    watched = (*site.stalls, *(entry for test in tests for entry in test.stalls))
    return msgspec.structs.replace(site, calibrations=learned(site.calibrations, tests), stalls=watched)
