import pytest
from msgspec.structs import replace

from advisor.schema.advice import Advice
from advisor.schema.record import Estimate
from advisor.tell.words.advice import advice_words
from advisor.tell.words.decision import decision_rows
from advisor.tell.words.figures import as_text
from tests.tell.advice_examples import BUILDERS, change, inconclusive, infeasible, keep, served, unstated

EXAMPLES = {builder.__name__: builder() for builder in BUILDERS}


def lines(advice: Advice) -> dict[str, str]:
    return {row.label: as_text(row.cells) for row in decision_rows(advice, advice_words(advice))}


def test_what_a_change_saves_is_what_is_paid_today_less_what_is_paid_after_it() -> None:
    advice = change()
    assert advice.saving is not None and advice.recommended is not None
    today, after = advice.baseline.cost_usd_per_hour.value, advice.recommended.cost_usd_per_hour.value

    assert today - after == pytest.approx(advice.saving.usd_per_hour.value)
    assert (
        "$745 (fixed, list-price) today, $248 (fixed, list-price) after it: -$496 (fixed, list-price). "
        "66.7 % of today's cost saved." == lines(advice)["Cost a month"]
    )


def test_a_dearer_configuration_that_is_needed_says_what_it_restores() -> None:
    base = change()
    cheap = Estimate(value=0.1, low=0.1, high=0.1, basis="list-price", source="price in the workload file")
    today = replace(base.baseline, cost_usd_per_hour=cheap, meets_slo=False, misses_slo=True)

    found = lines(replace(base, baseline=today, saving=None))["Cost a month"]

    assert found.endswith("after it: +$175 (fixed, list-price). Restores the SLO, which today's configuration misses.")


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_line_is_empty_and_money_stands_before_all_but_what_is_decided(name: str) -> None:
    found = lines(EXAMPLES[name])

    assert ["Decision", "Cost a month", "SLO", "Quality"] == [label for label in found if label != "What binds"][:4]
    assert all(text.strip() == text and text for text in found.values())


def test_a_cost_that_is_not_known_well_enough_stands_between_its_ends_and_nothing_is_approved() -> None:
    found = lines(inconclusive())

    assert "Most likely $496, between $248 and $745 by how long calls take." == found["Cost a month"]
    assert found["Decision"].startswith("Nothing to approve yet")
    assert "settled by" in found["How sure"] and "Valid until" not in found


def test_without_todays_replicas_no_cost_of_today_is_made_up() -> None:
    assert "what is paid today is not known" in lines(unstated())["Cost a month"]
    assert "$248 (fixed, list-price), as today." in lines(keep())["Cost a month"]
    assert "Nothing to compare it with." in lines(infeasible())["Cost a month"]


def test_quality_stands_in_its_own_measure_beside_what_is_allowed() -> None:
    found = lines(change())["Quality"]

    assert "accuracy 89.5 %, then 89.25 %: 0.25 pp (-0.15 to 0.65, measured) lost, allowed 1 pp, down to 88.5 %." == found


def test_what_was_served_for_real_stands_beside_the_prediction() -> None:
    found = lines(served())

    assert "in the load test 41.2 ms (38.3–44.7, measured)" in found["SLO"] and "Served for real" in found["How sure"]
    assert "MISSED" not in found["SLO"]
    assert "Not served for real yet" in lines(change())["How sure"]


def test_a_load_test_that_missed_is_not_a_target_that_is_kept() -> None:
    advice = served()
    missed = replace(advice, load_tests=(replace(advice.load_tests[0], meets_slo=False), *advice.load_tests[1:]))

    assert ", which MISSED it." in lines(missed)["SLO"]
