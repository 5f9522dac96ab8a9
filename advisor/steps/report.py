"""Advice to report files: read, rendered, written; nothing is decided."""

from pathlib import Path

from advisor.disk.kinds import HTML, SVG, of_format
from advisor.disk.writing import check_output, write_output
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.overview import Overview
from advisor.schema.portfolio import PortfolioPlan
from advisor.tell.formats import suffix, templates_of

CHARTS = "-charts"  # what the folder of pictures beside report.md is called behind its name
PICTURES = f"report{CHARTS}"
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


def write_reports(
    document: Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice | Overview | PortfolioPlan,
    folder: Path,
    *,
    name: str = "report",
) -> tuple[Path, ...]:
    """Write a report into the folder in every format that has templates for the document, report.html and report.md, with its pictures.

    Return the paths of the reports.
    """
    from advisor.tell.report import reports

    beside = f"{name}{CHARTS}"
    made = reports(document, beside)
    for picture, svg in made.pictures.items():
        write_output(folder / beside / picture, svg.encode(), SVG)
    paths = {ending: folder / f"{name}.{ending}" for ending in made.texts}
    for ending, path in paths.items():
        write_output(path, made.texts[ending].encode(), of_format(ending))
    return tuple(paths.values())
