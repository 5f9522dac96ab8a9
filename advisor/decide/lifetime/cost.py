"""What a model costs over its planned life, line by line, and each kind's share of it.

Every line is a function of plain numbers, so that any of them can be moved: to the ends of its interval, to where a verdict turns,
to what a lever makes of it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from advisor.decide.lifetime import fleet, intervals, serving_cost, training_cost
from advisor.decide.lifetime.horizon import months, worth_of_a_month
from advisor.decide.lifetime.serving_cost import Values, is_in_the_field, uses_api
from advisor.schema.lifetime import CostLine, Kind
from advisor.schema.record import Basis, Estimate
from advisor.units import counted, number, usd

KINDS: tuple[Kind, ...] = ("inference", "fine-tuning", "data", "pre-training")
HOURS_OF_A_WORKING_DAY = 8.0


class Line(NamedTuple):
    """How one line of the cost is worked out; without a required one there are no shares."""

    kind: Kind
    is_required: bool
    formula: str
    compute: Callable[[Values], float | None]
    missing: Callable[[Values], str] | str  # the keys to give where it is not known


def _serving(x: Values) -> float | None:
    costs_ = fleet.serving_by_month(x)
    return None if costs_ is None else math.fsum(costs_)


def _mean_worth(x: Values) -> float:
    return worth_of_a_month(x) / x["horizon_months"]


def _people(x: Values, name: str) -> float | None:
    if name not in x or "engineer_usd_per_day" not in x:
        return None
    return x[name] * x["engineer_usd_per_day"]


def _serving_team(x: Values) -> float | None:
    """Return what operating costs; whose tokens are bought, its vendor operates."""
    engineers, operators = _people(x, "serving_engineer_days_per_month"), _operators(x)
    if engineers is None and operators is None:
        return None
    return 0.0 if uses_api(x) else ((engineers or 0.0) + (operators or 0.0)) * worth_of_a_month(x)


def _operators(x: Values) -> float | None:
    if "operator_hours_per_month" not in x:
        return None
    if "operator_usd_per_hour" in x:
        return x["operator_hours_per_month"] * x["operator_usd_per_hour"]
    return x["operator_hours_per_month"] * x["engineer_usd_per_day"] / HOURS_OF_A_WORKING_DAY


def _migration(x: Values) -> float | None:
    return _people(x, "migration_engineer_days")


def _releases(x: Values) -> float | None:
    count, each = training_cost.releases(x), training_cost.release_usd(x)
    # Runs that never happen cost nothing, whatever the price of one; so do runs that are free, however many.
    if count == 0 or each == 0:
        return 0.0
    return None if count is None or each is None else count * each * _mean_worth(x)


def _release_team(x: Values) -> float | None:
    each, count = _people(x, "engineer_days_per_release"), training_cost.releases(x)
    return None if each is None or count is None else each * count * _mean_worth(x)


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
        serving_cost.missing,
    ),
    "engineers who keep it running": Line(
        "inference",
        False,
        "days a month x usd a day x months; none for an API",
        _serving_team,
        "lifecycle.team.serving_engineer_days_per_month",
    ),
    "migration": Line("inference", False, "days x usd a day, once", _migration, "lifecycle.team.migration_engineer_days"),
    "fine-tuning runs": Line(
        "fine-tuning",
        True,
        "releases x experiments each x 6 (all weights) or 4 (LoRA, QLoRA) x parameters x tokens / (peak x MFU) x usd an hour; "
        "or releases x usd per run",
        _releases,
        training_cost.missing_of_runs,
    ),
    "engineers who fine-tune": Line(
        "fine-tuning",
        False,
        "releases x days each x usd a day",
        _release_team,
        training_cost.missing_of_release_team,
    ),
    "labels": Line(
        "data",
        True,
        "(labels + labels a release x releases) x usd each x (1 + share that is reviewed); or as given",
        training_cost.labels_usd,
        training_cost.missing_of_labels,
    ),
    "validation": Line(
        "data",
        False,
        "once, and for each release, as given",
        training_cost.validation_usd,
        training_cost.missing_of_validation,
    ),
    "pre-training": Line(
        "pre-training",
        True,
        "6 x parameters x tokens x runs on the way / (peak x MFU) x usd an hour; or as given; none where nothing is written",
        _pre_training,
        training_cost.missing_of_pre_training,
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
    if name == "validation" and "validation_usd_per_release" in x and (count := training_cost.releases(x)) is not None:
        return f"{LINES[name].formula}: {number(count)} releases at {usd(x['validation_usd_per_release'])} each"
    return LINES[name].formula if name != "serving" else _serving_formula(x)


def _serving_formula(x: Values) -> str:
    hours, traffic, price = "730 h a month", "(1 + growth)^month", "(1 - price decline)^(month/12)"
    if is_in_the_field(x):
        return f"units of each month x (price / hours that one lasts + power x usd a kWh) x {hours}"
    if "replica_usd_per_hour" in x:
        return f"replicas, as many as carry the traffic x {traffic} and no fewer than today, x usd an hour x {hours} x {price} of hardware"
    if "serving_usd_per_hour" in x:
        return f"usd an hour, as measured or given, x {hours} x {traffic} x {price} of hardware, growth below 1 counts as 1"
    if uses_api(x):
        return f"tokens x their price x requests x {hours} x {traffic} x {price} of tokens"
    work = (
        "device seconds of a request"
        if "device_requests_per_s" in x or "device_tokens_per_s" in x
        else "operations / (peak x MFU)"
    )
    owned = "(price / hours of use + power x usd a kWh), what stands idle included," if "device_price_usd" in x else "usd an hour"
    devices = f"replicas = requests/s x {traffic} x {work} / fleet load / devices of a replica, whole, at least those always on"
    declines = "" if "device_price_usd" in x else f" x {price} of hardware"
    return f"replicas x devices of each x {owned} x {hours}{declines}; {devices}"


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


class Watched(Mapping[str, float]):
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
        """Return an input, or the default where it is not known: only what is there counts as read."""
        return self[name] if name in self.x else default


class Costs(NamedTuple):
    """The lifetime cost with its intervals."""

    lines: tuple[CostLine, ...]
    total_usd: Estimate | None
    shares: dict[str, Estimate]  # by kind, empty where a required line is not known
    by_kind: dict[Kind, float] | None
    known: dict[str, float | None]  # each line in usd
    read: dict[str, frozenset[str]]  # the inputs that each line depends on

    def at(self, x: Values, moved: AbstractSet[str]) -> dict[str, float | None]:
        """Return each line in usd at other inputs, of which none but these have moved: what reads none of them stays."""
        return _at(self.known, self.read, x, moved)


def _at(
    known: Mapping[str, float | None], read: Mapping[str, frozenset[str]], x: Values, moved: AbstractSet[str]
) -> dict[str, float | None]:
    return {line: usd_ if moved.isdisjoint(read[line]) else LINES[line].compute(x) for line, usd_ in known.items()}


def lifetime_costs(figures: Mapping[str, Estimate], assumed: frozenset[str]) -> Costs:
    """Return the lifetime cost of these inputs, each with its interval; `assumed` names those that nobody gave."""
    x = {name: figure.value for name, figure in figures.items()}
    watched = {name: Watched(x) for name in LINES}
    known = {name: line.compute(watched[name]) for name, line in LINES.items()}
    read = {name: frozenset(entry.read) for name, entry in watched.items()}
    hang_on = frozenset().union(*read.values())
    moved = [
        (name, end, _at(known, read, {**x, name: end}, {name}))
        for name, figure in figures.items()
        for end in (figure.low, figure.high)
        if end != figure.value and name in hang_on
    ]
    parts = {
        line: intervals.of_steps(
            LINES[line].compute,
            x,
            [
                intervals.Moved(name, end, usd_)
                for name, end, entry in moved
                if name in read[line] and (usd_ := entry[line]) is not None
            ],
        )
        for line, value in known.items()
        if value is not None
    }
    ends = {line: part.ends for line, part in parts.items()}
    lines = tuple(
        _line(name, x, ends.get(name), watched[name].read & assumed, _measured(figures, watched[name].read)) for name in LINES
    )
    by_kind = totals(known)
    if by_kind is None:
        return Costs(lines=lines, total_usd=None, shares={}, by_kind=None, known=known, read=read)
    at_ends = [sums for _, _, entry in moved if (sums := totals(entry)) is not None]
    used = hang_on & assumed
    total = intervals.of_sum(math.fsum(by_kind.values()), [math.fsum(entry.values()) for entry in at_ends], parts.values())
    basis: Basis = "assumed" if used else "projected"
    shares: dict[str, Estimate] = {
        kind: intervals.estimate(
            intervals.of_share(share, [shares_of(entry)[kind] for entry in at_ends]), basis, f"the lines of {kind} over all lines"
        )
        for kind, share in shares_of(by_kind).items()
    }
    source = f"sum of all lines; {_assumed_inputs(used)}"
    return Costs(
        lines=lines,
        total_usd=intervals.estimate(total, basis, source),
        shares=shares,
        by_kind=by_kind,
        known=known,
        read=read,
    )


def _measured(figures: Mapping[str, Estimate], read: AbstractSet[str]) -> str:
    """Describe the inputs of a line that were measured."""
    found = sorted(name for name in read if name in figures and figures[name].basis == "measured")
    return "; ".join(f"{name} measured, {figures[name].source}" for name in found)


def missing_of(name: str, x: Values) -> str:
    """Return the keys of the workload file to give where a line is not known, of those that are not there."""
    missing = LINES[name].missing
    return missing if isinstance(missing, str) else missing(x)


def _line(name: str, x: Values, ends: intervals.Ends | None, assumed: set[str], measured: str) -> CostLine:
    line, formula = LINES[name], _formula(name, x)
    if ends is None:
        what = "not known" if line.is_required else "not counted"
        return CostLine(what=name, kind=line.kind, usd=None, formula=formula, because=f"{what}: give {missing_of(name, x)}")
    basis: Basis = "assumed" if assumed else "projected"
    return CostLine(
        what=name,
        kind=line.kind,
        usd=intervals.estimate(ends, basis, "; ".join(filter(None, (formula, _assumed_inputs(assumed), measured)))),
        formula=formula,
        because="",
        measured=measured,
    )


def _assumed_inputs(assumed: frozenset[str] | set[str]) -> str:
    return f"assumed by advisor: {', '.join(sorted(assumed))}" if assumed else "all inputs as given"


def by_month(x: Values, lines: tuple[str, ...]) -> list[float] | None:
    """Return what these lines cost together in each month; what is no bill of a month is spread evenly over the horizon.

    None where what serving costs is not known and asked for; another line that is not known is not counted.
    """
    course = months(x)
    serving = fleet.serving_by_month(x) if "serving" in lines else [0.0] * len(course)
    if serving is None:
        return None
    beside = math.fsum(LINES[name].compute(x) or 0.0 for name in lines if name != "serving")
    each = beside / worth_of_a_month(x)
    return [usd_ + each * month.part * month.worth for usd_, month in zip(serving, course, strict=True)]
