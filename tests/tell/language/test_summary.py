"""Advice on a language model elsewhere on a terminal: the decision, what comes next, the API, and a line for each other device."""

from msgspec.structs import replace

from advisor.tell.summary import full_summary, questions, summary
from tests.tell.language_examples import chat_elsewhere, missed_elsewhere, nothing_elsewhere, open_elsewhere


def starts(text):
    return [line.split(" ", 1)[0] for line in text.splitlines()[1:]]


def test_each_thing_to_know_has_its_line():
    text = summary(chat_elsewhere())

    assert ["cost", "ttft", "tpot", "ground", "next", "api", "lower", "risk"] == starts(text)[:8]
    assert "cost     $40,179/month (fixed, list-price); $0.52 (" in text and "a million input tokens" in text
    assert "ttft     p90 651 ms (592–721, simulated), target 2 s: kept" in text
    assert "step times stand on kernels measured on this device" in text
    assert "next     5 × (2 × mi300x), weights in bf16, KV cache in bf16: $43,800/month" in text and "more" in text
    assert (
        "a vendor small-1: $22,000/month (fixed, list-price) for the same traffic; from 18 /s on the fleet is always cheaper"
        in text
    )
    assert "weights in fp8, KV cache in fp8 would save $20,090/month" in text and "after you measured it" in text
    assert text == full_summary(chat_elsewhere()) and () == questions(chat_elsewhere())


def test_the_cheapest_of_each_other_device_has_a_line_the_cheapest_first():
    lines = summary(chat_elsewhere()).splitlines()[-2:]

    assert ["mi300x", "l40s"] == [line.split()[0] for line in lines]
    assert all("/month" in line and "TTFT p90" in line and "TPOT p90" in line and line.endswith(": kept") for line in lines)


def test_what_misses_and_what_is_not_known_is_said():
    missed, unknown = summary(missed_elsewhere()), summary(open_elsewhere())

    assert "cost     nearest miss $" in missed and "nothing meets the targets: a prompt of 2,000 tokens" in missed
    assert "no price by the token is known" in missed and "next     not known" in missed
    assert "cost     most likely $" in unknown and "settled by a measurement of one replica there" in unknown
    assert "the fleet is not always cheaper at any traffic" in unknown


def test_where_nothing_was_simulated_nothing_is_made_up():
    text = summary(nothing_elsewhere())

    assert "cost     not known: nothing was simulated" in text and "ttft     p90 not predicted, target 2 s" in text


def test_where_nothing_else_keeps_the_targets_that_is_said():
    alone = replace(chat_elsewhere(), next_best=None, next_best_costs_more_fraction=None)

    assert "next     nothing else keeps the targets" in summary(alone)
