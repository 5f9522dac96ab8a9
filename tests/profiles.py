"""Profiles made by a law instead of by measuring: where the true service times are known, a wrong decision can be told from a right one."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from advisor.decide.advice.sites import Request, under_load
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.files.catalog import machine_as_hardware, read_processors
from advisor.schema.advice import Place
from advisor.schema.arrays.trace import Trace
from advisor.schema.catalog import LOCAL, Hardware
from advisor.schema.distillation import Student
from advisor.schema.model import Batching, ModelFacts, ModelInput, ModelOutput
from advisor.schema.profile import Machine, Measurement, Profile, ProfileSettings, QualityResult, Site, Variant, Visit
from advisor.schema.record import SCHEMA_VERSION, Estimate, Metric
from advisor.schema.workload import (
    Baseline,
    HardwareChoice,
    Inputs,
    Lifecycle,
    OnlineWorkload,
    Quality,
    SequenceLength,
    Slo,
    Traffic,
)

# Seconds of a call from variant, batch size, sequence length, intra_op_num_threads and instances.
Law = Callable[[str, int, int | None, int, int], float]

PROCESSORS = read_processors()
NOW = "2026-11-22T08:00:00+00:00"
STEADY = (1.0,)  # every call takes as long as its point says
UNSTEADY = (0.9, 0.95, 0.98, 1.0, 1.0, 1.02, 1.1, 1.4)  # a long tail to the right, as calls on a machine with other work have


def power_law(seconds: float, *, batch: float = 1.0, length: float = 1.0, threads: float = 1.0) -> Law:
    """Return the law seconds * batch_size^batch * sequence_length^length / threads^threads, the same for all variants."""

    def law(_: str, batch_size: int, sequence_length: int | None, intra_op_num_threads: int, __: int) -> float:
        return seconds * batch_size**batch * float(sequence_length or 1) ** length / intra_op_num_threads**threads

    return law


def fixed_cost_law(fixed_s: float, item_s: float, *, of_variant: dict[str, float] | None = None) -> Law:
    """Return the law of a call that costs something by itself and something per item; `of_variant` multiplies both."""

    def law(variant: str, batch_size: int, sequence_length: int | None, _: int, __: int) -> float:
        return (fixed_s + item_s * batch_size * float(sequence_length or 1)) * (of_variant or {}).get(variant, 1.0)

    return law


def visit(*latency_s: float, order: int = 0) -> Visit:
    return Visit(order=order, latency_s=latency_s, run_delay_s=0.0)


def busy(
    call_s: float = 1.0,
    waited_s: float = 1.0,
    *,
    calls: int = 5,
    known: bool = True,
) -> Visit:
    """Return a visit whose calls take `call_s` of their cores, beside what else ran there, and waited on top of it."""
    return Visit(
        order=0,
        latency_s=(call_s + waited_s,) * calls,
        run_delay_s=calls * waited_s,
        waited_s=(waited_s,) * calls if known else None,
    )


def measurement(
    variant: str,
    batch_size: int,
    seconds: float,
    *,
    sequence_length: int | None = None,
    setting: tuple[int, int] = (1, 1),
    calls: Sequence[float] = STEADY,
    visits: Sequence[float] = (1.0, 1.0, 1.0),
) -> Measurement:
    """Return one point; `calls` are single calls over the median of their visit, `visits` medians of visits over `seconds`."""
    return Measurement(
        variant=variant,
        batch_size=batch_size,
        sequence_length=sequence_length,
        intra_op_num_threads=setting[0],
        instances=setting[1],
        visits=tuple(visit(*(seconds * level * call for call in calls), order=order) for order, level in enumerate(visits)),
    )


def variant(
    id_: str = "fp32", *, lossless: bool = True, quality: QualityResult | None = None, student: Student | None = None
) -> Variant:
    """Return the baseline under the name fp32, anything else as derived from it."""
    is_baseline = id_ == "fp32"
    return Variant(
        id=id_,
        scheme="none" if is_baseline else id_,
        title=f"the model as {id_}",
        path=f"{id_}.onnx",
        sha256="0" * 64,
        bytes=1_000_000,
        derived_from=None if is_baseline else "fp32",
        changed_operators={},
        changed_weight_bytes=0,
        lossless=lossless,
        load_s=0.1,
        peak_memory_bytes=None,
        agreement=None,
        quality=quality,
        student=student,
    )


def student(
    id_: str = "layers-3", *, blocks: int | None = 3, parameters: int = 500_000, is_trained: bool = False, **changed: Any
) -> Student:
    """Return a student of a model of six layers and a million parameters."""
    made = Student(
        id=id_,
        kind="blocks",
        blocks=blocks,
        teacher_blocks=6,
        parameters=parameters,
        teacher_parameters=1_000_000,
        is_trained=is_trained,
    )
    return replace(made, **changed)


def configuration(*, instances: int = 1, max_batch_size: int = 1, max_queue_delay_s: float = 0.0) -> Configuration:
    """Return a way to serve the model as given on one thread an instance."""
    return Configuration(
        variant="fp32",
        intra_op_num_threads=1,
        instances=instances,
        max_batch_size=max_batch_size,
        max_queue_delay_s=max_queue_delay_s,
    )


def drop_of(value: float, high: float, *, metric: Metric = "accuracy") -> QualityResult:
    """Return a measured drop in quality whose interval ends at `high`."""
    drop = Estimate(value=value, low=2 * value - high, high=high, basis="measured", source="a test")
    return QualityResult(metric=metric, data_sha256="0" * 64, items=1000, baseline=0.9, value=0.9 - value, drop=drop)


def facts(*, has_length: bool, can_batch: bool = True) -> ModelFacts:
    shape = ("batch", "sequence") if has_length else ("batch", 3)
    return ModelFacts(
        name="model.onnx",
        format="onnx",
        sha256="0" * 64,
        family="encoder" if has_length else "other",
        parameters=1_000_000,
        weight_bytes=4_000_000,
        file_bytes=4_100_000,
        opset={"": 18},
        already_quantized=False,
        inputs=(
            ModelInput(
                name="x",
                dtype="float32",
                shape=shape,
                example_shape=(1, 3),
                role="features",
                batch_axis=0,
                sequence_axis=1 if has_length else None,
                upper_bound=None,
            ),
        ),
        outputs=(ModelOutput(name="y", dtype="float32", shape=("batch", 4), has_classes=True),),
        batching=Batching(possible=can_batch, reason="as the test says"),
        operators=(),
        flop_per_item=1e6,
        activation_bytes_per_item=1e5,
        at_sequence_length=None,
        kv_bytes_per_token=None,
        notes=(),
    )


def profile(
    law: Law,
    *,
    variants: Sequence[Variant] = (variant(),),
    batch_sizes: Sequence[int] = (1, 4, 16),
    lengths: Sequence[int | None] = (None,),
    settings: Sequence[tuple[int, int]] = ((1, 1),),
    calls: Sequence[float] = STEADY,
    visits: Sequence[float] = (1.0, 1.0, 1.0),
    noise_fraction: float | None = 0.0,
) -> Profile:
    """Return what would have been measured of a machine that obeys the law; `settings` are (intra_op_num_threads, instances)."""
    has_length = lengths[0] is not None
    measurements = tuple(
        measurement(
            entry.id,
            batch_size,
            law(entry.id, batch_size, length, *setting),
            sequence_length=length,
            setting=setting,
            calls=calls,
            visits=visits,
        )
        for entry in variants
        for setting in settings
        for length in lengths
        for batch_size in batch_sizes
    )
    machine = Machine(
        cpu="a test", cores=max(threads for threads, _ in settings), memory_bytes=2**33, instruction_sets=(), system="Linux"
    )
    site = Site(
        hardware=machine_as_hardware(machine, PROCESSORS),
        machine=machine,
        created=NOW,
        advisor_version="0",
        fingerprint="0" * 64,
        versions={"onnxruntime": "1"},
        measuring_s=1.0,
        noise_fraction=noise_fraction,
        variants=tuple(variants),
        measurements=measurements,
        exclusions=(),
        notes=(),
    )
    return Profile(
        schema_version=SCHEMA_VERSION,
        model=facts(has_length=has_length, can_batch=max(batch_sizes) > 1),
        settings=ProfileSettings(
            sequence_lengths=tuple(length for length in lengths if length is not None),
            max_batch_size=max(batch_sizes),
            max_latency_s=None,
            budget_s=60.0,
            seed=0,
            inputs_sha256=None,
            quality_metric=None,
            quality_data_sha256=None,
        ),
        sites=(site,),
    )


def with_site(measured: Profile, **changed: Any) -> Profile:
    """Return the profile with fields of its first site changed."""
    first, *others = measured.sites
    return replace(measured, sites=(replace(first, **changed), *others))


def on(measured: Profile, hardware: Hardware, **changed: Any) -> Site:
    """Return the first site as if it were other hardware, with fields of it changed."""
    return replace(measured.sites[0], hardware=hardware, **changed)


def workload(
    requests_per_s: float = 50.0,
    latency_s: float = 0.1,
    *,
    quantile: float = 0.9,
    burstiness_cv: float = 1.0,
    diurnal: tuple[float, ...] | None = None,
    usd_per_hour: float = 1.0,
    sequence_length: SequenceLength | None = None,
    quality: Quality | None = None,
    baseline: Baseline | None = None,
    lifecycle: Lifecycle | None = None,
) -> OnlineWorkload:
    """Return a workload; the default quantile is one that few requests settle."""
    return OnlineWorkload(
        name="a test",
        traffic=Traffic(requests_per_s=requests_per_s, burstiness_cv=burstiness_cv, diurnal=diurnal),
        slo=Slo(latency_s=latency_s, quantile=quantile),
        hardware=HardwareChoice(allowed=("local",), price_usd_per_hour={"local": usd_per_hour}),
        inputs=Inputs(sequence_length=sequence_length) if sequence_length else None,
        quality=quality,
        lifecycle=lifecycle,
        baseline=baseline,
    )


def place(hardware: Hardware, usd_per_hour: float = 1.0) -> Place:
    """Return hardware at a price that the user gave."""
    price = Estimate(value=usd_per_hour, low=usd_per_hour, high=usd_per_hour, basis="list-price", source="the workload file")
    machine = "the machine of the profile" if hardware.id == LOCAL else "at the price of the workload file"
    return Place(hardware=hardware, machine=machine, price_usd_per_hour=price, price_date=None, price_is_stale=False, carbon=None)


def home_of(measured: Profile, asked: OnlineWorkload) -> Place:
    """Return the profile's first machine at the price that the workload has for it."""
    hardware = measured.sites[0].hardware
    return place(hardware, asked.hardware.price_usd_per_hour[hardware.id])


def request(asked: OnlineWorkload, measured: Profile, **changed: Any) -> Request:
    home = home_of(measured, asked)
    made = Request(
        workload=asked,
        rules=(),
        profile_sha256="0" * 64,
        profile_path="profile.json",
        created=NOW,
        home=home,
        places=(home,),
    )
    return replace(made, **changed)


def under(asked: OnlineWorkload, measured: Profile, trace: Trace | None = None, **changed: Any) -> SiteUnderLoad:
    """Return the profile's first machine under the workload's load."""
    return under_load(measured, request(asked, measured, **changed), trace).home
