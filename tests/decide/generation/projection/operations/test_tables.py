"""Interpolation of measured kernels: exact where measured, between neighbors elsewhere, and along the roofline beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.generation.projection.operations.grounds import COMPUTED
from advisor.decide.generation.projection.operations.matrices import product
from advisor.decide.generation.projection.operations.tables import LAUNCH_S, Rates, ShareOfShape, Shares, Work, weights
from advisor.schema.arrays.kernels import Grid

RATES = Rates(1e15, 3e12, 4e11)
BF16 = COMPUTED["bf16"]
SHAPES = np.array([(n, k) for n in (512.0, 4096.0) for k in (512.0, 4096.0)])
TOKENS = np.array([1.0, 8.0, 64.0, 512.0])
# Four devices' worth of unevenness: the share differs by shape and by size.
SHARE = np.array([[0.2, 0.5, 0.6, 0.7], [0.3, 0.6, 0.7, 0.8], [0.3, 0.5, 0.8, 0.9], [0.4, 0.6, 0.8, 0.9]])


def roofline_s(shape, sizes):
    return product(shape, sizes, BF16).roofline_s(RATES)


def grid(share=SHARE):
    least_s = np.array([roofline_s(shape, (TOKENS,)) for shape in SHAPES])
    return Grid(SHAPES, (TOKENS,), np.log(least_s / share))


def seconds(of, shape, tokens):
    tokens = np.asarray(tokens, dtype=float)
    return roofline_s(shape, (tokens,)) / np.exp(Shares(of, roofline_s).of(shape).at(tokens))


def test_a_measured_kernel_takes_what_was_measured():
    for shape, log_s in zip(SHAPES, grid().log_s, strict=True):
        np.testing.assert_allclose(np.exp(log_s), seconds(grid(), shape, TOKENS))


def test_beyond_what_was_measured_the_roofline_goes_on_at_the_share_of_the_end():
    shape = SHAPES[-1]
    (last, beyond) = seconds(grid(), shape, [512, 512 * 64])

    assert 0.9 == pytest.approx(roofline_s(shape, (np.array(512.0),)) / last)
    assert 0.9 == pytest.approx(roofline_s(shape, (np.array(512.0 * 64),)) / beyond)
    assert 30 < beyond / last < 64

    wide = (4096.0 * 32, 4096.0)
    assert 0.9 == pytest.approx(roofline_s(wide, (np.array(512.0),)) / seconds(grid(), wide, 512))


@given(st.floats(100, 1e5), st.floats(100, 1e5), st.floats(1, 1e5))
def test_no_share_is_outside_of_those_that_were_measured(n, k, tokens):
    share = roofline_s((n, k), (np.array(tokens),)) / seconds(grid(), (n, k), tokens)

    assert SHARE.min() * (1 - 1e-9) <= share <= SHARE.max() * (1 + 1e-9)


def test_halfway_between_two_shapes_is_their_geometric_mean():
    middle = (np.sqrt(512.0 * 4096.0), 512.0)

    share = roofline_s(middle, (np.array(64.0),)) / seconds(grid(), middle, 64)

    assert np.sqrt(0.6 * 0.8) == pytest.approx(share)


def test_gaps_are_closed_from_their_neighbors():
    holes = grid()
    holes.log_s[3, 1] = holes.log_s[3, 3] = np.nan

    share = roofline_s(SHAPES[3], (TOKENS,)) / seconds(holes, SHAPES[3], TOKENS)

    np.testing.assert_allclose([0.4, np.sqrt(0.4 * 0.8), 0.8, 0.8], share)


def test_a_value_whose_rows_do_not_enclose_the_shape_is_passed_over():
    """One odd matrix among many does not stand for matrices of quite another length."""
    shapes = np.log([(1000.0, 100.0), (1000.0, 9000.0), (1100.0, 9000.0), (2000.0, 100.0), (2000.0, 9000.0)])

    found = weights(shapes, np.log([1050.0, 100.0]).tolist())

    assert {0, 3} == {row for row, _ in found}
    assert 1 == pytest.approx(sum(weight for _, weight in found))


def test_two_sizes_are_interpolated_together():
    batch, length = np.array([1.0, 16.0]), np.array([64.0, 1024.0])
    share = np.array([[0.2, 0.4], [0.4, 0.8]])

    def least_s(shape, sizes):
        return Work(flop=0.0 * sizes[0], bytes=1e6 * sizes[0] * sizes[1]).roofline_s(RATES)

    of = Grid(
        np.array([[1.0]]), (batch, length), np.log(least_s((1.0,), np.meshgrid(batch, length, indexing="ij")) / share)[None]
    )

    logs = Shares(of, least_s).of((1.0,)).at(np.array([[4.0], [16.0]]), np.array([256.0, 1024.0, 1e6]))

    np.testing.assert_allclose([[0.4, np.sqrt(0.32), np.sqrt(0.32)], [np.sqrt(0.32), 0.8, 0.8]], np.exp(logs))


@given(st.lists(st.floats(-2, 2), min_size=12, max_size=12))
def test_neighbors_that_descend_get_their_mean_on_every_axis(logs):
    axes = [np.log([1.0, 8.0, 64.0]), np.log([1.0, 2.0, 4.0, 8.0])]
    uneven = ShareOfShape(axes, -np.array(logs).reshape(3, 4))

    log_s = -uneven.ascending(np.ones((3, 4))).logs
    line_s = -ShareOfShape(axes[:1], -np.array([3.0, 1.0, 2.5])).ascending(np.ones(3)).logs

    assert all((np.diff(log_s, axis=axis) >= -1e-12).all() for axis in (0, 1))
    np.testing.assert_allclose([2.0, 2.0, 2.5], line_s)


def test_an_empty_kernel_takes_its_launch():
    assert LAUNCH_S == Work(flop=np.zeros(1), bytes=np.zeros(1)).roofline_s(RATES)[0]
