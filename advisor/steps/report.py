"""Advice to report files: read, rendered, written; nothing is decided."""

from pathlib import Path

from advisor.disk.kinds import HTML, SVG, of_format
from advisor.disk.writing import check_output, write_output
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.tell.formats import suffix, templates_of

PICTURES = "report-charts"  # the folder beside report.md that its pictures lie in
FIRST = "latency.svg"  # of these, to see whether they can be written


def check_reports(folder: Path) -> None:
    """Raise InputError where the reports of advice could not be written, before time is spent on the advice."""
    for path in templates_of("advice"):
        check_output(folder / f"report.{suffix(path)}", of_format(suffix(path)))
    check_output(folder / PICTURES / FIRST, SVG)


def are_written(folder: Path) -> bool:
    """Return whether the reports of advice lie in a folder, to be written anew when it changes."""
    report = folder / "report.html"
    return report.is_file() and HTML.is_at(report)


def write_reports(advice: Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice, folder: Path) -> None:
    """Write a report into the folder in every format that has templates for this advice, report.html and report.md, with its pictures."""
    from advisor.tell.report import reports

    made = reports(advice, PICTURES)
    for name, svg in made.pictures.items():
        write_output(folder / PICTURES / name, svg.encode(), SVG)
    for ending, text in made.texts.items():
        write_output(folder / f"report.{ending}", text.encode(), of_format(ending))
