import pytest
from msgspec.structs import replace

from advisor.schema.record import Estimate
from advisor.tell.report import render
from advisor.tell.words.life import classification_rows, life_of_advice, life_words
from tests.tell.advice_examples import change
from tests.tell.documents import READ_ALONE, classification

TODAYS = "The first box has today's traffic and prices, at which a year saves $5,957; a year here is the mean of 12 months"


def saving_in_the_mean(usd: float):
    """Return advice whose first opportunity saves so much in a year of its horizon."""
    advice = change()
    assert advice.outlook is not None
    first, *others = advice.outlook.opportunities
    saved = Estimate(value=usd, low=usd, high=usd, basis="simulated", source="today's cost less that of the change")
    found = (replace(first, saving_usd_per_year=saved), *others)
    return replace(advice, outlook=replace(advice.outlook, opportunities=found))


def test_a_mean_of_months_is_not_named_as_a_saving_at_todays_traffic_is():
    for format_ in ("html", "md"):
        page = render(change(), format_, READ_ALONE).replace("\N{NO-BREAK SPACE}", " ")
        assert "Saves a year, mean of 12 months" in page
    assert "mean of 12 months" in render(classification(), "text")
    assert "$5,957/year (fixed, list-price) at today's traffic" in render(change(), "text")


def test_where_the_two_differ_a_sentence_says_how():
    told = life_of_advice(saving_in_the_mean(5_460.0)).ranked

    assert told is not None and TODAYS in told


def test_where_they_are_the_same_nothing_is_said_of_it():
    advice = change()
    assert advice.saving is not None
    told = life_of_advice(saving_in_the_mean(advice.saving.usd_per_year.value)).ranked

    assert told is not None and "first box" not in told


@pytest.mark.parametrize("ends", [(), ("40 % serving: mixed", "60 % serving: inference")])
@pytest.mark.parametrize("has_flips", [False, True])
def test_how_sure_a_verdict_is_never_says_not_robust_without_a_reason(ends, has_flips):
    made = classification()
    flips = made.verdict.flips_when if has_flips else ()
    shown = replace(made, verdict=replace(made.verdict, robust=False, turned_by=ends, flips_when=flips))
    life = life_words(shown.verdict, shown.outlook, shown.horizon_months)

    sure = next(str(row.cells[0]) for row in classification_rows(shown, life) if row.label == "How sure")

    assert ("Not robust: the plan is not allowed" in sure) == (not ends)
    assert ("At 40 % serving: mixed." in sure) == (bool(ends) and not flips)
    assert ("The verdict becomes " in sure) == bool(flips)
