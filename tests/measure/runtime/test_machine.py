"""What the machine says of itself."""

import os
import subprocess
import sys

import msgspec
import psutil
import pytest

from advisor.measure.runtime import machine

BATCHES_BYTES = 1 << 22  # how far two readings of the same memory may differ


def test_the_machine_is_described_the_same_each_time():
    assert machine.read_machine() == machine.read_machine()


def test_the_machine_has_a_name_and_its_memory():
    found = machine.read_machine()

    assert found.cpu
    # A container may have less.
    assert 0 < found.memory_bytes <= psutil.virtual_memory().total


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its cores")
def test_only_the_cores_that_the_process_may_use_are_counted():
    count = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from advisor.measure.runtime import machine; "

    told = subprocess.run(
        [sys.executable, "-c", count + "print(machine.read_machine().cores)"], capture_output=True, text=True, check=True
    )

    assert "1\n" == told.stdout


@pytest.mark.parametrize(
    ("instruction_sets", "expected"),
    [((), False), (("avx2", "avx512f"), False), (("avx2", "avx_vnni"), True), (("avx512_vnni",), True), (("asimddp",), True)],
)
def test_dot_products_of_bytes_need_an_instruction_for_them(instruction_sets, expected):
    described = msgspec.structs.replace(machine.read_machine(), instruction_sets=instruction_sets)

    assert expected == machine.has_vnni(described)


def test_how_long_threads_waited_is_a_time_or_unknown():
    waited_s = machine.run_delay_s()

    assert waited_s is None or waited_s >= 0


def test_what_the_host_took_and_how_often_cores_were_taken_is_counted_or_unknown():
    before = machine.involuntary_switches(), machine.steal_s()
    after = machine.involuntary_switches(), machine.steal_s()

    assert all(first is None or 0 <= first <= second for first, second in zip(before, after, strict=True))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux counts the memory of each program by itself")
def test_the_peak_of_memory_is_not_that_of_the_parent():
    block = bytearray(1 << 28)

    told = subprocess.run(
        [sys.executable, "-c", "from advisor.measure.runtime import machine; print(machine.peak_memory_bytes())"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(told.stdout) < len(block)


def test_the_peak_of_memory_can_begin_anew_and_is_never_less_than_what_is_held():
    block = bytearray(1 << 25)
    during = machine.peak_memory_bytes()
    machine.forget_peak_memory()

    assert len(block) < machine.peak_memory_bytes() < during + BATCHES_BYTES


def test_the_peak_of_memory_never_falls():
    machine.forget_peak_memory()  # tests before this one may have held far more
    before = machine.peak_memory_bytes()
    block = bytearray(1 << 26)  # more than the allocator ever takes out of what was freed before: it gets pages of its own
    during = machine.peak_memory_bytes()
    del block

    # Linux counts pages in batches per core, and tells the sum to within some of them.
    assert 0 < before < during < machine.peak_memory_bytes() + BATCHES_BYTES


@pytest.mark.parametrize(("quota", "expected"), [("50000", 1), ("100000", 1), ("150000", 2), ("9900000", 99), ("max", 99)])
def test_no_more_threads_are_counted_than_a_quota_rounded_up_keeps_busy(tmp_path, quota, expected):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "proc/self/mountinfo").write_text("31 24 0:27 / /groups rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups/cpu.max").write_text(f"{quota} 100000\n")

    assert min(expected, len(machine.usable_cores())) == machine.core_count(tmp_path)
