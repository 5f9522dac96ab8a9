"""What a load test says: its quantiles cover, lag makes it void, and what it teaches is put in place of what was known."""

import msgspec
import numpy as np
import pytest

from advisor.decide.load_judgement import Observed, judge, learned, quantile_estimate, service_ratio
from advisor.schema import Candidate, Estimate, HardwareChoice, LoadTest, Prediction, ServiceRatio, Slo, Traffic, Workload

WORKLOAD = Workload(
    name="w",
    traffic=Traffic(requests_per_s=100.0),
    slo=Slo(latency_s=0.05),
    hardware=HardwareChoice(price_usd_per_hour={"local": 1.0}),
)
CANDIDATE = Candidate(
    variant="fp32", hardware="local", intra_op_num_threads=1, instances=1, max_batch_size=4, max_queue_delay_s=0.0, replicas=2
)


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, basis="simulated", source="a test")


def prediction(low_s: float, high_s: float) -> Prediction:
    latency = estimate((low_s + high_s) / 2, low_s, high_s)
    money = estimate(1.0, 1.0, 1.0)
    return Prediction(
        candidate=CANDIDATE,
        latency_p50_s=latency,
        latency_p95_s=latency,
        latency_p99_s=latency,
        latency_slo_s=latency,
        latency_busiest_s=None,
        goodput_fraction=estimate(1.0, 1.0, 1.0),
        throughput_requests_per_s=estimate(100.0, 99.0, 101.0),
        capacity_requests_per_s=None,
        utilization_fraction=estimate(0.3, 0.2, 0.4),
        mean_batch_size=1.0,
        batch_size_shares=(1.0,),
        cost_usd_per_hour=money,
        cost_usd_per_million_requests=money,
        quality_drop=None,
        meets_slo=True,
        changes=(),
    )


def observed(*, latency_s: float, lag_s: float = 0.0, slowdown: float = 1.0) -> Observed:
    return Observed(
        latency_s=np.full(1000, latency_s),
        lag_s=np.full(1000, lag_s),
        duration_s=20.0,
        service_s=np.full(500, 0.01 * slowdown),
        batch_size=np.full(500, 2),
        expected_service_s=np.full(500, 0.01),
    )


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_the_interval_of_a_quantile_covers_the_true_one_nine_times_in_ten(quantile: float) -> None:
    random = np.random.default_rng(1)
    truth = -np.log(1 - quantile)
    runs = [quantile_estimate(random.exponential(size=1000), quantile) for _ in range(500)]

    covered = np.mean([run.low <= truth <= run.high for run in runs])

    # Three standard errors of a share of 0.9 in 500 runs.
    assert 0.86 <= covered <= 0.94


def test_the_target_is_judged_by_what_was_seen() -> None:
    within = judge(prediction(0.01, 0.02), WORKLOAD, observed(latency_s=0.049))
    beyond = judge(prediction(0.01, 0.02), WORKLOAD, observed(latency_s=0.051))

    assert (within.meets_slo, beyond.meets_slo) == (True, False)


def test_a_prediction_holds_if_its_interval_meets_the_measured_one() -> None:
    assert judge(prediction(0.01, 0.02), WORKLOAD, observed(latency_s=0.02)).prediction_held
    assert not judge(prediction(0.01, 0.02), WORKLOAD, observed(latency_s=0.03)).prediction_held


def test_a_late_generator_voids_the_test() -> None:
    assert judge(prediction(0.01, 0.02), WORKLOAD, observed(latency_s=0.02)).generator_kept_up
    assert not judge(prediction(0.01, 0.02), WORKLOAD, observed(latency_s=0.02, lag_s=0.02)).generator_kept_up


def test_utilization_is_busy_time_over_time_and_instances() -> None:
    test = judge(prediction(0.01, 0.02), WORKLOAD, observed(latency_s=0.02))

    assert 0.25 == pytest.approx(test.utilization_fraction)


def test_the_service_ratio_is_how_many_times_as_long_a_call_took() -> None:
    random = np.random.default_rng(2)
    expected = random.uniform(0.01, 0.1, size=400)
    runs = [service_ratio(expected * 1.2 * random.lognormal(0, 0.05, size=400), expected) for _ in range(200)]

    covered = np.mean([run.low <= 1.2 <= run.high for run in runs])

    assert 1.2 == pytest.approx(float(np.median([run.value for run in runs])), rel=0.01)
    assert covered >= 0.8


def test_a_single_batch_teaches_with_a_wide_interval() -> None:
    ratio = service_ratio(np.array([0.012]), np.array([0.01]))

    assert ratio.low < 1.2 < ratio.high


def load_test_of(*, variant: str, slowdown: float, lag_s: float = 0.0) -> LoadTest:
    test = judge(prediction(0.01, 0.02), WORKLOAD, observed(latency_s=0.02, lag_s=lag_s, slowdown=slowdown))
    return msgspec.structs.replace(test, candidate=msgspec.structs.replace(CANDIDATE, variant=variant))


def ratios(entries: tuple[ServiceRatio, ...]) -> dict[str, float]:
    return {entry.variant: entry.ratio.value for entry in entries}


def test_what_is_learned_takes_the_place_of_what_was_known_under_the_same_setting() -> None:
    before = learned((), (load_test_of(variant="fp32", slowdown=1.5), load_test_of(variant="int8", slowdown=1.1)))

    after = learned(before, (load_test_of(variant="fp32", slowdown=1.2),))

    assert {"fp32": pytest.approx(1.2), "int8": pytest.approx(1.1)} == ratios(after)


def test_a_void_test_teaches_nothing() -> None:
    assert () == learned((), (load_test_of(variant="fp32", slowdown=3.0, lag_s=0.05),))
