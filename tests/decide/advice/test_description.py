"""The money of advice: whatever is asked, one figure of what serving costs, no saving above what is paid, nothing that contradicts it."""

import re
from random import Random

import pytest
from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.files.rulebook import rules_with
from advisor.schema.workload import Baseline, Lifecycle
from advisor.tell.report import render
from advisor.tell.summary import summary
from advisor.tell.words.advice import advice_words
from advisor.tell.words.figures import as_text
from advisor.units import HOURS_PER_YEAR
from tests.decide.advice.test_advise import a_question
from tests.lives import MARKET
from tests.profiles import NOW, fixed_cost_law, profile, request, variant, workload

RULES = rules_with(None, now=NOW)
LIVES = (
    None,
    Lifecycle(horizon_months=12.0, labels_usd=0.0, fine_tuning_usd=10.0, fine_tunings_per_year=2.0),
    Lifecycle(horizon_months=36.0, labels_usd=2e4, fine_tuning_usd=500.0, fine_tunings_per_year=1.0),
)


def priced(seed):
    """A random question at a random price, for a random planned life without growth: then a year is a year."""
    random = Random(seed)
    measured, asked = a_question(random)
    price = 10 ** random.uniform(-3, 2)
    hardware = replace(asked.hardware, price_usd_per_hour={"local": price})
    asked = replace(asked, hardware=hardware, lifecycle=random.choice(LIVES))
    return asked, advise(measured, request(asked, measured, market=MARKET, rules=RULES), None)


@pytest.fixture(scope="module")
def answers():
    return [priced(seed) for seed in range(1010, 1028)]


def is_given(asked):
    return asked.baseline is not None and asked.baseline.replicas is not None


def shown(advice):
    return advice.recommended or advice.likely or advice.baseline


def serving_line(advice):
    return next((line.usd for line in advice.verdict.lines if line.what == "serving"), None)


def test_the_questions_have_savings_levers_that_pay_and_answers_without_a_cost_today(answers):
    assert any(advice.saving and advice.saving.usd_per_hour.value > 0 for _, advice in answers)
    assert any(advice.outlook.change_nothing is False for _, advice in answers)
    assert any(advice.outlook.change_nothing for _, advice in answers)
    assert any(not is_given(asked) and advice.recommended for asked, advice in answers)


def test_serving_costs_over_the_life_what_the_configuration_that_is_shown_costs(answers):
    for asked, advice in answers:
        line = serving_line(advice)
        assert (line is None) == (asked.lifecycle is None)
        if line is not None:
            years, cost = asked.lifecycle.horizon_months / 12, shown(advice).cost_usd_per_hour
            assert line.value == pytest.approx(cost.value * HOURS_PER_YEAR * years)
            assert line.low <= line.value <= line.high


def test_a_saving_is_the_difference_of_two_costs_that_stand_beside_it_and_less_than_what_is_paid(answers):
    for asked, advice in answers:
        if advice.saving is not None:
            before, after, saving = advice.baseline.cost_usd_per_hour, advice.recommended.cost_usd_per_hour, advice.saving
            assert is_given(asked) and before.low == before.high
            assert saving.usd_per_hour.value == pytest.approx(before.value - after.value)
            assert saving.usd_per_hour.high <= before.value
            assert saving.usd_per_year.value == pytest.approx(saving.usd_per_hour.value * HOURS_PER_YEAR)
            assert saving.fraction <= 1


def test_no_change_saves_more_than_is_paid(answers):
    for _, advice in answers:
        today, line = advice.baseline.cost_usd_per_hour.value * HOURS_PER_YEAR, serving_line(advice)
        for entry in advice.outlook.opportunities:
            measured = entry.lever in ("configure", "switch-variant") or entry.field == "replicas over the day"
            years = advice.workload.lifecycle.horizon_months / 12 if advice.workload.lifecycle else 1
            most = today if measured else line.high / years
            assert entry.saving_usd_per_year.value <= most * (1 + 1e-9), entry


def test_nothing_pays_beside_the_advice_to_change_nothing_unless_both_are_said(answers):
    for _, advice in answers:
        paying = [entry for entry in advice.outlook.opportunities if entry.pays]
        words = advice_words(advice)
        if advice.outcome == "keep" and paying and advice.outlook.change_nothing is False:
            assert f"What does pay: {paying[0].title}" in advice.headline
            assert paying[0].title in as_text(words.cost_because) + advice.headline
        if advice.outlook.change_nothing:
            assert not paying and advice.outcome == "keep"
        if advice.workload.lifecycle is None:
            assert {"not weighed"} >= set(re.findall(r"Worth it: (.*)", render(advice, "md")))


def test_a_change_that_pays_is_not_passed_over_for_changing_nothing(answers):
    for _, advice in answers:
        if advice.outcome == "keep" and advice.outlook.change_nothing is not None:
            assert not [
                entry for entry in advice.outlook.opportunities if entry.pays and entry.lever in ("configure", "switch-variant")
            ]


def test_what_is_paid_today_is_named_only_where_the_user_gave_the_replicas(answers):
    for asked, advice in answers:
        if not is_given(asked):
            texts = [*summary(advice).splitlines(), *render(advice, "md").splitlines()]
            told = [line for line in texts if re.search(r"\btoday\b[^|]*\$", line, re.IGNORECASE)]
            assert all("estimate" in line or line.startswith(("Keep today's", "# Keep today's")) for line in told), told
            assert advice.saving is None and "saves $" not in summary(advice)


def test_fewer_replicas_of_what_runs_today_are_a_change_that_is_weighed_as_one():
    law = fixed_cost_law(0.008, 0.002, of_variant={"opt": 0.95})
    measured = profile(law, variants=(variant(), variant("opt")), batch_sizes=(1,))
    life = Lifecycle(horizon_months=12.0, fine_tunings_per_year=2.0, fine_tuning_usd=100.0, labels_usd=500.0)

    def answer(usd_per_hour):
        asked = workload(10.0, 0.2, usd_per_hour=usd_per_hour, baseline=Baseline(replicas=2), lifecycle=life)
        return advise(measured, request(asked, measured, market=MARKET, rules=RULES), None)

    cheap, dear = answer(0.001), answer(5.0)

    assert ("keep", 2) == (cheap.outcome, cheap.recommended.candidate.replicas) and "of work" in cheap.headline
    assert ("change", ("1 replica instead of 2",)) == (dear.outcome, dear.recommended.changes)
    assert dear.headline.startswith("Run today's configuration on 1 replica instead of 2: ")
