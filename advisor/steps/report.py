"""Advice to report files: read, rendered, written; nothing is decided."""

from pathlib import Path

from advisor.files.records import write_atomically
from advisor.schema.advice import Advice, OfflineAdvice


def write_reports(advice: Advice | OfflineAdvice, folder: Path) -> None:
    """Write report.html and report.md into the folder."""
    from advisor.tell.report import render

    for format_ in ("html", "md"):
        write_atomically(folder / f"report.{format_}", render(advice, format_).encode())
