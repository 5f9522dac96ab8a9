"""Experts: a step reads the weights of those that its tokens meet."""

import numpy as np
import pytest

from advisor.decide.generation.projection.operations.experts import Experts, distinct_experts
from advisor.decide.generation.projection.operations.grounds import foundation_of, numbers_of
from tests.language_models import DEEPSEEK, MIXTRAL, device, lawful_tables

TABLES = lawful_tables()


@pytest.mark.parametrize(
    ("experts", "per_token", "tokens", "distinct"), [(8, 2, 1, 2.0), (8, 2, 4, 5.47), (256, 8, 16, 101.96), (128, 4, 32, 81.66)]
)
def test_the_experts_that_a_step_meets_are_those_of_the_published_cases(experts, per_token, tokens, distinct):
    assert distinct == pytest.approx(float(distinct_experts(experts, per_token, np.array(tokens))), abs=5e-3)


def seconds(layers, hidden, tokens, degree=1, weights="bf16"):
    hardware = device("h100_sxm")
    of = Experts(foundation_of(hardware, TABLES), layers, hidden, numbers_of(weights, hardware), weights, degree)
    return of.seconds(np.asarray(tokens, dtype=float))


def test_time_grows_with_the_experts_met_and_then_with_the_tokens():
    one, few, many, more = seconds(MIXTRAL.feed_forward[0], 4096, [1, 16, 4000, 8000])

    assert 3.5 < few / one < 4.1  # two of eight experts, and then all
    assert more / many == pytest.approx(2, rel=0.05)


def test_devices_divide_each_expert():
    whole, parts = (seconds(DEEPSEEK.feed_forward[1], 7168, [4096], degree, "fp8")[0] for degree in (1, 8))

    # What enters and leaves is not divided.
    assert 5 < whole / parts < 8.1
