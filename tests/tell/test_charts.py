import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor import units
from advisor.schema.advice import Advice, Candidate, Prediction, ServiceCurve
from advisor.schema.record import Estimate
from advisor.tell import axes, charts
from advisor.tell.options import options
from advisor.tell.report import render
from tests.tell.advice_examples import BUILDERS, candidate, change, elsewhere, fleet, infeasible, minimal, prediction, served

CHANGE = change()
VARIANTS = [variant.id for variant in CHANGE.variants]
# Equal values are as likely as values twelve orders apart.
positive = st.sampled_from([1e-6, 0.05, 1.0, 3600.0]) | st.floats(1e-6, 1e6)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    low, value, high = sorted(draw(st.tuples(positive, positive, positive)))
    return Estimate(value=value, low=low, high=high, basis="simulated", source="a strategy")


@st.composite
def predictions(draw: st.DrawFn, chosen: Candidate) -> Prediction:
    p50, p95, p99, slo, cost = (draw(estimates()) for _ in range(5))
    return replace(
        prediction(chosen, p99_s=1.0, utilization=0.5),
        latency_p50_s=p50,
        latency_p95_s=p95,
        latency_p99_s=p99,
        latency_slo_s=slo,
        cost_usd_per_hour=cost,
    )


@st.composite
def advices(draw: st.DrawFn) -> Advice:
    chosen = [candidate(draw(st.sampled_from(VARIANTS)), replicas=number + 1) for number in range(draw(st.integers(1, 14)))]
    drawn = [draw(predictions(it)) for it in chosen]
    slo = replace(CHANGE.workload.slo, latency_s=draw(positive), quantile=draw(st.sampled_from([0.5, 0.9, 0.99, 0.999])))
    return replace(
        CHANGE,
        workload=replace(CHANGE.workload, slo=slo),
        baseline=drawn[0],
        recommended=drawn[-1],
        frontier=tuple(drawn),
        ties=(),
        service_curves=tuple(draw(st.lists(curves(), max_size=12))),
    )


@st.composite
def curves(draw: st.DrawFn) -> ServiceCurve:
    sizes = sorted(draw(st.sets(st.integers(1, 4096), min_size=1, max_size=12)))
    return ServiceCurve(
        hardware="local",
        variant=draw(st.sampled_from(VARIANTS)),
        intra_op_num_threads=draw(st.integers(1, 4)),
        instances=draw(st.integers(1, 4)),
        sequence_length=draw(st.sampled_from([None, 32, 128, 512])),
        batch_size=tuple(sizes),
        latency_s=tuple(draw(estimates()) for _ in sizes),
    )


