"""Rows of advice as JSON lines: written as they come and whole once they are there, read one at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from advisor.disk import temporary
from advisor.disk.kinds import ROWS
from advisor.disk.reading import refuse_special
from advisor.disk.writing import check_output, write_atomically
from advisor.errors import InputError
from advisor.inert.text import inert_json
from advisor.schema.overview import AdviceRow

MADE_BY = "make it with `advisor advise-many` or `advisor sweep`"


def write_lines(rows: Iterable[AdviceRow], path: Path) -> int:
    """Write rows as they come, a line each, and return how many; an older file of rows is whole until all of them are there."""
    check_output(path, ROWS)
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with temporary.folder(beside=path.parent) as scratch:
        made = scratch / path.name
        with made.open("wb") as file:
            for count, row in enumerate(rows, start=1):  # noqa: B007  # the last is how many there are
                file.write(inert_json(msgspec.json.encode(row)) + b"\n")
        write_atomically(path, made)
    return count


def read_lines(path: Path) -> Iterator[AdviceRow]:
    """Yield the rows of a file, one line at a time; raise InputError for a line that is none."""
    refuse_special(path)
    decoder = msgspec.json.Decoder(AdviceRow)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise InputError(f"{path}: line {number}: no row of advice ({error})", hint=MADE_BY) from error
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", hint=MADE_BY) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="name a file that you may read") from error
