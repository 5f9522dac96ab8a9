"""One of each group at the most gain: what trying everything finds, and of thousands the proof that there is nothing better."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.integer_program import Limit
from advisor.decide.multiple_choice import choose, undominated

# Few different figures, so that groups are equal and options tie; or any figures at all.
few = st.sampled_from([0.0, 1.0, 2.0, 2.5, 7.0])
option = st.tuples(st.floats(-5, 10) | few, st.floats(0, 10) | few, st.floats(0, 10) | few)


@settings(max_examples=60)
@given(st.lists(st.lists(option, min_size=1, max_size=4), min_size=1, max_size=5), st.floats(0, 25) | few, st.floats(0, 25))
def test_no_other_choice_within_the_limits_gains_more(groups, first, second):
    items = [(at, *item) for at, group in enumerate(groups) for item in group]
    one_of = [[index for index, item in enumerate(items) if item[0] == at] for at in range(len(groups))]
    limits = [Limit([item[2] for item in items], first), Limit([item[3] for item in items], second)]

    def fits(picked):
        return all(math.fsum(limit.taken[index] for index in picked) <= limit.at_most for limit in limits)

    best = max((math.fsum(items[index][1] for index in picked) for picked in product(*one_of) if fits(picked)), default=None)

    answer = choose([item[1] for item in items], limits, one_of)

    # A limit that is reached to the last digit may be missed by one that sums in another order.
    if best is None or answer is None:
        assert best is None or any(
            math.fsum(limit.taken[index] for index in picked) == pytest.approx(limit.at_most, rel=1e-6)
            for limit in limits
            for picked in product(*one_of)
        )
        assert answer is None
    else:
        assert sorted(items[index][0] for index in answer.chosen) == list(range(len(groups)))
        assert answer.gain <= answer.bound + 1e-9
        assert answer.gain == pytest.approx(math.fsum(items[index][1] for index in answer.chosen), abs=1e-9)
        assert fits(answer.chosen) or any(
            math.fsum(limit.taken[index] for index in answer.chosen) == pytest.approx(limit.at_most, rel=1e-9) for limit in limits
        )
        assert best == pytest.approx(answer.gain, abs=1e-5) or best <= answer.bound + 1e-6


def test_groups_that_are_equal_but_for_what_is_dominated_each_get_an_option_of_their_own():
    # What is best is the second of the first group and the first of the others; the rest is dominated.
    gain, taken = [0.0, 1.0, 1.0, 1.0, 0.0], [1.0, 0.5, 0.5, 0.5, 0.5]

    answer = choose(gain, [Limit(taken, 2.0)], [[0, 1], [2], [3, 4]])

    assert (1, 2, 3) == answer.chosen
    assert 3.0 == answer.gain


@pytest.mark.parametrize("are_equal", [False, True])
@pytest.mark.parametrize("limits", [1, 2])
def test_of_two_thousand_groups_the_choice_is_proven_within_the_limits(are_equal, limits):
    random, groups, size = np.random.default_rng(3), 2000, 6
    shape = (1 if are_equal else groups, size)
    once = np.sort(random.uniform(500, 60_000, shape), axis=1)
    saved = np.sort(random.uniform(0, 1, shape), axis=1) * 10 ** random.uniform(2, 6, (shape[0], 1))
    once[:, 0] = saved[:, 0] = 0.0
    once, saved = (np.broadcast_to(it, (groups, size)).ravel() for it in (once, saved))
    asked = [Limit(once, 4000.0 * groups), Limit(once / 600 * 1.1, 6.0 * groups)][:limits]

    answer = choose(saved - once, asked, [range(size * it, size * (it + 1)) for it in range(groups)])

    chosen = list(answer.chosen)
    assert groups == len(chosen)
    assert all(math.fsum(limit.taken[chosen]) <= limit.at_most * (1 + 1e-12) for limit in asked)
    assert answer.bound - answer.gain <= 1e-9 * answer.gain
    assert math.fsum((saved - once)[chosen]) == pytest.approx(answer.gain, rel=1e-12)


def test_where_nothing_fits_nothing_is_chosen():
    assert None is choose([1.0, 2.0], [Limit([5.0, 6.0], 4.0)], [[0, 1]])
    # Each limit by itself allows one of the two, and both together none.
    assert None is choose([1.0, 2.0], [Limit([5.0, 1.0], 4.0), Limit([1.0, 5.0], 4.0)], [[0, 1]])


@given(st.lists(st.tuples(few, few, few), min_size=1, max_size=12))
def test_what_is_dropped_is_beaten_and_what_stays_is_not(options):
    kept = undominated(options)

    def beats(one, other):
        return one[0] >= other[0] and one[1] <= other[1] and one[2] <= other[2]

    assert all(any(beats(options[at], options[dropped]) for at in kept) for dropped in set(range(len(options))) - set(kept))
    assert not any(beats(options[one], options[other]) for one in kept for other in kept if one != other)
