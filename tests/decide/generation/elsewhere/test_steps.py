"""Steps with a draft: what the simulation is told adds up to what the engine does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.generation.elsewhere.space import Way
from advisor.decide.generation.elsewhere.speculation import by_requests, draft_share
from advisor.decide.generation.elsewhere.steps import Drafted, ascending, with_draft
from advisor.decide.generation.service.step_time import Costs
from advisor.decide.generation.simulation import Machine, simulate, work_of
from advisor.decide.generation.traffic import made
from tests.elsewhere_models import DENSE, Steps, device

MOST = 64
STEADY = Machine(np.ones(1), None, 1)


def steps_of(model=DENSE):
    return Steps(model, device(), tensor_parallel=1, weights=model.weights, kv="bf16")


def plain_costs(steps=None):
    return (steps or steps_of()).costs(None, longest_context=4096, max_running=MOST, token_budget=2048, kv_tokens=None)


def drafted(draft_tokens, gives, context=500.0, steps=None):
    steps = steps or steps_of()
    share = draft_share(steps, MOST, context, draft_tokens)
    ratio = by_requests(steps, MOST, context, draft_tokens)
    return Drafted(draft_tokens, share, gives, ratio, context, 400.0)


@given(st.lists(st.floats(-1e-3, 5e-3), min_size=2, max_size=20), st.lists(st.floats(0, 1e-2), min_size=2, max_size=60))
def test_no_step_is_quicker_than_one_that_does_less(extra, token_extra):
    costs = Costs(
        np.ones(3),
        np.ones(3),
        np.array([1e-2, 1e-4, 0.0, 2e-4, 0.0]),
        np.zeros(1),
        np.array([0.0, *extra]),
        np.array(token_extra),
    )
    found = ascending(costs)
    a, b, _, d, _ = costs.mixed
    most = len(extra)
    decoding = a + b * np.arange(1, most + 1) + found.mixed_extra[1:]

    assert (np.diff(decoding) >= -1e-12).all()
    for requests in range(1, most + 1):
        for width in range(requests, len(token_extra)):
            reading = a + b * requests + d * (width - requests) + found.token_extra[width]
            assert reading >= decoding[requests - 1] - 1e-12


def test_costs_that_ascend_already_stay_as_they_are():
    costs = plain_costs()
    found = ascending(costs)

    np.testing.assert_allclose(found.mixed_extra, costs.mixed_extra, atol=1e-12)
    np.testing.assert_allclose(found.token_extra[1:], costs.token_extra[1:], atol=1e-12)


@pytest.mark.parametrize(("draft_tokens", "gives"), [(1, 1.0), (3, 2.9), (5, 6.0)])
def test_a_draft_costs_its_verification_and_its_making_over_the_tokens_that_it_gives(draft_tokens, gives):
    steps = steps_of()
    context = 500.0
    requests = np.arange(1, MOST + 1)
    found = with_draft(plain_costs(), drafted(draft_tokens, gives, context))
    a, b, c, _, _ = found.mixed
    whole_s = gives * (a + b * requests + found.mixed_extra[1:] + c * context * requests)
    cached = requests * context

    expected = steps.verify_s(requests, cached, draft_tokens) + steps.draft_s(requests, cached, draft_tokens)

    powers = np.isin(requests, [1, 2, 4, 8, 16, 32, 64])
    np.testing.assert_allclose(whole_s[powers], expected[powers], rtol=1e-6)


def test_a_request_with_a_draft_gets_its_tokens_sooner_where_it_is_alone():
    load = made(np.array([0.0]), np.array([400]), np.array([200]), shared_prefix=0)
    way = Way(max_running_requests=8, token_budget=2048, chunk_tokens=2048, kv_tokens=10_000)

    plain = simulate(load, way, ascending(plain_costs()), STEADY, 0)
    faster = simulate(load, way, with_draft(plain_costs(), drafted(3, 2.9)), STEADY, 0)

    assert faster.tpot_s[0] < 0.6 * plain.tpot_s[0]
    assert faster.ttft_s[0] == pytest.approx(plain.ttft_s[0], rel=0.5)
    assert faster.ttft_s[0] >= plain.ttft_s[0]


@settings(max_examples=20)
@given(st.integers(0, 100), st.sampled_from([0.0, 0.02, 0.2]), st.booleans())
def test_no_replica_works_less_than_the_bound(seed, gap_s, has_draft):
    random = np.random.default_rng(seed)
    arrival_s = np.cumsum(random.exponential(gap_s, 60)) if gap_s else np.zeros(60)
    load = made(arrival_s, random.integers(1, 1500, 60), random.integers(1, 60, 60), shared_prefix=0)
    way = Way(max_running_requests=32, token_budget=512, chunk_tokens=256 if has_draft else 512, kv_tokens=200_000)
    costs = ascending(plain_costs())
    costs = with_draft(costs, drafted(3, 2.0)) if has_draft else costs

    run = simulate(load, way, costs, STEADY, 0)
    busy_s = run.utilization * len(load.input_tokens) / run.requests_per_s

    assert busy_s >= 60 * work_of(load).seconds(way, costs) * (1 - 1e-9)
