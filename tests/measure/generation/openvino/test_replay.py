"""Requests served by OpenVINO's engine: as they come, as many as may run, and each with the tokens that it gets alone."""

import itertools

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.generation.openvino.engine import open_engine
from advisor.measure.generation.openvino.replay import is_equal, sample_equals_alone, serve, tokens_alone
from advisor.measure.generation.replay import Requests
from tests.decoders import BUDGET_TOKENS, MAX_RUNNING

OUTPUTS = (5, 3, 7, 1, 4, 6)


class Ticks:
    """A clock that goes on by a tick whenever it is asked; waiting is skipped."""

    kind = "cpu"

    def __init__(self, tick_s=0.001):
        self._now_s, self._tick_s = 0.0, tick_s

    def now_s(self):
        self._now_s += self._tick_s
        return self._now_s

    def wait_until(self, moment_s):
        self._now_s = max(self._now_s, moment_s)


def arriving(prompts, gap_s):
    return Requests(prompts, OUTPUTS, [gap_s * number for number in range(len(prompts))])


@pytest.mark.parametrize("gap_s", [0.0, 0.004, 1.0])
def test_every_request_gets_the_tokens_that_it_gets_alone(gap_s, engine, plain, prompts):
    requests = arriving(prompts, gap_s)

    served = serve(engine, requests, clock=Ticks())

    assert sample_equals_alone(engine, plain, requests, served.replayed, sample=len(prompts), seed=1)
    alone = [tokens_alone(engine, prompt, output) for prompt, output in zip(prompts, OUTPUTS, strict=True)]
    assert alone == list(served.replayed.tokens)


def test_tokens_come_after_the_arrival_and_in_order(engine, prompts):
    replayed = serve(engine, arriving(prompts, 0.004), clock=Ticks()).replayed

    assert all(replayed.ttft_s() > 0)
    assert list(OUTPUTS) == [len(times) for times in replayed.token_s]
    assert all(earlier <= later for times in replayed.token_s for earlier, later in itertools.pairwise(times))


def test_first_come_first_served(engine, prompts):
    replayed = serve(engine, arriving(prompts, 0.0), clock=Ticks()).replayed

    assert list(replayed.first_s()) == sorted(replayed.first_s())


def test_the_log_has_every_token_of_every_prompt_and_answer(engine, prompts):
    served = serve(engine, arriving(prompts, 0.004), clock=Ticks())

    held = [step.held for step in served.steps]
    assert sum(map(len, prompts)) == sum(each.prompt_tokens for each in held)
    assert sum(OUTPUTS) - len(prompts) == sum(each.batch_size for each in held)
    assert all(each.batch_size + each.prompt_tokens <= BUDGET_TOKENS for each in held)
    assert all(each.batch_size + len(each.prompts) <= MAX_RUNNING for each in held)
    assert any(each.batch_size and each.prompts for each in held)


def test_idle_time_is_no_step(engine, prompts):
    served = serve(engine, arriving(prompts, 10.0), clock=Ticks())

    assert served.replayed.duration_s > 50
    assert all(step.took_s < 1 for step in served.steps)


def test_clients_ask_again_when_they_are_answered(engine, prompts):
    requests = Requests(prompts, OUTPUTS, None, clients=1, think_s=(0.0, 5.0, 0.0, 0.0, 0.0, 0.0))

    replayed = serve(engine, requests, clock=Ticks()).replayed

    waits = np.array(replayed.arrival_s[1:]) - replayed.last_s()[:-1]
    np.testing.assert_allclose([5.0, 0.0, 0.0, 0.0, 0.0], waits, atol=1e-9)


def test_another_token_is_no_equal_unless_the_two_are_a_tie(plain, prompts):
    logits = plain.logits(prompts[1])[-1]
    first, second = np.argsort(logits)[::-1][:2].tolist()

    assert is_equal(plain, prompts[1], (first, 1), (first, 1))
    assert not is_equal(plain, prompts[1], (first, 1), (second, 1))

    class Tied:
        def logits(self, tokens):
            return np.tile(np.where(np.arange(len(logits)) == second, logits[first] - 1e-6, logits), (len(tokens), 1))

    assert is_equal(Tied(), prompts[1], (first, 1), (second, 5))


@pytest.mark.parametrize(
    ("requests", "fault"),
    [
        (Requests([], [], []), "there are no requests"),
        (Requests([np.zeros(3, dtype=np.int64)], [0], [0.0]), "request 1: 3 tokens to read and 0 to write"),
        (Requests([np.zeros(0, dtype=np.int64)], [2], [0.0]), "request 1: 0 tokens to read and 2 to write"),
        (Requests([np.zeros(150, dtype=np.int64)], [20], [0.0]), "request 1: .* more than the 160 a request"),
    ],
)
def test_what_cannot_be_served_is_refused(requests, fault, engine):
    with pytest.raises(InputError, match=fault):
        serve(engine, requests, clock=Ticks())


def test_requests_that_the_cache_may_not_hold_side_by_side_are_refused(written, prompts):
    pytest.importorskip("openvino_genai")
    requests = Requests(prompts[:3], [20, 20, 20], [0.0, 0.0, 0.0])

    engine = open_engine(written, threads=1, max_running=2, budget_tokens=16, kv_tokens=96)
    with engine, pytest.raises(InputError, match=r"2 of these requests .* may take 97 tokens, and the cache holds 96"):
        serve(engine, requests, clock=Ticks())
