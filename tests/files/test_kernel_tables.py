"""Packed kernels: they come back as they were measured, and what is shipped can be computed with."""

from importlib.resources import as_file, files

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.files.catalog import read_hardware
from advisor.files.kernel_tables import KERNELS, LOG_STEP, read_generation_model, read_grids, read_kernel_tables, write_grids
from tests.language_models import lawful_tables

MOST_BYTES = 4_000_000


def test_packed_times_come_back_within_half_a_step(tmp_path):
    grids = dict(lawful_tables().grids)
    key = ("h100_sxm", "gemm", "bf16")
    grids[key].log_s[0, 1] = np.nan

    write_grids(tmp_path / "kernels.npz", grids)

    again = read_grids(tmp_path / "kernels.npz")
    assert set(grids) == set(again)
    for name, grid in grids.items():
        np.testing.assert_allclose(grid.log_s, again[name].log_s, atol=LOG_STEP / 2 + 1e-5)
        np.testing.assert_array_equal(np.round(grid.shapes), again[name].shapes)
        assert all((one == other).all() for one, other in zip(grid.axes, again[name].axes, strict=True))


def test_what_is_shipped_is_small_finite_and_of_devices_of_the_catalog():
    tables = read_kernel_tables()

    assert set(tables.model.measured) <= set(read_hardware())
    assert {device for device, _, _ in tables.grids} == set(tables.model.measured)
    for device in tables.model.measured:
        assert {"gemm", "context", "generation"} <= {operation for name, operation, _ in tables.grids if name == device}
    for grid in tables.grids.values():
        assert grid.log_s.shape == (len(grid.shapes), *(len(axis) for axis in grid.axes))
        assert np.isfinite(grid.log_s).any(axis=tuple(range(1, grid.log_s.ndim))).all()
        assert all((np.diff(axis) > 0).all() for axis in grid.axes)


def test_constants_that_are_none_are_refused_by_name(tmp_path):
    path = tmp_path / "generation_model.json"
    path.write_text('{"measured": {}}')

    with pytest.raises(InputError, match=r"generation_model\.json: .*required field"):
        read_generation_model(path)


def test_what_is_shipped_stays_small():
    with as_file(files("advisor.catalog").joinpath(KERNELS)) as kernels:
        assert kernels.stat().st_size <= MOST_BYTES
