"""Every chart of every kind of report: its specification, its table, and the figures of the report."""

import html
import re

import altair
import pytest

from advisor import units
from advisor.schema.record import Record
from advisor.tell import report
from advisor.tell.charts.documents import charts_of
from advisor.tell.charts.drawing import Chart
from advisor.tell.words.figures import Figure, as_text
from tests.tell.charts.reading import by_id, data_of, domains_of, marks_of
from tests.tell.documents import DOCUMENTS

# One chart of each kind: a number at the end of a name counts equals.
KINDS = {re.sub(r"-\d+$", "", chart.id): chart for document in DOCUMENTS.values() for chart in charts_of(document)}
WRITTEN = (
    *(units.seconds, units.usd, units.usd_per_hour, units.usd_per_month, units.percent, units.size, units.rate, units.number),
    *("{:,.0f}".format, lambda factor: f"{units.number(factor)}×"),
)


@pytest.fixture(params=DOCUMENTS)
def document(request: pytest.FixtureRequest) -> Record:
    return DOCUMENTS[request.param]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_chart_is_one_that_altair_takes(kind: str) -> None:
    altair.LayerChart.validate(KINDS[kind].spec)


def test_all_charts_that_a_reader_is_promised_are_there() -> None:
    assert {"latency", "load-test", "frontier", "calls", "cost", "flips", "ttft", "tpot", "cache", "replay"} <= set(KINDS)


def _cells(chart: Chart, row: int) -> list[str]:
    return [chart.rows[row].label, *(as_text(cell) for cell in chart.rows[row].cells)]


def test_what_is_drawn_is_what_the_table_says(document: Record) -> None:
    for chart in charts_of(document):
        quantities = [channel for channel in ("x", "y") if isinstance(domains_of(chart)[channel][0], float)]
        for mark in marks_of(chart):
            cells = " | ".join(_cells(chart, mark["row"]))
            for channel in quantities:
                shown = [mark[channel]] if _has_middle(chart, mark) else [mark[f"{channel}_low"], mark[f"{channel}_high"]]
                for value in shown:
                    assert any(written(value) in cells for written in WRITTEN), (chart.id, value, cells)


def _has_middle(chart: Chart, mark: dict) -> bool:
    """Return whether a mark is more than the interval that it stands for."""
    pointed = [layer["data"]["values"] for layer in chart.spec["layer"] if layer["mark"]["type"] in ("point", "bar")]
    return any(mark in values for values in pointed)


def test_every_row_of_the_table_is_drawn_and_has_a_cell_for_each_column(document: Record) -> None:
    for chart in charts_of(document):
        assert set(range(len(chart.rows))) == {mark["row"] for mark in marks_of(chart)}
        assert {len(chart.columns) - 1} == {len(row.cells) for row in chart.rows}


def test_every_mark_lies_within_its_axes_and_has_a_color(document: Record) -> None:
    for chart in charts_of(document):
        domains = domains_of(chart)
        for it in data_of(chart):
            for channel, (low, high) in ((key, ends) for key, ends in domains.items() if isinstance(ends[0], float)):
                found = [it[key] for key in (channel, f"{channel}_low", f"{channel}_high") if key in it]
                assert all(low <= value <= high for value in found)
            assert "series" not in it or it["series"] in domains["color"]


def test_the_figures_of_charts_are_those_of_the_report(document: Record) -> None:
    # In Markdown no table belongs to a chart.
    text = re.sub(r"\\(.)", r"\1", html.unescape(report.render(document, "md")))
    told = {
        as_text(cell) for chart in charts_of(document) for row in chart.rows for cell in row.cells if isinstance(cell, Figure)
    }

    assert set() == {figure for figure in told if figure not in text}


def test_no_two_charts_of_a_report_have_one_name(document: Record) -> None:
    assert len(charts_of(document)) == len(by_id(charts_of(document)))
