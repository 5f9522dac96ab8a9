"""What a load test saw -> LoadTest: measured against predicted, with intervals, and whether the target and the prediction held."""

import math

import numpy as np

from advisor.decide.bench import Bench
from advisor.decide.service_time import NORMAL_95, service_table, student_t_95
from advisor.schema import Candidate, Estimate, LoadTest, Prediction, Record, ServiceRatio, Workload

# A generator later than this, for one request in a hundred, did not offer the load that it was asked for.
ALLOWED_LAG_S = 0.005
UNSEEN_SEED = 97
BEYOND_QUANTILE = 10  # requests beyond the quantile that make its measured interval worth having
LONGEST_FACTOR = 3.0  # times the wanted duration, however rare the quantile
BLOCKS = 8  # stretches of the test whose medians count as independent draws


def offered(bench: Bench, candidate: Candidate, *, wanted_s: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Return due times (requests,) and lengths (requests,), if there is a sequence axis, of one replica's requests.

    The stream is one that no prediction was made with; it lasts `wanted_s`, or longer where the quantile needs more requests.
    """
    arrival_s, size_class = bench.demand.busiest(UNSEEN_SEED, candidate.replicas)
    quantile = bench.workload.slo.quantile
    needed = math.ceil(BEYOND_QUANTILE / (1 - quantile))
    within = int(np.searchsorted(arrival_s - arrival_s[0], wanted_s))
    at_most = int(np.searchsorted(arrival_s - arrival_s[0], wanted_s * LONGEST_FACTOR))
    count = max(2, min(max(within, needed), at_most))
    lengths = np.array([length or 0 for length in bench.demand.lengths])
    return arrival_s[:count] - arrival_s[0], lengths[size_class[:count]] if bench.demand.lengths[0] is not None else None


def expected_service_s(bench: Bench, candidate: Candidate, batch_size: np.ndarray, batch_length: np.ndarray) -> np.ndarray:
    """Return the seconds (batches,) that the profile says of each batch, nothing added for running inside a server."""
    grid = bench.grids[candidate.variant, candidate.intra_op_num_threads, candidate.instances]
    table = service_table(grid, candidate.max_batch_size, bench.demand.lengths, end="value")
    known = np.array([length or 0 for length in bench.demand.lengths])
    return np.asarray(table[batch_size - 1, np.minimum(np.searchsorted(known, batch_length), len(known) - 1)])


class Observed(Record, frozen=True, kw_only=True):
    """One run; latencies (requests,) from the moment each was due, lags of the generator (requests,), and per batch its service."""

    latency_s: np.ndarray
    lag_s: np.ndarray
    duration_s: float
    service_s: np.ndarray
    batch_size: np.ndarray
    expected_service_s: np.ndarray  # what the profile says of each batch


def judge(prediction: Prediction, workload: Workload, observed: Observed) -> LoadTest:
    """Return the load test of the predicted candidate's one replica."""
    slo = workload.slo
    latency = {quantile: quantile_estimate(observed.latency_s, quantile) for quantile in (0.5, 0.95, 0.99, slo.quantile)}
    measured, predicted = latency[slo.quantile], prediction.latency_slo_s
    requests = len(observed.latency_s)
    rate = requests / observed.duration_s
    # Poisson noise of the count of answers: the offered stream has it too.
    half = NORMAL_95 * math.sqrt(requests) / observed.duration_s
    return LoadTest(
        candidate=prediction.candidate,
        requests=requests,
        offered_requests_per_s=rate,
        duration_s=observed.duration_s,
        latency_p50_s=latency[0.5],
        latency_p95_s=latency[0.95],
        latency_p99_s=latency[0.99],
        latency_slo_s=measured,
        throughput_requests_per_s=Estimate(
            value=rate,
            low=rate - half,
            high=rate + half,
            basis="measured",
            source=f"{requests} answers in {observed.duration_s:.0f} s",
        ),
        utilization_fraction=float(observed.service_s.sum()) / observed.duration_s / prediction.candidate.instances,
        mean_batch_size=float(observed.batch_size.mean()),
        generator_lag_p99_s=float(np.quantile(observed.lag_s, 0.99)),
        generator_kept_up=float(np.quantile(observed.lag_s, 0.99)) <= ALLOWED_LAG_S,
        service_ratio=service_ratio(observed.service_s, observed.expected_service_s),
        meets_slo=measured.value <= slo.latency_s,
        predicted=prediction,
        prediction_held=measured.low <= predicted.high and predicted.low <= measured.high,
    )


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
        source=f"{count} requests under real load, open loop, from the moment each was due",
    )


def service_ratio(service_s: np.ndarray, expected_s: np.ndarray) -> Estimate:
    """Return how many times as long a call took as the profile says, with an interval from stretches of the test."""
    ratios = service_s / expected_s
    medians = np.array([np.median(block) for block in np.array_split(ratios, min(BLOCKS, len(ratios)))])
    value = float(np.median(ratios))
    spread = (
        student_t_95(len(medians) - 1) * float(medians.std(ddof=1)) / math.sqrt(len(medians))
        if len(medians) > 1
        else 0.15 * value
    )
    return Estimate(
        value=value,
        low=max(value - spread, 0.1 * value),
        high=value + spread,
        basis="measured",
        source=f"{len(ratios)} batches inside the server over the profile",
    )


def learned(known: tuple[ServiceRatio, ...], tests: tuple[LoadTest, ...]) -> tuple[ServiceRatio, ...]:
    """Return the ratios of the profile with those of the tests put in their place; a test whose generator lagged teaches nothing."""
    ratios = {(entry.variant, entry.intra_op_num_threads, entry.instances): entry for entry in known}
    for test in tests:
        if test.generator_kept_up:
            candidate = test.candidate
            ratios[_setting(candidate)] = ServiceRatio(
                variant=candidate.variant,
                intra_op_num_threads=candidate.intra_op_num_threads,
                instances=candidate.instances,
                ratio=test.service_ratio,
                batches=round(test.requests / test.mean_batch_size),
            )
    return tuple(ratios[key] for key in sorted(ratios))


def _setting(candidate: Candidate) -> tuple[str, int, int]:
    return (candidate.variant, candidate.intra_op_num_threads, candidate.instances)
