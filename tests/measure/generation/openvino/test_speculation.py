"""Prompt lookup, off and on: the same tokens, and what that does to the time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.measure.generation.openvino.speculation import (
    ASK_TO_COPY,
    BEGUN_TOKENS,
    COPY_BEGINS,
    FEWEST_ROUNDS,
    Pair,
    Run,
    copying_prompts,
    free_prompts,
    open_engines,
    pairs,
    pieces,
    run,
    speculation,
    tried,
)
from tests.decoders import LLAMA


def encode(text):
    return [ord(letter) % LLAMA["vocab_size"] for letter in text]


def made(seconds, tpot_s, tokens_per_step=1.0):
    return Run(seconds, tpot_s, tokens_per_step, ((1, 2),))


def test_the_record_says_what_the_pairs_show():
    found = [
        Pair(made(8.0, 0.2), made(4.0, 0.1, 2.0)),
        Pair(made(2.0, 0.4), made(1.0, 0.2, 2.0)),
        Pair(made(6.0, 0.8), made(3.0, 0.4, 2.0)),
    ]

    record = speculation(found, text="copying", running=8, proposed_tokens=4, clock="cpu")

    assert ("copying", 8, 4) == (record.text, record.running_requests, record.proposed_tokens)
    assert 2.0 == pytest.approx(record.speedup.value)
    assert record.speedup.low == pytest.approx(record.speedup.high)  # both went up and down together
    assert 2.0 == pytest.approx(record.tokens_per_step.value)
    assert (0.4, 0.2) == (pytest.approx(record.tpot_off_s.value), pytest.approx(record.tpot_on_s.value))
    assert record.tpot_off_s.low < 0.4 < record.tpot_off_s.high
    assert "3 pairs of runs of 8 requests" in record.speedup.source


@given(st.lists(st.floats(0.2, 5.0), min_size=3, max_size=8))
def test_turned_round_the_speedup_is_the_inverse_with_its_interval(ratios):
    there = [Pair(made(ratio, 1.0), made(1.0, 1.0)) for ratio in ratios]
    back = [Pair(pair.on, pair.off) for pair in there]

    one, other = (
        speculation(listed, text="free", running=1, proposed_tokens=4, clock="wall").speedup for listed in (there, back)
    )

    assert math.isclose(one.value, 1 / other.value)
    assert math.isclose(one.low, 1 / other.high)
    assert one.low <= one.value <= one.high


def test_a_copying_prompt_holds_its_piece_and_how_the_copy_begins():
    document = np.arange(90, dtype=np.int64)

    prompt = copying_prompts(document, encode, count=1, tokens=30)[0].tolist()

    assert encode(ASK_TO_COPY) + list(range(30)) + encode(COPY_BEGINS) + list(range(BEGUN_TOKENS)) == prompt


def test_pieces_are_spread_over_all_of_the_text():
    document = np.arange(100, dtype=np.int64)

    assert [(0, 9), (45, 54), (90, 99)] == [(piece[0], piece[-1]) for piece in pieces(document, count=3, tokens=10)]
    assert [piece.tolist() for piece in free_prompts(document, count=3, tokens=10)] == [
        piece.tolist() for piece in pieces(document, count=3, tokens=10)
    ]


def test_a_text_shorter_than_a_piece_is_refused():
    with pytest.raises(InputError, match="the text has 9 tokens, and trying speculation takes 10"):
        pieces(np.zeros(9, dtype=np.int64), count=2, tokens=10)


@pytest.fixture
def engines(written):
    """Return the engine without and with lookup."""
    pytest.importorskip("openvino_genai")
    found = open_engines(written, threads=1, most_running=3, longest_prompt=48, output_tokens=24)
    with found.off, found.on:
        yield found


def test_both_give_the_same_tokens_and_lookup_gives_several_a_step(engines, prompts):
    ticks = iter(range(10**6))
    listed = [np.tile(prompt, 3)[:40] for prompt in (*prompts, *prompts[::-1])]

    found = list(pairs(engines, listed, running=3, output_tokens=24, rounds=4, clock=lambda: float(next(ticks))))

    assert [pair.off.tokens for pair in found] == [pair.on.tokens for pair in found]
    assert all(1.0 == pair.off.tokens_per_step < pair.on.tokens_per_step for pair in found)
    # By a clock of steps, every step costs the same: what lookup saves is steps.
    assert all(pair.off.seconds >= pair.on.seconds and pair.off.tpot_s > pair.on.tpot_s for pair in found)


def test_a_run_counts_seconds_from_its_first_step_to_its_last(engines, prompts):
    ticks = iter(range(10**6))

    found = run(engines[0], prompts[:2], 5, lambda: float(next(ticks)))

    assert (5.0, 1.0, 1.0) == (found.seconds, found.tpot_s, found.tokens_per_step)
    assert [5, 5] == [len(tokens) for tokens in found.tokens]


@pytest.mark.parametrize(("running", "output_tokens", "rounds"), [(1, 8, 2), (2, 8, 3), (1, 1, 3)])
def test_too_little_to_compare_is_refused(running, output_tokens, rounds, engines, prompts):
    with pytest.raises(InputError, match="too few to compare"):
        list(pairs(engines, prompts[:5], running=running, output_tokens=output_tokens, rounds=rounds, clock=float))


def test_prompts_that_are_too_long_are_refused_when_the_engine_is_opened(written):
    pytest.importorskip("openvino_genai")

    with pytest.raises(InputError, match="4 proposed beside"):
        open_engines(written, threads=1, most_running=1, longest_prompt=150, output_tokens=24)


class Ticking:
    """A clock that goes on by as much whenever it is read."""

    def __init__(self, step_s):
        self.now_s, self.step_s = -step_s, step_s

    def __call__(self):
        self.now_s += self.step_s
        return self.now_s


def lookups(engines, prompts, step_s, **asked):
    given = {"text": "copying", "running": 1, "output_tokens": 4, "seconds": 0.0, "most_s": 1e9, "now": Ticking(step_s)}
    return tried(engines, prompts, **(given | asked))


def test_as_many_rounds_are_made_as_there_is_time_and_prompts_for(engines, prompts):
    listed = [*prompts, *prompts]

    fewest, some, most = (lookups(engines, listed, 1.0, seconds=seconds) for seconds in (0.0, 5.0, 1e6))

    counts = [found.speedup.source.split(", ")[2].split()[0] for found in (fewest, some, most)]
    assert [str(FEWEST_ROUNDS), "5", "8"] == counts
    assert {4} == {found.proposed_tokens for found in (fewest, some, most)}


def test_where_even_the_fewest_rounds_take_too_long_nothing_is_said(engines, prompts):
    assert lookups(engines, prompts, 10.0, most_s=29.0) is None
    assert lookups(engines, prompts, 10.0, most_s=30.0) is not None
