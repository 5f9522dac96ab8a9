"""What a machine of a cluster does with a task: it is sent the files, measures, and sends what it has got."""

import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from advisor import __version__
from advisor.disk import temporary
from advisor.errors import AdvisorError
from advisor.schema.overview import Failure
from advisor.steps.sweep.keeper import Begun
from advisor.steps.sweep.measuring import JournalTail, Measuring, Task, failure_of, measure
from advisor.steps.sweep.shipping import moved, results_of, unpack

OMP = "OMP_NUM_THREADS"


class Desk(NamedTuple):
    """How a machine reaches the keeper."""

    begun: Callable[[str], Begun]  # with the name of the machine
    take: Callable[[int, int, bytes, int], bool]
    ended: Callable[[int, int], None]


class Result(NamedTuple):
    """What a machine sends back: the files by their paths there, if there are other ones than it was sent."""

    entries: int
    seconds: float
    files: tuple[tuple[str, bytes], ...] = ()
    failure: Failure | None = None


class GivenAway(Exception):
    """Another machine has the task: this one was taken for lost."""


def measured_here(
    task: Task,
    files: Iterable[tuple[str, bytes]],
    desk: Desk,
    node: str,
    version: str,
    *,
    created: str,
    work: Measuring = measure,
) -> Result:
    """Measure a task on this machine, or go on from the journal that the keeper has; every entry is with it before the next point."""
    began_s = time.monotonic()
    if version != __version__:
        return Result(0, 0.0, failure=_other_version(task, version))
    if (store := task.options.store) is not None and "://" not in store and not Path(store).is_dir():
        return Result(0, 0.0, failure=_no_store(task, store))
    # The cluster says there how many cores a task has; the points of a profile say it themselves.
    os.environ.pop(OMP, None)
    begun = desk.begun(f"{platform.node()} ({node[:12]})")
    with temporary.folder() as root:
        unpack(files, root)
        here = moved(task, root)
        if begun.journal:
            unpack([(str(task.output.with_suffix(".journal")), begun.journal)], root)
        sent, failure = _profile(here), None
        tail = JournalTail(
            here.output.with_suffix(".journal"), lambda start, piece, added: _sent(desk, begun, start, piece, added)
        )
        try:
            work(here, tail, created=created, report=_silent)
        except AdvisorError as error:
            failure = _as_there(failure_of(error), root)
        desk.ended(begun.number, tail.entries)
        is_new = failure is None and _profile(here) != sent
        changed = tuple((f"/{path.relative_to(root)}", path.read_bytes()) for path in results_of(here)) if is_new else ()
        return Result(tail.entries, time.monotonic() - began_s, changed, failure)


def keep(task: Task, result: Result) -> None:
    """Write what a machine has sent into the folder of its task, the profile last: where it is, all else is."""
    for name, content in sorted(result.files, key=lambda file: file[0] == str(task.output)):
        unpack([(name, content)], Path("/"))


def _sent(desk: Desk, begun: Begun, start: int, piece: bytes, entries: int) -> None:
    if not desk.take(begun.number, start, piece, entries):
        raise GivenAway


def _profile(task: Task) -> bytes | None:
    return task.output.read_bytes() if task.output.is_file() else None


def _as_there(failure: Failure, root: Path) -> Failure:
    """Return the two lines with the paths that the user knows."""
    shown = str(root)
    return Failure(fault=failure.fault.replace(shown, ""), hint=failure.hint.replace(shown, ""))


def _other_version(task: Task, version: str) -> Failure:
    return Failure(
        fault=f"{task.kind}: {platform.node()} has advisor {__version__}, and the sweep is run by {version}",
        hint=f"install the same version there: pip install 'serving-advisor[cluster]=={version}'",
    )


def _no_store(task: Task, store: str) -> Failure:
    return Failure(
        fault=f"{task.kind}: {platform.node()} has no folder {store}, where the store lies",
        hint="mount it on every machine of the cluster, or name a store in a bucket: s3://, gs:// or az://",
    )


def _silent(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
    pass
