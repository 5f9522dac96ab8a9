"""What a lever saves over the horizon beside what it costs once: from when on, and from which traffic on, it has paid for itself."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from advisor import units
from advisor.decide.lifetime import cost, horizon, intervals
from advisor.decide.lifetime.levers import effort_days, once_usd
from advisor.decide.lifetime.moves import Move
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.lifetime import BreakEven
from advisor.schema.record import Estimate

LARGEST_STEP = 14  # 2^14 times: traffic sixteen thousand times as large will not come
CLOSE = 1e-6
POINTS = 100  # of quality, where the whole is 1
TRAINING = ("fine-tuning runs", "engineers who fine-tune", "labels", "validation")
CLEARLY = 1e-5  # beyond a step
SOURCE = "what it changes as it is less what it is with the lever, month by month, over the horizon"


class Gain(NamedTuple):
    """A lever's saving and cost with their intervals, how it saves by month (usd, discounted), and its effort where that is its own."""

    saving_usd: Estimate
    once_usd: Estimate
    by_month: list[float]
    effort_engineer_days: Estimate | None = None

    @property
    def net_usd(self) -> float:
        """What is left of the saving."""
        return self.saving_usd.value - self.once_usd.value

    @property
    def is_sure(self) -> bool:
        """Whether something is left at the unfavorable ends, too."""
        return self.saving_usd.low > self.once_usd.high


def gain_of(move: Move, figures: Mapping[str, Estimate]) -> Gain:
    """Return what the lever saves and costs, by the rule of all intervals."""
    return gains_of([move], figures)[0]


def gains_of(moves: Sequence[Move], figures: Mapping[str, Estimate]) -> list[Gain]:
    """Return what each lever saves and costs; what is paid without them is worked out once for all."""
    x = {name: figure.value for name, figure in figures.items()}
    ends = [(name, end) for name, figure in figures.items() for end in (figure.low, figure.high) if end != figure.value]
    paid = {lines: _paid(lines, x, ends) for lines in {move.lines for move in moves}}
    return [_gain_of(move, x, ends, paid[move.lines]) for move in moves]


class _Paid(NamedTuple):
    """What lines cost without a lever: today, and with one input at an end each, where they depend on it at all."""

    usd: float
    most: float  # the upper end of its interval
    at_ends: dict[tuple[str, float], float]
    read: frozenset[str]


def _paid(lines: tuple[str, ...], x: Values, ends: list[tuple[str, float]]) -> _Paid:
    watched = cost.Watched(x)
    usd = _sum(watched, lines)
    at_ends = {(name, end): _sum({**x, name: end}, lines) for name, end in ends if name in watched.read}
    moved = [intervals.Moved(name, end, usd_) for (name, end), usd_ in at_ends.items()]
    most = intervals.of_steps(partial(_sum, lines=lines), x, moved).ends.high
    return _Paid(usd, most, at_ends, frozenset(watched.read))


def _gain_of(move: Move, x: Values, ends: list[tuple[str, float]], paid: _Paid) -> Gain:
    left = move.changed(x)
    monthly = _less_by_month(move, x, left)
    value = math.fsum(monthly)
    watched = cost.Watched(left)
    _sum(watched, move.lines)
    saved = []
    worst: dict[str, tuple[float, float]] = {}
    best: dict[str, tuple[float, float]] = {}
    for name, end in ends:
        after = move.changed({**x, name: end})
        if name not in paid.read | watched.read and all(after.get(other) == was for other, was in left.items() if other != name):
            continue  # neither what is paid nor what the lever leaves depends on it
        usd = paid.at_ends.get((name, end), paid.usd) - _sum(after, move.lines)
        saved.append(usd)
        worst[name] = min(worst.get(name, (value, x[name])), (usd, end))
        best[name] = max(best.get(name, (value, x[name])), (usd, end))
    effects = (move.effect.low, move.effect.high) if move.effect is not None else (None,)
    together = [
        _saved(move, {**x, **{name: end for name, (_, end) in corner.items()}}, effect)
        for corner in (worst, best)
        for effect in effects
    ]
    saving = intervals.of_saving(
        value,
        [*saved, *(_saved(move, x, effect) for effect in effects if effect is not None)],
        (min(together), max(together)),
        paid.most,
    )
    usd_once, low, high = once_usd(move, x, left)
    days = effort_days(move, x, left)
    beside = f", and {move.because}" if move.beside is not None else ""
    each = units.usd(x["engineer_usd_per_day"])
    return Gain(
        saving_usd=intervals.estimate(saving, "projected", SOURCE),
        once_usd=Estimate(
            value=usd_once,
            low=low,
            high=high,
            basis="assumed",
            source=f"{units.work_of(days.value, days.low, days.high)} at {each}{beside}",
        ),
        by_month=monthly,
        effort_engineer_days=days,
    )


