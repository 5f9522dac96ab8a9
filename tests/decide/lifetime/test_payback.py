"""Levers: what they save beside what they cost, from when and from which traffic on they pay, and when to do nothing."""

import math
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor import units
from advisor.decide.classify import classify_workload
from advisor.decide.lifetime import opportunities, payback
from advisor.decide.lifetime.horizon import of_rates
from advisor.decide.lifetime.inputs import Device, TokenPrices, life_of
from advisor.decide.lifetime.levers import effort_days, evaluated, once_usd
from advisor.decide.verdict.rules import Rulebook
from advisor.files.rulebook import rules_with
from advisor.schema.catalog import Constant
from advisor.schema.record import Source
from advisor.schema.workload import Lifecycle, LifeModel, LifeOptions, LifeRequest, LifeServing, LifeSituation
from tests.lives import CHATBOT, MARKET, device, life, plans

NOW = "2026-11-22T08:00:00+00:00"
RULES = Rulebook(rules_with(None, now=NOW))
TODAY = Source(what="a test", date="2026-11-22")
API = TokenPrices(id="api", input_usd=4e-7, output_usd=1.6e-6, cached_usd=1e-7, source="a test", date="2026-07-24")
CHEAP = Device(
    id="cheap",
    usd_per_hour=Constant(value=0.4, low=0.4, high=0.4, source=TODAY),
    serving_flop_per_s=100e12,
    training_flop_per_s=100e12,
    memory_bytes=24e9,
    bandwidth_bytes_per_s=3e11,
    source="a test",
)
EVERYTHING = msgspec.structs.replace(
    CHATBOT,
    request=msgspec.structs.replace(CHATBOT.request, shared_prefix_tokens=600.0),
    options=LifeOptions(
        student_parameters=1e9, student_input_tokens=300.0, student_tokens=1e8, student_labels=1000.0, spot_discount=0.6
    ),
)
WITH_ALL = msgspec.structs.replace(MARKET, others=(CHEAP,), alternative_api=API)


DAY = of_rates([1.0, 1.0, 3.0, 1.0], 1.0, "a test")


def move_of(name, planned=EVERYTHING, market=WITH_ALL, requests_per_s=100.0):
    there = life_of(requests_per_s, planned, market, course=DAY)
    moves, left = evaluated(there, planned, market)
    return next((move for move in moves if move.lever.id == name), None), there, left


def classified(planned, requests_per_s, market=MARKET):
    return classify_workload("a test", requests_per_s, planned, market, RULES, created=NOW)


LEVERS = ["quantize", "prefix-cache", "autoscale", "reserve", "spot", "other-device", "to-api", "distil", "fine-tune-small"]


@pytest.mark.parametrize("name", [name for name in LEVERS if name not in ("quantize", "reserve")])
def test_a_lever_s_traffic_of_break_even_is_where_its_saving_is_what_it_costs(name):
    move, there, _ = move_of(name)
    x = there.values
    gain = payback.gain_of(move, there.figures)

    even = payback.break_even(move, gain, x, created=NOW)

    assert even.requests_per_s is not None
    near = [{**x, "requests_per_s": even.requests_per_s * factor} for factor in (1 - 1e-6, 1 + 1e-6)]
    net = [math.fsum(payback.saved_by_month(move, there_)) - once_usd(move, there_)[0] for there_ in near]
    assert net[0] * net[1] <= 0
    assert (even.pays == "above") == (net[1] >= net[0])


@pytest.mark.parametrize(("name", "pays"), [("quantize", False), ("reserve", True)])
def test_a_lever_that_pays_at_every_traffic_or_at_none_has_no_break_even_of_traffic(name, pays):
    move, there, _ = move_of(name)

    even = payback.break_even(move, payback.gain_of(move, there.figures), there.values, created=NOW)

    assert (None, None, pays) == (even.requests_per_s, even.pays, even.months is not None)


@given(st.floats(1, 1e6), st.lists(st.floats(0, 1e5), min_size=1, max_size=40))
def test_the_month_of_break_even_is_when_the_savings_reach_the_cost(once, by_month):
    months = payback.months_until(once, by_month, len(by_month))

    if months is None:
        assert math.fsum(by_month) < once * (1 + 1e-12)
    else:
        whole = int(months)
        saved = math.fsum(by_month[:whole]) + (by_month[whole] * (months - whole) if whole < len(by_month) else 0.0)
        assert once == pytest.approx(saved)


