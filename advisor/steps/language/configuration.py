"""The configuration of a model by itself, told from every other file, and what cannot be done with no more than that."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.disk.kinds import ADVICE, PROFILE
from advisor.errors import InputError
from advisor.schema.workload import Lifecycle

if TYPE_CHECKING:
    from advisor.schema.language import Architecture

MOST_BYTES = 64_000_000  # of a configuration, with a vocabulary in it
# What a configuration has and no file of advisor's: either is enough.
KEYS = ("architectures", "model_type")


def is_configuration(path: Path) -> bool:
    """Return whether a file is the configuration of a model, by itself: JSON that says what the model is."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        if path.stat().st_size > MOST_BYTES or PROFILE.is_at(path) or ADVICE.is_at(path):
            return False
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False  # who opens it says what is wrong
    return isinstance(found, dict) and any(key in found for key in KEYS)


def no_load_test(path: Path) -> InputError:
    """Return the refusal to load-test what runs on hardware that is not here."""
    return InputError(
        f"{path}: judged from a configuration, on hardware that is not here: there is nothing to load-test",
        hint="serve what is advised where it is to run, and compare TTFT and TPOT with the report",
    )


def with_its_model(lifecycle: Lifecycle, workload_path: Path) -> "tuple[Lifecycle, Architecture | None]":
    """Return the planned life with the figures of the configuration that it names, and what they are of; None where it names none."""
    if lifecycle.model is None or lifecycle.model.config is None:
        return lifecycle, None
    from advisor.steps.language.life import configured  # with NumPy, for which no other classification has to wait

    return configured(lifecycle, workload_path.parent)
