"""Energy and carbon of a model's life: device hours times what a device draws, worked out a second time; unknown with its reason."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.energy import kwh_per_year, lifetime_energy
from advisor.files.market import market_of
from advisor.schema.workload import EnergyChoice, Lifecycle, LifeModel, LifePreTraining, LifeRequest, LifeServing
from tests.lives import CHATBOT, MARKET, life, plans

NAMED = msgspec.structs.replace(CHATBOT, serving=LifeServing(device="h100_sxm", minimum_replicas=2), fine_tunings_per_year=0.0)
HOURS = 24 * 730.0


def energy_of(planned, requests_per_s=10.0, energy=None):
    market = market_of(planned, None, energy)
    return lifetime_energy(life(planned, requests_per_s, market).figures, market)


def test_what_is_always_on_and_idle_draws_what_is_drawn_when_idle():
    found = energy_of(NAMED, 1e-6)

    # Two H100 of 700 W, of which 0.7 when busy and 0.3 of that when idle, at 1.5 for the data center.
    assert 2 * HOURS * 0.7 * 0.7 * 0.3 * 1.5 == pytest.approx(found.kwh.value, rel=1e-4)


def test_training_draws_beside_serving_what_its_devices_do_when_busy():
    trained = msgspec.structs.replace(NAMED, pre_training=LifePreTraining(pre_training_tokens=1e12, pre_training_experiments=1.0))
    device_hours = 6 * 8e9 * 1e12 / (989.4e12 * 0.4) / 3600

    more = energy_of(trained, 1e-6).kwh.value - energy_of(NAMED, 1e-6).kwh.value

    assert device_hours * 0.7 * 0.7 * 1.5 == pytest.approx(more, rel=1e-6)


@pytest.mark.parametrize(("grid", "grams"), [("FRA", 56.039), ("POL", 661.926)])
def test_carbon_is_energy_at_the_intensity_of_the_grid(grid, grams):
    found = energy_of(NAMED, energy=EnergyChoice(grid=grid))

    assert found.carbon_kg.value == pytest.approx(found.kwh.value * grams / 1000)
    assert found.because == ""


def test_a_data_centre_that_is_told_has_no_interval_of_its_own():
    told = energy_of(NAMED, energy=EnergyChoice(power_usage_effectiveness=1.2))
    industry = energy_of(NAMED)

    assert told.kwh.value == pytest.approx(industry.kwh.value * 1.2 / 1.5)
    assert told.kwh.high / told.kwh.low < industry.kwh.high / industry.kwh.low


@settings(deadline=None, max_examples=50)
@given(plans(), st.floats(-3, 4), st.floats(1, 50))
def test_more_traffic_takes_no_less_energy_and_the_value_lies_within_its_interval(planned, logarithm, more):
    rate = 10**logarithm
    little, much = (lifetime_energy(life(planned, each).figures, MARKET).kwh for each in (rate, rate * more))

    assert 0 < little.low <= little.value <= little.high
    assert little.value <= much.value * (1 + 1e-9)


@settings(deadline=None, max_examples=30)
@given(plans(), st.floats(-3, 4))
def test_a_year_at_today_s_traffic_is_what_serving_takes_of_it(planned, logarithm):
    bare = msgspec.structs.replace(planned, fine_tunings_per_year=0.0, growth_per_month=0.0, horizon_months=12.0)
    there = life(bare, 10**logarithm)

    assert kwh_per_year(there.values, MARKET) == pytest.approx(lifetime_energy(there.figures, MARKET).kwh.value)


@pytest.mark.parametrize(
    ("planned", "reason"),
    [
        (Lifecycle(serving=LifeServing(serving_usd_per_hour=1.0)), "known only as a sum"),
        (
            Lifecycle(request=LifeRequest(input_tokens=9.0), serving=LifeServing(api_model="gpt-4.1-mini")),
            "somebody else's devices",
        ),
        (Lifecycle(model=LifeModel(parameters=1e9)), "give lifecycle.request.input_tokens"),
        (
            msgspec.structs.replace(CHATBOT, serving=LifeServing(device="c6i.xlarge", device_usd_per_hour=1.0)),
            "the catalog has no rate of the device",
        ),
    ],
)
def test_what_is_not_known_says_why(planned, reason):
    found = energy_of(planned)

    assert (found.kwh, found.carbon_kg) == (None, None) and reason in found.because
