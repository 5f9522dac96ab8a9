"""The charts on a language model elsewhere: of one replica, with both targets and what the cache has room for."""

import pytest

from advisor.tell.language.charts import language_kv_panel, language_load_panels
from tests.tell.generation.test_charts import assert_inside
from tests.tell.language_examples import BUILDERS, chat_elsewhere, missed_elsewhere, nothing_elsewhere


@pytest.mark.parametrize("builder", BUILDERS)
def test_everything_lies_inside_of_the_chart(builder):
    advice = builder()

    for panel in (*language_load_panels(advice), *([found] if (found := language_kv_panel(advice)) else [])):
        assert_inside(panel)


def test_the_load_is_that_of_one_replica_and_both_targets_are_drawn():
    ttft, tpot = language_load_panels(chat_elsewhere())

    assert ("target 2 s", "target 60 ms") == (ttft.limit.label.text, tpot.limit.label.text)
    assert ttft.here.at == tpot.here.at == ttft.points[2].x  # half of 10 /s
    assert language_load_panels(missed_elsewhere())[0].here.at < ttft.here.at


def test_the_cache_is_drawn_beside_the_room_that_a_replica_has_for_it():
    panel = language_kv_panel(chat_elsewhere())

    assert "holds 147 GB" == panel.limit.label.text and "at most" == panel.here.label.text


def test_where_nothing_was_simulated_there_is_no_chart():
    assert () == language_load_panels(nothing_elsewhere()) and language_kv_panel(nothing_elsewhere()) is None
