"""A device of the catalog -> whose kernels stand for its own and at which rates; or why nothing does."""

import math
from collections.abc import Hashable
from typing import Any, NamedTuple

from advisor.decide.generation.projection.operations.tables import Rates
from advisor.decide.service.roofline import peak_flop_per_s
from advisor.errors import AdvisorError
from advisor.schema.arrays.kernels import DeviceRates, Grid, KernelTables, Operation
from advisor.schema.catalog import Hardware
from advisor.schema.language import Ground, WeightPrecision

# To other devices over a bus, where nobody says that there is more: PCI Express 4.0 with 16 lanes, one way.
BUS_BYTES_PER_S = 32e9
# Kernels of a device are no measure of one whose rates, multiplied, are farther from its own than this.
FARTHEST = math.log(20.0)
# Kernels of the same maker are written for the same kind of cores: those of another count as farther by so much.
OTHER_MAKER = math.log(8.0)
# Devices whose kernels are written alike: a warp, matrix units and a memory of their own. Others reach other shares.
LIKE_GPUS = ("gpu", "accelerator", "tpu")
PLAIN = "bf16"


class NoGround(AdvisorError):
    """Nothing says how long steps take on a device."""


class Numbers(NamedTuple):
    """How weights are stored, and in which numbers their products are computed."""

    weight_bytes: float  # a weight, with the scales of its block
    computed_in: str
    activation_bytes: float
    unpacks: bool = False  # weights become wider numbers first


# By the precision of weights: as they are where the device computes in it, and unpacked where it does not. Blocks of 32 weights of int4
# share a scale of 16 bits, blocks of 16 of fp4 one of 8.
COMPUTED: dict[str, Numbers] = {
    "bf16": Numbers(2.0, PLAIN, 2.0),
    "fp8": Numbers(1.0, "fp8", 1.0),
    "fp8_block": Numbers(1.0, "fp8", 1.0),
    "fp4": Numbers(0.5625, "fp4", 0.5625),
    "int4": Numbers(0.5625, PLAIN, 2.0, unpacks=True),
    "mxfp4": Numbers(0.53125, PLAIN, 2.0, unpacks=True),
}


def numbers_of(weights: WeightPrecision, hardware: Hardware) -> Numbers:
    """Return how products with such weights are computed on a device."""
    known = COMPUTED[weights]
    if peak_flop_per_s(hardware, known.computed_in) is None:
        return Numbers(known.weight_bytes, PLAIN, 2.0, unpacks=True)
    return known


class Found(NamedTuple):
    """A grid that stands for kernels of a device, whose it is, and its numbers."""

    grid: Grid
    device: str
    precision: str


class Foundation(NamedTuple):
    """What step times of a device stand on."""

    ground: Ground
    hardware: Hardware
    kernels_of: str  # the measured device whose grids count first
    tables: KernelTables
    kernels: dict[Hashable, Any]  # that were made on it, by what they are: whatever is served there shares them

    def rates(self, computed_in: str) -> Rates:
        """Return what the device does at best; raise NoGround where a rate is not known."""
        measured = self.tables.model.measured.get(self.hardware.id)
        if measured is not None and computed_in in measured.flop_per_s:
            return rates_of(measured, computed_in)
        flop_per_s, bytes_per_s = peak_flop_per_s(self.hardware, computed_in), self.hardware.memory_bandwidth_bytes_per_s
        if flop_per_s is None or bytes_per_s is None:
            raise _no_rates(self.hardware)
        return Rates(flop_per_s, bytes_per_s, link_bytes_per_s(self.hardware, self.tables))

    def find(self, operation: Operation, *precisions: str) -> Found | None:
        """Return the grid that stands for an operation: of the nearest device that has one, in the first precision that it has."""
        for device in _nearest_first(self.kernels_of, self.tables):
            for precision in precisions:
                grid = self.tables.grids.get((device, operation, precision))
                if grid is not None:
                    return Found(grid, device, precision)
        return None


def rates_of(measured: DeviceRates, computed_in: str) -> Rates:
    """Return the rates of a measured device; in plain numbers where it has none of the others."""
    flop_per_s = measured.flop_per_s.get(computed_in, measured.flop_per_s[PLAIN])
    return Rates(flop_per_s, measured.memory_bandwidth_bytes_per_s, measured.link_bytes_per_s)


def link_bytes_per_s(hardware: Hardware, tables: KernelTables) -> float:
    """Return what goes from one device to the others of its machine; over a bus, where nobody says that there is more."""
    measured = tables.model.measured.get(hardware.id)
    return measured.link_bytes_per_s if measured else tables.model.links_bytes_per_s.get(hardware.id, BUS_BYTES_PER_S)


def foundation_of(hardware: Hardware, tables: KernelTables) -> Foundation:
    """Return whose kernels stand for a device's; raise NoGround for one of which not even the rates are known.

    Its own, where they were measured. Else those of the measured device with the nearest rates, if that is near and a device of the same
    sort; else only its rates count.
    """
    if hardware.id in tables.model.measured:
        return Foundation("kernels", hardware, hardware.id, tables, {})
    flop_per_s, bytes_per_s = peak_flop_per_s(hardware, PLAIN), hardware.memory_bandwidth_bytes_per_s
    if flop_per_s is None or bytes_per_s is None:
        raise _no_rates(hardware)
    measured = tables.model.measured
    own = DeviceRates(
        maker=hardware.vendor,
        flop_per_s={PLAIN: flop_per_s},
        memory_bandwidth_bytes_per_s=bytes_per_s,
        link_bytes_per_s=BUS_BYTES_PER_S,
    )
    nearest = min(sorted(measured), key=lambda name: _farness(own, measured[name]))
    is_near = hardware.kind in LIKE_GPUS and _distance(own, measured[nearest]) <= FARTHEST
    return Foundation("scaled-kernels" if is_near else "roofline", hardware, nearest, tables, {})


class Foundations:
    """What devices stand on by the same tables, each found once: replicas on one device ask for the same kernels again and again."""

    def __init__(self, tables: KernelTables) -> None:
        self.tables = tables
        self._found: dict[str, Foundation] = {}

    def of(self, hardware: Hardware) -> Foundation:
        """Return what a device stands on; raise NoGround as `foundation_of` does."""
        known = self._found.get(hardware.id)
        if known is None or known.hardware != hardware:
            known = self._found[hardware.id] = foundation_of(hardware, self.tables)
        return known


def _no_rates(hardware: Hardware) -> NoGround:
    lacking = [] if hardware.memory_bandwidth_bytes_per_s else ["the bandwidth of its memory"]
    if peak_flop_per_s(hardware, PLAIN) is None:
        lacking.append("its rate in bf16 or fp16")
    return NoGround(
        f"{hardware.id}: nothing says how long steps take there, for {' and '.join(lacking)} is not known",
        hint="leave it out, or serve the model there and profile it",
    )


def _farness(one: DeviceRates, other: DeviceRates) -> float:
    """Return how little the kernels of one device say about another."""
    return _distance(one, other) + (OTHER_MAKER if one.maker != other.maker else 0.0)


def _distance(one: DeviceRates, other: DeviceRates) -> float:
    """Return how far rates lie apart, as a logarithm."""
    flops = math.log(one.flop_per_s[PLAIN] / other.flop_per_s[PLAIN])
    return abs(flops) + abs(math.log(one.memory_bandwidth_bytes_per_s / other.memory_bandwidth_bytes_per_s))


def _nearest_first(device: str, tables: KernelTables) -> list[str]:
    measured = tables.model.measured
    return sorted(measured, key=lambda name: (_farness(measured[device], measured[name]), name != device, name))
