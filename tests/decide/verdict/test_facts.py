"""Facts that rules ask for: worked out from what was said, unknown where nothing was."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.lifetime import cost
from advisor.decide.lifetime.horizon import EVEN, of_rates
from advisor.decide.lifetime.inputs import life_of
from advisor.decide.verdict.facts import ACCEPTED, DRAFTED, beside_the_cost, life_facts, share_facts, speculation_gain
from advisor.decide.verdict.rules import FACTS
from advisor.schema.workload import LifeOptions, LifeServing, LifeSituation, LifeTeam
from tests.lives import API, CHATBOT, MARKET, life, plans

NOW = "2026-11-28T08:00:00+00:00"
OF_A_MEASURED_MODEL = {"replicas", "utilization_fraction", "slo_is_met", "serving_saving_fraction"}


def facts(planned, requests_per_s=10.0, market=MARKET, course=EVEN):
    there = life(planned, requests_per_s, market)
    x = there.values
    return {**life_facts(x, cost.costs(x), there.flags), **beside_the_cost(x, course, market, NOW)}


@settings(deadline=None, max_examples=30)
@given(plans(), st.floats(-3, 4))
def test_every_fact_that_rules_may_ask_for_is_worked_out_and_no_other(planned, logarithm):
    there = life(planned, 10**logarithm)
    found = facts(planned, 10**logarithm)

    assert FACTS.keys() - OF_A_MEASURED_MODEL == found.keys() | {"latency_target_s", "budget_usd"}
    assert share_facts(there.values, cost.costs(there.values), there.flags).items() <= found.items()


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 1))
def test_drafting_gains_at_idle_and_costs_at_full_load(load):
    x = {**life(CHATBOT).values, "fleet_utilization_fraction": load}
    idle, busy = (speculation_gain({**x, "requests_per_s": rate}) for rate in (1e-6, 1e9))

    tokens_per_step = sum(ACCEPTED**k for k in range(DRAFTED + 1))
    assert 2 < idle < tokens_per_step
    assert busy <= idle and (busy < 1) == (load * (DRAFTED + 1) + 0.2 > tokens_per_step)


def test_what_devices_of_one_s_own_do_is_no_fact_of_an_api():
    api = msgspec.structs.replace(CHATBOT, serving=LifeServing(api_model="api"))
    found = facts(api, market=msgspec.structs.replace(MARKET, api=API))

    assert found["uses_api"] is True
    assert {found[name] for name in ("floor_load", "demand_over_floor", "speculation_gain", "weights_over_memory")} == {None}


@pytest.mark.parametrize(("retired_on", "months"), [(None, None), ("2027-11-28", 12.0), ("2026-01-01", 0.0)])
def test_the_months_that_a_vendor_serves_its_model_are_counted_from_now(retired_on, months):
    api = msgspec.structs.replace(CHATBOT, serving=LifeServing(api_model="api"))
    market = msgspec.structs.replace(MARKET, api=msgspec.structs.replace(API, retired_on=retired_on))

    found = facts(api, market=market)["api_months_left"]

    assert months == (found if months is None else pytest.approx(found, abs=0.01))


def test_the_peak_of_the_day_is_known_where_the_day_is():
    course = of_rates((1.0, 1.0, 4.0), 3.0, "a test")
    x = life_of(10.0, CHATBOT, MARKET, course=course).values

    assert facts(CHATBOT)["peak_over_mean"] is None
    assert life_facts(x, cost.costs(x), {})["peak_over_mean"] == pytest.approx(2.0)
    assert facts(CHATBOT, course=course)["burstiness_cv"] == 3.0


def test_a_commitment_is_of_a_year_where_a_reserved_price_is_given():
    reserved = msgspec.structs.replace(CHATBOT, options=LifeOptions(reserved_discount=0.4))

    assert (None, 12.0) == (facts(CHATBOT)["commitment_months"], facts(reserved)["commitment_months"])


def test_operations_are_what_people_cost_over_the_horizon():
    team = msgspec.structs.replace(CHATBOT, team=LifeTeam(serving_engineer_days_per_month=2.0, engineer_usd_per_day=1000.0))

    assert 2 * 1000.0 * 24 == pytest.approx(facts(team)["operations_usd"])
    assert facts(CHATBOT)["operations_usd"] is None


def test_what_is_said_of_the_situation_is_a_fact():
    said = msgspec.structs.replace(CHATBOT, situation=LifeSituation(models_of_one_base=7, domain_shift=0.2))

    assert (7.0, 0.2) == (facts(said)["models_of_one_base"], facts(said)["domain_shift"])
