"""Is the quantized model really faster, and is its quality really kept? Every scheme of the catalogue on every model, measured.

    python benchmarks/quantization.py --json quantization.json [--quick] [--only NAME ...] [--scheme ID ...] [--folder DIR]
    python benchmarks/quantization.py --model model.onnx --data eval.npz --metric accuracy [--calibration FILE] [--max-drop 0.01]

Schemes that the pre-flight would leave out are measured as well, and what it said of them stands beside what was seen. Speed is a ratio to
the model as given, the median of visits in turn on one thread, with an interval for it by rank (90 % and more; of fewer than five
visits the extremes); the first row of each model is the model itself
measured as if it were a variant, which tells how far equal things differ. Quality is on examples that nothing was calibrated on; the ends
of its interval are those of the paired difference. `holds` says whether the loss, at the worse end, is within what is allowed, in every
class too. `seconds` is what making and judging the variant took. Models are kept in --folder and made anew only if they are missing.

Keys: `ceiling_<operator>` (how many times as fast 8-bit integers are as floats in it alone: MatMul, Conv); `<model>_fastest_b1` and
`<model>_fastest_b8`, of the fastest variant that holds and is faster than equal things differ; `<model>_equal_b1_low` and
`<model>_equal_b1_high`, how far these differ; `refused` and `refused_wrongly`, what the pre-flight would leave out. Tables: `rows` has
every variant of every model, `left_out` the models that need an absent package, by name.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

import advisor  # noqa: F401 - first of all, so that ONNX Runtime is loaded without telemetry
from advisor.errors import AdvisorError, InputError
from advisor.files.catalog import schemes
from advisor.files.workload import read_question
from advisor.measure.quality.metrics import loss_of
from advisor.measure.runtime.ort_session import providers
from advisor.measure.timing.ledger import Ledger
from advisor.measure.timing.profile_journal import ProfileJournal
from advisor.measure.variants import preflight
from advisor.measure.variants.making import AGAIN, Plan, baseline_id
from advisor.measure.variants.screening import Lineup
from advisor.measure.variants.settings import ScreeningSettings
from advisor.measure.worker.apart import Apart
from advisor.quality_floor import METRICS, OWN, is_known, keeps_floor
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import QualityResult, Variant
from advisor.schema.workload import GenerationWorkload
from advisor.steps.profile import plan_for
from harness import Figures, Size, Unknown, now, parsed, parser_of, save
from harness import show as show_figures
from parts.integer_ceiling import ceilings
from parts.quantization_models import MAKERS, Case, case_of


class Effort(NamedTuple):
    """How much of a run is made."""

    looks: int
    look_s: float
    budget_s: float  # of which the search for mixed precision may take its share
    ceiling_turns: int
    models: tuple[str, ...]


EFFORTS: dict[Size, Effort] = {
    "full": Effort(11, 0.1, 120.0, 30, tuple(MAKERS)),
    "quick": Effort(3, 0.03, 60.0, 30, tuple(MAKERS)),
    "tiny": Effort(2, 0.01, 2.0, 2, ("fashion",)),
}

PLENTY = 100.0  # of the budget is on the ledger: every scheme is to be looked at as long as was asked for

Row = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    try:
        _run(arguments)
    except AdvisorError as error:
        sys.exit(f"error: {error.fault}\n  {error.hint}")


def screening(effort: Effort) -> ScreeningSettings:
    """Return settings under which even what is hopeless is measured, and mixed."""
    return ScreeningSettings(
        looks=effort.looks,
        look_s=effort.look_s,
        long_looks=effort.looks,
        long_look_calls=ScreeningSettings().look_calls,
        hopeless=0.0,
        worth_mixing=0.0,
        judging_share=float("inf"),
    )


def _run(arguments: argparse.Namespace) -> None:
    effort = EFFORTS[arguments.size]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
        folder = Path(arguments.folder or name).absolute()
        chosen, left_out = _cases(arguments, folder, effort)
        if arguments.make_only:
            return
        limits = ceilings(Path(name) / "ceilings", turns=effort.ceiling_turns)
        listed = ", ".join(f"{limit:.2f} times as fast in a {operator}" for operator, limit in limits.items())
        print(f"8-bit integers alone against floats on this processor: {listed}; a whole network gains less")
        figures: Figures = {f"ceiling_{operator}": limit for operator, limit in limits.items()}
        for case in chosen:
            place = Path(name) / "variants" / case.name
            found = measure(case, place, only=arguments.scheme, budget_s=effort.budget_s, looks=screening(effort))
            show(case, found)
            rows += found
            figures |= _figures(case, found)
            save(arguments.json, arguments.size, figures, rows=rows, left_out=left_out)
    wrong = refused_wrongly(rows)
    refused = sum(row["pre_flight"] is not None and row["speedup_b1"] is not None for row in rows)
    print(
        f"\nthe pre-flight would have left out {refused} that could be measured; faster than the model after all, and holding: ",
        end="",
    )
    print(", ".join(f"{row['scheme']} of {row['model']}" for row in wrong) or "none")
    figures |= {"refused": refused, "refused_wrongly": len(wrong)}
    show_figures(figures)
    save(arguments.json, arguments.size, figures, rows=rows, left_out=left_out)


def _cases(arguments: argparse.Namespace, folder: Path, effort: Effort) -> tuple[list[Case], dict[str, str]]:
    """Return the models with their examples, and those that are left out with the reason."""
    if arguments.model:
        return [_own_case(arguments)], {}
    made = {name: case_of(name, folder) for name in arguments.only or effort.models}
    left_out = {name: case.reason for name, case in made.items() if isinstance(case, Unknown)}
    for name, reason in left_out.items():
        print(f"{name} is left out: it {reason}")
    return [case for case in made.values() if isinstance(case, Case)], left_out


def _figures(case: Case, rows: list[Row]) -> Figures:
    best = fastest(rows)
    nothing = Unknown("nothing that holds is faster than equal things differ")
    figures: Figures = {f"{case.name}_fastest_b{size}": best[f"speedup_b{size}"] if best else nothing for size in (1, 8)}
    figures = {key: Unknown("it takes no such batch") if value is None else value for key, value in figures.items()}
    for end in ("low", "high"):
        value = rows[0][f"speedup_b1_{end}"]
        figures[f"{case.name}_equal_b1_{end}"] = Unknown("the model was not measured twice") if value is None else value
    return figures


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(MAKERS), help="these models alone")
    parser.add_argument("--scheme", nargs="+", help="these schemes alone")
    parser.add_argument("--folder", help="where the models are kept")
    parser.add_argument("--make-only", action="store_true", help="make the models in --folder and stop")
    parser.add_argument("--model", help="another model: .onnx, or a checkpoint directory")
    parser.add_argument("--data", help="its examples: .npz, .csv, .parquet or module:function")
    parser.add_argument("--metric", default="top1_agreement", help="what quality is")
    parser.add_argument("--calibration", help="examples to find static ranges on, none of them in --data")
    parser.add_argument("--max-drop", type=float, default=0.01, help="what may be lost")
    arguments = parsed(parser)
    known = [scheme.id for scheme in schemes()]
    for name in arguments.scheme or ():
        if name not in known:
            parser.error(f"--scheme: there is no {name!r}; the catalogue has: {', '.join(known)}")
    if arguments.model is None and (arguments.data or arguments.calibration):
        parser.error("--data and --calibration go with --model")
    if arguments.data is None and arguments.calibration:
        parser.error("--calibration goes with --data")
    return arguments


def _own_case(arguments: argparse.Namespace) -> Case:
    model = Path(arguments.model)
    for option, value in (("--model", arguments.model), ("--data", arguments.data), ("--calibration", arguments.calibration)):
        if value is not None and not OWN.fullmatch(value) and not Path(value).exists():
            raise InputError(f"{option}: {value}: no such file or directory", hint="check the path")
    if not is_known(arguments.metric):
        raise InputError(
            f"--metric: there is no {arguments.metric!r}", hint=f"use one of {', '.join(METRICS)}, or module:function"
        )
    # What is named as module:function is looked for beside where the user stands.
    sys.path.insert(0, str(Path.cwd()))
    data, calibration = (
        None if name is None else Path(name) if OWN.fullmatch(name) else Path(name).absolute()
        for name in (arguments.data, arguments.calibration)
    )
    metric = arguments.metric if data else None
    return Case(model.stem, model, data, calibration, metric, arguments.max_drop, model if model.is_dir() else None)


def measure(
    case: Case,
    folder: Path,
    *,
    only: list[str] | None,
    budget_s: float,
    looks: ScreeningSettings,
    variants: tuple[Path, ...] = (),
) -> list[Row]:
    """Return a row for each scheme that could be tried on the model, of `only` these where they are named, and for each of `variants`."""
    folder.mkdir(parents=True)
    here = set(providers())
    ids = [scheme.id for scheme in schemes() if scheme.provider in here and (not only or scheme.id in only)]
    options = ProfileOptions(
        workload=_workload(case, folder),
        schemes=tuple(ids),
        variants=variants,
        budget_s=budget_s,
        max_batch_size=8,
    )
    with tempfile.TemporaryDirectory(prefix="advisor-") as scratch, ExitStack() as stack:
        model = case.checkpoint or case.model
        workload = read_question(options.workload) if options.workload else None
        assert not isinstance(workload, GenerationWorkload)
        plan = plan_for(model, folder / "profile.variants", options, workload, Path(scratch), now=now())
        wanted = tuple(scheme for scheme in plan.schemes if scheme.id in ids)
        plan = msgspec.structs.replace(plan, schemes=wanted, screening=looks)
        journal = ProfileJournal(folder / "profile.journal", plan.fingerprint)
        line = Lineup(plan, journal, Ledger(PLENTY * budget_s), _progress, stack, stack.enter_context(Apart()))
        line.assemble()
        line.looks[baseline_id(plan.facts) + AGAIN] = line.comparison.speeds(baseline_id(plan.facts) + AGAIN)
        said = _said_before(plan)
        rows = [_row(case, variant, line, said) for variant in line.variants]
        excluded = {entry.what: entry.reason for entry in journal.exclusions}
        asked = {*ids, *(path.stem for path in variants)}
        rows += [
            _left_out(case, name, reason, said, line) for name, reason in excluded.items() if name in asked or "mixed" in name
        ]
        return rows


def _progress(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _workload(case: Case, folder: Path) -> Path:
    """Return a workload file that asks for the case's quality; its traffic is not looked at here."""
    content: dict[str, Any] = {
        "name": case.name,
        "traffic": {"requests_per_s": 10},
        "slo": {"latency_s": 10},
        "hardware": {"price_usd_per_hour": {"local": 1}},
    }
    if case.data is not None:
        quality = {"metric": case.metric, "max_drop": case.max_drop, "data": str(case.data)}
        content["quality"] = quality | ({"calibration": str(case.calibration)} if case.calibration else {})
    path = folder / "workload.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _said_before(plan: Plan) -> dict[str, str | None]:
    """Return what the pre-flight says against each scheme."""
    case = preflight.Case(
        facts=plan.facts,
        machine=plan.machine,
        providers=plan.providers,
        is_checkpoint=plan.checkpoint is not None,
    )
    return {scheme.id: preflight.reason_against(scheme, case) for scheme in schemes()}


