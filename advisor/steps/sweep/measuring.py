"""One model on one machine: measured into its folder, and what the journal grows by handed on between two points."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from advisor.errors import AdvisorError
from advisor.schema.options import ProfileOptions
from advisor.schema.overview import Failure
from advisor.schema.sweep import SweepTry

if TYPE_CHECKING:
    from advisor.measure.variants.making import Report

PROFILE = "profile.json"
HEAD = b'{"type":"Key",'  # how the first line of a journal begins
# Takes where in the journal a piece belongs, the piece, and how many entries are new by then: what was there from that place on is gone.
Took = Callable[[int, bytes, int], None]


class Task(NamedTuple):
    """A model to be measured on a kind of machine, into the file `output`; it can be pickled."""

    model: str  # its name in the sweep
    path: Path
    kind: str
    output: Path
    options: ProfileOptions
    files: tuple[Path, ...]  # that the workload and the options name


class Outcome(NamedTuple):
    """What became of a task; `entries` is how many the journal got: none, and nothing was measured."""

    task: Task
    entries: int = 0
    seconds: float = 0.0
    tries: tuple[SweepTry, ...] = ()
    failure: Failure | None = None
    is_waiting: bool = False  # no machine of its kind was there


class JournalTail:
    """What a journal has grown by since it was looked at last. It is looked at between points, so that nothing runs beside one."""

    def __init__(self, path: Path, took: Took = lambda _, __, ___: None) -> None:
        self._path, self._took = path, took
        self._seen = _content(path)
        self._before = set(self._seen.splitlines())
        self._added: set[bytes] = set()

    def look(self) -> None:
        """Hand on what is new; where the journal was begun anew, all of it."""
        content = _content(self._path)
        if content == self._seen or not content:
            return
        start = len(self._seen) if content.startswith(self._seen) else 0
        piece, self._seen = content[start:], content
        self._added |= {line for line in piece.splitlines() if not line.startswith(HEAD)} - self._before
        self._took(start, piece, self.entries)

    @property
    def entries(self) -> int:
        """How many entries are new since the beginning; each has an order or a checksum of its own."""
        return len(self._added)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


class Measuring(Protocol):
    """What is done with a task on its machine; what it has measured by then is in the journal that the tail looks at."""

    def __call__(self, task: Task, tail: JournalTail, *, created: str, report: "Report") -> None:
        """Measure a model."""


def measure(task: Task, tail: JournalTail, *, created: str, report: "Report") -> None:
    """Measure a model, or go on where its journal ends.

    A finished profile of the same model, settings, versions and machine stays as it is, and the tail gets no entries.
    """
    from advisor.steps.profile import profile

    def reported(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
        tail.look()
        report(done_s, of_s, what, line=line)

    profile(task.path, task.output, task.options, now=created, report=reported)


def failure_of(error: AdvisorError) -> Failure:
    """Return the two lines of an error."""
    return Failure(fault=" ".join(error.fault.split()), hint=" ".join(error.hint.split()))


def fault_of_ours(error: BaseException, task: Task) -> Failure:
    """Return the two lines of what should not have happened."""
    said = " ".join(str(error).split())
    return Failure(
        fault=f"a fault of advisor itself: {type(error).__name__}{f': {said}' if said else ''}",
        hint=f"please report it with its traceback: advisor profile {task.path} -w {task.options.workload}",
    )
