"""Kernels of a device: those that were measured on it, or on another one and scaled by both devices' rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.floats(0.05, 1.0), min_size=5, max_size=5), st.lists(st.floats(1, 2e4), min_size=2, max_size=2))
def test_more_tokens_never_take_less_however_uneven_the_kernels_are(share, tokens):
    grid = TABLES.grids["h100_sxm", "gemm", "bf16"]
    uneven = grid._replace(log_s=grid.log_s - np.log(share))
    kernel = Kernel(
        foundation_of(device("h100_sxm"), TABLES._replace(grids={("h100_sxm", "gemm", "bf16"): uneven})),
        *("gemm", product, COMPUTED["bf16"], ("bf16",)),
    )

    fewer, more = kernel.seconds(SHAPE, np.sort(tokens))

    assert fewer <= more * (1 + 1e-9)


def test_where_no_device_is_near_kernels_reach_the_usual_share():
    foundation, kernel = gemm("orin_nano")

    least_s = product(SHAPE, (TOKENS,), COMPUTED["bf16"]).roofline_s(foundation.rates("bf16"))

    np.testing.assert_allclose(USUAL_SHARE, least_s / kernel.seconds(SHAPE, TOKENS))
