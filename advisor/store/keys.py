"""Keys by content: the same inputs give the same key, in whatever order they came."""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from advisor.schema.store import Entry, Key


def digest_of(asked: Any) -> str:
    """Return the SHA-256 of records, mappings, sequences and sets as canonical JSON; mappings and sets have no order."""
    return hashlib.sha256(canonical(asked)).hexdigest()


def canonical(asked: Any) -> bytes:
    """Return the canonical JSON of what `digest_of` takes: keys and members in the order of their bytes, no space."""
    return msgspec.json.encode(_ordered(asked), order="sorted")


def key_sha256(key: Key) -> str:
    """Return the digest that an entry goes by."""
    return digest_of(key)


def entry_sha256(entry: Entry) -> str:
    """Return the digest of an entry's fields but for the one that holds it."""
    return digest_of(msgspec.structs.replace(entry, sha256="0" * 64))


def _ordered(asked: Any) -> Any:
    if isinstance(asked, msgspec.Struct):
        return _ordered(msgspec.to_builtins(asked, order="sorted"))
    if isinstance(asked, Mapping):
        return {str(name): _ordered(value) for name, value in asked.items()}
    if isinstance(asked, AbstractSet):
        return sorted(map(_ordered, asked), key=msgspec.json.encode)
    if isinstance(asked, list | tuple):
        return [_ordered(value) for value in asked]
    if isinstance(asked, float) and asked.is_integer():
        return int(asked)  # what a program gave as 60 and a file as 60.0 is the same number
    return asked
