"""One rule for intervals: around the figure, no narrower than any of their ends, and never beyond what is possible."""

from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.lifetime import intervals

COSTS = st.floats(0.01, 1e9)
NEAR = 1e-9


@given(COSTS, st.lists(COSTS, max_size=8))
def test_the_interval_of_a_cost_holds_the_figure_and_every_end(value, ends):
    found = intervals.of_cost(value, ends)

    assert 0 <= found.low <= found.value <= found.high
    assert all(found.low * (1 - NEAR) <= end <= found.high * (1 + NEAR) for end in ends)


@given(COSTS)
def test_a_cost_that_an_end_makes_nothing_may_be_nothing(value):
    assert (0.0, value) == (intervals.of_cost(value, [0.0]).low, intervals.of_cost(value, [0.0]).value)


@given(st.lists(st.tuples(COSTS, st.lists(COSTS, min_size=3, max_size=3)), min_size=1, max_size=4))
def test_no_part_of_a_sum_reaches_above_it(parts):
    each = [intervals.of_cost(value, ends) for value, ends in parts]
    whole = sum(value for value, _ in parts)

    found = intervals.of_sum(whole, [whole - value + end for value, ends in parts for end in ends], each)

    assert found.low <= whole <= found.high
    assert all(part.high <= found.high and part.low <= max(found.low, whole) for part in each)


@given(st.floats(0.001, 0.999), st.lists(st.floats(0, 1), max_size=8))
def test_a_share_stays_one(value, ends):
    found = intervals.of_share(value, ends)

    assert 0 <= found.low <= value <= found.high <= 1


@given(COSTS, st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_what_is_a_part_of_a_cost_saves_neither_less_than_nothing_nor_more_than_it(paid, share, others):
    found = intervals.of_saving(paid * share, [paid * other for other in others], (0.0, paid), paid)

    assert 0 <= found.low <= found.value <= found.high <= paid
