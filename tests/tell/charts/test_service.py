import pytest
from msgspec.structs import replace

from advisor.schema.advice import Advice
from advisor.tell.charts.service import call_charts, latency_chart, load_charts, load_test_charts, variant_colors
from advisor.tell.report import render
from tests.tell.advice_examples import candidate, change, elsewhere, fleet, infeasible, minimal, prediction, served
from tests.tell.charts.reading import domains_of, marks_of, texts_of
from tests.tell.documents import READ_ALONE

CHANGE = change()


def test_latencies_of_today_and_of_what_is_advised_stand_side_by_side() -> None:
    chart = latency_chart(CHANGE)

    assert ["p50 latency", "p95 latency", "p99 latency"] == domains_of(chart)["y"]
    assert ["Today", "Recommended"] == domains_of(chart)["color"]
    assert ["target 50 ms"] == texts_of(chart) and 6 == len(marks_of(chart))


def test_a_quantile_of_the_target_that_is_none_of_the_usual_ones_is_drawn_too() -> None:
    chart = latency_chart(replace(CHANGE, workload=replace(CHANGE.workload, slo=replace(CHANGE.workload.slo, quantile=0.9))))

    assert ["p50 latency", "p90 latency", "p95 latency", "p99 latency"] == domains_of(chart)["y"]


def test_near_saturation_a_high_quantile_is_drawn_as_an_interval_alone() -> None:
    _, today = load_test_charts(served())
    pointed = next(layer["data"]["values"] for layer in today.spec["layer"] if layer["mark"]["type"] == "point")

    assert {("p99 latency", "predicted")} == {(mark["figure"], mark["series"]) for mark in marks_of(today) if mark not in pointed}
    assert "61 ms to 160 ms" == today.rows[2].cells[1].shown


def test_without_a_load_test_there_is_none_to_compare_with() -> None:
    assert () == load_test_charts(CHANGE)


def test_the_target_is_left_out_of_calls_that_it_is_not_near() -> None:
    assert {False} == {bool(texts_of(chart)) for chart in call_charts(minimal())}
    assert {True} == {bool(texts_of(chart)) for chart in call_charts(CHANGE)}


def test_calls_are_of_the_settings_that_the_report_speaks_of() -> None:
    titles = " ".join(chart.title for chart in call_charts(CHANGE))

    assert "1 instance of 2 threads" in titles and "2 instances of 1 thread" in titles


def test_all_charts_of_calls_share_their_axes() -> None:
    ends = [(domains_of(chart)["x"], domains_of(chart)["y"]) for chart in call_charts(CHANGE)]

    assert len(ends) > 1 and ends == ends[:1] * len(ends)


def test_without_curves_there_are_no_charts_of_calls() -> None:
    assert () == call_charts(replace(infeasible(), service_curves=()))


FOREIGN = candidate("int8-of-another-machine")
FOREIGN_PREDICTION = prediction(FOREIGN, p99_s=0.03, utilization=0.4)


@pytest.mark.parametrize(
    "advice",
    [
        replace(CHANGE, recommended=FOREIGN_PREDICTION),
        replace(CHANGE, baseline=FOREIGN_PREDICTION),
        replace(infeasible(), nearest_miss=FOREIGN_PREDICTION),
        replace(CHANGE, unproven=FOREIGN_PREDICTION),
        replace(CHANGE, ties=(FOREIGN_PREDICTION,)),
        replace(CHANGE, frontier=(FOREIGN_PREDICTION,)),
        replace(elsewhere(), places=(replace(elsewhere().places[0], prediction=FOREIGN_PREDICTION),)),
        replace(served(), load_tests=(replace(served().load_tests[0], candidate=FOREIGN),)),
        replace(fleet(), fleet=replace(fleet().fleet, pools=(replace(fleet().fleet.pools[0], candidate=FOREIGN),))),
        replace(CHANGE, speed_ties=(replace(CHANGE.speed_ties[0], variant=FOREIGN.variant),)),
        replace(CHANGE, speed_ties=(replace(CHANGE.speed_ties[0], simpler=FOREIGN.variant),)),
        replace(CHANGE, service_curves=(replace(CHANGE.service_curves[0], variant=FOREIGN.variant),)),
    ],
    ids="recommended baseline miss unproven tie frontier place served pool speed-tie simpler curve".split(),
)
def test_a_variant_has_a_color_wherever_the_advice_names_it(advice: Advice) -> None:
    ours = variant_colors(CHANGE)

    colors = variant_colors(advice)

    assert FOREIGN.variant in colors and ours == {variant: colors[variant] for variant in ours}
    assert FOREIGN.variant in render(advice, "html", READ_ALONE) and FOREIGN.variant in render(advice, "md")


def test_the_load_test_stands_on_the_curve_of_its_replica() -> None:
    (chart,) = load_charts(served())
    marks = {series: [mark for mark in marks_of(chart) if mark["series"] == series] for series in domains_of(chart)["color"]}

    assert [60.0] == [
        mark["x"] for mark in marks["measured in the load test"]
    ]  # that of today's configuration is no replica of it
    assert [point.requests_per_s for point in served().load_curve] == [mark["x"] for mark in marks["predicted"]]
    assert ["target 50 ms", "this workload"] == texts_of(chart)


def test_without_a_curve_nothing_is_drawn_over_the_load() -> None:
    assert () == load_charts(replace(served(), load_curve=()))
