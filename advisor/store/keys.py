"""Keys by content: the same inputs give the same key, in whatever order they came."""

from typing import Any

from advisor.schema.store import Key


def digest_of(asked: Any) -> str:
    """Return the SHA-256 of records, mappings, sequences and sets as canonical JSON; mappings and sets have no order."""
    raise NotImplementedError


def key_sha256(key: Key) -> str:
    """Return the digest that an entry goes by."""
    raise NotImplementedError
