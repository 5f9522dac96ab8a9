"""One replica simulated: what requests take alone is the law, and bounds are bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.generation.service.step_time import Costs, step_times
from advisor.decide.generation.simulation import Machine, alone, over_runs, place_of, simulate, token_times, work_s
from advisor.decide.generation.space import Way
from advisor.decide.generation.traffic import made
from advisor.schema.workload import TokenSlo
from tests.generation_profiles import DECODE, PREFILL, Law, profile, visits, with_site

COSTS = Costs(np.array(PREFILL), np.array(DECODE), np.array([*DECODE, *PREFILL[1:]]))
# Two at once take less than twice one, and so do five: libraries change their ways with the batch.
UNEVEN = COSTS._replace(
    decode_extra=np.array([0.0, 0.0, 4e-3, 4e-3, 3e-3, -1e-3]), mixed_extra=np.array([0.0, -2e-3, 4e-3, 4e-3, 3e-3])
)
# A step is wide enough for its weights with fifty tokens; narrower ones wait for these.
TOKENS = np.arange(129)
WIDE = Costs(
    *(np.array(PREFILL), np.array(DECODE), np.array([1e-3, 5e-4, DECODE[2], 4e-4, PREFILL[2]])),
    mixed_extra=np.append(0.0, 2e-2 - 4e-4 * TOKENS[1:9]),
    token_extra=np.maximum(2e-2 - 4e-4 * TOKENS, 0.0),
)
STEADY = Machine(np.ones(1), None, 1)
LAW = Law()


def way(running=4, policy="prefill_first", chunk=None, kv=100_000):
    return Way(
        variant="fp32", intra_op_num_threads=1, max_running_requests=running, policy=policy, chunk_tokens=chunk, kv_tokens=kv
    )


def load_of(count, gap_s, *, seed=0, prefix=0):
    random = np.random.default_rng(seed)
    return made(
        np.cumsum(random.exponential(gap_s, count)) if gap_s else np.zeros(count),
        random.integers(prefix + 1, 300, count),
        random.integers(1, 30, count),
        shared_prefix=prefix,
    )


WAYS = st.sampled_from([way(), way(1), way(8, "chunked", 64), way(8, "mixed", 128), way(3, "mixed", 64, kv=400)])


def test_a_request_that_is_alone_takes_what_the_law_says():
    load = made(np.array([0.0, 100.0]), np.array([100, 200]), np.array([11, 1]), shared_prefix=0)

    run = simulate(load, way(), COSTS, STEADY, 0)

    np.testing.assert_allclose(run.ttft_s, [LAW.prefill_s(100), LAW.prefill_s(200)])
    assert np.mean([LAW.decode_s(1, 100 + step) for step in range(10)]) == pytest.approx(run.tpot_s[0])
    assert [True, False] == run.has_later.tolist()
    np.testing.assert_allclose(run.latency_s, run.ttft_s + run.tpot_s * [10, 0])


def test_the_way_to_an_engine_and_steps_that_it_has_planned_come_on_top_of_the_first_token():
    load = load_of(40, 0.05)
    inside = simulate(load, way(), COSTS, STEADY, 0)

    run = simulate(load, way(), COSTS._replace(outside_s=0.5, planned_steps=2.0), STEADY, 0)

    above_s = 0.5 + 2.0 * inside.tpot_s[inside.has_later].mean()
    np.testing.assert_allclose(run.ttft_s, inside.ttft_s + above_s)
    np.testing.assert_allclose(run.latency_s, inside.latency_s + above_s)
    np.testing.assert_array_equal(run.tpot_s, inside.tpot_s)


@settings(max_examples=40)
@given(
    WAYS,
    st.integers(0, 1000),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from([0, 20]),
    st.sampled_from([COSTS, UNEVEN, WIDE]),
)
def test_no_request_is_served_sooner_than_alone_and_no_replica_works_less_than_the_bound(which, seed, gap_s, prefix, costs):
    load = load_of(40, gap_s, seed=seed, prefix=prefix)
    run, least = simulate(load, which, costs, STEADY, 0), alone(load, which, costs)

    assert (run.ttft_s >= least.ttft_s * (1 - 1e-9)).all()
    assert (run.tpot_s[run.has_later] >= least.tpot_s[run.has_later] * (1 - 1e-9)).all()
    assert (run.latency_s >= least.latency_s * (1 - 1e-9)).all()
    span_s = len(load.input_tokens) / run.requests_per_s
    assert run.utilization * span_s >= work_s(load, which, costs) * 40 * (1 - 1e-9)


def test_a_cached_prefix_is_not_read_again():
    whole, cached = (
        made(np.array([0.0, 50.0]), np.array([200, 200]), np.array([2, 2]), shared_prefix=prefix) for prefix in (0, 150)
    )

    without, with_it = (simulate(load, way(), COSTS, STEADY, 0).ttft_s for load in (whole, cached))

    np.testing.assert_allclose(without, LAW.prefill_s(200))
    np.testing.assert_allclose(with_it, [LAW.prefill_s(200), LAW.prefill_s(50, 150)])


def test_what_is_kept_counts_all_targets_together():
    load = load_of(200, 0.05)
    run = simulate(load, way(), COSTS, STEADY, 0)
    ttft, tpot = run.reached(0.5)[:2]
    both, first = run.kept_fraction(TokenSlo(ttft_s=ttft, tpot_s=tpot)), run.kept_fraction(TokenSlo(ttft_s=ttft))

    assert 0.5 <= first < 0.6
    assert both <= first
    assert (True, False, False) == run.reached(0.9).late(TokenSlo(ttft_s=ttft))


def test_clients_that_wait_for_their_answers_never_overrun_a_replica():
    load = load_of(100, 0.0)._replace(clients=3, think_s=0.5)

    run = simulate(load, way(8), COSTS, STEADY, 0)

    assert run.running_requests + run.waiting_requests <= 3
    assert len(run.ttft_s) == 97


def test_the_interval_over_runs_leaves_one_in_twenty_out_at_each_end():
    found = over_runs(list(range(20)), "simulated", "a test")

    assert (1, 9.5, 18) == (found.low, found.value, found.high)
    assert [1, 10, 18, 19] == [place_of(confidence) for confidence in (0.05, 0.5, 0.95, 1.0)]


def test_requests_of_one_token_each_have_no_tpot():
    load = made(np.zeros(3), np.array([10, 20, 30]), np.ones(3), shared_prefix=0)

    found = token_times([simulate(load, way(), COSTS, STEADY, 0)], 0.9, replicas=1, basis="simulated", source="a test")

    assert found.tpot_s is None
    assert found.itl_s is None
    assert found.latency_s == found.ttft_s


def test_steps_of_some_batches_that_lie_off_the_law_are_simulated_as_they_were_measured():
    measured = profile()
    quick_alone = tuple(
        replace(point, visits=visits(0.6 * LAW.decode_s(1, point.context_tokens), (1.0, 1.0, 1.0), (1.0,)))
        if point.batch_size == 1
        else point
        for point in measured.sites[0].decode
    )
    times = step_times(with_site(measured, decode=quick_alone).sites[0])["fp32", 1]
    load = made(np.array([0.0, 100.0]), np.array([500, 500]), np.array([41, 41]), shared_prefix=0)

    alone_s = simulate(load, way(), times.costs(None), STEADY, 0).tpot_s
    together_s = simulate(load._replace(arrival_s=np.zeros(2)), way(2), times.costs(None), STEADY, 0).tpot_s

    assert 0.6 * LAW.decode_s(1, 520) == pytest.approx(alone_s[0], rel=0.02)
    assert LAW.decode_s(2, 1040) == pytest.approx(together_s[1], rel=0.05)
    assert (times.costs(None).fixed_s("chunked", 8) == np.maximum.accumulate(times.costs(None).fixed_s("chunked", 8))).all()
