"""What many models cost a month, today and as advised, those that weigh most first."""

from advisor import units
from advisor.schema.overview import Overview
from advisor.tell.charts.compared import Entry, compared
from advisor.tell.charts.drawing import USD, WIDE, Chart, series_of
from advisor.tell.charts.palette import ACCENT, SOFT, light
from advisor.tell.comparison.overview import WITH_MONEY
from advisor.tell.words.figures import Row, figure

TODAY, ADVISED = "today", "as advised"
LOOKS = {TODAY: (light(SOFT), "square"), ADVISED: (light(ACCENT), "circle")}
MOST_ROWS = 30  # that a picture has room for; the table of the report has the others


def overview_charts(overview: Overview) -> tuple[Chart, ...]:
    """Draw what each costs with its interval; nothing where no cost is known."""
    known = [row for row in overview.rows if row.outcome in WITH_MONEY and (row.usd_per_month or row.today_usd_per_month)]
    rows = known[:MOST_ROWS]
    entries = [
        Entry(row.id, name, estimate, number)
        for number, row in enumerate(rows)
        for name, estimate in ((TODAY, row.today_usd_per_month), (ADVISED, row.usd_per_month))
        if estimate is not None and estimate.value > 0  # an axis of costs that lie far apart has no zero
    ]
    if not entries:
        return ()
    there = {entry.series for entry in entries}
    more = f"; {len(known) - len(rows):,} more are in the table" if len(known) > len(rows) else ""
    return (
        Chart(
            id="money",
            place="money",
            title="Cost a month, today and as advised",
            says=f"{units.counted(len(rows), 'workload')}, what weighs most first, each with its 90 % interval{more}.",
            width=WIDE,
            spec=compared(
                entries,
                series_of({name: look for name, look in LOOKS.items() if name in there}),
                title="cost a month",
                written=USD,
                target=None,
            ),
            columns=("Workload", "Today", "As advised"),
            rows=tuple(
                Row(
                    label=row.id,
                    cells=(
                        figure(row.today_usd_per_month, units.usd_per_month, absent="not known"),
                        figure(row.usd_per_month, units.usd_per_month, absent="nothing"),
                    ),
                )
                for row in rows
            ),
        ),
    )
