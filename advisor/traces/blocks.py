"""A file of recorded requests -> pieces of whole lines: unpacked, in UTF-8, never more than one at a time in memory."""

import codecs
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from advisor.errors import InputError

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK_BYTES = 1 << 22
LONGEST_LINE_BYTES = 1 << 24  # of a request with its prompt and much beside it; longer, it is no file of lines
GZIP = b"\x1f\x8b"
WAY_OUT = (
    "write a header line with arrival_s (seconds, or times as 2026-11-22T08:00:00Z) and, if lengths vary, sequence_length; or name "
    "your own with traffic.columns: {arrival: ..., sequence_length: ..., unit: ms}"
)


class Block(NamedTuple):
    """Some whole lines of a file, in UTF-8, and the number of the first of them."""

    content: bytes
    first_line: int


class _Digested(io.RawIOBase):
    """A file of which all that is read is digested on the way."""

    def __init__(self, raw: io.FileIO, digest: "_Hash") -> None:
        self._raw, self._digest = raw, digest

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fill the buffer from the file; return how many bytes of it."""
        count = self._raw.readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        return count


def blocks(path: Path, digest: "_Hash", *, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the lines of a file in pieces, and digest the file as it is stored.

    Raises InputError for a line that is too long, UnicodeError for what is no text, and what gzip raises for what it cannot unpack.
    """
    with path.open("rb", buffering=0) as raw, io.BufferedReader(_Digested(raw, digest)) as stored:
        content = cast(IO[bytes], gzip.GzipFile(fileobj=stored) if stored.peek(2)[:2] == GZIP else stored)
        yield from _whole_lines(path, _in_utf8(content, block_bytes))


def _in_utf8(content: IO[bytes], block_bytes: int) -> Iterator[bytes]:
    piece = content.read(block_bytes)
    # A spreadsheet's "Unicode text" is UTF-16, with a mark that says so.
    if piece[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        decoder = codecs.getincrementaldecoder("utf-16")()
        while piece:
            yield decoder.decode(piece).encode()
            piece = content.read(block_bytes)
        decoder.decode(b"", final=True)
        return
    piece = piece.removeprefix(codecs.BOM_UTF8)
    while piece:
        yield piece
        piece = content.read(block_bytes)


def _whole_lines(path: Path, pieces: Iterator[bytes]) -> Iterator[Block]:
    line, rest = 1, b""
    for piece in pieces:
        rest += piece
        end = _end_of_last_line(rest)
        if end == 0:
            if len(rest) > LONGEST_LINE_BYTES:
                raise InputError(f"{path}: line {line}: longer than {LONGEST_LINE_BYTES:,} bytes", hint=WAY_OUT)
            continue
        content, rest = rest[:end], rest[end:]
        yield _block(content, line)
        line += line_ends(content)
    if rest:
        yield _block(rest, line)


def _block(content: bytes, first_line: int) -> Block:
    if not content.isascii():
        content.decode()  # what is no UTF-8 is found here, whoever reads it afterwards
    return Block(content, first_line)


def _end_of_last_line(content: bytes) -> int:
    """Return how many bytes from the beginning are whole lines; those of old Macs end in a carriage return alone."""
    # The last character may be the first half of the end of a line.
    return (content.rfind(b"\n") + 1) or (content.rfind(b"\r", 0, len(content) - 1) + 1)


def line_ends(content: bytes) -> int:
    """Return how many lines end in the content, whichever way."""
    return content.count(b"\n") + lone_returns(content)


def lone_returns(content: bytes) -> int:
    """Return how many lines end in a carriage return alone."""
    returns = content.count(b"\r")
    return returns - content.count(b"\r\n") if returns else 0
