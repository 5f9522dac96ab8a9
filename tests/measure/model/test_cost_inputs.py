"""A value is followed to where it decides how much is computed, through arithmetic and into loops, and no further."""

import pytest

from advisor.measure.model import cost_inputs, onnx_file
from tests import models


def sets_cost(model, name):
    return cost_inputs.sets_cost(onnx_file.graphs(model), name)


@pytest.mark.parametrize("by_condition", [False, True])
def test_a_count_is_followed_into_the_loop_and_its_condition(by_condition):
    model = models.counted_loop(by_condition=by_condition)

    assert sets_cost(model, "max_length")
    assert not sets_cost(model, "x")


@pytest.mark.parametrize("operator", ["Range", "TopK", "Tile", "Expand", "ConstantOfShape", "Slice"])
def test_a_value_is_followed_through_arithmetic_to_what_it_sizes(operator):
    model = models.counted(operator)

    assert sets_cost(model, "count")
    assert not sets_cost(model, "x")


@pytest.mark.parametrize(
    "text",
    [
        "(float[n, 8] x, int64 k) => (float[n, 8] y) { wide = Cast <to = 1> (k) y = Mul(x, wide) }",  # a factor
        "(int64[n, m] x, int64 k) => (int64[2] y) { sum = Add(x, k) y = Shape(sum) }",  # its shape is not its value
        "(float[n, 8] x, int64[m] k) => (float[m, 8] y) { y = Gather(x, k) }",  # a choice of rows
    ],
)
def test_a_value_that_sizes_nothing_is_no_count(text):
    assert not sets_cost(models.build(text), "k")


def test_a_count_that_a_loop_carries_on_is_followed():
    model = models.build(
        """(float[n, 8] x, int64 left) => (float[n, 8] y) {
            rest, y = Loop(most, yes, left, x) <body = body (int64 turn, bool go, int64 now, float[n, 8] state)
                => (bool again, int64 less, float[n, 8] next) {
                    less = Sub(now, one) again = Greater(less, one) next = Exp(state) }>
        }"""
    )

    assert sets_cost(model, "left")
