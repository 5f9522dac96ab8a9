"""Clocks: what another process takes is in the wall's seconds alone, and idle waits cost the processor's clock nothing."""

import time

from advisor.measure.generation.clock import Laps, ProcessorClock, WallClock, clock_of, loop_clock
from advisor.schema.generation import StepVisit


def visit(wall_s, waited_s):
    return StepVisit(order=0, wall_s=(wall_s,), cpu_s=(wall_s,), waited_s=waited_s)


def test_an_idle_wait_is_skipped():
    moments = iter([7.0, 7.5, 7.5, 7.75])
    clock = ProcessorClock(1, read=lambda: next(moments))

    clock.wait_until(100.0)

    assert 100.0 == clock.now_s()
    assert 100.25 == clock.now_s()


def test_a_moment_that_has_passed_is_not_waited_for():
    moments = iter([0.0, 5.0, 5.0])
    clock = ProcessorClock(1, read=lambda: next(moments))

    clock.wait_until(3.0)

    assert 5.0 == clock.now_s()


def test_sleep_is_no_processor_time():
    clock, began_s = loop_clock("cpu", 1), time.perf_counter()

    time.sleep(0.05)

    assert time.perf_counter() - began_s > 2 * clock.now_s()


def test_the_wall_goes_on_until_the_moment():
    clock = WallClock()

    clock.wait_until(0.01)

    assert clock.now_s() >= 0.01


def test_each_call_is_noted_by_both_clocks():
    walls, processor = iter([1.0, 3.0, 10.0, 11.0]), iter([0.5, 1.5, 2.0, 2.25])
    with Laps(1, wall=lambda: next(walls), cpu=lambda: next(processor)) as laps:
        laps.take(lambda: None)
        laps.take(lambda: None)

    found = laps.visit(3)

    assert StepVisit(order=3, wall_s=(2.0, 1.0), cpu_s=(1.0, 0.25), waited_s=None) == found


def test_a_clock_that_did_not_move_leaves_a_time_that_can_be_divided_by():
    with Laps(1, wall=lambda: 1.0, cpu=lambda: 1.0) as laps:
        laps.take(lambda: None)

    assert min(*laps.visit(0).wall_s, *laps.visit(0).cpu_s) > 0


def test_what_a_thread_sleeps_in_a_call_it_waited():
    with Laps(1) as laps:
        laps.take(lambda: time.sleep(0.02))
    found = laps.visit(0)

    # None where the kernel counts nothing; the waiting is what was not computed, within the tenths that are always left of a call.
    assert found.waited_s is None or found.waited_s > 0.5 * found.wall_s[0]


def test_figures_are_of_the_processor_where_the_wall_was_disturbed():
    assert "wall" == clock_of([visit(1.0, 0.01), visit(1.0, 0.04)])
    assert "cpu" == clock_of([visit(1.0, 0.01), visit(1.0, 0.2)])
    assert "wall" == clock_of([visit(1.0, None)])
    assert "wall" == clock_of([])
