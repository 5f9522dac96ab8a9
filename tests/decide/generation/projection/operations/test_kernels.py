"""Kernels of a device: those that were measured on it, or on another one and scaled by both devices' rates."""

import numpy as np
import pytest

from advisor.decide.generation.projection.operations.grounds import COMPUTED, foundation_of, numbers_of
from advisor.decide.generation.projection.operations.kernels import UNPACKING_SHARE, USUAL_SHARE, Kernel
from advisor.decide.generation.projection.operations.matrices import grids_of, product
from tests.language_models import SHARE, device, lawful_tables

TABLES = lawful_tables()
SHAPE = (6144.0, 4096.0)
TOKENS = np.array([1.0, 100.0, 5000.0])


def gemm(name, weights="bf16"):
    foundation = foundation_of(device(name), TABLES)
    numbers = numbers_of(weights, device(name))
    return foundation, Kernel(foundation, "gemm", product, numbers, grids_of(numbers, weights))


@pytest.mark.parametrize("name", ["h100_sxm", "l40s", "l4", "mi300x"])
@pytest.mark.parametrize("weights", ["bf16", "fp8"])
def test_kernels_keep_their_share_of_the_roofline_on_another_device(name, weights):
    foundation, kernel = gemm(name, weights)
    rates = foundation.rates(COMPUTED[weights].computed_in)

    least_s = product(SHAPE, (TOKENS,), COMPUTED[weights]).roofline_s(rates)

    np.testing.assert_allclose(SHARE, least_s / kernel.seconds(SHAPE, TOKENS), rtol=1e-6)


def test_weights_of_int4_save_what_they_move_and_cost_what_unpacking_does():
    _, plain = gemm("h100_sxm")
    _, packed = gemm("h100_sxm", "int4")

    saved = plain.seconds(SHAPE, TOKENS) / packed.seconds(SHAPE, TOKENS)

    # One token waits for weights; thousands for the tensor cores.
    assert 2 < saved[0] < 4
    assert UNPACKING_SHARE == pytest.approx(saved[-1])


def test_where_no_device_is_near_kernels_reach_the_usual_share():
    foundation, kernel = gemm("orin_nano")

    least_s = product(SHAPE, (TOKENS,), COMPUTED["bf16"]).roofline_s(foundation.rates("bf16"))

    np.testing.assert_allclose(USUAL_SHARE, least_s / kernel.seconds(SHAPE, TOKENS))
