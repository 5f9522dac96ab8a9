"""The space of candidates: quality decides who is in it, today's configuration always is, and changes are told in full."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.queue.space import (
    MAX_DELAY_OF_TARGET,
    QUEUE_DELAYS_S,
    Configuration,
    admission,
    baseline_configuration,
    changes,
    configurations,
)
from advisor.decide.service.measured import service_grids
from advisor.schema.workload import Baseline, Quality
from tests.profiles import drop_of, power_law, profile, student, variant, workload

FLOOR = Quality(max_drop=0.02, metric="accuracy", data="data.npz")
TODAY = Configuration(variant="fp32", intra_op_num_threads=2, instances=1, max_batch_size=1, max_queue_delay_s=0.0)
MEASURED = profile(power_law(0.01), variants=(variant(), variant("opt")), settings=((1, 1), (1, 2), (2, 1)))

some_configurations = st.builds(
    Configuration,
    variant=st.sampled_from(["fp32", "opt"]),
    intra_op_num_threads=st.integers(1, 2),
    instances=st.integers(1, 2),
    max_batch_size=st.sampled_from([1, 4]),
    max_queue_delay_s=st.sampled_from([0.0, 0.001]),
)


def space(asked, variants=("fp32", "opt"), today=TODAY):
    return configurations(service_grids(MEASURED.sites[0]), asked, today, set(variants))


def quantized(quality=None):
    return variant("int8", lossless=False, quality=quality)


@pytest.mark.parametrize("floor", [None, FLOOR])
@pytest.mark.parametrize("entry", [variant(), variant("opt"), variant("opt", quality=drop_of(0.5, 0.6))])
def test_what_loses_no_precision_is_admitted_whatever_the_floor(entry, floor):
    assert admission(entry, workload(quality=floor)).admitted


@pytest.mark.parametrize(
    ("floor", "quality"),
    [
        (None, None),
        (None, drop_of(0.0, 0.0)),
        (Quality(max_drop=0.02, metric="accuracy"), drop_of(0.0, 0.0)),
        (FLOOR, None),
        (FLOOR, drop_of(0.0, 0.0, metric="top1_agreement")),
    ],
)
def test_a_quantized_variant_of_unknown_quality_is_kept_out_as_unknown(floor, quality):
    answer = admission(quantized(quality), workload(quality=floor))

    assert (False, True) == (answer.admitted, answer.is_unknown)


@pytest.mark.parametrize(
    ("expected", "value", "high"),
    [(True, 0.0, 0.0), (True, -0.01, 0.01), (True, 0.01, 0.02), (False, 0.01, 0.0201), (False, 0.03, 0.04)],
)
def test_a_measured_drop_has_to_hold_at_the_upper_end_of_its_interval(expected, value, high):
    answer = admission(quantized(drop_of(value, high)), workload(quality=FLOOR))

    assert (expected, False) == (answer.admitted, answer.is_unknown)


@settings(deadline=None)
@given(some_configurations)
def test_today_s_configuration_is_in_the_space_and_comes_first(today):
    assert today == space(workload(), today=today)[0]


def test_a_configuration_of_today_that_was_not_measured_as_such_is_in_the_space_too():
    today = Configuration(variant="fp32", intra_op_num_threads=1, instances=1, max_batch_size=3, max_queue_delay_s=0.3)

    assert today == space(workload(latency_s=0.1), today=today)[0]


def test_what_changes_least_comes_first():
    counts = [len(changes(TODAY, entry)) for entry in space(workload())]

    assert sorted(counts) == counts


def test_the_order_is_not_that_of_a_set():
    assert len({tuple(space(workload(), variants)) for variants in (("fp32", "opt"), ("opt", "fp32"))}) == 1


def test_no_configuration_comes_twice():
    entries = space(workload(latency_s=10.0))

    assert len(set(entries)) == len(entries)


def test_the_space_holds_every_power_of_two_up_to_the_largest_batch_that_was_measured():
    assert {1, 2, 4, 8, 16} == {entry.max_batch_size for entry in space(workload())}


def test_a_variant_that_is_not_asked_for_is_not_in_the_space_even_if_it_runs_today():
    today = Configuration(variant="opt", intra_op_num_threads=1, instances=1, max_batch_size=1, max_queue_delay_s=0.0)

    assert {"fp32"} == {entry.variant for entry in space(workload(), ["fp32"], today)}


@settings(deadline=None)
@given(st.floats(1e-4, 5.0))
def test_nobody_is_made_to_wait_for_more_than_part_of_the_target(latency_s):
    delays = {entry.max_queue_delay_s for entry in space(workload(latency_s=latency_s))}

    assert {delay for delay in QUEUE_DELAYS_S if delay <= MAX_DELAY_OF_TARGET * latency_s} == delays


def test_a_batch_of_one_waits_for_nobody():
    assert {0.0} == {entry.max_queue_delay_s for entry in space(workload(latency_s=10.0)) if entry.max_batch_size == 1}


@settings(deadline=None)
@given(some_configurations, some_configurations)
def test_nothing_is_said_to_change_only_between_equals(one, other):
    assert (one == other) == (changes(one, other) == ())


@settings(deadline=None)
@given(some_configurations, some_configurations)
def test_a_change_and_its_way_back_are_equally_long(one, other):
    assert len(changes(one, other)) == len(changes(other, one))


def test_changes_are_described_in_words():
    other = Configuration(variant="opt", intra_op_num_threads=1, instances=2, max_batch_size=8, max_queue_delay_s=0.002)

    assert (
        "serve opt instead of fp32",
        "2 instances of 1 thread instead of 1 instance of 2 threads",
        "batches of up to 8 instead of 1",
        "a queue delay of up to 2 ms instead of 0 µs",
    ) == changes(TODAY, other)


def test_what_runs_today_is_by_default_one_instance_with_a_thread_on_every_core():
    assert TODAY == baseline_configuration(MEASURED.sites[0], Baseline())


def test_what_runs_today_is_what_the_user_says():
    said = Baseline(variant="opt", max_batch_size=8, max_queue_delay_s=0.005, intra_op_num_threads=1, instances=2, replicas=3)

    expected = Configuration(variant="opt", intra_op_num_threads=1, instances=2, max_batch_size=8, max_queue_delay_s=0.005)

    assert expected == baseline_configuration(MEASURED.sites[0], said)


@pytest.mark.parametrize("floor", [None, FLOOR])
@pytest.mark.parametrize("lossless", [True, False])
def test_a_student_is_kept_out_until_somebody_trained_it_and_then_goes_by_its_quality(floor, lossless):
    untrained, bare = (
        admission(variant("layers-3", lossless=lossless, student=student(is_trained=trained)), workload(quality=floor))
        for trained in (False, True)
    )
    held = variant("layers-3", lossless=lossless, student=student(is_trained=True), quality=drop_of(0.001, 0.002))

    # What an untrained one lacks is training and no measurement: it is not offered as cheaper but unproven.
    assert (False, False) == (untrained.admitted, untrained.is_unknown)
    assert untrained.because.startswith("not trained yet")
    assert (False, True) == (bare.admitted, bare.is_unknown)
    assert admission(held, workload(quality=FLOOR)).admitted
