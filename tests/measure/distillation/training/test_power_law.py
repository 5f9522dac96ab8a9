"""What a longer run would reach: laws that were planted are found again, and what is no law gives no figure."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from advisor.measure.distillation.training import power_law
from advisor.measure.distillation.training.power_law import PowerLaw
from advisor.schema.distillation import CurvePoint

STEPS = tuple(range(100, 1300, 100))
EVERYWHERE = (1, 1200)
laws = st.builds(PowerLaw, st.floats(0.0, 0.5), st.floats(1.0, 20.0), st.floats(0.3, 1.2))


def curve_of(law, noise=0.0, seed=0, steps=STEPS):
    random = np.random.default_rng(seed)
    losses = law.at(np.array(steps)) * (1 + noise * random.standard_normal(len(steps)))
    return [CurvePoint(step=step, seconds=step / 2, held_out_loss=float(loss)) for step, loss in zip(steps, losses, strict=True)]


@given(laws)
def test_a_planted_law_is_found_again(law):
    steps = np.array(STEPS, dtype=float)

    found = power_law.fitted(steps, law.at(steps))

    np.testing.assert_allclose(law.at(steps), found.at(steps), rtol=0.01)


@settings(max_examples=30)
@given(laws, st.integers(0, 2**16))
def test_what_a_planted_law_reaches_lies_within_a_few_intervals(law, seed):
    """Nine in ten lie inside; none is far outside, whatever the law and the noise."""
    curve = curve_of(law, 0.002, seed)
    assume(curve[-1].held_out_loss < 0.9 * curve[0].held_out_loss)

    for longer in power_law.longer_runs(curve, EVERYWHERE, 0):
        loss, truth = longer.held_out_loss, float(law.at(np.array([longer.steps]))[0])
        wide = 4 * max(loss.high - loss.low, 0.01 * loss.value)
        assert loss.low - wide <= truth <= loss.high + wide


def test_of_many_laws_about_nine_in_ten_reach_what_their_interval_says():
    random = np.random.default_rng(0)
    inside = []
    for seed in range(40):
        law = PowerLaw(random.uniform(0.0, 0.3), random.uniform(2.0, 10.0), random.uniform(0.4, 1.0))
        found = power_law.longer_runs(curve_of(law, 0.01, seed), EVERYWHERE, seed)
        inside += [it.held_out_loss.low <= law.at(np.array([it.steps]))[0] <= it.held_out_loss.high for it in found]

    assert len(inside) > 80
    assert 0.8 <= np.mean(inside)


def test_longer_runs_take_as_many_times_as_long():
    found = power_law.longer_runs(curve_of(PowerLaw(0.1, 5.0, 0.5)), EVERYWHERE, 0)

    assert [(1200 * times, 600.0 * times) for times in power_law.LONGER] == [(it.steps, it.seconds) for it in found]
    assert all(it.held_out_loss.low <= it.held_out_loss.value <= it.held_out_loss.high for it in found)
    assert found[0].held_out_loss.value > found[-1].held_out_loss.value


def test_what_the_end_gains_by_a_falling_rate_a_longer_run_gains_too():
    law = PowerLaw(0.1, 5.0, 0.5)
    fallen = [
        point if point.step < 1200 else CurvePoint(step=1200, seconds=600.0, held_out_loss=point.held_out_loss / 2)
        for point in curve_of(law)
    ]

    plain, gained = (power_law.longer_runs(curve, (1, 1100), 0) for curve in (curve_of(law), fallen))

    np.testing.assert_allclose([it.held_out_loss.value / 2 for it in plain], [it.held_out_loss.value for it in gained], rtol=1e-6)


def test_too_few_points_are_no_law():
    assert () == power_law.longer_runs(curve_of(PowerLaw(0.1, 5.0, 0.5), steps=STEPS[:4]), EVERYWHERE, 0)


def test_points_before_and_after_the_full_rate_do_not_count():
    assert () == power_law.longer_runs(curve_of(PowerLaw(0.1, 5.0, 0.5)), (400, 700), 0)


@given(st.integers(0, 2**16))
def test_a_loss_that_does_not_fall_is_not_extrapolated(seed):
    random = np.random.default_rng(seed)
    rising = sorted(random.uniform(0.5, 1.0, size=len(STEPS)))
    curve = [CurvePoint(step=step, seconds=1.0, held_out_loss=float(loss)) for step, loss in zip(STEPS, rising, strict=True)]

    assert () == power_law.longer_runs(curve, EVERYWHERE, seed)
