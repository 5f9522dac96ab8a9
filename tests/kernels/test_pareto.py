"""The front: whatever is kept is unbeaten, whatever is dropped is beaten by something kept."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.kernels import pareto, reference
from tests.strategies import points


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


@given(points())
def test_the_kernel_answers_as_its_twin(cloud):
    expected = reference.non_dominated(cloud)

    np.testing.assert_array_equal(expected, pareto.non_dominated(cloud))


@settings(deadline=None, max_examples=200)
@given(st.integers(2, 5), st.integers(0, 250), st.sampled_from([2, 5, 40, 10**6]), st.booleans(), st.integers(0, 2**32 - 1))
def test_many_points_on_coarse_and_fine_grids_are_judged_as_by_its_twin(objectives, count, grid, is_plane, seed):
    cloud = np.random.default_rng(seed).integers(0, grid, (count, objectives)).astype(float)
    if is_plane:
        cloud[:, 0] = objectives * grid - cloud[:, 1:].sum(axis=1)  # what is better in one objective is worse in another
    expected = reference.non_dominated(cloud)

    np.testing.assert_array_equal(expected, pareto.non_dominated(cloud))


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["uniform", "grid", "plane"])
def test_more_points_than_are_settled_at_once_give_the_same_front_at_any_number_of_threads(objectives, kind):
    random = np.random.default_rng(3)
    cloud = random.random((30_000, objectives))
    if kind == "grid":
        cloud = np.floor(cloud * 12)
    if kind == "plane":
        cloud[:, 0] = cloud[:, 1:].sum(axis=1) * -0.999
    mask = pareto.non_dominated(cloud)
    kept = cloud[mask]

    # Every point is held against the front by a method of its own; the front is unbeaten if no part of it beats it.
    beaten = np.zeros(len(cloud), dtype=bool)
    for keeper in kept if len(kept) < 3000 else kept[random.integers(len(kept), size=500)]:
        beaten |= (keeper <= cloud).all(axis=1) & (keeper < cloud).any(axis=1)

    assert not (beaten & mask).any()
    if len(kept) < 3000:
        np.testing.assert_array_equal(mask, ~beaten)
    np.testing.assert_array_equal(mask, pareto.non_dominated(cloud, threads=2))


def test_a_staircase_that_grows_at_its_end_takes_no_longer_than_one_that_does_not():
    # The first and the third objective rise while the second falls: all points are on the front, and steps come in turn.
    steps = np.arange(60_000, dtype=float)

    assert pareto.non_dominated(np.column_stack([steps, -steps, steps])).all()


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
