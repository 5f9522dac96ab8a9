"""What a shared store holds: entries by content, each with what it was made of and the digests of its files."""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.record import Name, Record, Sha256, Whole

EntryKind = Literal["profile", "variant", "advice"]
StoredName = Annotated[str, Meta(min_length=1, max_length=1024)]  # of a file in an entry, from its folder, parts divided by "/"


class Key(Record, frozen=True, kw_only=True):
    """What an entry was made of; equal keys mean that the one entry can stand for the other.

    `machine` is the kind of machine that measured, None where nothing depends on it; `asked_sha256` is of what was asked: the settings of
    a profile, the recipe of a variant, the workload of advice.
    """

    kind: EntryKind
    model_sha256: Sha256  # of the model's bytes, those of external data among them
    machine: Name | None
    asked_sha256: Sha256
    versions: dict[str, str]  # of advisor and of what measured


class StoredFile(Record, frozen=True, kw_only=True):
    """One file of an entry."""

    name: StoredName
    sha256: Sha256
    bytes: Whole


class Entry(Record, frozen=True, kw_only=True):
    """One entry of a store, as its index holds it; `sha256` is of all other fields: a record that was cut short or changed is none."""

    schema_version: int
    key: Key
    key_sha256: Sha256
    created: str
    stands_on: Sha256 | None  # of the profile's file that advice was made of, which is a file of its entry
    files: Annotated[tuple[StoredFile, ...], Meta(min_length=1)]
    sha256: Sha256


class Listing(Record, frozen=True, kw_only=True):
    """What `advisor store list --format json` prints."""

    schema_version: int
    entries: tuple[Entry, ...]  # the youngest first
