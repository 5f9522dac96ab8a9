"""Which points are timed: few to begin with, then those in doubt, none twice and none beyond what may be served."""

import math
from itertools import pairwise
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.model.facts import inspect_onnx
from advisor.measure.timing import schedule
from advisor.measure.timing.clean_visits import counted
from advisor.measure.timing.profile_journal import Point
from advisor.measure.timing.settings import TimingSettings
from advisor.measure.variants.making import AGAIN
from advisor.schema.model import Batching
from advisor.schema.profile import Visit
from tests import models
from tests.models import save


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return inspect_onnx(save(models.mlp(), tmp_path_factory.mktemp("model") / "model.onnx"), name="model")


@given(max_batch_size=st.integers(1, 4096), family=st.sampled_from(["cnn", "encoder", "tree", "other"]))
def test_batch_sizes_ascend_from_one_to_the_largest(facts, max_batch_size, family):
    sizes = schedule.batch_sizes(msgspec.structs.replace(facts, family=family), max_batch_size)

    assert list(sizes) == sorted(set(sizes))
    assert (1, max_batch_size) == (sizes[0], sizes[-1])
    assert all(above <= 4 * below for below, above in pairwise(sizes))


@given(max_batch_size=st.integers(1, 4096), multiple=st.integers(2, 64))
def test_where_calls_take_multiples_both_sides_of_a_step_are_timed(facts, max_batch_size, multiple):
    batching = msgspec.structs.replace(facts.batching, multiple=multiple)

    sizes = schedule.batch_sizes(msgspec.structs.replace(facts, batching=batching), max_batch_size)

    assert (1, max_batch_size) == (sizes[0], sizes[-1])
    assert all(size + 1 in sizes for size in sizes if size < max_batch_size and size % multiple == 0)
    assert not any(1 < size < multiple for size in sizes[:-1])


@given(max_batch_size=st.integers(1, 4096))
def test_a_model_whose_items_cannot_share_a_call_has_one_batch_size(facts, max_batch_size):
    alone = msgspec.structs.replace(facts, batching=Batching(possible=False, reason="it fails"))

    assert (1,) == schedule.batch_sizes(alone, max_batch_size)


@given(st.integers(1, 256))
def test_threads_and_instances_never_take_more_than_the_cores(cores):
    settings = schedule.thread_settings(cores)

    assert all(1 <= threads and 1 <= instances and threads * instances <= cores for threads, instances in settings)
    assert len(settings) == len(set(settings))
    assert {(1, 1), (1, cores), (cores, 1)} <= set(settings)


@given(st.integers(1, 4096))
def test_trees_are_measured_at_every_small_batch_size(facts, max_batch_size):
    sizes = schedule.batch_sizes(msgspec.structs.replace(facts, family="tree"), max_batch_size)

    assert set(range(1, min(max_batch_size, schedule.EVERY_TREE_BATCH) + 1)) <= set(sizes)


# --- points added between others -------------------------------------------------------------------------------------------------


def ladder_point(batch_size, variant="fp32"):
    return Point(variant=variant, batch_size=batch_size, sequence_length=None, intra_op_num_threads=1, instances=1)


def visits(seconds, count=schedule.MIN_ROUNDS):
    return [Visit(order=0, latency_s=(seconds,), run_delay_s=None)] * count


def measured(seconds_of, *, count=schedule.MIN_ROUNDS, variant="fp32"):
    return {ladder_point(size, variant): visits(seconds, count) for size, seconds in seconds_of.items()}


def refined(visits_of, limit_s=math.inf):
    return schedule.refinements(counted(visits_of), TimingSettings(), limit_s=limit_s)


sizes = st.sets(st.integers(1, 64), min_size=2, max_size=8).map(sorted)
seconds = st.floats(1e-6, 10.0)


@st.composite
def ladders(draw):
    return {size: draw(seconds) for size in draw(sizes)}


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_midpoint_lies_strictly_between_its_neighbors(below, step):
    middle = schedule.midpoint(below, below + step)

    assert (middle is None) == (step == 1)
    assert middle is None or below < middle < below + step


