"""What it costs to make a student: training on a device, labels, validation and work; and again with each release of its teacher."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from advisor.decide.lifetime import horizon, intervals, training_cost
from advisor.decide.lifetime.inputs import Life, Market
from advisor.decide.lifetime.intervals import Ends
from advisor.decide.lifetime.serving_cost import SECONDS_PER_HOUR, Values
from advisor.schema.advice import Place
from advisor.schema.catalog import Constant, Hardware, Lever
from advisor.schema.distillation import Student
from advisor.schema.lifetime import Making
from advisor.schema.record import Basis, Estimate
from advisor.schema.workload import Lifecycle, LifeOptions
from advisor.units import count, counted, number, usd, work_of

LEVER = "distil"
# Precisions in which models are trained, the fastest first where a device has it.
TRAINED_IN = ("bf16", "fp16", "fp32")
NEEDED = ("student_tokens_per_parameter", "student_again_fraction", "experiments_per_release", "training_mfu_fraction")


class Trainer(NamedTuple):
    """What trains: its operations a second at the peak, and what an hour of it costs."""

    device: str
    flop_per_s: float
    usd_per_hour: float


def lever_of(market: Market, life: Life) -> Lever | None:
    """Return the lever that a student is; None where the catalog lacks it, or what its cost is counted from."""
    if any(name not in market.model.constants for name in NEEDED) or "engineer_usd_per_day" not in life.figures:
        return None
    return next((lever for lever in market.model.levers if lever.id == LEVER), None)


def trainer_of(lifecycle: Lifecycle, market: Market, places: tuple[Place, ...]) -> Trainer | None:
    """Return what a student is trained on: the device named for it, the one that serves, or the first of `places`."""
    given = lifecycle.training_device_usd_per_hour
    for device in (market.training_device, None if market.is_device_assumed else market.device):
        if device is not None and device.training_flop_per_s is not None:
            price = given if given is not None else device.usd_per_hour.value if device.usd_per_hour is not None else None
            if price is not None:
                return Trainer(device.id, device.training_flop_per_s, price)
    for place in places:
        rate = _training_rate(place.hardware)
        if rate is not None:
            price = place.price_usd_per_hour.value / place.devices
            return Trainer(place.hardware.id, rate, given if given is not None else price)
    return None


def _training_rate(hardware: Hardware) -> float | None:
    return next((hardware.peak_flop_per_s[name] for name in TRAINED_IN if name in hardware.peak_flop_per_s), None)


def making_of(
    student: Student, lever: Lever, life: Life, lifecycle: Lifecycle, market: Market, trainer: Trainer | None
) -> Making:
    """Return what a student costs; without a known trainer its compute is not counted, and `because` says so.

    Only transformers are trained for longer than the work around it notices: a student of a forest, or one of averaged vectors, takes
    seconds to minutes of a processor.
    """
    options, x = lifecycle.options or LifeOptions(), life.values
    is_trained_long = student.kind == "blocks"
    inputs = _inputs(student, lever, life, market, options, trainer if is_trained_long else None)
    flop = _flop(_values(inputs), student) if is_trained_long else None
    validation = training_cost.validation_of_a_change_usd(x) if life.flags.get("is_regulated", False) else 0.0
    labels = training_cost.priced_labels_usd(options.student_labels or 0.0, x) if options.student_labels else 0.0
    beside = (validation or 0.0) + (labels or 0.0)
    times = training_cost.releases(x) or 0.0
    worth = times * horizon.worth_of_a_month(x) / x["horizon_months"]

    def first(at: Values) -> float:
        return _compute_usd(at, student) + beside + at["days"] * at["usd_per_day"]

    def again(at: Values) -> float:
        return _compute_usd(at, student) + beside + at["again"] * at["days"] * at["usd_per_day"]

    def total(at: Values) -> float:
        return first(at) + worth * again(at)

    def hours(at: Values) -> float:
        return _hours(at, student)

    uncounted = _uncounted(life, options, labels, validation, has_compute=not is_trained_long or trainer is not None)
    counted_ = _counted(student, inputs, flop, trainer, times)
    days = lever.effort_engineer_days
    return Making(
        flop=flop,
        device=trainer.device if trainer is not None and is_trained_long else "",
        device_hours=_estimate(hours, inputs, counted_) if "usd_per_device_hour" in inputs else None,
        engineer_days=Estimate(value=days.value, low=days.low, high=days.high, basis="assumed", source=days.source.what),
        once_usd=_estimate(first, inputs, counted_),
        again_usd=_estimate(again, inputs, f"{counted_}; {number(_values(inputs)['again'])} of the work"),
        times_again=times,
        total_usd=_estimate(total, inputs, f"{counted_}; {_repeated(times)}"),
        because="; ".join((counted_, _repeated(times), *uncounted)),
    )


def _inputs(
    student: Student, lever: Lever, life: Life, market: Market, options: LifeOptions, trainer: Trainer | None
) -> dict[str, Ends]:
    """Return what the cost is counted from, each with its interval; what the workload gives is exact."""
    constants, figures, days = market.model.constants, life.figures, lever.effort_engineer_days
    found = {
        "days": Ends(days.value, days.low, days.high),
        "usd_per_day": _of_figure(figures["engineer_usd_per_day"]),
        "again": _of_constant(constants["student_again_fraction"]),
    }
    if trainer is None:
        return found
    tokens = _of_constant(constants["student_tokens_per_parameter"], student.parameters)
    if options.student_tokens is not None:
        tokens = Ends(options.student_tokens, options.student_tokens, options.student_tokens)
    return {
        **found,
        "tokens": tokens,
        "experiments": _either(figures, "experiments_per_release", constants),
        "mfu": _either(figures, "training_mfu_fraction", constants),
        "flop_per_s": Ends(trainer.flop_per_s, trainer.flop_per_s, trainer.flop_per_s),
        "usd_per_device_hour": Ends(trainer.usd_per_hour, trainer.usd_per_hour, trainer.usd_per_hour),
    }


def _either(figures: Mapping[str, Estimate], name: str, constants: Mapping[str, Constant]) -> Ends:
    return _of_figure(figures[name]) if name in figures else _of_constant(constants[name])


def _of_figure(figure: Estimate) -> Ends:
    return Ends(figure.value, figure.low, figure.high)


def _of_constant(constant: Constant, factor: float = 1.0) -> Ends:
    return Ends(constant.value * factor, constant.low * factor, constant.high * factor)


def _values(inputs: Mapping[str, Ends]) -> dict[str, float]:
    return {name: ends.value for name, ends in inputs.items()}


def _flop(at: Values, student: Student) -> float | None:
    """Return the operations of all experiments; None where it is not known how many tokens, for want of what trains."""
    if "tokens" not in at:
        return None
    return training_cost.student_flop(
        at["tokens"],
        parameters=float(student.parameters),
        teacher_parameters=float(student.teacher_parameters),
        experiments=at["experiments"],
    )


def _hours(at: Values, student: Student) -> float:
    return (_flop(at, student) or 0.0) / (at["flop_per_s"] * at["mfu"]) / SECONDS_PER_HOUR


def _compute_usd(at: Values, student: Student) -> float:
    return _hours(at, student) * at["usd_per_device_hour"] if "usd_per_device_hour" in at else 0.0


def _estimate(compute: Callable[[Values], float], inputs: Mapping[str, Ends], source: str) -> Estimate:
    """Return a figure by the rule of all intervals: each input at its ends by itself."""
    x = _values(inputs)
    at_ends = [compute({**x, name: end}) for name, ends in inputs.items() for end in (ends.low, ends.high) if end != ends.value]
    basis: Basis = "assumed"
    return intervals.estimate(intervals.of_cost(compute(x), at_ends), basis, source)


def _counted(student: Student, inputs: Mapping[str, Ends], flop: float | None, trainer: Trainer | None, times: float) -> str:
    days, each = inputs["days"], inputs["usd_per_day"].value
    work = f"{work_of(days.value, days.low, days.high)} at {usd(each)}"
    if student.kind != "blocks":
        return f"{work}; its training takes seconds to minutes of a processor"
    if flop is None or trainer is None:
        return work
    tokens = inputs["tokens"].value
    trained = (
        f"{count(tokens)} tokens x (6 x {count(student.parameters)} parameters + 2 x {count(student.teacher_parameters)} of the teacher) x "
        f"{number(inputs['experiments'].value)} experiments on {trainer.device} at {usd(trainer.usd_per_hour)}/h"
    )
    return f"{work}; {trained}"


def _repeated(times: float) -> str:
    if not times:
        return "made once: the workload plans no release of the teacher (lifecycle.fine_tunings_per_year)"
    return (
        f"made again for {counted(round(times), 'release')} of the teacher"
        if times == round(times)
        else (f"made again for {number(times)} releases of the teacher")
    )


def _uncounted(
    life: Life, options: LifeOptions, labels: float | None, validation: float | None, *, has_compute: bool
) -> tuple[str, ...]:
    """Return what is not in the cost, each with the key that would bring it in."""
    found = []
    if not has_compute:
        found.append("its compute is not counted: name lifecycle.training_device")
    if options.student_labels and labels is None:
        found.append("its labels are not counted: give lifecycle.data.usd_per_label")
    if life.flags.get("is_regulated", False) and validation is None:
        found.append("its validation is not counted: give lifecycle.data.validation_usd_per_release")
    return tuple(found)
