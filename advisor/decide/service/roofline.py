"""The least that a call can take: each operator at the device's peak rate or at its memory's bandwidth, whichever is slower.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures", CACM 52(4), 2009.
"""

from advisor.schema.catalog import DeviceClass, Hardware, PublicSeries
from advisor.schema.model import ModelFacts
from advisor.schema.record import Record

ITEM_BYTES = {"fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5, "fp4": 0.5}
# Cost of launching one kernel: assumed. Launches of CUDA kernels are reported to take 2 to 10 us, calls on a CPU one or two.
LAUNCH_S: dict[DeviceClass, float] = {"gpu": 5e-6, "cpu": 1e-6}
# A rate that does the work of the first: fp32 runs as tf32 where there is tf32, and half precision in either of its forms.
RUNS_AS = {"fp32": ("tf32", "fp32"), "tf32": ("tf32", "fp32"), "fp16": ("fp16", "bf16"), "bf16": ("bf16", "fp16")}


class Work(Record, frozen=True, kw_only=True):
    """What one operator type does: operations and bytes that grow with the batch, bytes that do not, and kernels."""

    flop_per_item: float
    bytes_per_item: float
    weight_bytes: float
    kernels: int


def device_class(hardware: Hardware) -> DeviceClass | None:
    """Return the class whose errors are known and hold for the device; None where nothing was held back of its kind."""
    return "gpu" if hardware.kind == "gpu" else "cpu" if hardware.kind == "cpu" else None


def peak_flop_per_s(hardware: Hardware, precision: str) -> float | None:
    """Return the dense rate at which a precision runs; None where the device lacks it."""
    rates = {str(name): rate for name, rate in hardware.peak_flop_per_s.items()}
    return next((rates[name] for name in RUNS_AS.get(precision, (precision,)) if name in rates), None)


def work_of(model: ModelFacts, precision: str, *, length: int | None) -> tuple[Work, ...]:
    """Return the work of each operator type at a length; what grows with the length is taken to grow in proportion."""
    longer = length / model.at_sequence_length if length and model.at_sequence_length else 1.0
    scale = ITEM_BYTES[precision] / ITEM_BYTES["fp32"]
    return tuple(
        Work(
            flop_per_item=(entry.flop_per_item or 0.0) * longer,
            bytes_per_item=entry.activation_bytes_per_item * longer * scale,
            weight_bytes=entry.weight_bytes * scale,
            kernels=entry.count,
        )
        for entry in model.operators
    )


def roofline_s(
    work: tuple[Work, ...], hardware: Hardware, precision: str, batch_size: int, *, share: float = 1.0
) -> float | None:
    """Return the least seconds of a batch on a `share` of the device; None where a rate is not known or the precision is lacking."""
    peak, bandwidth = peak_flop_per_s(hardware, precision), hardware.memory_bandwidth_bytes_per_s
    if peak is None or bandwidth is None:
        return None
    return sum(
        max(
            batch_size * entry.flop_per_item / (peak * share),
            (batch_size * entry.bytes_per_item + entry.weight_bytes) / (bandwidth * share),
        )
        for entry in work
    )


def launches_s(work: tuple[Work, ...], hardware: Hardware) -> float:
    """Return what starting the kernels of a call takes, whatever they do."""
    return sum(entry.kernels for entry in work) * LAUNCH_S[device_class(hardware) or "gpu"]


def series_roofline_s(series: PublicSeries, hardware: Hardware) -> float | None:
    """Return the least seconds per item of a public series: its work is known as a whole only, its activations as a number."""
    if series.flop_per_item is None or series.precision is None:
        return None
    size = ITEM_BYTES[series.precision]
    work = Work(
        flop_per_item=series.flop_per_item,
        bytes_per_item=(series.activations_per_item or 0.0) * size,
        weight_bytes=(series.parameters or 0.0) * size,
        kernels=0,
    )
    batch = max(1, round(series.batch_size or 1))
    least = roofline_s((work,), hardware, series.precision, batch, share=float(series.devices))
    return None if least is None else least / batch