@given(ladders())
def test_added_points_are_new_and_lie_between_measured_ones(ladder):
    added = [point.batch_size for point in refined(measured(ladder))]

    assert len(added) == len(set(added))
    assert not set(added) & set(ladder)
    assert all(min(ladder) < size < max(ladder) for size in added)


@given(ladders(), st.randoms(use_true_random=False))
def test_adding_points_comes_to_an_end(ladder, random):
    visits_of = measured(ladder)

    while added := refined(visits_of):
        visits_of |= {point: visits(random.uniform(1e-6, 10.0)) for point in added}

        assert len(visits_of) <= max(ladder)


@given(sizes, st.floats(1e-6, 1.0), st.floats(0.0, 2.0))
def test_no_law_is_wrong_where_it_holds(batch_sizes, seconds, exponent):
    gap, middle = 0, (batch_sizes[0] + batch_sizes[1]) // 2

    power, *_, cubic = schedule.predictions_s(batch_sizes, [seconds * size**exponent for size in batch_sizes], gap, middle)
    _, affine, *_ = schedule.predictions_s(batch_sizes, [seconds * (1 + exponent * size) for size in batch_sizes], gap, middle)

    assert seconds * middle**exponent == pytest.approx(power, rel=1e-6)
    assert len(batch_sizes) == 2 or power == pytest.approx(cubic, rel=1e-6)
    assert seconds * (1 + exponent * middle) == pytest.approx(affine, rel=1e-6)


@given(st.integers(2, 8), seconds)
def test_a_cost_that_is_all_per_item_needs_no_further_point(rungs, seconds):
    assert [] == refined(measured({4**rung: seconds * 4**rung for rung in range(rungs)}))


def test_the_widest_disagreement_comes_first():
    nearly_even, steep = {1: 0.01, 4: 0.03}, {1: 0.01, 4: 0.02}

    added = refined(measured(nearly_even) | measured(steep, variant="int8"))

    assert [ladder_point(2, "int8"), ladder_point(2, "fp32")] == added


def test_no_more_is_asked_where_visits_of_one_point_differ_more_than_the_laws():
    visits_of = measured({1: 0.01, 4: 0.02})
    assert [ladder_point(2)] == refined(visits_of)

    visits_of[ladder_point(4)] = visits(0.01, 1) + visits(0.02, 1) + visits(0.03, 1)

    assert [] == refined(visits_of)


def test_points_that_are_hardly_known_are_no_reason_for_more():
    assert [] == refined(measured({1: 0.01, 16: 0.02}, count=schedule.MIN_ROUNDS - 1))


def test_the_end_of_a_ladder_is_sought_below_a_call_that_took_too_long():
    visits_of = measured({1: 0.01, 4: 0.02}) | measured({16: 0.08}, count=1)

    assert ladder_point(8) in refined(visits_of, limit_s=0.06)


def test_nothing_is_added_that_takes_too_long_by_any_law():
    visits_of = measured({1: 0.01}) | measured({16: 100.0}, count=1)

    assert [] == refined(visits_of, limit_s=0.015)


def test_the_baseline_measured_again_gets_no_further_points():
    assert [] == refined(measured({1: 0.01, 4: 0.02}, variant=f"fp32{AGAIN}"))


# --- within the time there is -------------------------------------------------------------------------------------------------


def point(**changes):
    known = {"variant": "fp32", "batch_size": 1, "sequence_length": None, "intra_op_num_threads": 1, "instances": 1}
    return Point(**known | changes)


class Visits:
    """A journal that holds visits of calls of equal length."""

    def __init__(self, call_s_of):
        self.visits = {
            where: [Visit(order=0, latency_s=(call_s, call_s), run_delay_s=None)] for where, call_s in call_s_of.items()
        }


