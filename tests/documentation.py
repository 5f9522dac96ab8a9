"""What README.md and docs/ hold: blocks of code by language, the commands in them, code inside sentences, links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
REFERENCE = ROOT / "docs" / "cli.md"  # written out of the commands
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code between fences."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """Where to look for it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


class Command(NamedTuple):
    """A line of a shell, its words without remarks."""

    where: str
    text: str
    words: tuple[str, ...]


def blocks(*pages: Path) -> Iterator[Block]:
    """Yield the blocks of the pages, of all without any."""
    for page in pages or PAGES:
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            yield Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])


def commands(*pages: Path) -> Iterator[Command]:
    """Yield the commands of the pages' shell blocks, a line each."""
    for block in blocks(*pages):
        if block.language != "sh":
            continue
        for offset, line in enumerate(block.text.replace("\\\n", "  ").splitlines()):
            words = tuple(shlex.split(line, comments=True))
            if words:
                yield Command(f"{block.page.relative_to(ROOT)}:{block.line + 1 + offset}", line, words)


def sentences(page: Path) -> str:
    """Return a page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> list[str]:
    """Return the code inside the sentences and tables of a page."""
    return [span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", sentences(page))]


def the_block(page: str, beginning: str) -> str:
    """Return the one block of a page that begins so."""
    [found] = [block.text for block in blocks(ROOT / page) if block.text.startswith(beginning)]
    return found
