"""Scripts: what an engine is timed by fits into it, and what was played becomes points."""

from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.generation.scripts import Part, Script, points_of_plays, scripts
from advisor.schema.generation import StepVisit


def part(batch_size=0, context_tokens=0, tokens=0, past_tokens=0, *, seconds=1.0):
    visit = StepVisit(order=0, wall_s=(seconds,), cpu_s=(seconds,))
    return Part(batch_size=batch_size, context_tokens=context_tokens, tokens=tokens, past_tokens=past_tokens, visit=visit)


@given(st.integers(1, 64), st.integers(1, 512), st.integers(16, 8192), st.none() | st.integers(1, 8192))
def test_scripts_fit_into_a_request_and_into_what_may_run(max_running, more, max_tokens, longest_tokens):
    budget_tokens = max_running + more

    found = scripts(max_running, budget_tokens, max_tokens, longest_tokens=longest_tokens)

    assert len(set(found)) == len(found)
    for script in found:
        assert script.joined <= max_running
        assert script.prompt_tokens >= 1
        assert bool(script.batch_size) == bool(script.context_tokens)
        assert script.longest(budget_tokens) <= max_tokens


def test_scripts_have_prompts_alone_many_that_run_and_both():
    found = scripts(8, 256, 8192)

    assert {0, 3, 7} == {script.batch_size for script in found}
    assert any(script.prompt_tokens > 2 * 256 for script in found if not script.batch_size)
    assert any(script.prompt_tokens > 256 for script in found if script.batch_size)


def test_no_prompt_alone_is_longer_than_those_of_the_workload():
    found = scripts(8, 256, 8192, longest_tokens=300)

    assert 300 == max(script.prompt_tokens for script in found if not script.batch_size)


def test_what_a_part_held_says_which_point_it_is():
    plays = [
        [part(0, 0, 16, seconds=factor), part(1, 17, seconds=2 * factor), part(1, 20, 8, 4, seconds=3 * factor)]
        for factor in (1.0, 2.0)
    ]

    points = points_of_plays(plays, variant="int8", threads=2)

    assert [(16, 0)] == [(point.tokens, point.past_tokens) for point in points.prefill]
    assert [(1, 17)] == [(point.batch_size, point.context_tokens) for point in points.decode]
    assert [(1, 20, 8, 4)] == [
        (point.batch_size, point.context_tokens, point.tokens, point.past_tokens) for point in points.mixed
    ]
    assert [(2.0,), (4.0,)] == [visit.wall_s for visit in points.decode[0].visits]
    assert {("int8", 2)} == {(point.variant, point.intra_op_num_threads) for kind in points for point in kind}


def test_what_reads_or_decodes_more_is_larger():
    short, long, beside = Script(0, 0, 16), Script(0, 0, 800), Script(9, 128, 118)

    assert short.size < long.size < beside.size
    # Steps that decode count: a prompt fifty times as long does not take fifty times as long.
    assert long.size < 20 * short.size
