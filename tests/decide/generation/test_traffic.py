"""Requests with tokens: as the workload has them, within the context, the same for every candidate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.generation.traffic import Effort, TokenDemand
from advisor.errors import InputError
from advisor.schema.arrays.trace import Requests
from advisor.schema.workload import SequenceLength, Tokens
from tests.generation_profiles import SMALL, tokens, workload

MANY = Effort(beyond_quantile=20, least_requests=20_000, most_requests=20_000, seeds=2)


def demand(asked, recorded=None, *, context=2048, effort=SMALL):
    return TokenDemand(asked, recorded, context_tokens=context, effort=effort)


def recorded(count=300, *, inputs=(50, 200), outputs=(1, 40), seed=0):
    random = np.random.default_rng(seed)
    return Requests(
        arrival_s=np.cumsum(random.exponential(0.5, count)),
        input_tokens=random.integers(*inputs, count),
        output_tokens=random.integers(*outputs, count),
    )


def test_lengths_are_those_of_the_law():
    load = demand(workload(brings=tokens(200, 50)), context=10_000, effort=MANY).load(0, 1)

    for lengths, p50 in ((load.input_tokens, 200), (load.output_tokens, 50)):
        assert p50 == pytest.approx(np.quantile(lengths, 0.5), rel=0.05)
        assert 2 * p50 == pytest.approx(np.quantile(lengths, 0.95), rel=0.05)


@given(st.integers(1, 900), st.integers(1, 100), st.floats(1.0, 8.0))
def test_no_request_is_longer_than_the_context_or_has_no_token(p50_in, p50_out, spread):
    load = demand(workload(brings=tokens(p50_in, p50_out, spread=spread)), context=1024).load(0, 1)

    assert (load.input_tokens + load.output_tokens).max() <= 1024
    assert min(load.input_tokens.min(), load.output_tokens.min()) >= 1
    assert (load.prefix_hit_tokens < load.input_tokens).all()


def test_a_limit_cuts_the_law():
    load = demand(workload(brings=tokens(200, 50, input_max=220, output_max=60))).load(0, 1)

    assert (220, 60) == (load.input_tokens.max(), load.output_tokens.max())


def test_the_share_that_the_context_cuts_is_named():
    notes = demand(workload(brings=tokens(500, 100, spread=4.0)), context=1024).notes
    # Of a lognormal law the share is known but for the sum of two: between a tenth and a third here.
    share = float(notes[0].split(" %")[0])

    assert "1,024 tokens" in notes[0]
    assert 10 < share < 33
    assert () == demand(workload()).notes


def test_prompts_beyond_the_context_are_refused_with_the_numbers():
    with pytest.raises(
        InputError, match=r"4,000 tokens and an answer of 30 \(p50\) take 4,030, and the context of the model is 2,048"
    ):
        demand(workload(brings=tokens(4000)))


def test_recorded_prompts_beyond_the_context_are_refused_with_the_numbers():
    with pytest.raises(InputError, match=r"traffic\.trace: a prompt of 3,\d{3} tokens"):
        demand(workload(None), recorded(inputs=(3000, 3900)))


def test_a_trace_without_lengths_is_refused_where_the_workload_has_none():
    times = Requests(arrival_s=np.arange(10.0), input_tokens=None, output_tokens=None)

    with pytest.raises(InputError, match="no lengths in tokens"):
        demand(replace(workload(None), tokens=None), times)
    assert 10 == len(demand(workload(None), times).load(0, 1).input_tokens)


@pytest.mark.parametrize("column", ["input_tokens", "output_tokens"])
def test_recorded_requests_without_a_token_are_refused_with_their_number(column):
    none = recorded()
    changed = getattr(none, column).copy()
    changed[[3, 7]] = 0

    with pytest.raises(InputError, match=rf"{column}: 2 of 300 requests have no token"):
        demand(workload(None), replace(none, **{column: changed}))


def test_a_law_of_no_tokens_is_refused():
    nothing = Tokens(input=SequenceLength(p50=10), output=SequenceLength(p50=0))

    with pytest.raises(InputError, match=r"tokens\.output\.p50: 0"):
        demand(workload(brings=nothing))


def test_a_prefix_that_is_longer_than_prompts_is_refused():
    with pytest.raises(InputError, match=r"shared_prefix: 100"):
        demand(workload(brings=tokens(100, shared_prefix=100)))


def test_all_but_the_first_prompt_find_the_shared_prefix_cached():
    load = demand(workload(brings=tokens(100, shared_prefix=40))).load(1, 2)

    assert 0 == load.prefix_hit_tokens[0]
    assert (np.minimum(40, load.input_tokens - 1)[1:] == load.prefix_hit_tokens[1:]).all()


def test_recorded_requests_come_as_they_were_recorded():
    trace = recorded()
    load = demand(workload(None), trace).load(3, 1)

    np.testing.assert_allclose(load.arrival_s, trace.arrival_s - trace.arrival_s[0])
    np.testing.assert_array_equal(load.input_tokens, trace.input_tokens)
    np.testing.assert_array_equal(load.output_tokens, trace.output_tokens)


def test_a_replica_gets_its_part_of_the_recorded_requests_whole():
    trace = recorded(400)
    load = demand(workload(None), trace).load(0, 4)
    known = set(zip(trace.arrival_s - trace.arrival_s[0], trace.input_tokens, trace.output_tokens, strict=True))

    assert set(zip(load.arrival_s, load.input_tokens, load.output_tokens, strict=True)) <= known
    assert 100 == pytest.approx(len(load.arrival_s), rel=0.4)


def test_denser_traffic_has_the_same_requests():
    asked = demand(workload())
    thin, dense = asked.load(0, 1), asked.load(0, 1, scale=2.0)

    np.testing.assert_allclose(thin.arrival_s, 2 * dense.arrival_s)
    np.testing.assert_array_equal(thin.input_tokens, dense.input_tokens)


def test_clients_are_shared_among_replicas():
    asked = demand(workload(None, clients=7, think_s=2.0))

    assert [7, 4, 3, 1] == [asked.load(0, replicas).clients for replicas in (1, 2, 3, 7)]
    assert 2.0 == asked.load(0, 1).think_s
    assert asked.requests_per_s is None


@pytest.mark.parametrize("more", [{}, {"burstiness_cv": 3.0}, {"diurnal": (1.0, 3.0)}])
def test_requests_come_at_the_rate_that_was_asked_for(more):
    load = demand(workload(4.0, **more), effort=MANY).load(0, 2)

    assert 2.0 == pytest.approx(len(load.arrival_s) / load.arrival_s[-1], rel=0.1)


def test_the_same_seed_gives_the_same_requests():
    first, second = (demand(workload()).load(1, 3) for _ in range(2))

    for ours, theirs in zip(first[:4], second[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_of_a_long_trace_the_first_requests_are_simulated_and_that_is_said():
    asked = demand(workload(None), recorded(500))

    assert 400 == len(asked.load(0, 1).input_tokens)
    assert any("of the 500 recorded requests the first 400" in note for note in asked.notes)
    assert () == demand(workload(None), recorded(300)).notes


def test_runs_of_long_answers_have_fewer_requests_but_as_many_as_the_quantile_needs():
    effort = Effort(beyond_quantile=200, needed_beyond=20, least_requests=100, most_requests=4000, most_tokens=20_000)

    short, long, longest = (
        demand(workload(brings=tokens(50, output)), context=10_000, effort=effort).requests for output in (2, 30, 1000)
    )

    assert 2000 == short
    assert 200 < long < 800
    assert 200 == longest
