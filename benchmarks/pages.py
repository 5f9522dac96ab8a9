"""Are reports fit to read? Each kind in headless Chromium: on screens of three widths, by keyboard, by axe-core, and in print.

    python benchmarks/pages.py [FILE ...] [--screenshots FOLDER] [--json FILE] [--quick]

Without a FILE the reports are of the advice and plans of tests/data/golden, one of each kind; a FILE is what any command wrote as JSON.
Needs the extra `pages`, and Chromium on the PATH; without either only sizes are known.

Keys: `reports`, `bytes_max` (of a page), `console_errors`, `requests` (that leave the page), `axe_violations` (light and dark, 390 and
1280 px, details open), `overflow` (pages wider than the screen, at 390, 768 and 1280 px, details open), `unreached` (stops of the tab key
that it never comes to) and `unseen_focus` (that do not show it), `undrawn` (figures without a drawing), `cut` (what print would cut off
at its right), `print_pages_max` (A4). Tables: `faults` (what was counted, in words).
"""

import argparse
import importlib.util
import tempfile
from importlib.resources import files
from pathlib import Path

import msgspec

from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.lifetime import Classification
from advisor.schema.overview import Overview
from advisor.schema.portfolio import PortfolioPlan
from advisor.tell.report import Document, render
from harness import Figures, Size, Unknown, parsed, parser_of, save, show
from parts import browser

GOLDEN = Path(__file__).parents[1] / "tests" / "data" / "golden"
# What each size opens: one of each kind, advice on services and on language models, or a short one.
GOLDEN_FILES: dict[Size, list[Path]] = {
    "full": sorted(GOLDEN.glob("*.json")),
    "quick": [GOLDEN / "advice.json", GOLDEN / "language.json"],
    "tiny": [GOLDEN / "portfolio.json"],
}
COUNTED = ("console_errors", "requests", "axe_violations", "overflow", "unreached", "unseen_focus", "undrawn", "cut")
NEEDED = ("playwright", "axe_playwright_python", "pypdfium2")


def main() -> None:
    arguments = _arguments()
    sources = arguments.file or GOLDEN_FILES[arguments.size]
    lacks = _lacks()
    with tempfile.TemporaryDirectory(prefix="advisor-") as name:
        pages = [_page(source, Path(name) / f"{source.parent.name}-{source.stem}.html") for source in sources]
        figures: Figures = {"reports": len(pages), "bytes_max": max(page.stat().st_size for page in pages)}
        faults: dict[str, list[str]] = {}
        if lacks is not None:
            print(f"pages are not opened: {lacks}", flush=True)
            figures |= dict.fromkeys((*COUNTED, "print_pages_max"), Unknown(lacks))
        else:
            seen = _seen(pages, arguments.screenshots)
            faults = {f"{page} {key}": found for page, it in seen.items() for key in COUNTED if (found := getattr(it, key))}
            figures |= {key: sum(len(getattr(it, key)) for it in seen.values()) for key in COUNTED}
            figures |= {"print_pages_max": max(it.print_pages for it in seen.values())}
    save(arguments.json, arguments.size, figures, faults=faults)
    show(figures)


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("file", nargs="*", type=Path, help="advice, a classification or a plan as JSON")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="keep pictures, and the printed pages, there")
    arguments = parsed(parser)
    if missing := [str(path) for path in arguments.file if not path.is_file()]:
        parser.error(f"{', '.join(missing)}: no such file")
    if arguments.screenshots is not None:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    return arguments


def _lacks() -> str | None:
    """Return what is missing for opening a page, None where nothing is."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        return f"{missing[0]} is not installed, the extra `pages` brings it"
    return None if browser.executable() else f"none of {', '.join(browser.NAMES)} is on the PATH"


def _page(source: Path, path: Path) -> Path:
    path.write_text(render(_document(source.read_bytes()), "html"), encoding="utf-8")
    return path


def _document(content: bytes) -> Document:
    """Return what a file holds: advice and an overview of many say their kind, a classification has a verdict, a plan its budget."""
    if "kind" in msgspec.json.decode(content):
        return msgspec.json.decode(content, type=Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice | Overview)
    if "budget_usd" in msgspec.json.decode(content):
        return msgspec.json.decode(content, type=PortfolioPlan)
    return msgspec.json.decode(content, type=Classification)


def _seen(pages: list[Path], screenshots: Path | None) -> dict[str, browser.Seen]:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    path = browser.executable()
    assert path is not None, "looked for before"
    seen = {}
    with browser.browser(path) as chromium:
        for page in pages:
            it = seen[page.stem] = browser.visited(chromium, page, axe, screenshots)
            print(f"{page.stem}: {it.stops} tab stops, {it.print_pages} printed pages", flush=True)
            for key in COUNTED:
                for fault in getattr(it, key):
                    print(f"  {key}: {fault}", flush=True)
    return seen


if __name__ == "__main__":
    main()
