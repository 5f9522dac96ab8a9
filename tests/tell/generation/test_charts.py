"""The charts on a generative model: both targets drawn, the load of one replica, and replays where they stood."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.schema.generation import KvPoint, LoadPoint
from advisor.tell.generation.charts import generation_charts, generation_colors
from tests.tell.advice_examples import about
from tests.tell.charts.reading import by_id, data_of, domains_of, marks_of, texts_of
from tests.tell.generation_examples import BUILDERS, chat, kept_chat, missed_chat


def charts(advice):
    return by_id(generation_charts(advice))


def here(chart):
    """Return where the line up through the chart stands."""
    return next(it["at"] for it in data_of(chart) if it.get("text") in ("this workload", "at most"))


def test_both_targets_are_drawn_and_the_workload_where_it_is():
    found = charts(chat())

    assert [["target 2 s", "this workload"], ["target 150 ms", "this workload"]] == [
        texts_of(found[it]) for it in ("ttft", "tpot")
    ]
    assert 0.5 == here(found["ttft"]) == here(found["tpot"])  # /s of one replica


def test_what_is_no_target_has_no_line():
    without = replace(chat(), workload=replace(chat().workload, slo=replace(chat().workload.slo, tpot_s=None)))

    assert [["target 2 s", "this workload"], ["this workload"]] == [texts_of(charts(without)[it]) for it in ("ttft", "tpot")]


def test_the_load_of_the_workload_is_that_of_one_of_the_replicas():
    assert here(charts(chat())["ttft"]) > here(charts(missed_chat())["ttft"])


def test_a_replay_of_what_is_advised_stands_at_its_load():
    marks = [mark for mark in marks_of(charts(chat())["ttft"]) if mark["series"] == "measured in a replay"]
    offered = [replay.offered_requests_per_s for replay in chat().replays]

    assert offered == [mark["x"] for mark in marks]


def test_without_points_nothing_is_drawn_over_the_load():
    assert {"ttft", "tpot", "cache"}.isdisjoint(charts(kept_chat()))


def test_the_cache_grows_with_running_requests_up_to_what_there_is():
    chart = charts(chat())["cache"]

    sizes = [mark["y"] for mark in marks_of(chart)]
    assert sorted(sizes) == sizes and ["holds 189 MB", "at most"] == texts_of(chart)
    assert chat().recommended.candidate.max_running_requests == here(chart)


@settings(max_examples=50)
@given(
    st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=12, unique=True).map(sorted),
    st.floats(1e-5, 1e4),
    st.floats(1e-5, 1e4),
    st.integers(1, 10_000),
)
def test_whatever_the_figures_are_marks_have_room(rates, ttft_s, tpot_s, running):
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

    for chart in generation_charts(replace(chat(), load_curve=points, kv_curve=cache)):
        for mark in marks_of(chart):
            for channel in "xy":
                low, high = domains_of(chart)[channel][0], domains_of(chart)[channel][-1]
                assert not isinstance(low, float) or low <= mark[channel] <= high


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_variant_that_the_report_names_has_a_color(builder):
    advice = builder()
    colors = generation_colors(advice)

    named = {
        it.candidate.variant for it in (advice.baseline, advice.recommended, advice.likely, *advice.others) if it is not None
    }
    assert named <= set(colors) and set(colors.values()) <= set(range(8))
