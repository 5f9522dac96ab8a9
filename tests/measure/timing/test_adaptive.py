"""What is timed after the first pass: what the decision asks for, known least first, until it is known well enough."""

import itertools
import random
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.model.facts import inspect_onnx
from advisor.measure.timing import adaptive, schedule
from advisor.measure.timing.opinion import Opinion, Wanted
from advisor.measure.timing.profile_journal import Point
from advisor.schema.profile import Visit
from advisor.visits import ENOUGH_VISITS
from tests import models
from tests.models import save


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return inspect_onnx(save(models.mlp(), tmp_path_factory.mktemp("model") / "model.onnx"), name="model")


def plan_of(facts, *, lengths=(), ask=True, max_latency_s=None):
    settings = SimpleNamespace(sequence_lengths=lengths, max_batch_size=64, max_latency_s=max_latency_s)
    return SimpleNamespace(facts=facts, settings=settings, ask=(lambda measured: None) if ask else None)


def point(variant="fp32", size=1, length=None, threads=1):
    return Point(variant=variant, batch_size=size, sequence_length=length, intra_op_num_threads=threads, instances=1)


def journal_of(counts, *, seconds=0.01, spread=0.1):
    """Return what a journal holds after so many visits of each point, which agree to `spread`."""
    made = {
        entry: [
            Visit(order=order, latency_s=(seconds * (1 + spread * (order % 2)),) * 3, run_delay_s=0.0) for order in range(count)
        ]
        for entry, count in counts.items()
    }
    return SimpleNamespace(visits=made, points_left_out=set())


def asked_for(plan, journal, *wanted, stands=False):
    return adaptive.next_points(plan, journal, Opinion(wanted, stands, "an answer"), random.Random(0))


FP32 = Wanted("fp32", 1, 1, (1,))


@given(sizes=st.sets(st.integers(1, 64), min_size=1, max_size=5), lengths=st.sets(st.integers(1, 512), max_size=3))
def test_every_length_of_every_batch_size_that_is_wanted_is_timed(facts, sizes, lengths):
    plan = plan_of(facts, lengths=tuple(lengths))

    points = asked_for(plan, journal_of({}), Wanted("fp32", 1, 1, tuple(sizes)))

    expected = {point(size=size, length=length) for size in sizes for length in lengths or {facts.at_sequence_length}}
    assert set(points) <= expected
    assert len(points) == min(len(expected), adaptive.POINTS_AT_ONCE)


def test_nothing_is_left_to_time_once_the_answer_stands_and_each_point_has_its_visits(facts):
    enough = journal_of({point(): ENOUGH_VISITS, point(size=16): ENOUGH_VISITS})

    assert [] == asked_for(plan_of(facts), enough, FP32, stands=True)
    assert [point()] == asked_for(plan_of(facts), enough, FP32, stands=False)


def test_visits_that_agree_need_no_more_of_them_and_none_is_made_without_end(facts):
    agreed = journal_of({point(): ENOUGH_VISITS, point(size=16): schedule.MIN_ROUNDS}, spread=0.0)
    many = journal_of({point(): adaptive.MOST_VISITS, point(size=16): schedule.MIN_ROUNDS})

    assert [] == asked_for(plan_of(facts), agreed, FP32)
    assert [] == asked_for(plan_of(facts), many, FP32)


def test_what_the_answer_does_not_rest_on_has_its_rounds_at_the_end(facts):
    journal = journal_of({point(): 1, point(size=16): 1, point(variant="other"): 2})

    assert [point()] == asked_for(plan_of(facts), journal, FP32, stands=True)
    journal.visits[point()] *= adaptive.MOST_VISITS
    assert {point(size=16), point(variant="other")} == set(asked_for(plan_of(facts), journal, FP32, stands=True))


