import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.tell.charts.scales import MAX_TICKS, linear_scale, log_scale, part, scale_over, size_scale

# Equal values are as likely as values twelve orders apart.
positive = st.sampled_from([1e-6, 0.05, 1.0, 3600.0]) | st.floats(1e-6, 1e6)


@given(st.lists(positive, min_size=1, max_size=20), positive)
def test_an_axis_holds_its_values_in_their_order(values: list[float], probe: float) -> None:
    scale = scale_over(values)

    placed = [part(scale, value) for value in sorted(values)]

    assert sorted(placed) == placed and scale.low < max(values) < scale.high
    assert 0.0 <= part(scale, probe) <= 1.0


@given(st.lists(positive, min_size=1, max_size=20))
def test_an_axis_has_a_readable_number_of_marks_in_order_between_its_ends(values: list[float]) -> None:
    scale = scale_over(values)

    assert 2 <= len(scale.ticks) <= MAX_TICKS + 1
    assert sorted(set(scale.ticks)) == list(scale.ticks)
    assert scale.low <= scale.ticks[0] and scale.ticks[-1] <= scale.high


def test_values_that_are_far_apart_get_a_logarithmic_axis() -> None:
    assert [False, True] == [scale_over(values).is_log for values in ([0.010, 0.050], [0.010, 0.500])]


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (linear_scale(0.046), (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)),
        (linear_scale(0.3), (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35)),
        (log_scale(0.006, 0.07), (0.005, 0.01, 0.02, 0.05, 0.1)),
        (log_scale(1e-6, 1e3), (1e-6, 1e-4, 1e-2, 1.0, 100.0)),
        (size_scale([1.0, 8.0]), (1.0, 8.0)),
        (size_scale([1.0]), (1.0,)),
    ],
)
def test_marks_are_round(scale, ticks) -> None:
    assert ticks == scale.ticks
