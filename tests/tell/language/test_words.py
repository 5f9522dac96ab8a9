"""What the report on a language model elsewhere says of its parts: one value for each figure, wherever it stands."""

import re

import pytest
from msgspec.structs import replace

from advisor.tell.language.naming import language_columns
from advisor.tell.language.tables import api_rows, deployment_rows, language_rows
from advisor.tell.language.words import language_words
from advisor.tell.words.figures import as_text
from tests.tell.documents import READ_ALONE
from tests.tell.language_examples import chat_elsewhere, missed_elsewhere, nothing_elsewhere, open_elsewhere


def test_the_decision_comes_with_its_cost_by_month_and_by_token():
    words = language_words(chat_elsewhere())

    assert words.what_to_do.startswith(
        "Serve it on 2 replicas of 4 × h100_sxm, weights in bf16, KV cache in bf16, up to 128 running"
    )
    assert "$40,179/month (fixed, list-price)" == as_text(words.costs)
    assert "A million input tokens cost $0.52 (" in as_text(words.costs_because)
    assert "Step times stand on kernels measured on this device." in words.run_because


def test_the_next_best_is_named_with_how_much_more_it_costs_and_on_what_ground():
    words = language_words(chat_elsewhere())

    assert as_text(words.next_best).startswith("The next best, 5 × (2 × mi300x), weights in bf16, KV cache in bf16, costs 9 % (")
    assert "instead of $40,179/month" in as_text(words.next_best_because)
    assert "nearest kind of device" in as_text(words.next_best_because)


def test_without_a_next_best_there_is_no_such_part():
    assert language_words(open_elsewhere()).next_best is None and ["Most likely"] == list(language_columns(open_elsewhere()))


def test_an_api_is_compared_with_the_break_even_or_told_to_be_cheaper_always():
    paying, always = language_words(chat_elsewhere()), language_words(open_elsewhere())

    assert "The same traffic at a vendor small-1 costs $22,000/month" in as_text(paying.apis)
    assert "from 18 /s on the fleet is always cheaper" in as_text(paying.apis)
    assert "the fleet is not always cheaper at any traffic" in as_text(always.apis)
    assert ["a vendor small-1", "a vendor large-2"] == [row.label for row in api_rows(chat_elsewhere())]


def test_a_lower_precision_is_what_it_would_save_after_a_measurement():
    words = language_words(chat_elsewhere())

    assert as_text(words.accepting).startswith("Weights in fp8, KV cache in fp8 would save $20,090/month")
    assert as_text(words.accepting).endswith("after you measured it") and "quality: {accept: [fp8]}" in words.accepting_because


@pytest.mark.parametrize(
    ("builder", "said"),
    [
        (chat_elsewhere, "Speculation pays while no more than 24 requests run (6.5 /s at one replica)"),
        (missed_elsewhere, "Speculation pays at every load that was looked at"),
        (open_elsewhere, "Speculation does not pay at any load"),
    ],
)
def test_speculation_is_told_by_load(builder, said):
    words = language_words(builder())

    assert said == words.speculation
    assert (
        "With eagle, 3 draft tokens a step: with more requests a step of so many tokens takes longer than it saves.",
    ) == words.speculated


def test_where_nothing_was_simulated_no_part_is_told():
    words = language_words(nothing_elsewhere())

    assert (None, None, None, None) == (words.run, words.predicted, words.curve, words.cache)
    assert () == language_rows(nothing_elsewhere()) == deployment_rows(nothing_elsewhere())
    assert "memory: the weights take more than 8 devices have" == words.what_misses


def test_a_deployment_that_plays_several_parts_stands_once():
    made = chat_elsewhere()

    rows = deployment_rows(replace(made, ties=(made.next_best,)))

    assert ["recommended", "next best, tie", ""] == [row.role for row in rows]


def test_the_cost_is_the_same_figure_wherever_it_stands():
    from advisor.tell import report
    from advisor.tell.summary import summary

    for text in (
        *(report.render(chat_elsewhere(), format_, READ_ALONE) for format_ in ("html", "md")),
        summary(chat_elsewhere()),
    ):
        costs = set(re.findall(r"\$40,1\d\d", text))
        assert {"$40,179"} == costs


def test_the_api_that_the_workload_names_is_the_one_that_is_compared_with():
    made = chat_elsewhere()
    named = replace(made, apis=(*made.apis, replace(made.apis[1], model="gpt-4.1-mini")))

    assert "The same traffic at a vendor gpt-4.1-mini costs $510,000/month" in as_text(language_words(named).apis)
