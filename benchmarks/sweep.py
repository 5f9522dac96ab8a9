"""How quick is deciding at scale? Advice on many workloads over processes, a portfolio of thousands, and what a task costs by itself.

    python benchmarks/sweep.py [--json FILE] [--quick] [--workloads N]

Advice: workloads of one profile, a row for each, by one process and by two in turns; the speed-up is that of the turns. What one takes of
a core is processor time, which other work on the machine does not count in. Portfolio: workloads of language models, from their lines
to the plan, and the program that chooses by itself. Memory: the largest process, and by how much it is larger after four times as many
workloads. A task: one of a sweep on a cluster of this machine, with all that it is given and sends back but the measuring, one after the
other on the machine of its kind, beside Ray's own empty task there; and an empty one sent to a process of advice and back.
`--workloads N`: nothing but N of them advised in one go by two processes, to the last row in the file.

Keys: `advice_per_s`, `advice_per_core_s`, `advice_with_files_per_s`, `speedup_two_cores`, `portfolio_10k_s` (of as many workloads as the
run has: `portfolio_workloads`), `portfolio_choosing_s`, `portfolio_gap_usd`, `peak_bytes`, `peak_growth_bytes_per_workload`,
`overhead_per_task_s`, `ray_empty_task_s`, `pool_task_s`, `profile_bytes`, `advice_bytes`, `row_bytes`; of `--workloads`:
`advised_workloads`, `advised_failed`, `advised_s`, `advised_per_s`, `peak_bytes`, `row_bytes`.
"""

import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from advisor.decide import multiple_choice
from advisor.decide.integer_program import Limit
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.errors import MissingDependencyError
from advisor.schema.options import USUAL_MAX_UNCERTAINTY, ProfileOptions
from advisor.steps.classify import plan_portfolio
from advisor.steps.many.cluster import LOCAL, joined
from advisor.steps.many.lines import read_lines, write_lines
from advisor.steps.many.pairs import pairs_in
from advisor.steps.many.quiet import nothing_printed
from advisor.steps.many.workers import Work, over_processes
from advisor.steps.sweep.cluster import measured_by
from advisor.steps.sweep.cluster import resource as resource_of
from advisor.steps.sweep.many import Settings, advise_many
from advisor.steps.sweep.measuring import JournalTail, Task
from harness import Figures, Size, Unknown, in_turns, now, parsed, parser_of, ratio, save, show, silent
from parts.many_cases import write_pairs, write_portfolio, write_profile


class Effort(NamedTuple):
    """How much of a run is made."""

    pairs: int
    turns: int
    planned: int  # workloads of the portfolio
    groups: int  # that the program chooses among by itself
    tasks: int  # empty ones
    with_ray: bool