def test_many_other_points_take_no_more_than_half_of_the_visits_from_those_that_decide(facts):
    counts = {point(): ENOUGH_VISITS, point(threads=2): ENOUGH_VISITS, point(threads=2, size=64): schedule.MIN_ROUNDS}
    counts |= {point(size=size): 1 for size in range(2, 40)}

    points = asked_for(plan_of(facts), journal_of(counts), FP32, Wanted("fp32", 2, 1, (1,)), stands=True)

    assert {point(), point(threads=2)} <= set(points)
    assert adaptive.POINTS_AT_ONCE // 2 == len(set(points) - {point(), point(threads=2)})


def test_what_is_known_least_comes_first(facts):
    sizes = tuple(range(1, adaptive.POINTS_AT_ONCE + 3))
    counts = {point(size=size): 1 if size < sizes[-1] else 3 for size in sizes}

    points = asked_for(plan_of(facts), journal_of(counts), Wanted("fp32", 1, 1, sizes[:-1]), Wanted("fp32", 1, 1, sizes[-1:]))

    assert point(size=sizes[-1]) not in points


def test_the_next_larger_batch_is_timed_where_the_largest_so_far_is_wanted(facts):
    plan, journal = plan_of(facts), journal_of({point(size=16): 5, point(): 5})

    points = asked_for(plan, journal, Wanted("fp32", 1, 1, (1, 16)), stands=True)

    assert [point(size=64)] == points


def test_a_call_beyond_the_limit_is_not_timed_again(facts):
    plan = plan_of(facts, max_latency_s=0.001)

    assert [] == asked_for(plan, journal_of({point(): 1, point(size=16): 1}), FP32)


def test_the_baseline_is_timed_beside_itself_in_another_process(facts):
    again = msgspec.structs.replace(point(), variant="fp32~again")

    points = asked_for(plan_of(facts), journal_of({point(): 1, again: 1, point(size=16): 1}), FP32)

    assert {point(), again} == set(points)


def test_a_point_that_failed_is_not_tried_again(facts):
    journal = journal_of({point(size=16): 5})
    journal.points_left_out.add(point())

    assert [] == asked_for(plan_of(facts), journal, FP32)


def test_the_first_pass_takes_one_item_and_one_larger_batch_where_a_decision_follows(facts):
    tree = msgspec.structs.replace(facts, family="tree")

    assert (1, 4, schedule.FIRST_LARGER_BATCH) == schedule.first_sizes(plan_of(facts))
    assert schedule.batch_sizes(facts, 64) == schedule.first_sizes(plan_of(facts, ask=False))
    assert schedule.batch_sizes(tree, 64) == schedule.first_sizes(plan_of(tree))


@pytest.mark.parametrize(("seconds", "sizes"), [(0.001, [1, 16]), (0.02, [1, 4]), (0.06, [1])])
def test_the_larger_batch_of_the_first_pass_is_one_whose_call_is_short(facts, seconds, sizes):
    plan, journal, reached = plan_of(facts), journal_of({}), []
    plan.today = None

    for asked in schedule.climb(plan, [[point(size=size) for size in schedule.first_sizes(plan)]], journal, lambda _: True):
        reached.append(asked.batch_size)
        journal.visits[asked] = [Visit(order=0, latency_s=(seconds * asked.batch_size,), run_delay_s=0.0)]

    assert sizes == reached


def test_the_points_of_one_setting_of_a_process_follow_each_other(facts):
    settings = [("fp32", 1), ("fp32", 2), ("int8", 1)]
    counts = {point(variant, size=size, threads=threads): 1 for variant, threads in settings for size in (1, 2, 3, 64)}
    wanted = [Wanted(variant, threads, 1, (1, 2, 3, 64)) for variant, threads in settings]

    points = asked_for(plan_of(facts), journal_of(counts), *wanted)

    met = [(entry.variant, entry.intra_op_num_threads) for entry in points]
    assert len(counts) == len(points)
    assert len(settings) == 1 + sum(one != other for one, other in itertools.pairwise(met))
