"""The space of candidates: nothing lost, nothing feasible cut, cheapest first."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given

from advisor.kernels import reference, search
from tests.strategies import spaces


@given(spaces())
def test_the_kernel_answers_as_its_twin(space):
    expected = reference.enumerate_candidates(**space)

    actual = search.enumerate_candidates(**space)

    for expected_part, actual_part in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(expected_part, actual_part)


def test_the_kernel_is_called_as_its_twin():
    expected = inspect.signature(reference.enumerate_candidates).parameters.values()

    actual = inspect.signature(search.enumerate_candidates).parameters.values()

    assert [(p.name, p.kind, p.default) for p in expected] == [(p.name, p.kind, p.default) for p in actual]


@given(spaces())
def test_survivors_and_cuts_add_up_to_the_space(space):
    configuration, _, _, cut_by_latency, cut_by_throughput = search.enumerate_candidates(**space)

    assert space["max_replicas"].sum() == len(configuration) + cut_by_latency + cut_by_throughput


@given(spaces())
def test_a_survivor_is_a_candidate_of_the_space_that_its_bounds_allow(space):
    configuration, replicas, cost_usd_per_hour, _, _ = search.enumerate_candidates(**space)

    assert len(set(zip(configuration, replicas, strict=True))) == len(configuration)
    assert ((replicas >= 1) & (replicas <= space["max_replicas"][configuration])).all()
    assert (space["latency_floor_s"][configuration] <= space["latency_target_s"]).all()
    assert (space["requests_per_s"] * space["item_seconds"][configuration] < replicas).all()
    np.testing.assert_array_equal(space["price_usd_per_hour"][configuration] * replicas, cost_usd_per_hour)


@given(spaces())
def test_the_cheapest_comes_first_then_the_simplest_then_the_smallest(space):
    configuration, replicas, cost_usd_per_hour, _, _ = search.enumerate_candidates(**space)

    ranks = list(zip(cost_usd_per_hour, configuration, replicas, strict=True))

    assert sorted(ranks) == ranks


def test_replicas_that_are_exactly_busy_are_cut_for_their_queue_never_empties():
    _, replicas, _, _, cut_by_throughput = search.enumerate_candidates(
        np.array([0.5]), np.array([0.1]), np.array([1.0]), np.array([4]), requests_per_s=4.0, latency_target_s=0.1
    )

    np.testing.assert_array_equal([3, 4], replicas)
    assert cut_by_throughput == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"item_seconds": np.ones(1)}, "one entry for each configuration is needed, got .*'item_seconds': 1"),
        ({"item_seconds": np.array([1.0, np.nan])}, "item_seconds must be finite and at least 0"),
        ({"latency_floor_s": np.array([1.0, -1.0])}, "latency_floor_s must be finite and at least 0"),
        ({"price_usd_per_hour": np.array([1.0, np.inf])}, "price_usd_per_hour must be finite and at least 0"),
        ({"max_replicas": np.array([1, 0])}, "max_replicas must be finite and at least 1"),
        ({"max_replicas": np.ones(2)}, "Buffer dtype mismatch"),
        ({"requests_per_s": 0.0}, r"requests_per_s must be finite and positive, not 0\.0"),
        ({"requests_per_s": math.inf}, "requests_per_s must be finite and positive, not inf"),
        ({"latency_target_s": math.nan}, "latency_target_s must be finite and positive, not nan"),
    ],
)
def test_input_that_makes_no_sense_is_refused(change, complaint):
    space = {
        "item_seconds": np.ones(2),
        "latency_floor_s": np.ones(2),
        "price_usd_per_hour": np.ones(2),
        "max_replicas": np.array([1, 2]),
        "requests_per_s": 1.0,
        "latency_target_s": 1.0,
    }

    with pytest.raises(ValueError, match=complaint):
        search.enumerate_candidates(**space | change)
