"""The lifetime cost: lines by their formulas, shares that add up, dearer serving counts as serving, unknowns stay unknown."""

import math
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.classify import classify_workload
from advisor.decide.lifetime import cost, fleet, serving_cost, training_cost
from advisor.decide.lifetime.cost import KINDS, lifetime_costs
from advisor.decide.lifetime.inputs import life_of
from advisor.decide.verdict.facts import life_facts
from advisor.decide.verdict.rules import FACTS, Rulebook, check_facts
from advisor.files.market import market_of
from advisor.files.rulebook import rules_with
from advisor.schema.record import Estimate
from advisor.schema.workload import (
    Lifecycle,
    LifeData,
    LifeFineTuning,
    LifeModel,
    LifeOptions,
    LifePreTraining,
    LifeRequest,
    LifeServing,
    LifeSituation,
    LifeTeam,
)
from tests.lives import API, CHATBOT, MARKET, choices, life, plans

RULES = Rulebook(rules_with(None, now="2026-11-28T08:00:00+00:00"))
amounts = st.floats(0, 1e6)
lifecycles = st.builds(
    Lifecycle,
    horizon_months=st.floats(0.5, 60),
    growth_per_month=st.floats(-0.5, 0.2),
    fine_tunings_per_year=st.floats(0, 52),
    fine_tuning_usd=amounts,
    labels_usd=amounts,
    pre_training_usd=st.none() | amounts,
)
KNOWN = Lifecycle(fine_tunings_per_year=4.0, fine_tuning_usd=500.0, labels_usd=100.0)


def serving(value, spread=0.1):
    return Estimate(value=value, low=value * (1 - spread), high=value * (1 + spread), basis="simulated", source="a test")


def costs(usd_per_hour, planned, spread=0.1):
    found = life_of(1.0, planned, MARKET, measured=serving(usd_per_hour, spread))
    return lifetime_costs(found.figures, found.assumed)


def line(found, what):
    return next(entry for entry in found.lines if entry.what == what)


@given(st.floats(0.01, 100), lifecycles)
def test_shares_add_up_to_one(usd_per_hour, planned):
    assert 1 == pytest.approx(sum(share.value for share in costs(usd_per_hour, planned).shares.values()))


@given(plans())
def test_every_line_and_share_lies_within_its_interval(planned):
    found = lifetime_costs(life(planned).figures, life(planned).assumed)

    assert tuple(found.shares) == KINDS
    assert all(0 <= share.low <= share.value <= share.high <= 1 for share in found.shares.values())
    assert all(0 <= entry.usd.low <= entry.usd.value <= entry.usd.high for entry in found.lines if entry.usd is not None)


@settings(deadline=None, max_examples=60)
@given(choices())
def test_the_whole_lies_at_neither_end_below_a_line_with_what_nothing_moves(choice):
    planned, market, course, rate = choice
    planned = msgspec.structs.replace(planned, labels_usd=1000.0, fine_tunings_per_year=0.0)
    found = lifetime_costs(*life_of(rate, planned, market, course=course)[:2])

    known = [entry.usd for entry in found.lines if entry.usd is not None]
    fixed = math.fsum(usd.value for usd in known if usd.low == usd.high)
    moving = [usd for usd in known if usd.low < usd.high]
    assert 1000.0 <= fixed
    assert all((usd.low + fixed) * (1 - 1e-9) <= found.total_usd.low for usd in moving)
    assert all((usd.high + fixed) * (1 - 1e-9) <= found.total_usd.high for usd in moving)


def test_no_less_is_paid_than_one_replica_costs():
    """Three inputs each bring two replicas down to one by themselves: together they do not bring them down to less."""
    planned = Lifecycle(
        fine_tunings_per_year=0.0,
        labels_usd=0.0,
        model=LifeModel(parameters=400e9, active_parameters=100e9, bytes_per_parameter=1.0),
        request=LifeRequest(input_tokens=3000.0, output_tokens=500.0),
        serving=LifeServing(device="h100_sxm", device_usd_per_hour=3.99, minimum_replicas=1),
    )
    found = life_of(3.0, planned, market_of(planned))
    paid = line(lifetime_costs(found.figures, found.assumed), "serving").usd

    memory = found.figures["weights_memory_fraction"]
    fewest = min(
        fleet.fleet_of({**found.values, "weights_memory_fraction": end}).each for end in (memory.low, memory.value, memory.high)
    )
    assert fewest * 3.99 * 8760 * (1 - 1e-9) <= paid.low < paid.value


