"""Visits that were disturbed, or made while the cores were unusually far apart, do not count, unless there are too few others."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.schema.profile import Measurement, Visit
from advisor.visits import (
    counting,
    counting_of_all,
    disturbed_fraction,
    is_at_usual_distance,
    is_clean,
    pairs,
    shared_core,
    slowdown_at_other_distance,
    unexplained,
    usual_hop_s,
    without_waiting,
)

NEAR_S, FAR_S = 30e-9, 170e-9


def visit(*, waited_s: float | None = 0.0, steal_s: float | None = None, hop_s: float | None = None) -> Visit:
    return Visit(order=0, latency_s=(0.5, 0.5), run_delay_s=waited_s, steal_s=steal_s, core_hop_s=hop_s)


QUIET, DISTURBED = visit(), visit(waited_s=0.4)
NEAR, FAR = visit(hop_s=NEAR_S), visit(hop_s=FAR_S)
any_visits = st.lists(
    st.builds(visit, waited_s=st.sampled_from([None, 0.0, 0.4]), hop_s=st.sampled_from([None, NEAR_S, FAR_S])), min_size=1
)


def test_a_visit_that_hardly_waited_is_clean() -> None:
    assert is_clean(visit(waited_s=0.01))
    assert not is_clean(visit(waited_s=0.2))


def test_a_visit_from_which_the_host_took_cores_is_not_clean() -> None:
    assert is_clean(visit(steal_s=0.01))
    assert not is_clean(visit(steal_s=0.2))


def test_a_system_that_does_not_tell_leaves_every_visit_clean() -> None:
    assert is_clean(visit(waited_s=None, steal_s=None))


def test_other_work_had_the_cores_of_a_visit_that_waited_and_counts_without_its_waiting() -> None:
    waited = msgspec.structs.replace(DISTURBED, waited_s=(0.2, 0.2))

    assert shared_core(waited)
    assert shared_core(without_waiting(waited))
    assert not shared_core(DISTURBED)  # of which call it was is not known
    assert not shared_core(msgspec.structs.replace(QUIET, waited_s=()))


def test_what_the_host_or_a_quota_withheld_is_no_work_on_the_cores_of_a_visit() -> None:
    assert not shared_core(msgspec.structs.replace(visit(steal_s=0.4), waited_s=()))
    assert not shared_core(msgspec.structs.replace(DISTURBED, waited_s=(0.2, 0.2), throttled_s=0.4))


def test_only_clean_visits_count_where_there_are_enough() -> None:
    assert (QUIET, QUIET) == counting([QUIET, DISTURBED, QUIET], None)


def test_all_visits_count_where_too_few_are_clean() -> None:
    assert (QUIET, DISTURBED, DISTURBED) == counting([QUIET, DISTURBED, DISTURBED], None)


def test_the_usual_distance_is_one_that_was_seen_in_most_visits() -> None:
    assert FAR_S == usual_hop_s([FAR, NEAR, QUIET, FAR])
    assert NEAR_S == usual_hop_s([FAR, NEAR])
    assert usual_hop_s([QUIET]) is None


def test_visits_at_another_distance_do_not_count_where_there_are_enough_at_the_usual_one() -> None:
    assert (NEAR, NEAR) == counting([NEAR, FAR, NEAR], NEAR_S)
    assert (FAR, FAR) == counting([FAR, FAR, NEAR], FAR_S)
    assert (NEAR, FAR) == counting([NEAR, FAR], NEAR_S)
    assert (FAR, FAR) == counting([FAR, FAR], NEAR_S)


def test_an_unknown_distance_counts_as_usual() -> None:
    assert is_at_usual_distance(QUIET, NEAR_S)
    assert is_at_usual_distance(FAR, None)


@given(any_visits)
def test_some_visits_always_count_and_all_were_made(visits: list[Visit]) -> None:
    kept = counting(visits, usual_hop_s(visits))

    assert min(len(visits), 2) <= len(kept)
    assert all(entry in visits for entry in kept)


def at(hop_s: float, seconds: float) -> Visit:
    return Visit(order=0, latency_s=(seconds, seconds), run_delay_s=0.0, core_hop_s=hop_s)


def point(*visits: Visit) -> Measurement:
    return Measurement(variant="fp32", batch_size=1, sequence_length=None, intra_op_num_threads=2, instances=1, visits=visits)


def test_calls_on_cores_far_apart_are_known_to_be_slower_where_both_states_were_seen() -> None:
    measured = [point(at(NEAR_S, 1.0), at(NEAR_S, 1.0), at(FAR_S, 1.4)), point(at(NEAR_S, 2.0), at(FAR_S, 3.0))]

    assert 1.45 == pytest.approx(slowdown_at_other_distance(measured, NEAR_S))


def test_a_state_that_was_hardly_seen_or_that_is_faster_widens_nothing() -> None:
    seldom = [point(*[at(NEAR_S, 1.0)] * 19, at(FAR_S, 1.4))]
    faster = [point(at(NEAR_S, 1.0), at(FAR_S, 0.7))]
    elsewhere = [point(at(NEAR_S, 1.0)), point(at(FAR_S, 1.4))]

    assert [1.0, 1.0, 1.0] == [slowdown_at_other_distance(measured, NEAR_S) for measured in (seldom, faster, elsewhere)]


# --- waiting ---------------------------------------------------------------------------------------------------------------


def waiting(latency_s: tuple[float, ...], waited_s: tuple[float, ...] | None, throttled_s: float | None = None) -> Visit:
    waited = sum(latency_s) / 2 if waited_s is None else sum(waited_s)
    return Visit(order=0, latency_s=latency_s, run_delay_s=waited, waited_s=waited_s, throttled_s=throttled_s)


LATE = waiting((0.5, 1.5, 0.9), (0.0, 1.0, 0.4))


def test_the_waiting_is_taken_out_of_each_call_and_stays_in_the_record_of_disturbances() -> None:
    corrected = without_waiting(LATE)

    assert (0.5, 0.5, 0.5) == pytest.approx(corrected.latency_s)
    assert LATE.run_delay_s == corrected.run_delay_s
    assert not is_clean(corrected)


def test_waiting_that_is_not_known_call_by_call_is_left_where_it_is() -> None:
    unknown = waiting((1.0, 1.0), None)

    assert unknown == without_waiting(unknown)
    assert QUIET == without_waiting(QUIET)


def test_what_a_quota_withheld_stays_in_and_is_no_disturbance() -> None:
    half = waiting((0.5, 1.5), (0.0, 1.0), throttled_s=0.5)
    all_of_it = waiting((0.5, 1.5), (0.0, 1.0), throttled_s=1.0)

    assert (0.5, 1.0) == pytest.approx(without_waiting(half).latency_s)
    assert all_of_it.latency_s == without_waiting(all_of_it).latency_s
    assert (False, True) == (is_clean(half), is_clean(all_of_it))


def test_disturbed_visits_count_without_their_waiting_where_too_few_are_clean() -> None:
    assert (QUIET, without_waiting(LATE)) == counting([QUIET, LATE], None)
    assert (QUIET, QUIET) == counting([QUIET, LATE, QUIET], None)
    assert 0.5 == disturbed_fraction(counting([QUIET, LATE], None))


@given(st.lists(st.sampled_from([QUIET, DISTURBED, NEAR, FAR, LATE]), min_size=1))
def test_what_counts_of_what_counts_is_the_same(visits: list[Visit]) -> None:
    (once,) = counting_of_all([point(*visits)])

    assert (once,) == counting_of_all([once])


def test_visits_are_paired_by_their_round_and_clean_pairs_come_first() -> None:
    assert [(without_waiting(LATE), QUIET), (QUIET, QUIET)] == pairs([LATE, QUIET], [QUIET, QUIET, FAR])
    assert [(QUIET, NEAR), (QUIET, FAR)] == pairs([LATE, QUIET, QUIET], [QUIET, NEAR, FAR])


def test_only_what_could_not_be_taken_out_is_unexplained() -> None:
    assert [0.0, 0.0] == [unexplained(entry, 1) for entry in (QUIET, without_waiting(LATE))]
    assert 0.69 == pytest.approx(unexplained(waiting((1.0, 1.0), None), 1), abs=0.01)
    assert unexplained(visit(steal_s=0.4), 2) < unexplained(visit(steal_s=0.4), 1)
    assert (
        0.0
        == unexplained(msgspec.structs.replace(LATE, steal_s=0.4), 1)
        < unexplained(msgspec.structs.replace(LATE, steal_s=0.4), 2)
    )


def test_what_a_quota_withheld_does_not_make_a_visit_a_disturbed_one():
    withheld = Visit(order=0, latency_s=(1.0,), run_delay_s=0.5, throttled_s=0.49)

    assert is_clean(withheld)
    assert not is_clean(msgspec.structs.replace(withheld, throttled_s=None))
