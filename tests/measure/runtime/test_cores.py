"""Cores: whoever asks how far apart they are, or has work done on some of them, stays where it was."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.runtime import cores, machine, ort_session
from tests import models
from tests.models import save

CAN_PIN = hasattr(os, "sched_setaffinity")
only_linux = pytest.mark.skipif(not CAN_PIN, reason="only Linux lets a thread choose its cores")


@pytest.fixture(params=[OSError, AttributeError])
def unmovable(request, monkeypatch):
    """A system on which no thread can be kept on a core."""

    def refused(*_):
        raise request.param

    monkeypatch.setattr(os, "sched_setaffinity", refused, raising=False)


# --- staying on a core -------------------------------------------------------------------------------------------------------------


@only_linux
def test_a_thread_stays_on_its_cores_while_it_should_and_no_longer():
    before = os.sched_getaffinity(0)

    with cores.pinned([min(before)]):
        during = os.sched_getaffinity(0)

    assert {min(before)} == during
    assert before == os.sched_getaffinity(0)


@only_linux
def test_a_failure_leaves_the_thread_where_it_was():
    before = os.sched_getaffinity(0)

    with pytest.raises(ZeroDivisionError), cores.pinned([min(before)]):
        raise ZeroDivisionError

    assert before == os.sched_getaffinity(0)


@only_linux
def test_other_threads_are_not_moved():
    before, seen, asked, told = os.sched_getaffinity(0), [], threading.Event(), threading.Event()

    def other():
        asked.wait()
        seen.append(os.sched_getaffinity(0))
        told.set()

    thread = threading.Thread(target=other)
    thread.start()
    with cores.pinned([min(before)]):
        asked.set()
        told.wait()
    thread.join()

    assert [before] == seen


@only_linux
def test_the_threads_of_a_session_stay_on_the_cores_of_the_one_that_opens_it(tmp_path):
    path, before = save(models.mlp(), tmp_path / "model.onnx"), set(os.listdir("/proc/self/task"))
    core = machine.usable_cores()[-1]

    with cores.pinned([core]):
        session = ort_session.open_session(path, intra_op_num_threads=3)

    started = set(os.listdir("/proc/self/task")) - before
    places = {os.sched_getaffinity(int(thread)) == {core} for thread in started if Path(f"/proc/self/task/{thread}").exists()}
    assert session is not None
    assert True in places


def test_where_no_thread_can_be_moved_the_work_is_done_all_the_same(unmovable):
    before, done = machine.usable_cores(), []

    with cores.pinned([before[0]]):
        done.append(machine.usable_cores())

    assert [before] == done


def test_a_core_that_is_not_there_moves_nothing():
    before = machine.usable_cores()

    with cores.pinned([10**6]):
        assert before == machine.usable_cores()


@given(st.integers(1, 16), st.integers(1, 16), st.sets(st.integers(0, 99), min_size=1, max_size=32).map(sorted))
def test_instances_side_by_side_have_cores_of_their_own(threads, instances, usable):
    found = cores.places(usable, threads=threads, instances=instances)

    assert instances == len(found)
    if instances > 1 and threads * instances <= len(usable):
        assert threads * instances == len({core for place in found for core in place})
        assert {threads} == set(map(len, found))
    else:
        assert all(usable == place for place in found)


# --- how far cores are apart -------------------------------------------------------------------------------------------------------


def test_a_hop_takes_time_or_is_unknown():
    hop_s = cores.hop_s(machine.usable_cores())

    assert hop_s is None or 0 < hop_s < cores.LIMIT_S


def test_asking_leaves_the_asker_where_it_was_and_no_thread_behind():
    before, threads = machine.usable_cores(), threading.active_count()

    cores.hop_s(before)

    assert before == machine.usable_cores()
    assert threads == threading.active_count()


def test_one_core_is_no_distance():
    assert cores.hop_s([0]) is None


def test_nothing_is_known_where_no_thread_can_be_moved(unmovable):
    assert cores.hop_s([0, 1]) is None