@given(st.floats(0.01, 100), st.floats(1, 100), lifecycles)
def test_dearer_serving_never_moves_the_shares_toward_training(usd_per_hour, factor, planned):
    cheap, dear = costs(usd_per_hour, planned).shares, costs(usd_per_hour * factor, planned).shares

    assert cheap["inference"].value <= dear["inference"].value
    assert all(cheap[kind].value >= dear[kind].value for kind in KINDS[1:])


@given(plans())
def test_a_share_is_the_lines_of_its_kind_over_all_lines(planned):
    found = lifetime_costs(life(planned).figures, life(planned).assumed)
    whole = sum(entry.usd.value for entry in found.lines if entry.usd is not None)

    for kind in KINDS:
        part = sum(entry.usd.value for entry in found.lines if entry.usd is not None and entry.kind == kind)
        assert part / whole == pytest.approx(found.shares[kind].value)
    assert whole == pytest.approx(found.total_usd.value)


@pytest.mark.parametrize(
    ("horizon_months", "growth_per_month", "months_of_today"),
    [(12, 0.0, 12), (2.5, 0.0, 2.5), (3, 1.0, 1 + 2 + 4), (2.5, 1.0, 1 + 2 + 0.5 * 4), (12, -0.5, 12)],
)
def test_serving_grows_with_traffic_but_never_falls_below_today(horizon_months, growth_per_month, months_of_today):
    planned = msgspec.structs.replace(KNOWN, horizon_months=horizon_months, growth_per_month=growth_per_month)

    assert 2.0 * 730 * months_of_today == pytest.approx(line(costs(2.0, planned), "serving").usd.value)


def test_prices_that_fall_and_money_that_is_worth_less_later_make_later_months_count_less():
    cheaper = msgspec.structs.replace(KNOWN, horizon_months=24.0, hardware_price_decline_per_year=0.5, discount_per_year=0.1)

    expected = 730 * sum(0.5 ** (month / 12) * 1.1 ** (-month / 12) for month in range(24))

    assert expected == pytest.approx(line(costs(1.0, cheaper), "serving").usd.value)


def test_training_is_its_runs_over_the_horizon_with_labels_and_pre_training():
    planned = msgspec.structs.replace(KNOWN, horizon_months=18.0, pre_training_usd=7.0)

    found = costs(1.0, planned)

    assert line(found, "fine-tuning runs").usd.value == 500 * 4 * 1.5
    assert (line(found, "labels").usd.value, line(found, "pre-training").usd.value) == (100, 7)


@pytest.mark.parametrize("unknown", ["fine_tuning_usd", "fine_tunings_per_year", "labels_usd"])
def test_an_unknown_part_leaves_the_shares_unknown_and_says_what_to_give(unknown):
    found = costs(1.0, msgspec.structs.replace(KNOWN, **{unknown: None}))

    assert (found.shares, found.total_usd) == ({}, None)
    assert line(found, "serving").usd.value == 730 * 12
    assert any(f"lifecycle.{unknown}" in entry.because for entry in found.lines if entry.usd is None)


@pytest.mark.parametrize(
    "free", [{"fine_tuning_usd": 0.0, "fine_tunings_per_year": None}, {"fine_tuning_usd": None, "fine_tunings_per_year": 0.0}]
)
def test_runs_that_never_happen_or_are_free_need_no_other_figure(free):
    assert line(costs(1.0, msgspec.structs.replace(KNOWN, **free)), "fine-tuning runs").usd.value == 0


