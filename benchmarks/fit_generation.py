"""Write advisor/catalog/generation_model.json: what engines add to measured kernels, and how far off the sum is on models held back.

    python benchmarks/fit_generation.py [--json FILE] [--quick] [--rows FILE] [--configs FOLDER ...] [--output FILE]

The rows are those of --rows (columns as in benchmarks/data/generation_rows.csv.gz), their models those of --configs and of
benchmarks/data/configs. A run that is not full takes a part of the rows, and writes nothing unless --output says where.

Keys: `rows`, `points`, `models`; `<engine>_<figure>_error_median` and `<engine>_<figure>_error_p90` of what was held back by model;
`<ground>_<figure>_factor` (within which nine of ten lie; of all engines).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from advisor.decide.generation.projection.memory import kv_bytes_per_token, weight_bytes_per_device
from advisor.decide.generation.projection.step_model import Foundations, StepModel
from advisor.disk.writing import write_atomically
from advisor.errors import AdvisorError
from advisor.files.kernel_tables import KERNELS, read_grids
from advisor.measure.architecture.config import read_architecture
from advisor.schema.arrays.kernels import DeviceRates, GenerationModel, HostTimes, KernelTables, StepError
from advisor.schema.catalog import Hardware
from advisor.schema.language import Architecture
from advisor.schema.record import Source
from harness import Figures, Size, parsed, parser_of, save, show
from parts.generation_rows import CONFIGS, DATA, Run, config_files, usable_runs
from parts.host_fit import Held, Point, errors_of, fitted, held_back, points_of, remembering
from parts.validation_rows import read_rows

CATALOG = Path(__file__).parents[1] / "advisor" / "catalog"
OUTPUT = CATALOG / "generation_model.json"
EVERY: dict[Size, int] = {"full": 1, "quick": 4, "tiny": 40}  # of so many rows one is taken
MEMORY_USED = 0.9  # of a device's, which engines take for weights and cache


def _rates(gb_per_s: float, link_gb_per_s: float, maker: str = "NVIDIA", **tflop_per_s: float) -> DeviceRates:
    return DeviceRates(
        maker=maker,
        memory_bandwidth_bytes_per_s=gb_per_s * 1e9,
        link_bytes_per_s=link_gb_per_s * 1e9,
        flop_per_s={precision: rate * 1e12 for precision, rate in tflop_per_s.items()},
    )


# Of the devices whose kernels were measured, as the same publication has them.
MEASURED = {
    "a100_80_sxm": _rates(2039, 300, bf16=312),
    "arcprob60": _rates(456, 28.4, "Intel", bf16=98.304, fp8=98.304),
    "b200": _rates(7700, 900, bf16=2250, fp8=4500, fp4=9000),
    "b300": _rates(7750, 900, bf16=2250, fp8=4500, fp4=14000),
    "gb200": _rates(8000, 900, bf16=2500, fp8=5000, fp4=10000),
    "h100_sxm": _rates(3350, 450, bf16=989, fp8=1978),
    "h200_sxm": _rates(4800, 450, bf16=989, fp8=1978),
    "l40s": _rates(864, 32, bf16=362.05, fp8=733),
    "rtxpro6000": _rates(1792, 64, bf16=467.8, fp8=935.6, fp4=1871.2),
}
# One way, of all links of a device together; of makers' data sheets. What is not named here has a bus.
LINKS_GB_PER_S = {
    "a100_40_sxm": 300.0,
    "gaudi2": 262.5,
    "gaudi3": 525.0,
    "gh200": 450.0,
    "h100_nvl": 300.0,
    "h100_pcie": 64.0,
    "h100_sxm_8x": 450.0,
    "mi250x": 150.0,
    "mi300x": 448.0,
    "mi325x": 448.0,
    "mi355x": 537.0,
    "v100_16": 150.0,
    "v100_32": 150.0,
}
PUBLISHED = Source(what="NVIDIA aiconfigurator-core 0.12.0 (Apache-2.0): kernels, device rates", date="2026-11")
SHEETS = Source(what="links of other devices: makers' data sheets, recalled", date="2026-11")
GUESSED = HostTimes(
    engine="vllm",
    matrices=1.0,
    attention=1.0,
    communication=1.0,
    decode_step_s=7e-4,
    prefill_step_s=2e-3,
    layer_s=5e-6,
    request_s=2.4e-5,
    rows=1,
    models=1,
)


def without_hosts(kernels: Path) -> KernelTables:
    """Return the kernels with constants that were not fitted."""
    any_error = StepError(ground="roofline", figure="decode", fitted_device=False, factor=2.0, rows=1, models=1)
    model = GenerationModel(
        measured=MEASURED,
        links_bytes_per_s={name: rate * 1e9 for name, rate in LINKS_GB_PER_S.items()},
        hosts=(GUESSED,),
        errors=(any_error,),
        sources=(PUBLISHED, SHEETS),
    )
    return KernelTables(read_grids(kernels), model)


def points(runs: Sequence[Run], configs: Mapping[str, Path], tables: KernelTables) -> list[Point]:
    """Return what the runs show about their engines, of models that can be read and devices that hold them."""
    found = []
    foundations = Foundations(tables)
    made: dict[tuple[object, ...], StepModel | None] = {}
    architectures = {name: _read(configs[name]) for name in {run.model for run in runs} & set(configs)}
    for run in runs:
        architecture = architectures.get(run.model)
        if run.kind == "speculation" or run.hardware is None or architecture is None:
            continue
        key = (run.model, run.hardware.id, run.tensor_parallel, run.weights, run.kv)
        if key not in made:
            made[key] = _steps(run, run.hardware, architecture, foundations)
        steps = made[key]
        # Beyond its context a model answers nothing, and published rows of that took no time.
        is_within = run.input_tokens + run.output_tokens <= architecture.context_tokens
        if steps is not None and is_within and (run.kind != "static" or _fits(run, architecture)):
            found += points_of(run, steps)
    return found


def _read(path: Path) -> Architecture | None:
    try:
        return read_architecture(path)
    except AdvisorError:
        return None


def _steps(run: Run, hardware: Hardware, architecture: Architecture, foundations: Foundations) -> StepModel | None:
    try:
        found = StepModel(
            *(architecture, hardware),
            tensor_parallel=run.tensor_parallel,
            weights=run.weights,
            kv=run.kv,
            foundations=foundations,
        )
    except AdvisorError:
        return None
    return remembering(found)


def _fits(run: Run, architecture: Architecture) -> bool:
    """Return whether the cache holds the whole batch: one that it does not is no sum of steps."""
    if run.hardware is None or run.hardware.memory_bytes is None:
        return False
    of_weights = weight_bytes_per_device(architecture, run.weights, run.tensor_parallel)
    _, of_token = kv_bytes_per_token(architecture, run.kv, run.tensor_parallel)
    return run.batch * (run.input_tokens + run.output_tokens) * of_token <= run.hardware.memory_bytes * MEMORY_USED - of_weights


def sources_of(rows: Sequence[Mapping[str, str]]) -> list[Source]:
    told = {(f"host times: {row['source']} ({row['licence']})", row["source_date"][:7]) for row in rows if row["usable"] == "yes"}
    return [Source(what=what, date=date or "2026") for what, date in sorted(told)]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=Path, default=DATA, help="a table of measured runs")
    parser.add_argument("--configs", type=Path, nargs="*", default=[], help="folders of further configurations of models")
    parser.add_argument("--kernels", type=Path, default=CATALOG / KERNELS, help="the packed kernels")
    parser.add_argument("--output", type=Path, help="what is written in place of advisor/catalog/generation_model.json")
    arguments = parsed(parser)
    rows = read_rows(arguments.rows)[:: EVERY[arguments.size]]
    runs, _ = usable_runs(rows)
    tables = without_hosts(arguments.kernels)
    of = points(runs, config_files([*arguments.configs, CONFIGS]), tables)
    held = held_back(of)
    model = msgspec.structs.replace(
        tables.model, hosts=fitted(of), errors=errors_of(held), sources=(PUBLISHED, SHEETS, *sources_of(rows))
    )
    output = arguments.output or (OUTPUT if arguments.size == "full" else None)
    if output is not None:
        write_atomically(output, msgspec.json.format(msgspec.json.encode(model), indent=1) + b"\n")
    print(f"{len(of)} figures of {len(runs)} runs; {'not written' if output is None else f'written to {output}'}")
    figures: Figures = {"rows": len(rows), "points": len(of), "models": len({point.model for point in of})}
    figures |= held_figures(held)
    for error in model.errors:
        if error.engine is None and error.fitted_device:
            figures[f"{error.ground.replace('-', '_')}_{error.figure}_factor"] = error.factor
    show(figures)
    save(arguments.json, arguments.size, figures)


def held_figures(held: Sequence[Held]) -> Figures:
    """Return errors by engine and kind of figure, of what was held back by model; by device they are printed."""
    found: Figures = {}
    kinds: dict[tuple[str, str], list[Held]] = defaultdict(list)
    devices: dict[tuple[str, str, str], list[Held]] = defaultdict(list)
    for each in held:
        if each.is_fitted:
            kinds[each.point.engine, each.point.figure].append(each)
        devices[each.point.engine, each.point.figure, f"{each.point.device} {'fitted' if each.is_fitted else 'unseen'}"].append(
            each
        )
    for (engine, figure), of in sorted(kinds.items()):
        errors = [abs(1 / each.ratio - 1) for each in of]
        name = f"{engine.replace('-', '_').replace('.', '_')}_{figure}"
        found |= {f"{name}_error_median": float(np.median(errors)), f"{name}_error_p90": float(np.quantile(errors, 0.9))}
    for (engine, figure, device), of in sorted(devices.items()):
        logs = np.log([each.ratio for each in of])
        off, bias = np.median(np.abs(np.expm1(-logs))), np.expm1(-np.median(logs))
        print(f"{engine:14} {figure:8} {device:24} {len(of):5d} {off:7.1%} bias {bias:+7.1%}")
    return found


if __name__ == "__main__":
    main()
