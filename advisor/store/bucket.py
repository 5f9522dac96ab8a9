"""What a store needs of the place that it lies in: contents by name, each there whole or not at all."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol


class Held(NamedTuple):
    """A content as the place lists it; `modified_s` is by the clock of the place, since 1970, None where it tells none."""

    name: str
    bytes: int
    modified_s: float | None


class Bucket(Protocol):
    """A folder, or a bucket of an object store; names are parts divided by "/", made by the store alone.

    What is not there is None or False; all other faults are InputError.
    """

    def look(self, name: str) -> Held | None:
        """Return what is known of a content without reading it."""

    def read(self, names: Iterable[str], most_bytes: int) -> dict[str, bytes]:
        """Return small contents by name; those that are not there, or larger, are left out."""

    def fetch(self, name: str, target: Path) -> bool:
        """Write a content into a new file and return whether it was there."""

    def write(self, name: str, content: bytes | Path) -> None:
        """Write a content under a name, in place of another: readers see the one or the other."""

    def delete(self, name: str) -> None:
        """Remove a content, if it is there."""

    def find(self, prefix: str) -> Iterator[Held]:
        """Yield what lies under the names that begin with these parts."""
