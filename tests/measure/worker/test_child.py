"""A process beside this one: its end in words, its memory watched."""

import signal
import time

import pytest

from advisor.measure.worker.child import Child, ChildError, name_of

IDLE = "advisor.measure.worker.apart_process"


@pytest.fixture
def child():
    started = Child(IDLE)
    yield started
    started.end()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGFPE, "SIGFPE, an integer division fault"), (signal.SIGKILL, "SIGKILL, out of memory perhaps"), (63, "signal 63")],
)
def test_a_signal_has_its_name_and_what_it_means(number, expected):
    assert expected == name_of(number)


def test_a_process_that_takes_more_memory_than_is_free_is_an_error_with_both_sizes(child):
    with pytest.raises(ChildError, match=r"it took \d.* of memory, and 1 kB were free for it here"):
        for _ in range(1000):  # it is started first
            assert not child.wait(0.0, every_s=0.01, limit_bytes=10**15)
            child.wait(0.02, every_s=0.01, limit_bytes=1000)


def test_nothing_to_read_in_time_is_no_error(child):
    started_s = time.monotonic()

    assert not child.wait(0.1, every_s=0.01)
    assert time.monotonic() - started_s >= 0.1
