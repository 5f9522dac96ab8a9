"""How near a student is, with an interval that knows how few items there were."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from advisor.measure.distillation.training.nearness import estimated


@settings(max_examples=20)
@given(arrays(np.float64, st.integers(5, 60), elements=st.floats(-1, 1)))
def test_a_cosine_is_the_mean_and_lies_in_its_interval(scores):
    metric, found = estimated({"score": scores}, 0)

    assert metric == "cosine"
    np.testing.assert_allclose(scores.mean(), found.value, atol=1e-12)
    assert -1 <= found.low <= found.value + 1e-12 <= found.high + 2e-12


def test_more_items_make_the_interval_narrower():
    random = np.random.default_rng(0)
    few, many = (estimated({"score": random.uniform(0.8, 1.0, size=count)}, 0)[1] for count in (20, 2000))

    assert many.high - many.low < (few.high - few.low) / 3


def test_decisions_count_one_by_one_and_none_wrong_is_no_proof():
    metric, found = estimated({"hits": np.array([3, 1, 4]), "of": np.array([4, 2, 4])}, 0)
    _, all_right = estimated({"hits": np.full(20, 5), "of": np.full(20, 5)}, 0)

    assert (metric, 0.8) == ("top1_agreement", found.value)
    assert (1.0, 1.0) == (all_right.value, all_right.high)
    assert 0.85 < all_right.low < 0.95


def test_numbers_are_compared_by_their_correlation():
    numbers = np.arange(30.0)

    assert ("pearson", 1.0) == _rounded(estimated({"student": 2 * numbers + 1, "teacher": numbers}, 0))
    assert ("pearson", -1.0) == _rounded(estimated({"student": -numbers, "teacher": numbers}, 0))
    assert ("pearson", 0.0) == _rounded(estimated({"student": np.ones(30), "teacher": numbers}, 0))


def _rounded(found):
    return found[0], round(found[1].value, 9)
