"""The charts on a language model elsewhere: of one replica, with both targets and what the cache has room for."""

from advisor.tell.language.charts import language_charts
from tests.tell.charts.reading import by_id, domains_of, texts_of
from tests.tell.generation.test_charts import here
from tests.tell.language_examples import chat_elsewhere, missed_elsewhere, nothing_elsewhere


def charts(advice):
    return by_id(language_charts(advice))


def test_the_load_is_that_of_one_replica_and_both_targets_are_drawn():
    found = charts(chat_elsewhere())

    assert ["target 2 s", "target 60 ms"] == [texts_of(found[it])[0] for it in ("ttft", "tpot")]
    assert 5.0 == here(found["ttft"]) == here(found["tpot"])  # half of 10 /s
    assert here(charts(missed_elsewhere())["ttft"]) < 5.0


def test_the_cache_is_drawn_beside_the_room_that_a_replica_has_for_it():
    assert ["holds 147 GB", "at most"] == texts_of(charts(chat_elsewhere())["cache"])


def test_the_color_of_an_alternative_is_its_device():
    assert ["h100_sxm", "mi300x", "l40s"] == domains_of(charts(chat_elsewhere())["frontier"])["color"]


def test_where_nothing_was_simulated_there_is_no_chart():
    assert () == language_charts(nothing_elsewhere())
