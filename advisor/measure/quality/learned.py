"""The items that a student learned from, each known by a digest: what it says of these says nothing of its quality."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from advisor.disk.reading import refuse_special
from advisor.errors import InputError

FILE = "learned.digests"  # beside a student, ascending; no suffix of weights, or its folder would pass for a checkpoint
DIGEST_BYTES = 8  # of each: among a million items one is taken for another once in ten thousand files
ORDER = ">u8"


class Learned(NamedTuple):
    """What students learned from: packed digests of texts and of rows, and the students of which it is not known."""

    texts: bytes = b""
    rows: bytes = b""
    not_known: tuple[str, ...] = ()


NOTHING = Learned()


def digest_of_text(text: Sequence[str]) -> bytes:
    """Return the digest of a text, with those that go with it; what surrounds them does not count."""
    return hashlib.sha256("\0".join(part.strip() for part in text).encode(errors="surrogatepass")).digest()


def packed(digests: Iterable[bytes]) -> bytes:
    """Return the digests of items as they lie in the file."""
    return b"".join(sorted(set(_short(digests))))


def _short(digests: Iterable[bytes]) -> Iterator[bytes]:
    return (digest[:DIGEST_BYTES] for digest in digests)


def read(student: Path) -> bytes | None:
    """Return what lies beside a student, None where it is not known what it learned from; raise InputError for a damaged file."""
    path = student / FILE
    if not path.is_file():
        return None
    refuse_special(path)
    found = path.read_bytes()
    if len(found) % DIGEST_BYTES:
        raise InputError(f"{path}: {len(found)} bytes are no digests of items", hint="make the student again: advisor distill")
    return found


def others(learned: bytes, digests: Sequence[bytes], key: str, where: object) -> np.ndarray:
    """Return the places (items,) of those that were not learned from; raise InputError, about `key`, where there are none."""
    known, asked = (np.frombuffer(packed, dtype=ORDER).astype(np.uint64) for packed in (learned, b"".join(_short(digests))))
    kept = np.flatnonzero(~np.isin(asked, known))
    if digests and not len(kept):
        raise InputError(
            f"{key}: {where}: a student learned from every one of its {len(digests)} items",
            hint="give items that no student learned from, such as those that `advisor distill` held out",
        )
    return kept
