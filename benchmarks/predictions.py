"""Do predictions hold when the configuration is really run? Service times at unmeasured batch sizes, and load tests, model by model.

    python benchmarks/predictions.py --json predictions.json --csv cases.csv [--quick] [--model PATH ...]

Every figure is a ratio of what was seen to what was predicted in the same run. Run it on a machine that does nothing else: what the
machine was doing meanwhile is printed beside each case (run_delay: share of the time in which the server's threads waited for a core).
"""

import argparse
import csv
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
from models import default_models

from advisor import profiling
from advisor.decide.bench import Bench, predict
from advisor.decide.candidates import Configuration
from advisor.decide.load_judgement import learned
from advisor.decide.service_time import service_grids, service_table
from advisor.measure.worker import Load, Loaded, Time, Timed
from advisor.measure.worker_process import WorkerProcess
from advisor.schema import LoadTest, Profile, Workload
from advisor.verification import serve_for_real
from advisor.workload_file import read_workload

UTILIZATIONS = (0.3, 0.5, 0.7, 0.9)
CALIBRATION_UTILIZATION = 0.5
HELD_OUT = (2, 3, 6, 8, 12, 24, 32, 48)
COLUMNS = (
    "model", "variant", "threads", "instances", "max_batch_size", "max_queue_delay_s", "burstiness_cv", "utilization", "calibrated",
    "requests", "valid", "p50_seen_s", "p50_said_s", "p50_low_s", "p50_high_s", "p99_seen_s", "p99_said_s", "p99_low_s", "p99_high_s",
    "throughput_seen", "throughput_said", "utilization_seen", "service_ratio",
)  # fmt: skip


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
        folder = Path(name)
        models = [Path(path) for path in arguments.model] or default_models(folder)
        service_errors: list[float] = []
        rows: list[dict[str, object]] = []
        profile_s = None
        for number, model in enumerate(models):
            place = folder / str(number)
            place.mkdir()
            measured = _profile(model, place, budget_s=10.0 if arguments.quick else 60.0)
            profile_s = profile_s or measured.measuring_s
            print(
                f"\n{model.name}: {len(measured.measurements)} points in {measured.measuring_s:.0f} s, noise {measured.noise_fraction}"
            )
            service_errors += _service_errors(measured, place, arguments.quick)
            rows += _load_cases(model.name, measured, place, arguments)
            _write_csv(arguments.csv, rows)
        _report(rows, service_errors, profile_s, arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--csv", type=Path, default=Path("predictions.csv"))
    parser.add_argument("--quick", action="store_true", help="short load tests and one configuration a model: a smoke test")
    parser.add_argument("--model", action="append", default=[], help="replaces the default models; repeatable")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each load test")
    return parser.parse_args()


def _profile(model: Path, folder: Path, *, budget_s: float) -> Profile:
    facts = profiling.inspect(model, None, folder / "profile.variants")
    lengths = "inputs: {sequence_length: {p50: 32, p95: 128}}\n" if facts.family == "encoder" else ""
    slo = "200 ms" if lengths else "50 ms"
    head, price = "name: bench\ntraffic: {requests_per_s: 10}\n", "hardware: {price_usd_per_hour: {local: 1}}\n"
    (folder / "workload.yaml").write_text(f"{head}{lengths}slo: {{latency_s: {slo}}}\n{price}")
    options = profiling.ProfileOptions(workload=folder / "workload.yaml", budget_s=budget_s, max_batch_size=32)
    return profiling.profile(model, folder / "profile.json", options, now="benchmark", report=lambda done, total, what: None)


def _service_errors(measured: Profile, folder: Path, quick: bool) -> list[float]:
    """Return the relative errors of the interpolated median at batch sizes that the profile has not seen, on one thread."""
    grids, errors = service_grids(measured), []
    for variant in measured.variants:
        grid = grids[variant.id, 1, 1]
        seen = {size for sizes in grid.batch_sizes for size in sizes}
        points = [
            (size, length)
            for length, sizes in zip(grid.lengths, grid.batch_sizes, strict=True)
            for size in HELD_OUT
            if size not in seen and size < sizes[-1]
        ]
        table = service_table(grid, grid.max_batch_size, grid.lengths, end="value")
        samples = _hold_out(measured, folder / variant.path, points, rounds=2 if quick else 4)
        for (size, length), medians in samples.items():
            said = float(table[size - 1, grid.lengths.index(length)])
            errors.append(statistics.median(medians) / said - 1)
        shown = ", ".join(f"{error:+.1%}" for error in errors[-len(points) :]) if points else "nothing held out"
        print(f"  service {variant.id}: {shown}")
    return errors


def _hold_out(
    measured: Profile, path: Path, points: list[tuple[int, int | None]], *, rounds: int
) -> dict[tuple[int, int | None], list[float]]:
    samples: dict[tuple[int, int | None], list[float]] = {point: [] for point in points}
    with WorkerProcess() as worker:
        worker.ask(Load(path=str(path), inputs=measured.model.inputs, rows=None, seed=1), Loaded)
        for turn in range(rounds):
            for size, length in random.Random(turn).sample(points, len(points)):
                request = Time(
                    batch_size=size,
                    sequence_length=length,
                    intra_op_num_threads=1,
                    instances=1,
                    seconds=0.1,
                    min_calls=3,
                    warm_up_calls=1,
                )
                samples[size, length].append(statistics.median(worker.ask(request, Timed).latency_s))
    return samples


def _load_cases(name: str, measured: Profile, folder: Path, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Run each configuration once to calibrate and then at every load; return a row per load, before and after calibration."""
    rows: list[dict[str, object]] = []
    for configuration, cv in _configurations(measured, quick=arguments.quick):
        base = read_workload(folder / "workload.yaml")
        capacity = _full_rate(measured, base, configuration)
        calibration = _run(measured, folder, _at(base, capacity * CALIBRATION_UTILIZATION, cv), configuration, arguments.seconds)
        ratios = learned(measured.service_ratios, (calibration,))
        calibrated = msgspec.structs.replace(measured, service_ratios=ratios)
        for utilization in UTILIZATIONS[:2] if arguments.quick else UTILIZATIONS:
            workload = _at(base, capacity * utilization, cv)
            seen = _run(calibrated, folder, workload, configuration, arguments.seconds)
            raw = predict(Bench(measured, workload, None), configuration, 1, today_replicas=1)
            for is_calibrated, test in ((True, seen), (False, msgspec.structs.replace(seen, predicted=raw))):
                rows.append(_row(name, test, cv, utilization, is_calibrated))
            print("  " + _line(rows[-2]))
    return rows


def _configurations(measured: Profile, *, quick: bool) -> list[tuple[Configuration, float]]:
    first = measured.variants[0].id
    fast = "int8-dynamic" if any(variant.id == "int8-dynamic" for variant in measured.variants) else first
    listed = [
        (Configuration(variant=first, intra_op_num_threads=1, instances=1, max_batch_size=4, max_queue_delay_s=0.002), 1.0),
        (Configuration(variant=fast, intra_op_num_threads=1, instances=1, max_batch_size=8, max_queue_delay_s=0.005), 2.0),
        (Configuration(variant=first, intra_op_num_threads=1, instances=2, max_batch_size=4, max_queue_delay_s=0.0), 1.0),
    ]
    return listed[:1] if quick else listed


def _full_rate(measured: Profile, base: Workload, configuration: Configuration) -> float:
    """Return the rate at which the configuration's own batches would keep it busy all the time."""
    bench = Bench(measured, base, None)
    work_s, _ = bench.simulator.bounds(configuration, 0.5)
    return 1.0 / work_s


def _at(base: Workload, rate: float, cv: float) -> Workload:
    return msgspec.structs.replace(base, traffic=msgspec.structs.replace(base.traffic, requests_per_s=rate, burstiness_cv=cv))


def _run(measured: Profile, folder: Path, workload: Workload, configuration: Configuration, wanted_s: float) -> LoadTest:
    bench = Bench(measured, workload, None)
    prediction = predict(bench, configuration, 1, today_replicas=1)
    return serve_for_real(bench, prediction, folder, wanted_s=wanted_s)


def _row(name: str, test: LoadTest, cv: float, utilization: float, is_calibrated: bool) -> dict[str, object]:
    candidate, said = test.candidate, test.predicted
    values = (
        name, candidate.variant, candidate.intra_op_num_threads, candidate.instances, candidate.max_batch_size,
        candidate.max_queue_delay_s, cv, utilization, is_calibrated, test.requests, test.generator_kept_up,
        test.latency_p50_s.value, said.latency_p50_s.value, said.latency_p50_s.low, said.latency_p50_s.high,
        test.latency_p99_s.value, said.latency_p99_s.value, said.latency_p99_s.low, said.latency_p99_s.high,
        test.throughput_requests_per_s.value, test.offered_requests_per_s, test.utilization_fraction, test.service_ratio.value,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _error(row: dict[str, object], figure: str) -> float:
    return float(row[f"{figure}_said_s"]) / float(row[f"{figure}_seen_s"]) - 1  # type: ignore[arg-type]


def _line(row: dict[str, object]) -> str:
    setting = f"{row['variant']} {row['threads']}x{row['instances']} b{row['max_batch_size']} cv{row['burstiness_cv']}"
    errors = f"p50 {_error(row, 'p50'):+.1%}, p99 {_error(row, 'p99'):+.1%}"
    busy = f"busy {row['utilization_seen']:.2f}, ratio {row['service_ratio']:.2f}"
    return f"{setting} load {row['utilization']}: {errors}, {busy}, valid {row['valid']}"


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _report(rows: list[dict[str, object]], service_errors: list[float], profile_s: float | None, path: Path | None) -> None:
    counted = [row for row in rows if row["calibrated"] and row["valid"]]
    moderate = [row for row in counted if float(row["utilization_seen"]) <= 0.75]  # type: ignore[arg-type]
    figures: dict[str, float | None] = {
        "service_time_error_median": _median(map(abs, service_errors)),
        "service_time_error_p95": float(np.quantile(np.abs(service_errors), 0.95)) if service_errors else None,
        "p50_error_median": _median(abs(_error(row, "p50")) for row in moderate),
        "p99_error_median": _median(abs(_error(row, "p99")) for row in moderate),
        "p50_bias_median": _median(_error(row, "p50") for row in moderate),
        "p99_bias_median": _median(_error(row, "p99") for row in moderate),
        "coverage_p50": _coverage(counted, "p50"),
        "coverage_p99": _coverage(counted, "p99"),
        "profile_s": profile_s,
    }
    print(
        f"\n{len(counted)} valid cases, {len(moderate)} of them at most 0.75 busy; {len(service_errors)} held-out service times"
    )
    for name, value in figures.items():
        print(f"{name:<28}{'not measured' if value is None else f'{value:.3f}'}")
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")


def _median(values: object) -> float | None:
    listed = list(values)  # type: ignore[call-overload]
    return statistics.median(listed) if listed else None


def _coverage(rows: list[dict[str, object]], figure: str) -> float | None:
    inside = [row[f"{figure}_low_s"] <= row[f"{figure}_seen_s"] <= row[f"{figure}_high_s"] for row in rows]  # type: ignore[operator]
    return sum(inside) / len(inside) if inside else None


if __name__ == "__main__":
    sys.exit(main())
