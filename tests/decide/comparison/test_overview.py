"""The overview: what is said of all rows together is the sum of the rows, however many of them are shown."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.comparison import overview as module
from advisor.decide.comparison.overview import Earlier, Sum, overview
from tests.overviews import row

NOW = "2026-11-29T08:00:00+00:00"
money = st.one_of(st.none(), st.floats(0, 1e9))
rows_of = st.lists(
    st.tuples(st.sampled_from(("change", "keep", "advised", "infeasible", "inconclusive", "failed")), money, money), max_size=30
)


def made_of(drawn):
    for number, (outcome, usd, today) in enumerate(drawn):
        known = None if outcome == "failed" else today
        advised = usd if outcome in ("change", "keep", "advised") else None
        # What is advised costs no more than today where both are known.
        least = min(advised, known) if advised is not None and known is not None else advised
        yield row(f"r{number}", least, today=known, outcome=outcome)


def seen(rows, earlier=None):
    return overview(rows, name="many", created=NOW, rows_path="rows.jsonl", earlier=earlier)


@given(rows_of)
def test_the_totals_are_the_sums_of_the_rows_and_no_more_is_saved_than_is_spent(drawn):
    rows = list(made_of(drawn))

    found = seen(rows)

    for key in module.MONEY:
        assert math.fsum(getattr(it, key).value for it in rows if getattr(it, key) is not None) == getattr(found, key)
    assert found.saving_usd_per_month <= found.today_usd_per_month
    assert sum(found.outcomes.values()) == found.pairs == len(rows)


@pytest.mark.parametrize("count", [module.MOST_ROWS, 3 * module.MOST_ROWS])
def test_what_is_shown_and_what_is_left_out_come_to_the_total(count):
    rows = [row(f"r{number}", 1.0 + number % 97, today=200.0 + number) for number in range(count)]

    found = seen(iter(rows))

    shown = math.fsum(it.usd_per_month.value for it in found.rows)
    assert found.usd_per_month == pytest.approx(shown + found.left_out_usd_per_month, rel=1e-12)
    assert count - len(found.rows) == found.left_out
    saved = [it.saving_usd_per_month.value for it in found.rows]
    weights = [max(it.today_usd_per_month.value, it.usd_per_month.value) for it in found.rows]
    assert sorted(weights, reverse=True) == weights and min(saved) > 0


def test_of_each_outcome_some_are_shown_whatever_the_others_weigh():
    rows = [row(f"r{number}", 1e6) for number in range(2 * module.MOST_ROWS)] + [row("late", None, outcome="failed")]

    assert "late" in {it.id for it in seen(rows).rows}


def test_a_change_is_told_once_and_one_inside_the_intervals_is_none():
    before = [row("same", 100.0), row("near", 100.0), row("dear", 100.0), row("gone", 1.0), row("broken", 50.0)]
    after = [row("same", 100.0), row("near", 105.0), row("dear", 200.0), row("new", 1.0), row("broken", None, outcome="failed")]

    since = seen(after, Earlier(before)).since

    assert (2, 1, 1) == (since.changed, since.added, since.gone)
    assert {"dear": ("$200/month instead of $100/month",), "broken": ("failed instead of change",)} == {
        it.id: it.what for it in since.changes
    }


def test_another_configuration_at_the_same_cost_is_a_change():
    since = seen([row("a", 100.0, replicas=3, hardware="l4")], Earlier([row("a", 100.0)])).since

    assert ("3 replicas of fp32 on l4 instead of 2 replicas of fp32 on local",) == since.changes[0].what


@given(st.lists(st.floats(-1e30, 1e30)))
def test_a_sum_of_many_loses_nothing(values):
    total = Sum()
    for value in values:
        total.add(value)

    assert float(sum(map(Fraction, values), Fraction(0))) == total.value


def test_where_nothing_is_advised_no_cost_is_said_to_be_advised():
    found = seen(made_of([("failed", None, None), ("infeasible", None, 3.0)]))

    assert "$0" not in found.headline and "nothing that is paid by the month is advised" in found.headline
