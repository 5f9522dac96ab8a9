"""A journal: what takes long to find out is on disk as soon as it is known, and the same question goes on from there."""

import contextlib
import os
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from advisor.disk.beside import check_journal
from advisor.errors import InputError

Entry = TypeVar("Entry")
KEPT = "what was measured is kept; the same command resumes from there"


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

    An entry that a kill cut short is dropped, a line that is damaged is passed over, and neither costs any other entry.
    """

    def __init__(self, path: Path, question: str, decoder: msgspec.json.Decoder[Entry]) -> None:
        """Take in what an interrupted run with the same question left at `path`; entries of another question are deleted.

        Raises InputError where something else lies there.
        """
        self.path = path
        check_journal(path)
        head = msgspec.json.encode({"type": "Key", "digest": question})
        try:
            # What follows the last newline was cut short, and what is added would go on in the same line.
            *lines, cut_short = path.read_bytes().split(b"\n") if path.is_file() else [b""]
            if lines[:1] == [head]:
                os.truncate(path, path.stat().st_size - len(cut_short))
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(head + b"\n")
                lines = []
        except OSError as error:
            raise _cannot_write(path, error) from error
        self.entries: list[Entry] = [entry for line in lines[1:] if (entry := _decoded(line, decoder)) is not None]

    def add(self, entry: Entry) -> None:
        """Keep the entry, on disk before this returns."""
        try:
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self.entries.append(entry)

    def remove(self) -> None:
        """Delete the file: what it was for is done."""
        self.path.unlink(missing_ok=True)


def _decoded(line: bytes, decoder: msgspec.json.Decoder[Entry]) -> Entry | None:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot write there ({error.strerror})", hint="name a writable folder with free space")
