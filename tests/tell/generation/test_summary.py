"""Advice on a generative model on a terminal: a line for each promise, and what was served for real."""

from msgspec.structs import replace

from advisor.tell.summary import full_summary, questions, summary
from tests.tell.generation_examples import chat, kept_chat, missed_chat, open_chat


def starts(text):
    return [line.split(" ", 1)[0] for line in text.splitlines()[1:]]


def test_each_promise_has_its_line_with_interval_and_target():
    text = summary(chat())

    assert ["cost", "ttft", "tpot", "quality", "lookup", "draft", "risk"] == starts(text)
    assert "ttft     p90 651 ms (592–721, simulated), target 2 s: kept" in text
    assert "a million input tokens" in text and "saves $1,489/year" in text
    assert "perplexity higher by 1.3 % (" in text and "allowed: at most 5 % more perplexity" in text


def test_a_promise_of_the_whole_answer_is_one_as_well():
    text = summary(kept_chat())

    assert ["cost", "latency", "quality", "risk"] == starts(text) and "quality  as today, no floor set" in text


def test_what_misses_and_what_is_not_known_is_said():
    assert "nothing meets the targets: a prompt of 400 tokens" in summary(missed_chat())
    text = summary(open_chat())
    assert "most likely $0.17/h" in text and "settled by advisor profile --budget 3min" in text
    assert "tpot     p90 not predicted, target 150 ms" in text


def test_without_any_prediction_there_is_nothing_to_compare_with():
    bare = replace(missed_chat(), nearest_miss=None)

    assert "nothing to compare it with" in summary(bare) and "ttft     p90 not predicted" in summary(bare)


def test_what_was_served_stands_beside_what_was_predicted():
    text = full_summary(chat())

    assert "100 requests at 0.52 /s" in text
    assert "TTFT p99     986 ms" in text and "predicted 1.12 s" in text and "at its own speed 1.05 s" in text
    assert "tokens equal those of the request alone: yes" in text and "targets kept" in text
    assert "tokens equal those of the request alone: NO" in full_summary(missed_chat()) and "targets MISSED" in full_summary(
        missed_chat()
    )
    assert () == questions(chat())


def test_lookup_is_said_by_text_up_to_where_it_pays_and_at_the_load_of_what_is_advised():
    line = next(line for line in summary(chat()).splitlines() if line.startswith("lookup"))

    assert (
        "on for copying text up to 6 running requests, not at 8; not shown to pay for free text at 8 running requests; " in line
    )
    assert line.endswith("at the 1.3 that run here on average: on for copying text, not shown to pay for free text")


def test_lookup_of_what_is_not_advised_is_said_as_that():
    made = chat()
    elsewhere = tuple(replace(entry, variant="openvino-fp32") for entry in made.speculation)

    line = next(line for line in summary(replace(made, speculation=elsewhere)).splitlines() if line.startswith("lookup"))

    assert line.endswith("(openvino-fp32 on OpenVINO, in place of int8-weight-only)")


def test_lookup_that_pays_as_far_as_was_tried_is_said_to():
    made = chat()
    up_to_the_end = replace(made.speculation[0], advised_up_to_running_requests=8.0, use=None, running_requests=None)

    text = summary(replace(made, speculation=(up_to_the_end,)))

    assert "on for copying text at 8 running requests, the most that was tried" in text
