"""Service on hardware that the model was not measured on, projected from the sites where it was; and what does not fit there."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from advisor.decide.service import public_models, roofline
from advisor.decide.service.measured import GroundOfService, Service, ServiceGrid, Setting, setting_of
from advisor.quantized_operators import computing_precision
from advisor.schema.advice import Place
from advisor.schema.catalog import CPU, DeviceClass, Hardware, Precision, PublicMeasurements, PublicSeries
from advisor.schema.model import ModelFacts
from advisor.schema.profile import Site, Variant
from advisor.schema.record import Estimate, Exclusion
from advisor.units import size

MAX_PROJECTED_BATCH = 64
# What a process holds beside weights and activations: a CUDA context and the workspaces of its libraries, or an interpreter with
# ONNX Runtime. Assumed, on the generous side.
RUNTIME_BYTES: dict[DeviceClass, float] = {"gpu": 1.0e9, "cpu": 0.3e9}
# Of what several operators hold at once no more than this part of all activations is counted: buffers are used again.
HELD_ACTIVATIONS = 0.5
CPU_ONLY_OPERATORS = {"DynamicQuantizeLinear"}  # ONNX Runtime has no CUDA kernel for it
MEASURABLE = ("cpu", "edge", "gpu")  # by ONNX Runtime, of GPUs those that one of its providers reaches
WEAKEST_FIRST: tuple[GroundOfService, ...] = ("roofline", "similar", "anchored")


class Source(NamedTuple):
    """A site that was measured, and the service times there."""

    site: Site
    service: Service


class _Target(NamedTuple):
    """One variant of a source, on its way to other hardware."""

    place: Place
    kind: DeviceClass
    model: ModelFacts
    source: Source
    variant: Variant
    precision: Precision
    public: PublicMeasurements

    @property
    def grids(self) -> dict[Setting, ServiceGrid]:
        return {key: grid for key, grid in self.source.service.grids.items() if key[0] == self.variant.id}

    @property
    def longest(self) -> int | None:
        """The longest sequence that was measured."""
        known = [entry.sequence_length for entry in self.source.site.measurements if entry.sequence_length is not None]
        return max(known, default=None)


def operators_of(model: ModelFacts, variant: Variant) -> set[str]:
    """Return the operator types in a variant's file: those of the model as given, and what making the variant added or took away."""
    counts = {entry.type: entry.count for entry in model.operators}
    for name, more in variant.changed_operators.items():
        counts[name] = counts.get(name, 0) + more
    return {name for name, count in counts.items() if count > 0}


def precision_of(model: ModelFacts, variant: Variant) -> Precision:
    """Return in which precision most of a variant's arithmetic runs; a model that was given in 8-bit integers stays in them."""
    plain: tuple[Precision, ...] = ("bf16", "fp16", "fp32")
    in_floats = next((precision for precision in plain if precision in variant.scheme), plain[-1])
    return computing_precision(operators_of(model, variant)) or in_floats


def memory_bytes(model: ModelFacts, variant: Variant, kind: DeviceClass, batch_size: int, length: int | None) -> float:
    """Return what serving takes of the memory: weights, activations of a batch, the cache of its tokens, the runtime."""
    longer = length / model.at_sequence_length if length and model.at_sequence_length else 1.0
    activations = (model.activation_bytes_per_item or 0.0) * longer * batch_size * HELD_ACTIVATIONS
    cache = (model.kv_bytes_per_token or 0) * (length or 0) * batch_size
    return variant.bytes + activations + cache + RUNTIME_BYTES[kind]


def projected(place: Place, model: ModelFacts, sources: Sequence[Source], public: PublicMeasurements) -> Service:
    """Return service times on hardware that the model was not measured on; what cannot be projected is an Exclusion.

    Each variant is projected from the first of the sources that has it, those of the target's kind of device before the others.
    """
    hardware, kind = place.hardware, roofline.device_class(place.hardware)
    if kind is None:
        return _nothing(f"no public measurements of {hardware.kind} hardware to take an interval from", hardware, sources)
    if not model.flop_per_item or not any(entry.flop_per_item for entry in model.operators):
        return _nothing("the operations of the model are not known", hardware, sources)
    if hardware.memory_bytes is None or hardware.memory_bandwidth_bytes_per_s is None:
        return _nothing("the catalog has no memory size or bandwidth for it", hardware, sources)
    found: dict[Setting, ServiceGrid] = {}
    exclusions: list[Exclusion] = []
    grounds: set[GroundOfService] = set()
    first: dict[str, tuple[Source, Variant]] = {}
    for source in sorted(sources, key=lambda source: roofline.device_class(source.site.hardware) != kind):
        for variant in source.site.variants:
            first.setdefault(variant.id, (source, variant))
    for source, variant in first.values():
        target = _Target(place, kind, model, source, variant, precision_of(model, variant), public)
        made, ground, reason = _service(target)
        found |= made
        if made:
            grounds.add(ground)
        else:
            exclusions.append(Exclusion(what=f"{variant.id} on {hardware.id}", reason=reason))
    return Service(
        grids=found,
        variants=tuple(variant for _, variant in first.values()),
        exclusions=tuple(exclusions),
        ground=next((ground for ground in WEAKEST_FIRST if ground in grounds), "roofline"),
        trial=sources[0].service.trial,
        noise_fraction=sources[0].service.noise_fraction,
        versions=sources[0].service.versions,
    )


