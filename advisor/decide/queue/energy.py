"""What a request takes in energy and emits in carbon, from the power of the hardware and how busy it is."""

from advisor.decide.power import BUSY_FRACTION_OF_RATING, IDLE_FRACTION, USAGE_EFFECTIVENESS
from advisor.schema.advice import Place
from advisor.schema.catalog import CarbonIntensity
from advisor.schema.profile import Profile
from advisor.schema.record import Estimate
from advisor.schema.workload import EnergyChoice

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

    source = f"{busy.source}; {IDLE_FRACTION['value']:.0%} of it when idle; times {effectiveness['value']:g} for the data centre"
    return Estimate(value=at("value"), low=at("low"), high=at("high"), basis="projected", source=source)


def busy_watts(place: Place | None, profile: Profile, choice: EnergyChoice | None) -> Estimate | None:
    """Return what a machine draws when it serves all the time: by its meter, or by its rating; None where neither is known."""
    if profile.power is not None and (place is None or profile.hardware == place.hardware.id):
        return profile.power.watts
    if place is None:
        watts = choice.local_power_watts if choice else None
        return (
            None if watts is None else Estimate(value=watts, low=watts, high=watts, basis="assumed", source="the workload file")
        )
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
