"""A sweep without a cluster: one model after the other on this machine."""

import platform
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from advisor.errors import AdvisorError
from advisor.measure.timing.journal import KEPT
from advisor.schema.overview import Failure
from advisor.schema.sweep import SweepTry
from advisor.steps.sweep.measuring import JournalTail, Outcome, Task, failure_of, fault_of_ours, measure

if TYPE_CHECKING:
    from advisor.measure.variants.making import Report


def moment() -> str:
    """Return the time of this machine's clock, in UTC and to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def measured_in_turn(tasks: Sequence[Task], kind: str, *, created: str, report: "Report") -> Iterator[Outcome]:
    """Yield what became of each task; those of other kinds than this machine's wait for another machine."""
    here = [task for task in tasks if task.kind == kind]
    yield from (Outcome(task, is_waiting=True) for task in tasks if task.kind != kind)
    total_s = sum(task.options.budget_s for task in here)
    for number, task in enumerate(here):
        before_s = sum(entry.options.budget_s for entry in here[:number])
        try:
            yield _outcome(
                task, created=created, report=_part_of(report, before_s, total_s, f"{task.model} ({number + 1} of {len(here)})")
            )
        except KeyboardInterrupt as end:
            if number and KEPT not in getattr(end, "__notes__", ()):
                end.add_note(KEPT)
            raise


def _outcome(task: Task, *, created: str, report: "Report") -> Outcome:
    started, began_s = moment(), time.monotonic()
    failure, tail = None, JournalTail(task.output.with_suffix(".journal"))
    try:
        measure(task, tail, created=created, report=report)
    except AdvisorError as error:
        failure = failure_of(error)
    except Exception as error:  # noqa: BLE001  a model that meets a fault of ours must not cost the others theirs
        failure = fault_of_ours(error, task)
    return _ended(task, started, tail.entries, time.monotonic() - began_s, failure)


def _ended(task: Task, started: str, entries: int, seconds: float, failure: Failure | None) -> Outcome:
    ended = moment()
    tried = SweepTry(machine=platform.node() or "this machine", started=started, heard=ended, ended=ended, entries=entries)
    return Outcome(task, entries, seconds, (tried,), failure)


def _part_of(report: "Report", before_s: float, total_s: float, named: str) -> "Report":
    """Return the report of one task as that of a part of all."""

    def reported(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
        report(before_s + done_s, max(total_s, before_s + of_s), f"{named}: {what}", line=line)

    return reported
