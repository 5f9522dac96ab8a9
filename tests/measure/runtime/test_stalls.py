"""The watcher of the clock: what stops it from outside is a stall, and what else runs on its core is not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from advisor.kernels import core_ping
from advisor.measure.runtime import machine, stalls
from advisor.measure.runtime.stalls import SHORTEST_S, SLEEP_S

IS_COUNTED = os.path.exists("/proc/thread-self/schedstat")
counted = pytest.mark.skipif(not IS_COUNTED, reason="this kernel hides how long a thread waited for its core")
WATCHES = {
    "busy": "seen = stalls.watch(1.0, min(machine.usable_cores()))",
    "asleep": "\nwith stalls.beside() as found:\n    time.sleep(1.0)\n(seen,) = found",
}
PROGRAM = """
import sys, time, msgspec
from advisor.measure.runtime import machine, stalls
print("ready", flush=True)
{watch}
sys.stdout.write(msgspec.json.encode(seen).decode())
"""


@counted
@pytest.mark.parametrize("kind", WATCHES)
def test_a_core_that_stands_still_is_seen_and_for_how_long(kind):
    child = subprocess.Popen([sys.executable, "-c", PROGRAM.format(watch=WATCHES[kind])], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    # A stopped process does not wait for its core, and its clock goes on: as if the host had run something else. On a busy machine this
    # test may come late by as long as the watch lasts: it stops the process until that is over.
    while child.poll() is None:
        time.sleep(0.3)
        child.send_signal(signal.SIGSTOP)
        time.sleep(0.4)
        child.send_signal(signal.SIGCONT)
    seen = json.loads(child.communicate(timeout=60)[0])

    assert max(seen["gaps_s"]) >= 0.35
    assert seen["shortest_s"] == pytest.approx(SHORTEST_S + (SLEEP_S / 2 if kind == "asleep" else 0.0))


@counted
def test_waiting_for_other_processes_on_the_core_is_no_stall():
    core = min(machine.usable_cores())
    loop = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    others = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(3)]
    try:
        time.sleep(0.5)
        began_s, waited_s = time.monotonic(), machine.run_delay_s()
        seen = stalls.watch(1.0, core)
        elapsed_s = time.monotonic() - began_s
        waited_s = machine.run_delay_s() - waited_s
    finally:
        for other in others:
            other.kill()
            other.wait()

    assert seen is not None
    # What was waited for is in neither figure.
    assert seen.watched_s <= elapsed_s - 0.9 * waited_s
    assert sum(seen.gaps_s) <= seen.watched_s + SHORTEST_S
    assert waited_s > 0.2


@counted
def test_the_watcher_beside_something_is_over_with_it_and_hardly_costs_anything():
    before_s = time.process_time()
    with stalls.beside() as found:
        assert [] == found
        time.sleep(1.0)
    computed_s = time.process_time() - before_s

    (seen,) = found
    assert 0 < seen.watched_s < 60 and computed_s < 0.2


def test_a_watch_for_nothing_sees_nothing():
    seen = stalls.watch(0.0, min(machine.usable_cores()))

    assert seen is None or (0.0, ()) == (seen.watched_s, seen.gaps_s)


def test_the_cores_of_the_thread_are_as_before():
    before = machine.usable_cores()

    stalls.watch(0.001, before[-1])

    assert before == machine.usable_cores()


@pytest.mark.parametrize("change", [{"shortest_s": 0.0}, {"limit_s": -1.0}, {"limit_s": float("inf")}, {"sleep_s": -0.1}])
def test_arguments_that_mean_nothing_are_refused(change):
    with pytest.raises(ValueError, match="shortest_s must be above 0"):
        core_ping.stand_still(**{"shortest_s": 1.0, "limit_s": 0.0} | change)


def test_a_look_ends_with_its_time_or_with_the_first_gap():
    late_s, looked_s = core_ping.stand_still(shortest_s=60.0, limit_s=0.01)
    assert (0.0, True) == (late_s, looked_s >= 0.01)

    # Two looks at the clock are always further apart than that.
    late_s, looked_s = core_ping.stand_still(shortest_s=1e-12, limit_s=60.0)
    assert 0 < late_s <= looked_s < 60.0

    late_s, looked_s = core_ping.stand_still(shortest_s=30.0, limit_s=0.02, sleep_s=0.005)
    assert (0.0, True) == (late_s, looked_s >= 0.02)