def saved_by_month(move: Move, x: Values, effect: float | None = None) -> list[float]:
    """Return what the lines that a lever changes cost less with it, month by month."""
    return _less_by_month(move, x, move.changed(x, effect))


def _less_by_month(move: Move, x: Values, left: Values) -> list[float]:
    before, after = (cost.by_month(values, move.lines) for values in (x, left))
    assert before is not None and after is not None  # a lever is evaluated only where its cost is known before and after
    return [was - is_ for was, is_ in zip(before, after, strict=True)]


def _saved(move: Move, x: Values, effect: float | None = None) -> float:
    return math.fsum(saved_by_month(move, x, effect))


def _sum(x: Values, lines: tuple[str, ...]) -> float:
    return math.fsum(cost.by_month(x, lines) or ())


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
    sure = "" if late is not None else "; at the unfavorable ends not within the horizon, at which the interval is cut"
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
    at = _traffic_at_zero(move, x)
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
        pays=None if at is None else ("above" if _net(move, {**x, "requests_per_s": at * (1 + CLEARLY)}) > 0 else "below"),
        because=because,
    )


def of_quality(figures: Mapping[str, Estimate], *, created: str) -> BreakEven | None:
    """Return what closing the quality gap is worth beside what training costs; None where nobody gave what a point is worth."""
    x = {name: figure.value for name, figure in figures.items()}
    once = _training(x)
    if "usd_per_quality_point_per_year" not in x or "quality_gap" not in x or once is None:
        return None
    ends = [{**x, name: end} for name, figure in figures.items() for end in (figure.low, figure.high) if end != figure.value]
    monthly = _worth_of_quality(x)
    source = "points of the gap x usd a point and year x years, if fine-tuning closes it all"
    saving = intervals.of_cost(math.fsum(monthly), [math.fsum(_worth_of_quality(at)) for at in ends])
    paid = intervals.of_cost(once, [usd for at in ends if (usd := _training(at)) is not None])
    gain = Gain(
        saving_usd=intervals.estimate(saving, "projected", source),
        once_usd=intervals.estimate(paid, "projected", f"the lines {', '.join(TRAINING)}"),
        by_month=monthly,
    )
    months = payback(gain, x["horizon_months"])
    because = f"{units.usd(saving.value)} is worth the gap of {units.percent(x['quality_gap'])}, {units.usd(paid.value)} costs its training"
    return BreakEven(
        lever="close-the-gap",
        title="Fine-tune until the quality gap is closed",
        saving_usd=gain.saving_usd,
        once_usd=gain.once_usd,
        months=months,
        on=units.date_after(created, months.value * units.DAYS_PER_MONTH) if months is not None else None,
        requests_per_s=None,
        pays=None,
        because=because,
    )


def _worth_of_quality(x: Values) -> list[float]:
    each = x["usd_per_quality_point_per_year"] * x["quality_gap"] * POINTS / horizon.MONTHS_PER_YEAR
    return [each * month.part * month.worth for month in horizon.months(x)]


def _training(x: Values) -> float | None:
    required = [cost.LINES[name].compute(x) for name in TRAINING if cost.LINES[name].is_required]
    if None in required:
        return None
    return math.fsum(cost.LINES[name].compute(x) or 0.0 for name in TRAINING)


def _net(move: Move, x: Values) -> float:
    left = move.changed(x)
    return math.fsum(_less_by_month(move, x, left)) - once_usd(move, x, left)[0]


def _traffic_at_zero(move: Move, x: Values) -> float | None:
    """Return the traffic nearest to today's at which saving and cost are equal, None where they nowhere are.

    Replicas are whole, so both come in steps: at a step the saving may pass over the cost without being equal.
    """
    now = x["requests_per_s"]
    pays = _net(move, x) > 0
    for step in range(LARGEST_STEP):
        for factor in (2.0, 0.5):
            inner, outer = now * factor**step, now * factor ** (step + 1)
            if (_net(move, {**x, "requests_per_s": outer}) > 0) != pays:
                return _between(inner, outer, pays, move, x)
    return None


def _between(inner: float, outer: float, pays: bool, move: Move, x: Values) -> float:
    while abs(outer - inner) > CLOSE * inner:
        middle = (inner + outer) / 2
        if (_net(move, {**x, "requests_per_s": middle}) > 0) == pays:
            inner = middle
        else:
            outer = middle
    return (inner + outer) / 2


def of_horizon(x: Values, usd: float) -> float:
    """Return a sum over the horizon as one of a year."""
    return usd * 12 / x["horizon_months"]
