"""Continuous batching: equal to its twin, faithful to timetables made by hand and to queueing theory, deaf to bad input."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.kernels import decode_reference, decode_sim
from advisor.kernels.decode_sim import CHUNKED, MIXED, PREFILL_FIRST

POLICIES = [PREFILL_FIRST, CHUNKED, MIXED]
TIMES = (
    "arrival_s",
    "prefill_cost",
    "decode_cost",
    "mixed_cost",
    "decode_extra_s",
    "token_extra_s",
    "stall_at_s",
    "stall_s",
    "think_s",
)
OF_TIMES = ("first_token_s", "last_token_s", "arrived_s", "longest_gap_s", "prefill_s", "decode_s", "idle_s")
OF_TIMES += ("running_integral", "waiting_integral", "end_s")
# Multiples of 1/8 s are exact in binary: arrivals, ends of steps and stalls then really fall on the same instant.
_time_s = st.sampled_from([0.0, 0.125, 0.5, 1.0]) | st.floats(0.0, 4.0, allow_subnormal=False)
_either = st.booleans()
_factor = st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.1, 3.0)


def floats(draw, elements, size):
    return np.array(draw(st.lists(elements, min_size=size, max_size=size)), dtype=np.float64)


def whole(draw, elements, size):
    return np.array(draw(st.lists(elements, min_size=size, max_size=size)), dtype=np.int64)


@st.composite
def loads(draw, stalled=_either):
    """Arguments of simulate: bursts and idle spells, short answers and long ones, from a cache that holds one request to ample."""
    requests = draw(st.integers(0, 12))
    shared = draw(st.integers(0, 5))
    inputs = whole(draw, st.integers(1, 12), requests)
    outputs = whole(draw, st.integers(1, 6) | st.integers(1, 100), requests)
    hits = np.minimum(whole(draw, st.integers(0, shared), requests), inputs - 1)
    fewest = shared + int((inputs + outputs - hits).max(initial=1))
    load = {
        "arrival_s": np.cumsum(floats(draw, _time_s, requests)),
        "input_tokens": inputs,
        "output_tokens": outputs,
        "prefix_hit_tokens": hits,
        "prefill_cost": floats(draw, _time_s, 3),
        "decode_cost": floats(draw, _time_s, 3),
        "mixed_cost": floats(draw, _time_s, 5),
        "policy": draw(st.sampled_from(POLICIES)),
        "max_running_requests": draw(st.integers(1, 6) | st.just(64)),
        "chunk_tokens": draw(st.integers(1, 8) | st.just(64)),
        "kv_tokens": fewest + draw(st.integers(0, 8) | st.integers(0, 60) | st.just(10_000)),
        "shared_prefix_tokens": shared,
        "step_factors": floats(draw, _factor, draw(st.integers(1, 4))),
    }
    if draw(st.booleans()):
        load["decode_extra_s"] = np.append(0.0, floats(draw, _time_s, min(load["max_running_requests"], requests)))
    if draw(st.booleans()):
        load["token_extra_s"] = floats(draw, _time_s, load["chunk_tokens"] + 1)
    if draw(stalled):
        stalls = draw(st.integers(0, 5))
        load |= {"stall_at_s": np.cumsum(floats(draw, _time_s, stalls)), "stall_s": floats(draw, _time_s, stalls)}
    if draw(_either):
        load |= {"clients": draw(st.integers(1, 5)), "think_s": floats(draw, _time_s, requests)}
    return load


def long_load(seed):
    """Arguments of simulate: sixty requests that outlast blocks of steps, in a cache that is too small for those that may run."""
    rng = np.random.default_rng(seed)
    requests, shared = 60, int(rng.integers(0, 20))
    inputs, outputs = rng.integers(1, 60, requests), rng.integers(1, 200, requests)
    hits = np.minimum(rng.integers(0, shared + 1, requests), inputs - 1)
    load = {
        "arrival_s": np.cumsum(rng.exponential(8.0, requests)),
        "input_tokens": inputs,
        "output_tokens": outputs,
        "prefix_hit_tokens": hits,
        "prefill_cost": rng.random(3) / [1, 50, 1000],
        "decode_cost": rng.random(3) / [1, 10, 1000],
        "mixed_cost": rng.random(5) / [1, 10, 1000, 50, 1000],
        "decode_extra_s": np.append(0.0, rng.random(20) / 10),
        "token_extra_s": rng.random(40) / 10,
        "max_running_requests": int(rng.integers(4, 20)),
        "chunk_tokens": int(rng.integers(1, 40)),
        "kv_tokens": shared + 260 + int(rng.integers(0, 500)),
        "shared_prefix_tokens": shared,
        "step_factors": rng.lognormal(0.0, 0.3, 50),
        "stall_at_s": np.cumsum(rng.exponential(30.0, 40)),
        "stall_s": rng.exponential(2.0, 40),
    }
    return load | ({"clients": 12, "think_s": rng.exponential(5.0, requests)} if seed % 2 else {})


def assert_equal(expected, actual):
    assert expected._fields == actual._fields
    for name, one, other in zip(expected._fields, expected, actual, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


@settings(max_examples=120)
@given(loads())
def test_the_kernel_answers_as_its_twin_to_the_last_bit(load):
    assert_equal(decode_reference.simulate(**load), decode_sim.simulate(**load))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(4))
def test_long_answers_in_a_small_cache_are_those_of_the_twin(policy, seed):
    load = long_load(seed) | {"policy": policy}

    served = decode_sim.simulate(**load)

    assert served.preemptions.sum() > 10
    assert_equal(decode_reference.simulate(**load), served)


def test_the_kernel_is_called_as_its_twin_and_names_the_policies_alike():
    expected = inspect.signature(decode_reference.simulate).parameters.values()

    actual = inspect.signature(decode_sim.simulate).parameters.values()

    assert [(p.name, p.kind, p.default) for p in expected] == [(p.name, p.kind, p.default) for p in actual]
    assert POLICIES == [decode_reference.PREFILL_FIRST, decode_reference.CHUNKED, decode_reference.MIXED]


@settings(max_examples=50)
@given(loads(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_changing_the_unit_of_time_changes_nothing_else(load, factor):
    served = decode_sim.simulate(**load)

    scaled = decode_sim.simulate(**load | {name: load[name] * factor for name in TIMES if name in load})

    assert_equal(served._replace(**{name: getattr(served, name) * factor for name in OF_TIMES}), scaled)


@settings(max_examples=50)
@given(loads())
def test_time_tokens_and_requests_are_kept_account_of(load):
    served = decode_sim.simulate(**load)

    busy_s = served.prefill_s + served.decode_s
    assert (served.arrived_s <= served.first_token_s).all()
    assert (served.first_token_s <= served.last_token_s).all()
    assert (served.longest_gap_s <= served.last_token_s - served.first_token_s).all()
    assert (served.longest_gap_s[load["output_tokens"] == 1] == 0).all()
    assert served.end_s == pytest.approx(busy_s + served.idle_s)
    assert served.end_s == served.last_token_s.max(initial=0.0)
    assert load["shared_prefix_tokens"] <= served.kv_peak_tokens <= load["kv_tokens"]
    # Whoever has arrived waits or runs, until the last token.
    present = math.fsum(served.last_token_s - served.arrived_s)
    assert present == pytest.approx(served.running_integral + served.waiting_integral, rel=1e-9, abs=1e-9)
    assert served.running_integral <= load["max_running_requests"] * served.end_s * (1 + 1e-9)


@settings(max_examples=50)
@given(loads())
def test_nobody_is_preempted_in_a_cache_that_holds_everybody(load):
    own = load["input_tokens"] + load["output_tokens"] - load["prefix_hit_tokens"]
    ample = load | {"kv_tokens": load["shared_prefix_tokens"] + int(own.sum()) + 1}

    served = decode_sim.simulate(**ample)

    assert 0 == served.preemptions.sum()
    # What the cache could hold beyond that changes nothing.
    assert_equal(served, decode_sim.simulate(**ample | {"kv_tokens": 2 * ample["kv_tokens"]}))


@settings(max_examples=50)
@given(loads(stalled=st.just(False)))
def test_stalls_of_no_length_change_nothing(load):
    stalled = load | {"stall_at_s": np.array([0.0, 0.5, 0.5, 3.0]), "stall_s": np.zeros(4)}

    assert_equal(decode_sim.simulate(**load), decode_sim.simulate(**stalled))


@settings(max_examples=50)
@given(loads())
def test_one_at_a_time_is_served_alike_by_all_policies(load):
    a, b, c = load["decode_cost"]
    load |= {
        "max_running_requests": 1,
        "chunk_tokens": 1000,
        "prefill_cost": np.array([a, 0.25, 0.125]),
        "mixed_cost": np.array([a, b, c, 0.25, 0.125]),
        "token_extra_s": None,  # reading is not priced by its law alone
    }
    expected = decode_sim.simulate(**load | {"policy": PREFILL_FIRST})

    for policy in (CHUNKED, MIXED):
        assert_equal(expected, decode_sim.simulate(**load | {"policy": policy}))


@settings(max_examples=50)
@given(loads(), st.integers(2, 50))
def test_a_prefix_that_nobody_hits_only_takes_room(load, tokens):
    load |= {"prefix_hit_tokens": np.zeros_like(load["prefix_hit_tokens"])}
    room = load["kv_tokens"] + int(load["input_tokens"].max(initial=0))
    alone = decode_sim.simulate(**load | {"shared_prefix_tokens": 0, "kv_tokens": room})

    beside = decode_sim.simulate(**load | {"shared_prefix_tokens": tokens, "kv_tokens": room + tokens})

    assert_equal(alone._replace(kv_peak_tokens=alone.kv_peak_tokens + tokens), beside)


def timetable(policy, **changes):
    """Serve two requests of two tokens each that arrive half a second apart, and get three tokens and two."""
    load = {
        "arrival_s": np.array([0.0, 0.5]),
        "input_tokens": np.array([2, 2]),
        "output_tokens": np.array([3, 2]),
        "prefix_hit_tokens": np.array([0, 0]),
        "prefill_cost": np.array([0.0, 0.5, 0.0]),  # half a second a token
        "decode_cost": np.array([1.0, 0.0, 0.125]),  # a second, and an eighth for each cached token
        "mixed_cost": np.array([0.0, 1.0, 0.125, 0.5, 0.0]),
        "policy": policy,
        "max_running_requests": 4,
        "kv_tokens": 100,
        "step_factors": np.ones(1),
    }
    return decode_sim.simulate(**load | changes)


def assert_served(served, **expected):
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(served, name), value, rtol=1e-15, err_msg=name)


def test_prefill_first_reads_who_waits_before_anybody_gets_a_token():
    served = timetable(PREFILL_FIRST)

    # Read 0 to 1 and 1 to 2; both decoded with 2 + 2 cached to 3.5; the first one alone with 3 cached to 4.875.
    assert_served(served, first_token_s=[1.0, 2.0], last_token_s=[4.875, 3.5], arrived_s=[0.0, 0.5], longest_gap_s=[2.5, 1.5])
    assert_served(served, steps=4, prefill_s=2.0, decode_s=2.875, idle_s=0.0, end_s=4.875)
    assert_served(served, running_integral=4.875 + 2.5, waiting_integral=0.5, kv_peak_tokens=6, preemptions=[0, 0])


def test_chunked_reads_a_chunk_and_then_decodes_all_that_are_read():
    served = timetable(CHUNKED, chunk_tokens=1)

    # Chunks to 0.5 and 1; the first is decoded with 2 cached to 2.25; a chunk of the second to 2.75, the first with 3 to 4.125, where it
    # is finished; a chunk to 4.625, and the second with 2 cached to 5.875.
    assert_served(served, first_token_s=[1.0, 4.625], last_token_s=[4.125, 5.875], longest_gap_s=[1.875, 1.25])
    assert_served(served, steps=7, prefill_s=2.0, decode_s=3.875, idle_s=0.0, end_s=5.875)
    assert_served(served, running_integral=4.125 + 3.625, waiting_integral=1.75, kv_peak_tokens=6, preemptions=[0, 0])


def test_mixed_decodes_and_reads_in_one_step_within_its_budget():
    served = timetable(MIXED, chunk_tokens=2)

    # Two tokens of the first to 1; its token beside one of the second's prompt to 2.75 and to 4.625; the second's token to 5.875.
    assert_served(served, first_token_s=[1.0, 4.625], last_token_s=[4.625, 5.875], longest_gap_s=[1.875, 1.25])
    assert_served(served, steps=4, prefill_s=2.0, decode_s=3.875, idle_s=0.0, end_s=5.875)
    assert_served(served, running_integral=4.625 + 4.875, waiting_integral=0.5, kv_peak_tokens=6, preemptions=[0, 0])


def test_a_mixed_step_that_is_full_of_decoded_requests_reads_nothing():
    # Both are read by 2; the third one waits to be read until one of them has all of its tokens.
    served = timetable(
        MIXED,
        chunk_tokens=2,
        arrival_s=np.zeros(3),
        input_tokens=np.array([1, 1, 1]),
        output_tokens=np.array([3, 3, 1]),
        prefix_hit_tokens=np.zeros(3, np.int64),
        mixed_cost=np.array([1.0, 0.0, 0.0, 0.0, 0.0]),
    )

    assert_served(served, first_token_s=[1.0, 1.0, 4.0], last_token_s=[3.0, 3.0, 4.0], steps=4, decode_s=2.0, prefill_s=2.0)


def test_the_request_admitted_last_is_preempted_and_read_again_with_what_it_has():
    served = timetable(
        PREFILL_FIRST,
        arrival_s=np.zeros(2),
        output_tokens=np.array([4, 4]),
        decode_cost=np.array([1.0, 0.0, 0.0]),
        kv_tokens=8,
    )

    # Read to 1 and to 2; 6 and 8 tokens cached after the decode steps to 3 and to 4; ten do not fit, so the second one goes, the first is
    # finished at 5, and the second reads its prompt and its three tokens to 7.5.
    assert_served(served, first_token_s=[1.0, 2.0], last_token_s=[5.0, 7.5], longest_gap_s=[2.0, 3.5], preemptions=[0, 1])
    assert_served(served, steps=6, prefill_s=4.5, decode_s=3.0, running_integral=5.0 + 3.0 + 2.5, waiting_integral=1.0 + 1.0)
    assert_served(served, kv_peak_tokens=8, end_s=7.5)


def test_whoever_was_preempted_comes_before_those_that_wait():
    served = timetable(
        PREFILL_FIRST,
        arrival_s=np.zeros(3),
        input_tokens=np.array([2, 2, 2]),
        output_tokens=np.array([4, 4, 1]),
        prefix_hit_tokens=np.zeros(3, np.int64),
        decode_cost=np.array([1.0, 0.0, 0.0]),
        kv_tokens=8,
        max_running_requests=2,
    )

    assert_served(served, first_token_s=[1.0, 2.0, 8.5], last_token_s=[5.0, 7.5, 8.5], preemptions=[0, 1, 0])


def test_a_prefix_hit_is_not_read_but_attended_to_and_is_held_once():
    served = timetable(
        PREFILL_FIRST,
        arrival_s=np.zeros(2),
        input_tokens=np.array([6, 6]),
        output_tokens=np.array([1, 2]),
        prefix_hit_tokens=np.array([0, 4]),
        shared_prefix_tokens=4,
        prefill_cost=np.array([0.0, 0.5, 0.25]),
    )

    # 6 tokens: 3 + 0.25 x 6 x 3; 2 tokens after 4: 1 + 0.25 x 2 x 5; a token with 6 cached: 1 + 6 / 8.
    assert_served(served, first_token_s=[7.5, 11.0], last_token_s=[7.5, 12.75], steps=3)
    # The prefix and the first prompt; later the prefix with two tokens of the second prompt and the one that was decoded.
    assert_served(served, kv_peak_tokens=10)
    assert_served(timetable(PREFILL_FIRST, prefix_hit_tokens=np.array([1, 1]), shared_prefix_tokens=1), kv_peak_tokens=5)


def test_a_step_takes_its_factor_of_the_cost():
    served = timetable(PREFILL_FIRST, step_factors=np.array([1.0, 2.0, 0.5]))

    # Steps of 1, 1, 1.5 and 1.375 s.
    assert_served(served, first_token_s=[1.0, 3.0], last_token_s=[3.75 + 1.375, 3.75])


def test_a_stall_lengthens_the_step_under_way_and_is_swallowed_by_idle_time():
    served = timetable(
        PREFILL_FIRST,
        arrival_s=np.array([2.0, 10.0]),
        output_tokens=np.array([1, 1]),
        stall_at_s=np.array([0.5, 1.5, 2.25, 2.5, 9.0, 20.0]),
        stall_s=np.array([0.25, 1.0, 2.0, 0.5, 1.5, 7.0]),
    )

    # The first arrives in a stall from 1.5 to 2.5, beside one from 2.25 to 4.25 that covers another: a second of work ends at 5.25. The
    # second arrives half a second before the end of one. The last one is never met.
    assert_served(served, first_token_s=[5.25, 11.5], idle_s=2.0 + 4.75, prefill_s=3.25 + 1.5, end_s=11.5)


def test_a_client_sends_its_next_request_when_it_has_thought_about_the_last():
    served = timetable(
        PREFILL_FIRST,
        arrival_s=np.full(3, np.nan),
        input_tokens=np.array([2, 2, 2]),
        output_tokens=np.ones(3, np.int64),
        prefix_hit_tokens=np.zeros(3, np.int64),
        clients=2,
        think_s=np.array([3.0, 1.0, 4.0]),
    )

    # The second thinks for a second and is read by 2; the third arrives four seconds later. The first arrives at 3.
    assert_served(served, arrived_s=[3.0, 1.0, 6.0], first_token_s=[4.0, 2.0, 7.0], idle_s=1.0 + 1.0 + 2.0)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_token_each_one_at_a_time_wait_as_pollaczek_and_khinchine_say(policy, load):
    requests, rng, waits_s = 200_000, np.random.default_rng(5), []
    ones = np.ones(requests, np.int64)
    expected = load / (2 * (1 - load))

    for _ in range(6):
        served = decode_sim.simulate(
            np.cumsum(rng.exponential(1 / load, requests)),
            ones,
            ones,
            0 * ones,
            prefill_cost=np.array([1.0, 0.0, 0.0]),
            decode_cost=np.full(3, 1e9),  # nobody is ever decoded
            mixed_cost=np.array([1.0, 0.0, 0.0, 0.0, 0.0]),
            policy=policy,
            max_running_requests=1,
            chunk_tokens=1,
            kv_tokens=2,
            step_factors=np.ones(1),
        )
        waits_s.append((served.first_token_s - served.arrived_s)[requests // 10 :].mean() - 1)

    # The standard error of this mean is below 1 % of it.
    assert expected == pytest.approx(np.mean(waits_s), rel=0.04)


def test_a_step_that_reads_takes_what_its_tokens_cost_together():
    served = decode_sim.simulate(
        np.zeros(2),
        np.array([3, 4]),
        np.array([2, 3]),
        np.zeros(2, np.int64),
        prefill_cost=np.zeros(3),
        decode_cost=np.zeros(3),
        mixed_cost=np.array([1.0, 0.0, 0.0, 0.0, 0.0]),
        decode_extra_s=np.array([0.0, 10.0, 20.0]),
        token_extra_s=np.arange(6) / 8,
        policy=MIXED,
        max_running_requests=2,
        chunk_tokens=5,
        kv_tokens=20,
        step_factors=np.ones(1),
    )

    # Five tokens are read; then two beside the one that is decoded; then two are decoded, and then one.
    first_s, second_s = 1 + 5 / 8, 1 + 3 / 8
    np.testing.assert_allclose([first_s, first_s + second_s], served.first_token_s)
    np.testing.assert_allclose([first_s + second_s, first_s + second_s + 11 + 11], served.last_token_s)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_closed_loop_that_never_thinks_keeps_its_clients_at_the_replica(policy):
    load = long_load(1) | {"policy": policy, "think_s": np.zeros(60), "clients": 7}

    served = decode_sim.simulate(**load)

    assert 0 == served.idle_s
    # Seven are there until nobody comes after them.
    nobody_left_s = np.sort(served.last_token_s)[-7]
    present = np.minimum(served.last_token_s, nobody_left_s) - np.minimum(served.arrived_s, nobody_left_s)
    assert 7 * nobody_left_s == pytest.approx(present.sum())


WRONG = [
    ({"arrival_s": np.array([1.0, 0.0])}, "arrival_s must be ascending"),
    ({"arrival_s": np.array([-1.0, 0.0])}, "arrival_s must be finite, not negative"),
    ({"arrival_s": np.array([0.0, np.nan])}, "arrival_s must be finite, not negative"),
    ({"arrival_s": np.array([0.0, np.inf])}, "arrival_s must be finite, not negative"),
    ({"arrival_s": np.array([0.0, 1e101])}, r"at most 1e\+100"),
    ({"arrival_s": np.zeros(3)}, "arrival_s has 3 entries for 2 requests"),
    ({"arrival_s": np.zeros((2, 1))}, "wrong number of dimensions"),
    ({"arrival_s": np.zeros(4)[::2]}, "not C-contiguous"),
    ({"input_tokens": np.array([1.0, 2.0])}, "Buffer dtype mismatch"),
    ({"input_tokens": np.array([0, 2])}, r"input_tokens must lie in 1\.\.1,073,741,824"),
    ({"input_tokens": np.array([1, 2**31])}, r"input_tokens must lie in 1\.\.1,073,741,824"),
    ({"output_tokens": np.array([1, 0])}, r"output_tokens must lie in 1\.\.16,777,216"),
    ({"output_tokens": np.array([1, 2**25])}, r"output_tokens must lie in 1\.\.16,777,216"),
    ({"output_tokens": np.array([1])}, "output_tokens has 1 entries for 2 of input_tokens"),
    ({"prefix_hit_tokens": np.array([0, -1])}, "prefix_hit_tokens must not be negative"),
    ({"prefix_hit_tokens": np.array([0, 4])}, "must be less than input_tokens"),
    ({"prefix_hit_tokens": np.array([0, 3])}, "prefix_hit_tokens must be at most shared_prefix_tokens, 2"),
    ({"prefix_hit_tokens": np.zeros(1, np.int64)}, "prefix_hit_tokens has 1 entries for 2 of input_tokens"),
    ({"prefill_cost": np.array([1.0, -1.0, 0.0])}, "prefill_cost must be finite, not negative"),
    ({"prefill_cost": np.zeros(4)}, "prefill_cost has 4 entries instead of 3"),
    ({"decode_cost": np.array([np.nan, 0.0, 0.0])}, "decode_cost must be finite, not negative"),
    ({"decode_cost": np.zeros(2)}, "decode_cost has 2 entries instead of 3"),
    ({"policy": MIXED}, "mixed_cost is None, but the policy is MIXED"),
    ({"policy": MIXED, "mixed_cost": np.zeros(3)}, "mixed_cost has 3 entries instead of 5"),
    ({"policy": MIXED, "mixed_cost": np.full(5, np.inf)}, "mixed_cost must be finite, not negative"),
    ({"decode_extra_s": np.zeros(2)}, "decode_extra_s has 2 entries, and up to 2 requests are decoded"),
    ({"decode_extra_s": np.array([0.0, -2.5, 0.0])}, "no step take less than nothing with it"),
    ({"decode_extra_s": np.ones(3)}, r"decode_extra_s\[0\] must be 0"),
    ({"decode_extra_s": np.array([0.0, np.nan, 0.0])}, "decode_extra_s must be finite"),
    (
        {"policy": MIXED, "mixed_cost": np.zeros(5), "token_extra_s": np.zeros(1)},
        "token_extra_s has 1 entries, and steps take up to",
    ),
    (
        {"policy": MIXED, "mixed_cost": np.zeros(5), "token_extra_s": np.full(99, -1.0)},
        "token_extra_s must be finite, not negative",
    ),
    ({"policy": 3}, "policy must be PREFILL_FIRST, CHUNKED or MIXED, not 3"),
    ({"policy": -1}, "policy must be PREFILL_FIRST, CHUNKED or MIXED, not -1"),
    ({"max_running_requests": 0}, "max_running_requests must be at least 1, not 0"),
    ({"policy": CHUNKED, "chunk_tokens": 0}, "chunk_tokens must be at least 1, not 0"),
    ({"chunk_tokens": -1}, "chunk_tokens must be at least 0, not -1"),
    ({"kv_tokens": 8}, "kv_tokens must be at least 9, not 8: so many does a request need that runs alone"),
    ({"kv_tokens": -5}, "kv_tokens must be at least 1, not -5"),
    ({"shared_prefix_tokens": -1}, "shared_prefix_tokens must be at least 0, not -1"),
    ({"step_factors": np.empty(0)}, "step_factors is empty"),
    ({"step_factors": np.array([1.0, 0.0])}, "step_factors must be positive"),
    ({"step_factors": np.array([1.0, np.nan])}, "step_factors must be finite, not negative"),
    ({"stall_at_s": np.zeros(1)}, "stall_at_s and stall_s must both be given, or both be None"),
    ({"stall_s": np.zeros(1)}, "stall_at_s and stall_s must both be given, or both be None"),
    ({"stall_at_s": np.zeros(1), "stall_s": np.zeros(2)}, "stall_s has 2 entries instead of 1"),
    ({"stall_at_s": np.empty(0), "stall_s": np.zeros(2)}, "stall_s has 2 entries instead of 0"),
    ({"stall_at_s": np.array([1.0, 0.0]), "stall_s": np.zeros(2)}, "stall_at_s must be ascending"),
    ({"stall_at_s": np.array([np.nan]), "stall_s": np.zeros(1)}, "stall_at_s must be finite, not negative"),
    ({"stall_at_s": np.zeros(1), "stall_s": np.array([-1.0])}, "stall_s must be finite, not negative"),
    ({"clients": -1}, "clients must be at least 0, not -1"),
    ({"clients": 1}, "think_s is None, but there are clients"),
    ({"clients": 1, "think_s": np.zeros(1)}, "think_s has 1 entries instead of 2"),
    ({"clients": 1, "think_s": np.array([0.0, -1.0])}, "think_s must be finite, not negative"),
]


@pytest.mark.parametrize(("change", "complaint"), WRONG)
def test_input_that_makes_no_sense_is_refused(change, complaint):
    load = {
        "arrival_s": np.array([0.0, 1.0]),
        "input_tokens": np.array([3, 4]),
        "output_tokens": np.array([1, 5]),
        "prefix_hit_tokens": np.array([0, 2]),
        "prefill_cost": np.ones(3),
        "decode_cost": np.ones(3),
        "policy": PREFILL_FIRST,
        "chunk_tokens": 1,
        "max_running_requests": 2,
        "kv_tokens": 9,
        "shared_prefix_tokens": 2,
        "step_factors": np.ones(1),
    }
    decode_sim.simulate(**load)

    with pytest.raises(ValueError, match=complaint):
        decode_sim.simulate(**load | change)


def test_costs_as_large_as_they_may_be_stay_finite():
    served = timetable(
        MIXED, chunk_tokens=1, mixed_cost=np.full(5, 1e100), step_factors=np.full(1, 1e100), arrival_s=np.array([0.0, 1e100])
    )

    assert all(np.isfinite(values).all() for values in served)
