"""The loop that serves: first come, first served, tokens as each request gets them alone, and seconds as the simulation has them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.kernels import decode_sim
from advisor.measure.generation.replay import Requests, equals_alone, replay, sample_equals_alone, tokens_alone
from tests.fake_decoder import Costs, FakeClock, FakeDecoder

POLICIES = {"prefill_first": decode_sim.PREFILL_FIRST, "chunked": decode_sim.CHUNKED}
MOST_TOKENS = 64

lengths = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=24)


def requests_of(shapes, arrival_s=None, *, seed=0, **closed):
    random = np.random.default_rng(seed)
    prompts = [random.integers(0, 97, size=size, dtype=np.int64) for size, _ in shapes]
    outputs = [output for _, output in shapes]
    return Requests(prompts=prompts, output_tokens=outputs, arrival_s=arrival_s, **closed)


def served(requests, policy, *, max_running=3, chunk_tokens=8, costs=Costs()):  # noqa: B008 - a tuple
    clock = FakeClock()
    decoder = FakeDecoder(slots=max_running, max_tokens=MOST_TOKENS, clock=clock, costs=costs)
    chunk = chunk_tokens if policy == "chunked" else None
    return decoder, replay(decoder, requests, policy, max_running=max_running, chunk_tokens=chunk, clock=clock)


@given(
    lengths,
    st.lists(st.integers(0, 40), min_size=24, max_size=24),
    st.sampled_from(sorted(POLICIES)),
    st.integers(1, 5),
    st.integers(1, 9),
)
def test_a_replayed_request_gets_the_tokens_that_it_gets_alone(shapes, gaps, policy, max_running, chunk_tokens):
    arrival_s = (np.cumsum(gaps[: len(shapes)]) / 256).tolist()
    requests = requests_of(shapes, arrival_s)

    decoder, replayed = served(requests, policy, max_running=max_running, chunk_tokens=chunk_tokens)

    alone = [tokens_alone(decoder, prompt, count) for prompt, count in zip(requests.prompts, requests.output_tokens, strict=True)]
    assert alone == list(replayed.tokens)


@given(
    lengths,
    st.lists(st.integers(0, 40), min_size=24, max_size=24),
    st.sampled_from(sorted(POLICIES)),
    st.integers(1, 5),
    st.integers(1, 9),
)
def test_a_replay_takes_the_seconds_of_the_simulation(shapes, gaps, policy, max_running, chunk_tokens):
    arrival_s = np.cumsum(gaps[: len(shapes)]) / 256.0
    costs = Costs()

    _, replayed = served(requests_of(shapes, arrival_s.tolist()), policy, max_running=max_running, chunk_tokens=chunk_tokens)

    expected = simulated(shapes, costs, policy, max_running, chunk_tokens, arrival_s)
    np.testing.assert_allclose(replayed.first_s(), expected.first_token_s, rtol=1e-12)
    np.testing.assert_allclose(replayed.last_s(), expected.last_token_s, rtol=1e-12)
    assert expected.steps == len(replayed.steps)


@given(lengths, st.lists(st.integers(0, 40), min_size=24, max_size=24), st.sampled_from(sorted(POLICIES)), st.integers(1, 4))
def test_a_closed_loop_takes_the_seconds_of_the_simulation(shapes, thinking, policy, clients):
    think_s = np.array(thinking[: len(shapes)]) / 128.0

    _, replayed = served(requests_of(shapes, clients=clients, think_s=think_s.tolist()), policy)

    expected = simulated(shapes, Costs(), policy, 3, 8, np.zeros(len(shapes)), clients=clients, think_s=think_s)
    np.testing.assert_allclose(replayed.arrival_s, expected.arrived_s, rtol=1e-12)
    np.testing.assert_allclose(replayed.last_s(), expected.last_token_s, rtol=1e-12)


def simulated(shapes, costs, policy, max_running, chunk_tokens, arrival_s, **closed):
    inputs, outputs = (np.array(column, dtype=np.int64) for column in zip(*shapes, strict=True))
    return decode_sim.simulate(
        arrival_s,
        inputs,
        outputs,
        np.zeros(len(shapes), dtype=np.int64),
        prefill_cost=np.array(costs.prefill),
        decode_cost=np.array(costs.decode),
        policy=POLICIES[policy],
        max_running_requests=max_running,
        chunk_tokens=chunk_tokens,
        kv_tokens=max_running * 2 * MOST_TOKENS,
        step_factors=np.ones(1),
        **closed,
    )


def test_a_prompt_is_read_before_anybody_gets_another_token():
    decoder, _ = served(requests_of([(8, 4), (8, 4), (8, 4)], [0.0, 0.0, 0.0]), "prefill_first", max_running=2)

    assert ["prefill", "prefill", "decode"] == [kind for kind, _ in decoder.calls[:3]]


def test_a_chunk_of_a_prompt_goes_with_a_token_for_all_that_run():
    decoder, _ = served(requests_of([(8, 9), (32, 2)], [0.0, 0.001]), "chunked", max_running=2, chunk_tokens=8)

    kinds = [kind for kind, _ in decoder.calls]
    assert ["prefill", "decode"] * 5 == kinds[:10]
    assert 5 == kinds.count("prefill")


def test_a_request_that_comes_when_nobody_is_there_waits_for_nothing():
    _, replayed = served(requests_of([(8, 2), (8, 2)], [0.0, 100.0]), "prefill_first")

    first, second = replayed.ttft_s()
    assert first == pytest.approx(second)
    assert 100.0 == replayed.arrival_s[1]


def test_times_of_a_request_are_counted_as_users_do():
    _, replayed = served(requests_of([(8, 3), (4, 1)], [0.5, 0.5]), "prefill_first", max_running=1)

    first, *_, last = replayed.token_s[0]
    assert first - 0.5 == replayed.ttft_s()[0]
    assert [pytest.approx((last - first) / 2)] == replayed.tpot_s().tolist()
    assert 2 == len(replayed.itl_s())
    assert replayed.token_s[1][0] - 0.5 == replayed.latency_s()[1]


def test_the_log_holds_every_step_with_what_it_read():
    decoder, replayed = served(requests_of([(8, 3), (5, 4)], [0.0, 0.0]), "prefill_first")

    assert decoder.calls == [(step.kind, step.tokens) for step in replayed.steps]
    assert 8 + 5 == next(step.context_tokens for step in replayed.steps if step.batch_size == 2)
    assert sum(step.took_s for step in replayed.steps) == pytest.approx(replayed.duration_s)


def test_other_tokens_than_alone_are_found():
    decoder, replayed = served(requests_of([(8, 5), (6, 5)], [0.0, 0.0]), "prefill_first")
    requests = requests_of([(8, 5), (6, 5)])
    wrong = list(replayed.tokens[0])
    wrong[2] = (wrong[2] + 1) % 97

    assert sample_equals_alone(decoder, requests, replayed, sample=2, seed=0)
    assert not equals_alone(decoder, requests.prompts[0], wrong)


def test_tokens_that_rounding_may_swap_are_equal():
    class Undecided(FakeDecoder):
        def _likeliest(self, tokens):
            logits = super()._likeliest(tokens)
            logits[5] = logits.max() - 1e-5
            logits[6] = -9.0
            return logits

    decoder, prompt = Undecided(), np.arange(5)
    alone = tokens_alone(decoder, prompt, 4)

    assert equals_alone(decoder, prompt, [*alone[:3], 5])
    assert not equals_alone(decoder, prompt, [*alone[:3], 6])


@pytest.mark.parametrize(
    ("shapes", "policy", "named"),
    [
        ([(60, 6)], "prefill_first", "65 places of a cache of 64"),
        ([(4, 0)], "prefill_first", "0 to write"),
        ([(0, 4)], "prefill_first", "0 tokens to read"),
        ([], "prefill_first", "no requests"),
        ([(4, 4)], "mixed", "cannot read prompts and decode in one call"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(shapes, policy, named):
    with pytest.raises(InputError, match=named):
        served(requests_of(shapes, [0.0] * len(shapes)), policy)


def test_a_request_that_fills_its_row_to_the_last_place_is_served():
    _, replayed = served(requests_of([(60, 5)], [0.0]), "prefill_first")

    assert 5 == len(replayed.tokens[0])


def test_more_running_requests_than_rows_are_refused():
    with pytest.raises(InputError, match="5 running requests: the cache has 4 rows"):
        replay(FakeDecoder(slots=4), requests_of([(4, 4)], [0.0]), "prefill_first", max_running=5, clock=FakeClock())


def test_chunks_need_a_size():
    with pytest.raises(InputError, match="no size of a chunk"):
        replay(FakeDecoder(), requests_of([(4, 4)], [0.0]), "chunked", max_running=2, clock=FakeClock())
