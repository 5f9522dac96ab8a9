"""A journal: what takes long to find out is on disk as soon as it is known, and the same question goes on from there."""

import contextlib
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from advisor.disk.beside import check_journal
from advisor.errors import InputError
from advisor.schema.checks import first_fault
from advisor.schema.record import Record

Entry = TypeVar("Entry", bound=Record)
KEPT = "what was measured is kept; the same command resumes from there"
# What ends a line: which question it is of, and a checksum of all before. So each line stands for itself, whatever happens to others.
MARK = re.compile(rb',"of":"([0-9a-f]{8})","crc":"([0-9a-f]{8})"\}\Z')


@contextlib.contextmanager
def noting_what_is_kept(entries: Sized) -> Iterator[None]:
    """Say so with an interrupt of the body where there are entries by then."""
    try:
        yield
    except KeyboardInterrupt as end:
        if len(entries):
            end.add_note(KEPT)
        raise


class Journal(Generic[Entry]):
    """Entries of one kind on disk, one JSON line each, under a first line that identifies the question.

    An entry that a kill cut short is dropped; a line that is damaged, of another question, or holds what no entry can, is passed over.
    None of them costs any other entry.
    """

    def __init__(self, path: Path, question: str, decoder: msgspec.json.Decoder[Entry]) -> None:
        """Take in what an interrupted run with the same question left at `path`; entries of another question are deleted.

        Raises InputError where something else lies there.
        """
        self.path = path
        check_journal(path)
        self._of = b"%08x" % zlib.crc32(question.encode())
        head = msgspec.json.encode({"type": "Key", "digest": question})
        try:
            # What follows the last newline was cut short, and what is added would go on in the same line.
            *lines, cut_short = path.read_bytes().split(b"\n") if path.is_file() else [b""]
            kept = [line for line in lines if self._is_whole(line)]
            if lines[:1] == [head]:
                os.truncate(path, path.stat().st_size - len(cut_short))
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                _begin(path, [head, *kept])
        except OSError as error:
            raise _cannot_write(path, error) from error
        self.entries: list[Entry] = [entry for line in kept if (entry := _decoded(line, decoder)) is not None]

    def add(self, entry: Entry) -> None:
        """Keep the entry, on disk before this returns."""
        body = msgspec.json.encode(entry)
        mark = b',"of":"%b","crc":"%08x"}' % (self._of, zlib.crc32(body))
        try:
            with self.path.open("ab") as file:
                file.write(body[:-1] + mark + b"\n")
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self.entries.append(entry)

    def once(self, key: object, made: Callable[[], Entry], *, by: Callable[[Entry], object]) -> Entry:
        """Return the entry of which `by` says `key`: the one that was kept, or else what is made now and kept before this returns."""
        for entry in self.entries:
            if by(entry) == key:
                return entry
        with noting_what_is_kept(self.entries):
            self.add(made())
        return self.entries[-1]

    def remove(self) -> None:
        """Delete the file: what it was for is done."""
        self.path.unlink(missing_ok=True)

    def _is_whole(self, line: bytes) -> bool:
        """Return whether a line is an entry of this question, and as it was written."""
        mark = MARK.search(line)
        return mark is not None and mark[1] == self._of and int(mark[2], 16) == zlib.crc32(_body(line))


def of_load_tests(advice: Path, sha256: str, wanted_s: float | None, kind: type[Entry]) -> Journal[Entry]:
    """Return the journal of what was served for real of the advice at that path, whose digest is given; it lies beside it.

    Other advice, or tests of another length, begin a new one.
    """
    question = f"{sha256} {'usual' if wanted_s is None else f'{wanted_s:g}'}"
    return Journal(advice.with_suffix(".load-tests"), question, msgspec.json.Decoder(kind))


def _begin(path: Path, lines: list[bytes]) -> None:
    """Write the file anew, entries that are kept from it whole at any moment."""
    written = path if len(lines) == 1 else path.with_name(f"{path.name}.new")
    written.write_bytes(b"".join(line + b"\n" for line in lines))
    written.replace(path)


def _body(line: bytes) -> bytes:
    """Return the entry of a line as it was encoded."""
    return MARK.sub(b"}", line)


def _decoded(line: bytes, decoder: msgspec.json.Decoder[Entry]) -> Entry | None:
    try:
        entry = decoder.decode(_body(line))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return entry if first_fault(entry) is None else None


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot write there ({error.strerror})", hint="name a writable folder with free space")
