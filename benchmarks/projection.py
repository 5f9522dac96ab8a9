"""How far off are projections to devices that were not measured? Public measurements, half of the models held back.

    python benchmarks/projection.py [--json FILE] [--quick] [--rows FILE] [--data FILE] [--splits N]

Fits on half of the models of benchmarks/data/validation.csv.gz and projects the other half, in several splits by model, never by row.
--rows evaluates any table of the same columns with the fit that is shipped, without fitting again; a model of the same name as one in
the fit is projected without its own rows. --data takes another table than the shipped one for the splits.

A GPU with anchors is projected from each other GPU that the same series was measured on; the rank correlation is that of devices in one
series, the one measured and those projected, over series of three devices and more.

Keys: `gpu_anchored_error_median`, `gpu_anchored_error_p90`, `gpu_rank_correlation`, `gpu_coverage`, `cpu_error_median` and `cpu_coverage`,
medians over the splits, each with `<key>_least` and `<key>_most` of them; `splits`, 0 with --rows. Tables: `kinds` has the figures of
every class and ground, `runs` those of every split.
"""

import random
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from advisor.files.catalog import read_public_measurements
from advisor.schema.catalog import PublicMeasurements, PublicSeries
from fit_projection import MACHINES, usable
from harness import Figures, Size, Unknown, parsed, parser_of, save, show
from parts.projection_errors import Seen, anchored, by_roofline, fit
from parts.ranks import spearman
from parts.validation_rows import CATALOGUE, DATA, read_rows, read_series

SPLITS: dict[Size, int] = {"full": 5, "quick": 1, "tiny": 1}
MIN_DEVICES = 3


def halves(series: list[PublicSeries], seed: int) -> tuple[list[PublicSeries], list[PublicSeries]]:
    models = sorted({entry.model for entry in series})
    random.Random(seed).shuffle(models)
    fitted = set(models[::2])
    return [entry for entry in series if entry.model in fitted], [entry for entry in series if entry.model not in fitted]


def evaluate(held_back: list[PublicSeries], public: PublicMeasurements) -> list[Seen]:
    machines = CATALOGUE | {entry.id: entry for entry in public.machines}
    return [*anchored(held_back, public), *by_roofline(held_back, public, machines)]


def rank_correlation(found: list[Seen]) -> float | None:
    """Return the mean of Spearman's over series and measured devices, None where no series has devices enough."""
    together: dict[tuple[int, str], list[Seen]] = defaultdict(list)
    for entry in found:
        together[entry.series, entry.source].append(entry)
    correlations = []
    for entries in together.values():
        said = np.array([0.0, *(entry.said for entry in entries)])
        true = np.array([0.0, *(entry.true for entry in entries)])
        correlation = spearman(said, true) if len(said) >= MIN_DEVICES else None
        if correlation is not None:
            correlations.append(correlation)
    return statistics.fmean(correlations) if correlations else None


def summary(found: list[Seen]) -> dict[str, Any]:
    errors = [entry.error for entry in found]
    return {
        "rows": len(found),
        "models": len({entry.model for entry in found}),
        "error_median": float(np.median(errors)),
        "error_p90": float(np.quantile(errors, 0.9)),
        "rank_correlation": rank_correlation(found),
        "coverage": statistics.fmean(abs(entry.said - entry.true) <= entry.margin for entry in found),
        "interval_factor": float(np.exp(np.median([entry.margin for entry in found]))),
    }


def by_kind(found: list[Seen]) -> dict[str, dict[str, Any]]:
    kinds: dict[str, list[Seen]] = defaultdict(list)
    for entry in found:
        kinds[f"{entry.device_class} {entry.ground}"].append(entry)
    return {kind: summary(entries) for kind, entries in sorted(kinds.items())}


def over_splits(series: list[PublicSeries], splits: int) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Return the figures of each kind, medians over the splits, and those of each split."""
    runs = []
    for seed in range(splits):
        fitted, held_back = halves(series, seed)
        runs.append(by_kind(evaluate(held_back, fit(fitted, MACHINES, {}))))
    kinds = sorted({kind for run in runs for kind in run})
    return {kind: _middle([run[kind] for run in runs if kind in run]) for kind in kinds}, runs


def _middle(of: list[dict[str, Any]]) -> dict[str, Any]:
    known = {name: [run[name] for run in of if run[name] is not None] for name in of[0]}
    return {name: statistics.median(values) if values else None for name, values in known.items()}


def table(kinds: dict[str, dict[str, Any]]) -> str:
    lines = [
        f"{'class and ground':20} {'rows':>6} {'models':>6} {'median':>7} {'p90':>7} {'rank':>6} {'coverage':>8} {'interval':>8}"
    ]
    for kind, figures in kinds.items():
        rank = "-" if figures["rank_correlation"] is None else f"{figures['rank_correlation']:.3f}"
        lines.append(
            f"{kind:20} {figures['rows']:6.0f} {figures['models']:6.0f} {figures['error_median']:7.1%} {figures['error_p90']:7.1%} "
            f"{rank:>6} {figures['coverage']:8.1%} {'x' + format(figures['interval_factor'], '.2f'):>8}"
        )
    return "\n".join(lines)


def headline(kinds: dict[str, dict[str, Any]], runs: list[dict[str, Any]]) -> Figures:
    """Return the figures that count, each with the least and the most of the splits."""
    cpu = "cpu anchored" if "cpu anchored" in kinds else "cpu roofline"
    wanted = {
        "gpu_anchored_error_median": ("gpu anchored", "error_median"),
        "gpu_anchored_error_p90": ("gpu anchored", "error_p90"),
        "gpu_rank_correlation": ("gpu anchored", "rank_correlation"),
        "gpu_coverage": ("gpu anchored", "coverage"),
        "cpu_error_median": (cpu, "error_median"),
        "cpu_coverage": (cpu, "coverage"),
    }
    figures: Figures = {"splits": len(runs)}
    for key, (kind, name) in wanted.items():
        value = kinds.get(kind, {}).get(name)
        of_splits = [run[kind][name] for run in runs if kind in run and run[kind][name] is not None]
        figures[key] = Unknown(f"no projection of the kind {kind} has it") if value is None else value
        figures[f"{key}_least"] = min(of_splits) if of_splits else Unknown("no split has it")
        figures[f"{key}_most"] = max(of_splits) if of_splits else Unknown("no split has it")
    return figures


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=Path, help="evaluate these rows with the shipped fit")
    parser.add_argument("--data", type=Path, default=DATA, help="the table whose models are split")
    parser.add_argument("--splits", type=int, help="how many")
    arguments = parsed(parser)
    runs: list[dict[str, Any]] = []
    if arguments.rows is not None:
        kinds = by_kind(evaluate(read_series(read_rows(arguments.rows)), read_public_measurements()))
        print(f"{arguments.rows}, with the fit that is shipped")
    else:
        series = [entry for entry in read_series(read_rows(arguments.data)) if usable(entry)]
        kinds, runs = over_splits(series, arguments.splits or SPLITS[arguments.size])
        print(f"medians over {len(runs)} split{'s' * (len(runs) > 1)} by model")
    print(table(kinds))
    figures = headline(kinds, runs)
    show(figures)
    save(arguments.json, arguments.size, figures, kinds=kinds, runs=runs)


if __name__ == "__main__":
    main()
