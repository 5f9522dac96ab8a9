"""Rows of advice by the thousand -> what they come to together, the ones that weigh most, and what has changed since an earlier run.

Rows come one at a time. Held are those that are shown, and of each pair of an earlier run a few figures.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, get_args

from advisor import __version__, units
from advisor.decide.comparison.outcomes import outcome
from advisor.schema.overview import AdviceRow, Overview, RowChange, RowOutcome, Since
from advisor.schema.record import SCHEMA_VERSION, Estimate

MOST_ROWS = 200  # of each outcome, that a report shows
MOST_CHANGES = 200
# Of what is spent, of what would be, and of what is saved, in this order.
MONEY = ("usd_per_month", "today_usd_per_month", "saving_usd_per_month")
IN_WORDS: dict[RowOutcome, str] = {
    "change": "to change",
    "keep": "to keep as it is",
    "advised": "advised without a today to compare with",
    "infeasible": "that nothing was found for",
    "inconclusive": "inconclusive",
    "failed": "failed",
}


class Sum:
    """A sum of any number of floats that loses nothing, as `math.fsum` has it of those that are there at once (Shewchuk 1997)."""

    def __init__(self) -> None:
        self._parts: list[float] = []

    def add(self, value: float) -> None:
        """Add a finite number."""
        parts = []
        for part in self._parts:
            larger, smaller = (value, part) if abs(value) >= abs(part) else (part, value)
            value = larger + smaller
            lost = smaller - (value - larger)
            if lost:
                parts.append(lost)
        self._parts = [*parts, value]

    @property
    def value(self) -> float:
        """The sum, rounded once."""
        return math.fsum(self._parts)


class _Before(NamedTuple):
    """What is remembered of a row of an earlier run."""

    outcome: RowOutcome
    served: tuple[str | None, str | None, int | None]
    usd_per_month: Estimate | None


class Earlier:
    """An earlier run, as far as changes are told: of each pair a few figures."""

    def __init__(self, rows: Iterable[AdviceRow]) -> None:
        self.created: str | None = None
        self._rows: dict[str, _Before] = {}
        self._changes: list[RowChange] = []
        self._changed = self._added = 0
        for row in rows:
            self._rows[row.id] = _Before(row.outcome, (row.variant, row.hardware, row.replicas), row.usd_per_month)
            if row.created is not None and (self.created is None or row.created < self.created):
                self.created = row.created

    def compare(self, row: AdviceRow) -> None:
        """Note what has changed of a pair; each is compared once."""
        before = self._rows.pop(row.id, None)
        if before is None:
            self._added += 1
            return
        what = tuple(_differences(before, row))
        if what:
            self._changed += 1
            if len(self._changes) < MOST_CHANGES:
                self._changes.append(RowChange(id=row.id, what=what))

    def told(self) -> Since:
        """Return the changes of all pairs that were compared; what was not is gone."""
        return Since(
            created=self.created,
            changed=self._changed,
            added=self._added,
            gone=len(self._rows),
            changes=tuple(self._changes),
        )


def _differences(before: _Before, row: AdviceRow) -> Iterator[str]:
    if before.outcome != row.outcome:
        yield f"{row.outcome} instead of {before.outcome}"
    served = (row.variant, row.hardware, row.replicas)
    if before.served != served and row.outcome != "failed" and before.outcome != "failed":
        yield f"{_served(*served)} instead of {_served(*before.served)}"
    old, new = before.usd_per_month, row.usd_per_month
    if old is not None and new is not None and outcome(old, new, is_worse_when_higher=True) != "same":
        yield f"{units.usd_per_month(new.value)} instead of {units.usd_per_month(old.value)}"


def _served(variant: str | None, hardware: str | None, replicas: int | None) -> str:
    if variant is None:
        return "nothing"
    return f"{units.counted(replicas or 0, 'replica')} of {variant} on {hardware}"


def overview(rows: Iterable[AdviceRow], *, name: str, created: str, rows_path: str, earlier: Earlier | None) -> Overview:
    """Return the overview of rows that come one at a time; `rows_path` is where they all are, seen from the report."""
    outcomes: Counter[RowOutcome] = Counter()
    sums = {key: Sum() for key in MONEY}
    shown: dict[RowOutcome, list[tuple[float, int, AdviceRow]]] = {kind: [] for kind in get_args(RowOutcome)}
    count = priced = 0
    for count, row in enumerate(rows, start=1):
        outcomes[row.outcome] += 1
        priced += row.usd_per_month is not None
        for key, total in sums.items():
            total.add(_value(row, key))
        heap, entry = shown[row.outcome], (_weight(row), -count, row)
        heapq.heappush(heap, entry) if len(heap) < MOST_ROWS else heapq.heappushpop(heap, entry)
        if earlier is not None:
            earlier.compare(row)
    kept = [row for _, _, row in sorted((entry for heap in shown.values() for entry in heap), reverse=True)]
    left = {key: Sum() for key in MONEY}
    for key in MONEY:
        left[key].add(sums[key].value)
        for row in kept:
            left[key].add(-_value(row, key))
    usd, today, saving = (sums[key].value for key in MONEY)
    return Overview(
        schema_version=SCHEMA_VERSION,
        created=created,
        advisor_version=__version__,
        name=name,
        headline=_headline(name, count, outcomes, priced, usd, today, saving),
        pairs=count,
        outcomes={kind: outcomes[kind] for kind in IN_WORDS if outcomes[kind]},
        usd_per_month=usd,
        today_usd_per_month=today,
        saving_usd_per_month=saving,
        rows=tuple(kept),
        left_out=count - len(kept),
        left_out_usd_per_month=_left(count, kept, left["usd_per_month"]),
        left_out_today_usd_per_month=_left(count, kept, left["today_usd_per_month"]),
        left_out_saving_usd_per_month=_left(count, kept, left["saving_usd_per_month"]),
        rows_path=rows_path,
        since=None if earlier is None else earlier.told(),
    )


def _left(count: int, kept: list[AdviceRow], total: Sum) -> float:
    return 0.0 if len(kept) == count else total.value


def _value(row: AdviceRow, key: str) -> float:
    known: Estimate | None = getattr(row, key)
    return 0.0 if known is None else known.value


def _weight(row: AdviceRow) -> float:
    """Return the money that hangs on a row: what it saves, and after all of these what it costs."""
    return max(abs(_value(row, "saving_usd_per_month")), _value(row, "usd_per_month"), _value(row, "today_usd_per_month"))


def _headline(name: str, count: int, outcomes: Counter[RowOutcome], priced: int, usd: float, today: float, saving: float) -> str:
    money = f"{units.usd_per_month(usd)} as advised" if priced else "nothing that is paid by the month is advised"
    if saving:
        less = f"{units.usd_per_month(abs(saving))} {'less' if saving > 0 else 'more'} than today"
        money += f", {less}, where {units.usd_per_month(today)} is known to be spent"
    parts = ", ".join(f"{number:,} {IN_WORDS[kind]}" for kind in IN_WORDS if (number := outcomes[kind]))
    return f"{name}: {money}; of {units.counted(count, 'workload')} {parts}" if count else f"{name}: no workloads"
