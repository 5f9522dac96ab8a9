"""The decision: what trying every candidate finds, and what stands beside it."""

import functools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.generation.elsewhere.decision import costs_more, decide
from advisor.decide.generation.elsewhere.speculation import choices
from advisor.schema.workload import SpeculationAsked, TokenSlo
from tests.elsewhere_models import DENSE, Steps, alone, asking, chat, device, lengths, offers_of, place

CONFIDENCE = 0.95
CHEAP = {"memory_bytes": 48e9, "memory_bandwidth_bytes_per_s": 0.9e12, "peak_flop_per_s": {"bf16": 180e12}}
TWO = (place(), place(device("cheap", **CHEAP), 0.8))
ALONE = (place(alone(), devices=1), place(alone(id_="cheap", **CHEAP), 0.8, devices=1))


def decided(workload=None, places=ALONE, drafts=(), spread=1.05, model=DENSE, **asked):
    request = asking(workload, places, **asked)
    offers = offers_of(request.workload, places, model, functools.partial(Steps, spread=spread))
    return decide(offers, request, drafts, 1.0)


def cheapest_of_all(workload, most=5) -> float:
    """Return the least cost at which anything keeps the targets, by asking every candidate of few replicas."""
    replicas = offers_of(workload, ALONE).replicas(())
    costs = [
        count * replica.price
        for replica in replicas
        for way in replica.space
        for count in range(1, most)
        if count <= replica.serving.most(way) and replica.serving.meets(way, count, CONFIDENCE)
    ]
    return min(costs, default=math.inf)


@settings(max_examples=2)
@given(st.floats(1.0, 40.0), st.floats(0.01, 0.06))
def test_the_cheapest_is_what_trying_everything_finds(requests_per_s, tpot_s):
    asked = chat(requests_per_s, slo=TokenSlo(ttft_s=1.0, tpot_s=tpot_s, quantile=0.9))
    found = decided(asked)

    expected = cheapest_of_all(asked)

    reached = math.inf if found.shown is None or found.outcome == "infeasible" else found.shown.chosen.usd_per_hour
    assert expected == pytest.approx(reached)


def test_every_candidate_is_accounted_for():
    it = decided(accepted=("fp8",)).certificate

    assert it.candidates == it.cut_by_bound + it.cut_by_quality + it.cut_by_cost + it.cut_by_tie + it.simulated
    assert it.cut_by_quality > 0
    assert it.simulated < it.candidates / 100


def test_the_next_best_is_on_another_device_or_degree_and_costs_more():
    found = decided(chat(20.0), TWO)
    ours, other = found.shown.chosen, found.next_best.chosen

    assert (ours.site.setting.device, ours.site.setting.tensor_parallel) != (
        other.site.setting.device,
        other.site.setting.tensor_parallel,
    )
    assert other.usd_per_hour >= ours.usd_per_hour
    assert other.usd_per_hour / ours.usd_per_hour - 1 == pytest.approx(costs_more(found.shown, found.next_best).value)
    assert {"card", "cheap"} == {ours.site.setting.device, *(each.chosen.site.setting.device for each in found.others)}


def test_a_lower_precision_is_shown_with_what_it_saves_and_advised_only_where_it_was_accepted():
    asked = chat(60.0, brings=lengths(200, 400))
    shown, accepted = decided(asked), decided(asked, accepted=("fp8",))

    assert "bf16" == shown.shown.prediction.deployment.weights
    saved = next(each for each in shown.accepting if "fp8" in (each.weights, each.kv))
    assert saved.saving_usd_per_month.value > 0
    assert accepted.shown.chosen.usd_per_hour == pytest.approx(saved.prediction.cost_usd_per_hour.value)
    assert all("fp8" not in (each.weights, each.kv) or each.weights == "int4" for each in accepted.accepting)


def test_what_no_device_holds_is_infeasible_with_the_reason():
    found = decided(places=(place(alone(memory_bytes=8e9), devices=1),))

    assert ("infeasible", None) == (found.outcome, found.shown)
    assert "memory" in found.binding_constraint


def test_what_no_device_does_in_time_is_infeasible_with_the_nearest_miss():
    found = decided(chat(slo=TokenSlo(tpot_s=1e-5, quantile=0.9)))

    assert "infeasible" == found.outcome
    assert found.binding_constraint.startswith("decode:")
    assert not found.shown.prediction.meets_slo


def test_a_precision_that_would_keep_the_targets_is_named_where_nothing_else_does():
    found = decided(places=(place(alone(memory_bytes=14e9), devices=1),))

    assert ("infeasible", None) == (found.outcome, found.shown)
    assert found.binding_constraint.startswith("quality: in fp8 1 x 1 card would keep the targets")


def test_steps_that_are_hardly_known_leave_the_answer_open_and_a_larger_uncertainty_closes_it():
    asked = chat(60.0, brings=lengths(200, 400))

    found = decided(asked, spread=2.5)

    assert "inconclusive" == found.outcome
    assert found.quick_usd * 1.5 < (found.slow_usd or math.inf)
    assert found.shown is not None
    if found.slow_usd is not None:
        assert "advice" == decided(asked, spread=2.5, max_uncertainty=100.0).outcome


def test_where_only_the_number_of_replicas_is_open_the_answer_says_between_which():
    found = decided(chat(60.0, brings=lengths(200, 400)), spread=2.5)
    fewest, most = found.replicas_open
    one_usd = found.shown.chosen.usd_per_hour / found.shown.chosen.replicas

    assert "inconclusive" == found.outcome
    assert fewest <= found.shown.chosen.replicas <= most
    assert [fewest * one_usd, most * one_usd] == pytest.approx([found.quick_usd, found.slow_usd])
    # Where steps are quick more of the same replicas are not needed either.
    assert 0 == costs_more(found.shown, found.next_best).low


def test_a_draft_is_advised_where_it_saves_replicas():
    asked = chat(2.0, slo=TokenSlo(ttft_s=1.0, tpot_s=0.0045, quantile=0.9))
    drafts = choices(DENSE, SpeculationAsked(acceptance=0.8, draft_tokens=3), ())

    plain, drafted = decided(asked), decided(asked, drafts=drafts)

    assert drafted.shown.chosen.site.setting.speculation is not None
    assert plain.shown.chosen.usd_per_hour > drafted.shown.chosen.usd_per_hour
