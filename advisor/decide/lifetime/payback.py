"""What a lever saves over the horizon beside what it costs once: from when on, and from which traffic on, it has paid for itself."""

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

from advisor import units
from advisor.decide.lifetime import cost as lifecycle
from advisor.decide.lifetime.levers import Move, once_usd
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.lifetime import BreakEven
from advisor.schema.record import Estimate

LARGEST_STEP = 20  # 2^20 times today's traffic
CLOSE = 1e-9
SOURCE = "serving as it is less serving with the lever, month by month, over the horizon"


class Gain(NamedTuple):
    """A lever's saving and cost with their intervals, and how it saves by month (usd, discounted)."""

    saving_usd: Estimate
    once_usd: Estimate
    by_month: list[float]

    @property
    def net_usd(self) -> float:
        """What is left of the saving."""
        return self.saving_usd.value - self.once_usd.value

    @property
    def is_sure(self) -> bool:
        """Whether something is left at the unfavourable ends, too."""
        return self.saving_usd.low > self.once_usd.high


def gain_of(move: Move, figures: Mapping[str, Estimate]) -> Gain:
    """Return what the lever saves and costs; each interval by itself, differences added up by squares."""
    x = {name: figure.value for name, figure in figures.items()}
    by_month = saved_by_month(move, x)
    value = math.fsum(by_month)
    ends = [
        math.fsum(saved_by_month(move, {**x, name: end}))
        for name, figure in figures.items()
        for end in (figure.low, figure.high)
        if end != figure.value
    ]
    if move.effect is not None:
        ends += [math.fsum(saved_by_month(move, x, end)) for end in (move.effect.low, move.effect.high)]
    up, down = (math.sqrt(math.fsum((end - value) ** 2 for end in ends if (end - value) * sign > 0)) for sign in (1, -1))
    cost, low, high = once_usd(move, x)
    effort = move.lever.effort_engineer_days
    return Gain(
        saving_usd=Estimate(value=value, low=value - down, high=value + up, basis="projected", source=SOURCE),
        once_usd=Estimate(
            value=cost,
            low=low,
            high=high,
            basis="assumed",
            source=f"{effort.value:g} engineer days ({effort.low:g} to {effort.high:g}) at {units.usd(x['engineer_usd_per_day'])}"
            + (f", and {move.because}" if move.beside_usd else ""),
        ),
        by_month=by_month,
    )


def saved_by_month(move: Move, x: Values, effect: float | None = None) -> list[float]:
    """Return what serving costs less with the lever, month by month."""
    before, after = lifecycle.serving_by_month(x), lifecycle.serving_by_month(move.changed(x, effect))
    assert before is not None and after is not None  # a lever is judged only where its cost is known
    return [was - is_ for was, is_ in zip(before, after, strict=True)]


def months_until(once: float, by_month: list[float], horizon_months: float) -> float | None:
    """Return after how many months the savings have paid what was spent, None where they never do within the horizon."""
    if once <= 0:
        return 0.0
    saved = 0.0
    for month, total in enumerate(accumulate(by_month)):
        if total >= once:
            length = min(1.0, horizon_months - month)
            return month + length * (once - saved) / (total - saved)
        saved = total
    return None


def payback(gain: Gain, horizon_months: float) -> Estimate | None:
    """Return the months until it is paid back; the upper end is that of the horizon where it may not be within it."""
    once, saving = gain.once_usd, gain.saving_usd
    value = months_until(once.value, gain.by_month, horizon_months)
    if value is None or saving.value <= 0:
        return None
    early = months_until(once.low, _scaled(gain.by_month, saving.high / saving.value), horizon_months)
    late = months_until(once.high, _scaled(gain.by_month, max(0.0, saving.low) / saving.value), horizon_months)
    sure = "" if late is not None else "; at the unfavourable ends not within the horizon, at which the interval is cut"
    return Estimate(
        value=value,
        low=min(value, value if early is None else early),
        high=max(value, horizon_months if late is None else late),
        basis="projected",
        source=f"the month in which the savings reach what it costs once{sure}",
    )


def _scaled(by_month: list[float], factor: float) -> list[float]:
    return [usd * factor for usd in by_month]


def break_even(move: Move, gain: Gain, x: Values, *, created: str) -> BreakEven:
    """Return when a lever has paid for itself, and at which traffic it just does over the horizon."""
    months = payback(gain, x["horizon_months"])
    at = _traffic_at_zero(move, gain.once_usd.value, x)
    saving, horizon = gain.saving_usd.value, units.months(x["horizon_months"])
    if months is not None:
        because = move.because
    elif saving <= 0:
        because = f"it saves nothing at this traffic; {move.because}".rstrip("; ")
    else:
        because = f"it saves {units.usd(saving)} in {horizon} and costs {units.usd(gain.once_usd.value)}"
    return BreakEven(
        lever=move.lever.id,
        title=move.lever.title,
        saving_usd=gain.saving_usd,
        once_usd=gain.once_usd,
        months=months,
        on=units.date_after(created, months.value * units.DAYS_PER_MONTH) if months is not None else None,
        requests_per_s=at,
        pays=None
        if at is None
        else ("above" if _net(move, gain.once_usd.value, {**x, "requests_per_s": at * 1.01}) > 0 else "below"),
        because=because,
    )


def _net(move: Move, once: float, x: Values) -> float:
    return math.fsum(saved_by_month(move, x)) - once


def _traffic_at_zero(move: Move, once: float, x: Values) -> float | None:
    """Return the traffic nearest to today's at which saving and cost are equal, None where they nowhere are."""
    now = x["requests_per_s"]
    pays = _net(move, once, x) > 0
    for step in range(LARGEST_STEP):
        for factor in (2.0, 0.5):
            inner, outer = now * factor**step, now * factor ** (step + 1)
            if (_net(move, once, {**x, "requests_per_s": outer}) > 0) != pays:
                return _between(inner, outer, pays, move, once, x)
    return None


def _between(inner: float, outer: float, pays: bool, move: Move, once: float, x: Values) -> float:
    while abs(outer - inner) > CLOSE * inner:
        middle = (inner + outer) / 2
        if (_net(move, once, {**x, "requests_per_s": middle}) > 0) == pays:
            inner = middle
        else:
            outer = middle
    return (inner + outer) / 2


def of_horizon(x: Values, usd: float) -> float:
    """Return a sum over the horizon as one of a year."""
    return usd * 12 / x["horizon_months"]
