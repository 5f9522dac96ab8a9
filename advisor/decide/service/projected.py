"""Service on hardware that the profile was not measured on: measured there and merged, or else projected; and what does not fit there."""

import math
from collections.abc import Callable
from typing import Literal

import msgspec

from advisor.decide.service import public_models
from advisor.decide.service.measured import ServiceGrid, service_grids
from advisor.quantized_operators import computing_precision
from advisor.schema.advice import Place
from advisor.schema.catalog import Evidence, Hardware, Precision, PublicMeasurements, PublicSeries
from advisor.schema.profile import Machine, Profile, Variant
from advisor.schema.record import Estimate, Exclusion, Record
from advisor.units import size

MAX_PROJECTED_BATCH = 64
# What a process holds beside weights and activations: a CUDA context and the workspaces of its libraries, or an interpreter with
# ONNX Runtime. Assumed, on the generous side.
RUNTIME_BYTES = {"gpu": 1.0e9, "cpu": 0.3e9}
# Of what several operators hold at once no more than this part of all activations is counted: buffers are used again.
HELD_ACTIVATIONS = 0.5
CPU_ONLY_OPERATORS = {"DynamicQuantizeLinear"}  # ONNX Runtime has no CUDA kernel for it
# The profiled machine as a roofline, from its instruction sets: operations a cycle and core, a clock and a share of the memory's
# bandwidth that cores of servers have. Assumed; only their ratio to the target's counts.
CLOCK_HZ, CORE_BANDWIDTH_BYTES_PER_S = 3.3e9, 5e9
OPERATIONS_PER_CYCLE: tuple[tuple[str, dict[Precision, float]], ...] = (
    ("amx_int8", {"fp32": 64, "bf16": 1024, "int8": 2048}),
    ("avx512_vnni", {"fp32": 64, "int8": 256}),
    ("avx512f", {"fp32": 64, "int8": 64}),
    ("avx_vnni", {"fp32": 32, "int8": 128}),
    ("avx2", {"fp32": 32, "int8": 32}),
    ("i8mm", {"fp32": 32, "bf16": 128, "int8": 256}),
    ("asimddp", {"fp32": 16, "int8": 64}),
    ("asimd", {"fp32": 16, "int8": 16}),
)
NARROW_AVX512 = "AMD"  # up to Zen 4 runs it in two halves

MEASURABLE = ("cpu", "edge")  # ONNX Runtime's CPU provider is what measures

Key = tuple[str, int, int]
GroundOfService = Literal["measured", "anchored", "similar", "roofline"]
WEAKEST_FIRST: tuple[GroundOfService, ...] = ("roofline", "similar", "anchored")


class Service(Record, frozen=True, kw_only=True):
    """Service times on a place, by setting; why some are missing; and on what they stand."""

    grids: dict[Key, ServiceGrid]
    exclusions: tuple[Exclusion, ...]
    ground: GroundOfService


def precision_of(variant: Variant) -> Precision:
    """Return in which precision most of a variant's arithmetic runs."""
    quantized = computing_precision(name for name, more in variant.changed_operators.items() if more > 0)
    return quantized or ("fp16" if "fp16" in variant.scheme else "fp32")


def local_hardware(machine: Machine) -> Hardware:
    """Return the profiled machine as a roofline."""
    slowest: dict[Precision, float] = {"fp32": 8.0}
    rates = next((rates for flag, rates in OPERATIONS_PER_CYCLE if flag in machine.instruction_sets), slowest)
    narrower = 2.0 if NARROW_AVX512 in machine.cpu and "avx512f" in machine.instruction_sets else 1.0
    peaks = {name: rate / narrower * CLOCK_HZ * machine.cores for name, rate in rates.items()}
    return Hardware(
        id="local",
        name=machine.cpu or "the profiled machine",
        vendor="unknown",
        kind="cpu",
        cores=machine.cores,
        memory_bytes=float(machine.memory_bytes),
        memory_bandwidth_bytes_per_s=CORE_BANDWIDTH_BYTES_PER_S * machine.cores,
        peak_flop_per_s=peaks,
        confidence="low",
        sources=(Evidence(what="assumed from its instruction sets", date="2026-11", covers=("peak_flop_per_s",)),),
    )


