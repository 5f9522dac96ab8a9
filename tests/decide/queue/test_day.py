"""The course of a day: every part has its share of the requests, its own rate and as much time as any other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.queue import day

courses = st.lists(st.just(0.0) | st.floats(0.01, 100.0), min_size=2, max_size=48).filter(any).map(tuple)


@given(courses)
def test_rates_are_over_their_mean(diurnal):
    assert 1.0 == pytest.approx(day.relative_rates(diurnal).mean())


@given(courses, st.integers(1, 3000))
def test_every_part_has_its_share_of_the_requests(diurnal, requests):
    rates = day.relative_rates(diurnal)
    expected = requests * rates / len(rates)

    actual = np.bincount(day.parts(rates, requests), minlength=len(rates))

    assert (np.abs(expected - actual) <= 1 + 1e-6).all() and not actual[rates == 0.0].any()


@settings(deadline=None)
@given(courses, st.integers(1000, 3000))
def test_every_part_lasts_equally_long_at_its_own_rate(diurnal, requests):
    rates = day.relative_rates(diurnal)
    part = day.parts(rates, requests)

    at_s = np.cumsum(day.gaps_of_day(np.ones(requests), rates, warm_up=0, mean_gap=1.0))

    # A part's first request comes within a gap of its beginning, and no part before it was longer or shorter by more than a gap.
    first = np.unique(part, return_index=True)[1]
    slack = np.cumsum(1 / rates[rates > 0.0])[: len(first)] + (1 / rates[part[first]])
    began = part[first] + np.argmax(rates[::-1] > 0.0)
    assert (np.abs(at_s[first] - began * requests / len(rates)) <= slack + 1e-6 * requests).all()


def test_an_empty_part_passes_before_the_next_request_does():
    gaps = day.gaps_of_day(np.ones(6), day.relative_rates((1.0, 0.0, 1.0, 0.0)), warm_up=2, mean_gap=1.0)

    # Two requests a part at twice the mean rate: each part lasts one mean gap, the last one passes before the day begins.
    assert [1.0, 1.0, 1.5, 0.5, 1.5, 0.5] == gaps.tolist()


def test_a_part_that_is_all_but_empty_is_empty():
    assert [2.0, 0.0] == day.relative_rates((1.0, 1e-6)).tolist()


def test_equally_busy_parts_are_the_busiest_together():
    assert 0.8 == pytest.approx(day.busiest_share(day.relative_rates((2.0, 1.0, 2.0))))
