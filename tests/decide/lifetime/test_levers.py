"""Levers over random lives: nothing is saved that is not paid, nothing is advised that does not fit, nothing is rented that is owned."""

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor import units
from advisor.decide.lifetime import cost, payback, serving_cost
from advisor.decide.lifetime.inputs import life_of
from advisor.decide.lifetime.levers import effort_days, evaluated, once_usd
from advisor.schema.workload import LifeModel, LifeOptions, LifeOwned, LifeServing, LifeSituation, LifeTeam
from tests.lives import API, CHATBOT, MARKET, choices, device, life

RENTED = {"reserve", "spot", "autoscale", "other-device"}
OWNED = LifeOwned(device_price_usd=3e4, owned_years=4.0, usd_per_kwh=0.2)


def moves_of(planned, market=MARKET, requests_per_s=10.0):
    there = life(planned, requests_per_s, market)
    moves, left = evaluated(there, planned, market)
    return {move.lever.id: move for move in moves}, there, {entry.what: entry.reason for entry in left}


@settings(deadline=None, max_examples=80)
@given(choices())
def test_a_saving_lies_within_what_its_lines_cost_before_and_after(choice):
    planned, market, course, rate = choice
    there = life_of(rate, planned, market, course=course)
    lines = {entry.what: entry.usd for entry in cost.lifetime_costs(there.figures, there.assumed).lines}

    for move in evaluated(there, planned, market)[0]:
        gain = payback.gain_of(move, there.figures)
        paid = [lines[name] for name in move.lines if lines[name] is not None]
        assert gain.saving_usd.value <= math.fsum(usd.value for usd in paid) * (1 + 1e-9)
        assert gain.saving_usd.high <= math.fsum(usd.high for usd in paid) * (1 + 1e-9)
        assert gain.saving_usd.low <= gain.saving_usd.value <= gain.saving_usd.high


@settings(deadline=None, max_examples=80)
@given(choices())
def test_no_interval_of_a_lever_that_only_removes_work_reaches_below_nothing(choice):
    planned, market, course, rate = choice
    there = life_of(rate, planned, market, course=course)

    for move in evaluated(there, planned, market)[0]:
        if move.lever.id in ("prefix-cache", "autoscale", "spot"):
            assert payback.gain_of(move, there.figures).saving_usd.low >= -1e-9 * abs(
                payback.gain_of(move, there.figures).saving_usd.high
            )


@settings(deadline=None, max_examples=80)
@given(choices())
def test_nothing_advised_exceeds_the_memory_of_its_devices(choice):
    planned, market, course, rate = choice
    there = life_of(rate, planned, market, course=course)

    for move in evaluated(there, planned, market)[0]:
        after = move.changed(there.values)
        if not serving_cost.uses_api(after):
            each = serving_cost.devices_per_replica(after)
            assert serving_cost.weight_bytes(after) + serving_cost.cache_bytes(after) <= each * after["device_memory_bytes"]


@settings(deadline=None, max_examples=80)
@given(choices())
def test_what_is_owned_is_neither_rented_nor_reserved(choice):
    planned, market, course, rate = choice
    there = life_of(rate, planned, market, course=course)
    ids = {move.lever.id for move in evaluated(there, planned, market)[0]}

    assert planned.owned is None or not ids & RENTED
    assert planned.serving.api_model is None or not ids & (RENTED | {"quantize", "distil", "fine-tune-small"})
    assert planned.horizon_months >= 12 or "reserve" not in ids


@settings(deadline=None, max_examples=60)
@given(choices())
def test_a_device_that_was_named_is_evaluated_or_has_a_reason(choice):
    planned, market, course, rate = choice
    there = life_of(rate, planned, market, course=course)
    moves, left = evaluated(there, planned, market)

    named = {entry.what for entry in left}
    if planned.owned is None and planned.serving.api_model is None:
        told = next((move.because for move in moves if move.lever.id == "other-device"), "")
        assert all(other.id in told or f"Move to another device: {other.id}" in named for other in market.others)


def test_a_device_without_a_price_is_not_judged_with_the_key_of_its_price():
    unpriced = msgspec.structs.replace(device("tpu_v6e", 1.0), usd_per_hour=None)

    moves, _, left = moves_of(CHATBOT, msgspec.structs.replace(MARKET, others=(unpriced, device("cheap", 0.4))))

    assert "other-device" in moves
    assert "hardware.price_usd_per_hour.tpu_v6e" in left["Move to another device: tpu_v6e"]


def test_a_model_of_a_regulated_product_is_validated_again_with_each_change_of_it():
    planned = msgspec.structs.replace(
        CHATBOT,
        situation=LifeSituation(is_regulated=True),
        data=msgspec.structs.replace(CHATBOT.data, validation_usd_per_release=3e4),
    )

    regulated, there, _ = moves_of(planned)
    free, _, _ = moves_of(msgspec.structs.replace(planned, situation=None))

    assert 3e4 == pytest.approx(once_usd(regulated["quantize"], there.values)[0] - once_usd(free["quantize"], there.values)[0])
    assert once_usd(regulated["reserve"], there.values) == once_usd(free["reserve"], there.values)


def test_a_validation_of_which_nobody_said_what_it_costs_is_named():
    planned = msgspec.structs.replace(CHATBOT, situation=LifeSituation(is_regulated=True))

    assert "lifecycle.data.validation_usd_per_release" in moves_of(planned)[0]["quantize"].because


def test_work_on_a_fleet_takes_more_than_work_on_one_server():
    small, there, _ = moves_of(CHATBOT, requests_per_s=0.01)
    large, fleet_, _ = moves_of(CHATBOT, requests_per_s=1e5)

    assert once_usd(small["quantize"], there.values)[0] < once_usd(large["quantize"], fleet_.values)[0]


