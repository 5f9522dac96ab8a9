"""Text that others wrote, made harmless where it leaves: names of files, models and rules may hold any character.

A control character, a line break, a space of another width, a mark that turns the direction of writing or has no width is shown as an
escape, so that no name forges a line or looks like another. What a format needs beside that (tags, table cells, formulas) is here too.
"""

import re

# What spreadsheets take for the beginning of a formula.
FORMULA = ("=", "+", "-", "@")
# What would begin a cell, code, emphasis, a link or an address anywhere in a line of Markdown, and what would make something else of the
# whole line at its beginning. `&` and `<` become entities, which hold inside of HTML as well; a backslash would be shown there.
MARKDOWN = re.compile(r"[\\|`*\[\]]|:(?=//)|@(?=\w)|(?<=\bwww)\.")
MARKDOWN_START = re.compile(r"#{1,6}(?=\s|$)|>|~~~|=+\s*$|_{3,}\s*$|[-+](?=\s|$)|--|(?P<number>\d{1,9})(?=[.)](?:\s|$))")


def inert(text: str) -> str:
    """Return the text in one line, each character that no reader sees as such as an escape: a line break as "\\n", a bell as "\\x07"."""
    if text.isprintable():
        return text
    return text.translate({ord(character): _escape(character) for character in set(text) if not character.isprintable()})


def inert_lines(text: str) -> str:
    """Return a text of several lines, each of them inert."""
    return "\n".join(map(inert, text.split("\n")))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def inert_json(content: bytes) -> bytes:
    """Return JSON that says the same, each character that no reader sees as such written as its escape."""
    if content.isascii() and b"\x7f" not in content:  # other control characters are escaped by every encoder
        return content
    text = content.decode()
    unseen = {character for character in set(text) if character > "\x7e" and not character.isprintable()}
    return text.translate({ord(character): _json_escape(character) for character in unseen}).encode()


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def inert_cell(text: str) -> str:
    """Return the text for a cell of a CSV file, which no spreadsheet takes for a formula."""
    shown = inert(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def inert_markdown(text: str) -> str:
    """Return the text as Markdown shows it letter by letter: no heading, list, table cell, link, emphasis, code or tag begins in it."""
    shown = MARKDOWN.sub(r"\\\g<0>", inert(text)).replace("&", "&amp;").replace("<", "&lt;")
    start = MARKDOWN_START.match(shown)
    if start is not None:
        place = start.end("number") if start["number"] else 0
        shown = f"{shown[:place]}\\{shown[place:]}"
    return re.sub(r"^ {2,}", " ", shown)
