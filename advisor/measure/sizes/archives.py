"""How large the arrays of an .npz file are, by the headers in it: before anything is unpacked. Reads them, or some of their items."""

import lzma
import struct
import tokenize
import zlib
from collections.abc import Callable
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
# What zipfile and numpy raise for members and headers that are damaged, encrypted or made up.
UNREADABLE = (
    *(ValueError, TypeError, SyntaxError, OverflowError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError),
    *(lzma.LZMAError, struct.error, tokenize.TokenError, zlib.error),
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
    return _opened(path, key, _array_in)


def read_headers(path: Path, key: str) -> dict[str, Header]:
    """Return the headers of the arrays of a file by their names; raise InputError, which names `key`, where they cannot be read."""
    if not path.is_file():
        raise InputError(f"{key}: {path}: no such file", hint="give an .npz file written by numpy.savez")
    return _opened(path, key, _header_in)


def refuse_large(needed_bytes: int, path: Path, key: str) -> None:
    """Raise InputError if data of this size, and the copies that working with it takes, do not fit in the memory that is free."""
    room = memory.available_bytes()
    if room is not None and COPIES * needed_bytes > room:
        raise InputError(
            f"{key}: {path}: unpacked it takes {size(needed_bytes)}, of which {COPIES} copies are held at once; {size(room)} of memory "
            "are free here",
            hint="give fewer items: a few hundred say as much",
        )


def _opened(path: Path, key: str, read_member: Callable[[IO[bytes]], Any]) -> dict[str, Any]:
    found = {}
    try:
        with ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    found[name.removesuffix(".npy")] = read_member(member)
    except BadZipFile as error:
        raise InputError(f"{key}: {path}: not a readable .npz file ({error})", hint=WAY_OUT) from error
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
