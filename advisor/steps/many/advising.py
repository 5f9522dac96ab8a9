"""A folder or a file with many workloads -> a folder with a row, advice and reports for each, and an overview."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from advisor.disk import locks
from advisor.disk.beside import owned
from advisor.disk.kinds import ROWS
from advisor.disk.writing import copy_output
from advisor.errors import ExitStatus, InputError
from advisor.schema.overview import AdviceRow, Overview
from advisor.steps.many.pairs import Pair, pairs_in
from advisor.steps.sweep.many import Settings, advise_many, write_rows
from advisor.steps.sweep.overview import overview_of, write_overview

Report = Callable[[float, float, str], object]
ROWS_NAME, BEFORE_NAME = "rows.jsonl", "rows-before.jsonl"


class Asked(NamedTuple):
    """Many workloads, the profile of those that name none, and who works on them."""

    workloads: Path
    profile: Path | None
    processes: int | None  # of this machine; None: all cores
    ray: str | None = None  # the address of a cluster, `auto` or `local`, whose machines work in their place


def advise_all(asked: Asked, settings: Settings, *, report: Report) -> Overview:
    """Advise on all of the workloads into the folder of the settings, and return the overview over them.

    The rows of an earlier run in the same folder are what changes are held against. Raises InputError for what cannot be begun with; what
    is wrong with a single workload is in its row.
    """
    if asked.profile is not None and not asked.profile.is_file():
        raise InputError(f"{asked.profile}: no such file", hint="check the path")
    if asked.ray is not None and asked.processes is not None:
        raise InputError(
            f"--processes {asked.processes}, --ray {asked.ray}: both say who works on them", hint="leave one of the two out"
        )
    pairs = pairs_in(asked.workloads, asked.profile)
    rows_path = settings.out / ROWS_NAME
    inputs = [path for path in (asked.workloads, asked.profile) if path is not None]
    with owned(settings.out, inputs=inputs, what="advice"), locks.held(rows_path):
        before = settings.out / BEFORE_NAME
        if rows_path.is_file():
            copy_output(before, rows_path, ROWS)
        rows = _rows(pairs, settings, asked)
        write_rows(_reported(rows, len(pairs), report), rows_path)
        overview = overview_of(
            rows_path, name=asked.workloads.stem or "workloads", now=settings.now, before=before if before.is_file() else None
        )
        write_overview(overview, settings.out)
    return overview


def _rows(pairs: Iterable[Pair], settings: Settings, asked: Asked) -> Iterator[AdviceRow]:
    if asked.ray is None:
        return advise_many(pairs, settings, processes=asked.processes)
    from advisor.steps.sweep.elsewhere import advised_on_cluster

    return advised_on_cluster(pairs, settings, asked.ray)


def check_wanted(*, reports: bool, rows_only: bool) -> None:
    """Raise InputError for reports of advice that is not written."""
    if reports and rows_only:
        raise InputError("--reports, --rows-only: rows alone have no reports", hint="leave one of the two out")


def exit_status(overview: Overview) -> ExitStatus:
    """Return what the overview means to the caller: whether every workload could be advised on."""
    return ExitStatus.WRONG_INPUT if overview.outcomes.get("failed", 0) else ExitStatus.ADVICE


def _reported(rows: Iterable[AdviceRow], count: int, report: Report) -> Iterator[AdviceRow]:
    started = monotonic()
    for number, row in enumerate(rows, start=1):
        done_s = monotonic() - started
        report(done_s, done_s * count / number, f"{number:,} of {count:,} workloads")
        yield row