def memory_bytes(profile: Profile, variant: Variant, kind: str, batch_size: int, length: int | None) -> float:
    """Return what serving takes of the memory: weights, activations of a batch, the cache of its tokens, the runtime."""
    model = profile.model
    longer = length / model.at_sequence_length if length and model.at_sequence_length else 1.0
    activations = (model.activation_bytes_per_item or 0.0) * longer * batch_size * HELD_ACTIVATIONS
    cache = (model.kv_bytes_per_token or 0) * (length or 0) * batch_size
    return variant.bytes + activations + cache + RUNTIME_BYTES[kind]


def measured_there(profile: Profile, hardware: str) -> Profile | None:
    """Return the profile as if it had been measured on other hardware alone, None if nothing measured there was merged."""
    if profile.hardware == hardware:
        return profile
    found = next((entry for entry in profile.elsewhere if entry.hardware == hardware), None)
    if found is None:
        return None
    return msgspec.structs.replace(
        profile,
        hardware=hardware,
        machine=found.machine,
        variants=found.variants,
        measurements=found.measurements,
        noise_fraction=found.noise_fraction,
        noise_floors=found.noise_floors,
        calibrations=found.calibrations,
        trial=found.trial,
        power=found.power,
        elsewhere=(),
    )


def projected(place: Place, profile: Profile, grids: dict[Key, ServiceGrid], public: PublicMeasurements) -> Service:
    """Return service times on hardware that nobody measured the model on; what cannot be said is an Exclusion."""
    hardware, kind = place.hardware, public_models.device_class(place.hardware)
    if kind is None:
        return _nothing(f"no public measurements of {hardware.kind} hardware to take an interval from", hardware)
    if not profile.model.flop_per_item or not any(entry.flop_per_item for entry in profile.model.operators):
        return _nothing("the operations of the model are not known", hardware)
    if hardware.memory_bytes is None or hardware.memory_bandwidth_bytes_per_s is None:
        return _nothing("the catalogue does not tell its memory", hardware)
    found: dict[Key, ServiceGrid] = {}
    exclusions: list[Exclusion] = []
    grounds: set[GroundOfService] = set()
    for variant in profile.variants:
        fault = _fault(variant, profile, place)
        if fault is not None:
            exclusions.append(Exclusion(what=f"{variant.id} on {hardware.id}", reason=fault))
            continue
        of_variant = {key: grid for key, grid in grids.items() if key[0] == variant.id}
        made, ground = _from_another_gpu(place, profile, variant, public) if kind == "gpu" else ({}, "anchored")
        if not made:
            made, ground = (_on_gpu if kind == "gpu" else _on_cpu)(place, profile, variant, of_variant, public)
        found |= made
        if made:
            grounds.add(ground)
        else:
            exclusions.append(
                Exclusion(
                    what=f"{variant.id} on {hardware.id}",
                    reason=f"nothing public tells how fast {precision_of(variant)} is there",
                )
            )
    weakest: GroundOfService = next((ground for ground in WEAKEST_FIRST if ground in grounds), "roofline")
    return Service(grids=found, exclusions=tuple(exclusions), ground=weakest)


def measure_there(hardware: Hardware) -> str:
    """Return how to know instead of projecting."""
    if hardware.kind in MEASURABLE:
        return f"profile it there (advisor profile --hardware {hardware.id}) and merge the two (advisor merge)"
    return f"try it on a {hardware.name} (advisor itself measures CPUs only), or merge a profile from one (advisor merge)"


def _nothing(reason: str, hardware: Hardware) -> Service:
    way_out = measure_there(hardware)
    return Service(
        grids={}, exclusions=(Exclusion(what=hardware.id, reason=f"not projected: {reason}; {way_out}"),), ground="roofline"
    )


