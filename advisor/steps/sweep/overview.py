"""Rows of advice -> one report over all of them, and what has changed since an earlier run."""

from pathlib import Path

from advisor.decide.comparison.overview import Earlier, overview
from advisor.files.records import write_record
from advisor.schema.overview import Overview
from advisor.steps.many.lines import read_lines
from advisor.steps.report import write_reports
from advisor.units import parse_moment


def overview_of(rows: Path, *, name: str, now: str, before: Path | None = None) -> Overview:
    """Return the overview over a file of rows, which is read line by line; `before` is the file of rows of an earlier run.

    Raises InputError for files that hold no rows.
    """
    created = parse_moment(now)
    earlier = None if before is None else Earlier(read_lines(before))
    return overview(read_lines(rows), name=name, created=created, rows_path=rows.name, earlier=earlier)


def write_overview(overview: Overview, folder: Path) -> tuple[Path, ...]:
    """Write overview.json, overview.html and overview.md with its pictures into a folder, over older ones alone; return their paths."""
    write_record(folder / "overview.json", overview)
    return (folder / "overview.json", *write_reports(overview, folder, name="overview"))
