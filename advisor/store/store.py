"""The shared store: profiles, variants and advice by content, in a folder or in a bucket, for many writers at once."""

from pathlib import Path
from typing import NamedTuple

from advisor.schema.store import Entry, EntryKind, Key

GRACE_S = 86_400.0  # that content which nothing names is left alone: whoever writes it names it within that time


class Removed(NamedTuple):
    """What a removal took away."""

    entries: int
    files: int  # of content that nothing names any more
    bytes: int


class Store:
    """A store that is open; made by `open_store`."""

    def find(self, key: Key) -> Entry | None:
        """Return the whole entry of a key; None where there is none, or a damaged one, of which a warning says so."""
        raise NotImplementedError

    def entries(self, kind: EntryKind | None = None, *, model_sha256: str | None = None) -> tuple[Entry, ...]:
        """Return the entries that can be read, of one kind or model if asked, ordered by kind, model and key."""
        raise NotImplementedError

    def fetch(self, entry: Entry, into: Path) -> bool:
        """Write the files of an entry into a folder, each under its name; return whether all of them were whole.

        Nothing is written there unless all are. A file that is gone or damaged makes the entry absent: a warning says so, and `find` no
        longer returns it.
        """
        raise NotImplementedError

    def put(self, key: Key, source: Path, *, created: str, stands_on: str | None = None, names: tuple[str, ...] | None = None) -> Entry:
        """Store a file, or of a folder the files of these names (None: all), under a key and return the entry.

        The entry is there whole or not at all. Of writers of equal keys the last one wins.
        """
        raise NotImplementedError

    def remove(self, *, older_than_s: float, now: str, kind: EntryKind | None = None) -> Removed:
        """Remove entries that are older, but for what an entry that stays stands on; then content that nothing names for GRACE_S."""
        raise NotImplementedError


def open_store(url: str) -> Store:
    """Return the store in a folder (a path, or `file://`) or a bucket (`s3://`, `gs://`, `az://`).

    Raises InputError for any other address, MissingDependencyError where the package that reaches it is not installed.
    """
    raise NotImplementedError
