"""A report in headless Chromium, as a reader meets it: what it logs, asks for, covers, hides, and how it prints."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTHS_PX = (390, 768, 1280)
HEIGHT_PX = 900
THEMES = ("light", "dark")
PAPER = {"top": "0", "right": "0", "bottom": "0", "left": "0"}  # the page's own @page rule has the margins
PRINTED_PX = 688  # A4 less margins of 14 mm, at 96 dots an inch

# Stops of the tab key: what is reached in turn, and whether a reader sees where he is.
FOCUS = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at);
  const seen = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
  const box = at.getBoundingClientRect();
  return {name: at.dataset.stop, seen: seen && box.width > 0 && box.height > 0};
}"""
STOPS = """() => {
  const found = [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')];
  const shown = found.filter((it) => it.checkVisibility());
  shown.forEach((it, number) => { it.dataset.stop = number; });
  return shown.length;
}"""
WIDER = """() => [...document.querySelectorAll('body *')].filter((it) => {
  if (it.closest('.scroll, .paste, .defs')?.contains(it) && !it.matches('.scroll, .paste')) return false;
  const box = it.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map((it) => it.tagName.toLowerCase() + '.' + it.getAttribute('class'))"""
CUT = """() => [...document.querySelectorAll('body *')].filter((it) => {
  const box = it.getBoundingClientRect();
  return box.width > 0 && it.checkVisibility() && box.right > innerWidth + 1;
}).map((it) => it.tagName.toLowerCase() + '.' + it.getAttribute('class'))"""
# A figure whose drawing takes no room was not drawn.
UNDRAWN = """() => [...document.querySelectorAll('figure')].filter((figure) => {
  const drawings = [...figure.querySelectorAll('svg, canvas, img')].filter((it) => it.checkVisibility());
  return !drawings.some((it) => it.getBoundingClientRect().width > 60 && it.getBoundingClientRect().height > 20);
}).length"""
OPEN = "() => document.querySelectorAll('details').forEach((it) => { it.open = true; })"
AXE = """async () => {
  const found = await axe.run(document, {resultTypes: ['violations']});
  return found.violations.map((it) => [it.id, it.nodes.length, it.nodes[0].target.join(' ')]);
}"""


class Seen(NamedTuple):
    """What was seen of one report; each fault in words, so that a count of none needs no belief."""

    console_errors: list[str]
    requests: list[str]
    axe_violations: list[str]
    overflow: list[str]
    unreached: list[str]
    unseen_focus: list[str]
    undrawn: list[str]
    cut: list[str]
    stops: int
    print_pages: int


def executable() -> str | None:
    """Return where Chromium is, by the names that systems give it."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def browser(path: str) -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        try:
            yield started
        finally:
            started.close()


def visited(browser: "Browser", report: Path, axe: str, screenshots: Path | None) -> Seen:
    """Return what a report is like for its readers; the axe-core that checks it is handed over as text."""
    errors: list[str] = []
    requests: list[str] = []
    context = browser.new_context(viewport={"width": WIDTHS_PX[-1], "height": HEIGHT_PX}, bypass_csp=True)
    page = context.new_page()
    page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda asked: requests.append(asked.url) if not asked.url.startswith((report.as_uri(), "data:")) else None)
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    if screenshots is not None:
        _pictures(page, screenshots, report.stem)
    stops, unreached, unseen = _tabbed(page)
    pages = _printed(page, screenshots, report.stem)
    undrawn = ["a figure without a drawing"] * int(page.evaluate(UNDRAWN))
    page.evaluate(OPEN)
    overflow, violations = _wide(page), _accessible(page, axe)
    cut = _cut(page)
    context.close()
    return Seen(errors, requests, violations, overflow, unreached, unseen, undrawn, cut, stops, pages)


def _pictures(page: "Page", folder: Path, name: str) -> None:
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        for width in WIDTHS_PX:
            page.set_viewport_size({"width": width, "height": HEIGHT_PX})
            page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTHS_PX[-1], "height": HEIGHT_PX})


def _tabbed(page: "Page") -> tuple[int, list[str], list[str]]:
    """Press the tab key through the whole page; return how many stops it has, which are never reached, and which do not show it."""
    expected = int(page.evaluate(STOPS))
    reached: list[dict[str, Any]] = []
    for _ in range(expected + 1):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUS)
        if at is None:
            break
        reached.append(at)
    names = {at["name"] for at in reached}
    return (
        expected,
        [f"stop {number}" for number in range(expected) if str(number) not in names],
        [f"stop {at['name']}" for at in reached if not at["seen"]],
    )


def _printed(page: "Page", folder: Path | None, name: str) -> int:
    """Print the report on A4 and return how many pages that took."""
    import pypdfium2

    content = page.pdf(format="A4", margin=PAPER, prefer_css_page_size=True, print_background=True)
    if folder is not None:
        (folder / f"{name}.pdf").write_bytes(content)
    with pypdfium2.PdfDocument(content) as document:
        for number, sheet in enumerate(document, start=1):
            if folder is not None:
                sheet.render(scale=1.3).to_pil().save(folder / f"{name}-print-{number:02}.png")
        return len(document)


def _wide(page: "Page") -> list[str]:
    """Return what reaches beyond the sides of the screen, at each width; what scrolls by itself may."""
    found = []
    for width in WIDTHS_PX:
        page.set_viewport_size({"width": width, "height": HEIGHT_PX})
        scrolled = int(page.evaluate("() => document.documentElement.scrollWidth"))
        if scrolled > width:
            found.append(f"{width} px: the page is {scrolled} px wide: {', '.join(page.evaluate(WIDER)[:4])}")
    return found


def _accessible(page: "Page", axe: str) -> list[str]:
    found = []
    page.evaluate(axe)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        for width in (WIDTHS_PX[0], WIDTHS_PX[-1]):
            page.set_viewport_size({"width": width, "height": HEIGHT_PX})
            found += [f"{rule} x {nodes} ({theme}, {width} px): {where}" for rule, nodes, where in page.evaluate(AXE)]
    return found


def _cut(page: "Page") -> list[str]:
    """Return what would be cut off at the right edge of the paper."""
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PRINTED_PX, "height": HEIGHT_PX})
    return sorted(set(page.evaluate(CUT)))
