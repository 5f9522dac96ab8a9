"""The space: what fits is there, what does not is left out with the reason, and no way that differs from another is lost."""

import pytest
from msgspec.structs import replace

from advisor.decide.generation.elsewhere.space import (
    BUDGETS,
    RUNNING,
    USUAL_BUDGET,
    USUAL_DEVICES,
    USUAL_RUNNING,
    Precisions,
    Setting,
    cache_tokens,
    degrees,
    most_devices,
    not_split,
    precisions,
    smallest_tokens,
    too_small,
    ways,
)
from advisor.decide.generation.elsewhere.speculation import choices
from advisor.decide.generation.projection.memory import weight_bytes_per_device
from advisor.schema.catalog import Offer
from advisor.schema.workload import SpeculationAsked
from tests.elsewhere_models import DENSE, EXPERTS, chat, device, lengths, offers_of, place

ONE = Setting("card", 1, "bf16", "bf16")


def demand_of(**brings):
    return offers_of(chat(brings=lengths(**brings))).demand


def test_a_replica_has_room_for_what_its_weights_leave_and_a_smaller_cache_holds_more():
    demand, card = demand_of(), device()
    one, half = (cache_tokens(DENSE, card, Setting("card", 1, "bf16", kv), demand) for kv in ("bf16", "fp8"))
    spread = cache_tokens(DENSE, card, Setting("card", 2, "bf16", "bf16"), demand)

    free = one * 131072
    assert 80e9 * 0.9 - weight_bytes_per_device(DENSE, "bf16", 1) - 2e9 < free < 80e9 * 0.9 - 16e9
    assert half == pytest.approx(2 * one, rel=1e-4)
    assert spread > 2 * one


def test_a_cache_that_cannot_hold_the_largest_request_is_said_to_be_too_small():
    demand = demand_of(inputs=4000, outputs=100)
    small = device(memory_bytes=20.5e9)

    assert too_small(DENSE, device(), ONE, demand) is None
    assert "which leaves room for" in too_small(DENSE, small, ONE, demand) or "no room" in too_small(DENSE, small, ONE, demand)
    assert [] == ways(DENSE, small, ONE, demand)


def test_weights_that_do_not_fit_leave_no_room_for_the_cache():
    assert "no room for the cache" in too_small(EXPERTS, device(), Setting("card", 4, "fp8", "bf16"), demand_of())


def test_memory_that_nobody_states_holds_nothing():
    assert "does not say" in too_small(DENSE, device(memory_bytes=None), ONE, demand_of())


def test_a_replica_spans_the_largest_machine_that_is_offered():
    offered = device(offers=(Offer(provider="aws", instance="x", devices=4), Offer(provider="aws", instance="y", devices=1)))

    assert 4 == most_devices(offered, [place(offered, devices=1)])
    assert [1, 2, 4] == degrees(DENSE, offered, [place(offered, devices=1)])
    assert USUAL_DEVICES == most_devices(device(), [place(devices=1)])


def test_a_degree_that_does_not_divide_the_heads_is_left_out_with_the_reason():
    odd = replace(DENSE, attention=(replace(DENSE.attention[0], heads=28, kv_heads=4),))

    assert [1, 2, 4] == degrees(odd, device(), [place(devices=8)])
    assert ["tensor parallel 8"] == [entry.what for entry in not_split(odd, 8)]
    assert "28" in next(not_split(odd, 8)).reason
    assert [] == list(not_split(odd, 4))


def test_a_lower_precision_is_there_only_where_it_was_accepted_and_the_device_has_it():
    plain = device(peak_flop_per_s={"bf16": 100e12})

    assert [("bf16", "bf16")] == precisions(DENSE, device(), ())
    assert {("bf16", "bf16"), ("bf16", "fp8"), ("fp8", "bf16"), ("fp8", "fp8")} == set(precisions(DENSE, device(), ("fp8",)))
    assert {("bf16", "bf16"), ("int4", "bf16")} == set(precisions(DENSE, plain, ("fp8", "int4", "fp4")))


def test_the_precision_of_the_checkpoint_is_its_own_and_no_higher_one_is_lower():
    assert [Precisions("fp8", "bf16")] == precisions(EXPERTS, device(), ())
    assert {"fp8", "int4"} == {kind.weights for kind in precisions(EXPERTS, device(), ("fp8", "int4"))}


def test_the_simplest_way_is_what_the_engine_does_by_itself():
    first = ways(DENSE, device(), ONE, demand_of())[0]

    assert (USUAL_RUNNING, USUAL_BUDGET) == (first.max_running_requests, first.token_budget)


def test_every_way_has_room_for_the_requests_that_it_decodes_in_its_budget():
    found = ways(DENSE, device(), ONE, demand_of())

    assert len(found) == len(set(found))
    assert set(BUDGETS) == {way.token_budget for way in found}
    assert all(way.max_running_requests < way.token_budget for way in found)
    assert {(running, 512) for running in RUNNING if running < 512} == {
        (way.max_running_requests, way.token_budget) for way in found if way.token_budget == 512
    }


def test_more_places_than_the_cache_ever_fills_are_no_ways_of_their_own():
    demand = demand_of(inputs=2000, outputs=50, spread=1.0)
    tight = device(memory_bytes=22.4e9)
    room = cache_tokens(DENSE, tight, ONE, demand)
    found = ways(DENSE, tight, ONE, demand)

    most = max(way.max_running_requests for way in found)
    assert most / 2 < room / smallest_tokens(demand) <= most


def test_a_draft_counts_in_the_budget_and_takes_memory():
    demand = demand_of()
    choice = choices(DENSE, SpeculationAsked(acceptance=0.8, draft_tokens=3), ())[0]
    drafted = ONE._replace(speculation=choice)
    found = ways(DENSE, device(), drafted, demand)

    assert cache_tokens(DENSE, device(), drafted, demand) < cache_tokens(DENSE, device(), ONE, demand)
    assert all(4 * way.max_running_requests < way.token_budget for way in found)
    assert all(way.chunk_tokens == pytest.approx(way.token_budget / choice.tokens_per_step.value, rel=0.01) for way in found)
