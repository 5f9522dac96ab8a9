"""The chart of many models: a mark for each cost that is known, none where none is, and no more rows than a picture has room for."""

import pytest

from advisor.decide.comparison.overview import overview
from advisor.tell.comparison.charts import MOST_ROWS, overview_charts
from tests.overviews import row


def seen(rows):
    return overview(rows, name="many", created="2026-11-29T08:00:00+00:00", rows_path="rows.jsonl", earlier=None)


def marks(chart):
    (points,) = (layer for layer in chart.spec["layer"] if layer["mark"]["type"] == "point")
    return {(it["figure"], it["series"]): it["x"] for it in points["data"]["values"]}


def test_each_known_cost_has_a_mark_and_what_is_not_known_has_none():
    (chart,) = overview_charts(seen([row("a", 100.0, today=300.0), row("b", 50.0), row("c", 0.0, today=20.0)]))

    assert {("a", "today"): 300.0, ("a", "as advised"): 100.0, ("b", "as advised"): 50.0, ("c", "today"): 20.0} == marks(chart)
    assert ["a", "b", "c"] == [it.label for it in chart.rows]


@pytest.mark.parametrize("rows", [[], [row("a", None, outcome="failed")], [row("a", 0.0)]])
def test_without_a_cost_there_is_no_chart(rows):
    assert () == overview_charts(seen(rows))


def test_those_that_weigh_most_are_drawn():
    (chart,) = overview_charts(seen([row(f"r{number}", 1.0 + number) for number in range(3 * MOST_ROWS)]))

    assert MOST_ROWS == len(chart.rows) and f"r{3 * MOST_ROWS - 1}" == chart.rows[0].label
    assert f"{2 * MOST_ROWS} more are in the table" in chart.says
