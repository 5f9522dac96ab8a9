"""The words of the report on many models: money first, then what is open, what failed, and what has changed."""

from advisor import units
from advisor.schema.overview import AdviceRow, Overview, RowOutcome
from advisor.schema.record import Fraction, Record
from advisor.tell.words.figures import Figure, Part, figure

COLUMNS = ("", "Advised", "Today", "Saves", "Outcome", "Runs", "Valid until")
OUTCOMES: dict[RowOutcome, str] = {
    "change": "change",
    "keep": "keep",
    "advised": "advised",
    "infeasible": "nothing keeps the target",
    "inconclusive": "inconclusive",
    "failed": "failed",
}
ABSENT = {"usd_per_month": "nothing", "today_usd_per_month": "not known", "saving_usd_per_month": "not compared"}
WITH_MONEY = ("change", "keep", "advised", "infeasible", "inconclusive")


class OverviewLine(Record, frozen=True, kw_only=True):
    """One pair: its cells, where its own report lies, and how long its bars are beside the longest."""

    label: str
    leads_to: str | None
    cells: tuple[Part, ...]
    advised_fraction: Fraction | None
    today_fraction: Fraction | None


class Named(Record, frozen=True, kw_only=True):
    """A pair and what is said of it, a sentence each."""

    label: str
    leads_to: str | None
    says: tuple[str, ...]


class OverviewWords(Record, frozen=True, kw_only=True):
    """What an overview says."""

    about: str
    headline: str
    totals: tuple[tuple[str, str], ...]
    table_title: str
    columns: tuple[str, ...]
    lines: tuple[OverviewLine, ...]
    left_out: str | None
    open_title: str
    open: tuple[Named, ...]
    failed_title: str
    failed: tuple[Named, ...]
    since_title: str | None
    since: tuple[Named, ...]
    written: str


def overview_words(overview: Overview) -> OverviewWords:
    """Return the sentences and rows of an overview."""
    lines = [row for row in overview.rows if row.outcome in WITH_MONEY]
    longest = max((_value(row, key) for row in lines for key in ("usd_per_month", "today_usd_per_month")), default=0.0)
    unsettled = [row for row in overview.rows if row.outcome == "inconclusive"]
    failed = [row for row in overview.rows if row.outcome == "failed"]
    since = overview.since
    return OverviewWords(
        about=f"Overview of {units.counted(overview.pairs, 'workload')}",
        headline=overview.headline,
        totals=(
            ("As advised", units.usd_per_month(overview.usd_per_month)),
            ("Today, where it is known", units.usd_per_month(overview.today_usd_per_month)),
            ("Saves", units.usd_per_month(overview.saving_usd_per_month)),
        ),
        table_title="What each costs a month, what weighs most first; bars: today, and as advised",
        columns=COLUMNS,
        lines=tuple(_line(row, longest) for row in lines),
        left_out=_left_out(overview),
        open_title=f"{units.counted(overview.outcomes.get('inconclusive', 0), 'workload')} inconclusive, and what would settle them",
        open=tuple(_named(row, (row.headline, *row.settled_by)) for row in unsettled),
        failed_title=f"{units.counted(overview.outcomes.get('failed', 0), 'workload')} without advice",
        failed=tuple(_named(row, (row.failure.fault, row.failure.hint)) for row in failed if row.failure is not None),
        since_title=None if since is None else _since_title(overview),
        since=() if since is None else tuple(Named(label=it.id, leads_to=None, says=it.what) for it in since.changes),
        written=f"Written by serving-advisor {overview.advisor_version}.",
    )


def overview_text(overview: Overview) -> str:
    """Return what a terminal shows of an overview: the headline, what failed, what has changed."""
    said = overview_words(overview)
    lines = [said.headline]
    lines += [f"{it.label}: {'; '.join(it.says)}" for it in said.failed]
    lines += [said.since_title] if said.since_title is not None else []
    return "".join(f"{line}\n" for line in lines)


def _line(row: AdviceRow, longest: float) -> OverviewLine:
    return OverviewLine(
        label=row.id,
        leads_to=row.report_path or row.advice_path,
        cells=(
            _money(row, "usd_per_month"),
            _money(row, "today_usd_per_month"),
            _money(row, "saving_usd_per_month"),
            OUTCOMES[row.outcome],
            "" if row.variant is None else f"{row.variant} x {row.replicas} on {row.hardware}",
            row.valid_until or "",
        ),
        advised_fraction=_fraction(row, "usd_per_month", longest),
        today_fraction=_fraction(row, "today_usd_per_month", longest),
    )


def _money(row: AdviceRow, key: str) -> Figure:
    return figure(getattr(row, key), units.usd_per_month, absent=ABSENT[key])


def _value(row: AdviceRow, key: str) -> float:
    known = getattr(row, key)
    return 0.0 if known is None else float(known.value)


def _fraction(row: AdviceRow, key: str, longest: float) -> float | None:
    return None if getattr(row, key) is None or longest <= 0 else min(1.0, max(0.0, _value(row, key) / longest))


def _named(row: AdviceRow, says: tuple[str, ...]) -> Named:
    return Named(label=row.id, leads_to=row.report_path or row.advice_path, says=tuple(filter(None, says)))


def _left_out(overview: Overview) -> str | None:
    if not overview.left_out:
        return None
    return (
        f"{overview.left_out:,} more are in {overview.rows_path}: {units.usd_per_month(overview.left_out_usd_per_month)} as advised, "
        f"{units.usd_per_month(overview.left_out_today_usd_per_month)} today, "
        f"saving {units.usd_per_month(overview.left_out_saving_usd_per_month)}"
    )


def _since_title(overview: Overview) -> str:
    since = overview.since
    assert since is not None
    when = "" if since.created is None else f" of {units.moment(since.created)}"
    other = ", ".join(f"{count:,} {what}" for count, what in ((since.added, "new"), (since.gone, "gone")) if count)
    changed = f"{since.changed:,} changed" if since.changed else "nothing changed beyond the intervals"
    return f"Since the run{when}: {changed}{f', {other}' if other else ''}"
