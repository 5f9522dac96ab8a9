"""Whole replicas, month by month, from the workload's own day and growth; and what they, an API or a known bill cost."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from advisor.decide.lifetime import serving_cost
from advisor.decide.lifetime.horizon import HOURS, HOURS_PER_DAY, MONTHS_PER_YEAR, Month, growths, months, rented_hours
from advisor.decide.lifetime.serving_cost import ROUNDING, SECONDS_PER_HOUR, Values, whole
from advisor.schema.record import Estimate
from advisor.units import HOURS_PER_MONTH

ALL_DAY: dict[float, int] = {1.0: 1}


class Fleet(NamedTuple):
    """What decides how many devices are on: the replicas that today's traffic takes, those that stay on, and the course of a day.

    `need` is in replicas, not yet whole. `levels` are the traffic of parts of the day over that which `need` is for, each with how many
    parts have it, one where the fleet does not follow the day; `most` are the replicas of a fleet that does not, at today's traffic.
    `idle_s` is how long a replica waits for a request before it is shut down, `window` the part of the day in which anything is on.
    """

    need: float
    least: float
    each: float
    levels: dict[float, int]
    most: float
    requests_per_s: float
    idle_s: float | None
    window: float

    def replicas(self, growth: float) -> list[float]:
        """Return the replicas at each level of the day, whole, at so many times today's traffic."""
        fixed = max(self.least, whole(self.most * growth))
        return [min(fixed, max(self.least, whole(self.need * growth * level))) for level in self.levels]

    def fixed_replicas(self, growths: Sequence[float]) -> list[float]:
        """Return the replicas of a fleet that does not follow the day, at so many times today's traffic each."""
        most, least = self.most * (1 - ROUNDING), self.least
        found = []
        for growth in growths:
            count = math.ceil(most * growth)
            found.append(float(count) if count > least else least)
        return found

    def devices_at(self, growths: Sequence[float]) -> list[float]:
        """Return the devices that are paid, on the mean of the day, at so many times today's traffic each."""
        if self.levels is ALL_DAY and self.idle_s is None:
            scale = self.each * self.window
            return [scale * count for count in self.fixed_replicas(growths)]
        return [self.devices(growth) for growth in growths]

    def devices(self, growth: float) -> float:
        """Return the devices that are paid, on the mean of the day."""
        on, parts = self.replicas(growth), self.levels.values()
        if self.idle_s is None:
            return self.each * self.window * _product(parts, on) / sum(parts)
        # Of a Poisson stream: a request has come within the time that a replica waits for one.
        up = [-math.expm1(-self.requests_per_s * growth * level * self.idle_s) for level in self.levels]
        return self.each * math.fsum(a * b * c for a, b, c in zip(parts, on, up, strict=True)) / sum(parts)

    def always_on(self, growth: float) -> float:
        """Return the devices that are on at every hour of the day."""
        return 0.0 if self.idle_s is not None or self.window < 1 else self.each * min(self.replicas(growth))


def fleet_of(x: Values) -> Fleet | None:
    """Return the fleet; None where an input is missing."""
    each, busy = serving_cost.devices_per_replica(x), serving_cost.busy_devices(x)
    if each is None or busy is None or "fleet_utilization_fraction" not in x:
        return None
    window = x["batch_hours_per_day"] / HOURS_PER_DAY if "batch_hours_per_day" in x else 1.0
    fixed = busy / x["fleet_utilization_fraction"] / each / window
    levels, need, idle_s = ALL_DAY, fixed, x.get("scale_to_zero_after_s")
    if (idle_s is not None or "follows_the_day" in x) and HOURS[0] in x:
        levels = Counter(x[hour] for hour in HOURS)
        # In every hour as busy as the fixed fleet is in the busiest part of the day, and never beyond what a device can do.
        need = busy / min(1.0, x["fleet_utilization_fraction"] * x["peak_over_mean"]) / each
    return Fleet(
        need=need,
        least=x.get("minimum_replicas", 1.0),
        each=each,
        levels=levels,
        most=fixed,
        requests_per_s=x["requests_per_s"],
        idle_s=idle_s,
        window=window,
    )


def is_rented(x: Values) -> bool:
    """Return whether serving is paid by the hour of hardware that is rented, as a bill or as a plan."""
    elsewhere = serving_cost.uses_api(x) or serving_cost.is_in_the_field(x) or "device_price_usd" in x
    return not elsewhere and ("serving_usd_per_hour" in x or fleet_of(x) is not None)


