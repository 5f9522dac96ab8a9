"""Profiles of one model from several machines -> one profile."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from advisor.disk import locks
from advisor.disk.kinds import PROFILE
from advisor.disk.writing import check_output
from advisor.errors import InputError
from advisor.files.records import write_record
from advisor.schema.generation import GenerationProfile, GenerationSite
from advisor.schema.profile import Profile, Site
from advisor.steps.generation.reading import read_any_profile

AnyProfile = Profile | GenerationProfile
S = TypeVar("S", Site, GenerationSite)


def merge(profile_path: Path, others: tuple[Path, ...], output: Path) -> AnyProfile:
    """Write the profile with the sites of the others; of a machine that both hold, the later file's site replaces the other.

    Raises InputError for another model, other lengths, one that generates beside one that does not, or a site that goes by the name of
    the profile's own machine.
    """
    check_output(output, PROFILE, inputs=(profile_path, *others))
    merged = _seen_from(output.parent, profile_path, read_any_profile(profile_path))
    first = merged.sites[0].hardware.id
    for path in others:
        other = _seen_from(output.parent, path, read_any_profile(path))
        _check(path, other, profile_path, merged)
        _check_sites(path, other, first, profile_path)
        merged = with_sites_of(merged, other)
    with locks.held(output, patience_s=locks.MOMENT_S):
        write_record(output, merged, inputs=(profile_path, *others))
    return merged


def _seen_from(folder: Path, path: Path, profile: AnyProfile) -> AnyProfile:
    """Return the profile in the file at `path` with the files that it names as they are found from another folder."""
    home, place = os.path.realpath(path.parent), os.path.realpath(folder)
    if home == place:
        return profile

    def found(named: str) -> str:
        return os.path.relpath(os.path.normpath(os.path.join(home, named)), place)

    if isinstance(profile, GenerationProfile):
        return msgspec.structs.replace(profile, sites=tuple(_with_paths(entry, found) for entry in profile.sites))
    return msgspec.structs.replace(profile, sites=tuple(_with_paths(site, found) for site in profile.sites))


def _with_paths(site: S, found: Callable[[str], str]) -> S:
    variants = tuple(msgspec.structs.replace(entry, path=found(entry.path)) for entry in site.variants)
    moved = msgspec.structs.replace(site, variants=variants)
    if isinstance(moved, Site) and moved.inputs_path is not None:
        return msgspec.structs.replace(moved, inputs_path=found(moved.inputs_path))
    return moved


def with_sites_of(merged: AnyProfile, other: AnyProfile) -> AnyProfile:
    """Return the one profile with the sites of the other, of the same kind; of a machine that both hold, the other's."""
    if isinstance(merged, Profile) and isinstance(other, Profile):
        one_pass = {site.hardware.id: site for site in (*merged.sites, *other.sites)}
        return msgspec.structs.replace(merged, sites=tuple(one_pass.values()))
    if isinstance(merged, GenerationProfile) and isinstance(other, GenerationProfile):
        generating = {site.hardware.id: site for site in (*merged.sites, *other.sites)}
        return msgspec.structs.replace(merged, sites=tuple(generating.values()))
    raise AssertionError("profiles of two kinds were refused before")


def _check(path: Path, other: AnyProfile, profile_path: Path, base: AnyProfile) -> None:
    if isinstance(base, GenerationProfile) != isinstance(other, GenerationProfile):
        kinds = {True: "the profile of a generative model", False: "that of one that answers in one pass"}
        is_here = isinstance(other, GenerationProfile)
        raise InputError(
            f"{path}: {kinds[is_here]}, and {profile_path} is {kinds[not is_here]}",
            hint="profile with the same workload file on both machines",
        )
    if other.model.sha256 != base.model.sha256:
        raise InputError(f"{path}: measured another model than {profile_path}", hint="profile the same file on both machines")
    if lengths_of(other) != lengths_of(base):
        raise InputError(
            f"{path}: measured at other lengths than {profile_path}", hint="profile with the same workload file on both machines"
        )


def lengths_of(profile: AnyProfile) -> tuple[int, ...]:
    """Return the lengths that a profile was measured at; only profiles of equal lengths go together."""
    if isinstance(profile, GenerationProfile):
        return (profile.settings.max_context_tokens,)
    return profile.settings.sequence_lengths


def _check_sites(path: Path, other: AnyProfile, first: str, profile_path: Path) -> None:
    if first in {site.hardware.id for site in other.sites}:
        raise InputError(
            f"{path}: measured on {first!r}, as {profile_path} was",
            hint="profile there with --hardware and the catalog's id of that machine",
        )
