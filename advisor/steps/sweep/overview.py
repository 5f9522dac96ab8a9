"""Rows of advice -> one report over all of them, and what has changed since an earlier run."""

from pathlib import Path

from advisor.schema.overview import Overview


def overview_of(rows: Path, *, name: str, now: str, before: Path | None = None) -> Overview:
    """Return the overview over a file of rows, which is read line by line; `before` is the file of rows of an earlier run.

    Raises InputError for files that hold no rows.
    """
    raise NotImplementedError


def write_overview(overview: Overview, folder: Path) -> tuple[Path, ...]:
    """Write overview.json, overview.html and overview.md into a folder, over older ones alone, and return their paths."""
    raise NotImplementedError
