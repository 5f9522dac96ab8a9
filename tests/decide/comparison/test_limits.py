"""Limits: what is beyond them by more than can be off breaks them, and one that could never be seen to break is none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.comparison import limits
from advisor.decide.comparison.outcomes import change, shown_change
from advisor.decide.comparison.quality import absolute, sides
from advisor.schema.gate.policy import FallLimit, QualityLimit, RiseLimit, TargetLimit
from advisor.schema.profile import QualityResult
from advisor.schema.record import Estimate


def about(value: float, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate(
        value=value,
        low=value if low is None else low,
        high=value if high is None else high,
        basis="measured",
        source="a test",
    )


FIVE = RiseLimit(max_increase=0.05)


def held(old: Estimate, new: Estimate, limit=FIVE, *, higher: bool = True) -> str:
    found = limits.of_change("x", limit, change(old, new, "parts", is_worse_when_higher=higher), "")
    return found.held


def test_exact_figures_are_held_to_the_limit_itself():
    assert "kept" == held(about(100.0), about(105.0))
    assert "broken" == held(about(100.0), about(105.1))
    assert "kept" == held(about(100.0), about(50.0))


def test_a_figure_that_is_better_the_higher_it_is_may_fall_by_as_much():
    half = FallLimit(max_decrease=0.5)

    assert "kept" == held(about(100.0), about(50.0), half, higher=False)
    assert "broken" == held(about(100.0), about(49.0), half, higher=False)
    assert "kept" == held(about(100.0), about(0.001), FallLimit(max_decrease=1.0), higher=False)


def test_a_rise_that_is_shown_while_its_size_is_not_cannot_be_told():
    assert "cannot be told" == held(about(100.0, 95.0, 105.0), about(112.0, 106.0, 118.0))
    assert "broken" == held(about(100.0, 95.0, 105.0), about(130.0, 124.0, 136.0))


def test_intervals_that_hide_many_times_the_limit_are_too_wide_for_it():
    wide = about(100.0, 60.0, 160.0)

    assert "cannot be told" == held(wide, about(101.0, 61.0, 161.0))
    assert "kept" == held(wide, about(101.0, 61.0, 161.0), RiseLimit(max_increase=0.2))
    assert "kept" == held(wide, wide)  # the same figure is no more than itself, however little is known of it


@pytest.mark.parametrize(
    ("expected", "value"), [("kept", (8.0, 10.0)), ("broken", (10.1, 12.0)), ("cannot be told", (9.0, 11.0))]
)
def test_a_limit_on_the_figure_itself_is_kept_at_the_worse_end_and_broken_at_the_better_one(expected, value):
    (found,) = limits.of_value("x", RiseLimit(max=10.0), about(sum(value) / 2, *value), "")

    assert expected == found.held


def test_what_is_not_known_keeps_no_limit_and_breaks_none():
    (found,) = limits.of_value("x", RiseLimit(max=10.0), None, "nobody measured it")

    assert ("cannot be told", "nobody measured it") == (found.held, found.because)


def test_a_warning_never_decides():
    finding = limits.of_promise("meets_slo", TargetLimit(level="warn"), "missed")

    assert "broken" == finding.held
    assert "kept" == limits.overall((finding,), "")


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_a_change_and_the_one_that_undoes_it_are_of_one_size(one, other):
    forth = change(about(one), about(other), "parts", is_worse_when_higher=True)
    back = change(about(other), about(one), "parts", is_worse_when_higher=True)

    assert math.isclose(forth.worse_by, -back.worse_by, abs_tol=1e-12)


def quality(metric: str, value: float, *, items: int = 400, baseline: float = 0.9, drop: float = 0.0, spread: float = 0.0):
    return QualityResult(
        metric=metric,
        data_sha256="0" * 64,
        items=items,
        baseline=baseline,
        value=value,
        drop=about(drop, drop - spread, drop + spread),
    )


def test_the_interval_of_a_share_is_that_of_so_many_items():
    known = absolute(quality("accuracy", 0.9)).estimate

    # Wilson's interval of 360 in 400, by hand.
    assert (0.8726, 0.922) == (round(known.low, 4), round(known.high, 4))
    assert absolute(quality("accuracy", 1.0)).estimate.low < 1.0


def test_beside_the_same_baseline_values_are_as_sure_as_what_was_lost():
    old, new = sides(quality("accuracy", 0.9), quality("accuracy", 0.897, drop=0.003, spread=0.001))

    assert (0.9, 0.9) == (old.estimate.low, old.estimate.high)
    assert (0.896, 0.898) == (round(new.estimate.low, 4), round(new.estimate.high, 4))


def test_a_perplexity_is_as_sure_as_its_increase_in_parts():
    _, new = sides(quality("perplexity", 20.0, baseline=20.0), quality("perplexity", 21.0, baseline=20.0, drop=0.05, spread=0.01))

    assert (20.8, 21.2) == (round(new.estimate.low, 4), round(new.estimate.high, 4))


def test_of_a_metric_without_a_law_nothing_is_made_up():
    assert None is absolute(quality("own.module:score", 17.0, baseline=17.0)).estimate
    assert "cannot be told" == limits.of_change("quality", QualityLimit(max_drop=0.1), None, "no law").held


def test_figures_of_any_size_are_compared():
    tiny, huge = about(1e-290), about(1e290)

    assert "broken" == held(tiny, huge)
    assert "kept" == held(huge, tiny)
    assert None is shown_change(tiny, huge, "parts")