def _row(case: Case, variant: Variant, line: Lineup, said: dict[str, str | None]) -> Row:
    is_baseline = variant.derived_from is None
    speeds = line.looks.get(variant.id + AGAIN if is_baseline else variant.id, {})
    row: Row = {"model": case.name, "scheme": variant.id, "is_baseline": is_baseline, "bytes": variant.bytes}
    for size in (1, 8):
        listed = speeds.get(size)
        row[f"speedup_b{size}"] = statistics.median(listed) if listed else None
        row[f"speedup_b{size}_low"], row[f"speedup_b{size}_high"] = _around_median(listed) if listed else (None, None)
    quality = variant.quality
    low, high = _ends(quality) if quality else (None, None)
    holds, why = keeps_floor(quality, case.max_drop, None) if quality else (True if is_baseline else None, "")
    row |= {
        "metric": case.metric,
        "quality": quality.value if quality else None,
        "quality_low": low,
        "quality_high": high,
        "quality_of_baseline": quality.baseline if quality else None,
        "items": quality.items if quality else None,
        "holds": holds,
        "why": why,
        "seconds": line.spent_s.get(variant.id),
        "cosine": variant.agreement.cosine_mean if variant.agreement else None,
        "kept_operators": list(variant.kept_operators),
        "kept_cost": variant.kept_cost.value if variant.kept_cost else None,
        "pre_flight": said.get(variant.id),
    }
    return row


