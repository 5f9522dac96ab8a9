"""Profiles of one model from several machines -> one profile."""

from pathlib import Path

import msgspec

from advisor.disk import locks
from advisor.disk.kinds import PROFILE
from advisor.disk.writing import check_output
from advisor.errors import InputError
from advisor.files.records import read_json, write_record
from advisor.schema.profile import Profile, Site


def merge(profile_path: Path, others: tuple[Path, ...], output: Path) -> Profile:
    """Write the profile with the sites of the others; of a machine that both hold, the later file's site replaces the other.

    Raises InputError for another model, other lengths, or a site that goes by the name of the profile's own machine.
    """
    check_output(output, PROFILE, inputs=(profile_path, *others))
    base = read_json(profile_path, Profile, made_by="advisor profile")
    first = base.sites[0].hardware.id
    sites = {site.hardware.id: site for site in base.sites}
    for path in others:
        other = read_json(path, Profile, made_by="advisor profile")
        _check(path, other, profile_path, base)
        sites |= {site.hardware.id: _checked(site, first, path, profile_path) for site in other.sites}
    merged = msgspec.structs.replace(base, sites=tuple(sites.values()))
    with locks.held(output, patience_s=locks.MOMENT_S):
        write_record(output, merged, inputs=(profile_path, *others))
    return merged


def _check(path: Path, other: Profile, profile_path: Path, base: Profile) -> None:
    if other.model.sha256 != base.model.sha256:
        raise InputError(f"{path}: measured another model than {profile_path}", hint="profile the same file on both machines")
    if other.settings.sequence_lengths != base.settings.sequence_lengths:
        raise InputError(
            f"{path}: measured at other lengths than {profile_path}", hint="profile with the same workload file on both machines"
        )


def _checked(site: Site, first: str, path: Path, profile_path: Path) -> Site:
    if site.hardware.id == first:
        raise InputError(
            f"{path}: measured on {first!r}, as {profile_path} was",
            hint="profile there with --hardware and the catalog's id of that machine",
        )
    return site
