"""Write advisor/catalog/kernel_tables.npz: the measured kernels that step times of language models elsewhere stand on.

    python benchmarks/pack_kernel_tables.py [--json FILE] [--ops FOLDER] [--output FILE]

FOLDER has the tables that NVIDIA publishes with aiconfigurator (Apache-2.0), as parquet files: gemm, context_attention,
generation_attention, mla, moe, comm; reading them needs pyarrow. Without it the file is looked at as it is. What is kept, of each device:
- the newest version of the engine that has the operation;
- of several libraries at one shape and size the fastest, for engines choose by timing, too;
- attention, products and sums in the numbers that served models come in; experts whose tokens choose evenly, where such were
  measured, else by a power law; all-reduces by the engine's own kernels in a recorded graph or by NCCL.
Times are rounded to steps of 0.05 % (`LOG_STEP` of advisor/files/kernel_tables.py).

Keys: `grids`, `times` (kept), `bytes` (of the file), `largest_rounding` (of a logarithm, when packing).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from advisor.decide.generation.projection.operations.communication import ELEMENT_BYTES
from advisor.files.kernel_tables import LOG_STEP, read_grids, write_grids
from advisor.schema.arrays.kernels import Grid, Operation
from harness import Figures, Unknown, parsed, parser_of, save, show

OUTPUT = Path(__file__).parents[1] / "advisor" / "catalog" / "kernel_tables.npz"
# What the tables call devices of the catalog.
DEVICES = {
    "a100_sxm": "a100_80_sxm",
    "b200_sxm": "b200",
    "b300_sxm": "b300",
    "b60": "arcprob60",
    "gb200": "gb200",
    "h100_sxm": "h100_sxm",
    "h200_sxm": "h200_sxm",
    "l40s": "l40s",
    "rtx_pro_6000_server": "rtxpro6000",
}
PRECISIONS = {
    "bfloat16": "bf16",
    "half": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8_block",
    "nvfp4": "fp4",
    "int4_wo": "int4",
    "w4a16_mxfp4": "mxfp4",
}
# The first that a shape was measured with. Served steps of Mixtral (8 experts) take what evenly chosen experts take; by a power law
# 12 % more.
DISTRIBUTIONS = ("balanced", "power_law_1.01", "power_law_1.2")
Columns = Mapping[str, np.ndarray]
Key = tuple[str, str, str]


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of a parquet file."""
    from pyarrow import parquet

    table = parquet.read_table(path)
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def chosen(columns: Columns, kept: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[kept] for name, values in columns.items()}


def codes(columns: Columns, names: Sequence[str]) -> np.ndarray:
    """Return a whole number for each row, the same for rows that have the same values (rows,)."""
    found = np.zeros(len(columns[names[0]]), dtype=np.int64)
    for name in names:
        values, place = np.unique(columns[name], return_inverse=True)
        found = found * len(values) + place
    return found


def groups(columns: Columns, *names: str) -> Iterator[tuple[tuple[str, ...], dict[str, np.ndarray]]]:
    """Yield the columns of the rows of each combination of values."""
    of = codes(columns, names)
    for code in np.unique(of):
        rows = chosen(columns, of == code)
        yield tuple(str(rows[name][0]) for name in names), rows


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in "".join(each if each.isdigit() else " " for each in version).split())


def newest(columns: Columns) -> dict[str, np.ndarray]:
    """Return the rows of the newest version."""
    latest = max(np.unique(columns["version"]), key=version_key)
    return chosen(columns, columns["version"] == latest)


def grid_of(columns: Columns, shape: Sequence[str], sizes: Sequence[str]) -> Grid:
    """Return the fastest time at each shape and size."""
    latency_s = columns["latency_ms"].astype(float) / 1e3
    kept = np.isfinite(latency_s) & (latency_s > 0)
    shapes, row = np.unique(np.stack([columns[name][kept].astype(float) for name in shape], axis=1), axis=0, return_inverse=True)
    axes, places = [], []
    for name in sizes:
        axis, place = np.unique(columns[name][kept].astype(float), return_inverse=True)
        axes.append(axis)
        places.append(place)
    log_s = np.full((len(shapes), *(len(axis) for axis in axes)), np.inf)
    np.minimum.at(log_s, (row.ravel(), *places), np.log(latency_s[kept]))
    return Grid(shapes, tuple(axes), np.where(np.isinf(log_s), np.nan, log_s))


def known(columns: Columns, precision: str) -> dict[str, np.ndarray]:
    """Return the rows of devices and precisions that the advisor knows."""
    return chosen(columns, np.isin(columns["system"], list(DEVICES)) & np.isin(columns[precision], list(PRECISIONS)))


# --- operations ------------------------------------------------------------------------------------------------------------------


