"""What the life of a model takes in energy and emits in carbon: the device hours of serving and training, and what a device draws."""

from collections.abc import Mapping

from advisor.decide.lifetime import fleet, intervals, training_cost
from advisor.decide.lifetime.inputs import Market
from advisor.decide.lifetime.serving_cost import (
    WATTS_PER_KILOWATT,
    Values,
    device_s_per_request,
    is_in_the_field,
    missing_of_plan,
    uses_api,
)
from advisor.schema.lifetime import LifetimeEnergy
from advisor.schema.record import Estimate

GRAMS_PER_KILOGRAM = 1000.0
# Of a rating what is drawn at work, of that what is drawn when idle, and what the data center draws beside.
POWER = ("busy_power_fraction", "idle_power_fraction", "power_usage_effectiveness")


def lifetime_energy(figures: Mapping[str, Estimate], market: Market) -> LifetimeEnergy:
    """Return the energy of the horizon and its carbon, None with the reason where devices, their power or the grid are not known."""
    x = {name: figure.value for name, figure in figures.items()} | _power(market, "value")
    if _kwh(x) is None:
        return LifetimeEnergy(kwh=None, carbon_kg=None, because=_reason(x))
    moved = [
        intervals.Moved(name, end, kwh_)
        for name, figure in {**figures, **_estimates(market)}.items()
        for end in (figure.low, figure.high)
        if end != figure.value and (kwh_ := _kwh({**x, name: end})) is not None
    ]
    ends = intervals.of_steps(_kwh, x, moved).ends
    source = (
        f"device hours x {x['device_watts']:g} W x {x['busy_power_fraction']:g} of it at work, {x['idle_power_fraction']:g} of that when "
        f"idle, x {x['power_usage_effectiveness']:g} for the data center; hosts and networks are not counted"
    )
    kwh = intervals.estimate(ends, "assumed", source)
    grid = market.grams_co2e_per_kwh
    if grid is None:
        return LifetimeEnergy(kwh=kwh, carbon_kg=None, because="what it emits depends on the grid: give energy.grid")
    low, middle, high = (each / GRAMS_PER_KILOGRAM for each in (grid.low, grid.value, grid.high))
    emitted = Estimate(
        value=kwh.value * middle,
        low=kwh.low * low,
        high=kwh.high * high,
        basis="assumed",
        source=f"{grid.value:g} g a kWh ({grid.source.what})",
    )
    return LifetimeEnergy(kwh=kwh, carbon_kg=emitted, because="")


def kwh_per_year(x: Values, market: Market) -> float | None:
    """Return what serving takes in a year at today's traffic, None where the devices or their power are not known."""
    year = {**x, **_power(market, "value"), "horizon_months": 12.0, "growth_per_month": 0.0}
    return _serving_kwh(year)


def _power(market: Market, end: str) -> dict[str, float]:
    return {name: getattr(figure, end) for name, figure in _estimates(market).items()}


def _estimates(market: Market) -> dict[str, Estimate]:
    constants = market.model.constants
    found = {
        name: Estimate(value=each.value, low=each.low, high=each.high, basis="assumed", source=each.source.what)
        for name in POWER
        if (each := constants.get(name)) is not None
    }
    given = market.power_usage_effectiveness
    if given is not None:
        found["power_usage_effectiveness"] = Estimate(value=given, low=given, high=given, basis="assumed", source="as given")
    return found


def _reason(x: Values) -> str:
    if "serving_usd_per_hour" in x:
        way_out = "" if device_s_per_request(x) is not None else f": give {missing_of_plan(x)} instead"
        return f"what serving costs is known only as a sum{way_out}"
    if uses_api(x):
        return "somebody else's devices serve the tokens: what they draw is not known"
    if is_in_the_field(x):
        return "what units in the field draw is counted with them (lifecycle.edge.unit_watts)"
    if fleet.device_hours(x) is None:
        return f"give {missing_of_plan(x)}"
    return "the catalog has no power rating of the device"


def _kwh(x: Values) -> float | None:
    serving = _serving_kwh(x)
    # A device that learns is busy all the time.
    return (
        None if serving is None else serving + _training_hours(x) * _watts(x, 1.0, "training_device_watts") / WATTS_PER_KILOWATT
    )


def _serving_kwh(x: Values) -> float | None:
    if "serving_usd_per_hour" in x or is_in_the_field(x) or uses_api(x):
        return None
    hours = fleet.device_hours(x)
    if hours is None or "device_watts" not in x or any(name not in x for name in POWER):
        return None
    on, busy = hours
    load = min(1.0, busy / on) if on else 0.0
    return on * _watts(x, load) / WATTS_PER_KILOWATT


def _training_hours(x: Values) -> float:
    """Return the device hours of all releases and of pre-training, as far as their compute is known."""
    each = training_cost.release_device_hours(x) if "fine_tuning_usd" not in x else None
    flop = None if "pre_training_usd" in x else training_cost.pre_training_flop(x)
    before = None if flop is None else training_cost.device_hours(flop, x)
    return (each or 0.0) * (training_cost.releases(x) or 0.0) + (before or 0.0)


def _watts(x: Values, load: float, device: str = "device_watts") -> float:
    idle, most = x["idle_power_fraction"], x.get(device, x["device_watts"])
    return most * x["busy_power_fraction"] * (idle + (1 - idle) * load) * x["power_usage_effectiveness"]
