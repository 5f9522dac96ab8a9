"""What a report prints: its texts and its rows, from Markdown and from HTML, with every figure as "41.6 ms (24.6–79.9, simulated)"."""

import html
import re
from html.parser import HTMLParser
from typing import NamedTuple

BLOCKS = {"p", "li", "dt", "dd", "h1", "h2", "h3", "h4", "summary", "figcaption", "pre", "caption", "title"}
TAG = re.compile(r"</?[a-z]+>|<!--.*?-->")
SILENT = {"style", "script", "svg"}
ESTIMATE = re.compile(
    r'<span class="estimate"><b>(?P<shown>[^<]*)</b> (?:<span class="interval[^"]*">\((?P<interval>[^<]*)\)</span> )?'
    r'<span class="basis [^"]*" title="(?P<source>[^"]*)">(?P<basis>[^<]*)</span></span>'
)


class Row(NamedTuple):
    """A row of a table: its cells by the names of their columns, and the heading above; a list's entry is one of a single cell."""

    heading: str
    cells: dict[str, str]

    @property
    def label(self) -> str:
        """Return the first cell."""
        return next(iter(self.cells.values()), "")


class Page(NamedTuple):
    """A report as it is read: each paragraph, heading, cell; the rows of tables; and where figures come from (in titles)."""

    texts: list[str]
    rows: list[Row]
    sources: list[str]


def _plain(text: str) -> str:
    return " ".join(html.unescape(text).replace("\N{NO-BREAK SPACE}", " ").split())


def of_markdown(text: str) -> Page:
    """Return what a report in Markdown says."""
    page, heading, header = Page([], [], []), "", None
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [_plain(cell.replace("\\|", "|").strip("* ")) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                continue
            if header is None:
                header = cells
            else:
                page.rows.append(Row(heading, dict(zip(_distinct(header), cells, strict=True))))
            page.texts.extend(cells)
            continue
        header = None
        said = _plain(TAG.sub(" ", line).lstrip("#- ").replace("**", "").replace("\\", ""))
        if line.startswith(("#", "<summary>")):
            heading = said
        if line.startswith("</details>"):
            heading = ""
        if line.startswith("- "):
            page.rows.append(Row(heading, {"": said}))
        page.texts.append(said)
    return page


def _distinct(names: list[str]) -> list[str]:
    return [name or f"column {number}" for number, name in enumerate(names)]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page([], [], [])
        self._silent = 0
        self._text = ""
        self._heading = ""
        self._header: list[str] = []
        self._cells: list[str] = []
        self._in: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in SILENT
        if tag in BLOCKS | {"table", "tr"} and "tr" not in self._in:
            self._end()
        if tag == "tr":
            self._cells = []
        if tag in {"td", "th"}:
            self._text = ""
        if tag in {"br", "small", "li", "dt", "dd"}:
            self._text += " "
        if tag in {"table", "tr", "thead", "li"}:
            self._in.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in SILENT
        if tag in {"td", "th"}:
            self._cells.append(_plain(self._text))
            self.page.texts.append(self._cells[-1])
            self._text = ""
        elif tag == "tr":
            self._row()
        elif tag in BLOCKS and "tr" not in self._in:
            said = self._end()
            if tag in {"h2", "h3", "summary"}:
                self._heading = said
            if tag == "li" and said:
                self.page.rows.append(Row(self._heading, {"": said}))
        if tag in {"table", "tr", "thead", "li"} and tag in self._in:
            self._in.reverse()
            self._in.remove(tag)
            self._in.reverse()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text += data

    def _row(self) -> None:
        if "thead" in self._in:
            self._header = _distinct(self._cells)
        elif len(self._cells) == len(self._header):
            self.page.rows.append(Row(self._heading, dict(zip(self._header, self._cells, strict=True))))

    def _end(self) -> str:
        said, self._text = _plain(self._text), ""
        if said:
            self.page.texts.append(said)
        return said


def of_html(text: str) -> Page:
    """Return what a page says, its details open."""
    reader = _Reader()
    reader.feed(ESTIMATE.sub(_as_text, text))
    reader.page.sources.extend(sorted({_plain(found["source"]) for found in ESTIMATE.finditer(text)}))
    return reader.page


def _as_text(found: re.Match[str]) -> str:
    beside = ", ".join(part for part in (found["interval"], found["basis"]) if part)
    return f"{found['shown']} ({beside})"