def _fault(variant: Variant, profile: Profile, place: Place) -> str | None:
    """Return why a variant cannot run on the hardware, None if it can: precision first, then memory, before speed is asked."""
    hardware, precision = place.hardware, precision_of(variant)
    kind = public_models.device_class(hardware)
    if public_models.peak_flop_per_s(hardware, precision) is None:
        return f"{hardware.name} has no {precision} rate"
    bound = CPU_ONLY_OPERATORS & {name for name, more in variant.changed_operators.items() if more > 0}
    if kind != "cpu" and bound:
        return f"ONNX Runtime runs {', '.join(sorted(bound))} on CPUs only"
    assert kind is not None and hardware.memory_bytes is not None
    need = memory_bytes(profile, variant, kind, 1, _longest(profile))
    if need > hardware.memory_bytes:
        return f"needs {size(need)} of memory for a single item, {hardware.name} has {size(hardware.memory_bytes)}"
    return None


def _longest(profile: Profile) -> int | None:
    known = [entry.sequence_length for entry in profile.measurements if entry.sequence_length is not None]
    return max(known, default=None)


def _batches(profile: Profile, variant: Variant, place: Place, kind: str, most: int) -> tuple[int, ...]:
    """Return the powers of two that fit into the memory."""
    if not profile.model.batching.possible:
        return (1,)
    room = place.hardware.memory_bytes or 0.0
    sizes = [1 << power for power in range(most.bit_length())]
    return tuple(each for each in sizes if memory_bytes(profile, variant, kind, each, _longest(profile)) <= room)


def _on_gpu(
    place: Place, profile: Profile, variant: Variant, grids: dict[Key, ServiceGrid], public: PublicMeasurements
) -> tuple[dict[Key, ServiceGrid], GroundOfService]:
    """Return service times from the work of the model and the share of the roofline that public models reach on the device."""
    pattern = next(iter(grids.values()), None)
    if pattern is None:
        return {}, "roofline"
    precision, hardware = precision_of(variant), place.hardware
    grounds: set[GroundOfService] = set()

    def call(batch_size: int, length: int | None) -> Estimate | None:
        work = public_models.work_of(profile.model, precision, length=length)
        least = public_models.roofline_s(work, hardware, precision, batch_size)
        share = public_models.share_of_roofline(_query(profile, precision, batch_size, length), hardware, public)
        if least is None or share is None:
            return None
        grounds.add(share.ground)
        value = public_models.launches_s(work, hardware) + least / math.exp(share.log_value)
        margin = math.exp(share.log_margin)
        said = (
            f"{share.rows} public measurements of models like it on {hardware.name}"
            if share.ground == "similar"
            else f"its roofline and the share of it that {share.rows} public measurements reach on GPUs"
        )
        return Estimate(value=value, low=value / margin, high=value * margin, basis="projected", source=said)

    batches = _batches(profile, variant, place, "gpu", MAX_PROJECTED_BATCH)
    grid = _grid(variant.id, 1, place.devices, pattern, batches, call)
    ground: GroundOfService = "similar" if grounds == {"similar"} else "roofline"
    return ({} if grid is None else {(variant.id, 1, place.devices): grid}), ground


def _from_another_gpu(
    place: Place, profile: Profile, variant: Variant, public: PublicMeasurements
) -> tuple[dict[Key, ServiceGrid], GroundOfService]:
    """Return service times from those measured on another GPU, by the ratio at which public models like it ran on the two."""
    for entry in profile.elsewhere:
        there = measured_there(profile, entry.hardware)
        grid = service_grids(there).get((variant.id, 1, 1)) if there is not None else None
        if grid is None:
            continue

        def call(batch_size: int, length: int | None, grid: ServiceGrid = grid, source: str = entry.hardware) -> Estimate | None:
            index = grid.lengths.index(length)
            if batch_size not in grid.batch_sizes[index]:
                return None
            known = grid.medians[index][grid.batch_sizes[index].index(batch_size)]
            query = _query(profile, precision_of(variant), batch_size, length)
            query = msgspec.structs.replace(query, items_per_s={source: batch_size / known.value})
            said = public_models.ratio(query, source, place.hardware.id, public)
            if said is None:
                return None
            times, margin = math.exp(said.log_value), math.exp(said.log_margin)
            return Estimate(
                value=known.value / times,
                low=known.low / times / margin,
                high=known.high / times * margin,
                basis="projected",
                source=f"measured on {source}, times the ratio of {said.rows} public measurements on both",
            )

        sizes = tuple(sorted({each for sizes in grid.batch_sizes for each in sizes}))
        room = _batches(profile, variant, place, "gpu", sizes[-1])
        made = _grid(variant.id, 1, place.devices, grid, tuple(each for each in sizes if each <= max(room, default=1)), call)
        if made is not None:
            return {(variant.id, 1, place.devices): made}, "anchored"
    return {}, "anchored"


