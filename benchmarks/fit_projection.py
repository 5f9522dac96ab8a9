"""Write advisor/catalog/projection.json: what projections to other devices stand on.

    python benchmarks/fit_projection.py [--json FILE] [--quick] [--rows FILE] [--data FILE] [--output FILE]

Without --rows the rows of --data are taken; with it, those of FILE whose licence lets them be passed on, which are stored in --data first.
Nothing is tuned per model: the constants of advisor/decide/service/public_models.py are the same for all, and errors are those of
models held back. A run that is not full takes a part of the models, and writes nothing unless --output says where.

Keys: `series`, `models`, `bytes` (of the file); `<class>_<ground>_quantile` (of |error| over margin), `<class>_<ground>_rows` and
`<class>_<ground>_models` of each kind of projection; `<class>_<precision>_efficiency` (share of the roofline that is reached).
"""

import csv
import gzip
import io
from collections import defaultdict
from pathlib import Path

import msgspec

from advisor.disk.writing import write_atomically
from advisor.schema.catalog import Evidence, Hardware, PublicMeasurements, PublicSeries
from advisor.schema.record import Source
from harness import Figures, Size, parsed, parser_of, save, show
from parts.projection_errors import fit
from parts.validation_rows import DATA, MAY_BE_PASSED_ON, class_of, publisher, read_rows, read_series

OUTPUT = Path(__file__).parents[1] / "advisor" / "catalog" / "projection.json"
EVERY: dict[Size, int] = {"full": 1, "quick": 4, "tiny": 8}  # of so many models one is taken
COLUMNS = (
    "row_id family model params_b gflops_per_item precision hardware hardware_id n_accel framework scenario batch concurrency_or_qps "
    "isl_or_seqlen osl throughput throughput_unit source source_path source_commit_or_version source_date licence quality_flag"
).split()
RECALLED = "Intel's product specifications, recalled and not verified; rates derived from cores x clock x operations a cycle"
COVERS = ("cores", "memory_bandwidth_bytes_per_s", "peak_flop_per_s.fp32")


def _cpu(name: str, what: str, cores: int, ghz_flops: float, gb_per_s: float) -> Hardware:
    return Hardware(
        id=name,
        name=what,
        vendor="Intel",
        kind="cpu",
        cores=cores,
        memory_bandwidth_bytes_per_s=gb_per_s * 1e9,
        peak_flop_per_s={"fp32": ghz_flops * 1e9},
        confidence="low",
        sources=(Evidence(what=RECALLED, date="2026-11", covers=COVERS),),
    )


# CPUs on which public models were measured; only ratios of their rooflines are used, for the error of such ratios.
MACHINES = (
    _cpu("cpu_i7_12700h", "Intel Core i7-12700H", 14, 6 * 4.0 * 32 + 8 * 3.0 * 16, 76.8),
    _cpu("cpu_i9_10940x", "Intel Core i9-10940X", 14, 14 * 3.3 * 64, 93.9),
)


def sources_of(rows: list[dict[str, str]]) -> dict[str, tuple[Source, ...]]:
    told: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in rows:
        version = f" @{row['source_commit_or_version']}" if row["source_commit_or_version"] else ""
        told[publisher(row["family"])].add((f"{row['source']}{version} ({row['licence']})", row["source_date"]))
    return {family: tuple(Source(what=what, date=date) for what, date in sorted(of)) for family, of in sorted(told.items())}


def usable(entry: PublicSeries) -> bool:
    """Return whether a projection can stand on the series: it tells of two devices, or of the share of a roofline."""
    return len(entry.items_per_s) > 1 or entry.flop_per_item is not None


def store(rows: list[dict[str, str]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, gzip.compress(text.getvalue().encode(), mtime=0))


def compact(fitted: PublicMeasurements) -> bytes:
    """Return the file, a line a series, without what is not known."""
    tree = msgspec.to_builtins(fitted)
    series = [
        msgspec.json.encode({key: value for key, value in entry.items() if value is not None}) for entry in tree.pop("series")
    ]
    tree["machines"] = [{key: value for key, value in machine.items() if value} for machine in tree["machines"]]
    return msgspec.json.encode(tree)[:-1] + b',"series":[\n' + b",\n".join(series) + b"\n]}\n"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=Path, help="a table of measurements to take over what may be passed on")
    parser.add_argument("--data", type=Path, default=DATA, help="the table that is fitted")
    parser.add_argument("--output", type=Path, help="what is written in place of advisor/catalog/projection.json")
    arguments = parsed(parser)
    if arguments.rows is not None:
        taken = [row for row in read_rows(arguments.rows) if row["licence"] in MAY_BE_PASSED_ON]
        store([row for row in taken if class_of(row["hardware_id"] or row["hardware"].lower()) is not None], arguments.data)
    rows = read_rows(arguments.data)
    series = [entry for entry in read_series(rows) if usable(entry)]
    models = set(sorted({entry.model for entry in series})[:: EVERY[arguments.size]])
    series = [entry for entry in series if entry.model in models]
    used = {entry.family for entry in series}
    fitted = fit(series, MACHINES, sources_of([row for row in rows if publisher(row["family"]) in used]))
    content = compact(fitted)
    output = arguments.output or (OUTPUT if arguments.size == "full" else None)
    if output is not None:
        write_atomically(output, content)
    print(f"{len(series)} series of {len(models)} models; {'not written' if output is None else f'written to {output}'}")
    figures: Figures = {"series": len(series), "models": len(models), "bytes": len(content)}
    for error in fitted.errors:
        kind = f"{error.device_class}_{error.ground}"
        figures |= {f"{kind}_quantile": error.quantile, f"{kind}_rows": error.rows, f"{kind}_models": error.models}
    figures |= {f"{key.replace('/', '_')}_efficiency": share for key, share in fitted.efficiency.items()}
    show(figures)
    save(arguments.json, arguments.size, figures)


if __name__ == "__main__":
    main()
