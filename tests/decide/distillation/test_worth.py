"""Whether a student pays, against sums on paper: replicas are whole, hours of a month are 730, and the break-even is where they say."""

import math

import pytest
from msgspec.structs import replace

from advisor.decide.advice.outlook import life_served_by
from advisor.decide.distillation.making import lever_of, making_of
from advisor.decide.distillation.worth import of_prediction, opportunity_of, together, worth_of
from advisor.schema.record import Estimate
from advisor.schema.workload import Lifecycle, LifeTeam
from tests.lives import MARKET
from tests.profiles import NOW, student, workload
from tests.tell.advice_examples import candidate, prediction

LIFE = Lifecycle(horizon_months=12.0, team=LifeTeam(engineer_usd_per_day=800.0))
CARRIES, WITH_STUDENT = 50.0, 100.0  # requests a second of one replica, each for $1 an hour
A_YEAR = 12 * 730.0
WORK = 25 * 800.0  # engineer days of the catalog; nothing here trains for long


def served(variant, requests_per_s, carries, spread=(1.0, 1.0)):
    """As many replicas as carry the traffic, at a cost that is known exactly or within a spread."""
    replicas = math.ceil(requests_per_s / carries)
    made = prediction(candidate(variant, replicas=replicas), p99_s=0.03, utilization=0.5, replica_usd_per_hour=1.0)
    low, high = (replicas * factor for factor in spread)
    cost = Estimate(value=float(replicas), low=low, high=high, basis="simulated", source="a test")
    most = replicas * carries
    capacity = Estimate(value=most, low=most, high=most, basis="simulated", source="a test")
    return replace(made, cost_usd_per_hour=cost, capacity_requests_per_s=capacity)


def worth_at(requests_per_s, *, lifecycle=LIFE, spread=(1.0, 1.0)):
    shown, after = (
        served(name, requests_per_s, carries, spread) for name, carries in (("fp32", CARRIES), ("static", WITH_STUDENT))
    )
    life = life_served_by(shown, workload(requests_per_s, lifecycle=lifecycle), MARKET, requests_per_s)
    lever = lever_of(MARKET, life)
    making = making_of(student("static", kind="static", blocks=None), lever, life, lifecycle, MARKET, None)
    before, behind = of_prediction(shown), of_prediction(after)
    return worth_of("static", lever, before, behind, making, life, created=NOW), life


def by_hand(once_usd):
    """The traffic beyond which so many replicas fewer pay what was spent: at 250/s there are 5 without and 3 with, just above 6 and 3."""
    fewer = math.ceil(once_usd / A_YEAR)
    return next(
        rate
        for rate in (count * CARRIES for count in range(1000))
        if math.ceil((rate + 1e-6) / CARRIES) - math.ceil((rate + 1e-6) / WITH_STUDENT) >= fewer
    )


@pytest.mark.parametrize(("requests_per_s", "pays"), [(40.0, False), (100.0, False), (1000.0, True), (20_000.0, True)])
def test_small_traffic_is_told_not_to_distill_and_large_traffic_to_do_so(requests_per_s, pays):
    worth, _ = worth_at(requests_per_s)
    replicas = math.ceil(requests_per_s / CARRIES) - math.ceil(requests_per_s / WITH_STUDENT)

    assert pays is worth.pays
    assert replicas * A_YEAR == pytest.approx(worth.gain.saving_usd.value)


@pytest.mark.parametrize("requests_per_s", [40.0, 100.0, 1000.0])
def test_the_break_even_volume_between_them_is_that_of_a_sum_on_paper(requests_per_s):
    even = worth_at(requests_per_s)[0].break_even

    assert by_hand(WORK) == 250.0
    assert 250.0 == pytest.approx(even.requests_per_s, rel=1e-5)
    assert "above" == even.pays


def test_the_break_even_date_is_where_the_months_have_paid_what_was_spent():
    worth, _ = worth_at(1000.0)

    assert WORK / (10 * 730.0) == pytest.approx(worth.break_even.months.value)
    assert worth.break_even.on is not None and worth.break_even.on.startswith("2027-02")


def test_the_saving_reaches_as_far_as_the_replicas_of_both_are_known():
    exact, _ = worth_at(1000.0)
    vague, _ = worth_at(1000.0, spread=(0.9, 1.2))

    assert (10 * A_YEAR,) * 2 == pytest.approx((exact.gain.saving_usd.low, exact.gain.saving_usd.high))
    # 20 replicas without it and 10 with it, each a tenth fewer or a fifth more.
    assert (20 * 0.9 - 10 * 1.2) * A_YEAR == pytest.approx(vague.gain.saving_usd.low)
    assert (20 * 1.2 - 10 * 0.9) * A_YEAR == pytest.approx(vague.gain.saving_usd.high)


def test_a_teacher_that_is_released_often_moves_the_break_even_up():
    often = replace(LIFE, fine_tunings_per_year=6.0)
    once_usd = WORK + 6 * 0.2 * WORK

    assert by_hand(once_usd) > by_hand(WORK)
    assert by_hand(once_usd) == pytest.approx(worth_at(1000.0, lifecycle=often)[0].break_even.requests_per_s, rel=1e-5)


def test_growth_is_counted_month_by_month():
    growing = replace(LIFE, growth_per_month=0.1)
    rates = [1000.0 * 1.1**month for month in range(12)]
    saved = 730 * sum(math.ceil(rate / CARRIES - 1e-9) - math.ceil(rate / WITH_STUDENT - 1e-9) for rate in rates)

    assert saved == pytest.approx(worth_at(1000.0, lifecycle=growing)[0].gain.saving_usd.value)


def test_the_opportunity_is_never_spoken_of_without_its_condition_and_is_sure_only_where_it_surely_holds():
    worth, _ = worth_at(20_000.0)

    sure, unsure = (
        opportunity_of(worth, 12.0, risk="a risk", surely_holds=holds, because="", created=NOW) for holds in (True, False)
    )

    assert "Distill into static: after training, if it holds" == sure.title == worth.break_even.title
    assert ("distil", True, True, False) == (sure.lever, sure.pays, sure.surely, unsure.surely)
    assert "400 replicas of fp32 on local" == sure.before


def test_what_is_reserved_after_distilling_is_less_and_both_are_one_saving():
    worth, life = worth_at(20_000.0)

    said = together(worth, life, LIFE, MARKET)

    whole, half = 400 * A_YEAR, 200 * A_YEAR
    assert "Reserve the always-on devices for a year" in said
    # Reserved are the replicas that are left: 40 % of what they cost, not of what the others would have.
    assert f"it saves ${half + 0.4 * half:,.0f}" in said and f"not the ${half + 0.4 * whole:,.0f} of both" in said


def test_what_is_served_is_described_with_its_replicas():
    assert "1 replica of fp32 on local" == of_prediction(served("fp32", 10.0, CARRIES)).words
