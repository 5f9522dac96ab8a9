import pytest
from msgspec.structs import replace

from advisor.schema.lifetime import CostLine, Flip
from advisor.tell.charts.life import life_charts
from tests.tell.advice_examples import about, firm_verdict, keep
from tests.tell.charts.reading import by_id, domains_of, marks_of

FIRM = firm_verdict()


def _line(what: str, kind: str, usd: float | None) -> CostLine:
    cost = None if usd is None else about(usd, "assumed", "a test")
    return CostLine(what=what, kind=kind, usd=cost, formula="", because="")


def _flip(now: float, at: float) -> Flip:
    return Flip(input="traffic", key="traffic", now=now, at=at, direction="below", becomes="mixed", told="below it")


def test_the_parts_of_the_cost_come_the_largest_first_and_only_those_that_are_known() -> None:
    lines = (_line("labels", "data", 100.0), _line("serving", "inference", 900.0), _line("checks", "data", None))

    chart = by_id(life_charts(replace(FIRM, lines=lines)))["cost"]

    assert ["serving", "labels"] == domains_of(chart)["y"] == [row.label for row in chart.rows]
    assert ["inference", "data"] == domains_of(chart)["color"]
    assert [900.0, 100.0] == [mark["x"] for mark in marks_of(chart)]


def test_without_lines_the_shares_are_drawn() -> None:
    chart = by_id(life_charts(replace(FIRM, lines=())))["cost"]

    assert "Shares of the lifetime cost" == chart.title and len(FIRM.shares) == len(marks_of(chart))


def test_of_a_verdict_that_is_not_known_nothing_is_drawn() -> None:
    assert () == life_charts(replace(keep().verdict, shares={}, lines=(), flips_when=()))


def test_how_far_a_verdict_is_from_turning_is_a_factor() -> None:
    chart = by_id(life_charts(replace(FIRM, flips_when=(_flip(10.0, 5.0), _flip(10.0, 40.0)))))["flips"]

    assert [0.5, 4.0] == [mark["x"] for mark in marks_of(chart)]
    assert ["0.5×", "4×"] == [row.cells[0] for row in chart.rows]


@pytest.mark.parametrize(("now", "at"), [(0.0, 5.0), (5.0, 0.0), (-1.0, 2.0), (3.0, 3.0)])
def test_what_has_no_factor_is_told_in_words_alone(now, at) -> None:
    assert "flips" not in by_id(life_charts(replace(FIRM, flips_when=(_flip(now, at),))))
