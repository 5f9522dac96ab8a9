"""What a model costs over its planned life, line by line, and each kind's share of it.

Every line is a function of plain numbers, so that any of them can be moved: to the ends of its interval, to where a verdict turns,
to what a lever makes of it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from advisor.decide.lifetime import serving_cost, training_cost
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.lifetime import CostLine, Kind
from advisor.schema.record import Basis, Estimate
from advisor.units import HOURS_PER_MONTH, counted, number

KINDS: tuple[Kind, ...] = ("inference", "fine-tuning", "data", "pre-training")


class Month(NamedTuple):
    """One month of the horizon: how much of it counts, and the factors of traffic, prices and the worth of money."""

    part: float
    growth: float
    price: float
    worth: float


class Line(NamedTuple):
    """How one line of the cost is worked out; without a required one there are no shares."""

    kind: Kind
    is_required: bool
    formula: str
    compute: Callable[[Values], float | None]
    way_out: str


def months(x: Values) -> tuple[Month, ...]:
    """Return the months of the horizon, the last of them perhaps a part of one."""
    return _months(*_course(x))


def _course(x: Values) -> tuple[float, float, float, float]:
    return (
        x["horizon_months"],
        x.get("growth_per_month", 0.0),
        x.get("price_decline_per_year", 0.0),
        x.get("discount_per_year", 0.0),
    )


@lru_cache(maxsize=64)
def _months(horizon: float, growth: float, decline: float, discount: float) -> tuple[Month, ...]:
    return tuple(
        Month(
            part=min(1.0, horizon - month),
            growth=(1 + growth) ** month,
            price=(1 - decline) ** (month / 12),
            worth=(1 + discount) ** (-month / 12),
        )
        for month in range(math.ceil(horizon))
    )


def serving_by_month(x: Values) -> list[float] | None:
    """Return what serving costs in each month, discounted; None where an input is missing."""
    now = serving_cost.usd_per_hour(x)
    if now is None:
        return None
    floor_usd, demand_usd = now
    return [hours * max(floor_usd, demand_usd * growth) for hours, growth in _hours(*_course(x))]


@lru_cache(maxsize=64)
def _hours(horizon: float, growth: float, decline: float, discount: float) -> tuple[tuple[float, float], ...]:
    """Return each month's hours, as many as they are worth at today's prices, and its growth."""
    course = _months(horizon, growth, decline, discount)
    return tuple((HOURS_PER_MONTH * month.part * month.price * month.worth, month.growth) for month in course)


def _serving(x: Values) -> float | None:
    costs = serving_by_month(x)
    return None if costs is None else math.fsum(costs)


def _worth_of_a_month(x: Values) -> float:
    """Return the discounted number of months: what is paid evenly over the horizon is worth so many times a month of it."""
    return math.fsum(month.part * month.worth for month in months(x))


def _mean_worth(x: Values) -> float:
    return _worth_of_a_month(x) / x["horizon_months"]


def _people(x: Values, name: str) -> float | None:
    if name not in x or "engineer_usd_per_day" not in x:
        return None
    return x[name] * x["engineer_usd_per_day"]


def _serving_team(x: Values) -> float | None:
    usd_per_month = _people(x, "serving_engineer_days_per_month")
    return None if usd_per_month is None else usd_per_month * _worth_of_a_month(x)


def _migration(x: Values) -> float | None:
    return _people(x, "migration_engineer_days")


def _releases(x: Values) -> float | None:
    count, usd = training_cost.releases(x), training_cost.release_usd(x)
    # Runs that never happen cost nothing, whatever the price of one; so do runs that are free, however many.
    if count == 0 or usd == 0:
        return 0.0
    return None if count is None or usd is None else count * usd * _mean_worth(x)


def _release_team(x: Values) -> float | None:
    usd, count = _people(x, "engineer_days_per_release"), training_cost.releases(x)
    return None if usd is None or count is None else usd * count * _mean_worth(x)


def _labels(x: Values) -> float | None:
    if "labels_usd" in x:
        return x["labels_usd"]
    if "labels_to_buy" not in x:
        return None
    return x["labels_to_buy"] * x["usd_per_label"] * (1 + x["review_fraction"])


def _validation(x: Values) -> float | None:
    return x.get("validation_usd")


def _pre_training(x: Values) -> float | None:
    # Most models are somebody else's: nothing written means that none of the user's money goes into pre-training.
    return training_cost.pre_training_usd(x) if "pre_training_tokens" in x or "pre_training_usd" in x else 0.0


def _pre_training_team(x: Values) -> float | None:
    return _people(x, "pre_training_engineer_days")


LINES: dict[str, Line] = {
    "serving": Line(
        "inference",
        True,
        "what serves the requests, for every hour of the horizon",
        _serving,
        "lifecycle.model, lifecycle.request and lifecycle.serving (with device_usd_per_hour where the catalogue has no price), or "
        "lifecycle.serving.serving_usd_per_hour",
    ),
    "engineers who keep it running": Line(
        "inference", False, "days a month x usd a day x months", _serving_team, "lifecycle.team.serving_engineer_days_per_month"
    ),
    "migration": Line("inference", False, "days x usd a day, once", _migration, "lifecycle.team.migration_engineer_days"),
    "fine-tuning runs": Line(
        "fine-tuning",
        True,
        "releases x experiments each x 6 (all weights) or 4 (LoRA, QLoRA) x parameters x tokens / (peak x MFU) x usd an hour; "
        "or releases x usd per run",
        _releases,
        "lifecycle.fine_tunings_per_year, and lifecycle.fine_tuning or lifecycle.fine_tuning_usd",
    ),
    "engineers who fine-tune": Line(
        "fine-tuning",
        False,
        "releases x days each x usd a day",
        _release_team,
        "lifecycle.fine_tuning.engineer_days_per_release",
    ),
    "labels": Line(
        "data",
        True,
        "labels x usd each x (1 + share that is reviewed); or as given",
        _labels,
        "lifecycle.labels_usd or lifecycle.data",
    ),
    "validation": Line("data", False, "as given", _validation, "lifecycle.data.validation_usd"),
    "pre-training": Line(
        "pre-training",
        True,
        "6 x parameters x tokens x runs on the way / (peak x MFU) x usd an hour; or as given; none where nothing is written",
        _pre_training,
        "lifecycle.pre_training or lifecycle.pre_training_usd",
    ),
    "engineers who pre-train": Line(
        "pre-training",
        False,
        "days x usd a day",
        _pre_training_team,
        "lifecycle.pre_training.pre_training_engineer_days",
    ),
}


def _formula(name: str, x: Values) -> str:
    """Return how a line is worked out; of serving it depends on what is known of it."""
    if name == "fine-tuning runs":
        return LINES[name].formula + _on_devices(x)
    if name != "serving":
        return LINES[name].formula
    course = "730 h a month x (1 + growth)^month x (1 - price decline)^(month/12)"
    if "serving_usd_per_hour" in x:
        return f"usd an hour, as measured or given, x {course}, growth below 1 counts as 1"
    if "api_usd_per_input_token" in x:
        return f"tokens x their price x requests x {course}"
    devices = "devices = requests/s x 2 x parameters x tokens x agents / (peak x MFU x fleet load), at least those always on"
    return f"devices x usd an hour x {course}; {devices}"


def _on_devices(x: Values) -> str:
    """Return how long a release takes and how many devices hold it, where that is known."""
    hours, devices = training_cost.release_device_hours(x), training_cost.fine_tuning_devices(x)
    if hours is None or devices is None or "fine_tuning_usd" in x:
        return ""
    each, count = number(x["fine_tuning_bytes_per_parameter"]), counted(round(devices), "device")
    return f"; a release takes {number(hours)} device hours, on {count} or more for {each} bytes a parameter"


def costs(x: Values) -> dict[str, float | None]:
    """Return each line in usd, None where it is not known."""
    return {name: line.compute(x) for name, line in LINES.items()}


def totals(known: Mapping[str, float | None]) -> dict[Kind, float] | None:
    """Return the usd of each kind, None where a line that is required is not known."""
    if any(known[name] is None for name, line in LINES.items() if line.is_required):
        return None
    return {kind: math.fsum(known[name] or 0.0 for name, line in LINES.items() if line.kind == kind) for kind in KINDS}


def shares_of(by_kind: Mapping[Kind, float]) -> dict[Kind, float]:
    """Return each kind's part of the whole; serving is all there is where nothing costs anything."""
    whole = math.fsum(by_kind.values())
    if whole == 0:
        return {kind: float(kind == "inference") for kind in KINDS}
    return {kind: usd / whole for kind, usd in by_kind.items()}


