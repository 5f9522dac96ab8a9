"""JSON lines -> the texts of those keys that count: all lines of a block at once, or one by one."""

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from advisor.errors import InputError
from advisor.traces.blocks import WAY_OUT, Block, line_ends, lone_returns
from advisor.traces.table import Choose, Chosen, Row
from advisor.traces.texts import Texts, texts_of

ONE_A_LINE = "write one object a line"
NUMBER_BEGINS = tuple(b"-0123456789"[place : place + 1] for place in range(11))


class Objects:
    """A file with a JSON object for each request, of which a few keys count."""

    decimal_comma = False

    def __init__(self, path: Path, chosen: Chosen) -> None:
        """`chosen` are the keys."""
        self.path, self.chosen = path, chosen
        keys = {f"value_{place}": name for place, name in enumerate((chosen.arrival, *chosen.lengths))}
        self._fields = tuple(keys)
        try:
            # Values stay as they are written: a count of nanoseconds since 1970 has more digits than a float.
            line = msgspec.defstruct("Line", [(field, msgspec.Raw, msgspec.Raw(b"")) for field in keys], rename=keys, gc=False)
        except ValueError as error:
            raise InputError(
                f"{path}: one of the keys {', '.join(keys.values())} cannot be read ({error})", hint="give it a plain name"
            ) from error
        self._decoder = msgspec.json.Decoder(line)

    def goes_beyond(self, block: Block) -> bool:
        """Return that no object goes on in the next block: it ends with its line."""
        return False

    def split(self, block: Block) -> list[Texts] | None:
        """Return the texts of each key; None where a line is odd, or has not all of them."""
        content = block.content
        if lone_returns(content) or not _ends_with_objects(content):
            return None
        try:
            entries = self._decoder.decode_lines(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if len(entries) != line_ends(content) + (not content.endswith(b"\n")):
            return None  # objects that share a line
        texts = [_texts([getattr(entry, field) for entry in entries]) for field in self._fields]
        return texts if all(len(column.start) == len(entries) for column in texts) else None

    def rows(self, blocks: Iterable[Block], first_line: int) -> Iterator[Row]:
        """Yield the requests of the blocks, of which the first begins with this line; InputError for a line that is no such object."""
        for number, line in _lines(blocks, first_line):
            values = self._values(number, line)
            found = tuple(value for value in values if value is not None)
            if len(found) < len(values):
                names = " or no ".join((self.chosen.arrival, *self.chosen.lengths))
                raise InputError(f"{self.path}: line {number}: no {names}", hint=WAY_OUT)
            yield Row(number, found[0], found[1:])

    def _values(self, number: int, line: str) -> list[str | None]:
        try:
            entry = self._decoder.decode(line)
            return [_value(bytes(getattr(entry, field))) for field in self._fields]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{self.path}: line {number}: not a JSON object ({error})", hint=ONE_A_LINE) from error


def objects_of(path: Path, first: Block, choose: Choose) -> tuple[Objects, Block]:
    """Return the objects of a file that begins with this block, and the block, which has no header."""
    number, line = next(_lines([first], first.first_line))
    try:
        entry = json.loads(line, parse_float=str, parse_int=str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: line {number}: not a JSON object ({error})", hint=ONE_A_LINE) from error
    return Objects(path, choose([str(name) for name in entry])), first


def _ends_with_objects(content: bytes) -> bool:
    """Return whether each line ends where an object does and the next one begins: none is empty, and no object takes several.

    Only between objects can a brace that closes stand before a line's end, and one that opens behind it.
    """
    inner = line_ends(content) - content.endswith(b"\n")
    return content.count(b"}\n{") + content.count(b"}\r\n{") == inner


def _lines(blocks: Iterable[Block], first_line: int) -> Iterator[tuple[int, str]]:
    number = first_line
    for block in blocks:
        for line in io.StringIO(block.content.decode(), newline=""):
            if line.strip():
                yield number, line
            number += 1


def _texts(values: list[msgspec.Raw]) -> Texts:
    content = b"\n".join([*values, b""])
    end = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
    return texts_of(content, np.concatenate(([0], end[:-1] + 1)), end).unquoted()


def _value(raw: bytes) -> str | None:
    """Return a number as it is written, or a text; None for what is neither, and for a key that is not there."""
    if raw.startswith(b'"'):
        return msgspec.json.decode(raw, type=str)
    return raw.decode() if raw[:1] in NUMBER_BEGINS else None
