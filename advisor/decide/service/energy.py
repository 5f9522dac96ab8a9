"""What a request takes in energy and emits in carbon, from the power of the hardware and how busy it is; and figures in other units."""

from advisor.schema.advice import Place
from advisor.schema.catalog import CarbonIntensity
from advisor.schema.profile import Power
from advisor.schema.record import Estimate
from advisor.schema.workload import EnergyChoice
from advisor.units import HOURS_PER_MONTH

# Idle power of a device as a share of its maximum: idle GPUs and servers are reported to draw a tenth to a half.
IDLE_FRACTION = {"low": 0.1, "value": 0.3, "high": 0.5}
# What it draws when it serves, as a share of its rating: few workloads reach the limit that the maker sets.
BUSY_FRACTION_OF_RATING = {"low": 0.4, "value": 0.7, "high": 1.0}
# Google's fleet, and a little above the mean of the industry (Google, 2025: 2508.15734; Uptime Institute, about 1.5).
USAGE_EFFECTIVENESS = {"low": 1.09, "value": 1.5, "high": 1.6}
JOULES_PER_KWH = 3.6e6


def scaled(estimate: Estimate, factor: float, source: str) -> Estimate:
    """Return an estimate in other units, or of another amount."""
    return Estimate(
        value=estimate.value * factor,
        low=estimate.low * factor,
        high=estimate.high * factor,
        basis=estimate.basis,
        source=source,
    )


def of_a_month(usd_per_hour: Estimate) -> Estimate:
    """Return what is paid for every hour, as a cost of a month."""
    return scaled(usd_per_hour, HOURS_PER_MONTH, f"{usd_per_hour.source}, all hours of a month")


def joules_per_request(
    busy: Estimate, replicas: int, utilization: Estimate, requests_per_s: float, choice: EnergyChoice | None
) -> Estimate:
    """Return what a request takes: replicas that draw `busy` watts at work and some of it idle, shared among all requests."""
    asked = choice.power_usage_effectiveness if choice else None
    effectiveness = USAGE_EFFECTIVENESS if asked is None else dict.fromkeys(USAGE_EFFECTIVENESS, asked)

    def at(end: str) -> float:
        at_work, idle = getattr(utilization, end), IDLE_FRACTION[end]
        watts = getattr(busy, end) * (idle + (1 - idle) * at_work) * replicas
        return float(watts * effectiveness[end] / requests_per_s)

    source = f"{busy.source}; {IDLE_FRACTION['value']:.0%} of it when idle; times {effectiveness['value']:g} for the data center"
    return Estimate(value=at("value"), low=at("low"), high=at("high"), basis="projected", source=source)


def busy_watts(place: Place, power: Power | None) -> Estimate | None:
    """Return the power of a machine at full utilization: by its meter, as given by the user, or by its rating; None: not known."""
    if power is not None:
        return power.watts
    if place.busy_watts is not None:
        return place.busy_watts
    rating = place.hardware.power_watts
    if rating is None:
        return None
    low, value, high = (rating * place.devices * share for share in BUSY_FRACTION_OF_RATING.values())
    source = f"{rating:g} W at most for each {place.hardware.name}, its host not counted"
    return Estimate(value=value, low=low, high=high, basis="assumed", source=source)


def grams_per_million_requests(joules: Estimate | None, carbon: CarbonIntensity | None) -> Estimate | None:
    """Return what a million requests emit; None where energy or grid is not known."""
    if joules is None or carbon is None:
        return None
    grid = f"{carbon.name}: {carbon.grams_co2e_per_kwh:g} g a kWh ({carbon.source})"
    return scaled(joules, 1e6 / JOULES_PER_KWH * carbon.grams_co2e_per_kwh, f"{joules.source}; {grid}")
