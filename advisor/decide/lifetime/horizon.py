"""The course of a day and of the planned life: traffic by the hour, bursts; by the month traffic, prices and what money is worth."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from advisor.schema.catalog import Constant
from advisor.schema.record import Estimate
from advisor.units import HOURS_PER_MONTH, SECONDS_PER_DAY

if TYPE_CHECKING:
    import numpy as np

HOURS_PER_DAY = 24
HOURS = tuple(f"traffic_in_hour_{hour:02d}" for hour in range(HOURS_PER_DAY))  # over the mean of the day, where it is known
MONTHS_PER_YEAR = 12


class Month(NamedTuple):
    """One month of the horizon: how much of it counts, and the factors of traffic, hardware and token prices, and of money."""

    part: float
    growth: float
    price: float
    tokens: float
    worth: float


def months(x: Mapping[str, float]) -> tuple[Month, ...]:
    """Return the months of the horizon, the last of them perhaps a part of one."""
    return _months(
        x["horizon_months"],
        x.get("growth_per_month", 0.0),
        x.get("hardware_price_decline_per_year", 0.0),
        x.get("token_price_decline_per_year", x.get("price_decline_per_year", 0.0)),
        x.get("discount_per_year", 0.0),
    )


@lru_cache(maxsize=64)
def _months(horizon: float, growth: float, hardware: float, tokens: float, discount: float) -> tuple[Month, ...]:
    return tuple(
        Month(
            part=min(1.0, horizon - month),
            growth=(1 + growth) ** month,
            price=(1 - hardware) ** (month / 12),
            tokens=(1 - tokens) ** (month / 12),
            worth=(1 + discount) ** (-month / 12),
        )
        for month in range(math.ceil(horizon))
    )


def growths(x: Mapping[str, float]) -> tuple[float, ...]:
    """Return each month's traffic over that of today."""
    return _growths(x["horizon_months"], x.get("growth_per_month", 0.0))


# Kept by what they are made of: to look for them by the months themselves takes longer than to make them.
@lru_cache(maxsize=64)
def _growths(horizon: float, growth: float) -> tuple[float, ...]:
    return tuple(month.growth for month in _months(horizon, growth, 0.0, 0.0, 0.0))


def rented_hours(x: Mapping[str, float]) -> tuple[float, ...]:
    """Return each month's hours of rented hardware, as many as they are worth at today's price."""
    return _rented_hours(x["horizon_months"], x.get("hardware_price_decline_per_year", 0.0), x.get("discount_per_year", 0.0))


@lru_cache(maxsize=64)
def _rented_hours(horizon: float, hardware: float, discount: float) -> tuple[float, ...]:
    months_ = _months(horizon, 0.0, hardware, 0.0, discount)
    return tuple(HOURS_PER_MONTH * month.part * month.worth * month.price for month in months_)


def worth_of_a_month(x: Mapping[str, float]) -> float:
    """Return the discounted number of months: what is paid evenly over the horizon is worth so many times a month of it."""
    return _worth(x["horizon_months"], x.get("discount_per_year", 0.0))


@lru_cache(maxsize=64)
def _worth(horizon: float, discount: float) -> float:
    return math.fsum(month.part * month.worth for month in _months(horizon, 0.0, 0.0, 0.0, discount))


class Course(NamedTuple):
    """Traffic over a day: of each hour over the mean, of the busiest part over the mean, and how bursty it is within them.

    None where nobody gave: the same rate all day is then one possibility among others.
    """

    hours: tuple[float, ...] | None = None
    peak_over_mean: float | None = None
    burstiness_cv: float = 1.0
    source: str = ""
    is_recorded: bool = False  # the rate is that of a trace, and not a figure of the file

    def with_bursts(self, load: float) -> float:
        """Return the load at which such traffic waits no longer than Poisson traffic does at `load`."""
        queue = load / (1 - load) * 2 / (self.burstiness_cv**2 + 1) if load < 1 else float("inf")
        return queue / (1 + queue) if load < 1 else 1.0


