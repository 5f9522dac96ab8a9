"""Values as each format of an export writes them: whatever a name holds, it stays one string there and looks like nothing else."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

# Of a string in code what is written as it is; every other character is an escape, which means the same in Python and looks like itself in
# HTML, in Markdown and to the template engine.
PLAIN = re.compile(r"[A-Za-z0-9_.,:/ -]")
ODD = re.compile(r"[^A-Za-z0-9_.,:/ +-]")
INDENT = "    "
MOST_PER_LINE = 100
LONGEST_SLUG = 40  # a Kubernetes name has 63 characters, and what is made of it adds a few


def literal(value: Any, depth: int = 0) -> str:
    """Return the Python literal of a value: of numbers, texts, None, and of tuples, lists and dictionaries of them.

    What does not fit into a line has a line for each of its parts.
    """
    if isinstance(value, str):
        return f'"{"".join(character if PLAIN.match(character) else _escape(character) for character in value)}"'
    if isinstance(value, Mapping):
        parts = [f"{literal(key)}: {literal(part, depth + 1)}" for key, part in value.items()]
        return _listed("{", parts, "}", depth)
    if isinstance(value, list):
        return _listed("[", [literal(part, depth + 1) for part in value], "]", depth)
    if isinstance(value, tuple):
        return _listed("(", [literal(part, depth + 1) for part in value], ",)" if len(value) == 1 else ")", depth)
    return repr(value)


def _listed(opens: str, parts: list[str], closes: str, depth: int) -> str:
    line = f"{opens}{', '.join(parts)}{closes}"
    if len(line) <= MOST_PER_LINE and "\n" not in line:
        return line
    inner = "".join(f"{INDENT * (depth + 1)}{part},\n" for part in parts)
    return f"{opens}\n{inner}{INDENT * depth}{closes.removeprefix(',')}"


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def remark(text: str) -> str:
    """Return the text for a comment of any language: what is neither a letter, a digit nor a plain mark is a question mark."""
    return ODD.sub("?", text)


def quoted(text: str) -> str:
    """Return the string of protobuf's text format: its UTF-8, each byte beyond plain ASCII in octal digits."""
    plain = {byte: chr(byte) for byte in range(0x20, 0x7F)} | {ord('"'): '\\"', ord("\\"): "\\\\"}
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in text.encode(errors="backslashreplace")) + '"'


def word(text: str) -> str:
    """Return one word of bash that is the text; what nobody sees in it is written as an escape."""
    if text.isascii() and text.isprintable():
        return shlex.quote(text)
    shown = (_byte(byte) for byte in text.encode(errors="backslashreplace"))
    return "$'" + "".join(shown) + "'"


def _byte(byte: int) -> str:
    character = chr(byte)
    return character if character.isascii() and character.isalnum() else f"\\x{byte:02x}"


def slug(text: str) -> str:
    """Return the text as a name for machines: lower-case letters, digits and dashes, a letter first; "model" where nothing is left."""
    stem = re.sub(r"\.(onnx|json)$", "", text.lower())
    kept = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:LONGEST_SLUG].strip("-")
    if not kept:
        return "model"
    return kept if kept[0].isalpha() else f"m-{kept}"
