import pytest
from msgspec.structs import replace

from advisor.decide.advice.load_curve import PARTS, load_curve
from advisor.schema.advice import Advice
from tests.test_one_value import SEEDS, priced

ADVICE = {seed: priced(seed) for seed in [*SEEDS][:4]}


@pytest.fixture(params=ADVICE)
def advice(request: pytest.FixtureRequest) -> Advice:
    return ADVICE[request.param]


def _shown(advice: Advice):
    return advice.recommended or advice.likely or advice.nearest_miss or advice.baseline


def test_the_curve_is_of_one_replica_up_to_its_capacity(advice: Advice) -> None:
    capacity = _shown(advice).capacity_requests_per_s.value / _shown(advice).candidate.replicas

    rates = [point.requests_per_s for point in advice.load_curve]

    assert [pytest.approx(part * capacity) for part in PARTS[: len(rates)]] == rates and rates


def test_at_parts_of_the_capacity_the_target_is_kept(advice: Advice) -> None:
    # By the likely service times, which the middle of the capacity is of.
    assert all(point.latency_slo_s.value <= advice.workload.slo.latency_s * 1.001 for point in advice.load_curve)


def test_each_point_stands_on_the_ground_of_the_prediction(advice: Advice) -> None:
    assert {_shown(advice).latency_slo_s.basis} == {point.latency_slo_s.basis for point in advice.load_curve}
    assert all(it.latency_slo_s.low <= it.latency_slo_s.value <= it.latency_slo_s.high for it in advice.load_curve)


def test_without_a_capacity_there_is_no_curve() -> None:
    shown = replace(_shown(ADVICE[next(iter(ADVICE))]), capacity_requests_per_s=None)

    assert () == load_curve(None, shown)
