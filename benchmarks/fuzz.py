"""Does anything that a user gives break it? Files of every kind that it reads, changed at random, each given to a command.

    python benchmarks/fuzz.py [--json FILE] [--quick] [--seconds N] [--seed N] [--rings N] [--only KIND ...] [--keep FOLDER]
    python benchmarks/fuzz.py --replay FILE [FILE ...]

Cases are drawn with Hypothesis; where atheris is installed, the first part of the time goes to inputs that its libFuzzer finds to reach
new lines of the readers. Every case is a command in a process and a folder of its own, and counts against the advisor if it ends with a
status that is not documented, or with status 2 and anything else on stderr than an error and a hint; if a traceback shows anywhere, if it
dies of a signal, takes longer than a minute or more than 2 GiB in one process, changes a file that it was given, or leaves temporary
files or processes behind. One seed draws the same cases on every machine, but for what was measured in the files that they start from.
Whatever counts is written to the folder of --keep, whole, and --replay runs such a file again. The exit status is 1 if anything counted.

Keys: `cases`, `cases_per_hour`, and how many of them count: `tracebacks` (status 70 among them), `hangs`, `over_memory`, `crashes` (by a
signal), `undocumented_statuses`, `wrong_stderr`, `changed_inputs`, `leftovers` (of temporary files), `orphans` (processes).
Tables: `cases_by_kind`, `exit_statuses`, `found` (each kind of what counts, with how often and the smallest case).
"""

import argparse
import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import IO, Any, NamedTuple

import hypothesis
from hypothesis import strategies as st

from advisor.measure.runtime.machine import usable_cores
from harness import Figures, Size, parsed, parser_of, save, show
from parts.fuzz import growing, ring
from parts.fuzz.case import FIGURES, Case, Seen, findings, keep, kept
from parts.fuzz.corpora import CORPORA
from parts.fuzz.seeds import Seeds

SECONDS: dict[Size, float] = {"full": 3600.0, "quick": 60.0, "tiny": 0.0}
GROWING_SHARE = 0.1  # of the time, where atheris is installed
RING = f"import sys; sys.path.insert(0, sys.argv[1]); from {ring.__name__} import serve; serve()"
# In a ring nothing but the case may start a thread, and names of files are UTF-8, or the command would start itself again.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1", "ORT_DISABLE_TELEMETRY": "1"}
Sink = Callable[[Case], None]


class TimeIsOver(BaseException):
    """Ends the drawing of cases: no Exception, which Hypothesis would take for a fault that it has found."""


class Found(NamedTuple):
    """One kind of what counts against the advisor."""

    what: str
    kind: str
    detail: str


class Tally:
    """What came of the cases so far."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is where each case that counts is kept, None for nowhere."""
        self.folder = folder
        self.by_kind: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()
        self.by_figure: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
        self.found: dict[Found, tuple[int, int, str]] = {}  # how often, the smallest's bytes, and its file

    def take(self, case: Case, seen: Seen) -> None:
        """Count a case, and keep it if it counts against the advisor."""
        self.by_kind[case.kind] += 1
        self.by_status[str(seen.status)] += 1
        for finding in findings(seen):
            self.by_figure[finding.what] += 1
            found = Found(finding.what, case.kind, finding.detail)
            times, size, name = self.found.get(found, (0, sys.maxsize, ""))
            if not times:
                print(f"{finding.what}: {case.kind}: {finding.detail}", flush=True)
            here = f"{finding.what}-{case.kind}-{self.by_kind.total()}.zip"
            if self.folder is not None:
                keep(case, seen, self.folder / here)
            smallest = min((size, name), (case.size_bytes, here))
            self.found[found] = (times + 1, *smallest)

    def figures(self, seconds: float) -> Figures:
        """Return what is counted."""
        cases = self.by_kind.total()
        return {"cases": cases, "cases_per_hour": 3600 * cases / max(seconds, 1e-3), **self.by_figure}

    def tables(self) -> dict[str, Any]:
        """Return what is counted by kind."""
        found = [
            {**entry._asdict(), "times": times, "smallest_bytes": size, "smallest": name}
            for entry, (times, size, name) in sorted(self.found.items())
        ]
        return {"cases_by_kind": dict(self.by_kind), "exit_statuses": dict(self.by_status), "found": found}