class _Watched(Mapping[str, float]):
    """Inputs that remember which of them were read."""

    def __init__(self, x: Values) -> None:
        self.x = x
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> float:
        self.read.add(name)
        return self.x[name]

    def __contains__(self, name: object) -> bool:
        return name in self.x

    def __iter__(self) -> Iterator[str]:
        return iter(self.x)

    def __len__(self) -> int:
        return len(self.x)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self.x else default


class Costs(NamedTuple):
    """The lifetime cost with its intervals."""

    lines: tuple[CostLine, ...]
    total_usd: Estimate | None
    shares: dict[str, Estimate]  # by kind, empty where a required line is not known
    by_kind: dict[Kind, float] | None


def lifetime_costs(figures: Mapping[str, Estimate], assumed: frozenset[str]) -> Costs:
    """Return the lifetime cost of these inputs; `assumed` names those that nobody gave.

    Each input is moved to the ends of its interval by itself, and what that changes is added up by squares: the inputs are taken to
    be independent. Costs are compared on a logarithmic scale and shares by their odds, so that no interval leaves what is possible.
    """
    x = {name: figure.value for name, figure in figures.items()}
    watched = {name: _Watched(x) for name in LINES}
    known = {name: line.compute(watched[name]) for name, line in LINES.items()}
    moved = [
        costs({**x, name: end})
        for name, figure in figures.items()
        for end in (figure.low, figure.high)
        if end != figure.value and any(name in entry.read for entry in watched.values())
    ]
    lines = tuple(
        _line(name, _formula(name, x), known[name], [entry[name] for entry in moved], watched[name].read & assumed)
        for name in LINES
    )
    by_kind = totals(known)
    if by_kind is None:
        return Costs(lines=lines, total_usd=None, shares={}, by_kind=None)
    at_ends = [sums for entry in moved if (sums := totals(entry)) is not None]
    used = frozenset().union(*(entry.read for entry in watched.values())) & assumed
    total = _spread(math.fsum(by_kind.values()), [math.fsum(entry.values()) for entry in at_ends], math.log, math.exp)
    basis: Basis = "assumed" if used else "projected"
    shares: dict[str, Estimate] = {
        kind: _estimate(
            _spread(share, [shares_of(entry)[kind] for entry in at_ends], _odds, _share),
            basis,
            f"the lines of {kind} over all lines",
        )
        for kind, share in shares_of(by_kind).items()
    }
    return Costs(
        lines=lines, total_usd=_estimate(total, basis, "sum of all lines; " + _said(used)), shares=shares, by_kind=by_kind
    )