EFFORTS: dict[Size, Effort] = {
    "full": Effort(pairs=200, turns=2, planned=10_000, groups=10_000, tasks=2000, with_ray=True),
    "quick": Effort(pairs=24, turns=2, planned=300, groups=10_000, tasks=300, with_ray=True),
    "tiny": Effort(pairs=2, turns=1, planned=10, groups=20, tasks=4, with_ray=False),
}
SEED = 7
OPTIONS = 8  # of each group


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--workloads", type=int, metavar="N", help="advise so many in one go, and nothing else")
    arguments = parsed(parser)
    effort = EFFORTS[arguments.size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.workloads:
            figures = _in_one_go(folder, arguments.workloads)
        else:
            figures = _advice(folder, effort) | _portfolio(folder, effort) | _tasks(effort)
    show(figures)
    save(arguments.json, arguments.size, figures)


def _advice(folder: Path, effort: Effort) -> Figures:
    profile, lines = folder / "profile.json", folder / "pairs.jsonl"
    write_profile(profile)
    write_pairs(lines, effort.pairs, SEED)
    settings = _settings(folder)

    def rows(path: Path, processes: int, how: Settings = settings) -> None:
        write_lines(advise_many(pairs_in(path, profile), how, processes=processes), folder / f"rows-{processes}.jsonl")

    few = folder / "few.jsonl"
    write_pairs(few, max(1, effort.pairs // 4), SEED)
    before_s = time.process_time()
    rows(few, 1)
    core_s, peak_of_few = time.process_time() - before_s, _peak_bytes()
    spent = in_turns({"1": lambda: rows(lines, 1), "2": lambda: rows(lines, 2)}, effort.turns)
    peak = _peak_bytes()
    started = time.perf_counter()
    rows(few, 2, settings._replace(with_advice=True))
    with_files_s = time.perf_counter() - started
    count_of_few = max(1, effort.pairs // 4)
    written = (folder / "out").glob("*/advice.json")
    return {
        "advice_per_s": effort.pairs / statistics.median(spent["2"]),
        "advice_per_core_s": count_of_few / core_s,
        "advice_with_files_per_s": count_of_few / with_files_s,
        "speedup_two_cores": ratio(spent["1"], spent["2"]),
        "peak_bytes": float(peak),
        "peak_growth_bytes_per_workload": (peak - peak_of_few) / (effort.pairs - count_of_few),
        "profile_bytes": float(profile.stat().st_size),
        "advice_bytes": statistics.median(path.stat().st_size for path in written),
        "row_bytes": (folder / "rows-2.jsonl").stat().st_size / count_of_few,
    }


def _in_one_go(folder: Path, count: int) -> Figures:
    profile, lines, out = folder / "profile.json", folder / "pairs.jsonl", folder / "rows.jsonl"
    write_profile(profile)
    write_pairs(lines, count, SEED)
    started = time.perf_counter()
    write_lines(advise_many(pairs_in(lines, profile), _settings(folder), processes=2), out)
    took_s = time.perf_counter() - started
    rows = list(read_lines(out))
    return {
        "advised_workloads": float(len(rows)),
        "advised_failed": float(sum(row.failure is not None for row in rows)),
        "advised_s": took_s,
        "advised_per_s": len(rows) / took_s,
        "peak_bytes": float(_peak_bytes()),
        "row_bytes": out.stat().st_size / len(rows),
    }


def _settings(folder: Path) -> Settings:
    return Settings(now(), USUAL_CONFIDENCE, USUAL_MAX_UNCERTAINTY, None, folder / "out", (), with_advice=False)


def _peak_bytes() -> int:
    """Return the peak of the largest process so far, this one or one that it has waited for."""
    return 1024 * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _portfolio(folder: Path, effort: Effort) -> Figures:
    path = write_portfolio(folder, effort.planned, SEED)
    started = time.perf_counter()
    plan = plan_portfolio(path, now=now())
    planned_s = time.perf_counter() - started
    gain, limits, groups = _program(effort.groups)
    started = time.perf_counter()
    with nothing_printed():
        answer = multiple_choice.choose(gain, limits, groups)
    choosing_s = time.perf_counter() - started
    assert answer is not None
    return {
        "portfolio_10k_s": planned_s,
        "portfolio_workloads": float(len(plan.choices)),
        "portfolio_choosing_s": choosing_s,
        "portfolio_gap_usd": max(plan.gap_usd, answer.bound - answer.gain),
    }


def _program(groups: int) -> tuple[list[float], list[Limit], list[range]]:
    """Return options of groups that are all different: nothing, or dearer and dearer ones that save more and more."""
    import numpy as np

    random = np.random.default_rng(SEED)
    once = np.sort(random.uniform(500, 60_000, (groups, OPTIONS)), axis=1)
    saved = np.sort(random.uniform(0, 1, (groups, OPTIONS)), axis=1) * 10 ** random.uniform(2, 6, (groups, 1))
    once[:, 0] = saved[:, 0] = 0.0
    days = once / 600 * random.uniform(0.5, 1.5, once.shape)
    limits = [Limit(once.ravel().tolist(), 4000.0 * groups), Limit(days.ravel().tolist(), 6.0 * groups)]
    return (saved - once).ravel().tolist(), limits, [range(OPTIONS * it, OPTIONS * (it + 1)) for it in range(groups)]


def _tasks(effort: Effort) -> Figures:
    work: Work[int, int] = Work(_same, lambda thing, _: thing)
    started = time.perf_counter()
    done = sum(1 for _ in over_processes(work, range(effort.tasks), processes=2, chunk=1))
    return {"pool_task_s": (time.perf_counter() - started) / done, **_of_ray(effort)}


def _same(things: Sequence[int]) -> Sequence[int]:
    return things


def _of_ray(effort: Effort) -> Figures:
    """Return the seconds of a task of a sweep without its work, and of Ray's own, on one cluster of this machine."""
    if effort.with_ray:
        try:
            with joined(LOCAL, {resource_of(LOCAL): 1}, __file__) as ray:
                return {
                    "overhead_per_task_s": _swept_task_s(ray, effort.tasks),
                    "ray_empty_task_s": _empty_task_s(ray, effort.tasks),
                }
        except MissingDependencyError:
            why = Unknown("ray is not installed")
    else:
        why = Unknown("left out of a tiny run")
    return {"overhead_per_task_s": why, "ray_empty_task_s": why}


def _swept_task_s(ray: Any, count: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        tasks = [
            Task(str(number), place / "model.onnx", LOCAL, place / str(number) / "profile.json", ProfileOptions(), ())
            for number in range(count + 1)
        ]
        outcomes = measured_by(ray, tasks, patience_s=60.0, created=now(), report=silent, work=_without_work)
        first = next(outcomes)  # the process has started, and has loaded what measuring takes
        started = time.perf_counter()
        others = list(outcomes)
        each_s = (time.perf_counter() - started) / len(others)
    assert all(outcome.failure is None for outcome in (first, *others))
    return each_s


def _without_work(task: Task, tail: JournalTail, *, created: str, report: Any) -> None:
    pass


def _empty_task_s(ray: Any, count: int) -> float:
    empty: Any = ray.remote(_nothing)
    ray.get([empty.remote() for _ in range(8)])  # the processes have started
    started = time.perf_counter()
    ray.get([empty.remote() for _ in range(count)])
    return (time.perf_counter() - started) / count


def _nothing() -> None:
    pass


if __name__ == "__main__":
    main()
