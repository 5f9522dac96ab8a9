"""Kernels that were measured on devices, and what engines add to them: what step times of language models elsewhere stand on.

`KernelTables` is what advisor.files.kernel_tables reads of the catalog. Its grids are arrays, and no records of a JSON file.
"""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from msgspec import Meta

from advisor.schema.language import Ground
from advisor.schema.record import AtLeastOne, Count, Fraction, Name, NonNegative, Positive, Record, Source

# Of steps that decode, of those that read prompts, and of whole batches that do first the one and then the other.
Figure = Literal["decode", "prefill", "batch"]
# What the grids are of: matrix products, attention that reads prompts and that decodes, the same of a latent (MLA), experts, sums over
# devices.
Operation = Literal["gemm", "context", "generation", "context_mla", "generation_mla", "experts", "all_reduce"]


class Grid(NamedTuple):
    """Seconds of one operation in one precision on one device, over shapes (rows, whatever they are) and sizes (a grid)."""

    shapes: np.ndarray  # (shapes, columns) whole numbers, as the operation has them
    axes: tuple[np.ndarray, ...]  # of sizes, each ascending
    log_s: np.ndarray  # (shapes, *sizes) natural logarithms of seconds; NaN: not measured


class DeviceRates(Record, frozen=True, kw_only=True):
    """What a device does at best."""

    maker: Name
    memory_bandwidth_bytes_per_s: Positive
    flop_per_s: dict[str, Positive]  # by precision
    link_bytes_per_s: Positive  # to the other devices of its machine, one way


class HostTimes(Record, frozen=True, kw_only=True):
    """What an engine makes of kernels: factors on their parts, and what comes on top; `device` None: on any that is not named."""

    engine: Name
    device: Name | None = None
    matrices: Positive  # times matrix products
    attention: Positive
    communication: Positive
    experts: Positive = 1.0
    decode_step_s: NonNegative
    prefill_step_s: NonNegative  # of a step that reads
    layer_s: NonNegative  # for each layer of a step
    # For each layer of a step: no sooner does the host launch its kernels, where no recorded graph does.
    decode_launch_s: NonNegative = 0.0
    prefill_launch_s: NonNegative = 0.0
    # How far keys and values are read once for each head of queries where tokens decode: 0 once for each of their own heads.
    repeats_heads: Fraction = 0.0
    request_s: NonNegative  # for each running request of a step
    token_s: NonNegative = 0.0  # for each token that is read
    carried_from: Name | None = None  # an older engine that showed what is the device's, where this one was not run
    rows: Count
    models: Count


class StepError(Record, frozen=True, kw_only=True):
    """How far off models held back were: nine of ten lie within the factor, either way."""

    ground: Ground
    figure: Figure
    engine: Name | None = None  # None: of all of them together
    fitted_device: bool  # whether host times of the very device were fitted, on other models
    factor: AtLeastOne
    rows: Count
    models: Count


class GenerationModel(Record, frozen=True, kw_only=True):
    """Constants of step times, written by benchmarks/fit_generation.py."""

    measured: dict[Name, DeviceRates]  # devices that have grids, by their id in the catalog
    links_bytes_per_s: dict[Name, Positive]  # of further devices; what is named nowhere has a bus
    hosts: Annotated[tuple[HostTimes, ...], Meta(min_length=1)]
    errors: Annotated[tuple[StepError, ...], Meta(min_length=1)]
    sources: Annotated[tuple[Source, ...], Meta(min_length=1)]


class KernelTables(NamedTuple):
    """Grids by device, operation and precision, and the constants around them."""

    grids: dict[tuple[str, str, str], Grid]
    model: GenerationModel
