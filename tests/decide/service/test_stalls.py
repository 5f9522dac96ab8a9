"""Watches of the clock as a process: counted over the time that would have seen them, drawn as they were seen, in the spread no more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.service.measured import service_grids
from advisor.decide.service.stalls import DRAWS, MOST_STALLED_FRACTION, delay_s, draws, is_stalled, process_of, robust_deviation
from advisor.kernels import queue_sim
from advisor.schema.profile import Stalls
from tests.profiles import fixed_cost_law, profile, with_site

lengths = st.lists(st.floats(2e-4, 0.5), max_size=30).map(tuple)


def watch(watched_s, *gaps_s, shortest_s=2e-4):
    return Stalls(watched_s=watched_s, gaps_s=gaps_s, shortest_s=shortest_s)


def test_nobody_knows_of_stalls_that_nobody_watched_for():
    assert process_of(()) is None
    assert process_of((watch(0.0),)) is None


def test_a_watch_that_saw_nothing_knows_of_no_stall():
    process = process_of((watch(10.0),))

    assert process is not None and (0.0, 0.0) == (process.rate_per_s["high"], process.fraction)
    assert draws(process, cores=1, seed=(0,), end="high") is None


def test_stalls_are_counted_over_the_time_in_which_they_would_have_been_seen():
    # Short ones in the first ten seconds alone, long ones in all of the forty.
    process = process_of((watch(10.0, 3e-4, 3e-4, 5e-3), watch(30.0, 5e-3, shortest_s=1e-3)))

    assert process is not None
    assert pytest.approx(2 / 10 + 2 / 40) == process.rate_per_s["value"]
    assert pytest.approx(2 / 40 / (2 / 10 + 2 / 40)) == sum(process.weights[2:])
    assert pytest.approx(2 / 10 * 3e-4 + 2 / 40 * 5e-3) == process.fraction


@given(st.floats(0.5, 100.0), lengths, lengths)
def test_the_order_of_watches_and_how_they_are_cut_changes_nothing(watched_s, some, others):
    whole = process_of((watch(3 * watched_s, *some, *others),))
    parts = process_of((watch(watched_s, *others), watch(2 * watched_s, *some)))

    assert whole is not None and parts is not None
    assert whole.lengths_s == parts.lengths_s
    np.testing.assert_allclose(whole.weights, parts.weights)
    assert pytest.approx(whole.rate_per_s) == parts.rate_per_s


def test_the_interval_of_the_rate_covers_the_true_rate_nine_times_in_ten():
    random, rate_per_s, covered = np.random.default_rng(3), 4.0, 0
    for _ in range(1000):
        process = process_of((watch(5.0, *[1e-3] * random.poisson(5.0 * rate_per_s)),))
        covered += process.rate_per_s["low"] <= rate_per_s <= process.rate_per_s["high"]

    assert 860 <= covered <= 940


@given(st.floats(1.0, 100.0), lengths.filter(bool), st.integers(1, 64), st.sampled_from(["low", "value", "high"]))
def test_draws_stall_cores_as_often_and_as_long_as_was_seen_and_leave_time_to_work(watched_s, gaps_s, cores, end):
    process = process_of((watch(watched_s, *gaps_s),))
    found = draws(process, cores=cores, seed=(1, 5), end=end)
    if found is None:
        assert 0.0 == process.rate_per_s[end]
        return
    gap_s, length_s = found

    assert (DRAWS, DRAWS) == (len(gap_s), len(length_s))
    assert set(length_s.tolist()) <= set(gaps_s)
    assert process.mean_s == pytest.approx(float(length_s.mean()), rel=0.05)
    expected = min(process.rate_per_s[end] * cores, MOST_STALLED_FRACTION / float(length_s.mean()))
    assert expected == pytest.approx(1 / float(gap_s.mean()), rel=1e-3)
    # What the kernel takes.
    queue_sim.simulate_queue(
        np.zeros(1),
        np.zeros(1, np.intp),
        np.ones((1, 1)),
        np.ones(1),
        instances=1,
        max_queue_delay_s=0.0,
        stall_gap_s=gap_s,
        stall_length_s=length_s,
    )


@given(
    st.lists(st.floats(0.01, 5.0), min_size=1, max_size=6),
    st.lists(st.floats(0.0, 3.0), min_size=6, max_size=6),
    st.lists(st.floats(0.0, 50.0), max_size=20),
)
def test_who_comes_to_an_idle_core_that_stands_still_waits_for_its_end(gaps, ends, moments):
    gap_s, length_s = np.array(gaps), np.array(ends[: len(gaps)])
    moments_s = np.sort(np.array(moments))
    begins_s, cycle_s = np.cumsum(gap_s), float(np.sum(gap_s))

    def waits_s(moment_s):
        at_s = moment_s % cycle_s
        return max([0.0, *(begin + length - at_s for begin, length in zip(begins_s, length_s, strict=True) if begin <= at_s)])

    np.testing.assert_allclose([waits_s(moment) for moment in moments_s], delay_s(moments_s, (gap_s, length_s)))


def calls(count=2000, *, stalled=0, seed=0):
    random = np.random.default_rng(seed)
    seconds = random.lognormal(np.log(2e-3), 0.02, count)
    seconds[random.choice(count, stalled, replace=False)] += 5e-3
    return seconds


def marked(seconds, process, expected):
    excess_s = seconds - np.median(seconds)
    return is_stalled(excess_s, robust_deviation(seconds), process, expected)


def test_calls_that_the_watches_account_for_are_taken_for_stalled():
    seconds, process = calls(stalled=8), process_of((watch(10.0, *[5e-3] * 20),))

    found = marked(seconds, process, expected=2.0 * seconds.sum())

    assert 8 == found.sum() and (seconds[found] > 6e-3).all()


def test_calls_that_the_watches_do_not_account_for_stay_in_the_spread():
    # One call in ten is slow by itself, as one of another input would be; the watches expect eight stalls.
    seconds, process = calls(stalled=200), process_of((watch(10.0, *[5e-3] * 20),))

    found = marked(seconds, process, expected=8.0)

    assert 8 <= found.sum() <= 8 + 1.645 * 8**0.5


def test_without_watches_and_without_far_calls_nothing_is_taken_out():
    process = process_of((watch(10.0, *[5e-3] * 20),))

    assert not marked(calls(stalled=8), None, expected=0.0).any()
    assert not marked(calls(), process, expected=8.0).any()


def test_what_is_simulated_as_a_stall_is_no_longer_in_the_spread():
    unsteady = (*(1.0 + 0.001 * step for step in range(-20, 21)), 4.0)
    measured = profile(fixed_cost_law(1e-3, 1e-3), calls=unsteady * 20)
    seen = watch(20.0, *[5e-3] * 200)
    grids = service_grids(measured.sites[0])

    smooth = service_grids(with_site(measured, stalls=(seen,)).sites[0])

    assert grids.keys() == smooth.keys()
    assert pytest.approx(4.0, rel=1e-3) == max(grids["fp32", 1, 1].spread)
    assert max(smooth["fp32", 1, 1].spread) < 1.03
