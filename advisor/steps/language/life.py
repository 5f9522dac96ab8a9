"""The model of a planned life that is given by its configuration: what it weighs, and what a device is expected to serve of it."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.measure.architecture.config import read_architecture
from advisor.schema.language import Architecture
from advisor.schema.workload import Lifecycle, LifeModel
from advisor.steps.language.facts import facts_of


class Configured(NamedTuple):
    """A planned life with the figures of its model, and the architecture that they are of; None where no configuration was named."""

    lifecycle: Lifecycle
    architecture: Architecture | None


def configured(lifecycle: Lifecycle, folder: Path) -> Configured:
    """Return the life with the figures of the configuration that it names in place of its name; `folder` is that of the workload file.

    Raises InputError for a configuration that is not there, or that is not modeled.
    """
    model = lifecycle.model
    if model is None or model.config is None:
        return Configured(lifecycle, None)
    path = folder / model.config
    refuse_special(path, "lifecycle.model.config")
    if not path.exists():
        raise InputError(f"lifecycle.model.config: {path}: no such file", hint="give a path relative to the workload file")
    facts = facts_of(read_architecture(path))
    architecture, active = facts.model, facts.model.active_parameters
    life_model = LifeModel(
        parameters=float(architecture.parameters),
        active_parameters=float(active) if active < architecture.parameters else None,
        bytes_per_parameter=facts.weight_bytes / architecture.parameters,
        kv_bytes_per_token=facts.kv_bytes_per_token,
    )
    source = f"{model.config}, sha256 {architecture.sha256[:12]}"
    sources = {name: source for name, value in msgspec.structs.asdict(life_model).items() if value is not None}
    return Configured(msgspec.structs.replace(lifecycle, model=life_model, sources={**sources, **lifecycle.sources}), architecture)
