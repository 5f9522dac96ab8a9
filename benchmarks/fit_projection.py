"""Write advisor/catalog/projection.json: what projections to other devices stand on.

    python benchmarks/fit_projection.py [--rows FILE] [--data benchmarks/data/validation.csv.gz]

Without --rows the rows in benchmarks/data are taken; with it, those of FILE whose licence lets them be passed on, which are stored there
first. Nothing is tuned per model: the constants of decide/project.py are the same for all, and errors are those of models held back.
"""

import argparse
import csv
import gzip
import io
from collections import defaultdict
from pathlib import Path

import msgspec
from parts.projection_errors import fit
from parts.validation_rows import DATA, MAY_BE_PASSED_ON, class_of, publisher, read_rows, read_series

from advisor.files.records import write_atomically
from advisor.schema.catalog import Evidence, Hardware, PublicMeasurements, PublicSeries
from advisor.schema.record import Source

OUTPUT = Path(__file__).parents[1] / "advisor" / "catalog" / "projection.json"
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
    parser = argparse.ArgumentParser(description="Fit what projections stand on.")
    parser.add_argument("--rows", type=Path, help="a table of measurements to take over what may be passed on")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    if arguments.rows is not None:
        taken = [row for row in read_rows(arguments.rows) if row["licence"] in MAY_BE_PASSED_ON]
        store([row for row in taken if class_of(row["hardware_id"] or row["hardware"].lower()) is not None], arguments.data)
    rows = read_rows(arguments.data)
    series = [entry for entry in read_series(rows) if usable(entry)]
    used = {entry.family for entry in series}
    fitted = fit(series, MACHINES, sources_of([row for row in rows if publisher(row["family"]) in used]))
    write_atomically(OUTPUT, compact(fitted))
    print(f"{len(series)} series of {len({entry.model for entry in series})} models; {OUTPUT} {OUTPUT.stat().st_size:,} bytes")
    for error in fitted.errors:
        print(f"{error.device_class} {error.ground}: quantile {error.quantile:.2f} of {error.rows} rows, {error.models} models")
    print({key: round(value, 3) for key, value in fitted.efficiency.items()})


if __name__ == "__main__":
    main()