@settings(deadline=None, max_examples=30)
@given(st.floats(0.0, 1.0), st.floats(0.1, 100.0), st.sampled_from([12.0, 24.0, 30.0]))
def test_reserving_what_is_always_on_takes_no_more_work_for_devices_that_come_later(growth, requests_per_s, horizon):
    options = LifeOptions(spot_discount=0.5)
    steady = msgspec.structs.replace(CHATBOT, horizon_months=horizon, options=options)

    now, today, _ = moves_of(steady, requests_per_s=requests_per_s)
    later, grown, _ = moves_of(msgspec.structs.replace(steady, growth_per_month=growth), requests_per_s=requests_per_s)

    assert effort_days(later["reserve"], grown.values).value == effort_days(now["reserve"], today.values).value
    assert effort_days(later["spot"], grown.values).value <= effort_days(later["quantize"], grown.values).value


def test_reserving_a_second_replica_takes_more_work_than_one():
    one, alone, _ = moves_of(msgspec.structs.replace(CHATBOT, serving=LifeServing(minimum_replicas=1)), requests_per_s=0.01)
    many, fleet_, _ = moves_of(msgspec.structs.replace(CHATBOT, serving=LifeServing(minimum_replicas=1)), requests_per_s=1e4)

    assert effort_days(one["reserve"], alone.values).value < effort_days(many["reserve"], fleet_.values).value


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([0.0, 2.0]), st.sampled_from([0.0, 5000.0]), st.sampled_from([0.0, 4.0]))
def test_what_falls_away_with_an_api_beside_serving_is_named_with_its_sum(releases, labels, days):
    planned = msgspec.structs.replace(
        CHATBOT,
        fine_tunings_per_year=releases,
        data=msgspec.structs.replace(CHATBOT.data, labels_to_buy=labels),
        team=LifeTeam(serving_engineer_days_per_month=days),
        options=LifeOptions(alternative_api="api"),
    )
    moves, there, _ = moves_of(planned, msgspec.structs.replace(MARKET, alternative_api=API))

    move = moves["to-api"]
    beside = (
        payback.gain_of(move, there.figures).saving_usd.value
        - payback.gain_of(move._replace(lines=("serving",)), there.figures).saving_usd.value
    )

    assert (f"{units.usd(beside)} of " in move.because) == ("fall away" in move.because) == (beside > 0)
    assert ("labels" in move.because) == (labels > 0) and ("engineers who keep it running" in move.because) == (days > 0)


def test_labels_of_a_student_cost_what_a_label_costs():
    options = LifeOptions(student_parameters=1e9, student_labels=5e5, student_tokens=0.0)
    with_price = msgspec.structs.replace(CHATBOT, options=options)
    without = msgspec.structs.replace(with_price, data=None, labels_usd=5000.0)

    moves, there, _ = moves_of(with_price)

    assert 5e5 == moves["distil"].beside(there.values)
    assert "usd_per_label" in moves_of(without)[2]["Distil into a smaller model"]


def test_an_api_credits_the_training_that_it_makes_needless_and_those_who_operate():
    team = msgspec.structs.replace(CHATBOT, team=None)
    moves, there, _ = moves_of(team, msgspec.structs.replace(MARKET, alternative_api=API))
    lines = {entry.what: entry.usd for entry in cost.lifetime_costs(there.figures, there.assumed).lines}
    after = moves["to-api"].changed(there.values)

    saved = math.fsum(payback.saved_by_month(moves["to-api"], there.values))
    serving = lines["serving"].value - cost.costs(after)["serving"]
    assert lines["labels"].value + lines["fine-tuning runs"].value == pytest.approx(saved - serving)


def test_a_model_that_its_vendor_retires_is_flagged():
    gone = msgspec.structs.replace(API, retired_on="2027-01-31")
    to_api = moves_of(CHATBOT, msgspec.structs.replace(MARKET, alternative_api=gone))[0]["to-api"]
    home = moves_of(
        msgspec.structs.replace(CHATBOT, serving=LifeServing(api_model="api")), msgspec.structs.replace(MARKET, api=gone)
    )[0]["self-host"]

    assert "2027-01-31" in to_api.because and "2027-01-31" in home.because


def test_a_day_that_is_flat_or_not_known_is_not_followed():
    reasons = moves_of(CHATBOT)[2]

    assert "give traffic.diurnal or traffic.trace" in reasons["Let the fleet follow the traffic"]


@given(st.sampled_from(["reserve", "spot"]))
def test_owned_devices_have_the_reason(name):
    planned = msgspec.structs.replace(CHATBOT, owned=OWNED, options=LifeOptions(spot_discount=0.5))
    title = next(lever.title for lever in MARKET.model.levers if lever.id == name)

    assert "the devices are owned, not rented" == moves_of(planned)[2][title]


@pytest.mark.parametrize(("in_a_machine", "is_evaluated"), [(1, False), (8, False), (12, True), (72, True)])
def test_a_replica_may_take_as_many_devices_as_the_largest_machine_for_rent_holds(in_a_machine, is_evaluated):
    """70 B parameters of 2 bytes take 12 devices of 16 GB at 0.8 of their memory."""
    small = msgspec.structs.replace(device("small", 0.1, memory_bytes=16e9), in_a_machine=in_a_machine)
    planned = msgspec.structs.replace(CHATBOT, model=LifeModel(parameters=7e10), serving=LifeServing())

    moves, _, left = moves_of(planned, msgspec.structs.replace(MARKET, others=(small,)))

    assert is_evaluated == ("other-device" in moves)
    assert is_evaluated != ("Move to another device: small" in left)
