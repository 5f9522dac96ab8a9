"""The front: whatever is kept is unbeaten, whatever is dropped is beaten by something kept."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.kernels import pareto, reference
from tests.strategies import points


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


@given(points())
def test_the_kernel_answers_as_its_twin(cloud):
    expected = reference.non_dominated(cloud)

    np.testing.assert_array_equal(expected, pareto.non_dominated(cloud))


def test_the_kernel_is_called_as_its_twin():
    expected = inspect.signature(reference.non_dominated).parameters.values()

    actual = inspect.signature(pareto.non_dominated).parameters.values()

    assert [(p.name, p.kind, p.default) for p in expected] == [(p.name, p.kind, p.default) for p in actual]


@given(points())
def test_no_kept_point_is_dominated(cloud):
    kept = cloud[pareto.non_dominated(cloud)]

    assert not any(dominates(other, point) for point in kept for other in cloud)


@given(points())
def test_every_dropped_point_is_dominated_by_a_kept_one(cloud):
    mask = pareto.non_dominated(cloud)

    assert all(any(dominates(keeper, point) for keeper in cloud[mask]) for point in cloud[~mask])


@given(points(), st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(cloud, random):
    order = random.sample(range(len(cloud)), len(cloud))

    expected = pareto.non_dominated(cloud)[order]

    np.testing.assert_array_equal(expected, pareto.non_dominated(np.ascontiguousarray(cloud[order])))


def test_duplicates_of_a_kept_point_are_all_kept():
    cloud = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0]])

    np.testing.assert_array_equal([True, True, True, False], pareto.non_dominated(cloud))


@pytest.mark.parametrize(
    ("cloud", "complaint"),
    [
        (np.array([[1.0, np.nan]]), "points must not contain NaN"),
        (np.zeros((3, 1)), "points must have 2 to 5 objectives, not 1"),
        (np.zeros((3, 6)), "points must have 2 to 5 objectives, not 6"),
        (np.zeros(3), "wrong number of dimensions"),
        (np.zeros((3, 2), order="F"), "not C-contiguous"),
    ],
)
def test_input_that_makes_no_sense_is_refused(cloud, complaint):
    with pytest.raises(ValueError, match=complaint):
        pareto.non_dominated(cloud)
