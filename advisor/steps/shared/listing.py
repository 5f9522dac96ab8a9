"""What `advisor store` does: list what is there, get an entry, remove what is old."""

import os
from collections.abc import Callable
from pathlib import Path

from advisor.disk.writing import check_new
from advisor.errors import InputError
from advisor.schema.store import Entry, EntryKind
from advisor.store.store import Removed, open_store
from advisor.units import moment_s, parse_moment

FEWEST_DIGITS = 4  # of a digest that names an entry
MOST_NAMED = 5


def listed(url: str, kind: EntryKind | None, warn: Callable[[str], None]) -> tuple[Entry, ...]:
    """Return the entries of a store, the youngest first."""
    _check_there(url)
    return open_store(url, warn=warn).entries(kind)


def got(url: str, digits: str, folder: Path, warn: Callable[[str], None]) -> Entry:
    """Write the files of the entry whose digest begins with these digits into a folder and return it; nothing is overwritten.

    Raises InputError where no entry or more than one is meant, and for an entry that is damaged.
    """
    _check_there(url)
    store = open_store(url, warn=warn)
    entry = _named(store.entries(), digits, url)
    for file in entry.files:
        check_new(folder / file.name)
    folder.mkdir(parents=True, exist_ok=True)
    if not store.fetch(entry, folder):
        raise InputError(f"{url}: {entry.key.kind} {entry.key_sha256[:12]} is not whole", hint="make it again with --store")
    return entry


def removed(url: str, older_than_s: float, kind: EntryKind | None, *, now: str, warn: Callable[[str], None]) -> Removed:
    """Remove the entries of a store that are older, and contents that nothing names any more."""
    _check_there(url)
    now_s = moment_s(parse_moment(now))
    return open_store(url, warn=warn).remove(older_than_s=older_than_s, now_s=now_s, kind=kind)


def _check_there(url: str) -> None:
    """Raise InputError for a folder that is not there: whoever looks into it has another in mind."""
    if url and "://" not in url and not os.path.lexists(url):
        raise InputError(f"{url}: no such folder", hint="check the path; a store is made by the first --store that names it")


def _named(entries: tuple[Entry, ...], digits: str, url: str) -> Entry:
    if len(digits) < FEWEST_DIGITS:
        raise InputError(f"{digits!a}: too short to name an entry", hint=f"give {FEWEST_DIGITS} digits or more of its digest")
    found = [entry for entry in entries if entry.key_sha256.startswith(digits.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"{url}: no entry whose digest begins with {digits!a}", hint=f"advisor store list {url}")
    named = ", ".join(entry.key_sha256[:12] for entry in found[:MOST_NAMED])
    raise InputError(f"{url}: {len(found)} entries begin with {digits!a}: {named}", hint="give more digits")
