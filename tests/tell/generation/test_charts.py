"""The charts on a generative model: marks inside of their area, both targets drawn, labels that do not lie on each other."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.schema.generation import KvPoint, LoadPoint
from advisor.tell.axes import CHARACTER_WIDTH
from advisor.tell.generation.charts import generation_colors, kv_panel, load_panels
from tests.tell.advice_examples import about
from tests.tell.generation_examples import BUILDERS, chat, kept_chat, missed_chat


def assert_inside(panel):
    left, top, right, bottom = panel.area
    for point in panel.points:
        assert left <= point.x <= right and top <= point.y_high <= point.y <= point.y_low <= bottom
    for line in (panel.limit, panel.here):
        if line is not None:
            width = CHARACTER_WIDTH * len(line.label.text)
            begin = line.label.x if line.label.anchor == "start" else line.label.x - width
            assert 0 <= begin and begin + width <= panel.width and 0 < line.label.y < panel.height


@pytest.mark.parametrize("builder", BUILDERS)
def test_everything_lies_inside_of_the_chart(builder):
    advice = builder()

    for panel in (*load_panels(advice), *([found] if (found := kv_panel(advice)) else [])):
        assert_inside(panel)


def test_both_targets_are_drawn_where_they_are_and_the_workload_where_it_is():
    ttft, tpot = load_panels(chat())

    assert ("target 2 s", "target 150 ms") == (ttft.limit.label.text, tpot.limit.label.text)
    assert ttft.here.at == tpot.here.at == ttft.points[2].x  # at 0.5 /s of one replica


def test_what_is_no_target_has_no_line():
    without = replace(chat(), workload=replace(chat().workload, slo=replace(chat().workload.slo, tpot_s=None)))

    assert [False, True] == [panel.limit is None for panel in load_panels(without)]


def test_the_load_of_the_workload_is_that_of_one_of_the_replicas():
    one, three = load_panels(chat())[0], load_panels(missed_chat())[0]

    assert one.here.at > three.here.at


def test_without_points_there_is_no_chart():
    assert () == load_panels(kept_chat()) and kv_panel(kept_chat()) is None


def test_the_cache_grows_with_running_requests_up_to_what_there_is():
    panel = kv_panel(chat())

    assert all(after.y < before.y for before, after in pairwise(panel.points))
    assert panel.limit.label.text == "holds 189 MB" and panel.limit.at <= panel.points[-1].y


@settings(max_examples=50)
@given(
    st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=12, unique=True).map(sorted),
    st.floats(1e-5, 1e4),
    st.floats(1e-5, 1e4),
    st.integers(1, 10_000),
)
def test_whatever_the_figures_are_marks_and_ticks_have_room(rates, ttft_s, tpot_s, running):
    points = tuple(
        LoadPoint(
            requests_per_s=rate,
            ttft_slo_s=about(ttft_s * (1 + place), "simulated", "a test"),
            tpot_slo_s=about(tpot_s * (1 + place), "simulated", "a test"),
            output_tokens_per_s=rate,
        )
        for place, rate in enumerate(rates)
    )
    cache = tuple(KvPoint(running_requests=count, kv_bytes=46e3 * count) for count in sorted({1, running}))
    advice = replace(chat(), load_curve=points, kv_curve=cache)

    for panel in (*load_panels(advice), kv_panel(advice)):
        assert_inside(panel)
        for one, other in pairwise(panel.x_ticks):
            assert one.at + CHARACTER_WIDTH * len(one.label) / 2 <= other.at - CHARACTER_WIDTH * len(other.label) / 2


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_variant_that_the_report_names_has_a_color(builder):
    advice = builder()
    colors = generation_colors(advice)

    named = {
        it.candidate.variant for it in (advice.baseline, advice.recommended, advice.likely, *advice.others) if it is not None
    }
    assert named <= set(colors) and set(colors.values()) <= set(range(8))
