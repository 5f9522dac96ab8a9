"""A table with a line for each request -> the texts of some columns: all lines of a block at once, or line by line with csv."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.traces.blocks import WAY_OUT, Block, lone_returns
from advisor.traces.texts import Texts, texts_of
from advisor.units import counted

DELIMITERS = ",;\t|"
QUOTE = b'"'


class Row(NamedTuple):
    """A request of a file as it is written there."""

    line: int
    arrival: str
    lengths: tuple[str, ...]  # as `Chosen.lengths` has their columns


class Chosen(NamedTuple):
    """The columns of the times and of the lengths, None where there are none."""

    arrival: str
    length: str | None
    output: str | None = None  # of what a generative model answered; `length` is that of the prompt then

    @property
    def lengths(self) -> tuple[str, ...]:
        """The columns of whole numbers beside the times."""
        return tuple(name for name in (self.length, self.output) if name is not None)


Choose = Callable[[list[str]], Chosen]  # among the names of a file; raises InputError where that cannot be told


class Table:
    """A file with a header line, and how its lines are parted."""

    def __init__(self, path: Path, names: list[str], chosen: Chosen, delimiter: str) -> None:
        """`chosen` are among `names`, the header."""
        self.path, self.chosen, self.delimiter = path, chosen, delimiter
        self._header = len(names)
        self._places = [names.index(name) for name in (chosen.arrival, *chosen.lengths)]
        # Where commas do not separate columns, they are the decimal point of many countries.
        self.decimal_comma = delimiter != ","

    def goes_beyond(self, block: Block) -> bool:
        """Return whether a text of the block may go on in the next one: a quoted one holds ends of lines."""
        return QUOTE in block.content and not self._are_closed(block.content)

    def split(self, block: Block) -> list[Texts] | None:
        """Return the texts of each chosen column; None where lines are not plainly parted, or too long for csv."""
        content = block.content
        is_quoted = QUOTE in content
        if lone_returns(content) or (is_quoted and not self._are_closed(content)):
            return None
        buffer = np.frombuffer(content, np.uint8)
        end = np.flatnonzero(buffer == ord("\n"))
        if not content.endswith(b"\n"):
            end = np.append(end, len(content))
        start = np.concatenate(([0], end[:-1] + 1))
        has_text = (buffer[start] != ord("\n")) & (buffer[start] != ord("\r"))
        start, end = start[has_text], end[has_text]
        if not len(start) or int((end - start).max()) > csv.field_size_limit():
            return None
        bounds = self._bounds(np.flatnonzero(buffer == ord(self.delimiter)), start, end)
        if bounds is None:
            return None
        texts = [texts_of(content, *bound).trimmed() for bound in bounds]
        return [column.unquoted().trimmed() for column in texts] if is_quoted else texts

    def _are_closed(self, content: bytes) -> bool:
        """Return whether no quotation marks hold a delimiter or the end of a line: each comes after an even number of them.

        Within a quoted text their number is odd: one opens it, and those in it are doubled.
        """
        buffer = np.frombuffer(content, np.uint8)
        is_odd = np.cumsum(buffer == ord(QUOTE), dtype=np.uint8) & 1 == 1  # the sum may begin anew at 256
        parts = (buffer == ord("\n")) | (buffer == ord("\r")) | (buffer == ord(self.delimiter))
        return not (is_odd[-1] or (is_odd & parts).any())

    def _bounds(self, delimiters: np.ndarray, start: np.ndarray, end: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Return where each chosen column begins and ends in each line; None where a line is too short to have it."""
        last = max(self._places)
        many, rest = divmod(len(delimiters), len(start))
        parted = delimiters.reshape(-1, many) if rest == 0 and many else None
        if parted is None or not ((parted[:, 0] >= start) & (parted[:, -1] < end)).all():
            # Lines of unlike length, or without any delimiter.
            first = np.searchsorted(delimiters, start)
            if int((np.searchsorted(delimiters, end) - first).min()) < last:
                return None
            # Behind the last one of a line come those of the next, and behind all of them none.
            padded = np.append(delimiters, np.full(last + 1, int(end[-1])))
            parted = np.minimum(padded[first[:, None] + np.arange(last + 1)], end[:, None])
        if parted.shape[1] < last:
            return None
        return [
            (start if place == 0 else parted[:, place - 1] + 1, end if place == parted.shape[1] else parted[:, place])
            for place in self._places
        ]

    def rows(self, blocks: Iterable[Block], first_line: int) -> Iterator[Row]:
        """Yield the requests of the blocks, of which the first begins with this line; InputError for a line that lacks a column."""
        reader = csv.reader(_lines(blocks), delimiter=self.delimiter, skipinitialspace=True)
        for cells in reader:
            if not any(cells):
                continue
            line = first_line - 1 + reader.line_num
            if len(cells) <= max(self._places):
                raise InputError(
                    f"{self.path}: line {line}: has {counted(len(cells), 'column')}, the header {self._header}", hint=WAY_OUT
                )
            arrival, *lengths = (cells[place].strip() for place in self._places)
            yield Row(line, arrival, tuple(lengths))


def table_of(path: Path, first: Block, choose: Choose) -> tuple[Table, Block]:
    """Return the table that begins with this block, and what is left of the block without the header."""
    text = first.content.decode()
    lines = io.StringIO(text, newline="")
    header = lines.readline()
    delimiter = max(DELIMITERS, key=header.count)
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    names = [name.strip() for name in next(reader, [])]
    chosen = choose(names)
    rest = first.content[len(text[: lines.tell()].encode()) :]
    return Table(path, names, chosen, delimiter), Block(rest, first.first_line + reader.line_num)


def _lines(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        yield from io.StringIO(block.content.decode(), newline="")
