"""What a load test says: its quantiles cover, lag makes it void, and what it teaches is put in place of what was known."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.load_test.calibration import Batches
from advisor.decide.load_test.comparison import Observed, compare, learned, offered_load, quantile_estimate
from advisor.schema.advice import Candidate, LoadTest, Prediction, Replayed
from advisor.schema.checks import first_fault
from advisor.schema.profile import Calibration, Stalls
from advisor.schema.record import Estimate
from advisor.visits import fault_of, is_valid
from tests.profiles import configuration, power_law, profile, under, workload

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


def replayed(low_s: float, high_s: float) -> Replayed:
    latency, share = estimate((low_s + high_s) / 2, low_s, high_s), estimate(0.3, 0.2, 0.4)
    return Replayed(
        latency_p50_s=latency,
        latency_p95_s=latency,
        latency_p99_s=latency,
        latency_slo_s=latency,
        throughput_requests_per_s=estimate(50.0, 49.0, 51.0),
        utilization_fraction=share,
    )


def observed(*, latency_s: float, lag_s: float = 0.0, slowdown: float = 1.0) -> Observed:
    nothing = np.zeros(500)
    batches = Batches(
        wait_s=nothing,
        assembly_s=nothing,
        call_s=np.full(500, 0.01 * slowdown),
        waited_s=nothing,
        was_idle=np.zeros(500, dtype=bool),
        by_timer=np.zeros(500, dtype=bool),
        size=np.full(500, 2),
        expected_s=np.full(500, 0.01),
        transit_s=np.zeros(1000),
        had_own_way=np.ones(1000, dtype=bool),
    )
    return Observed(
        latency_s=np.full(1000, latency_s),
        lag_s=np.full(1000, lag_s),
        offered_requests_per_s=50.0,
        duration_s=20.0,
        run_delay_s=0.2,
        batches=batches,
        ended_s=np.linspace(0.0, 20.0, 500),
    )


def load_test(seen: Observed, *, variant: str = "fp32") -> LoadTest:
    predicted = prediction(0.01, 0.02)
    predicted = msgspec.structs.replace(predicted, candidate=msgspec.structs.replace(CANDIDATE, variant=variant))
    return compare(predicted, replayed(0.01, 0.02), seen, quantile=0.99, target_s=0.05, noise_fraction=0.0)


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_the_interval_of_a_quantile_covers_the_true_one_nine_times_in_ten(quantile: float) -> None:
    random = np.random.default_rng(1)
    truth = -np.log(1 - quantile)
    runs = [quantile_estimate(random.exponential(size=1000), quantile) for _ in range(500)]

    covered = np.mean([run.low <= truth <= run.high for run in runs])

    # Three standard errors of a share of 0.9 in 500 runs.
    assert 0.86 <= covered <= 0.94


def test_the_target_is_kept_or_missed_by_what_was_observed() -> None:
    within = load_test(observed(latency_s=0.049))
    beyond = load_test(observed(latency_s=0.051))

    assert (within.meets_slo, beyond.meets_slo) == (True, False)


def test_a_prediction_holds_if_its_interval_meets_the_measured_one() -> None:
    assert load_test(observed(latency_s=0.02)).prediction_held
    assert not load_test(observed(latency_s=0.03)).prediction_held


def test_of_two_requests_the_rate_is_known_to_be_no_less_than_nothing() -> None:
    seen = observed(latency_s=0.02)

    test = load_test(msgspec.structs.replace(seen, latency_s=seen.latency_s[:2], lag_s=seen.lag_s[:2]))

    assert 0.0 == test.throughput_requests_per_s.low
    assert None is first_fault(test)


def test_waiting_for_a_core_is_reported_as_a_share_of_the_time() -> None:
    assert 0.01 == pytest.approx(load_test(observed(latency_s=0.02)).run_delay_fraction)


def test_a_late_generator_voids_the_test() -> None:
    assert load_test(observed(latency_s=0.02)).generator_kept_up
    assert not load_test(observed(latency_s=0.02, lag_s=0.02)).generator_kept_up


def test_a_target_that_was_missed_beside_others_at_work_says_nothing_one_that_was_kept_does() -> None:
    beside = {share: msgspec.structs.replace(observed(latency_s=0.051), others_fraction=share) for share in (None, 0.1, 0.4)}
    kept = msgspec.structs.replace(observed(latency_s=0.049), others_fraction=0.4)

    assert [None, None] == [fault_of(load_test(beside[share])) for share in (None, 0.1)]
    assert "other programs had 40 % of its cores while the target was missed" == fault_of(load_test(beside[0.4]))
    assert is_valid(load_test(kept))
    assert fault_of(load_test(observed(latency_s=0.051, lag_s=0.02))) == "the load generator was up to 20 ms late"


def test_utilization_is_busy_time_over_time_and_instances() -> None:
    test = load_test(observed(latency_s=0.02))

    assert 0.25 == pytest.approx(test.utilization_fraction)


def load_test_of(*, variant: str, slowdown: float, lag_s: float = 0.0) -> LoadTest:
    return load_test(observed(latency_s=0.02, lag_s=lag_s, slowdown=slowdown), variant=variant)


def ratios(entries: tuple[Calibration, ...]) -> dict[str, float]:
    return {entry.variant: entry.call_ratio.value for entry in entries}


def test_what_is_learned_takes_the_place_of_what_was_known_under_the_same_setting() -> None:
    before = learned((), (load_test_of(variant="fp32", slowdown=1.5), load_test_of(variant="int8", slowdown=1.1)))

    after = learned(before, (load_test_of(variant="fp32", slowdown=1.2),))

    assert {"fp32": pytest.approx(1.2), "int8": pytest.approx(1.1)} == ratios(after)


def test_a_void_test_teaches_nothing() -> None:
    assert () == learned((), (load_test_of(variant="fp32", slowdown=3.0, lag_s=0.05),))


def test_what_was_watched_beside_a_test_is_kept_with_it() -> None:
    seen = msgspec.structs.replace(observed(latency_s=0.02), stalls=(Stalls(watched_s=20.0, gaps_s=(0.003,), shortest_s=0.001),))

    assert seen.stalls == load_test(seen).stalls


@settings(deadline=None, max_examples=30)
@given(
    requests_per_s=st.floats(500.0, 3000.0),
    wanted_s=st.floats(5.0, 60.0),
    burstiness_cv=st.sampled_from([1.0, 2.0]),
    diurnal=st.sampled_from([None, (1.0, 3.0)]),
    replicas=st.integers(1, 4),
)
def test_a_load_test_lasts_as_long_as_it_is_wanted_at_any_rate(requests_per_s, wanted_s, burstiness_cv, diurnal, replicas):
    # A run of the simulation has 10,000 requests, which come in 3 s at the highest of these rates.
    site = under(workload(requests_per_s, burstiness_cv=burstiness_cv, diurnal=diurnal), profile(power_law(1e-4)))
    simulated = site.demand.requests

    offer = offered_load(site, configuration().replicated(replicas, site.hardware), wanted_s=wanted_s)

    assert wanted_s == pytest.approx(offer.requests.sent_s[-1], rel=0.1)
    assert simulated == site.demand.requests
