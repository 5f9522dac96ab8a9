"""How large the data in a file are, before anything is unpacked: .npz by the headers in it, texts by their size. Reads them, or a part."""

import gzip
import lzma
import struct
import tokenize
import zlib
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np

from advisor.errors import InputError
from advisor.measure.runtime import memory
from advisor.units import size

WAY_OUT = "write it with numpy.savez, arrays of numbers or texts only"
# Items are shuffled, parted and converted: so many copies of the data are held at once.
COPIES = 4
# A table is a list of Python values a column before it is arrays.
TABLE_COPIES = 20
GZIP = b"\x1f\x8b"
PIECE_BYTES = 16_000_000
# What zipfile and numpy raise for members and headers that are damaged, encrypted or made up.
UNREADABLE = (
    *(ValueError, TypeError, SyntaxError, OverflowError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError),
    *(lzma.LZMAError, struct.error, zlib.error),
)


class Header(NamedTuple):
    """What an array is by its header."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]

    @property
    def total_bytes(self) -> int:
        """The bytes that the array takes in memory."""
        return prod(self.shape) * self.dtype.itemsize


def read(path: Path, key: str) -> dict[str, np.ndarray]:
    """Return the arrays of a file; raise InputError, which names `key`, for one that cannot be read or is too large for the memory."""
    headers = read_headers(path, key)
    refuse_large(sum(header.total_bytes for header in headers.values()), path, key)
    return _opened(path, key, lambda member, _: _array_in(member))


def read_items(path: Path, key: str, axes: Mapping[str, int | None], chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Return the chosen items of each array, in their order: along its axis, the first where none is given; where that is None, all of it.

    Of what lies item by item in the file no more is in memory at a time than a piece. Raises InputError as `read` does.
    """
    headers = read_headers(path, key)
    needed = 0.0
    for name, header in headers.items():
        axis = axes.get(name, 0)
        is_in_pieces = axis == 0 and _is_item_by_item(header)
        needed += header.total_bytes * (len(chosen) / max(header.shape[0], 1) if is_in_pieces else 1.0)
    refuse_large(int(needed), path, key)

    def of_member(member: IO[bytes], name: str) -> np.ndarray:
        axis, header = axes.get(name, 0), headers[name]
        if axis == 0 and _is_item_by_item(header):
            _header_in(member)
            return _in_pieces(member, header, chosen)
        values = _array_in(member)
        return values if axis is None or values.ndim <= axis else values.take(chosen, axis=axis)

    return _opened(path, key, of_member)


def _is_item_by_item(header: Header) -> bool:
    return len(header.shape) > 0 and not (header.is_fortran and len(header.shape) > 1) and header.total_bytes > 0


def _in_pieces(member: IO[bytes], header: Header, chosen: np.ndarray) -> np.ndarray:
    """Return the chosen items of the array whose values begin here, read piece by piece."""
    items, *rest = header.shape
    item_bytes = header.total_bytes // items
    found = np.empty((len(chosen), *rest), header.dtype)
    order = np.argsort(chosen, kind="stable")
    wanted = chosen[order]
    if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < items:
        raise ValueError(f"an array of {items} items, fewer than the others")
    step = max(1, PIECE_BYTES // item_bytes)
    for start in range(0, int(wanted[-1]) + 1 if len(wanted) else 0, step):
        count = min(step, items - start)
        content = member.read(count * item_bytes)
        if len(content) < count * item_bytes:
            raise EOFError(f"cut short in item {start + len(content) // item_bytes} of {items}")
        piece = np.frombuffer(content, header.dtype).reshape(count, *rest)
        first, last = np.searchsorted(wanted, (start, start + count))
        found[order[first:last]] = piece[wanted[first:last] - start]
    return found


def read_headers(path: Path, key: str) -> dict[str, Header]:
    """Return the headers of the arrays of a file by their names; raise InputError, which names `key`, where they cannot be read."""
    if not path.is_file():
        raise InputError(f"{key}: {path}: no such file", hint="give an .npz file written by numpy.savez")
    return _opened(path, key, lambda member, _: _header_in(member))


def refuse_large(needed_bytes: int, path: Path, key: str, *, copies: int = COPIES) -> None:
    """Raise InputError if data of this size, and so many copies that working with it takes, do not fit in the memory that is free."""
    room = memory.available_bytes()
    if room is not None and copies * needed_bytes > room:
        raise InputError(
            f"{key}: {path}: unpacked it takes {size(needed_bytes)}, and working with it up to {copies} times that; {size(room)} of "
            "memory are free here",
            hint="give fewer items: a few hundred say as much",
        )


def unpacked(path: Path, key: str, *, copies: int = TABLE_COPIES) -> bytes:
    """Return what a text file holds, one packed with gzip unpacked; raise InputError if it is too large for the memory."""
    refuse_large(path.stat().st_size, path, key, copies=copies)
    with path.open("rb") as file:
        if file.read(len(GZIP)) != GZIP:
            file.seek(0)
            return file.read()
        file.seek(0)
        found = bytearray()
        with gzip.open(file) as packed:
            while piece := packed.read(PIECE_BYTES):
                found += piece
                refuse_large(len(found), path, key, copies=copies)
        return bytes(found)


def _opened(path: Path, key: str, read_member: Callable[[IO[bytes], str], Any]) -> dict[str, Any]:
    found = {}
    try:
        with ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    found[name.removesuffix(".npy")] = read_member(member, name.removesuffix(".npy"))
    except BadZipFile as error:
        raise InputError(f"{key}: {path}: not a readable .npz file ({error})", hint=WAY_OUT) from error
    except tokenize.TokenError as error:
        raise InputError(f"{key}: {path}: not a readable .npz file (an array's header is damaged)", hint=WAY_OUT) from error
    except UNREADABLE as error:
        fault = "holds Python objects, not numbers or texts" if "allow_pickle" in str(error) else str(error)
        raise InputError(f"{key}: {path}: not a readable .npz file ({fault})", hint=WAY_OUT) from error
    return found


def _array_in(member: IO[bytes]) -> np.ndarray:
    return np.asarray(np.lib.format.read_array(member, allow_pickle=False))


def _header_in(member: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(member)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    header = Header(*read_header(member))
    if header.dtype.hasobject:
        raise ValueError("allow_pickle")
    if any(axis < 0 for axis in header.shape):
        raise ValueError(f"an array of shape {list(header.shape)}")
    return header
