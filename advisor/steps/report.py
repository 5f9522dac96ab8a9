"""Advice to report files: read, rendered, written; nothing is decided."""

from pathlib import Path

from advisor.files.records import write_atomically
from advisor.schema.advice import Advice, OfflineAdvice


def write_reports(advice: Advice | OfflineAdvice, folder: Path) -> None:
    """Write a report into the folder in every format that has templates for this advice: report.html, report.md."""
    from advisor.tell.report import reports

    for suffix, text in reports(advice).items():
        write_atomically(folder / f"report.{suffix}", text.encode())
