"""Do predictions hold when the configuration is really run? Service times, load tests, advised configurations, ties, simulation speed.

    python benchmarks/predictions.py [--json FILE] [--csv FILE] [--quick] [--model PATH ...] [--only PART ...]

The parts: `service` compares interpolated with measured service times at batch sizes that the profile has not seen. `load` serves
configurations at several loads and compares the requests of every other second with the simulation of these very requests: calibrated by
the seconds between, by the whole run ("same run": what is left is the error of the model of a server), by a run before ("carried"), and
by no load test. `slo` profiles each of many random questions by itself, advises on it and runs what is advised (25 s of profile, of models
whose calls take 5 ms or more 60 s, as the command has it by default); `aa` gives the same file
twice as two variants; `speed` simulates.
Every figure is a ratio of what was seen to what was said in the same run. Run it on a machine that does nothing else: what the machine
was doing meanwhile stands beside each case (waited: share of the time in which the server's threads waited for a core). Figures are
written after each part.

Keys: `profile_s` (measuring the first model). Of service: `service_time_error_median`, `service_time_error_p95`,
`service_time_drift_median` (points of the profile measured again: what the host does), `service_time_interpolation_error_median`,
`service_time_interpolation_error_p95` (beside points of the same minute), each with `<key>_2_threads` too. Of load: `cases`,
`cases_valid`, `cases_moderate` (at most 70 % busy, what the next are of), `<figure>_error_median<how>` and `<figure>_bias_median<how>` of
p50, p99 and throughput, `<figure>_error_median<how>_busier`, `coverage_<figure><how>`, where how is nothing, _same_run, _carried or
_uncalibrated. Of slo: `slo_safe_rate`, `slo_safe_runs`, `slo_questions`, `slo_not_valid` (load tests that say nothing, by the rule of
advisor verify), `slo_inconclusive_rate`, and of the same runs
`slo_coverage_<figure>`, `slo_p50_error_median`, `slo_p99_error_median` and `slo_p99_error_median_short_calls`, each with
`<key>_without_stalls` too: with stalls switched off in the simulation. Of aa: `aa_tie_rate`, `aa_runs`. Rates with
`<key>_low` and `<key>_high`, the ends of their 90 % interval. Of speed: those of queue_speed.py, `sim_<figure>`,
`advise_trace_<figure>` and `callgrind_instructions_per_request`. Tables: `load_cases` has the rows of --csv, `advised_cases` a row for each
question, `left_out` the models that need an absent package.
"""

import argparse
import csv
import io
import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from advisor.disk.writing import write_atomically
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile
from harness import Figures, Size, Unknown, high, middle, parsed, parser_of, save, show
from parts import load_cases, service_cases, slo_cases, tie_runs
from parts.load_cases import Case
from parts.models import default_models
from parts.service_cases import ServiceCase

PARTS = ("service", "load", "slo", "aa", "speed")
MODERATE_UTILIZATION = 0.7
LOOK_S = 5.0
HOWS = (("within", ""), ("same run", "_same_run"), ("carried", "_carried"), ("before", "_uncalibrated"))
NOT_HELD_OUT = "the profile has every batch size that was tried"
NOT_SO_BUSY = "no load test was valid and so busy"


class Effort(NamedTuple):
    """How much of a run is made."""

    trees: int  # of the forest, one of the models
    models: int | None  # so many of the last of them; None for all
    budget_s: float  # of a profile
    rounds: int  # of measuring what is held out
    load_test_s: float
    asked: slo_cases.Asked
    twins: int  # runs with the same file twice
    twin_budget_s: float


EFFORTS: dict[Size, Effort] = {
    "full": Effort(1000, None, 50.0, 4, 20.0, slo_cases.Asked(60, 25.0, ProfileOptions().budget_s, 20.0, 90.0), 100, 3.0),
    "quick": Effort(1000, None, 10.0, 2, 3.0, slo_cases.Asked(6, 10.0, 10.0, 3.0, 3.0), 5, 3.0),
    "tiny": Effort(5, 1, 0.3, 1, 1.0, slo_cases.Asked(1, 0.3, 0.3, 1.0, 1.0), 1, 0.3),
}
Profiles = dict[Path, Profile]


def main() -> None:
    arguments = _arguments()
    effort, only = EFFORTS[arguments.size], arguments.only or PARTS
    figures: Figures = {}
    tables: dict[str, Any] = {}

    def keep(found: Figures, **more: Any) -> None:
        # After every part, for a run takes the better part of an hour.
        figures.update(found)
        tables.update(more)
        save(arguments.json, arguments.size, figures, **tables)

    with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
        folder = Path(name)
        profiles: Profiles = {}
        if {"service", "load", "slo"} & set(only):
            models, left_out = _models(arguments, folder, effort)
            # For the questions alone, what a call takes is all that has to be known.
            budget_s = effort.budget_s if {"service", "load"} & set(only) else min(effort.budget_s, LOOK_S)
            for number, model in enumerate(models):
                profiles[model] = service_cases.profile(model, folder / str(number), budget_s=budget_s)
            keep({"profile_s": profiles[models[0]].sites[0].measuring_s}, left_out=left_out)
        if "service" in only:
            keep(_service_figures(_service(profiles, folder, effort.rounds)))
        if "load" in only:
            cases = _load(profiles, folder, arguments)
            keep(_load_figures(cases), load_cases=[case.row() for case in cases])
        if "slo" in only:
            asked, given_s = effort.asked, arguments.seconds
            if given_s:
                asked = asked._replace(load_test_s=given_s, longest_load_test_s=given_s)
            asked = asked._replace(questions=arguments.questions or asked.questions)
            found: list[slo_cases.AdvisedCase] = []
            for case in slo_cases.advised_cases(profiles, folder, asked):
                found.append(case)
                keep(slo_cases.advised_figures(found), advised_cases=[entry.row() for entry in found])
        if "aa" in only:
            keep(tie_runs.measure(runs=effort.twins, budget_s=effort.twin_budget_s))
        if "speed" in only:
            import queue_speed  # its peers are an extra of their own

            keep(queue_speed.measure(arguments.size))
    show(figures)


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the case table of the load tests")
    parser.add_argument("--model", action="append", default=[], help="replaces the default models; repeatable")
    parser.add_argument("--seconds", type=float, help="length of each load test")
    parser.add_argument("--questions", type=int, help="of the part slo")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part to run, repeatable; all parts if none is named")
    return parsed(parser)


