"""Is anything lost when a run is ended at a bad moment? `profile` and `recommend`, ended at random moments and started again.

    python benchmarks/kills.py [--json FILE] [--quick] [--kills N] [--seed N] [--only WAY ...] [--keep FOLDER]

A run is ended in one of five ways in turn: by SIGKILL, SIGTERM, SIGHUP, SIGINT, or by SIGKILL while another is at work in the same
folder, whose end is awaited. Five seconds later none of its processes may live. What it had measured is what stands in its journal, or in
its profile; then the same command runs to its end, and all of that has to be in the profile that it writes, every file has to be
readable, and neither the folder nor that of temporary files may hold anything that was half made. The exit status is 1 if not so.

Keys: `kills`, `visits` (that had been made when a run was ended), `lost_visits` (of these, not in the profile at the end), `damaged_files`,
`orphans`, `leftovers` (after the next run), `wrong_statuses` (other than documented for the way in which a run was ended), `run_s` (how
long one takes that nobody ends).
Tables: `kills_by_way`, `troubles` (a line each).
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import onnx
import psutil
from google.protobuf.message import DecodeError

from advisor.errors import AdvisorError, ExitStatus
from advisor.files.records import read_json
from advisor.schema.advice import Advice
from advisor.schema.profile import Profile
from harness import Figures, Size, parsed, parser_of, save, show
from parts.fuzz import graphs
from parts.fuzz.seeds import WORKLOAD

KILLS: dict[Size, int] = {"full": 200, "quick": 10, "tiny": 1}
BUDGET_S: dict[Size, str] = {"full": "2", "quick": "2", "tiny": "1"}
BESIDE = "beside"  # SIGKILL, another run at work in the same folder
WAYS = {"SIGKILL": -signal.SIGKILL, "SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130, BESIDE: -signal.SIGKILL}
DONE = {int(status) for status in (ExitStatus.ADVICE, ExitStatus.INFEASIBLE, ExitStatus.INCONCLUSIVE)}
ORPHANS_AFTER_S = 5.0
PATIENCE_S = 300.0
MARK = "ADVISOR_KILLS"  # in the environment of a run and of all its processes
# What only a run that is at work may have: working folders of variants, files before they are moved into place.
PASSING = (".advisor-", ".variant-", ".prepared-", ".mixing-", ".trial-", ".fusing-", ".export-", ".ranges-", "advisor-")

Visits = set[tuple[Any, ...]]


class Run(NamedTuple):
    """A command in a folder of its own, with temporary files of its own."""

    folder: Path
    command: tuple[str, ...]
    environment: dict[str, str]

    @property
    def profile(self) -> Path:
        """Where its profile is written."""
        return self.folder / ("advice/profile.json" if self.command[0] == "recommend" else "profile.json")

    @property
    def temporary(self) -> Path:
        """Where its temporary files are."""
        return Path(self.environment["TMPDIR"])

    def is_at_stake(self) -> bool:
        """Return whether there is something to lose: the interpreter itself answers to signals before and after our code."""
        last = self.profile.with_name("report.html") if self.command[0] == "recommend" else self.profile
        return self.profile.with_suffix(".journal").exists() or (self.profile.exists() and not last.exists())

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, in a session of its own."""
        command = [sys.executable, "-P", "-m", "advisor.cli", *self.command]
        errors = (self.folder / "stderr").open("ab")
        with errors:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def processes(self) -> list[psutil.Process]:
        """Return all that live of it."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.environment[MARK]:
                    found.append(process)
        return found


class Tally:
    """What was lost so far."""

    def __init__(self) -> None:
        self.by_way: Counter[str] = Counter()
        self.counts: Counter[str] = Counter(
            dict.fromkeys(("visits", "lost_visits", "damaged_files", "orphans", "leftovers", "wrong_statuses"), 0)
        )
        self.troubles: list[str] = []

    def count(self, key: str, run: Run, way: str, what: list[str]) -> None:
        """Count what was found, and say so."""
        self.counts[key] += len(what)
        for entry in what:
            self.troubles.append(f"{key}: {way} of {run.command[0]} in {run.folder.name}: {entry}")
            print(self.troubles[-1], flush=True)


def main() -> None:
    arguments = _arguments()
    random, tally = Random(arguments.seed), Tally()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        whole = _run(Path(name) / "whole", 0, arguments)
        started_s = time.monotonic()
        if (status := whole.start().wait(PATIENCE_S)) not in DONE:
            raise RuntimeError(f"a run that nobody ends has status {status}: {(whole.folder / 'stderr').read_text()[-2000:]}")
        run_s = time.monotonic() - started_s
        for number in range(arguments.kills):
            way = arguments.only[number % len(arguments.only)]
            run = _run(Path(name) / f"{number}", number // len(arguments.only), arguments)
            before = len(tally.troubles)
            _end_and_go_on(run, way, random.uniform(0.0, run_s), tally)
            if len(tally.troubles) > before and arguments.keep is not None:
                shutil.copytree(run.folder, arguments.keep / run.folder.name, dirs_exist_ok=True)
            shutil.rmtree(run.folder)
    figures: Figures = {"kills": tally.by_way.total(), **tally.counts, "run_s": run_s}
    save(arguments.json, arguments.size, figures, kills_by_way=dict(tally.by_way), troubles=tally.troubles)
    show(figures)
    print(f"kills_by_way: {dict(tally.by_way)}\ntroubles: {len(tally.troubles)}")
    sys.exit(bool(tally.troubles))


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=int, metavar="N", help="end so many runs")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="end them at other moments")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY", help=f"only so: {', '.join(WAYS)}")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy there what is left of each run that lost something")
    arguments = parsed(parser)
    if arguments.kills is None:
        arguments.kills = KILLS[arguments.size]
    return arguments


def _run(folder: Path, number: int, arguments: argparse.Namespace) -> Run:
    """Return a run of one command or the other, its files written."""
    (folder / "tmp").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graphs.small().SerializeToString())
    (folder / "w.yaml").write_bytes(WORKLOAD)
    options = ("--budget", BUDGET_S[arguments.size], "--max-batch-size", "4", "-w", "w.yaml")
    command = ("profile", "model.onnx", *options) if number % 2 == 0 else ("recommend", "model.onnx", *options, "-o", "advice")
    mark = f"{os.getpid()}-{folder.name}"
    return Run(folder, command, os.environ | {"TMPDIR": str(folder / "tmp"), MARK: mark})


def _end_and_go_on(run: Run, way: str, after_s: float, tally: Tally) -> None:
    """End a run after so many seconds, look at what it left, run it to its end, and look at that."""
    tally.by_way[way] += 1
    first = run.start()
    beside = run.start() if way == BESIDE else None
    with contextlib.suppress(subprocess.TimeoutExpired):
        first.wait(after_s)
    first.send_signal(signal.SIGKILL if way == BESIDE else getattr(signal, way))
    ended = {first.wait(PATIENCE_S)} - {WAYS[way]}
    if way != BESIDE and not run.is_at_stake():
        ended -= {-getattr(signal, way)}
    if beside is not None:
        # Whichever comes second is refused while the other is at work, or finds it done.
        ended = (ended | {beside.wait(PATIENCE_S)}) - {int(ExitStatus.WRONG_INPUT)}
    statuses = ended - DONE
    tally.count("wrong_statuses", run, way, [f"{status}: {_last_line(run)}" for status in statuses])
    tally.count("orphans", run, way, _orphans(run))
    tally.count("damaged_files", run, way, list(_damaged(run)))
    known = _journal_visits(run.profile.with_suffix(".journal")) | _profile_visits(run.profile)
    tally.counts["visits"] += len(known)
    again = run.start().wait(PATIENCE_S)
    tally.count("wrong_statuses", run, way, [] if again in DONE else [f"then {again}: {_last_line(run)}"])
    tally.count("damaged_files", run, way, list(_damaged(run)))
    if again in DONE:
        lost = known - _profile_visits(run.profile)
        tally.count("lost_visits", run, way, [f"visit {entry[-1]} of {entry[0]}" for entry in sorted(lost, key=str)])
    tally.count("leftovers", run, way, _leftovers(run))


def _last_line(run: Run) -> str:
    return ((run.folder / "stderr").read_text(errors="replace").splitlines() or [""])[-1][:300]


def _orphans(run: Run) -> list[str]:
    """Return the processes that are alive some seconds later, ended then."""
    until_s = time.monotonic() + ORPHANS_AFTER_S
    while (alive := run.processes()) and time.monotonic() < until_s:
        time.sleep(0.1)
    names = []
    for process in alive:
        with contextlib.suppress(psutil.Error):
            names.append(" ".join(process.cmdline())[-100:])
            process.kill()
    return names


def _damaged(run: Run) -> Iterator[str]:
    """Yield the files that cannot be read; a journal may end in the middle of a line, no other file."""
    for path in sorted(path for path in run.folder.rglob("*") if path.is_file() and not _is_passing(path, run)):
        try:
            if path.name == "profile.json":
                read_json(path, Profile, made_by="advisor profile")
            elif path.name == "advice.json":
                read_json(path, Advice, made_by="advisor advise")
            elif path.suffix == ".onnx":
                onnx.load(path)
            elif path.suffix == ".journal":
                for line in path.read_bytes().split(b"\n")[:-1]:
                    json.loads(line)
            elif path.suffix == ".html" and not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
                yield f"{path.relative_to(run.folder)}: cut short"
        except (AdvisorError, DecodeError, ValueError, OSError) as error:
            yield f"{path.relative_to(run.folder)}: {error}"


def _is_passing(path: Path, run: Run) -> bool:
    return any(part.startswith(PASSING) for part in path.relative_to(run.folder).parts)


def _leftovers(run: Run) -> list[str]:
    """Return what was half made and is still there, and all that is in the folder of temporary files."""
    passing = [path for path in run.folder.rglob("*") if path.name.startswith(PASSING)]
    return sorted({str(path.relative_to(run.folder)) for path in (*passing, *run.temporary.iterdir())})


def _journal_visits(path: Path) -> Visits:
    """Return the visits of a journal: their points, orders and latencies."""
    lines = path.read_bytes().split(b"\n")[1:-1] if path.is_file() else []
    entries = [json.loads(line) for line in lines if line.startswith(b"{")]
    visited = [entry for entry in entries if entry["type"] == "Visited"]
    return {_key(entry["point"], entry["visit"]) for entry in visited}


def _profile_visits(path: Path) -> Visits:
    """Return the visits of a profile, none where there is no profile that can be read."""
    try:
        measured = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return set()
    points = [point for site in measured["sites"] for point in site["measurements"]]
    return {_key(point, visit) for point in points for visit in point["visits"]}


def _key(point: dict[str, Any], visit: dict[str, Any]) -> tuple[Any, ...]:
    names = ("variant", "batch_size", "sequence_length", "intra_op_num_threads", "instances")
    return (*(point[name] for name in names), tuple(visit["latency_s"]), visit["order"])


if __name__ == "__main__":
    main()
