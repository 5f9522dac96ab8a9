"""What was timed becomes points of the profile: single steps as they are, scripts by what they were made of."""

from advisor.measure.generation.scripts import Part, Script
from advisor.measure.generation.step_timing import Decode, Point, Prefill
from advisor.measure.generation.timing.points import points_of
from advisor.schema.generation import StepVisit


def visit(seconds):
    return StepVisit(order=0, wall_s=(seconds,), cpu_s=(seconds,))


def point(step, name="fp32"):
    return Point(variant=name, intra_op_num_threads=2, step=step)


def test_steps_are_points_with_their_visits_and_scripts_with_those_of_their_parts():
    script = point(Script(1, 16, 8), "openvino")
    parts = [
        (
            Part(batch_size=1, context_tokens=17, visit=visit(seconds)),
            Part(batch_size=1, context_tokens=21, tokens=8, visit=visit(3 * seconds)),
        )
        for seconds in (1.0, 2.0)
    ]
    visits = {
        point(Prefill(tokens=8, past_tokens=4)): [visit(0.5)],
        point(Decode(batch_size=2, context_tokens=8)): [visit(0.25), visit(0.75)],
        script: [visit(4.0), visit(8.0)],
    }

    found = points_of(visits, {script: parts})

    assert [("fp32", 8, 4)] == [(it.variant, it.tokens, it.past_tokens) for it in found.prefill]
    assert [("fp32", 2, 8), ("openvino", 1, 17)] == [(it.variant, it.batch_size, it.context_tokens) for it in found.decode]
    assert [("openvino", 1, 21, 8)] == [(it.variant, it.batch_size, it.context_tokens, it.tokens) for it in found.mixed]
    assert [(3.0,), (6.0,)] == [it.wall_s for it in found.mixed[0].visits]
    assert [2, 2] == [len(it.visits) for it in found.decode]
