"""Steps of OpenVINO's engine, timed: what scripts hold is what points say."""

import itertools

import pytest

from advisor.errors import InputError
from advisor.measure.generation.openvino.engine import Held, PromptPart, open_engine
from advisor.measure.generation.openvino.timing import Sample, parts_of, points_of, timed, whole
from advisor.measure.generation.scripts import DECODED, Script, scripts
from tests.decoders import BUDGET_TOKENS, CONTEXT_TOKENS, KV_TOKENS, MAX_RUNNING


def sample(batch_size, context_tokens, *prompts, seconds=1.0, waited_s=0.0):
    parts = tuple(PromptPart(tokens=tokens, past_tokens=past) for tokens, past in prompts)
    held = Held(batch_size=batch_size, context_tokens=context_tokens, prompts=parts)
    return Sample(held, seconds, seconds / 2, waited_s)


def test_steps_in_a_row_that_only_decode_are_one_visit_and_each_that_reads_is_one():
    rounds = [
        [
            sample(0, 0, (16, 0), seconds=3.0 * factor),
            sample(0, 0, (4, 16)),
            sample(1, 20, seconds=1.0),
            sample(1, 21, seconds=2.0),
            sample(1, 22, (15, 0)),
            sample(1, 23, (9, 15)),
            sample(2, 48),
        ]
        for factor in (1, 2)
    ]

    points = points_of([rounds], variant="fp32", threads=2, orders=itertools.count())

    assert [(16, 0), (4, 16)] == [(point.tokens, point.past_tokens) for point in points.prefill]
    assert [(1, 20), (2, 48)] == [(point.batch_size, point.context_tokens) for point in points.decode]
    mixed = [(point.batch_size, point.context_tokens, point.tokens, point.past_tokens) for point in points.mixed]
    assert [(1, 22, 15, 0), (1, 23, 9, 15)] == mixed
    assert [(3.0,), (6.0,)] == [visit.wall_s for visit in points.prefill[0].visits]
    assert [(1.0, 2.0)] * 2 == [visit.wall_s for visit in points.decode[0].visits]
    every = [visit for kind in points for point in kind for visit in point.visits]
    assert list(range(len(every))) == sorted(visit.order for visit in every)
    assert {("fp32", 2)} == {(point.variant, point.intra_op_num_threads) for kind in points for point in kind}


def test_a_step_that_reads_several_prompts_is_no_point():
    points = points_of([[[sample(0, 0, (5, 0), (6, 0)), sample(2, 11)]]], variant="v", threads=1, orders=itertools.count())

    assert (0, 1, 0) == tuple(map(len, points))


def test_what_waited_is_unknown_where_one_step_does_not_know():
    rounds = [[sample(1, 5, waited_s=0.25), sample(1, 6, waited_s=0.5)], [sample(1, 5, waited_s=None), sample(1, 6)]]

    points = points_of([rounds], variant="v", threads=1, orders=itertools.count())

    assert [0.75, None] == [visit.waited_s for visit in points.decode[0].visits]


def test_a_play_is_one_visit_and_its_points_are_the_parts_of_it():
    play = [
        sample(0, 0, (16, 0), seconds=3.0, waited_s=0.5),
        sample(1, 17, seconds=1.0),
        sample(1, 18, seconds=2.0, waited_s=0.25),
    ]

    visit, parts = whole(play, 7), parts_of(play, itertools.repeat(7))

    assert (7, (6.0,), (3.0,), 0.75) == (visit.order, visit.wall_s, visit.cpu_s, visit.waited_s)
    assert [(3.0,), (1.0, 2.0)] == [part.visit.wall_s for part in parts]
    assert [(0, 16), (1, 0)] == [(part.batch_size, part.tokens) for part in parts]
    assert {7} == {part.visit.order for part in parts}
    assert whole([sample(1, 5, waited_s=None)], 0).waited_s is None


def test_the_engine_plays_them_as_they_are_written(engine):
    listed = scripts(MAX_RUNNING, BUDGET_TOKENS, CONTEXT_TOKENS)
    assert max(script.tokens(BUDGET_TOKENS) for script in listed) <= KV_TOKENS
    ticks = itertools.count(1)

    points = timed(engine, listed, variant="fp32", rounds=2, cpu=lambda: float(next(ticks)))

    assert 0 == engine.running
    assert all(kind for kind in points)
    assert all(2 == len(point.visits) for kind in points for point in kind)
    assert {DECODED} == {len(visit.wall_s) for point in points.decode for visit in point.visits}
    assert all(1.0 == seconds for kind in points for point in kind for visit in point.visits for seconds in visit.cpu_s)
    assert max(point.batch_size for point in points.decode) == MAX_RUNNING
    assert max(point.past_tokens for point in points.prefill) >= BUDGET_TOKENS
    assert all(point.tokens + point.batch_size <= BUDGET_TOKENS for point in points.mixed)


def test_a_script_for_more_than_may_run_is_refused(engine):
    with pytest.raises(InputError, match="5 requests side by side, and the engine runs 4"):
        timed(engine, [Script(4, 5, 5)], variant="v", rounds=1)


def test_a_script_that_is_longer_than_a_request_is_refused(engine):
    with pytest.raises(InputError, match="more than the 160 a request"):
        timed(engine, [Script(0, 0, CONTEXT_TOKENS)], variant="v", rounds=1)


def test_a_script_that_the_cache_may_not_hold_is_refused(written):
    pytest.importorskip("openvino_genai")
    engine = open_engine(written, threads=1, max_running=4, budget_tokens=16, kv_tokens=60)
    with engine, pytest.raises(InputError, match=r"may have \d+ tokens together, and the cache holds 60"):
        timed(engine, [Script(3, 16, 8)], variant="v", rounds=1)
