"""What a replica carries: more with looser targets, and named for what gives way first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.generation.capacity import capacity, most_clients
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, MIDDLE_CONFIDENCE, USUAL_CONFIDENCE
from tests.generation_profiles import Law, profile, tokens, under, workload

MEASURED = profile(levels=(0.98, 1.0, 1.02))


def a_way(site, running=8, policy="prefill_first"):
    return next(way for way in site.ways(set(site.variants)) if (way.max_running_requests, way.policy) == (running, policy))


def carried(ttft_s=0.5, tpot_s=0.05, *, running=8, measured=MEASURED, brings=None, **traffic):
    site = under(workload(ttft_s=ttft_s, tpot_s=tpot_s, brings=brings, **traffic), measured)
    return capacity(site.serving, a_way(site, running), 1)


@settings(max_examples=6)
@given(st.floats(0.1, 1.0), st.floats(0.01, 0.1), st.floats(1.0, 2.0), st.floats(1.0, 2.0))
def test_looser_targets_carry_no_less(ttft_s, tpot_s, looser_first, looser_later):
    strict, loose = carried(ttft_s, tpot_s), carried(ttft_s * looser_first, tpot_s * looser_later)

    if strict is not None:
        assert loose is not None
        for end in ("low", "value", "high"):
            # Bisections that end between the same two rates may begin elsewhere.
            assert getattr(loose.requests_per_s, end) >= getattr(strict.requests_per_s, end) * 0.98


def test_the_targets_hold_at_the_capacity_and_not_much_beyond():
    site = under(workload(), MEASURED)
    way = a_way(site)

    found = capacity(site.serving, way, 1)

    for end, confidence in (("low", USUAL_CONFIDENCE), ("value", MIDDLE_CONFIDENCE), ("high", LEAST_CONFIDENCE)):
        scale = getattr(found.requests_per_s, end) / 2.0
        assert site.meets(way, 1, confidence, scale=scale)
        assert not site.meets(way, 1, confidence, scale=1.1 * scale)


def test_a_target_that_a_lone_request_misses_carries_nothing():
    assert carried(ttft_s=0.001) is None
    assert carried(tpot_s=0.001) is None


def test_more_side_by_side_carry_more_where_decoding_is_shared():
    alone, many = (carried(5.0, 0.05, running=running).requests_per_s.value for running in (1, 8))

    assert many > 1.5 * alone


def test_long_prompts_are_bound_by_reading_and_long_answers_by_decoding():
    assert "prefill" == carried(3.0, None, brings=tokens(1000, 2)).binding
    assert "decode" == carried(3.0, None, brings=tokens(10, 100)).binding


def test_a_cache_that_runs_full_is_called_kv():
    brings = tokens(300, 150, spread=1.2)
    roomy, tight = (carried(2.0, None, measured=profile(memory_bytes=memory), brings=brings) for memory in (2**33, 12_800_000))

    assert "decode" == roomy.binding
    assert "kv" == tight.binding
    assert tight.requests_per_s.value < roomy.requests_per_s.value


def test_of_clients_the_largest_number_is_found():
    site = under(workload(None, clients=2, think_s=0.1), MEASURED)
    way = a_way(site)

    found = capacity(site.serving, way, 1)

    assert found.clients == most_clients(site.serving, way, MIDDLE_CONFIDENCE)
    assert site.meets(way, 1, MIDDLE_CONFIDENCE, clients=found.clients)
    assert not site.meets(way, 1, MIDDLE_CONFIDENCE, clients=found.clients + 1)
    assert f"{found.clients} clients" in found.requests_per_s.source


def test_two_replicas_carry_at_least_twice_what_one_does():
    site = under(workload(), MEASURED)
    way = a_way(site)

    one, two = (capacity(site.serving, way, replicas).requests_per_s.value for replicas in (1, 2))

    assert two == pytest.approx(2 * one, rel=0.15)


def test_slower_steps_carry_less():
    slow = profile({"fp32": Law().times(1.5)}, levels=(0.98, 1.0, 1.02))

    assert carried(measured=slow).requests_per_s.value < carried().requests_per_s.value