def _service(target: _Target) -> tuple[dict[Setting, ServiceGrid], GroundOfService, str]:
    """Return the grids of one variant and their ground, or no grids and the reason."""
    fault = _fault(target)
    if fault is not None:
        return {}, "roofline", fault
    unknown = f"no public data shows how fast {target.precision} is there"
    if target.kind == "cpu":
        return (_from_another_cpu(target) if _is_cpu(target.source.site.hardware) else {}), "roofline", unknown
    anchored = _from_another_gpu(target)
    if anchored:
        return anchored, "anchored", unknown
    if target.variant.student is not None:
        return {}, "roofline", f"what a student computes is known where it was measured; {measure_there(target.place.hardware)}"
    return *_by_roofline(target), unknown


def measure_there(hardware: Hardware) -> str:
    """Return the hint to measure instead of projecting."""
    if hardware.kind in MEASURABLE:
        return f"profile it there (advisor profile --hardware {hardware.id}) and merge the two (advisor merge)"
    return f"try it on a {hardware.name}; advisor cannot measure there"


def _is_cpu(hardware: Hardware) -> bool:
    return hardware.kind in ("cpu", "edge")


def _nothing(reason: str, hardware: Hardware, sources: Sequence[Source]) -> Service:
    way_out = measure_there(hardware)
    return Service(
        grids={},
        variants=sources[0].site.variants,
        exclusions=(Exclusion(what=hardware.id, reason=f"not projected: {reason}; {way_out}"),),
        ground="roofline",
        versions=sources[0].service.versions,
    )


def _fault(target: _Target) -> str | None:
    """Return why a variant cannot run on the hardware, None if it can: precision first, then memory, before speed is asked."""
    hardware, precision = target.place.hardware, target.precision
    if roofline.peak_flop_per_s(hardware, precision) is None:
        return f"{hardware.name} has no {precision} rate"
    bound = CPU_ONLY_OPERATORS & operators_of(target.model, target.variant)
    if target.kind != "cpu" and bound:
        return f"ONNX Runtime runs {', '.join(sorted(bound))} on CPUs only"
    if target.kind == "cpu" and target.variant.provider != CPU and not _is_cpu(target.source.site.hardware):
        return f"measured with {target.variant.provider}, which does not run on a CPU"
    assert hardware.memory_bytes is not None
    need = memory_bytes(target.model, target.variant, target.kind, 1, target.longest)
    if need > hardware.memory_bytes:
        return f"needs {size(need)} of memory for a single item, {hardware.name} has {size(hardware.memory_bytes)}"
    return None


def _batches(target: _Target, most: int) -> tuple[int, ...]:
    """Return the powers of two that fit into the memory."""
    if not target.model.batching.possible:
        return (1,)
    room = target.place.hardware.memory_bytes or 0.0
    sizes = [1 << power for power in range(most.bit_length())]
    return tuple(each for each in sizes if memory_bytes(target.model, target.variant, target.kind, each, target.longest) <= room)


def _by_roofline(target: _Target) -> tuple[dict[Setting, ServiceGrid], GroundOfService]:
    """Return service times from the work of the model and the share of the roofline that public models reach on the device."""
    pattern = next(iter(target.grids.values()), None)
    if pattern is None:
        return {}, "roofline"
    precision, hardware = target.precision, target.place.hardware
    grounds: set[GroundOfService] = set()

    def call(batch_size: int, length: int | None) -> Estimate | None:
        work = roofline.work_of(target.model, precision, length=length)
        least = roofline.roofline_s(work, hardware, precision, batch_size)
        share = public_models.share_of_roofline(_query(target, batch_size, length), hardware, target.public)
        if least is None or share is None:
            return None
        grounds.add(share.ground)
        value = roofline.launches_s(work, hardware) + least / math.exp(share.log_value)
        margin = math.exp(share.log_margin)
        source = (
            f"{share.rows} public measurements of similar models on {hardware.name}"
            if share.ground == "similar"
            else f"its roofline, and the share of it that {share.rows} public measurements reach on GPUs"
        )
        return Estimate(value=value, low=value / margin, high=value * margin, basis="projected", source=source)

    grid = _grid(target, (1, target.place.devices), pattern, _batches(target, MAX_PROJECTED_BATCH), call)
    ground: GroundOfService = "similar" if grounds == {"similar"} else "roofline"
    return ({} if grid is None else {setting_of(grid): grid}), ground