def _around_median(values: list[float]) -> tuple[float, float]:
    """Return the narrowest pair of ranks between which the median lies with 90 %, whatever the distribution; the extremes of a few."""
    ordered, count = sorted(values), len(values)
    left_out = 0
    below = 0.0
    for rank in range(count // 2):
        below += comb(count, rank) / 2**count
        if 2 * below > 0.1:
            break
        left_out = rank
    return ordered[left_out], ordered[count - 1 - left_out]


def _ends(quality: QualityResult) -> tuple[float, float]:
    """Return the quality of the variant at either end of the interval of what it loses."""
    low, high = quality.drop.low, quality.drop.high
    kind = loss_of(quality.metric)
    if kind == "difference":
        return quality.baseline - high, quality.baseline - low
    if kind == "rise":
        return quality.baseline + low, quality.baseline + high
    return quality.baseline * (1 + low), quality.baseline * (1 + high)


def _left_out(case: Case, name: str, reason: str, said: dict[str, str | None], line: Lineup) -> Row:
    nothing = dict.fromkeys(("bytes", "speedup_b1", "speedup_b8", "quality", "quality_low", "quality_high"))
    return {
        "model": case.name,
        "scheme": name,
        **nothing,
        "holds": False,
        "why": reason,
        "seconds": line.spent_s.get(name),
        "pre_flight": said.get(name),
    }


def show(case: Case, rows: list[Row]) -> None:
    print(f"\n{case.name}: {case.metric or 'no examples to judge quality by'}, at most {case.max_drop:g} may be lost")
    print(f"{'scheme':28} {'MB':>7} {'speed, batch 1':>21} {'speed, batch 8':>21} {'quality':>24} {'holds':>6} {'s':>6}")
    for row in rows:
        size = f"{row['bytes'] / 1e6:.2f}" if row["bytes"] else "-"
        cells = [speed_cell(row, 1), speed_cell(row, 8), quality_cell(row)]
        holds = {True: "yes", False: "no", None: "?"}[row["holds"]]
        spent = f"{row['seconds']:.1f}" if row.get("seconds") else "-"
        print(f"{row['scheme']:28} {size:>7} {cells[0]:>21} {cells[1]:>21} {cells[2]:>24} {holds:>6} {spent:>6}")
        if row["bytes"] is None or (row["holds"] is False and row["why"]):
            print(f"{'':10} {row['why']}")
        if row.get("items") and row["items"] < max(other.get("items") or 0 for other in rows):
            given = f"{row['quality_of_baseline']:.4f}"
            print(f"{'':10} its quality is that on the first {row['items']} items, where the model as given has {given}")
        if row.get("kept_operators"):
            print(f"{'':10} in full precision, at {row['kept_cost']:.2f} times the time: {', '.join(row['kept_operators'])}")
        if row["pre_flight"]:
            print(f"{'':10} the pre-flight would leave it out: {row['pre_flight']}")
    is_known = case.metric is not None
    best = fastest(rows)
    if best is not None:
        said = ", ".join(
            f"{best[f'speedup_b{size}']:.2f} times as fast at batch {size}" for size in (1, 8) if best[f"speedup_b{size}"]
        )
        print(f"fastest{' that holds' if is_known else ', its quality unknown'}: {best['scheme']}, {said}")
    else:
        print(f"nothing{' that holds' if is_known else ''} is faster than equal things differ")


def fastest(rows: list[Row]) -> Row | None:
    """Return the fastest at batch 1 of those that may hold and are faster than equal things differ."""
    good = [row for row in rows[1:] if row["holds"] is not False and any(_is_faster(row, rows[0], size) for size in (1, 8))]
    return max(good, key=lambda row: row["speedup_b1"], default=None)


def _is_faster(row: Row, baseline: Row, size: int) -> bool:
    """Return whether the variant is faster at its worst than the model measured twice at its best."""
    low = row.get(f"speedup_b{size}_low")
    return low is not None and low > max(baseline[f"speedup_b{size}_high"] or 1.0, 1.0)


def refused_wrongly(rows: list[Row]) -> list[Row]:
    """Return what the pre-flight would have left out although it is faster at batch 1 or 8 than the model measured twice, and holds."""
    baselines = {row["model"]: row for row in rows if row.get("is_baseline")}
    return [
        row
        for row in rows
        if row["pre_flight"]
        and row["holds"] is not False
        and any(_is_faster(row, baselines[row["model"]], size) for size in (1, 8))
    ]


def speed_cell(row: Row, size: int) -> str:
    value = row.get(f"speedup_b{size}")
    return "-" if value is None else f"{value:.2f} ({row[f'speedup_b{size}_low']:.2f}-{row[f'speedup_b{size}_high']:.2f})"


def quality_cell(row: Row) -> str:
    return "-" if row["quality"] is None else f"{row['quality']:.4f} ({row['quality_low']:.4f}-{row['quality_high']:.4f})"


if __name__ == "__main__":
    main()