class Rings:
    """Processes that run cases side by side. Use as a context manager."""

    def __init__(self, count: int, take: Callable[[Case, Seen], None]) -> None:
        self.take = take
        self.all = [_ring() for _ in range(count)]
        self.free = list(self.all)
        self.busy: dict[IO[bytes], tuple[subprocess.Popen[bytes], Case]] = {}

    def __enter__(self) -> "Rings":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.all:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.all:
            process.wait()

    def run(self, case: Case) -> None:
        """Run a case as soon as a ring is free; what comes of it is taken later."""
        while not self.free:
            self._collect()
        free = self.free.pop()
        assert free.stdin is not None and free.stdout is not None
        pickle.dump(case, free.stdin)
        free.stdin.flush()
        self.busy[free.stdout] = (free, case)

    def finish(self) -> None:
        """Take what comes of all cases that run."""
        while self.busy:
            self._collect()

    def _collect(self) -> None:
        for answers in select.select(list(self.busy), [], [])[0]:
            again_free, case = self.busy.pop(answers)
            self.free.append(again_free)
            self.take(case, pickle.load(answers))


def _ring() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-c", RING, str(Path(__file__).parent)]
    return subprocess.Popen(command, env=os.environ | ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def main() -> None:
    arguments = _arguments()
    tally = Tally(arguments.keep)
    with tempfile.TemporaryDirectory(prefix="fuzz-seeds-") as name, Rings(arguments.rings, tally.take) as rings:
        if arguments.replay:
            _replay(arguments.replay, rings, tally)
            sys.exit(any(tally.by_figure.values()))
        seeds = Seeds(Path(name))
        started_s = time.monotonic()
        try:
            for case in _grown(arguments, seeds, Path(name)):
                rings.run(case)
            _draw_all(arguments, seeds, rings, until_s=started_s + arguments.seconds)
        except TimeIsOver:
            pass
        rings.finish()
    figures = tally.figures(time.monotonic() - started_s)
    save(arguments.json, arguments.size, figures, **tally.tables())
    show(figures)
    print("\n".join(f"{key}: {value}" for key, value in tally.tables().items()))
    sys.exit(any(tally.by_figure.values()))


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, metavar="N", help="draw cases for so long")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draw other cases")
    parser.add_argument("--rings", type=int, default=len(usable_cores()), metavar="N", help="run so many side by side")
    parser.add_argument("--only", nargs="+", choices=CORPORA, metavar="KIND", help=f"only these kinds: {', '.join(CORPORA)}")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write there each case that counts")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="run these cases again, and nothing else")
    arguments = parsed(parser)
    if arguments.seconds is None:
        arguments.seconds = SECONDS[arguments.size]
    return arguments


def _replay(paths: list[Path], rings: Rings, tally: Tally) -> None:
    """Run kept cases again and show what each command wrote."""

    def told(case: Case, seen: Seen) -> None:
        print(
            f"advisor {' '.join(case.arguments)}: status {seen.status}, {seen.seconds:.1f} s, {seen.peak_bytes / 2**20:.0f} MiB"
        )
        print(seen.stdout[-2000:] + seen.stderr[-4000:] + seen.fault)
        tally.take(case, seen)

    rings.take = told
    for path in paths:
        rings.run(kept(path))
        rings.finish()


def _grown(arguments: argparse.Namespace, seeds: Seeds, folder: Path) -> Iterator[Case]:
    """Yield cases of what libFuzzer finds, where atheris is installed and there is time for it."""
    if arguments.seconds > 0 and not arguments.only and growing.is_possible():
        yield from growing.cases(seeds, folder / "grown", seconds=GROWING_SHARE * arguments.seconds, seed=arguments.seed)


def _draw_all(arguments: argparse.Namespace, seeds: Seeds, rings: Rings, *, until_s: float) -> None:
    """Draw cases of all kinds in turns until the time is over; without any time, the simplest case of each."""
    kinds = {name: CORPORA[name] for name in arguments.only or CORPORA}

    def run(case: Case) -> None:
        if arguments.seconds > 0 and time.monotonic() > until_s:
            raise TimeIsOver
        rings.run(case)

    turn = 0
    while turn == 0 or arguments.seconds > 0:
        for place, (name, corpus) in enumerate(kinds.items()):
            count = corpus.weight if arguments.seconds > 0 else 1
            _draw(name, seeds, run, count=count, seed=hash((arguments.seed, turn, place)))
        turn += 1


def _draw(kind: str, seeds: Seeds, run: Sink, *, count: int, seed: int) -> None:
    """Draw so many cases of a kind: a part of them through Hypothesis's own choices, which love the edges."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        phases=(hypothesis.Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=tuple(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.one_of(st.randoms(use_true_random=False), *(st.integers(0, 2**64 - 1).map(Random),) * 3))
    def draw(random: Random) -> None:
        run(CORPORA[kind].draw(random, seeds))

    draw()


if __name__ == "__main__":
    main()
