"""The model of a planned life that is given by its configuration: what it weighs, and what a device is expected to serve of it."""

from pathlib import Path

import msgspec

from advisor.decide.generation.elsewhere.throughput import throughput_of
from advisor.decide.lifetime.inputs import SAYS_WHAT_A_DEVICE_SERVES
from advisor.decide.service.energy import scaled
from advisor.disk.reading import refuse_special
from advisor.errors import AdvisorError, InputError
from advisor.files.catalog import read_device
from advisor.measure.architecture.config import read_architecture
from advisor.schema.language import Architecture
from advisor.schema.record import Estimate
from advisor.schema.workload import Lifecycle, LifeModel, LifeServing
from advisor.steps.language.facts import facts_of
from advisor.steps.language.kernels import steps_of_catalog

MOST_DEVICES = 8  # of a replica
OF_A_LARGE_MACHINE = "_8x"  # at the end of an id of the catalog: the same device, in machines of eight


def configured(lifecycle: Lifecycle, folder: Path) -> tuple[Lifecycle, Architecture | None]:
    """Return the life with the figures of the configuration that it names, and what they are of; `folder` is that of the workload file.

    Raises InputError for a configuration that is not there, or that is not modeled.
    """
    model = lifecycle.model
    if model is None or model.config is None:
        return lifecycle, None
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
    return msgspec.structs.replace(lifecycle, model=life_model, sources={**sources, **lifecycle.sources}), architecture


def expected_throughput(architecture: Architecture, lifecycle: Lifecycle, device: str) -> Estimate | None:
    """Return the requests a second that one device is expected to serve at full load, as a part of the replica that serves most.

    None where the workload says itself how much a device serves, or buys tokens, or says nothing of what a request has of them. Raises
    InputError where no replica holds the model with a request, and for a device of which nothing is known.
    """
    serving, request = lifecycle.serving or LifeServing(), lifecycle.request
    is_said = any(getattr(serving, name) is not None for name in SAYS_WHAT_A_DEVICE_SERVES)
    if is_said or lifecycle.edge is not None or request is None or request.input_tokens is None:
        return None
    written = request.output_tokens * request.reasoning_multiplier
    try:
        found = throughput_of(
            architecture,
            read_device(device.removesuffix(OF_A_LARGE_MACHINE)),
            steps_of_catalog(),
            input_tokens=request.input_tokens,
            output_tokens=written,
            shared_prefix_tokens=min(request.cached_tokens or 0.0, request.input_tokens),
            most_devices=serving.devices_per_replica or MOST_DEVICES,
        )
    except AdvisorError as error:
        raise InputError(
            f"lifecycle.model.config: {error.fault}",
            hint=f"{error.hint}; or give parameters and bytes_per_parameter in place of config",
        ) from error
    tokens = (request.input_tokens + written) * request.agent_multiplier
    return scaled(found.tokens_per_s, 1 / tokens, found.tokens_per_s.source)