def usd_per_hour(x: Values) -> tuple[float, float] | None:
    """Return what an hour costs today: of what is always on, and of all that is paid; None where an input is missing."""
    if serving_cost.is_in_the_field(x):
        in_the_field = _field_usd_per_hour(x, months(x)[:1])[0]
        return in_the_field, in_the_field
    if "serving_usd_per_hour" in x:
        # Traffic that falls saves nothing by itself: the replicas of today stay on until somebody asks again.
        return bill_usd_per_hour(x), bill_usd_per_hour(x)
    if serving_cost.uses_api(x):
        per_request = serving_cost.usd_per_request(x)
        return None if per_request is None else (0.0, per_request * x["requests_per_s"] * SECONDS_PER_HOUR)
    found = fleet_of(x)
    if found is None:
        return None
    floor, paid = (_paid(count, x) for count in (min(found.each * found.least, found.devices(1.0)), found.devices(1.0)))
    return None if floor is None or paid is None else (floor, paid)


def serving_by_month(x: Values) -> list[float] | None:
    """Return what serving costs in each month, discounted; None where an input is missing."""
    course = months(x)
    if serving_cost.is_in_the_field(x):
        return _discounted(_field_usd_per_hour(x, course), course)
    if "serving_usd_per_hour" in x:
        by_month = [bill_usd_per_hour(x, month.growth) * month.price for month in course]
        saved = _reserved(bill_usd_per_hour(x), x, course)
        return _discounted([cost - less for cost, less in zip(by_month, saved, strict=True)], course)
    if serving_cost.uses_api(x):
        per_request = serving_cost.usd_per_request(x)
        if per_request is None:
            return None
        today = per_request * x["requests_per_s"] * SECONDS_PER_HOUR
        return _discounted([today * month.growth * month.tokens for month in course], course)
    found = fleet_of(x)
    return None if found is None else _devices_by_month(found, x, course)


def device_hours(x: Values) -> tuple[float, float] | None:
    """Return the hours over the horizon that devices are on, and those that they are busy; None where these are not known."""
    found, busy = fleet_of(x), serving_cost.busy_devices(x)
    if found is None or busy is None or serving_cost.uses_api(x) or "serving_usd_per_hour" in x:
        return None
    hours = [HOURS_PER_MONTH * month.part for month in months(x)]
    on = [found.devices(month.growth) for month in months(x)]
    at_work = [min(count, busy * month.growth) for count, month in zip(on, months(x), strict=True)]
    return _product(hours, on), _product(hours, at_work)


def mean_replicas(x: Values) -> float | None:
    """Return how many replicas there are on the mean of the horizon, as many times those that stay on anyway."""
    found = fleet_of(x)
    if found is None or serving_cost.uses_api(x) or "serving_usd_per_hour" in x:
        return None
    course = months(x)
    if not x.get("growth_per_month"):
        return max(found.replicas(1.0)) / found.least
    counts = found.fixed_replicas(growths(x))
    parts = [month.part for month in course]
    return _product(parts, counts) / math.fsum(parts) / found.least


def reserved_replicas(x: Values) -> float | None:
    """Return how many replicas a commitment of whole years is about, as many times those that stay on anyway."""
    found = fleet_of(x)
    if found is None or serving_cost.uses_api(x) or "serving_usd_per_hour" in x:
        return None
    return found.always_on(_least_growth(x, months(x))) / found.each / found.least


def spot_replicas(x: Values) -> float | None:
    """Return how many replicas there are beyond those that stay on anyway, on the mean of the horizon, as many times these."""
    mean = mean_replicas(x)
    return None if mean is None else mean - 1.0


