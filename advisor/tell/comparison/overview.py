"""The words of the report on many models: money first, then what is open, what failed, and what has changed."""

from advisor import units
from advisor.schema.overview import AdviceRow, Overview, RowOutcome
from advisor.schema.record import Record
from advisor.tell.words.figures import Figure, Part, Row, figure, rows_of

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
    """One pair: its cells, and where its own report lies."""

    label: str
    leads_to: str | None
    cells: tuple[Part, ...]


class Named(Record, frozen=True, kw_only=True):
    """A pair and what is said of it, a sentence each."""

    label: str
    leads_to: str | None
    says: tuple[str, ...]


class OverviewWords(Record, frozen=True, kw_only=True):
    """What an overview says."""

    about: str
    headline: str
    box: tuple[Row, ...]
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
    unsettled = [row for row in overview.rows if row.outcome == "inconclusive"]
    failed = [row for row in overview.rows if row.outcome == "failed"]
    since = overview.since
    return OverviewWords(
        about=f"Overview of {units.counted(overview.pairs, 'workload')}",
        headline=overview.headline,
        box=rows_of(
            {
                "As advised": units.usd_per_month(overview.usd_per_month),
                "Today, where it is known": _total(overview.today_usd_per_month, "of none of them"),
                "Saves": _total(overview.saving_usd_per_month, "nothing, or there is nothing to compare with"),
            }
        ),
        table_title="What each costs a month, what weighs most first",
        columns=COLUMNS,
        lines=tuple(_line(row) for row in lines),
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


def _line(row: AdviceRow) -> OverviewLine:
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
    )


def _money(row: AdviceRow, key: str) -> Figure:
    is_a_job = key == "usd_per_month" and row.outcome == "advised"
    return figure(getattr(row, key), units.usd_per_month, absent="paid by the job" if is_a_job else ABSENT[key])


def _total(usd: float, without: str) -> str:
    return units.usd_per_month(usd) if usd else without


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
    when = " before" if since.created is None else f" of {units.moment(since.created)}"
    other = ", ".join(f"{count:,} {what}" for count, what in ((since.added, "new"), (since.gone, "gone")) if count)
    changed = f"{since.changed:,} changed" if since.changed else "nothing changed beyond the intervals"
    return f"Since the run{when}: {changed}{f', {other}' if other else ''}"
