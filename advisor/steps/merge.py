"""Profiles of one model from several machines, brought together into one file."""

from pathlib import Path

import msgspec

from advisor.errors import InputError
from advisor.files.records import read_json, write_record
from advisor.schema.profile import Elsewhere, Profile


def merge(profile_path: Path, others: tuple[Path, ...], output: Path) -> Profile:
    """Write the profile with what other machines measured of the same model; what was measured anew takes the place of what was there."""
    base = read_json(profile_path, Profile, made_by="advisor profile")
    elsewhere = {entry.hardware: entry for entry in base.elsewhere}
    for path in others:
        other = read_json(path, Profile, made_by="advisor profile")
        if other.model.sha256 != base.model.sha256:
            raise InputError(f"{path}: measured another model than {profile_path}", hint="profile the same file on both machines")
        if other.hardware == base.hardware:
            raise InputError(
                f"{path}: measured on {other.hardware!r}, as {profile_path} was",
                hint="profile there with --hardware and the name that the catalogue has for that machine",
            )
        elsewhere[other.hardware] = Elsewhere(
            hardware=other.hardware,
            machine=other.machine,
            created=other.created,
            variants=other.variants,
            measurements=other.measurements,
            noise_fraction=other.noise_fraction,
            noise_floors=other.noise_floors,
            calibrations=other.calibrations,
            trial=other.trial,
            power=other.power,
        )
    merged = msgspec.structs.replace(base, elsewhere=tuple(elsewhere.values()))
    write_record(output, merged)
    return merged
