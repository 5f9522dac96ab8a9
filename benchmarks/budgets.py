"""Is the budget kept? Eight models, from a tenth of a millisecond to two seconds a call, each profiled within the same budget.

    python benchmarks/budgets.py [--json FILE] [--quick] [--budget SECONDS] [--model PATH ...] [--only NAME ...]

Everything but loading counts: looking at the model, making and comparing variants, timing, the trial inside a server. `--model` profiles
other files or checkpoints instead. What is promised is a ratio of 1.5 at the most.

Keys: `budget_s`, `budget_ratio_max`, `budget_ratio_median` (seconds over the budget), and for each model `<model>_ratio`,
`<model>_wall_ratio` (with loading and exporting), `<model>_timing_share` (of the seconds that count), `<model>_call_s` (of one item on
one thread), `<model>_variants`, `<model>_points` and `<model>_visits` (that were timed).
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile
from advisor.steps.profile import profile
from harness import Figure, Figures, Size, Unknown, now, parsed, parser_of, save, show
from parts import budget_models

BUDGETS_S: dict[Size, float] = {"full": 15.0, "quick": 6.0, "tiny": 0.3}


def main() -> None:
    arguments = _arguments()
    budget_s = arguments.budget or BUDGETS_S[arguments.size]
    figures: Figures = {"budget_s": budget_s}
    ratios: list[float] = []
    with tempfile.TemporaryDirectory(prefix="advisor-") as name:
        for model in _models(arguments, Path(name)):
            found = _measured(model, Path(name) / f"{model.stem}-advice", budget_s)
            ratios.append(found["ratio"])
            figures |= {f"{model.stem}_{key}": figure for key, figure in found.items()}
            figures |= {"budget_ratio_max": max(ratios), "budget_ratio_median": statistics.median(ratios)}
            save(arguments.json, arguments.size, figures)
    show(figures)


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="another budget")
    parser.add_argument("--model", nargs="+", type=Path, help="these models instead")
    parser.add_argument("--only", nargs="+", choices=sorted(budget_models.MAKERS), help="only these of the models that are made")
    arguments = parsed(parser)
    if missing := [str(path) for path in arguments.model or () if not path.exists()]:
        parser.error(f"--model: {', '.join(missing)}: no such file or directory")
    return arguments


def _models(arguments: argparse.Namespace, folder: Path) -> list[Path]:
    if arguments.model:
        return list(arguments.model)
    makers = budget_models.SMALL if arguments.size == "tiny" else budget_models.MAKERS
    paths = {name: folder / f"{name}.onnx" for name in makers if not arguments.only or name in arguments.only}
    for name, path in paths.items():
        makers[name](path)
    return list(paths.values())


def _measured(model: Path, folder: Path, budget_s: float) -> dict[str, Any]:
    """Return the figures of one model, profiled anew in the folder."""
    spent_s = 0.0

    def report(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
        nonlocal spent_s
        spent_s = done_s
        del of_s, what, line

    started = time.perf_counter()
    measured = profile(model, folder / "profile.json", ProfileOptions(budget_s=budget_s), now=now(), report=report)
    wall_s = time.perf_counter() - started
    assert isinstance(measured, Profile)
    site = measured.sites[0]
    found = {
        "ratio": spent_s / budget_s,
        "wall_ratio": wall_s / budget_s,
        "timing_share": site.measuring_s / spent_s,
        "call_s": _call_s(measured),
        "variants": len(site.variants),
        "points": len(site.measurements),
        "visits": sum(len(entry.visits) for entry in site.measurements),
    }
    print(
        model.stem,
        {key: figure if isinstance(figure, Unknown) else round(figure, 4) for key, figure in found.items()},
        flush=True,
    )
    for entry in site.exclusions:
        print(f"    {entry.what}: {entry.reason}")
    return found


def _call_s(measured: Profile) -> Figure:
    site = measured.sites[0]
    as_given = next(variant.id for variant in site.variants if variant.derived_from is None)
    for entry in site.measurements:
        if (entry.variant, entry.batch_size, entry.intra_op_num_threads, entry.instances) == (as_given, 1, 1, 1):
            return statistics.median(latency_s for visit in entry.visits for latency_s in visit.latency_s)
    return Unknown("a single item was not timed on one thread")


if __name__ == "__main__":
    main()
