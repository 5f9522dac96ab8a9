"""What threads waited for a core is told call by call, and never makes a call shorter than its work."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.runtime.waiting import LEAST_CPU_TIME_S, LEAST_OF_CPU_TIME, Reading, WaitingClock, waited_s

MS = 1_000_000  # nanoseconds


def readings(*waits_ms: tuple[int, ...], cpu_s: float = 0.01) -> list[Reading]:
    """The counts before the first call and after each; a column is a thread, and each call computes `cpu_s`."""
    lines = [tuple(f"1 {waited * MS} 1\n".encode() for waited in row) for row in waits_ms]
    return [Reading(line, cpu_s * number) for number, line in enumerate(lines)]


def test_each_call_has_the_waiting_that_was_counted_during_it() -> None:
    assert (0.0, 0.03, 0.0) == pytest.approx(waited_s([0.01, 0.04, 0.01], readings((5,), (5,), (35,), (35,))))


def test_nothing_is_kept_of_a_visit_in_which_no_thread_waited() -> None:
    assert () == waited_s([0.01, 0.01], readings((5, 7), (5, 7), (5, 7)))


def test_of_several_threads_the_one_that_waited_longest_counts() -> None:
    assert (0.02, 0.03) == pytest.approx(waited_s([0.05, 0.05], readings((0, 0), (10, 20), (40, 25))))


def test_who_computes_alone_waited_for_all_that_it_did_not_compute() -> None:
    """A core that the host withholds is no waiting that the kernel counts, nor computing."""
    made = readings((5,), (5,), (5,), cpu_s=0.01)

    assert () == waited_s([0.03, 0.01], made)
    assert (0.02, 0.0) == pytest.approx(waited_s([0.03, 0.01], made, computes_alone=True))


def test_clocks_that_differ_by_a_hair_are_no_waiting() -> None:
    assert () == waited_s([0.01005], readings((5,), (5,), cpu_s=0.01), computes_alone=True)


def test_a_thread_that_has_ended_waits_no_longer() -> None:
    before, after = readings((5, 7), (15, 9))

    assert (0.01,) == pytest.approx(waited_s([0.05], [before, Reading((after.lines[0], b""), after.cpu_s)]))


@given(st.lists(st.tuples(st.floats(1e-6, 1.0), st.integers(0, 2000), st.floats(0.0, 1.0)), min_size=1))
def test_what_waiting_leaves_of_a_call_is_positive_and_no_less_than_most_of_what_it_computed(
    calls: list[tuple[float, int, float]],
) -> None:
    latency_s = [latency + LEAST_CPU_TIME_S for latency, _, _ in calls]
    made, waited, computed = [Reading((b"1 0 1\n",), 0.0)], 0, 0.0
    for _, more_ms, cpu_s in calls:
        waited, computed = waited + more_ms, computed + cpu_s
        made.append(Reading((f"1 {waited * MS} 1\n".encode(),), computed))

    found = waited_s(latency_s, made) or (0.0,) * len(calls)

    for latency, (_, _, cpu_s), waits in zip(latency_s, calls, found, strict=True):
        assert 0.0 <= waits
        assert latency - waits >= min(latency, max(LEAST_OF_CPU_TIME * cpu_s, LEAST_CPU_TIME_S)) - 1e-9


def test_a_thread_that_is_not_there_leaves_the_waiting_unknown() -> None:
    with WaitingClock([threading.get_native_id(), 2**22 + 1]) as clock:
        assert not clock.is_known
        assert () == clock.read().lines


@pytest.mark.skipif(not os.access("/proc/thread-self/schedstat", os.R_OK), reason="the kernel does not tell what threads waited")
def test_counts_only_grow_and_the_files_are_closed_behind_them() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with WaitingClock([threading.get_native_id()]) as clock:
        made = [clock.read() for _ in range(100)]

    assert before == len(os.listdir("/proc/self/fd"))
    assert all(waits >= 0 for waits in waited_s([1.0] * 99, made))
    assert sorted(reading.cpu_s for reading in made) == [reading.cpu_s for reading in made]
