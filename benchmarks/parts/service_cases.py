"""Profiles of the benchmark's models, and how far their interpolation is off at batch sizes that they have not seen."""

import random
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from advisor.decide.service.measured import service_grids, service_table, undisturbed
from advisor.measure.worker.client import WorkerProcess
from advisor.measure.worker.process import Load, Loaded, Time, Timed
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile
from advisor.steps.model_folder import inspect
from advisor.steps.profile import profile as measure
from harness import now, silent

HELD_OUT = (2, 3, 6, 8, 12, 24, 32, 48)
MAX_BATCH_SIZE = 32


class ServiceCase(NamedTuple):
    model: str
    variant: str
    threads: int
    batch_size: int
    length: int | None
    held_out: bool  # not in the profile
    error: float  # said by the profile over seen minutes later, less one: of a point that is in the profile, what the host's drift does
    interpolation_error: (
        float  # said by the profile's points as seen in the same minute, over seen, less one; 0 where not held out
    )


def profile(model: Path, folder: Path, *, budget_s: float) -> Profile:
    """Return a profile as `advisor profile --general` makes it, with a workload that has two lengths where the model takes them."""
    folder.mkdir()
    facts = inspect(model, None)
    lengths = "inputs: {sequence_length: {p50: 32, p95: 128}}\n" if facts.family == "encoder" else ""
    slo = "200 ms" if lengths else "50 ms"
    head, price = "name: bench\ntraffic: {requests_per_s: 10}\n", "hardware: {price_usd_per_hour: {local: 1}}\n"
    (folder / "workload.yaml").write_text(f"{head}{lengths}slo: {{latency_s: {slo}}}\n{price}")
    options = ProfileOptions(workload=folder / "workload.yaml", budget_s=budget_s, max_batch_size=MAX_BATCH_SIZE, general=True)
    started = time.monotonic()
    measured = measure(model, folder / "profile.json", options, now=now(), report=silent)
    assert isinstance(measured, Profile)
    points, took = len(measured.sites[0].measurements), time.monotonic() - started
    noise = "unknown" if measured.sites[0].noise_fraction is None else f"{measured.sites[0].noise_fraction:.1%}"
    print(
        f"{model.name}: {points} points, {measured.sites[0].measuring_s:.0f} s of measuring, {took:.0f} s in all, noise floor {noise}"
    )
    for note in measured.sites[0].notes:
        print(f"  {note}")
    return measured


def hold_out(name: str, measured: Profile, folder: Path, *, rounds: int) -> list[ServiceCase]:
    """Return a case for each variant, length and batch size, on 1 and on 2 threads: those in the profile, measured again, and others."""
    grids, cases = service_grids(undisturbed(measured.sites[0])), []
    for variant in measured.sites[0].variants:
        for threads in (1, 2):
            grid = grids.get((variant.id, threads, 1))
            if grid is None:
                continue
            ladders = dict(zip(grid.lengths, grid.batch_sizes, strict=True))
            points = [
                (size, length)
                for length, sizes in ladders.items()
                for size in sorted({*sizes, *(size for size in HELD_OUT if size < sizes[-1])})
            ]
            table = service_table(grid, grid.max_batch_size, grid.lengths, end="value")
            samples = _measure(measured, folder / variant.path, points, threads, rounds=rounds)
            seen = {point: statistics.median(medians) for point, medians in samples.items()}
            for (size, length), seconds in seen.items():
                sizes = ladders[length]
                again = np.exp(np.interp(np.log(size), np.log(sizes), np.log([seen[known, length] for known in sizes])))
                said = float(table[size - 1, grid.lengths.index(length)])
                held_out = size not in sizes
                cases.append(
                    ServiceCase(name, variant.id, threads, size, length, held_out, said / seconds - 1, float(again) / seconds - 1)
                )
    return cases


def _measure(
    measured: Profile, path: Path, points: list[tuple[int, int | None]], threads: int, *, rounds: int
) -> dict[tuple[int, int | None], list[float]]:
    samples: dict[tuple[int, int | None], list[float]] = {point: [] for point in points}
    with WorkerProcess() as worker:
        worker.ask(Load(path=str(path), inputs=measured.model.inputs, rows=None, seed=1), Loaded)
        for turn in range(rounds):
            for size, length in random.Random(turn).sample(points, len(points)):
                request = Time(
                    batch_size=size,
                    sequence_length=length,
                    intra_op_num_threads=threads,
                    instances=1,
                    seconds=0.1,
                    min_calls=3,
                    warm_up_calls=1,
                )
                samples[size, length].append(statistics.median(worker.ask(request, Timed).latency_s))
    return samples
