import pytest

from advisor.tell.generation.decision import generation_decision_rows
from advisor.tell.generation.words import generation_words
from advisor.tell.words.figures import as_text
from tests.tell.generation_examples import BUILDERS

EXAMPLES = {builder.__name__: builder() for builder in BUILDERS}


def lines(name):
    advice = EXAMPLES[name]
    return {row.label: as_text(row.cells) for row in generation_decision_rows(advice, generation_words(advice))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_line_is_empty_and_money_stands_before_what_is_kept(name):
    found = lines(name)

    assert ["Decision", "Cost a month"] == [label for label in found if label != "What binds"][:2]
    assert all(text.strip() == text and text for text in found.values())
    assert {"TTFT", "TPOT", "latency"} & set(found)


@pytest.mark.parametrize("name", [name for name, advice in EXAMPLES.items() if advice.outcome == "inconclusive"])
def test_what_is_not_known_says_why_and_what_would_settle_it(name):
    said = lines(name)["How sure"]

    assert said.startswith("Not enough: ") and all(part in said for part in (*EXAMPLES[name].because, *EXAMPLES[name].settled_by))


@pytest.mark.parametrize("name", [name for name, advice in EXAMPLES.items() if advice.saving is not None])
def test_a_saving_is_what_the_month_costs_less(name):
    advice = EXAMPLES[name]

    assert advice.saving.usd_per_hour.value == pytest.approx(
        advice.baseline.cost_usd_per_hour.value - advice.recommended.cost_usd_per_hour.value
    )
    assert " after it: -$" in lines(name)["Cost a month"]