def test_without_any_training_serving_is_all_there_is():
    shares = costs(1.0, Lifecycle(fine_tunings_per_year=0.0, labels_usd=0.0), spread=0.9).shares

    assert [(share.low, share.value, share.high) for share in shares.values()] == [(1, 1, 1), *[(0, 0, 0)] * 3]


def test_a_line_says_whether_an_input_was_assumed_and_by_which_formula_it_comes_about():
    planned, given_all = lifetime_costs(life(CHATBOT).figures, life(CHATBOT).assumed), costs(1.0, KNOWN)

    assert line(planned, "serving").usd.basis == "assumed" and "serving_mfu_fraction" in line(planned, "serving").usd.source
    assert line(given_all, "serving").usd.basis == "projected" and "730 h" in line(given_all, "serving").usd.source


# --- formulas ------------------------------------------------------------------------------------------------------------------


def test_serving_takes_two_operations_per_parameter_and_token_at_the_reached_part_of_the_peak():
    x = life(CHATBOT).values | {"minimum_replicas": 0.001, "agent_multiplier": 4.0, "reasoning_multiplier": 2.0}
    operations = 2 * 8e9 * (1155 + 2 * 211) * 4

    busy = x["requests_per_s"] * operations / (1979e12 * x["serving_mfu_fraction"] * 0.5)

    assert busy == pytest.approx(serving_cost.demand_devices(x))
    assert math.ceil(busy) * 3.99 == pytest.approx(max(fleet.usd_per_hour(x)))


@pytest.mark.parametrize(("replicas", "devices"), [(1, 1), (3, 3)])
def test_serving_never_costs_less_than_what_is_always_on(replicas, devices):
    x = life(CHATBOT).values | {"requests_per_s": 1e-6, "minimum_replicas": float(replicas)}

    assert devices * 3.99 == pytest.approx(max(fleet.usd_per_hour(x)))


@pytest.mark.parametrize(("parameters", "bytes_each", "devices"), [(8e9, 2, 1), (70e9, 2, 3), (70e9, 1, 2), (32e9, 2, 1)])
def test_a_replica_has_as_many_devices_as_hold_its_weights(parameters, bytes_each, devices):
    x = life(CHATBOT).values | {"parameters": parameters, "bytes_per_parameter": float(bytes_each)}

    assert devices == serving_cost.devices_per_replica(x)


def test_tokens_of_an_api_are_paid_as_the_price_list_says_and_without_a_floor():
    x = {
        "api_usd_per_input_token": 1e-6,
        "api_usd_per_output_token": 4e-6,
        "input_tokens": 1000.0,
        "output_tokens": 100.0,
        "reasoning_multiplier": 2.0,
        "agent_multiplier": 3.0,
        "requests_per_s": 2.0,
    }

    assert (0.0, pytest.approx((1e-3 + 8e-4) * 3 * 2 * 3600)) == fleet.usd_per_hour(x)


