"""Beside the advice on a measured model: what each single change saves, whether it is worth its effort, and when the advice ends."""

import math

import msgspec
import pytest
from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.decide.advice.changes import Change, describe, distinct
from advisor.files.rulebook import rules_with
from advisor.schema.workload import Baseline, Lifecycle, LifeTeam, Quality
from tests.lives import MARKET
from tests.profiles import drop_of, fixed_cost_law, profile, request, variant, workload

LIFE = Lifecycle(horizon_months=12.0, fine_tunings_per_year=2.0, fine_tuning_usd=100.0, labels_usd=500.0)
FLOOR = Quality(max_drop=0.03, metric="accuracy", data="data.npz")
TODAY = Baseline(max_batch_size=1, replicas=4)


def measured():
    """A model of 10 ms a call, mostly fixed; int8 takes a fifth, and its quality held."""
    law = fixed_cost_law(0.008, 0.002, of_variant={"int8": 0.2})
    variants = (variant(), variant("int8", lossless=False, quality=drop_of(0.01, 0.02)))
    return profile(law, variants=variants, batch_sizes=(1, 4))


def advice_at(usd_per_hour, *, lifecycle=LIFE, market=MARKET, requests_per_s=200.0, diurnal=None, baseline=TODAY):
    asked = workload(
        requests_per_s, 0.2, usd_per_hour=usd_per_hour, quality=FLOOR, baseline=baseline, lifecycle=lifecycle, diurnal=diurnal
    )
    rules = rules_with(None, now="2026-11-28T08:00:00+00:00")
    return advise(measured(), request(asked, measured(), market=market, rules=rules), None)


def test_a_change_that_saves_more_than_its_effort_is_advised_with_the_day_on_which_it_is_paid_back():
    advice = advice_at(3.0)

    best = advice.outlook.opportunities[0]
    assert (advice.outcome, advice.outlook.change_nothing, best.pays) == ("change", False, True)
    assert best.payback_on is not None and advice.outlook.answer.startswith(best.title)


def whole_change(advice):
    """What changing to the recommendation saves, by whatever name it stands there."""
    after = describe(advice.recommended.candidate)
    return next(entry for entry in advice.outlook.opportunities if entry.after == after)


def test_a_change_stands_there_once_and_is_one_of_replicas_where_no_more_is_another():
    for price, replicas in ((3.0, 4), (3.0, 8), (0.01, 4)):
        advice = advice_at(price, baseline=Baseline(replicas=replicas))
        found = advice.outlook.opportunities
        today = describe(replace(advice.baseline.candidate, replicas=1)).rsplit(", ", 1)[0]

        assert len({(entry.before, entry.after) for entry in found}) == len(found)
        assert all(entry.field == "replicas" for entry in found if entry.after.rsplit(", ", 1)[0] == today)


def test_what_is_found_by_several_ways_has_the_name_of_the_first():
    candidate = advice_at(3.0).baseline.candidate
    fewer, other = replace(candidate, replicas=1), replace(candidate, max_batch_size=8)
    lever = next(entry for entry in MARKET.model.levers if entry.id == "configure")
    bills = (abs, abs, abs)
    changes = [
        Change(field, "before", "after", bills, lever, after)
        for field, after in (
            ("batching", fewer),
            ("threads and instances", fewer),
            ("batching", other),
            ("all of it", other),
            ("replicas over the day", None),
        )
    ]

    found = distinct(changes, candidate)

    assert ["replicas", "batching", "replicas over the day"] == [change.field for change in found]
    assert ["Run fewer replicas", lever.title, lever.title] == [change.lever.title for change in found]


@pytest.mark.parametrize(("today", "after", "title"), [(4, 2, "Run fewer replicas"), (1, 2, "Run more replicas")])
def test_a_change_of_nothing_but_replicas_is_called_that(today, after, title):
    candidate = replace(advice_at(3.0).baseline.candidate, replicas=today)
    lever = next(entry for entry in MARKET.model.levers if entry.id == "configure")
    change = Change("all of it", "before", "after", (abs, abs, abs), lever, replace(candidate, replicas=after))

    assert [title] == [found.lever.title for found in distinct([change], candidate)]


def test_a_small_bill_with_a_small_saving_is_answered_by_changing_nothing():
    advice = advice_at(0.01)

    assert ("keep", advice.baseline) == (advice.outcome, advice.recommended)
    assert advice.headline.startswith("Change nothing: the change would save about $") and "of work" in advice.headline
    assert advice.outlook.change_nothing and advice.outlook.answer.startswith("Change nothing")
    assert advice.outlook.opportunities and not any(entry.pays for entry in advice.outlook.opportunities)


def test_the_price_at_which_the_answer_turns_is_where_saving_and_effort_are_equal():
    dear = advice_at(3.0)
    whole = whole_change(dear)
    turns_at = 3.0 * whole.once_usd.value / (whole.saving_usd_per_year.value * LIFE.horizon_months / 12)

    assert "keep" == advice_at(turns_at * 0.999).outcome
    assert "change" == advice_at(turns_at * 1.001).outcome


def test_an_engineer_who_costs_more_makes_fewer_changes_worth_it():
    dear_team = msgspec.structs.replace(LIFE, team=LifeTeam(engineer_usd_per_day=1e6))

    assert advice_at(3.0, lifecycle=dear_team).outlook.change_nothing


def test_each_single_change_keeps_all_else_as_it_is_today():
    fields = {entry.field for entry in advice_at(3.0).outlook.opportunities}

    assert {"batching", "variant"} <= fields


