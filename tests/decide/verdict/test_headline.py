"""The headline is what a reader acts on: what to do with its money, what is not allowed, or that nothing pays."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide import combining
from advisor.decide.classify import classify_workload
from advisor.decide.lifetime.inputs import life_of
from advisor.decide.lifetime.levers import evaluated
from advisor.decide.verdict.rules import Rulebook
from advisor.files.rulebook import rules_with
from advisor.schema.workload import Lifecycle, LifeModel, LifeRequest, LifeServing, LifeSituation
from advisor.steps.classify import classify_file
from advisor.tell.words.life import firmness
from tests.decide.lifetime.test_payback import API, EVERYTHING, WITH_ALL
from tests.lives import CHATBOT, MARKET, plans

NOW = "2026-11-28T08:00:00+00:00"
RULES = Rulebook(rules_with(None, now=NOW))
SCENARIOS = sorted((Path(__file__).parents[3] / "examples" / "scenarios").glob("*.yaml"))
MONEY = r"-?\$[\d,.]+"
COMPARED = rf"{MONEY}(?: less)? to {MONEY} (?:more|less)"
STAYS = LifeSituation(data_must_stay=True)
ON_API = LifeServing(api_model="api")


def told(planned, requests_per_s=10.0, market=MARKET):
    return classify_workload("a test", requests_per_s, planned, market, RULES, created=NOW)


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_the_headline_of_a_scenario_names_what_to_do_with_its_money_and_an_interval(path):
    headline = classify_file(path, None, now=NOW).headline

    assert re.search(rf"{MONEY} a year, {MONEY} to {MONEY}|{MONEY} \({MONEY} to {MONEY}\)", headline)
    assert 20 < len(headline) < 450


@settings(deadline=None, max_examples=40)
@given(plans(), st.floats(-3, 4), st.booleans())
def test_the_headline_advises_what_pays_and_nothing_else(planned, logarithm, has_options):
    options = {"options": EVERYTHING.options, "request": EVERYTHING.request} if has_options else {}
    planned = msgspec.structs.replace(planned, **options)
    market = WITH_ALL if has_options else MARKET

    found = told(planned, 10**logarithm, market)

    title = {entry.lever: f"{entry.title[0].lower()}{entry.title[1:]} (saves" for entry in found.outlook.opportunities}
    named = {lever for lever, words in title.items() if words in found.headline}
    paying = {entry.lever for entry in found.outlook.opportunities if entry.pays}
    assert named <= paying and len(named) <= 2 and combining.fit_together(named)
    assert bool(named) == bool(paying)
    assert named or "change nothing" in found.headline or "could be evaluated" in found.headline


@settings(deadline=None, max_examples=30)
@given(st.floats(-1, 4))
def test_two_things_are_advised_only_where_the_second_adds_more_than_it_costs(logarithm):
    rate = 10**logarithm
    found = told(EVERYTHING, rate, WITH_ALL)
    life = life_of(rate, EVERYTHING, WITH_ALL)
    moves = {move.lever.id: move for move in evaluated(life, EVERYTHING, WITH_ALL)[0]}
    by_place = sorted(
        (found.headline.index(words), entry)
        for entry in found.outlook.opportunities
        if (words := f"{entry.title[0].lower()}{entry.title[1:]} (saves") in found.headline
    )

    if len(by_place) == 2:
        (_, first), (_, second) = by_place
        alone, both = (
            combining.saved_usd([moves[entry.lever] for entry in entries], life.values) for entries in ((first,), (first, second))
        )
        assert both - alone > second.once_usd.value


@pytest.mark.parametrize("model", [None, LifeModel(parameters=8e9)])
def test_an_api_for_requests_that_may_not_leave_the_house_is_the_headline_and_not_robust(model):
    planned = msgspec.structs.replace(
        CHATBOT, serving=ON_API, situation=STAYS, model=model, fine_tuning=None, fine_tuning_usd=0.0
    )

    found = told(planned, market=msgspec.structs.replace(MARKET, api=API))

    assert found.headline.startswith("not allowed as planned: requests may not leave the company")
    assert found.verdict.robust is False and found.verdict.because.startswith("Not allowed as planned: requests may not leave")
    assert ("give lifecycle.model" in found.headline) == (model is None)
    assert (re.search(rf"than the API \({COMPARED}\)", found.headline) is not None) == (model is not None)
    assert found.outlook.answer == f"{found.headline[0].upper()}{found.headline[1:]}."
    assert found.outlook.change_nothing is False
    reason = "Not robust: the plan is not allowed, whatever its cost is dominated by."
    assert (
        firmness(found.verdict).startswith("Not robust.")
        if found.verdict.turned_by
        else firmness(found.verdict).startswith(reason)
    )


@pytest.mark.parametrize(("tokens", "rate"), [(100.0, 2.0), (100.0, 0.01), (1e4, 200.0)])
def test_what_own_devices_cost_beside_an_api_that_is_not_allowed_is_never_a_negative_sum(tokens, rate):
    planned = Lifecycle(
        fine_tunings_per_year=0.0,
        labels_usd=0.0,
        request=LifeRequest(input_tokens=1000.0, output_tokens=tokens),
        serving=ON_API,
        situation=STAYS,
        model=LifeModel(parameters=8e9),
    )

    found = told(planned, rate, msgspec.structs.replace(MARKET, api=API))

    words = re.search(rf"own devices, ({MONEY}) a year (more|less) than the API \(({COMPARED})\)", found.headline)
    assert words is not None and "-$" not in found.headline
    saving = next(entry for entry in found.outlook.opportunities if entry.lever == "self-host").saving_usd_per_year
    assert (words[2] == "less") == (saving.value > 0)
    assert words[3].endswith("less") == (saving.low > 0) and (saving.low < 0 < saving.high) == ("less to" in words[3])


@pytest.mark.parametrize("situation", [None, LifeSituation(), LifeSituation(data_must_stay=False)])
def test_an_api_that_is_allowed_is_no_contradiction(situation):
    planned = msgspec.structs.replace(
        CHATBOT, serving=ON_API, situation=situation, model=None, fine_tuning=None, fine_tuning_usd=0.0
    )

    assert "not allowed" not in told(planned, market=msgspec.structs.replace(MARKET, api=API)).headline


def test_a_model_that_its_vendor_has_retired_is_the_headline():
    planned = msgspec.structs.replace(CHATBOT, serving=ON_API, model=None, fine_tuning=None, fine_tuning_usd=0.0)
    retired = msgspec.structs.replace(API, retired_on="2026-11-27")

    found = told(planned, market=msgspec.structs.replace(MARKET, api=retired))

    assert found.headline.startswith("choose another model: by the price list its vendor has not served api since 2026-11-27")
    assert found.outlook.answer == f"C{found.headline[1:]}."


def test_where_nothing_pays_the_headline_says_so_and_where_nothing_is_known_what_to_give():
    small = Lifecycle(
        horizon_months=12.0, fine_tunings_per_year=0.0, labels_usd=0.0, serving=LifeServing(serving_usd_per_hour=0.02)
    )

    assert told(small, 0.5).headline == "change nothing: none of 1 change saves in 12 months what it costs"
    assert told(Lifecycle()).headline.startswith("not known whether serving or training dominates")
    assert "lifecycle.labels_usd" in told(Lifecycle()).headline


@settings(deadline=None, max_examples=30)
@given(plans())
def test_where_training_dominates_its_largest_line_and_what_a_little_less_saves_come_first(planned):
    found = told(planned, 1e-3)
    if found.verdict.dominated_by not in ("fine-tuning", "pre-training"):
        return

    lines = [line for line in found.verdict.lines if line.usd is not None and line.kind != "inference"]
    largest = max(lines, key=lambda line: line.usd.value)
    assert found.headline.startswith(f"start with {largest.what}, about $")
