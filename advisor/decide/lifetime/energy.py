"""What the life of a model takes in energy and emits in carbon: the device hours of serving and training, and what a device draws."""

import math
from collections.abc import Mapping

from advisor.decide.lifetime import cost, serving_cost, training_cost
from advisor.decide.lifetime.serving_cost import Values
from advisor.decide.power import BUSY_FRACTION_OF_RATING, IDLE_FRACTION, USAGE_EFFECTIVENESS
from advisor.schema.catalog import CarbonIntensity
from advisor.schema.lifetime import LifetimeEnergy
from advisor.schema.record import Estimate
from advisor.units import HOURS_PER_MONTH

WATTS_PER_KW = 1000.0
# An hour of a device counts as an hour, whatever it costs and whenever it is paid.
AN_HOUR_IS_AN_HOUR = {"device_usd_per_hour": 1.0, "price_factor": 1.0, "price_decline_per_year": 0.0, "discount_per_year": 0.0}


def lifetime_energy(
    figures: Mapping[str, Estimate], effectiveness: float | None, carbon: CarbonIntensity | None
) -> LifetimeEnergy:
    """Return the energy of the horizon and its carbon, None with the reason where devices, their power or the grid are not known.

    `effectiveness` is that of the data centre, power drawn over power computed with; None: an industry's range. Each input is moved
    to the ends of its interval by itself, and ratios are added up by squares on a logarithmic scale.
    """
    x = {name: figure.value for name, figure in figures.items()}
    reason = _reason(x)
    value = _kwh(x, "value", effectiveness)
    if reason or value is None:
        return LifetimeEnergy(kwh=None, carbon_kg=None, because=reason or "the devices and hours are not known")
    ends = [
        _kwh({**x, name: end}, "value", effectiveness)
        for name, figure in figures.items()
        for end in (figure.low, figure.high)
        if end != figure.value
    ]
    ends += [_kwh(x, end, effectiveness) for end in ("low", "high")]
    ratios = [math.log(end / value) for end in ends if end]
    down, up = (math.sqrt(math.fsum(part**2 for part in ratios if part * sign > 0)) for sign in (-1, 1))
    kwh = Estimate(
        value=value,
        low=value * math.exp(-down),
        high=value * math.exp(up),
        basis="assumed",
        source=f"device hours x {x['device_power_watts']:g} W x {BUSY_FRACTION_OF_RATING['value']:g} of it at work, "
        f"{IDLE_FRACTION['value']:g} of that when idle, x {effectiveness or USAGE_EFFECTIVENESS['value']:g} for the data centre; "
        "hosts and networks are not counted",
    )
    if carbon is None:
        return LifetimeEnergy(kwh=kwh, carbon_kg=None, because="what it emits hangs on the grid: give energy.grid")
    kg = carbon.grams_co2e_per_kwh / 1000.0
    source = f"{kwh.source}; {carbon.name}: {carbon.grams_co2e_per_kwh:g} g a kWh ({carbon.source})"
    emitted = Estimate(value=kwh.value * kg, low=kwh.low * kg, high=kwh.high * kg, basis="assumed", source=source)
    return LifetimeEnergy(kwh=kwh, carbon_kg=emitted, because="")


def kwh_per_year(x: Values) -> float | None:
    """Return what serving takes in a year at today's traffic, None where the devices or their power are not known."""
    year = {**x, "horizon_months": 12.0, "growth_per_month": 0.0}
    hours = _serving_hours(year)
    if hours is None or "device_power_watts" not in x:
        return None
    return hours * _watts(x, "value", _load(year, hours), None) / WATTS_PER_KW


def _reason(x: Values) -> str:
    if "serving_usd_per_hour" in x:
        return "what serving costs is known only as a sum: give lifecycle.model and lifecycle.request instead"
    if "api_usd_per_input_token" in x:
        return "somebody else's devices serve the tokens: what they draw is not known"
    if serving_cost.demand_devices(x) is None:
        return "give lifecycle.model and lifecycle.request"
    return (
        ""
        if "device_power_watts" in x
        else "the catalogue does not tell what the device draws: name another in lifecycle.serving.device"
    )


def _kwh(x: Values, end: str, effectiveness: float | None) -> float | None:
    hours = _serving_hours(x)
    if hours is None or "device_power_watts" not in x:
        return None
    serving = hours * _watts(x, end, _load(x, hours), effectiveness)
    # A device that learns is busy all the time.
    training = _training_hours(x) * _watts(x, end, 1.0, effectiveness)
    return (serving + training) / WATTS_PER_KW


def _serving_hours(x: Values) -> float | None:
    by_month = cost.serving_by_month({**x, **AN_HOUR_IS_AN_HOUR})
    return None if by_month is None else math.fsum(by_month)


def _load(x: Values, hours: float) -> float:
    """Return the mean load of the devices over the horizon."""
    at_full_load = (serving_cost.demand_devices(x) or 0.0) * x.get("fleet_utilization_fraction", 1.0)
    busy = at_full_load * math.fsum(month.part * month.growth for month in cost.months(x)) * HOURS_PER_MONTH
    return min(1.0, busy / hours) if hours else 0.0


def _training_hours(x: Values) -> float:
    """Return the device hours of all releases and of pre-training, as far as their compute is known."""
    an_hour = {**x, **AN_HOUR_IS_AN_HOUR}
    each = training_cost.release_device_hours(x) if "fine_tuning_usd" not in x else None
    runs = training_cost.releases(x)
    pre = training_cost.pre_training_usd(an_hour) if "pre_training_tokens" in x else None
    return (each or 0.0) * (runs or 0.0) + (pre or 0.0)


def _watts(x: Values, end: str, load: float, effectiveness: float | None) -> float:
    idle = IDLE_FRACTION[end]
    usage = USAGE_EFFECTIVENESS[end] if effectiveness is None else effectiveness
    return x["device_power_watts"] * BUSY_FRACTION_OF_RATING[end] * (idle + (1 - idle) * load) * usage
