"""The kernels of a step: weights are read once, every layer counts, and a degree divides what can be divided."""

import numpy as np
import pytest

from advisor.decide.generation.projection.composition import Composition
from advisor.decide.generation.projection.operations.grounds import foundation_of
from tests.language_models import DEEPSEEK, LLAMA_8B, LLAMA_70B, MIXTRAL, SHARE, device, lawful_tables

TABLES = lawful_tables()


def composition(model, name="h100_sxm", degree=1, weights="bf16", kv="bf16"):
    return Composition(model, foundation_of(device(name), TABLES), tensor_parallel=degree, weights=weights, kv=kv)


def matrices_s(of, tokens):
    parts = of.of_tokens(np.array([float(tokens)]), np.ones(1))
    return float(parts.matrices[0] + parts.experts[0])


def test_one_token_reads_the_weights_once():
    bytes_read = 2 * (LLAMA_8B.parameters - LLAMA_8B.vocabulary * LLAMA_8B.hidden_size)

    assert bytes_read / 3.35e12 / SHARE == pytest.approx(matrices_s(composition(LLAMA_8B), 1), rel=0.1)


def test_many_tokens_cost_two_operations_a_weight_each():
    per_token = 2 * (LLAMA_8B.parameters - 2 * LLAMA_8B.vocabulary * LLAMA_8B.hidden_size) / 9.9e14 / SHARE

    slope = (matrices_s(composition(LLAMA_8B), 16384) - matrices_s(composition(LLAMA_8B), 8192)) / 8192

    assert per_token == pytest.approx(slope, rel=0.1)


def test_a_token_among_experts_costs_the_active_parameters_alone():
    active, dense = matrices_s(composition(MIXTRAL), 1), matrices_s(composition(LLAMA_8B), 1)

    assert MIXTRAL.active_parameters / LLAMA_8B.parameters == pytest.approx(active / dense, rel=0.15)
    assert matrices_s(composition(MIXTRAL), 64) > 3 * active


@pytest.mark.parametrize(("model", "weights"), [(LLAMA_70B, "bf16"), (DEEPSEEK, "fp8")])
def test_a_degree_divides_matrices_and_adds_two_sums_a_layer(model, weights):
    one, eight = (
        composition(model, degree=degree, weights=weights).of_tokens(np.array([16.0]), np.array([16.0])) for degree in (1, 8)
    )

    in_all = [parts.matrices[0] + parts.experts[0] for parts in (one, eight)]

    assert 4 < in_all[0] / in_all[1] < 8.5
    assert 0 == one.communication[0] < eight.communication[0]


def test_nobody_who_decodes_and_nothing_that_is_read_cost_no_attention():
    of = composition(LLAMA_8B)

    assert 0 == of.of_decoding(np.zeros(1), np.zeros(1)).attention[0]
    assert 0 == of.of_reading(np.zeros(1), np.zeros(1), np.ones(1)).attention[0]
    assert 0 < of.of_decoding(np.ones(1), np.ones(1)).attention[0]