def _coordinates(geometry: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of a chart with the name of its field, the records that it only carries along left out."""
    if isinstance(geometry, dict):
        for name, part in geometry.items():
            if name not in {"option", "intra_op_num_threads", "instances", "sequence_length"}:
                yield from _coordinates(part, name)
    elif isinstance(geometry, list):
        for part in geometry:
            yield from _coordinates(part, key)
    elif isinstance(geometry, int | float):
        yield key, geometry


def _outside(chart: charts.Frontier | charts.Strip | charts.Panel) -> list[tuple[str, float]]:
    limits = {"x": chart.width, "y": chart.height}
    return [
        (name, at)
        for name, at in _coordinates(msgspec.to_builtins(chart))
        if not (math.isfinite(at) and 0 <= at <= limits.get(name.split("_")[0], max(chart.width, chart.height)))
    ]


@settings(max_examples=60, deadline=None)  # an example lays out a whole report
@given(advices())
def test_every_mark_of_every_chart_lies_inside_its_view_box(advice: Advice) -> None:
    drawn = [charts.frontier(advice), charts.latency_strip(advice), *charts.service_panels(advice)]

    assert [[]] * len(drawn) == [_outside(chart) for chart in drawn]


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_examples_lie_inside_their_view_boxes(builder: Any) -> None:
    advice = builder()
    drawn = [charts.frontier(advice), charts.latency_strip(advice), *charts.service_panels(advice)]

    assert [[]] * len(drawn) == [_outside(chart) for chart in drawn]


@given(st.lists(positive, min_size=1, max_size=20), positive)
def test_an_axis_keeps_the_order_of_its_values_between_its_ends(values: list[float], probe: float) -> None:
    scale = axes.scale_over(values, start=0.0, end=1000.0)

    placed = [axes.place(scale, value) for value in sorted(values)]

    assert sorted(placed) == placed
    assert 0.0 <= axes.place(scale, probe) <= 1000.0


@given(st.lists(positive, min_size=1, max_size=20))
def test_an_axis_has_a_readable_number_of_ticks_in_order(values: list[float]) -> None:
    scale = axes.scale_over(values, start=0.0, end=1000.0)

    ticks = axes.ticks(scale, units.seconds)

    assert 2 <= len(ticks) <= axes.MAX_TICKS + 1
    assert sorted({tick.at for tick in ticks}) == [tick.at for tick in ticks]


@given(st.lists(st.floats(0.0, 100.0), max_size=30))
def test_labels_that_are_spread_keep_their_order_and_their_distance(positions: list[float]) -> None:
    moved = axes.spread(positions, low=0.0, high=100.0)

    ordered = [moved[index] for index in sorted(range(len(positions)), key=positions.__getitem__)]
    gap = min(axes.LINE_HEIGHT, 100.0 / max(len(positions), 1))
    assert all(0.0 - 1e-9 <= at <= 100.0 + 1e-9 for at in moved)
    assert all(after - before >= gap - 1e-9 for before, after in pairwise(ordered))


def test_labels_of_a_few_marks_do_not_cover_each_other_or_a_mark() -> None:
    chart = charts.frontier(CHANGE)
    boxes = [axes.label_box(it.label) for it in chart.points] + [axes.label_box(chart.target.label)]
    marks = [axes.mark_box(it.point) for it in chart.points]

    overlaps = [
        (one, other) for number, one in enumerate(boxes) for other in boxes[number + 1 :] + marks if axes._overlap(one, other)
    ]

    assert [] == overlaps


@given(st.dictionaries(st.text(min_size=1), st.floats(0.0, 1.0), max_size=6))
def test_shares_fill_the_bar_from_the_largest_to_the_smallest(values: dict[str, float]) -> None:
    shares = {
        name: Estimate(value=value, low=value, high=value, basis="assumed", source="a strategy") for name, value in values.items()
    }

    bar = charts.share_bar(shares)

    widths = [segment.width for segment in bar]
    assert sorted(widths, reverse=True) == widths
    assert sum(widths) == pytest.approx(720.0 if any(values.values()) else 0.0, abs=0.5)


def test_an_option_that_plays_two_parts_is_listed_once() -> None:
    listed = options(replace(CHANGE, recommended=CHANGE.baseline))

    assert ("today", "recommended") in {option.roles for option in listed}
    assert len({option.prediction.candidate for option in listed}) == len(listed)


def test_options_are_numbered_from_the_cheapest() -> None:
    listed = options(CHANGE)

    assert [1, 2, 3, 4, 5] == [option.number for option in listed]
    costs = [option.prediction.cost_usd_per_hour.value for option in listed]
    assert sorted(costs) == costs


def test_the_stairs_never_climb() -> None:
    stairs = charts._stairs([(0.0, 10.0), (5.0, 30.0), (6.0, 20.0), (9.0, 40.0)])

    assert ((0.0, 10.0), (5.0, 10.0), (5.0, 30.0), (9.0, 30.0), (9.0, 40.0)) == stairs


def test_the_target_is_left_out_of_panels_that_it_is_not_near() -> None:
    assert all(panel.target is None for panel in charts.service_panels(minimal()))


def test_panels_show_the_settings_that_the_report_speaks_of() -> None:
    recommended = CHANGE.recommended
    assert recommended is not None
    shown = {(panel.intra_op_num_threads, panel.instances) for panel in charts.service_panels(CHANGE)}

    assert {(it.candidate.intra_op_num_threads, it.candidate.instances) for it in (recommended, CHANGE.baseline)} <= shown


def test_without_curves_there_are_no_panels() -> None:
    assert () == charts.service_panels(replace(infeasible(), service_curves=()))


def test_operators_without_a_count_of_operations_come_last_and_have_no_share() -> None:
    bars = charts.operator_bars(CHANGE.model)

    assert ("MatMul", "Expand") == (bars[0].type, bars[-1].type)
    assert bars[-1].flop_fraction is None


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
    ours = charts.colors(CHANGE)

    colors = charts.colors(advice)

    assert FOREIGN.variant in colors and ours == {variant: colors[variant] for variant in ours}
    assert FOREIGN.variant in render(advice, "html") and FOREIGN.variant in render(advice, "md")