def products(folder: Path) -> Iterator[tuple[Key, Grid]]:
    columns = known(read_columns(folder / "gemm.parquet"), "gemm_dtype")
    for (system, precision), of in groups(columns, "system", "gemm_dtype"):
        yield (DEVICES[system], "gemm", PRECISIONS[precision]), grid_of(newest(of), ("n", "k"), ("m",))


def attention(folder: Path) -> Iterator[tuple[Key, Grid]]:
    tables: tuple[tuple[str, Operation, str], ...] = (
        ("context_attention", "context", "isl"),
        ("generation_attention", "generation", "ctx"),
    )
    for name, operation, length in tables:
        columns = known(read_columns(folder / f"{name}.parquet"), "kv_cache_dtype")
        for (system, precision), of in groups(columns, "system", "kv_cache_dtype"):
            shape = ("num_key_value_heads", "num_heads", "head_dim")
            yield (DEVICES[system], operation, PRECISIONS[precision]), grid_of(newest(of), shape, ("batch_size", length))


def latent(folder: Path) -> Iterator[tuple[Key, Grid]]:
    columns = known(read_columns(folder / "mla.parquet"), "kv_cache_dtype")
    columns["cached"] = columns["isl"].astype(float) + columns["step"].astype(float)
    phases: tuple[tuple[Operation, str], ...] = (("context_mla", "isl"), ("generation_mla", "cached"))
    for operation, length in phases:
        of_phase = chosen(columns, columns["phase"] == operation)
        for (system, precision), of in groups(of_phase, "system", "kv_cache_dtype"):
            yield (DEVICES[system], operation, PRECISIONS[precision]), grid_of(newest(of), ("num_heads",), ("batch_size", length))


def experts(folder: Path) -> Iterator[tuple[Key, Grid]]:
    columns = known(read_columns(folder / "moe.parquet"), "moe_dtype")
    columns = chosen(columns, columns["moe_ep_size"] == 1)
    columns["own_inter_size"] = columns["inter_size"].astype(float) / columns["moe_tp_size"].astype(float)
    shape = ("num_experts", "topk", "hidden_size", "own_inter_size")
    for (system, precision), of in groups(columns, "system", "moe_dtype"):
        latest_rows = newest(of)
        keys = codes(latest_rows, shape)
        kept = np.zeros(len(keys), dtype=bool)
        for distribution in DISTRIBUTIONS:
            is_first = (latest_rows["distribution"] == distribution) & ~np.isin(keys, np.unique(keys[kept]))
            kept |= is_first
        yield (DEVICES[system], "experts", PRECISIONS[precision]), grid_of(chosen(latest_rows, kept), shape, ("num_tokens",))


def sums(folder: Path) -> Iterator[tuple[Key, Grid]]:
    columns = known(read_columns(folder / "comm.parquet"), "dtype")
    is_sum = (columns["op_name"] == "all_reduce") & np.isin(columns["lib"], ["nccl", "oneccl", "vllm"])
    is_sum &= ~np.isin(columns["eager_or_graph"], ["vllm_eager"])
    for (system,), of in groups(chosen(columns, is_sum), "system"):
        # Sizes are elements of 16 bits: as bytes they would go at half of what links carry, and those of 8 bits take half as long.
        of["message_bytes"] = of["message_size"].astype(float) * ELEMENT_BYTES
        yield (DEVICES[system], "all_reduce", "bf16"), grid_of(of, ("num_gpus",), ("message_bytes",))


OPERATIONS: tuple[Callable[[Path], Iterator[tuple[Key, Grid]]], ...] = (products, attention, latent, experts, sums)


def pack(folder: Path, output: Path) -> float:
    """Write the tables of a folder; return the largest difference of a logarithm that rounding makes."""
    grids: dict[Key, Grid] = {}
    for operation in OPERATIONS:
        grids.update(operation(folder))
    write_grids(output, grids)
    again = read_grids(output)
    rounding = max(float(np.nanmax(np.abs(again[key].log_s - grid.log_s))) for key, grid in grids.items())
    if rounding > LOG_STEP:
        raise SystemExit(f"times differ by {rounding:.2%} after packing: a logarithm does not fit its 16 bits")
    return rounding


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--ops", type=Path, metavar="FOLDER", help="the tables to pack")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the packed file")
    arguments = parsed(parser)
    figures: Figures = {"largest_rounding": Unknown("nothing was packed: there is no --ops")}
    if arguments.ops is not None:
        figures["largest_rounding"] = pack(arguments.ops, arguments.output)
    grids = read_grids(arguments.output)
    for (device, operation, precision), grid in sorted(grids.items()):
        print(f"{device:14} {operation:15} {precision:10} {len(grid.shapes):6,} shapes {np.isfinite(grid.log_s).sum():8,} times")
    figures |= {
        "grids": len(grids),
        "times": sum(int(np.isfinite(grid.log_s).sum()) for grid in grids.values()),
        "bytes": arguments.output.stat().st_size,
    }
    show(figures)
    save(arguments.json, arguments.size, figures)


if __name__ == "__main__":
    main()
