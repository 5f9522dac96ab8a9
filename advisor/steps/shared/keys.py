"""What profiles, variants and advice are known by in a store: all that decides what they hold, and nothing else."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from advisor import __version__
from advisor.schema.catalog import Hardware
from advisor.schema.profile import Machine
from advisor.schema.record import SCHEMA_VERSION, Record
from advisor.schema.store import Key
from advisor.store.keys import digest_of

# Settings that name several files: in which order they were named changes nothing that is measured.
WITHOUT_ORDER = ("given_sha256", "students_sha256", "wanted")


class Model(Protocol):
    """Facts of a model, as far as a store knows it by them."""

    @property
    def sha256(self) -> str:
        """The digest of its bytes."""


def profile_key(
    model: Model, settings: Record, hardware: Hardware, machine: Machine, versions: Mapping[str, str], *others: Any
) -> Key:
    """Return the key of what one kind of machine measures of a model; `others` decide it as well."""
    asked = msgspec.to_builtins(settings)
    asked |= {name: sorted(asked[name]) for name in WITHOUT_ORDER if name in asked}
    return Key(
        kind="profile",
        model_sha256=model.sha256,
        machine=hardware.id,
        asked_sha256=digest_of((SCHEMA_VERSION, asked, kind_of(machine), others)),
        versions=_with_ours(versions),
    )


def kind_of(machine: Machine) -> dict[str, Any]:
    """Return what makes two machines one kind.

    Memory counts in steps of half an octave: of two machines that were sold as equal, firmware and kernel leave not quite as much.
    """
    return {
        "cpu": machine.cpu,
        "cores": machine.cores,
        "quota_cores": machine.quota_cores,
        "instruction_sets": sorted(machine.instruction_sets),
        "memory": round(2 * math.log2(machine.memory_bytes)),
    }


def variant_key(model: Model, recipe: str) -> Key:
    """Return the key of a variant's files; the recipe is the digest of all that decides them, versions of the tools among it."""
    return Key(kind="variant", model_sha256=model.sha256, machine=None, asked_sha256=recipe, versions=_with_ours({}))


def advice_key(model: Model, workload: Record, profile_sha256: str | None, *others: Any) -> Key:
    """Return the key of advice on a workload by a profile, or by no profile at all; `others` decide it as well."""
    return Key(
        kind="advice",
        model_sha256=model.sha256,
        machine=None,
        asked_sha256=digest_of((SCHEMA_VERSION, workload, profile_sha256, others)),
        versions=_with_ours({}),
    )


def _with_ours(versions: Mapping[str, str]) -> dict[str, str]:
    return {"advisor": __version__, **versions}
