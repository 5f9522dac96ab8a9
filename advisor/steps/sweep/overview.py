"""Rows of advice -> one report over all of them, and what has changed since an earlier run."""

from pathlib import Path

from advisor.decide.comparison.overview import Earlier, overview
from advisor.disk.kinds import of_format
from advisor.disk.writing import write_output
from advisor.files.records import write_record
from advisor.schema.overview import Overview
from advisor.steps.many.lines import read_lines
from advisor.units import parse_moment

FORMATS = ("html", "md")


def overview_of(rows: Path, *, name: str, now: str, before: Path | None = None) -> Overview:
    """Return the overview over a file of rows, which is read line by line; `before` is the file of rows of an earlier run.

    Raises InputError for files that hold no rows.
    """
    created = parse_moment(now)
    earlier = None if before is None else Earlier(read_lines(before))
    return overview(read_lines(rows), name=name, created=created, rows_path=rows.name, earlier=earlier)


def write_overview(overview: Overview, folder: Path) -> tuple[Path, ...]:
    """Write overview.json, overview.html and overview.md into a folder, over older ones alone, and return their paths."""
    from advisor.tell.report import render

    made = [folder / "overview.json", *(folder / f"overview.{format_}" for format_ in FORMATS)]
    write_record(made[0], overview)
    for path, format_ in zip(made[1:], FORMATS, strict=True):
        write_output(path, render(overview, format_).encode(), of_format(format_))
    return tuple(made)
