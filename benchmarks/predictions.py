"""Do predictions hold when the configuration is really run? Service times, load tests, advised configurations, ties, simulation speed.

    python benchmarks/predictions.py --json predictions.json --csv cases.csv [--quick] [--model PATH ...] [--only PART ...]

The parts: `service` compares interpolated with measured service times at batch sizes that the profile has not seen. `load` serves
configurations at several loads and compares the requests of every other second with the simulation of these very requests: calibrated by
the seconds between, by the whole run ("same run": what is left is the error of the model of a server), by a run before ("carried"), and
by no load test. `slo` has configurations advised for random traffic and targets and
runs them; `aa` gives the same file twice as two variants; `speed` simulates.
Every figure is a ratio of what was seen to what was said in the same run. Run it on a machine that does nothing else: what the machine
was doing meanwhile stands beside each case (waited: share of the time in which the server's threads waited for a core).
"""

import argparse
import csv
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from parts import load_cases, service_cases, tie_runs
from parts.load_cases import Case
from parts.models import default_models
from parts.service_cases import ServiceCase

PARTS = ("service", "load", "slo", "aa", "speed")
MODERATE_UTILIZATION = 0.7
Figures = dict[str, float | None]


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
        folder = Path(name)
        models = [Path(path) for path in arguments.model] or default_models(folder)
        profiles = {}
        if {"service", "load", "slo"} & set(arguments.only):
            for number, model in enumerate(models):
                profiles[model] = service_cases.profile(model, folder / str(number), quick=arguments.quick)
        figures: Figures = {}
        if profiles:
            figures["profile_s"] = next(iter(profiles.values())).measuring_s
        service = _service(profiles, folder, arguments) if "service" in arguments.only else []
        figures |= _service_figures(service)
        _write_json(figures, arguments.json)
        cases = _load(profiles, folder, arguments) if "load" in arguments.only else []
        figures |= _load_figures(cases)
        _write_json(figures, arguments.json)
        if "slo" in arguments.only:
            figures |= load_cases.slo_safe(profiles, folder, wanted_s=arguments.seconds, quick=arguments.quick)
            _write_json(figures, arguments.json)
        if "aa" in arguments.only:
            figures |= tie_runs.measure(quick=arguments.quick)
        _write_json(figures, arguments.json)
        if "speed" in arguments.only:
            import queue_speed  # its peers are an extra of their own

            figures |= queue_speed.measure(arguments.quick)
        _report(figures, arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--csv", type=Path, default=Path("predictions.csv"), help="the case table of the load tests")
    parser.add_argument("--quick", action="store_true", help="short and few: a smoke test")
    parser.add_argument("--model", action="append", default=[], help="replaces the default models; repeatable")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each load test")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part to run, repeatable; all parts if none is named")
    arguments = parser.parse_args()
    arguments.only = arguments.only or PARTS
    arguments.seconds = 3.0 if arguments.quick else arguments.seconds
    return arguments


def _service(profiles: dict, folder: Path, arguments: argparse.Namespace) -> list[ServiceCase]:
    found = []
    print("\nservice time at batch sizes that were not measured")
    for number, (model, measured) in enumerate(profiles.items()):
        cases = service_cases.hold_out(model.name, measured, folder / str(number), quick=arguments.quick)
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
        figures[f"service_time_error_median{suffix}"] = _median(held_out)
        figures[f"service_time_error_p95{suffix}"] = float(np.quantile(held_out, 0.95)) if held_out else None
        # What the profile's own points differ by when they are measured again minutes later, and what interpolation adds by itself.
        figures[f"service_time_drift_median{suffix}"] = _median(abs(case.error) for case in mine if not case.held_out)
        alone = [abs(case.interpolation_error) for case in mine if case.held_out]
        figures[f"service_time_interpolation_error_median{suffix}"] = _median(alone)
        figures[f"service_time_interpolation_error_p95{suffix}"] = float(np.quantile(alone, 0.95)) if alone else None
    return figures if cases else {}


def _load(profiles: dict, folder: Path, arguments: argparse.Namespace) -> list[Case]:
    cases: list[Case] = []
    for number, (model, measured) in enumerate(profiles.items()):
        print(f"\n{model.name}: load tests")
        for case in load_cases.cases(
            model.name, measured, folder / str(number), wanted_s=arguments.seconds, quick=arguments.quick
        ):
            print("  " + case.line())
            cases.append(case)
            _write_csv(arguments.csv, cases)
    return cases


def _load_figures(cases: list[Case]) -> Figures:
    if not cases:
        return {}
    valid = [case for case in cases if case.valid]
    moderate = [case for case in valid if case.utilization_seen <= MODERATE_UTILIZATION]
    high = [case for case in valid if case.utilization_seen > MODERATE_UTILIZATION]
    figures: Figures = {"cases": len(cases), "cases_valid": len(valid), "cases_moderate": len(moderate)}
    for name in ("p50", "p99", "throughput"):
        hows = (("within", ""), ("same run", "_same_run"), ("carried", "_carried"), ("before", "_uncalibrated"))
        for how, suffix in hows:
            figures[f"{name}_error_median{suffix}"] = _median(abs(case.error(name, how)) for case in moderate)
            figures[f"{name}_bias_median{suffix}"] = _median(case.error(name, how) for case in moderate)
            figures[f"{name}_error_median{suffix}_busier"] = _median(abs(case.error(name, how)) for case in high)
            figures[f"coverage_{name}{suffix}"] = _share(case.covers(name, how) for case in valid)
    return figures


def _write_csv(path: Path, cases: list[Case]) -> None:
    rows = [case.row() for case in cases]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _report(figures: Figures, path: Path | None) -> None:
    print()
    for name, value in figures.items():
        print(f"{name:<48}{'not measured' if value is None else f'{value:,.4g}'}")
    _write_json(figures, path)


def _write_json(figures: Figures, path: Path | None) -> None:
    # After every part, for a run takes the better part of an hour.
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")


def _median(values: Iterable[float]) -> float | None:
    listed = list(values)
    return statistics.median(listed) if listed else None


def _share(values: Iterable[bool]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None


if __name__ == "__main__":
    sys.exit(main())