def _from_another_gpu(target: _Target) -> dict[Setting, ServiceGrid]:
    """Return service times from those measured on another GPU, by the ratio at which public models like it ran on the two."""
    measured_on = target.source.site.hardware
    grid = target.grids.get((target.variant.id, 1, 1))
    if grid is None or roofline.device_class(measured_on) != "gpu":
        return {}

    def call(batch_size: int, length: int | None) -> Estimate | None:
        known = _known(grid, batch_size, length)
        if known is None:
            return None
        query = msgspec.structs.replace(
            _query(target, batch_size, length), items_per_s={measured_on.id: batch_size / known.value}
        )
        found = public_models.ratio(query, measured_on.id, target.place.hardware.id, target.public)
        if found is None:
            return None
        times, margin = math.exp(found.log_value), math.exp(found.log_margin)
        return Estimate(
            value=known.value / times,
            low=known.low / times / margin,
            high=known.high / times * margin,
            basis="projected",
            source=f"measured on {measured_on.id}, times the ratio of {found.rows} public measurements on both",
        )

    sizes = sorted({each for sizes in grid.batch_sizes for each in sizes})
    room = max(_batches(target, sizes[-1]), default=1)
    made = _grid(target, (1, target.place.devices), grid, tuple(each for each in sizes if each <= room), call)
    return {} if made is None else {setting_of(made): made}


def _known(grid: ServiceGrid, batch_size: int, length: int | None) -> Estimate | None:
    index = grid.lengths.index(length)
    if batch_size not in grid.batch_sizes[index]:
        return None
    return grid.medians[index][grid.batch_sizes[index].index(batch_size)]


def _query(target: _Target, batch_size: int, length: int | None) -> PublicSeries:
    model = target.model
    longer = length / model.at_sequence_length if length and model.at_sequence_length else 1.0
    return PublicSeries(
        model=model.name,
        family="",
        precision=target.precision,
        framework="onnx runtime",
        scenario="",
        batch_size=batch_size,
        sequence_length=length,
        flop_per_item=model.flop_per_item * longer if model.flop_per_item else None,
        activations_per_item=model.activation_bytes_per_item * longer / 4 if model.activation_bytes_per_item else None,
        parameters=float(model.parameters) if model.parameters else None,
        items_per_s={},
    )


def _from_another_cpu(target: _Target) -> dict[Setting, ServiceGrid]:
    """Return service times from those measured on another CPU, by the ratio of the rooflines of what an instance has of each.

    Only settings that fill the machine are carried over: to one instance on all cores, and to one on each.
    """
    error = public_models.error_of(target.public, "cpu", "roofline")
    site, cores = target.source.site, target.place.hardware.cores or 1
    if error is None:
        return {}
    found = {}
    for (_, threads, instances), grid in target.grids.items():
        if threads * instances != site.machine.cores or 1 not in (threads, instances):
            continue
        setting = (cores, 1) if instances == 1 else (1, cores)
        room = _batches(target, grid.max_batch_size)
        measured = sorted({each for sizes in grid.batch_sizes for each in sizes if each <= max(room, default=1)})
        made = _grid(target, setting, grid, tuple(measured), _by_ratio(target, grid, math.exp(error.quantile)))
        if made is not None:
            found[setting_of(made)] = made
    return found


def _by_ratio(target: _Target, grid: ServiceGrid, margin: float) -> Callable[[int, int | None], Estimate | None]:
    """Return the function that gives the call time on the target, by the ratio of the two rooflines; `margin` is a factor either way."""
    site, there, precision = target.source.site, target.place.hardware, target.precision
    # For a precision that was measured on no CPU, how much of its higher rate is reached is unknown: perhaps no more than of fp32.
    ways: list[Precision] = [precision] if f"cpu/{precision}" in target.public.efficiency else [precision, "fp32"]

    def call(batch_size: int, length: int | None) -> Estimate | None:
        known = _known(grid, batch_size, length)
        if known is None:
            return None
        ratios = []
        for way in ways:
            work = roofline.work_of(target.model, way, length=length)
            before = roofline.roofline_s(work, site.hardware, way, batch_size, share=1 / grid.instances)
            after = roofline.roofline_s(work, there, way, batch_size, share=1 / ((there.cores or 1) if grid.instances > 1 else 1))
            if not before or after is None:
                return None
            ratios.append(after / before)
        return Estimate(
            value=known.value * math.sqrt(min(ratios) * max(ratios)),
            low=known.low * min(ratios) / margin,
            high=known.high * max(ratios) * margin,
            basis="projected",
            source=f"measured on {site.machine.cpu}, times the ratio of the rooflines of {there.name}",
        )

    return call


def _grid(
    target: _Target,
    setting: tuple[int, int],
    pattern: ServiceGrid,
    batches: tuple[int, ...],
    call: Callable[[int, int | None], Estimate | None],
) -> ServiceGrid | None:
    """Return the grid of `call` at each length of the pattern and each batch size; single calls spread as they do there.

    `setting` is (intra_op_num_threads, instances).
    """
    sizes, medians = [], []
    for length in pattern.lengths:
        calls = {batch: made for batch in batches if (made := call(batch, length)) is not None}
        if not calls:
            return None
        sizes.append(tuple(calls))
        medians.append(tuple(calls.values()))
    return ServiceGrid(
        variant=target.variant.id,
        intra_op_num_threads=setting[0],
        instances=setting[1],
        lengths=pattern.lengths,
        batch_sizes=tuple(sizes),
        medians=tuple(medians),
        spread=pattern.spread,
    )
