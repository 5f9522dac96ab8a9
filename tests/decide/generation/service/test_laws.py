"""Laws of least relative squares: never below zero, the best of their kind, and as unsure as their points are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.generation.service.laws import Points, fitted, law_of, shared_by_round, spread_of

STEPS = np.array([(1.0, batch, batch * each) for batch in (1, 2, 4, 8) for each in (32, 256, 1024)])
costs = st.tuples(*(st.one_of(st.just(0.0), st.floats(1e-3, 1.0)) for _ in range(3))).filter(any)
SIZES = np.array([5e-3, 1e-3, 1e-6])


def visited(seconds, levels):
    return tuple(second * np.asarray(each) for second, each in zip(seconds, levels, strict=True))


@given(costs)
def test_a_law_is_recovered_from_steps_that_obey_it(cost):
    true = SIZES * cost

    found = fitted(STEPS, (STEPS @ true)[None])[0]

    np.testing.assert_allclose(STEPS @ found, STEPS @ true, rtol=1e-6)


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_no_other_law_without_coefficients_below_zero_fits_better(seed):
    random = np.random.default_rng(seed)
    seconds = random.uniform(1e-3, 1e-1, len(STEPS))

    found = fitted(STEPS, seconds[None])[0]

    def squares(cost):
        return float(((STEPS @ cost / seconds - 1) ** 2).sum())

    assert (found >= 0).all()
    for _ in range(50):
        other = np.maximum(found * np.exp(random.normal(0, 0.2, 3)) + random.choice([0.0, 1e-6], 3) * random.normal(size=3), 0.0)
        assert squares(found) <= squares(other) * (1 + 1e-9)


def test_fewer_coefficients_are_enough_where_points_are_too_few_to_tell_more():
    found = fitted(STEPS[:1], np.array([[0.01]]))[0]

    assert [0.01, 0.0, 0.0] == pytest.approx(found.tolist())


def test_nine_of_ten_intervals_hold_the_truth():
    true = np.array([5e-3, 1e-3, 1e-6])
    unmeasured = np.array([1.0, 3.0, 1500.0])
    held = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        levels = np.exp(0.05 * random.standard_normal((len(STEPS), 3)))
        points = Points(STEPS, visited(STEPS @ true, levels))
        law = law_of(points, spread_of([points]), 20, np.random.default_rng(0))
        drawn = np.sort(law.draws @ unmeasured)
        held += drawn[1] <= unmeasured @ true <= drawn[-2]

    assert held >= 48


def test_points_off_the_law_widen_what_it_may_be():
    on_it = STEPS @ np.array([5e-3, 1e-3, 1e-6])
    off_it = on_it * np.where(STEPS[:, 1] == 2, 1.4, 1.0)
    laws = []
    for seconds in (on_it, off_it):
        points = Points(STEPS, visited(seconds, np.ones((len(STEPS), 3))))
        laws.append(law_of(points, spread_of([points]), 20, np.random.default_rng(0)))
    on, off = laws

    assert [False, True] == [on.is_off, off.is_off]
    assert on.by_size is off.by_size is None
    assert np.ptp(np.log(off.draws @ STEPS[0])) > np.ptp(np.log(on.draws @ STEPS[0])) + 0.1


def test_a_law_of_points_that_were_visited_once_is_less_sure_than_one_of_many_visits():
    true = STEPS @ np.array([5e-3, 1e-3, 1e-6])
    widths = []
    for count in (1, 9):
        levels = np.exp(0.02 * np.random.default_rng(1).standard_normal((len(STEPS), count)))
        points = Points(STEPS, visited(true, levels))
        law = law_of(points, spread_of([points]), 20, np.random.default_rng(0))
        widths.append(np.ptp(np.log(law.draws @ STEPS[4])))

    assert widths[0] > widths[1]


def test_of_sizes_that_each_lie_off_one_law_each_keeps_its_own_distance():
    over = np.array([1.0, 0.7, 1.3, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9])
    sizes = STEPS[:, 1].astype(int)
    points = Points(STEPS, visited(STEPS @ np.array([5e-3, 1e-3, 1e-6]) * over[sizes], np.ones((len(STEPS), 3))))

    law = law_of(points, spread_of([points]), 20, np.random.default_rng(0), sizes)

    assert law.misfit_sigma < 0.03
    np.testing.assert_allclose((STEPS @ law.cost) * law.by_size[sizes], points.seconds, rtol=0.03)
    assert law.by_size[2] > law.by_size[3] > law.by_size[4]


def test_what_a_round_has_in_common_is_told_from_what_each_visit_has_by_itself():
    random = np.random.default_rng(3)
    rounds, own = np.exp(random.normal(0, 0.1, 5)), np.exp(random.normal(0, 0.1, (len(STEPS), 5)))
    seconds = STEPS @ np.array([5e-3, 1e-3, 1e-6])
    together, apart = (Points(STEPS, visited(seconds, levels)) for levels in (np.tile(rounds, (len(STEPS), 1)), own))

    found = [shared_by_round([points], spread_of([points])) for points in (together, apart)]

    assert [5, 5] == [count for _, count in found]
    assert np.std(np.log(rounds), ddof=1) / np.sqrt(5) == pytest.approx(found[0][0], rel=0.3)
    assert found[1][0] < 0.4 * found[0][0]
    assert (0.0, 1) == shared_by_round([Points(STEPS, visited(seconds, np.ones((len(STEPS), 1))))], spread_of([together]))
