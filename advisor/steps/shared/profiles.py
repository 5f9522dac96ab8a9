"""A profile that is looked for in a store before anything is measured, and put there afterwards, with the files of its variants."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar, cast

import msgspec

from advisor.disk import temporary
from advisor.errors import InputError
from advisor.files.records import to_json
from advisor.schema.generation import GenerationProfile, GenerationSite, GenerationVariant
from advisor.schema.profile import Profile, Site, Variant
from advisor.schema.store import Entry, Key
from advisor.steps.generation.reading import read_any_profile
from advisor.store.store import Store, open_store

PROFILE, VARIANTS = "profile.json", "variants/"  # in the entry: the record, and the files that it names

AnySite = TypeVar("AnySite", Site, GenerationSite)


class Here(NamedTuple):
    """What is asked for and where it goes; `files` are those that are here anyway: digest -> path from the folder of the profile."""

    key: Key
    folder: Path  # of the variants
    created: str
    files: Mapping[str, str]
    inputs_path: str | None = None


class SharedProfile(Generic[AnySite]):
    """The profile of one plan in the store of `url`; without one, there is nothing to be found and nothing is put."""

    def __init__(self, url: str | None, here: Here, say: Callable[[str], None], *, fresh: bool) -> None:
        self._here, self._say, self._fresh = here, say, fresh
        self.store: Store | None = None if url is None else open_store(url, warn=say)

    def site(self) -> AnySite | None:
        """Return what was measured on a machine of this kind before, the files of its variants beside the profile; None: nothing."""
        entry = None if self.store is None or self._fresh else self.store.find(self._here.key)
        if self.store is None or entry is None:
            return None
        with temporary.folder(self._here.folder) as scratch:
            if not self.store.fetch(entry, scratch):
                return None
            found = _read(scratch / PROFILE, self.store, entry, self._say)
            site = None if found is None else _rebased(found, entry, self._here)
            if site is None:
                return None
            _move(scratch, [file.name for file in entry.files], self._here)
        self._say(f"measured before, on {site.machine.cpu}: taken from {self.store.url}, entry {entry.key_sha256[:12]}")
        return cast(AnySite, site)

    def put(self, measured: Profile | GenerationProfile) -> None:
        """Put what was measured here into the store, unless it is there; where that does not work, say so: the profile is on disk."""
        if self.store is None:
            return
        try:
            if self._fresh or self.store.find(self._here.key) is None:
                put_profile(self.store, self._here, measured)
        except InputError as error:
            self._say(f"not put into the store: {error.fault}")


def check_store(url: str | None) -> None:
    """Raise InputError where a store cannot be reached, before time is spent on what would go there."""
    if url is not None:
        open_store(url)


def put_profile(store: Store, here: Here, measured: Profile | GenerationProfile) -> Entry:
    """Put what one machine measured, with the files of its variants; paths of this machine stay here."""
    site = next(site for site in measured.sites if site.hardware.id == here.key.machine)
    files: dict[str, Path | bytes] = {}
    variants = []
    for variant in site.variants:
        path = here.folder.parent / variant.path
        if variant.sha256 in here.files or not path.is_relative_to(here.folder):
            variants.append(msgspec.structs.replace(variant, path=path.name))
            continue
        name = f"{VARIANTS}{path.relative_to(here.folder)}"
        files |= {f"{VARIANTS}{file.relative_to(here.folder)}": file for file in files_of(path)}
        variants.append(msgspec.structs.replace(variant, path=name))
    changed: dict[str, object] = {"variants": tuple(variants)}
    if isinstance(site, Site):
        changed["inputs_path"] = None  # the user's own inputs stay with the user
    alone = msgspec.structs.replace(measured, sites=(msgspec.structs.replace(site, **changed),))
    return store.put(here.key, {PROFILE: to_json(alone), **files}, created=here.created)


def files_of(path: Path) -> Iterator[Path]:
    """Yield the files of a variant: of a folder all, of a file those whose names begin with its own, its weights and its mark."""
    if path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file() and not file.is_symlink())
    else:
        names = sorted(name for name in os.listdir(path.parent) if name.startswith(path.name))
        yield from (path.parent / name for name in names if (path.parent / name).is_file())


def _read(path: Path, store: Store, entry: Entry, say: Callable[[str], None]) -> Profile | GenerationProfile | None:
    """Return the profile of an entry, None and a word where it is not what the entry says that it is."""
    try:
        found = read_any_profile(path)
    except InputError as error:
        say(f"{store.url}: {PROFILE} of {entry.key_sha256[:12]} cannot be read, and is taken as absent ({error.fault[:200]})")
        return None
    is_it = found.model.sha256 == entry.key.model_sha256 and found.sites[0].hardware.id == entry.key.machine
    return found if is_it else None


def _rebased(found: Profile | GenerationProfile, entry: Entry, here: Here) -> Site | GenerationSite | None:
    """Return the site with paths as they are here; None where a file of it is neither here nor in the entry."""
    site, names = found.sites[0], [file.name for file in entry.files]
    variants: list[Variant | GenerationVariant] = []
    for variant in site.variants:
        path = here.files.get(variant.sha256)
        if path is None and variant.path.startswith(VARIANTS) and any(_is_of(name, variant.path) for name in names):
            path = f"{here.folder.name}/{variant.path.removeprefix(VARIANTS)}"
        if path is None:
            return None
        variants.append(msgspec.structs.replace(variant, path=path))
    changed: dict[str, object] = {"variants": tuple(variants)}
    if isinstance(site, Site):
        changed["inputs_path"] = here.inputs_path
    return msgspec.structs.replace(site, **changed)


def _is_of(name: str, path: str) -> bool:
    """Return whether a file is the variant of a path, or lies in it."""
    return name == path or name.startswith(f"{path}/")


def _move(scratch: Path, names: list[str], here: Here) -> None:
    """Move the files of variants to where they belong; those that are here anyway are not replaced by what others wrote."""
    taken = {os.path.normpath(here.folder.parent / path) for path in here.files.values()}
    for name in names:
        target = here.folder / name.removeprefix(VARIANTS)
        if name.startswith(VARIANTS) and os.path.normpath(target) not in taken:
            target.parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).replace(target)