def _line(name: str, formula: str, usd: float | None, at_ends: list[float | None], assumed: set[str]) -> CostLine:
    line = LINES[name]
    if usd is None:
        missing = "not known" if line.is_required else "not counted"
        return CostLine(what=name, kind=line.kind, usd=None, formula=formula, because=f"{missing}: give {line.way_out}")
    ends = _spread(usd, [end for end in at_ends if end is not None], math.log, math.exp)
    basis: Basis = "assumed" if assumed else "projected"
    return CostLine(
        what=name,
        kind=line.kind,
        usd=_estimate(ends, basis, f"{formula}; {_said(assumed)}"),
        formula=formula,
        because="",
    )


def _said(assumed: frozenset[str] | set[str]) -> str:
    return f"assumed by advisor: {', '.join(sorted(assumed))}" if assumed else "all inputs as given"


def _spread(
    value: float, at_ends: list[float], to_scale: Callable[[float], float], back: Callable[[float], float]
) -> tuple[float, float, float]:
    """Return value, low and high; differences from the value on a scale of its own, added up by squares on either side."""
    if not _is_inside(value, to_scale):
        return value, min(value, *at_ends, value), max(value, *at_ends, value)
    differences = [to_scale(end) - to_scale(value) for end in at_ends if _is_inside(end, to_scale)]
    up, down = (math.sqrt(math.fsum(part**2 for part in differences if part * sign > 0)) for sign in (1, -1))
    centre = to_scale(value)
    # There and back a figure may change in its last digit: one that nothing moves is exact.
    return value, min(value, back(centre - down)) if down else value, max(value, back(centre + up)) if up else value


def _is_inside(value: float, to_scale: Callable[[float], float]) -> bool:
    return value > 0 and (to_scale is not _odds or value < 1)


def _odds(share: float) -> float:
    return math.log(share / (1 - share))


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0


def _estimate(ends: tuple[float, float, float], basis: Basis, source: str) -> Estimate:
    value, low, high = ends
    return Estimate(value=value, low=low, high=high, basis=basis, source=source)