def _models(arguments: argparse.Namespace, folder: Path, effort: Effort) -> tuple[list[Path], list[str]]:
    """Return the models, and what is to be said of those that are left out."""
    if arguments.model:
        return [Path(path) for path in arguments.model], []
    found, missing = default_models(folder, trees=effort.trees)
    for entry in missing:
        print(f"a model is left out: {entry.reason}")
    return found[-effort.models :] if effort.models else found, [entry.reason for entry in missing]


def _service(profiles: Profiles, folder: Path, rounds: int) -> list[ServiceCase]:
    found = []
    print("\nservice time at batch sizes that were not measured")
    for number, (model, measured) in enumerate(profiles.items()):
        cases = service_cases.hold_out(model.name, measured, folder / str(number), rounds=rounds)
        found += cases
        for variant in dict.fromkeys(case.variant for case in cases):
            for threads in (1, 2):
                mine = [case for case in cases if (case.variant, case.threads) == (variant, threads)]
                told = {
                    "unmeasured": [case.error for case in mine if case.held_out],
                    "same minute": [case.interpolation_error for case in mine if case.held_out],
                    "measured again": [case.error for case in mine if not case.held_out],
                }
                shown = "; ".join(
                    f"{what} {statistics.median(map(abs, errors)):.1%} of {len(errors)}"
                    for what, errors in told.items()
                    if errors
                )
                print(f"  {model.name} {variant}, {threads} thread(s): {shown}")
    return found


def _service_figures(cases: list[ServiceCase]) -> Figures:
    figures: Figures = {}
    for threads, suffix in ((1, ""), (2, "_2_threads")):
        mine = [case for case in cases if case.threads == threads]
        held_out = [abs(case.error) for case in mine if case.held_out]
        again = [abs(case.error) for case in mine if not case.held_out]
        alone = [abs(case.interpolation_error) for case in mine if case.held_out]
        figures[f"service_time_error_median{suffix}"] = middle(held_out, without=NOT_HELD_OUT)
        figures[f"service_time_error_p95{suffix}"] = high(held_out, without=NOT_HELD_OUT)
        # What the profile's own points differ by when they are measured again minutes later, and what interpolation adds by itself.
        figures[f"service_time_drift_median{suffix}"] = middle(again, without=f"nothing was measured on {threads} threads")
        figures[f"service_time_interpolation_error_median{suffix}"] = middle(alone, without=NOT_HELD_OUT)
        figures[f"service_time_interpolation_error_p95{suffix}"] = high(alone, without=NOT_HELD_OUT)
    return figures


def _load(profiles: Profiles, folder: Path, arguments: argparse.Namespace) -> list[Case]:
    cases: list[Case] = []
    wanted_s = arguments.seconds or EFFORTS[arguments.size].load_test_s
    for number, (model, measured) in enumerate(profiles.items()):
        print(f"\n{model.name}: load tests")
        place = folder / str(number)
        for case in load_cases.cases(model.name, measured, place, wanted_s=wanted_s, is_full=arguments.size == "full"):
            print("  " + case.line())
            cases.append(case)
            if arguments.csv is not None:
                _write_csv(arguments.csv, cases)
    return cases


def _load_figures(cases: list[Case]) -> Figures:
    valid = [case for case in cases if case.valid]
    moderate = [case for case in valid if case.utilization_seen <= MODERATE_UTILIZATION]
    busier = [case for case in valid if case.utilization_seen > MODERATE_UTILIZATION]
    figures: Figures = {"cases": len(cases), "cases_valid": len(valid), "cases_moderate": len(moderate)}
    for name in ("p50", "p99", "throughput"):
        for how, suffix in HOWS:
            off = [case.error(name, how) for case in moderate]
            figures[f"{name}_error_median{suffix}"] = middle(map(abs, off), without=NOT_SO_BUSY)
            figures[f"{name}_bias_median{suffix}"] = middle(off, without=NOT_SO_BUSY)
            off = [case.error(name, how) for case in busier]
            figures[f"{name}_error_median{suffix}_busier"] = middle(map(abs, off), without=NOT_SO_BUSY)
            covered = [float(case.covers(name, how)) for case in valid]
            figures[f"coverage_{name}{suffix}"] = statistics.mean(covered) if covered else Unknown("no load test was valid")
    return figures


def _write_csv(path: Path, cases: list[Case]) -> None:
    rows = [case.row() for case in cases]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


if __name__ == "__main__":
    main()
