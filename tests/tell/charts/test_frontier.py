import pytest
from msgspec.structs import replace

from advisor.schema.record import Estimate
from advisor.tell.charts.frontier import AS_TODAY, BEYOND, LOSS, NO_LOSS, NOT_KNOWN, frontier_chart, quality_class
from advisor.tell.options import options
from tests.tell.advice_examples import change, minimal, unstated
from tests.tell.charts.reading import domains_of, marks_of, texts_of


def _drop(value: float, high: float) -> Estimate:
    return Estimate(value=value, low=-0.01, high=high, basis="measured", source="a test")


@pytest.mark.parametrize(
    ("drop", "max_drop", "is_todays", "expected"),
    [
        (None, 0.02, True, AS_TODAY),
        (None, 0.02, False, NOT_KNOWN),
        (_drop(0.0, 0.01), 0.02, False, NO_LOSS),
        (_drop(0.005, 0.01), 0.02, False, LOSS),
        (_drop(0.005, 0.021), 0.02, False, BEYOND),  # judged by its upper end
        (_drop(0.0, 0.021), 0.02, False, BEYOND),
        (_drop(0.5, 0.6), None, False, LOSS),
    ],
)
def test_the_color_is_what_a_configuration_loses_beside_the_floor(drop, max_drop, is_todays, expected) -> None:
    assert expected == quality_class(drop, max_drop, is_todays=is_todays)


def test_every_configuration_has_the_number_that_it_has_in_the_table() -> None:
    chart, shown = frontier_chart(change()), options(change())

    assert [str(option.number) for option in shown] == [row.label.split(" ", 1)[0] for row in chart.rows]
    assert [option.prediction.cost_usd_per_hour.value for option in shown] == [mark["x"] for mark in marks_of(chart)]


def test_what_a_reader_looks_for_is_named_beside_its_mark() -> None:
    assert ["target 50 ms", "1, 2 recommended", "3", "4", "5 today"] == texts_of(frontier_chart(change()))


@pytest.mark.parametrize("builder", [minimal, unstated])
def test_words_beside_a_mark_are_short_where_nobody_said_how_many_replicas_run_today(builder) -> None:
    assert all(len(text) < 30 for text in texts_of(frontier_chart(builder())))


def test_only_classes_that_there_are_stand_in_the_legend() -> None:
    assert [AS_TODAY, LOSS] == domains_of(frontier_chart(change()))["color"]
    bare = replace(change(), frontier=(), ties=(), recommended=None, likely=None, nearest_miss=None, unproven=None, students=())
    assert [AS_TODAY] == domains_of(frontier_chart(bare))["color"]