@pytest.mark.parametrize("name", LEVERS)
def test_a_gain_lies_within_its_interval_and_effort_is_paid_for(name):
    move, there, _ = move_of(name)

    gain = payback.gain_of(move, there.figures)

    assert gain.saving_usd.low <= gain.saving_usd.value <= gain.saving_usd.high
    assert 0 < gain.once_usd.low <= gain.once_usd.value <= gain.once_usd.high
    beside = move.beside(there.values) if move.beside is not None else 0.0
    work = effort_days(move, there.values).value * there.values["engineer_usd_per_day"]
    assert once_usd(move, there.values)[0] == pytest.approx(work + beside)


def test_an_api_pays_below_and_own_devices_above_the_same_traffic():
    api = msgspec.structs.replace(EVERYTHING, serving=LifeServing(minimum_replicas=2, api_model="api"))
    to_api, there, _ = move_of("to-api", requests_per_s=0.01)
    home, from_api, _ = move_of("self-host", planned=api, market=msgspec.structs.replace(MARKET, api=API), requests_per_s=0.01)

    evens = [
        payback.break_even(move, payback.gain_of(move, who.figures), who.values, created=NOW)
        for move, who in ((to_api, there), (home, from_api))
    ]

    assert ["below", "above"] == [even.pays for even in evens]
    assert evens[0].requests_per_s < evens[1].requests_per_s


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        ({"situation": LifeSituation(data_must_stay=True)}, "to-api", "may not leave the company"),
        ({"horizon_months": 6.0}, "reserve", "longer than"),
        ({"options": None}, "spot", "give lifecycle.options.spot_discount"),
        ({"options": None}, "distil", "give lifecycle.options.student_parameters"),
        ({"request": CHATBOT.request}, "prefix-cache", "give lifecycle.request.shared_prefix_tokens"),
        ({"model": None}, "quantize", "give lifecycle.model"),
    ],
)
def test_what_cannot_be_judged_says_what_is_missing(change, name, reason):
    planned = msgspec.structs.replace(EVERYTHING, **change)

    move, _, left = move_of(name, planned=planned)

    title = next(lever.title for lever in MARKET.model.levers if lever.id == name)
    assert move is None
    assert any(entry.what == title and reason in entry.reason for entry in left)


def test_speculative_decoding_is_not_sold_as_a_saving():
    move, _, left = move_of("speculate")

    assert move is None and any("no saving is claimed" in entry.reason for entry in left)


@settings(deadline=None, max_examples=20)
@given(plans(), st.floats(0.01, 1000))
def test_what_pays_saves_more_than_it_costs_and_nothing_else_is_told_to_pay(planned, requests_per_s):
    outlook = classified(planned, requests_per_s).outlook

    horizon_years = planned.horizon_months / 12
    for entry in outlook.opportunities:
        assert entry.pays == (entry.saving_usd_per_year.value * horizon_years > entry.once_usd.value)
        assert not entry.pays or entry.payback_months is not None
    assert outlook.change_nothing == (not any(entry.pays for entry in outlook.opportunities))
    assert ("Change nothing" in outlook.answer) == bool(outlook.change_nothing)


def test_a_small_bill_with_a_small_saving_is_answered_by_doing_nothing():
    small = Lifecycle(
        horizon_months=12.0,
        fine_tunings_per_year=0.0,
        labels_usd=0.0,
        serving=LifeServing(serving_usd_per_hour=0.02),
    )

    outlook = classified(small, 0.5).outlook

    assert outlook.change_nothing
    assert outlook.answer.startswith("Change nothing: none of 1 change saves in 12 months what it costs.")
    assert [False] == [entry.pays for entry in outlook.opportunities]


def test_the_advice_ends_with_its_prices_and_with_the_traffic_that_turns_it():
    told = classified(
        msgspec.structs.replace(CHATBOT, growth_per_month=0.05, labels_usd=4e5, data=None),
        30.0,
        msgspec.structs.replace(MARKET, device=priced_on(MARKET.device, "2026-09-20")),
    )

    by_what = {entry.what: entry for entry in told.outlook.expires_when}
    turns = next(flip for flip in told.verdict.flips_when if flip.input == "requests_per_s" and flip.direction == "above")
    planned_for = by_what[f"traffic is {units.number(turns.at / turns.now)} times what was planned for that day, or more"]
    assert planned_for.on is None and turns.told in planned_for.because
    assert by_what["the prices are older than 90 days"].on == "2026-12-19"
    assert by_what["another model, device or runtime is put to use"].on is None


