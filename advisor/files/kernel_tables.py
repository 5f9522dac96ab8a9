"""The measured kernels of the catalog, unpacked, and the constants that were fitted around them."""

import io
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import numpy as np

from advisor.disk.writing import write_atomically
from advisor.errors import InputError
from advisor.schema.arrays.kernels import GenerationModel, Grid, KernelTables

KERNELS = "kernel_tables.npz"
CONSTANTS = "generation_model.json"
# Logarithms are stored as whole numbers of this; half of it is what packing may change a time by, 0.025 %.
LOG_STEP = 5e-4
UNMEASURED = np.iinfo(np.int16).min
# Whole numbers of 16 bits count from here: 8 ps to 1,300 s.
LOG_UNIT_S = 1e-4


@cache
def read_kernel_tables() -> KernelTables:
    """Return the kernels and constants that are shipped."""
    with as_file(files("advisor.catalog").joinpath(KERNELS)) as kernels:
        grids = read_grids(kernels)
    return KernelTables(grids, read_generation_model())


def read_generation_model(path: Path | None = None) -> GenerationModel:
    """Return the constants of step times; raise InputError where the file is none."""
    with as_file(files("advisor.catalog").joinpath(CONSTANTS)) as shipped:
        data = (path or shipped).read_bytes()
    try:
        return msgspec.json.decode(data, type=GenerationModel)
    except msgspec.DecodeError as error:
        raise InputError(f"{path or CONSTANTS}: {error}", hint="write it with benchmarks/fit_generation.py") from error


def read_grids(path: Path) -> dict[tuple[str, str, str], Grid]:
    """Return the grids of a packed file, by device, operation and precision."""
    found: dict[tuple[str, str, str], Grid] = {}
    with np.load(path, allow_pickle=False) as packed:
        names = [name.removesuffix("/log") for name in packed.files if name.endswith("/log")]
        for name in names:
            device, operation, precision = name.split("/")
            steps = packed[f"{name}/log"]
            log_s = np.where(steps == UNMEASURED, np.nan, steps * LOG_STEP + np.log(LOG_UNIT_S)).astype(np.float32)
            axes = tuple(packed[f"{name}/axis{place}"].astype(float) for place in range(steps.ndim - 1))
            found[device, operation, precision] = Grid(packed[f"{name}/shapes"].astype(float), axes, log_s)
    return found


def write_grids(path: Path, grids: dict[tuple[str, str, str], Grid]) -> None:
    """Write grids as `read_grids` reads them, times rounded to LOG_STEP."""
    packed = {}
    for key, grid in grids.items():
        name = "/".join(key)
        steps = np.round((np.nan_to_num(grid.log_s, nan=0.0) - np.log(LOG_UNIT_S)) / LOG_STEP)
        packed[f"{name}/log"] = np.where(np.isnan(grid.log_s), UNMEASURED, steps).astype(np.int16)
        packed[f"{name}/shapes"] = grid.shapes.astype(np.int32)
        packed.update({f"{name}/axis{place}": axis.astype(np.int32) for place, axis in enumerate(grid.axes)})
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **packed)
    write_atomically(path, content.getvalue())
