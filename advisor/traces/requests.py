"""A file of recorded requests -> columns of numbers: block by block, all lines at once; where a block is odd, line by line.

A file of millions of lines is read in seconds and takes its columns alone in memory. Both ways give the same numbers and the same faults.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.schema.record import LONGEST_SEQUENCE
from advisor.traces import clock
from advisor.traces.blocks import BLOCK_BYTES, WAY_OUT, Block, blocks
from advisor.traces.numbers import is_number, number, numbers, together, with_point
from advisor.traces.objects import Objects, objects_of
from advisor.traces.table import Choose, Chosen, Row, Table, table_of
from advisor.traces.texts import Texts

if TYPE_CHECKING:
    from hashlib import _Hash

ROWS_AT_ONCE = 50_000
# Of memory that a request needs in all until it is simulated: its time and its lengths, what sorts them, and the arrays of a simulation.
BYTES_PER_REQUEST = 80


class Columns(NamedTuple):
    """All requests of a file, in its order: times (requests,) as they are counted there, by the clock in microseconds; and lengths."""

    chosen: Chosen
    arrival: np.ndarray
    length: np.ndarray | None
    output: np.ndarray | None
    by_clock: bool


class Part(NamedTuple):
    """Some of the requests."""

    arrival: np.ndarray
    lengths: tuple[np.ndarray, ...]  # as `Chosen.lengths` has their columns


def columns_of(
    path: Path,
    choose: Choose,
    digest: "_Hash",
    *,
    memory_bytes: int | None = None,
    block_bytes: int = BLOCK_BYTES,
    line_by_line: bool = False,
) -> Columns:
    """Return the requests of a file; `choose` names the columns among those that it has, `digest` gets all of the file.

    `memory_bytes` is what there is, None where nobody knows. Raises InputError for the first line that is no request, for more requests
    than memory holds, and what `blocks` raises.
    """
    pieces = blocks(path, digest, block_bytes=block_bytes)
    first = next(pieces, Block(b"", 1))
    begins_object = first.content.lstrip(b" \t").startswith(b"{")
    opened: tuple[Table | Objects, Block] = objects_of(path, first, choose) if begins_object else table_of(path, first, choose)
    source, rest = opened
    reader = _Reader(path, source)
    found = []
    total, most = 0, None if memory_bytes is None else memory_bytes // BYTES_PER_REQUEST
    for part in reader.parts(chain([rest] if rest.content else [], pieces), line_by_line=line_by_line):
        total += len(part.arrival)
        if most is not None and total > most:
            raise InputError(
                f"{path}: more than {most:,} requests, for which {memory_bytes or 0:,} bytes of memory are too few",
                hint="give a part of the trace, or use a machine with more memory",
            )
        found.append(part)
    return reader.together(found)


class _Reader:
    """What turns the texts of a file into numbers; the first request decides whether its times are those of a clock."""

    def __init__(self, path: Path, source: Table | Objects) -> None:
        self.path, self.source = path, source
        self._by_clock: bool | None = None
        self._has_zones: bool | None = None

    def parts(self, pieces: Iterator[Block], *, line_by_line: bool) -> Iterator[Part]:
        """Yield the requests of the blocks in some parts."""
        for block in pieces:
            if self.source.goes_beyond(block):
                yield from self._by_line(chain([block], pieces), block.first_line)
                return
            part = None if line_by_line else self._at_once(block)
            if part is not None:
                yield part
            else:
                yield from self._by_line([block], block.first_line)

    def together(self, parts: list[Part]) -> Columns:
        """Return all parts as one; whole numbers stay such where all are."""
        chosen = self.source.chosen
        arrival = np.concatenate([part.arrival for part in parts]) if parts else np.zeros(0)
        found = {
            name: np.concatenate([part.lengths[place] for part in parts]) if parts else np.zeros(0, np.int32)
            for place, name in enumerate(chosen.lengths)
        }
        length, output = (None if name is None else found[name] for name in (chosen.length, chosen.output))
        return Columns(chosen, arrival, length, output, by_clock=bool(self._by_clock))

    # --- all lines at once -------------------------------------------------------------------------------------------------

    def _at_once(self, block: Block) -> Part | None:
        """Return the requests of a block; None where a line of it is odd."""
        texts = self.source.split(block)
        if texts is None or any(not len(column.start) for column in texts):
            return None
        by_clock = self._is_clock(texts[0].text(0)) if self._by_clock is None else self._by_clock
        times, *others = texts
        arrival = self._moments(times) if by_clock else numbers(times, decimal_comma=self.source.decimal_comma)
        if arrival is None:
            return None
        lengths = tuple(found for column in others if (found := self._lengths(column)) is not None)
        if len(lengths) < len(others):
            return None
        self._by_clock = by_clock
        return Part(arrival, lengths)

    def _moments(self, texts: Texts) -> np.ndarray | None:
        found = clock.moments(texts)
        if found is None or self._has_zones not in (None, found.have_zones):
            return None
        self._has_zones = found.have_zones
        return found.us

    def _lengths(self, texts: Texts) -> np.ndarray | None:
        found = numbers(texts, decimal_comma=self.source.decimal_comma)
        if found is None or not ((found >= 1) & (found <= LONGEST_SEQUENCE) & (found == np.rint(found))).all():
            return None
        return found.astype(np.int32)

    # --- line by line ------------------------------------------------------------------------------------------------------

    def _by_line(self, pieces: Iterable[Block], first_line: int) -> Iterator[Part]:
        rows = self.source.rows(pieces, first_line)
        # Row by row, so that the first line that is wrong is the one that is named.
        while values := [(self._time(row), self._lengths_of(row)) for row in islice(rows, ROWS_AT_ONCE)]:
            arrival = together([when for when, _ in values])
            columns = zip(*(lengths for _, lengths in values), strict=True)
            yield Part(arrival, tuple(np.array(column, np.int32) for column in columns))

    def _time(self, row: Row) -> int | float:
        if self._by_clock is None:
            self._by_clock = self._is_clock(row.arrival)
        return self._moment(row) if self._by_clock else self._count(row)

    def _is_clock(self, text: str) -> bool:
        return not is_number(with_point(text) if self.source.decimal_comma else text)

    def _count(self, row: Row) -> int | float:
        value = number(row.arrival, decimal_comma=self.source.decimal_comma)
        if value is None:
            raise InputError(
                f"{self.path}: line {row.line}: {row.arrival[:40]!r} is not a time, as the lines before have it", hint=WAY_OUT
            )
        return value

    def _moment(self, row: Row) -> int:
        found = clock.moment(row.arrival)
        if found is None:
            raise InputError(
                f"{self.path}: line {row.line}: {row.arrival[:40]!r} is not a time",
                hint="write times as 2026-11-22T08:00:00Z, or in seconds",
            )
        if self._has_zones is None:
            self._has_zones = found.has_zone
        if found.has_zone != self._has_zones:
            raise InputError(
                f"{self.path}: line {row.line}: some times have a zone and others none", hint="write all of them with their zone"
            )
        return found.us

    def _lengths_of(self, row: Row) -> tuple[int, ...]:
        names = self.source.chosen.lengths
        return tuple(self._length(row.line, name, text) for name, text in zip(names, row.lengths, strict=True))

    def _length(self, line: int, name: str, text: str) -> int:
        value = number(text, decimal_comma=self.source.decimal_comma)
        if value is None or value != round(value):
            raise InputError(f"{self.path}: line {line}: {text[:40]!r} is not a whole number of tokens", hint=WAY_OUT)
        if value == 0 and name == self.source.chosen.output:
            raise InputError(
                f"{self.path}: line {line}: a request that got no token ({name} is 0)",
                hint="leave out requests that were not answered, or name the column of the answers: traffic.columns.output_tokens",
            )
        if not 1 <= value <= LONGEST_SEQUENCE:
            raise InputError(
                f"{self.path}: line {line}: a length in {name} is not between 1 and {LONGEST_SEQUENCE:,}", hint=WAY_OUT
            )
        return int(value)
