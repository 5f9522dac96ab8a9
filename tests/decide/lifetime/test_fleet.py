"""The fleet: whole replicas by month from the workload's own day, and what they cost."""

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.lifetime import cost, fleet
from advisor.decide.lifetime.horizon import of_rates
from advisor.decide.lifetime.inputs import life_of
from advisor.errors import InputError
from advisor.schema.workload import LifeEdge, LifeModel, LifeRequest, LifeServing
from tests.lives import CHATBOT, MARKET, choices, life

FACTORS = st.floats(1.0, 1e3)


def serving(planned, requests_per_s=10.0, **course):
    x = life_of(requests_per_s, planned, MARKET, **course).values
    return math.fsum(fleet.serving_by_month(x))


@settings(deadline=None, max_examples=100)
@given(choices(), FACTORS)
def test_more_traffic_never_costs_less(choice, factor):
    planned, market, course, rate = choice
    less, more = (life_of(r, planned, market, course=course).values for r in (rate, rate * factor))

    assert math.fsum(fleet.serving_by_month(less)) <= math.fsum(fleet.serving_by_month(more)) * (1 + 1e-9)


@settings(deadline=None, max_examples=100)
@given(choices(), st.booleans())
def test_replicas_are_whole_in_every_hour_of_every_month(choice, follows):
    planned, market, course, rate = choice
    x = life_of(rate, planned, market, course=course).values
    found = fleet.fleet_of({**x, "follows_the_day": 1.0} if follows else x)

    for growth in (0.3, 1.0, 7.7):
        assert all(count == int(count) >= 1 for count in found.replicas(growth))
    assert found.each == int(found.each) >= 1


@settings(deadline=None, max_examples=100)
@given(choices())
def test_a_fleet_that_follows_the_day_never_costs_more(choice):
    planned, market, course, rate = choice
    x = life_of(rate, planned, market, course=course).values

    assert math.fsum(fleet.serving_by_month({**x, "follows_the_day": 1.0})) <= math.fsum(fleet.serving_by_month(x)) * (1 + 1e-9)


@pytest.mark.parametrize(("rates", "factor"), [([1, 1], 1), ([1, 3], 1.5), ([0, 0, 0, 4], 4)])
def test_the_fleet_carries_the_busiest_part_of_the_day(rates, factor):
    flat, uneven = (life_of(1e4, CHATBOT, MARKET, course=of_rates(course, 1.0, "a test")).values for course in ([1, 1], rates))

    assert factor == pytest.approx(fleet.fleet_of(uneven).most / fleet.fleet_of(flat).most)


def test_bursts_take_more_devices():
    assert serving(CHATBOT, 1e3, course=of_rates([1, 1], 4.0, "a test")) > serving(CHATBOT, 1e3, course=of_rates([1, 1], 1.0, ""))


def test_a_fleet_that_scales_to_zero_is_paid_while_requests_come():
    idle = msgspec.structs.replace(CHATBOT, serving=LifeServing(scale_to_zero_after_s=600.0))
    busy_fraction = 1 - math.exp(-1e-3 * 600)

    assert busy_fraction == pytest.approx(serving(idle, 1e-3) / serving(msgspec.structs.replace(idle, serving=None), 1e-3))


def test_work_that_waits_for_its_window_is_paid_for_the_window():
    window = msgspec.structs.replace(CHATBOT, serving=LifeServing(batch_hours_per_day=6.0))

    assert 0.25 == pytest.approx(serving(window, 1e-3) / serving(msgspec.structs.replace(window, serving=None), 1e-3))


def test_operations_of_a_model_without_tokens_are_those_that_are_given():
    vision = msgspec.structs.replace(
        CHATBOT, model=LifeModel(parameters=25e6), request=LifeRequest(flop_per_request=8e9), serving=None, fine_tuning=None
    )
    x = life(vision, 1e5).values

    assert 1e5 * 8e9 / (1979e12 * x["serving_mfu_fraction"]) == pytest.approx(cost.fleet.serving_cost.busy_devices(x))


@pytest.mark.parametrize(("years", "share"), [(None, 1.0), (4.0, 0.5)])
def test_units_in_the_field_are_bought_for_as_long_as_they_last(years, share):
    edge = LifeEdge(edge_units=500, unit_price_usd=250.0, unit_years=years)

    assert 500 * 250 * share == pytest.approx(serving(msgspec.structs.replace(CHATBOT, edge=edge, serving=None)))


