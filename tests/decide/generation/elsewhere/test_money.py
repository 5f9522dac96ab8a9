"""Money: what replicas cost by request and token, what vendors ask for the same, and the traffic at which both are equal."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from advisor.decide.generation.elsewhere.money import Mean, alternatives, break_even_requests_per_s, usd_per_call
from advisor.decide.generation.elsewhere.prediction import predict
from advisor.decide.generation.elsewhere.request import calls_of
from advisor.decide.generation.search import Chosen
from advisor.schema.workload import Lifecycle, LifeRequest
from tests.elsewhere_models import chat, lengths, offers_of, token_price

MEAN = Mean(1000.0, 200.0)


def test_a_call_costs_its_tokens_and_what_is_cached_less():
    plain = usd_per_call(token_price(), chat(brings=lengths(shared_prefix=400)), MEAN)
    cached = usd_per_call(token_price(usd_per_million_cached_tokens=0.03), chat(brings=lengths(shared_prefix=400)), MEAN)

    assert (1000 * 0.3 + 200 * 1.2) / 1e6 == pytest.approx(plain.value)
    assert plain.value - 400 * 0.27 / 1e6 == pytest.approx(cached.value)
    assert plain.value == pytest.approx(cached.high)


def test_calls_that_can_wait_cost_what_a_batch_does():
    waiting = chat(lifecycle=Lifecycle(request=LifeRequest(batch_fraction=0.5)))
    half = token_price(usd_per_million_batch_input_tokens=0.15, usd_per_million_batch_output_tokens=0.6)

    plain = usd_per_call(token_price(), waiting, MEAN).value

    assert usd_per_call(token_price(), chat(), MEAN).value == plain
    assert 0.75 * plain == pytest.approx(usd_per_call(half, waiting, MEAN).value)


def test_a_model_whose_answers_have_no_price_is_no_alternative():
    assert usd_per_call(token_price(usd_per_million_output_tokens=None), chat(), MEAN) is None
    assert () == alternatives(
        (token_price(usd_per_million_output_tokens=None),), calls_of(chat()), MEAN, calls_per_s=1.0, replica=None, carries=None
    )


def test_alternatives_cost_a_month_of_the_same_traffic_cheapest_first():
    prices = (token_price("dear", 3.0, 12.0), token_price("cheap", 0.3, 1.2))

    found = alternatives(prices, calls_of(chat()), MEAN, calls_per_s=2.0, replica=None, carries=None)

    assert ["cheap", "dear"] == [entry.model for entry in found]
    assert 2 * 3600 * 730 * 540 / 1e6 == pytest.approx(found[0].usd_per_month.value)
    assert all(entry.break_even_requests_per_s is None for entry in found)


def cheaper_at(rate: float, usd_per_hour: float, carries: float, usd: float) -> bool:
    return math.ceil(rate / carries * (1 - 1e-12)) * usd_per_hour <= rate * 3600 * usd * (1 + 1e-9)


@given(st.floats(0.5, 50.0), st.floats(0.5, 20.0), st.floats(1e-5, 1e-2))
def test_above_the_break_even_the_fleet_is_cheaper_however_much_comes_and_just_below_it_is_not(usd_per_hour, carries, usd):
    even = break_even_requests_per_s(usd_per_hour, carries, usd)
    if even is None:
        # A full replica is no cheaper either, or hardly.
        assert usd_per_hour / (3600 * usd * carries) > 0.99
        return
    rates = [even, *(carries * step / 7 for step in range(1, 7 * 60))]
    full = (math.ceil(even / carries * (1 - 1e-12)) - 1) * carries
    assume(even - full > 1e-6 * carries)

    assert all(cheaper_at(rate, usd_per_hour, carries, usd) for rate in rates if rate >= even)
    assert not cheaper_at((full + even) / 2, usd_per_hour, carries, usd)


def test_a_break_even_is_told_in_requests_of_users():
    offers = offers_of()
    replica = offers.replicas(())[0]
    agents = calls_of(chat(1.0, lifecycle=Lifecycle(request=LifeRequest(agent_multiplier=5.0))))
    plain = calls_of(chat(5.0))

    one, five = (
        alternatives((token_price(),), calls, MEAN, calls_per_s=5.0, replica=replica, carries=10.0)[0]
        for calls in (plain, agents)
    )

    assert one.break_even_requests_per_s == pytest.approx(5 * five.break_even_requests_per_s)
    assert one.usd_per_month == five.usd_per_month


def test_costs_of_tokens_add_up_to_the_rent():
    replica = offers_of().replicas(())[0]
    found = predict(Chosen(replica, replica.space[0], 2), 1.0).prediction
    inputs, outputs = replica.demand.mean_tokens
    million_requests = (
        inputs * found.cost_usd_per_million_input_tokens.value + outputs * found.cost_usd_per_million_output_tokens.value
    )

    assert 1e6 * found.cost_usd_per_request.value == pytest.approx(million_requests)
    assert 4.0 / 3600 / 5.0 == pytest.approx(found.cost_usd_per_request.value)
    assert 4.0 * 730 == pytest.approx(found.cost_usd_per_month.value)


def test_energy_is_that_of_devices_at_work_and_idle_over_the_answers_to_all_that_arrives():
    replica = offers_of().replicas(())[0]
    found = predict(Chosen(replica, replica.space[0], 1), 1.0).prediction
    busy, written = found.utilization_fraction.value, replica.demand.requests_per_s * replica.demand.mean_tokens[1]

    assert 700 * 0.7 * (0.3 + 0.7 * busy) * 1.5 / written == pytest.approx(found.energy_j_per_output_token.value)
    assert found.energy_j_per_output_token.low < found.energy_j_per_output_token.value < found.energy_j_per_output_token.high