@pytest.mark.parametrize(("method", "operations", "bytes_each"), [("full", 6, 16), ("lora", 4, 2), ("qlora", 4, 0.55)])
def test_fine_tuning_takes_operations_and_memory_by_its_method(method, operations, bytes_each):
    tuned = msgspec.structs.replace(CHATBOT.fine_tuning, method=method)
    x = life(msgspec.structs.replace(CHATBOT, fine_tuning=tuned)).values

    assert training_cost.release_device_hours(x) == pytest.approx(operations * 8e9 * 1e7 / (989.4e12 * 0.4) / 3600 * 3)
    assert training_cost.fine_tuning_devices(x) == -(-8e9 * bytes_each // (80e9 * 0.8))


def test_pre_training_takes_six_operations_per_parameter_and_token_for_every_run_on_the_way():
    x = life(CHATBOT).values | {"pre_training_tokens": 1e12, "pre_training_experiments": 5.0}

    assert 6 * 8e9 * 1e12 * 5 / (989.4e12 * 0.4) / 3600 * 3.99 == pytest.approx(training_cost.pre_training_usd(x))


def test_one_request_alone_is_bound_by_reading_the_weights_for_every_token():
    x = life(CHATBOT).values

    assert 2 * 8e9 * 1155 / 989.4e12 + 211 * 16e9 / 3.35e12 == pytest.approx(serving_cost.fastest_answer_s(x))


def test_the_facts_of_a_life_are_facts_that_rules_may_ask_for_and_of_the_kind_that_these_expect():
    for planned in (CHATBOT, Lifecycle()):
        there = life(planned)
        facts = life_facts(there.values, cost.costs(there.values), there.flags)

        assert facts.keys() <= FACTS.keys()
        check_facts({name: value for name, value in facts.items() if value is not None})


def test_what_is_not_written_is_unknown_to_rules():
    x = life(Lifecycle()).values

    facts = life_facts(x, cost.costs(x), {})

    assert [None] * 4 == [facts[name] for name in ("inference_share", "quality_gap", "prompting_exhausted", "floor_load")]


def test_a_line_of_fine_tuning_says_how_long_a_release_takes_and_what_holds_it():
    tuned = msgspec.structs.replace(CHATBOT.fine_tuning, method="full")
    there = life(msgspec.structs.replace(CHATBOT, fine_tuning=tuned))

    formula = line(lifetime_costs(there.figures, there.assumed), "fine-tuning runs").formula

    assert "a release takes 1.01 device hours, on 2 devices or more for 16 bytes a parameter" in formula


@pytest.mark.parametrize(("rate", "usd"), [(0.1, 2), (4.0, 2), (4.1, 4), (9.9, 6), (10.0, 6), (12.0, 6), (12.1, 8), (40.0, 20)])
def test_traffic_other_than_measured_takes_as_many_replicas_as_carry_it(rate, usd):
    x = {
        "serving_usd_per_hour": 6.0,
        "measured_at_requests_per_s": 10.0,
        "replica_usd_per_hour": 2.0,
        "replica_requests_per_s": 4.0,
    }

    assert usd == max(fleet.usd_per_hour({**x, "requests_per_s": rate}))


@pytest.mark.parametrize(
    ("growth", "usd"),
    [(0.5, 6), (1.0, 6), (1.19, 6), (1.21, 8), (4.0, 20)],
    ids=["less", "today", "headroom", "one more", "many"],
)
def test_a_known_bill_grows_by_whole_replicas_once_the_headroom_is_gone(growth, usd):
    bill = {
        "requests_per_s": 10.0,
        "serving_usd_per_hour": 6.0,
        "measured_at_requests_per_s": 10.0,
        "replica_usd_per_hour": 2.0,
        "replica_requests_per_s": 4.0,
    }

    assert usd == fleet.bill_usd_per_hour(bill, growth)


def test_replicas_that_carry_just_the_traffic_of_today_are_not_one_more_by_rounding():
    for replicas in range(1, 50):
        bill = {
            "requests_per_s": 0.1,
            "serving_usd_per_hour": float(replicas),
            "measured_at_requests_per_s": 0.1,
            "replica_usd_per_hour": 1.0,
            "replica_requests_per_s": 0.1 / replicas,
        }

        assert replicas == fleet.bill_usd_per_hour(bill)


# Lives of which anything may be left out.
PARTS = {
    "fine_tunings_per_year": st.none() | st.just(2.0),
    "fine_tuning_usd": st.none() | st.just(100.0),
    "labels_usd": st.none() | st.just(100.0),
    "model": st.none() | st.just(LifeModel(parameters=8e9)),
    "request": st.none()
    | st.builds(LifeRequest, input_tokens=st.none() | st.just(1000.0))
    | st.builds(LifeRequest, flop_per_request=st.just(1e9)),
    "serving": st.none()
    | st.builds(LifeServing, device_requests_per_s=st.none() | st.just(3.0))
    | st.builds(LifeServing, device_tokens_per_s=st.just(3e3))
    | st.builds(LifeServing, api_model=st.just("api")),
    "fine_tuning": st.none() | st.builds(LifeFineTuning, fine_tuning_tokens=st.just(1e7)),
    "pre_training": st.none() | st.builds(LifePreTraining, pre_training_tokens=st.just(1e9)),
    "data": st.none()
    | st.builds(
        LifeData,
        labels_to_buy=st.sampled_from([0.0, 100.0]),
        labels_per_release=st.none() | st.just(10.0),
        usd_per_label=st.none() | st.just(1.0),
        validation_usd_per_release=st.none() | st.just(1e3),
    ),
    "situation": st.none() | st.just(LifeSituation(data_must_stay=True)),
    "options": st.just(LifeOptions(student_parameters=1e9, alternative_api="api")),
}


def has(planned, key):
    """Return whether the workload file gives a key already."""
    for name in key.split(".")[1:]:
        planned = getattr(planned, name) if planned is not None else None
    return planned not in (None, ())


@given(st.fixed_dictionaries(PARTS).map(lambda parts: Lifecycle(**parts)))
def test_what_is_asked_for_is_not_there_already(planned):
    uses_api = planned.serving is not None and planned.serving.api_model is not None
    market = msgspec.structs.replace(MARKET, api=API if uses_api else None, alternative_api=API)
    found = classify_workload("a test", 2.0, planned, market, RULES, created="2026-11-28T08:00:00+00:00")

    asked = [
        *(entry.because for entry in found.verdict.lines if entry.usd is None),
        *(entry.reason for entry in found.outlook.not_judged),
        *([found.verdict.because] if found.verdict.dominated_by is None else []),
        *([found.energy.because] if found.energy.kwh is None else []),
        found.headline,
    ]

    keys = {
        key for text in asked if "give " in text for key in re.findall(r"lifecycle[.][a-z_.]*[a-z]", text.split("give ", 1)[1])
    }
    assert not [key for key in keys if has(planned, key)]
    assert all(re.search(r"give (lifecycle|another)", entry.because) for entry in found.verdict.lines if entry.usd is None)


@pytest.mark.parametrize(
    ("what", "left_out", "asked"),
    [
        (
            "fine-tuning runs",
            {"model": None, "fine_tuning": LifeFineTuning(fine_tuning_tokens=1e7)},
            "lifecycle.model.parameters or lifecycle.fine_tuning_usd",
        ),
        ("fine-tuning runs", {"fine_tuning": None}, "lifecycle.fine_tuning_usd or lifecycle.fine_tuning"),
        ("labels", {"data": LifeData(labels_to_buy=10.0)}, "lifecycle.data.usd_per_label"),
        (
            "validation",
            {"data": LifeData(validation_usd_per_release=10.0), "fine_tunings_per_year": None},
            "lifecycle.fine_tunings_per_year",
        ),
        ("serving", {"request": None}, "lifecycle.request.input_tokens, or lifecycle.serving.serving_usd_per_hour"),
    ],
)
def test_a_line_asks_for_just_what_is_missing(what, left_out, asked):
    found = life(msgspec.structs.replace(CHATBOT, **left_out))

    assert f"give {asked}" == line(lifetime_costs(found.figures, found.assumed), what).because.split(": ", 1)[1]


@pytest.mark.parametrize("days", [None, 0.0, 3.0])
def test_work_of_which_nobody_said_how_much_it_is_is_not_counted_and_none_at_all_costs_nothing(days):
    planned = msgspec.structs.replace(
        CHATBOT,
        fine_tuning=LifeFineTuning(fine_tuning_tokens=1e7, engineer_days_per_release=days),
        pre_training=LifePreTraining(pre_training_tokens=1e9, pre_training_engineer_days=days),
        team=LifeTeam(engineer_usd_per_day=1000.0, serving_engineer_days_per_month=days, migration_engineer_days=days),
    )

    found = lifetime_costs(life(planned).figures, life(planned).assumed)

    for what, times in {
        "engineers who fine-tune": 4,
        "engineers who pre-train": 1,
        "engineers who keep it running": 24,
        "migration": 1,
    }.items():
        entry = line(found, what)
        assert (None if days is None else pytest.approx(days * 1000 * times)) == (entry.usd.value if entry.usd else None)
        assert entry.because.startswith("not counted: give lifecycle.") == (days is None)