@given(call_s=st.floats(1e-6, 10.0), size=st.integers(1, 64))
def test_a_point_that_nothing_is_known_of_is_taken_to_cost_as_much_per_item_as_a_single_one(call_s, size):
    assert call_s * size == schedule.expected_call_s(point(batch_size=size), Visits({}), call_s)


@pytest.mark.parametrize(
    ("changes", "expected_s"),
    [
        ({"batch_size": 16}, 0.8),  # four times the rung below
        ({"batch_size": 4, "intra_op_num_threads": 2}, 0.2),
        ({"batch_size": 1, "instances": 2}, 0.1),
        ({"variant": "int8"}, 0.03),
    ],
)
def test_the_nearest_point_that_was_visited_says_what_a_call_takes(changes, expected_s):
    known = Visits({point(): 0.1, point(batch_size=4): 0.2})

    assert expected_s == pytest.approx(schedule.expected_call_s(point(**changes), known, 0.03))


def test_a_longer_sequence_is_taken_to_cost_more_than_a_shorter_one_that_was_visited():
    known = Visits({point(sequence_length=32): 0.1})

    assert 0.4 == pytest.approx(schedule.expected_call_s(point(sequence_length=128), known, 0.1))


def test_where_calls_are_long_a_visit_is_one_call_and_only_the_first_warms_up():
    plan = SimpleNamespace(timing=TimingSettings())
    short, long = schedule.pace_of(0.001, 7.5), schedule.pace_of(2.0, 7.5)

    assert (schedule.MIN_CALLS, 1) == (short.min_calls, long.min_calls)
    assert (4.0, 2.0) == tuple(schedule.visit_s(long, 2.0, plan, is_first=is_first) for is_first in (True, False))
    assert schedule.visit_s(short, 0.001, plan, is_first=False) == schedule.visit_s(short, 0.001, plan, is_first=True)


def test_what_there_is_no_time_for_is_passed_over_but_for_the_first_point_of_all():
    plan = SimpleNamespace(settings=SimpleNamespace(max_latency_s=None), timing=TimingSettings(), today=None, ask=None)
    ladders = [[point(variant=name), point(variant=name, batch_size=4)] for name in ("fp32", "int8", "fp16")]
    known = Visits({})
    climbed = []
    for reached in schedule.climb(plan, ladders, known, lambda asked: asked.variant == "fp16"):
        climbed.append((reached.variant, reached.batch_size))
        known.visits[reached] = [Visit(order=0, latency_s=(0.01, 0.01), run_delay_s=None)]

    assert [("fp32", 1), ("fp16", 1), ("fp16", 4)] == climbed


def test_all_variants_are_known_under_one_setting_before_the_next(facts):
    plan = SimpleNamespace(
        facts=facts,
        machine=SimpleNamespace(cores=2),
        settings=SimpleNamespace(max_batch_size=4, sequence_lengths=()),
        today=None,
        ask=None,
    )

    first = [(ladder[0].intra_op_num_threads, ladder[0].instances) for ladder in schedule.ladders(plan, ["fp32", "int8"])]

    assert [(1, 1), (1, 1), (1, 2), (1, 2), (2, 1), (2, 1)] == first


def test_what_runs_today_is_timed_whatever_the_time_and_right_after_the_first_point(facts):
    plan = SimpleNamespace(
        facts=facts,
        machine=SimpleNamespace(cores=2),
        ask=None,
        settings=SimpleNamespace(max_batch_size=4, sequence_lengths=(), max_latency_s=None),
        timing=TimingSettings(),
        today=("int8", 2, 1),
    )
    known = Visits({})
    climbed = []
    for reached in schedule.climb(plan, schedule.ladders(plan, ["fp32", "int8"]), known, lambda asked: False):
        climbed.append((reached.variant, reached.batch_size, reached.intra_op_num_threads, reached.instances))
        known.visits[reached] = [Visit(order=0, latency_s=(0.01, 0.01), run_delay_s=None)]

    assert [("fp32", 1, 1, 1), ("int8", 1, 2, 1)] == climbed
