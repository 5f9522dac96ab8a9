"""One rule for intervals: around the figure, no narrower than any of their ends, and never beyond what is possible."""

import math
from itertools import product

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


RANGES = st.tuples(st.floats(0.3, 1.0), st.just(1.0), st.floats(1.0, 3.0))  # low, value, high


def in_steps(at):
    """Return what whole replicas cost; every input moves it one way only."""
    return at["usd"] * math.ceil(at["requests_per_s"] * at["work_s"] / (at["load"] * at["devices"]))


@given(st.fixed_dictionaries(dict.fromkeys(("requests_per_s", "work_s", "load", "devices", "usd"), RANGES)), st.floats(0.1, 9))
def test_a_cost_in_steps_ends_where_its_inputs_lead_together(ranges, scale):
    x = {name: value * (scale if name == "requests_per_s" else 1.0) for name, (_, value, _) in ranges.items()}
    ends = {name: (low * x[name], high * x[name]) for name, (low, _, high) in ranges.items()}
    moved = [intervals.Moved(name, end, in_steps({**x, name: end})) for name in ends for end in ends[name] if end != x[name]]
    corners = [in_steps(dict(zip(ends, corner, strict=True))) for corner in product(*ends.values())]

    found = intervals.of_steps(in_steps, x, moved)

    assert found.least <= found.ends.low <= found.ends.value <= found.ends.high
    assert min(corners) * (1 - NEAR) <= found.ends.low and found.ends.high <= max(corners) * (1 + NEAR)
    assert all(found.ends.low * (1 - NEAR) <= each.usd <= found.ends.high * (1 + NEAR) for each in moved)


@given(st.lists(st.tuples(COSTS, st.lists(COSTS, max_size=3)), min_size=1, max_size=4))
def test_a_sum_is_no_less_than_any_of_its_parts_and_the_least_of_the_others(parts):
    each = [intervals.of_cost(value, ends) for value, ends in parts]
    least = [min(value, *ends, part.low) if ends else value for (value, ends), part in zip(parts, each, strict=True)]
    whole = math.fsum(value for value, _ in parts)
    at_ends = [whole - value + end for value, ends in parts for end in ends]

    found = intervals.of_sum(whole, at_ends, [intervals.Part(part, low) for part, low in zip(each, least, strict=True)])

    assert found.low <= whole <= found.high
    for part, low in zip(each, least, strict=True):
        others = math.fsum(least) - low
        assert (part.low + others) * (1 - NEAR) <= found.low or found.low == whole
        assert (part.high + others) * (1 - NEAR) <= found.high


@given(st.floats(0.001, 0.999), st.lists(st.floats(0, 1), max_size=8))
def test_a_share_stays_one(value, ends):
    found = intervals.of_share(value, ends)

    assert 0 <= found.low <= value <= found.high <= 1


@given(COSTS, st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_what_is_a_part_of_a_cost_saves_neither_less_than_nothing_nor_more_than_it(paid, share, others):
    found = intervals.of_saving(paid * share, [paid * other for other in others], (0.0, paid), paid)

    assert 0 <= found.low <= found.value <= found.high <= paid
