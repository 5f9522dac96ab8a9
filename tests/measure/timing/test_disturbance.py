"""What is said of a machine that was not the measurement's alone: the figures that were seen, and nothing of a quiet one."""

from advisor.measure.timing.disturbance import disturbance_notes
from advisor.measure.timing.profile_journal import Point
from advisor.schema.profile import Visit

POINT = Point(variant="fp32", batch_size=1, sequence_length=None, intra_op_num_threads=2, instances=1)
NEAR_S, FAR_S = 30e-9, 170e-9


def visit(seconds=1.0, *, waited_s=0.0, switches=0, steal_s=0.0, hop_s=NEAR_S):
    return Visit(
        order=0, latency_s=(seconds,), run_delay_s=waited_s, involuntary_switches=switches, steal_s=steal_s, core_hop_s=hop_s
    )


def test_nothing_is_said_of_a_quiet_machine():
    assert () == disturbance_notes({POINT: [visit()] * 3})


def test_nothing_is_said_where_nothing_is_known():
    unknown = Visit(order=0, latency_s=(1.0,), run_delay_s=None)

    assert () == disturbance_notes({POINT: [unknown] * 3})
    assert () == disturbance_notes({})


def test_a_note_on_a_busy_machine_lists_all_that_was_observed():
    (note,) = disturbance_notes({POINT: [visit(1.0, waited_s=0.5, switches=40), visit(1.0, waited_s=0.3, steal_s=0.2)]})

    assert "threads waited for a core for 40 % of the call time" in note
    assert "threads were preempted 20 times per second" in note
    assert "the host withheld cores (steal) for 10 % of that time" in note
    assert "medians of one point vary by 0 %" in note


def test_the_spread_that_is_reported_is_that_of_calls_without_their_waiting():
    waited = [Visit(order=0, latency_s=(1.0 + wait,) * 2, run_delay_s=2 * wait, waited_s=(wait,) * 2) for wait in (0.5, 3.0)]

    (note,) = disturbance_notes({POINT: waited})

    assert "medians of one point vary by 0 % from visit to visit without that waiting" in note


def test_cores_taken_by_the_host_alone_make_a_busy_machine():
    (note,) = disturbance_notes({POINT: [visit(1.0, steal_s=0.2)]})

    assert note.startswith("the machine was busy")
    assert "vary" not in note


def test_cores_that_moved_apart_are_reported_with_both_distances():
    (note,) = disturbance_notes({POINT: [visit(), visit(hop_s=32e-9), visit(hop_s=FAR_S)]})

    assert "30 to 32 ns from core to core in 2 visits on several threads and 170 ns in 1" in note
    assert "figures on 2 or more threads are not comparable" in note


def test_one_odd_reading_in_many_is_no_news():
    assert () == disturbance_notes({POINT: [visit()] * 30 + [visit(hop_s=FAR_S)]})


def test_what_a_quota_withholds_is_told_apart_from_a_busy_machine():
    # The kernel counts the time that the quota withheld as waiting, too.
    withheld = Visit(order=0, latency_s=(1.0,), run_delay_s=1.02, involuntary_switches=0, steal_s=0.0, throttled_s=1.0)

    (note,) = disturbance_notes({POINT: [withheld] * 3})

    assert "throttled by its quota of processor time for 50 % of the call time: that is how it will serve, too" == note
