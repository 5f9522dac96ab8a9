"""Sites of other kinds of machine from a store, where a workload allows these: what `merge` adds by hand."""

from collections.abc import Callable, Iterable
from pathlib import Path

from advisor.disk import locks, temporary
from advisor.disk.reading import STANDARD_INPUT
from advisor.errors import InputError
from advisor.files.records import write_record
from advisor.files.workload import read_workload
from advisor.schema.catalog import LOCAL
from advisor.steps.generation.reading import read_any_profile
from advisor.steps.merge import AnyProfile, lengths_of, with_sites_of
from advisor.steps.shared.profiles import PROFILE
from advisor.store.store import Store, open_store


def add_sites(profile_path: Path, workload_path: Path, url: str, say: Callable[[str], None]) -> None:
    """Add to the profile in a file the sites that the store has of machines which the workload allows and nobody merged.

    Raises InputError for a profile that does not lie in a file.
    """
    if profile_path == STANDARD_INPUT:
        raise InputError("--store: sites are added to the profile, which has to be a file", hint="write it into a file first")
    with locks.held(profile_path, patience_s=locks.MOMENT_S):
        add_sites_held(profile_path, workload_path, url, say)


def add_sites_held(profile_path: Path, workload_path: Path, url: str, say: Callable[[str], None]) -> None:
    """Do what `add_sites` does, where the caller holds the lock of the profile."""
    known = read_any_profile(profile_path)
    have = {LOCAL, *(site.hardware.id for site in known.sites)}
    asked = read_workload(workload_path).hardware
    wanted = [name for name in dict.fromkeys(asked.allowed if asked is not None else ()) if name not in have]
    if not wanted:
        return
    found = sites_from(open_store(url, warn=say), known, wanted, say)
    if found is not known:
        write_record(profile_path, found)


def sites_from(store: Store, known: AnyProfile, wanted: Iterable[str], say: Callable[[str], None]) -> AnyProfile:
    """Return the profile with the youngest site that the store has of each machine that is wanted, measured at the same lengths."""
    merged, missing = known, set(wanted)
    for entry in store.entries("profile", model_sha256=known.model.sha256):
        machine = entry.key.machine
        if machine not in missing:
            continue
        with temporary.folder() as scratch:
            only = store.fetch(entry, scratch, names=(PROFILE,))
            other = _read(scratch / PROFILE) if only else None
        if other is not None and _go_together(merged, other) and {site.hardware.id for site in other.sites} == {machine}:
            merged = with_sites_of(merged, other)
            missing.discard(machine)
            say(f"{machine}: measured {other.sites[0].created[:10]}, taken from {store.url}, entry {entry.key_sha256[:12]}")
    return merged


def _read(path: Path) -> AnyProfile | None:
    try:
        return read_any_profile(path)
    except InputError:
        return None


def _go_together(one: AnyProfile, other: AnyProfile) -> bool:
    return type(one) is type(other) and one.model.sha256 == other.model.sha256 and lengths_of(one) == lengths_of(other)
