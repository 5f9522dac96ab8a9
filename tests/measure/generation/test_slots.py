"""Rows of a cache: whoever leaves, the others keep their own tokens, and run in the first rows without a gap."""

import numpy as np
import pytest

from advisor.measure.generation.slots import Slots
from tests.fake_decoder import FakeDecoder


def prompt(*tokens):
    return np.array(tokens, dtype=np.int64)


def running(decoder, outputs):
    """Return slots with one request read for each number of tokens that it is to get."""
    slots = Slots(decoder, decoder.slots)
    for request, output in enumerate(outputs):
        slots.take(request, prompt(10 + request, 20 + request), output)
        slots.read(None)
        slots.settle()
    return slots


@pytest.mark.parametrize("outputs", [[2, 9, 9, 9], [9, 2, 9, 2], [2, 2, 2, 9], [9, 9, 9, 2], [2, 2, 2, 2]])
def test_who_leaves_is_followed_by_the_last_rows_and_nobody_else_moves(outputs):
    decoder = FakeDecoder(slots=4)
    slots = running(decoder, outputs)
    moved = []
    move = decoder.move
    decoder.move = lambda source, target, tokens: (moved.append((source, target)), move(source, target, tokens))

    slots.decode()
    slots.settle()

    left = [request for request, output in enumerate(outputs) if output > 2]
    assert len(left) == slots.running
    assert sorted(left) == sorted(slots.decode().requests) if left else slots.is_empty
    assert all(target < len(left) <= source for source, target in moved)


def test_a_prompt_that_is_half_read_follows_the_rows_before_it():
    decoder = FakeDecoder(slots=4)
    slots = running(decoder, [2, 5, 2])
    slots.take(7, prompt(*range(1, 9)), 3)

    slots.read(3)
    slots.settle()
    slots.decode()
    slots.settle()
    slots.read(3)
    last = slots.read(3)

    assert 1 == slots.running
    assert int(FakeDecoder().prefill(prompt(*range(1, 9)), 0).argmax()) == last.token


def test_a_request_of_one_token_is_done_when_its_prompt_is_read():
    slots = running(FakeDecoder(), [1])

    assert slots.is_empty
    assert slots.has_room


def test_a_prompt_counts_as_running_while_it_is_read():
    slots = running(FakeDecoder(slots=2), [5])
    slots.take(1, prompt(1, 2, 3), 5)

    slots.read(1)

    assert not slots.has_room
    assert 1 == slots.running