def priced_on(device_, day):
    price = device_.usd_per_hour
    source = msgspec.structs.replace(price.source, date=day)
    return msgspec.structs.replace(device_, usd_per_hour=msgspec.structs.replace(price, source=source))


# Lives whose prices have each a year of their own, and which of them count: those that are paid, or would be after a change.
YEARS = {"device": "2020-01-01", "training": "2021-01-01", "other": "2022-01-01", "api": "2023-01-01", "other api": "2024-01-01"}
DATED = msgspec.structs.replace(
    MARKET,
    device=priced_on(MARKET.device, YEARS["device"]),
    training_device=priced_on(MARKET.device, YEARS["training"]),
    others=(priced_on(device("other", 1.0), YEARS["other"]),),
    alternative_api=msgspec.structs.replace(API, date=YEARS["other api"]),
)
GIVEN_PRICE = msgspec.structs.replace(CHATBOT, serving=LifeServing(device_usd_per_hour=4.0))


@pytest.mark.parametrize(
    ("planned", "market", "oldest"),
    [
        (CHATBOT, DATED, "device"),
        (GIVEN_PRICE, DATED, "training"),
        (msgspec.structs.replace(GIVEN_PRICE, fine_tunings_per_year=0.0), DATED, "other"),
        (
            msgspec.structs.replace(
                GIVEN_PRICE,
                fine_tunings_per_year=0.0,
                model=LifeModel(parameters=7e11),
                situation=LifeSituation(data_must_stay=True),
            ),
            DATED,
            None,
        ),
        (
            msgspec.structs.replace(GIVEN_PRICE, fine_tunings_per_year=0.0, model=LifeModel(parameters=7e11)),
            DATED,
            "other api",
        ),
        (
            Lifecycle(
                fine_tunings_per_year=0.0,
                labels_usd=0.0,
                request=LifeRequest(input_tokens=1e3, output_tokens=1e2),
                serving=LifeServing(api_model="api"),
            ),
            msgspec.structs.replace(DATED, api=msgspec.structs.replace(API, date=YEARS["api"])),
            "api",
        ),
    ],
    ids=["own device", "training device", "other device", "nothing listed", "other api", "api"],
)
def test_only_prices_that_are_paid_or_would_be_after_a_change_end_the_advice(planned, market, oldest):
    assert opportunities.price_date(life(planned, market=market), planned, market) == (YEARS[oldest] if oldest else None)


moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat)
days = st.dates(date(2019, 1, 1), date(2036, 1, 1)).map(date.isoformat)


@settings(deadline=None, max_examples=60)
@given(plans(), st.floats(-3, 4), moments, days, st.none() | days)
def test_advice_never_ends_in_the_past_nor_with_what_was_planned(planned, logarithm, now, priced, retired):
    planned = msgspec.structs.replace(
        planned, model=None, serving=LifeServing(api_model="api"), fine_tuning=None, fine_tuning_usd=9.0
    )
    market = msgspec.structs.replace(MARKET, api=msgspec.structs.replace(API, retired_on=retired, date=priced))

    told = classify_workload("a test", 10**logarithm, planned, market, RULES, created=now)

    for entry in told.outlook.expires_when:
        assert entry.on is None or entry.on >= now[:10]
        assert "growth" not in entry.what + entry.because
    assert (retired is not None and retired >= now[:10]) == any(
        entry.on == retired for entry in told.outlook.expires_when if retired
    )


@pytest.mark.parametrize("priced", ["2026-08-30", "2026-08-29", "2020-01-01"])
def test_prices_that_are_too_old_already_are_to_be_read_anew_and_end_on_no_day(priced):
    expiry = opportunities.price_expiry(priced, "2026-11-28T08:00:00+00:00")

    is_old = priced < "2026-08-30"
    assert expiry.on == (None if is_old else "2026-11-28")
    assert ("read anew" in expiry.what) == is_old


def test_where_training_dominates_the_answer_names_the_line_that_no_lever_reaches():
    told = classified(msgspec.structs.replace(CHATBOT, labels_usd=4e6, data=None), 30.0)

    assert told.outlook.answer.startswith("The largest line of training is labels, about $4,000,000")
