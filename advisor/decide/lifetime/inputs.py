"""The inputs of the lifetime cost by name, each with its interval and its source: as given, from the price list, or assumed."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from advisor.decide.lifetime import serving_cost
from advisor.decide.lifetime.given import GIVEN, given_figures
from advisor.decide.lifetime.horizon import EVEN, HOURS, Course, exactly, figures_of_day, mean_load
from advisor.errors import InputError
from advisor.schema.catalog import Constant, LifetimeModel, Phase
from advisor.schema.lifetime import Assumption
from advisor.schema.record import Estimate, Record, Source
from advisor.schema.workload import Lifecycle
from advisor.units import size, unit_of

FLAGS = ("prompting_exhausted", "retrieval_exhausted", "data_must_stay", "is_regulated")
# Figures of the situation, which rules ask for and which cost nothing.
SITUATION = ("domain_shift", "knowledge_updates_per_year", "models_of_one_base", "budget_usd")
# Constants that count only where there is something to compute with them: a section of the lifecycle.
NEEDED_FOR = {
    "experiments_per_release": "fine_tuning",
    "pre_training_experiments": "pre_training",
    "usable_memory_fraction": "model",
    "weights_memory_fraction": "model",
    "training_mfu_fraction": "model",
    "power_usage_effectiveness": "owned",
    "busy_power_fraction": "owned",
}
# Constants that something else is made of.
PARTS = (
    *("peak_load_fraction", "idle_power_fraction", "effort_exponent"),
    *("student_tokens_per_parameter", "student_again_fraction"),
    *("reference_bandwidth_bytes_per_s", "reference_serving_flop_per_s", "devices_per_machine"),
)
# Of lifecycle.serving: how much a device serves, or that none of one's own does. Beside what is known otherwise they can only contradict.
SAYS_WHAT_A_DEVICE_SERVES = (
    *("device_requests_per_s", "device_tokens_per_s", "serving_mfu_fraction"),
    *("api_model", "serving_usd_per_hour"),
)
# Requests that read so many times as many tokens as they generate are heavy on reading; as heavy on generating the other way round.
HEAVY = 2.0


class Device(Record, frozen=True, kw_only=True):
    """What the lifetime cost asks of a device; None where the catalog has none."""

    id: str
    usd_per_hour: Constant | None
    serving_flop_per_s: float | None
    training_flop_per_s: float | None
    memory_bytes: float | None
    bandwidth_bytes_per_s: float | None
    power_watts: float | None = None  # at most, by its maker
    in_a_machine: int = 1  # in the largest machine for rent that has it
    source: str


class TokenPrices(Record, frozen=True, kw_only=True):
    """What an API asks for a token."""

    id: str
    input_usd: float
    output_usd: float | None
    cached_usd: float | None
    batch_input_usd: float | None = None
    batch_output_usd: float | None = None
    retired_on: str | None = None  # by its vendor: the day from which it is no longer sold
    source: str
    date: str


class Market(Record, frozen=True, kw_only=True):
    """What is known of effort and prices, with what the workload names looked up in it."""

    model: LifetimeModel
    device: Device | None = None
    is_device_assumed: bool = False  # the workload names none
    training_device: Device | None = None
    others: tuple[Device, ...] = ()
    api: TokenPrices | None = None
    alternative_api: TokenPrices | None = None
    grams_co2e_per_kwh: Constant | None = None  # of the grid that the workload names
    power_usage_effectiveness: float | None = None  # as given


class Life(NamedTuple):
    """The inputs: `figures` by name, `assumed` the names of those that nobody gave, `flags` what is a yes or a no.

    `reached` is the share of the peak by what requests consist of; empty where it was given.
    """

    figures: dict[str, Estimate]
    assumed: frozenset[str]
    flags: dict[str, bool]
    reached: dict[Phase, float] = {}  # noqa: RUF012 - never written to

    @property
    def values(self) -> dict[str, float]:
        """The figures without their intervals."""
        return {name: figure.value for name, figure in self.figures.items()}


def life_of(
    requests_per_s: float,
    lifecycle: Lifecycle,
    market: Market,
    *,
    measured: Estimate | None = None,
    throughput: Estimate | None = None,
    is_at_target: bool = True,
    course: Course = EVEN,
) -> Life:
    """Return the inputs; `measured` is what an hour of serving costs, where that is known better than from a plan.

    `throughput` is what one device serves, in requests a second: within the latency target, as it was measured, or without `is_at_target`
    at full load.

    Raises InputError for a range or a source of what is no input, for an interval that its figure lies outside of, for a device
    whose price nobody knows, and for more bytes than were given devices to hold them.
    """
    figures = given_figures(requests_per_s, lifecycle)
    if throughput is not None:
        figures["device_requests_per_s"] = throughput
    found = {name: figure for name, figure in _looked_up(lifecycle, market).items() if name not in figures}
    figures |= found
    nobody_s = {name for name in found if market.is_device_assumed and name.startswith("device_")}
    figures |= figures_of_day(course)
    if course.is_recorded:
        rate = figures["requests_per_s"]
        figures["requests_per_s"] = msgspec.structs.replace(rate, basis="measured", source=course.source)
    assumed = {
        name: _assumed(constant)
        for name, constant in _constants(lifecycle, market, figures).items()
        if name not in figures and _is_needed(name, lifecycle, measured)
    }
    if throughput is not None:
        assumed.pop("serving_mfu_fraction", None)
    if measured is not None:
        figures["serving_usd_per_hour"] = measured
    load = mean_load(
        course,
        market.model.constants,
        has_window="batch_hours_per_day" in figures,
        is_at_target=is_at_target and throughput is not None,
    )
    if load is not None and "fleet_utilization_fraction" not in figures and has_work(lifecycle):
        assumed.pop("fleet_utilization_fraction", None)
        (assumed if load.basis == "assumed" else figures)["fleet_utilization_fraction"] = load
    figures |= assumed
    as_given = _as_given({name: figure.value for name, figure in figures.items()})
    figures |= {name: exactly(value, GIVEN) for name, value in as_given.items()}
    if measured is None:
        _check_price(lifecycle, market, figures)
        _check_units(lifecycle)
    _check_memory(lifecycle, figures)
    reached = _reached(market) if "serving_mfu_fraction" in assumed else {}
    by_phase = {phase: constant.value for phase, constant in reached.items()}
    return Life(figures=figures, assumed=frozenset(nobody_s | assumed.keys()), flags=_flags(lifecycle), reached=by_phase)


def with_input(life: Life, x: serving_cost.Values, name: str, value: float) -> dict[str, float] | None:
    """Return the values `x` of the inputs with one at another value, and what is worked out of it anew: as if the file had said so.

    None where no such file would be accepted, for more bytes than were given devices to hold them.
    """
    moved = {**x, name: value}
    if life.reached and name != "serving_mfu_fraction":
        moved["serving_mfu_fraction"] = life.reached[phase_of(moved)]
    moved |= _as_given(moved)
    return moved if _held_beyond_memory(moved) is None else None


def forbidden(life: Life) -> str | None:
    """Return why the plan may not be carried out as it is written, whatever it costs; None where it may."""
    if life.flags.get("data_must_stay") and serving_cost.uses_api(life.values):
        return "requests may not leave the company (lifecycle.situation.data_must_stay), and an API is sent all of them"
    return None


def with_figures(life: Life, source: str, **values: float) -> Life:
    """Return the inputs with others that are exactly known."""
    exact = {name: Estimate(value=value, low=value, high=value, basis="assumed", source=source) for name, value in values.items()}
    return life._replace(figures={**life.figures, **exact})


def _assumed(constant: Constant) -> Estimate:
    source = f"{constant.source.what} ({constant.source.date})"
    return Estimate(value=constant.value, low=constant.low, high=constant.high, basis="assumed", source=source)


def has_work(lifecycle: Lifecycle) -> bool:
    """Return whether anything is given from which what a device has to do can be counted."""
    serving, request = lifecycle.serving, lifecycle.request
    is_measured = serving is not None and (serving.device_requests_per_s is not None or serving.device_tokens_per_s is not None)
    return lifecycle.model is not None or is_measured or (request is not None and request.flop_per_request is not None)


def _is_needed(name: str, lifecycle: Lifecycle, measured: Estimate | None) -> bool:
    if name in PARTS:
        return False
    if name == "serving_mfu_fraction":
        return has_work(lifecycle)
    section = NEEDED_FOR.get(name)
    return section is None or getattr(lifecycle, section) is not None


def _constants(lifecycle: Lifecycle, market: Market, figures: dict[str, Estimate]) -> dict[str, Constant]:
    """Return the constants of the catalog, with the share of the peak that such requests reach on such a device."""
    reached = _reached(market).get(phase_of({name: figure.value for name, figure in figures.items()}))
    return market.model.constants if reached is None else {**market.model.constants, "serving_mfu_fraction": reached}


def _reached(market: Market) -> dict[Phase, Constant]:
    """Return the share of the peak that the device reaches, by what requests consist of."""
    factor = device_factor(market.device, market.model) if market.device is not None else None
    by_phase = market.model.serving_mfu
    return by_phase if factor is None else {phase: _product(constant, factor) for phase, constant in by_phase.items()}


def phase_of(x: serving_cost.Values) -> Phase:
    """Return what requests mostly consist of: reading, generating, or both."""
    if "input_tokens" not in x:
        return "prefill-heavy"
    read = x["input_tokens"] - min(x["input_tokens"], x.get("cached_tokens", 0.0))
    generated = x["output_tokens"] * x["reasoning_multiplier"]
    if read > HEAVY * generated:
        return "prefill-heavy"
    return "decode-heavy" if generated > HEAVY * read else "balanced"


def device_factor(device: Device, model: LifetimeModel) -> Constant | None:
    """Return what a device reaches of its peak over what an H100 does: as measured, else by the bandwidth that feeds it."""
    if device.id in model.device_mfu:
        return model.device_mfu[device.id]
    bandwidth, peak = (model.constants.get(f"reference_{name}") for name in ("bandwidth_bytes_per_s", "serving_flop_per_s"))
    if bandwidth is None or peak is None or device.bandwidth_bytes_per_s is None or device.serving_flop_per_s is None:
        return None
    fed = min(1.0, device.bandwidth_bytes_per_s / device.serving_flop_per_s / (bandwidth.value / peak.value))
    doubt = model.device_mfu["unmeasured"]
    return Constant(value=fed * doubt.value, low=fed * doubt.low, high=fed * doubt.high, source=doubt.source)


def _product(left: Constant, right: Constant) -> Constant:
    """Return the product of two shares of the peak, which no device exceeds."""
    value, low, high = (min(1.0, getattr(left, end) * getattr(right, end)) for end in ("value", "low", "high"))
    both = left.source.what if left.source.what == right.source.what else f"{left.source.what}; {right.source.what}"
    return Constant(value=value, low=low, high=high, source=Source(what=both, date=min(left.source.date, right.source.date)))


def _as_given(x: serving_cost.Values) -> dict[str, float]:
    """Return what a count of devices and a measured throughput were given for, so that they can be carried over to something else."""
    found: dict[str, float | None] = {}
    if "devices_per_replica" in x and (weights := serving_cost.weight_bytes(x)) is not None and "device_memory_bytes" in x:
        found["weight_bytes_as_given"] = weights
        found["replica_bytes_as_given"] = weights + serving_cost.cache_bytes(x)
        found["device_memory_bytes_as_given"] = x["device_memory_bytes"]
    if "device_requests_per_s" in x or "device_tokens_per_s" in x:
        found["measured_flop_per_request"] = serving_cost.flop_per_request(x)
        found["measured_tokens_per_request"] = serving_cost.tokens_per_request(x)
    return {name: value for name, value in found.items() if value is not None}


def _check_price(lifecycle: Lifecycle, market: Market, figures: dict[str, Estimate]) -> None:
    serving = lifecycle.serving
    if serving is None or market.device is None or "device_usd_per_hour" in figures or not has_work(lifecycle):
        return
    if serving.api_model or serving.serving_usd_per_hour or lifecycle.owned or lifecycle.edge:
        return
    if lifecycle.request is None and serving.device_requests_per_s is None:
        return
    raise InputError(f"lifecycle.serving.device: no list has a price of {market.device.id}", hint=price_way_out(market.device.id))


def _check_units(lifecycle: Lifecycle) -> None:
    edge, serving = lifecycle.edge, lifecycle.serving
    if edge is None or edge.edge_units is not None or (serving is not None and serving.device_requests_per_s is not None):
        return
    raise InputError(
        "lifecycle.edge.edge_units: missing, and how many the traffic takes is not known",
        hint="give edge_units, or what one of them serves: lifecycle.serving.device_requests_per_s, or classify --profile",
    )


def price_way_out(device: str) -> str:
    """Return how to give the price of a device that no list has."""
    return (
        f"give lifecycle.serving.device_usd_per_hour, or hardware.price_usd_per_hour.{device}, or import one: "
        "advisor hardware prices --import FILE"
    )


def _check_memory(lifecycle: Lifecycle, figures: dict[str, Estimate]) -> None:
    x = {name: figure.value for name, figure in figures.items()}
    held = _held_beyond_memory(x)
    if held is not None:
        count, each = x["devices_per_replica"], x["device_memory_bytes"]
        named = lifecycle.serving.device if lifecycle.serving is not None else None
        raise InputError(
            f"lifecycle.serving.devices_per_replica: {size(held)} do not fit on {count:g} devices of {size(each)}",
            hint="leave it out for as few as are needed" + ("" if named else ", or name lifecycle.serving.device"),
        )


def _held_beyond_memory(x: serving_cost.Values) -> float | None:
    """Return the bytes of a replica where its devices were counted and do not hold them."""
    if "replica_bytes_as_given" not in x or "serving_usd_per_hour" in x or serving_cost.uses_api(x):
        return None
    held = x["replica_bytes_as_given"]
    return held if held > x["devices_per_replica"] * x["device_memory_bytes"] else None


def _looked_up(lifecycle: Lifecycle, market: Market) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    if has_work(lifecycle):
        if market.device is not None:
            found |= dict(_of_device("device", market.device))
        if market.training_device is not None:
            found |= {
                name: figure
                for name, figure in _of_device("training_device", market.training_device)
                if name != "training_device_serving_flop_per_s"
            }
            if (rate := found.pop("training_device_training_flop_per_s", None)) is not None:
                found["training_device_flop_per_s"] = rate
    if market.power_usage_effectiveness is not None and lifecycle.owned is not None:
        found["power_usage_effectiveness"] = exactly(market.power_usage_effectiveness, GIVEN)
    for prefix, prices in (("api", market.api), ("other_api", market.alternative_api)):
        if prices is not None:
            found |= {name: _listed(usd, prices) for name, usd in api_figures(prices, prefix).items()}
    return found


def _of_device(prefix: str, device: Device) -> Iterator[tuple[str, Estimate]]:
    if device.usd_per_hour is not None:
        constant = device.usd_per_hour
        source = f"{constant.source.what} ({constant.source.date})" if constant.source.what != GIVEN else GIVEN
        yield (
            f"{prefix}_usd_per_hour",
            Estimate(value=constant.value, low=constant.low, high=constant.high, basis="list-price", source=source),
        )
    for name, value in (
        ("serving_flop_per_s", device.serving_flop_per_s),
        ("training_flop_per_s", device.training_flop_per_s),
        ("memory_bytes", device.memory_bytes),
        ("bandwidth_bytes_per_s", device.bandwidth_bytes_per_s),
        ("watts", device.power_watts),
    ):
        if value is not None:
            yield f"{prefix}_{name}", Estimate(value=value, low=value, high=value, basis="list-price", source=device.source)


def api_figures(prices: TokenPrices, prefix: str = "api") -> dict[str, float]:
    """Return the prices of an API by the names of the inputs."""
    listed = {
        "input": prices.input_usd,
        "output": prices.output_usd,
        "cached": prices.cached_usd,
        "batch_input": prices.batch_input_usd,
        "batch_output": prices.batch_output_usd,
    }
    return {f"{prefix}_usd_per_{name}_token": usd for name, usd in listed.items() if usd is not None}


def _listed(usd: float, prices: TokenPrices) -> Estimate:
    return Estimate(value=usd, low=usd, high=usd, basis="list-price", source=f"{prices.source} ({prices.date})")


def _flags(lifecycle: Lifecycle) -> dict[str, bool]:
    situation = lifecycle.situation
    if situation is None:
        return {}
    return {name: value for name in FLAGS if (value := getattr(situation, name)) is not None}


def assumptions(life: Life) -> tuple[Assumption, ...]:
    """Return all inputs, those that nobody gave first."""
    shown = (name for name in life.figures if name not in HOURS and not name.endswith("_as_given"))
    names = sorted(shown, key=lambda name: (name not in life.assumed, name))
    return tuple(
        Assumption(input=name, unit=unit_of(name) or "", is_given=name not in life.assumed, estimate=life.figures[name])
        for name in names
    )