EVEN = Course()


def of_rates(rates: Sequence[float], burstiness_cv: float, source: str) -> Course:
    """Return the course of relative rates of equal parts of the day."""
    mean = sum(rates) / len(rates)
    hours = tuple(_mean_within(rates, hour / HOURS_PER_DAY, (hour + 1) / HOURS_PER_DAY) / mean for hour in range(HOURS_PER_DAY))
    return Course(hours=hours, peak_over_mean=max(rates) / mean, burstiness_cv=burstiness_cv, source=source)


def of_arrivals(arrival_s: "np.ndarray | Sequence[float]", source: str) -> Course:
    """Return the course of recorded requests (requests,), ascending: by the hour of the day where they are of a day or more.

    Of less than a day, the record repeats.
    """
    import numpy as np  # whoever has no trace does without

    since_s = np.asarray(arrival_s, dtype=float) - arrival_s[0]
    span = float(since_s[-1])
    whole = span if span < SECONDS_PER_DAY else SECONDS_PER_DAY * (span // SECONDS_PER_DAY)
    period = min(span, SECONDS_PER_DAY)
    within = since_s[: int(np.searchsorted(since_s, whole))]
    hours = np.minimum((within % period / period * HOURS_PER_DAY).astype(np.int64), HOURS_PER_DAY - 1)
    counts = np.bincount(hours, minlength=HOURS_PER_DAY).astype(float).tolist()
    gaps_s = np.diff(since_s)
    return of_rates(counts, float(gaps_s.std() / gaps_s.mean()), source)._replace(is_recorded=True)


def _mean_within(rates: Sequence[float], start: float, end: float) -> float:
    """Return the mean of rates that stand for equal parts of the day, between two times of it."""
    parts = len(rates)
    found = 0.0
    for at in range(int(start * parts), min(parts, int(end * parts) + 1)):
        found += rates[at] * max(0.0, min(end, (at + 1) / parts) - max(start, at / parts))
    return found / (end - start)


def exactly(value: float, source: str) -> Estimate:
    """Return a figure without an interval."""
    return Estimate(value=value, low=value, high=value, basis="assumed", source=source)


def figures_of_day(course: Course) -> dict[str, Estimate]:
    """Return what is known of the day as inputs of the lifetime cost."""
    found = {}
    if course.hours is not None:
        found = {name: exactly(rate, course.source) for name, rate in zip(HOURS, course.hours, strict=True)}
    if course.peak_over_mean is not None:
        found["peak_over_mean"] = exactly(course.peak_over_mean, course.source)
    return found


def mean_load(course: Course, constants: Mapping[str, Constant], *, has_window: bool, is_at_target: bool) -> Estimate | None:
    """Return the mean load of the fleet: as assumed where the day is not known, else what its busiest part leaves.

    Bursts leave less: the wait of a queue grows with (cv^2 + 1) / 2 x load / (1 - load) (Kingman 1961), and is not to grow. Where the
    load is over what keeps the latency target (`is_at_target`), room for bursts is left already. `has_window`: work waits for one.
    """
    if has_window:
        return exactly(1.0, "work that waits for its window keeps devices busy all of it")
    peak = course.peak_over_mean
    if is_at_target and peak is not None:
        source = f"{course.source}: in the busiest part of the day devices serve as much as keeps the target"
        return Estimate(value=1 / peak, low=1 / peak, high=1 / peak, basis="projected", source=source)
    constant = constants.get("fleet_utilization_fraction" if peak is None else "peak_load_fraction")
    if constant is None:
        return None
    ends = (constant.low, constant.value, constant.high)
    low, value, high = (load if is_at_target else course.with_bursts(load) / (peak or 1.0) for load in ends)
    source = f"{constant.source.what} ({constant.source.date})"
    if peak is not None and peak > 1:
        source = f"{course.source}: the busiest part of the day has {peak:.3g} times the mean; in it, {source}"
    return Estimate(value=value, low=low, high=high, basis="assumed", source=source)