def _query(profile: Profile, precision: Precision, batch_size: int, length: int | None) -> PublicSeries:
    model = profile.model
    longer = length / model.at_sequence_length if length and model.at_sequence_length else 1.0
    return PublicSeries(
        model=model.name,
        family="",
        precision=precision,
        framework="onnx runtime",
        scenario="",
        batch_size=batch_size,
        sequence_length=length,
        flop_per_item=model.flop_per_item * longer if model.flop_per_item else None,
        activations_per_item=model.activation_bytes_per_item * longer / 4 if model.activation_bytes_per_item else None,
        parameters=float(model.parameters) if model.parameters else None,
        items_per_s={},
    )


def _on_cpu(
    place: Place, profile: Profile, variant: Variant, grids: dict[Key, ServiceGrid], public: PublicMeasurements
) -> tuple[dict[Key, ServiceGrid], GroundOfService]:
    """Return service times from those of the profiled machine, by the ratio of the rooflines of what an instance has of each.

    Only settings that fill the machine are carried over: to one instance on all cores, and to one on each.
    """
    error = public_models.error_of(public, "cpu", "roofline")
    here, there, precision = local_hardware(profile.machine), place.hardware, precision_of(variant)
    cores, found = there.cores or 1, {}
    for (_, threads, instances), grid in grids.items():
        if threads * instances != profile.machine.cores or 1 not in (threads, instances) or error is None:
            continue
        setting = (cores, 1) if instances == 1 else (1, cores)
        margin = math.exp(error.quantile)

        def call(batch_size: int, length: int | None, grid: ServiceGrid = grid, margin: float = margin) -> Estimate | None:
            index = grid.lengths.index(length)
            if batch_size not in grid.batch_sizes[index]:
                return None
            known = grid.medians[index][grid.batch_sizes[index].index(batch_size)]
            # Of a precision that no CPU was seen in, nobody knows how much of its higher rate is reached: perhaps no more than of fp32.
            ways: list[Precision] = [precision] if f"cpu/{precision}" in public.efficiency else [precision, "fp32"]
            ratios = []
            for way in ways:
                work = public_models.work_of(profile.model, way, length=length)
                before = public_models.roofline_s(work, here, way, batch_size, share=1 / grid.instances)
                after = public_models.roofline_s(work, there, way, batch_size, share=1 / (cores if grid.instances > 1 else 1))
                if not before or after is None:
                    return None
                ratios.append(after / before)
            return Estimate(
                value=known.value * math.sqrt(min(ratios) * max(ratios)),
                low=known.low * min(ratios) / margin,
                high=known.high * max(ratios) * margin,
                basis="projected",
                source=f"measured on {profile.machine.cpu}, times the ratio of the rooflines of {there.name}",
            )

        room = _batches(profile, variant, place, "cpu", grid.max_batch_size)
        measured = sorted({each for sizes in grid.batch_sizes for each in sizes if each <= max(room, default=1)})
        made = _grid(variant.id, *setting, grid, tuple(measured), call)
        if made is not None:
            found[variant.id, *setting] = made
    return found, "roofline"


def _grid(
    variant: str,
    threads: int,
    instances: int,
    pattern: ServiceGrid,
    batches: tuple[int, ...],
    call: Callable[[int, int | None], Estimate | None],
) -> ServiceGrid | None:
    """Return the grid of what `call` says at each length of the pattern and each batch; single calls spread as they do there."""
    sizes, medians = [], []
    for length in pattern.lengths:
        said = {batch: made for batch in batches if (made := call(batch, length)) is not None}
        if not said:
            return None
        sizes.append(tuple(said))
        medians.append(tuple(said.values()))
    return ServiceGrid(
        variant=variant,
        intra_op_num_threads=threads,
        instances=instances,
        lengths=pattern.lengths,
        batch_sizes=tuple(sizes),
        medians=tuple(medians),
        spread=pattern.spread,
    )
