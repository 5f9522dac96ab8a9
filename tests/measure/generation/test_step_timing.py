"""Steps, timed: the points span what the workload asks, and a visit holds what the steps really took."""

from itertools import pairwise

import pytest

from advisor.measure.generation.clock import Laps
from advisor.measure.generation.step_timing import (
    Bench,
    Decode,
    Lengths,
    Prefill,
    by_cost,
    decode_steps,
    expected_call_s,
    prefill_steps,
    rank,
    tell_all,
)
from tests.fake_decoder import Costs, FakeClock, FakeDecoder

LENGTHS = Lengths(shortest=16, usual=64, longest=400, context=480, chunk=128)


def bench(**settings):
    clock = FakeClock()
    decoder = FakeDecoder(clock=clock, **settings)
    return Bench(decoder, 1, laps=laps_of(clock)), decoder


def laps_of(clock):
    """Return what makes laps on a fake clock, of whose time half was computed."""
    return lambda threads: Laps(threads, wall=clock.now_s, cpu=lambda: clock.now_s() / 2)


@pytest.mark.parametrize("running", [1, 2, 3, 8, 12, 32])
def test_ten_to_twenty_points_tell_a_setting(running):
    prefills, decodes = prefill_steps(LENGTHS), decode_steps(running, LENGTHS)

    assert len({*prefills, *decodes}) == len(prefills) + len(decodes) <= 20
    assert len(prefills) + len(decodes) >= (10 if running > 3 else 7)


def test_prompts_are_of_three_lengths_or_more_and_one_is_read_behind_others():
    prefills = prefill_steps(LENGTHS)

    lengths = [step.tokens for step in prefills if not step.past_tokens]
    assert len(lengths) >= 3
    assert (16, 400) == (min(lengths), max(lengths))
    assert [Prefill(tokens=128, past_tokens=352)] == [step for step in prefills if step.past_tokens]


@pytest.mark.parametrize("running", [1, 3, 8, 32])
def test_every_batch_is_timed_at_two_contexts(running):
    decodes = decode_steps(running, LENGTHS)

    sizes = sorted({step.batch_size for step in decodes})
    assert (1, running) == (sizes[0], sizes[-1])
    assert all(larger <= 2 * size for size, larger in pairwise(sizes))
    assert all(2 == sum(step.batch_size == size for step in decodes) for size in sizes)


@pytest.mark.parametrize(
    "lengths",
    [Lengths(1, 1, 1, 1, 128), Lengths(5, 5, 5, 6, 128), Lengths(3, 100, 100, 101, 128), Lengths(8, 900, 2000, 2047, 128)],
)
def test_no_point_is_beyond_the_longest_request(lengths):
    for step in (*prefill_steps(lengths), *decode_steps(4, lengths)):
        if isinstance(step, Prefill):
            assert 1 <= step.tokens
            assert step.tokens + step.past_tokens <= max(2, lengths.longest, lengths.context)
        else:
            assert step.batch_size <= step.context_tokens <= step.batch_size * lengths.context


def test_a_visit_holds_what_its_steps_took_by_both_clocks():
    subject, decoder = bench(costs=Costs(decode=(0.5, 0.25, 0.0)))

    visit = subject.visit(Decode(batch_size=2, context_tokens=6), 4, seconds=2.5, warm_up_calls=1)

    assert 4 == visit.order
    assert (1.0,) * 3 == visit.wall_s
    assert (0.5,) * 3 == visit.cpu_s
    assert [("decode", 2)] * 4 == decoder.calls


def test_a_visit_is_one_step_at_the_least():
    subject, _ = bench(costs=Costs(prefill=(60.0, 0.0, 0.0)))

    assert 1 == len(subject.visit(Prefill(tokens=4), 0, seconds=0.0, warm_up_calls=0).wall_s)


def test_requests_of_a_step_share_the_context():
    subject, decoder = bench()
    cached = []
    decode = decoder.decode
    decoder.decode = lambda tokens, places: (cached.append(places.tolist()), decode(tokens, places))[1]

    subject.visit(Decode(batch_size=3, context_tokens=11), 0, seconds=0.0, warm_up_calls=0)

    assert [[4, 4, 3]] == cached


def test_cheap_steps_are_made_first():
    listed = by_cost(
        [
            Prefill(tokens=400),
            Decode(batch_size=8, context_tokens=3840),
            Prefill(tokens=16),
            Decode(batch_size=1, context_tokens=16),
        ]
    )

    assert Decode(batch_size=1, context_tokens=16) == listed[0]
    assert [Prefill(tokens=16), Prefill(tokens=400)] == listed[2:]


def test_what_a_step_takes_is_expected_from_those_of_its_kind():
    known = {
        Prefill(tokens=16): 0.5,
        Decode(batch_size=1, context_tokens=16): 0.01,
        Decode(batch_size=1, context_tokens=480): 0.02,
    }

    assert 0.5 * 400 / 16 == expected_call_s(Prefill(tokens=400), known)
    assert 4 * 0.02 == expected_call_s(Decode(batch_size=4, context_tokens=64), known)
    assert 0.01 == expected_call_s(Decode(batch_size=1, context_tokens=16), known)
    assert 0.0 == expected_call_s(Prefill(tokens=400), {})


def test_requests_of_one_length_are_timed_at_three():
    prefills = prefill_steps(Lengths(shortest=64, usual=64, longest=64, context=80, chunk=128))

    assert [16, 32, 64] == [step.tokens for step in prefills if not step.past_tokens]


def test_what_tells_most_is_timed_first_and_what_lies_between_last():
    steps = (*prefill_steps(LENGTHS), *decode_steps(8, LENGTHS))

    ranks = {step: rank(step, steps) for step in steps}

    assert {16: 0, 64: 0, 160: 2, 400: 1} == {step.tokens: ranks[step] for step in prefill_steps(LENGTHS)[:-1]}
    assert 1 == ranks[Prefill(tokens=128, past_tokens=352)]
    assert {1: 0, 2: 2, 4: 2, 8: 0} == {step.batch_size: ranks[step] for step in decode_steps(8, LENGTHS)}


@pytest.mark.parametrize("running", [1, 2, 8])
def test_a_setting_is_told_by_three_prompts_and_the_ends_of_decode_steps(running):
    steps = (*prefill_steps(LENGTHS), *decode_steps(running, LENGTHS))
    first = [step for step in steps if rank(step, steps) == 0]

    assert tell_all(steps, steps)
    assert tell_all([*first, Prefill(tokens=400)], steps)
    assert not tell_all(first, steps)
    assert not tell_all([step for step in steps if step != first[-1]], steps)
    assert not tell_all([], steps)


def test_what_reads_its_prompts_whole_is_timed_without_chunks():
    prefills = prefill_steps(LENGTHS._replace(prompts="whole"))

    assert len(prefills) >= 3 and not any(step.past_tokens for step in prefills)
    assert set(prefills) < set(prefill_steps(LENGTHS))


def test_prompts_that_are_all_alike_are_timed_at_their_length_and_contexts_begin_behind_them():
    lengths = Lengths(shortest=1500, usual=1500, longest=1500, context=1560, chunk=128, prompts="alike")
    steps = (*prefill_steps(lengths), *decode_steps(4, lengths))

    assert (Prefill(tokens=1500),) == prefill_steps(lengths)
    assert {1500, 1560} == {step.context_tokens // step.batch_size for step in steps if isinstance(step, Decode)}
    assert tell_all(steps, steps)