@pytest.mark.parametrize("field", ["batching", "variant"])
def test_what_a_change_saves_is_todays_cost_less_that_of_the_change(field):
    advice = advice_at(3.0)
    entry = next(entry for entry in advice.outlook.opportunities if entry.field == field)
    replicas = int(entry.after.rsplit(", ", 1)[1].split()[0])

    assert entry.saving_usd_per_year.value == pytest.approx((4 - replicas) * 3.0 * 8760)


def test_a_fleet_that_follows_the_day_pays_for_fewer_replicas_at_night():
    advice = advice_at(3.0, diurnal=(0.2, 0.2, 0.2, 3.4), requests_per_s=60.0, baseline=Baseline(replicas=8))

    entry = next(entry for entry in advice.outlook.opportunities if entry.lever == "autoscale")
    assert entry.saving_usd_per_year.value > 0 and "replicas over the day" == entry.field


def test_without_a_planned_life_effort_is_not_weighed_and_the_cheapest_is_advised():
    advice = advice_at(0.01, lifecycle=None)

    assert ("change", None) == (advice.outcome, advice.outlook.change_nothing)
    assert "lifecycle" in advice.outlook.answer


def test_the_advice_says_when_it_ends():
    growing = msgspec.structs.replace(LIFE, growth_per_month=0.05)

    expires = {entry.what: entry for entry in advice_at(3.0, lifecycle=growing).outlook.expires_when}

    assert expires["the prices are older than 90 days"].on is not None
    assert any(what.startswith("traffic goes above") and entry.on for what, entry in expires.items())
    assert any(what.startswith("the model file is no longer sha256") for what in expires)
    assert any("onnxruntime" in entry.because for entry in expires.values())


def test_what_the_catalog_does_not_know_is_not_guessed():
    from advisor.decide.advice.sites import NOTHING_KNOWN

    advice = advice_at(0.01, market=NOTHING_KNOWN)

    assert ("change", ()) == (advice.outcome, advice.outlook.opportunities)


def test_a_verdict_on_what_was_measured_turns_with_traffic_and_its_levers_have_a_break_even():
    labeled = msgspec.structs.replace(LIFE, labels_usd=2e4)

    verdict = advice_at(3.0, lifecycle=labeled).verdict

    assert any(flip.input == "requests_per_s" for flip in verdict.flips_when)
    assert ["reserve"] == [even.lever for even in verdict.break_evens]


# --- growth ----------------------------------------------------------------------------------------------------------------


def grown(requests_per_s, growth, months, carried_by_one, usd_per_hour, *, least):
    """What replicas cost that are bought whole, month by month, in plain sums."""
    counts = (max(least, math.ceil(requests_per_s * (1 + growth) ** month / carried_by_one)) for month in range(months))
    return 730 * usd_per_hour * sum(counts)


def serving(advice):
    return next(line.usd for line in advice.verdict.lines if line.what == "serving")


@pytest.mark.parametrize("growth", [0.0, 0.01, 0.06, 0.3, -0.1])
def test_growth_buys_whole_replicas_at_the_capacity_of_one_and_none_while_the_headroom_lasts(growth):
    advice = advice_at(3.0, lifecycle=msgspec.structs.replace(LIFE, growth_per_month=growth))
    shown = advice.recommended
    each = shown.capacity_requests_per_s.low / shown.candidate.replicas

    expected = grown(200.0, growth, 12, each, 3.0, least=shown.candidate.replicas)

    assert expected == pytest.approx(serving(advice).value)


def test_without_growth_the_lifetime_cost_is_the_bill_of_today_and_headroom_keeps_it_so():
    still, slow = (advice_at(3.0, lifecycle=msgspec.structs.replace(LIFE, growth_per_month=growth)) for growth in (0.0, 0.001))

    assert still.recommended.cost_usd_per_hour.value * 8760 == pytest.approx(serving(still).value)
    assert serving(still).value == serving(slow).value


def test_what_a_change_saves_of_growing_traffic_is_the_difference_of_the_two_lifetime_costs():
    growing = msgspec.structs.replace(LIFE, growth_per_month=0.1)
    advice = advice_at(3.0, lifecycle=growing)
    saved = {entry.field: entry.saving_usd_per_year.value for entry in advice.outlook.opportunities}
    whole = whole_change(advice)

    before = grown(200.0, 0.1, 12, advice.baseline.capacity_requests_per_s.low / 4, 3.0, least=4)

    assert before - serving(advice).value == pytest.approx(whole.saving_usd_per_year.value)
    assert all(0 < saved[field] < before for field in ("batching", "variant"))


def test_headroom_that_is_paid_for_already_is_not_saved_twice():
    """Four replicas have room to grow, which a leaner configuration has to buy anew: growth makes the change worth less."""
    still, slow = (advice_at(3.0, lifecycle=msgspec.structs.replace(LIFE, growth_per_month=growth)) for growth in (0.0, 0.04))

    first, then = (
        next(entry for entry in advice.outlook.opportunities if entry.field == "batching").saving_usd_per_year.value
        for advice in (still, slow)
    )
    assert then <= first


def test_a_fleet_that_follows_the_day_has_in_each_part_as_many_replicas_as_carry_it():
    asked = {"diurnal": (0.2, 0.2, 0.2, 3.4), "requests_per_s": 60.0, "baseline": Baseline(replicas=8)}
    saved = {}
    for growth in (0.0, 0.2):
        advice = advice_at(3.0, lifecycle=msgspec.structs.replace(LIFE, growth_per_month=growth), **asked)
        entry = next(entry for entry in advice.outlook.opportunities if entry.lever == "autoscale")
        saved[growth] = entry.saving_usd_per_year.value
        least, most = (int(word) for word in entry.after.split() if word.isdecimal())
        # 100 a second are all that a replica has time for.
        assert (1, True) == (least, math.ceil(60 * 3.4 / 100) <= most)

    assert 0 < saved[0.0] and 0 < saved[0.2]