def _product(left: Iterable[float], right: Iterable[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def _discounted(usd_per_hour_: Sequence[float | None], course: Sequence[Month]) -> list[float] | None:
    found = []
    for usd, month in zip(usd_per_hour_, course, strict=True):
        if usd is None:
            return None
        found.append(usd * HOURS_PER_MONTH * month.part * month.worth)
    return found


def _devices_by_month(found: Fleet, x: Values, course: tuple[Month, ...]) -> list[float] | None:
    """Return what the fleet costs in each month, discounted, at the prices of that month."""
    usd = _paid(1.0, x)
    if usd is None:
        return None
    counts = found.devices_at(growths(x)) if x.get("growth_per_month") else found.devices_at((1.0,)) * len(course)
    if "device_price_usd" in x:
        return _discounted([_paid(count, x) for count in counts], course)
    if "spot_fraction" in x:
        floor, beyond = found.each * found.least, x["spot_fraction"]
        counts = [count - beyond * max(0.0, count - floor) for count in counts]
    if "reserved_fraction" not in x:
        return [count * usd * weight for count, weight in zip(counts, rented_hours(x), strict=True)]
    always = found.always_on(_least_growth(x, course))
    spared = _reserved(always * usd, x, course)
    return _discounted(
        [count * usd * month.price - saved for count, month, saved in zip(counts, course, spared, strict=True)], course
    )


def _least_growth(x: Values, course: Sequence[Month]) -> float:
    """Return the growth up to which devices are on in every month that is committed: anything more may stand idle while it is paid."""
    return min((month.growth for month in course[: _committed_months(x)]), default=1.0)


def _committed_months(x: Values) -> int:
    """Return the months of whole years that the horizon holds: a commitment that outlives the model is paid for nothing."""
    return int(x["horizon_months"] // MONTHS_PER_YEAR) * MONTHS_PER_YEAR


def _reserved(usd_today: float, x: Values, course: Sequence[Month]) -> list[float]:
    """Return what an hour costs less in each month where so much of it is committed, a year at a time at the price of its first month."""
    discount, committed = x.get("reserved_fraction", 0.0), _committed_months(x)
    if not discount:
        return [0.0] * len(course)
    firsts = [course[at - at % MONTHS_PER_YEAR].price for at in range(committed)]
    saved = [usd_today * (month.price - (1 - discount) * first) for month, first in zip(course, firsts, strict=False)]
    return [*saved, *([0.0] * (len(course) - committed))]


def _paid(devices: float, x: Values) -> float | None:
    """Return what an hour of so many devices costs; of one's own those that stand idle have been bought, too."""
    if "device_price_usd" not in x:
        return None if "device_usd_per_hour" not in x else devices * x["device_usd_per_hour"]
    power = serving_cost.power_usd_per_hour(x)
    if power is None:
        return None
    return max(devices, x.get("owned_devices", 0.0)) * serving_cost.owned_usd_per_hour(x) + devices * power


def field_units(x: Values, course: Sequence[Month]) -> list[float]:
    """Return the units that are in the field in each month: those of the plan, more where traffic takes more, and none taken back."""
    planned, growth = x.get("edge_units", 0.0), 1.0 + x.get("unit_growth_per_month", 0.0)
    demand = serving_cost.demand_devices(x) if "device_requests_per_s" in x else None
    counts = (
        max(whole(planned * growth**at), 0.0 if demand is None else max(1.0, whole(demand * month.growth)))
        for at, month in enumerate(course)
    )
    return list(accumulate(counts, max))


def _field_usd_per_hour(x: Values, course: Sequence[Month]) -> list[float]:
    """Return what an hour of all units in the field costs in each month: each is bought once, paid over its life, and draws its power.

    One that is bought in the midst of the model's life, and lasts as long as the model, is paid in what is left of it.
    """
    drawn = 0.0
    if "unit_watts" in x and "unit_usd_per_kwh" in x:
        drawn = x["unit_watts"] / serving_cost.WATTS_PER_KILOWATT * x["unit_usd_per_kwh"]
    found, bought, written_off = [], 0.0, 0.0
    for at, units in enumerate(field_units(x, course)):
        lasts_months = x["unit_years"] * MONTHS_PER_YEAR if "unit_years" in x else x["horizon_months"] - at
        written_off += (units - bought) * x["unit_price_usd"] / (lasts_months * HOURS_PER_MONTH)
        bought = units
        found.append(written_off + units * drawn)
    return found


def bill(usd_per_hour_: float, replicas: int, carried: float, requests_per_s: float) -> dict[str, float]:
    """Return what an hour costs as inputs: of replicas, bought whole as traffic outgrows what they carry."""
    return {
        "serving_usd_per_hour": usd_per_hour_,
        "measured_at_requests_per_s": requests_per_s,
        "replica_usd_per_hour": usd_per_hour_ / replicas,
        "replica_requests_per_s": carried / replicas,
    }


def carried_requests_per_s(capacity: Estimate | None, requests_per_s: float) -> float:
    """Return the traffic up to which a configuration surely keeps its target; what misses it at any load carries no more than today's."""
    return capacity.low if capacity is not None and capacity.low > requests_per_s else requests_per_s


def bill_usd_per_hour(x: Values, growth: float = 1.0) -> float:
    """Return what an hour of a known bill costs at so many times its traffic: of as many replicas as carry it, where they are known.

    Traffic that falls month by month saves nothing by itself: the replicas of today stay on.
    """
    paid = x["serving_usd_per_hour"]
    if "measured_at_requests_per_s" not in x:
        return paid * max(1.0, growth)
    needed = _replicas_usd_per_hour(x, x["requests_per_s"])
    today = max(paid, needed) if x["requests_per_s"] >= x["measured_at_requests_per_s"] else min(paid, needed)
    return today if growth <= 1 else max(today, _replicas_usd_per_hour(x, x["requests_per_s"] * growth))


def _replicas_usd_per_hour(x: Values, requests_per_s: float) -> float:
    return x["replica_usd_per_hour"] * max(1.0, whole(requests_per_s / x["replica_requests_per_s"]))