FIELD = LifeEdge(edge_units=500, unit_price_usd=250.0)


def in_the_field(edge=FIELD, requests_per_s=10.0, *, serves=None, **changes):
    """What the units of a year cost; `serves` is what one of them was measured to serve."""
    planned = msgspec.structs.replace(
        CHATBOT,
        horizon_months=12.0,
        edge=edge,
        serving=None if serves is None else LifeServing(device_requests_per_s=serves, fleet_utilization_fraction=1.0),
        **changes,
    )
    return serving(planned, requests_per_s)


@pytest.mark.parametrize("growth", [0.0, 0.02, 0.5])
def test_units_are_bought_as_their_number_grows_and_each_is_paid_whole_where_it_lasts_as_long_as_the_model(growth):
    units = math.ceil(500 * (1 + growth) ** 11 * (1 - 1e-9))

    assert units * 250 == pytest.approx(in_the_field(msgspec.structs.replace(FIELD, unit_growth_per_month=growth)))


def test_units_that_outlast_the_model_are_paid_for_the_months_that_they_serve():
    edge = msgspec.structs.replace(FIELD, unit_growth_per_month=0.1, unit_years=5.0)
    served = sum(math.ceil(500 * 1.1**month * (1 - 1e-9)) for month in range(12))

    assert served * 250 / 60 == pytest.approx(in_the_field(edge))


@pytest.mark.parametrize(("growth", "units"), [(0.0, 20), (0.1, math.ceil(10 * 1.1**11 / 0.5)), (-0.1, 20)])
def test_units_that_traffic_counts_grow_with_it_and_stay_when_it_falls(growth, units):
    edge = LifeEdge(unit_price_usd=250.0)

    assert units * 250 == pytest.approx(in_the_field(edge, serves=0.5, growth_per_month=growth))


def test_traffic_that_the_planned_units_cannot_serve_buys_more_of_them():
    assert 500 * 250 == pytest.approx(in_the_field(serves=1.0, requests_per_s=499.5))
    assert 501 * 250 == pytest.approx(in_the_field(serves=1.0, requests_per_s=500.5))


def test_traffic_alone_buys_no_unit_of_a_number_that_was_given():
    assert 500 * 250 == pytest.approx(in_the_field(growth_per_month=0.5))


def test_a_bill_that_was_measured_counts_and_not_the_units_of_the_plan():
    x = life(msgspec.structs.replace(CHATBOT, edge=FIELD, serving=None)).values

    assert (3.0, 3.0) == fleet.usd_per_hour({**x, "serving_usd_per_hour": 3.0})


def test_units_that_nothing_counts_are_refused_by_their_key():
    with pytest.raises(InputError, match=r"lifecycle\.edge\.edge_units: missing"):
        in_the_field(LifeEdge(unit_price_usd=250.0))


def test_the_electricity_of_units_grows_with_them():
    edge = msgspec.structs.replace(FIELD, unit_price_usd=0.0, unit_watts=10.0, unit_usd_per_kwh=0.2, unit_growth_per_month=0.1)
    served = sum(math.ceil(500 * 1.1**month * (1 - 1e-9)) for month in range(12))

    assert served * 730 * 0.01 * 0.2 == pytest.approx(in_the_field(edge))


def test_the_cache_of_the_requests_that_are_held_at_once_takes_devices():
    model = LifeModel(parameters=8e9, kv_bytes_per_token=131072.0)
    alone, many = (
        life(msgspec.structs.replace(CHATBOT, model=model, serving=LifeServing(concurrent_requests=count))).values
        for count in (1.0, 1000.0)
    )
    held = 16e9 + 131072 * 1000 * (1155 + 211)

    assert 1 == fleet.fleet_of(alone).each
    assert math.ceil(held / (80e9 * many["usable_memory_fraction"])) == fleet.fleet_of(many).each


def test_more_bytes_than_their_devices_hold_are_refused():
    planned = msgspec.structs.replace(CHATBOT, model=LifeModel(parameters=7e10), serving=LifeServing(devices_per_replica=1))

    with pytest.raises(InputError, match="140 GB do not fit on 1 devices of 80 GB"):
        life(planned)


@pytest.mark.parametrize("given", [2, 3, 4, 8])
def test_a_count_of_devices_is_kept_where_nothing_changes(given):
    planned = msgspec.structs.replace(CHATBOT, model=LifeModel(parameters=7e10), serving=LifeServing(devices_per_replica=given))

    assert given == fleet.fleet_of(life(planned).values).each
