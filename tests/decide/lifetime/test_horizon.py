"""The course of a day from rates and from a record, bursts, and two prices that fall at their own rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.lifetime.horizon import Course, months, of_arrivals, of_rates, worth_of_a_month

RATES = st.lists(st.floats(0.01, 100), min_size=2, max_size=100)


@given(RATES)
def test_the_hours_of_a_day_have_its_mean_and_no_more_than_its_peak(rates):
    course = of_rates(rates, 1.0, "a test")

    assert 1 == pytest.approx(sum(course.hours) / 24)
    assert max(course.hours) <= course.peak_over_mean * (1 + 1e-9)
    assert max(rates) / (sum(rates) / len(rates)) == pytest.approx(course.peak_over_mean)


def test_hours_that_are_given_are_the_hours():
    rates = [float(1 + hour % 5) for hour in range(24)]

    assert [rate / (sum(rates) / 24) for rate in rates] == pytest.approx(of_rates(rates, 1.0, "").hours)


def test_a_record_of_days_is_told_by_the_hour_of_the_day():
    busy = [day * 86_400.0 + second for day in range(3) for second in range(0, 43_200, 10)]

    course = of_arrivals([*busy, 3 * 86_400.0], "a record")

    assert 2 == pytest.approx(course.peak_over_mean, rel=0.01) and 0 == course.hours[20]


def test_a_record_of_less_than_a_day_is_taken_to_repeat():
    first = [float(second) for second in range(300)]

    course = of_arrivals([*first, 600.0], "a record")

    assert 2 == pytest.approx(course.peak_over_mean, rel=0.1)


@given(st.floats(0.05, 0.95), st.floats(0.1, 10))
def test_bursts_leave_less_of_the_load_and_poisson_traffic_all_of_it(load, cv):
    left = Course(burstiness_cv=cv).with_bursts(load)

    assert load == pytest.approx(Course().with_bursts(load))
    assert (left <= load * (1 + 1e-9)) if cv >= 1 else (left >= load * (1 - 1e-9))
    # Kingman: the wait is the same.
    assert (cv**2 + 1) / 2 * left / (1 - left) == pytest.approx(load / (1 - load))


@pytest.mark.parametrize(
    ("given_", "hardware", "tokens"),
    [
        ({}, 1, 1),
        ({"hardware_price_decline_per_year": 0.2}, 0.8, 1),
        ({"token_price_decline_per_year": 0.9}, 1, 0.1),
        ({"price_decline_per_year": 0.9}, 1, 0.1),
    ],
)
def test_hardware_and_tokens_fall_in_price_at_their_own_rates(given_, hardware, tokens):
    month = months({"horizon_months": 24.0, **given_})[12]

    assert (hardware, tokens) == pytest.approx((month.price, month.tokens))


@given(st.floats(0.1, 60), st.floats(0, 1))
def test_months_are_worth_no_more_than_there_are(horizon, discount):
    worth = worth_of_a_month({"horizon_months": horizon, "discount_per_year": discount})

    assert 0 < worth <= horizon * (1 + 1e-9)
    assert discount or math.isclose(worth, horizon)
