"""How much memory there is for more."""

import os

import numpy as np
import psutil
import pytest

from advisor.measure.runtime import memory
from tests.measure.runtime.test_control_groups import described, write

GIB = 1 << 30


def test_no_more_is_free_than_the_machine_has():
    assert 0 < memory.available_bytes() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("limit", "used", "of_files", "expected"),
    [(GIB, GIB // 2, 0, GIB // 2), (GIB, GIB, GIB // 4, GIB // 4), (GIB, 2 * GIB, 0, 0)],
)
@pytest.mark.parametrize("is_v2", [True, False])
def test_a_limit_leaves_what_is_not_used_and_what_only_pages_of_files_take(tmp_path, is_v2, limit, used, of_files, expected):
    kind, folder = ("cgroup2", "sys/fs/cgroup") if is_v2 else ("cgroup", "sys/fs/cgroup/memory")
    described(
        tmp_path,
        groups="0::/\n" if is_v2 else "4:memory:/\n",
        mounts=f"31 24 0:27 / /{folder} rw - {kind} {kind} rw,memory\n",
    )
    names = ("memory.max", "memory.current", "") if is_v2 else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
    write(tmp_path / folder / names[0], str(limit))
    write(tmp_path / folder / names[1], str(used))
    write(tmp_path / folder / "memory.stat", f"{names[2]}inactive_file {of_files}\n{names[2]}active_file 0\n")
    write(tmp_path / "proc/meminfo", f"MemTotal: {64 << 20} kB\nMemAvailable: {32 << 20} kB\n")

    assert expected == memory.available_bytes(tmp_path)


def test_without_a_limit_the_machine_decides_and_without_figures_nobody_knows(tmp_path):
    assert memory.available_bytes(tmp_path) is None

    write(tmp_path / "proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\n")
    assert 500 * 1024 == memory.available_bytes(tmp_path)


def test_a_process_holds_what_it_wrote_to_and_nothing_once_it_is_gone():
    before = memory.held_bytes(os.getpid())
    values = np.ones(64 << 20, np.uint8)

    assert memory.held_bytes(os.getpid()) - before > len(values) // 2
    assert 0 == memory.held_bytes(2**22 + 1)


@pytest.mark.parametrize(("room", "expected"), [(64 * GIB, 2 * GIB), (GIB, 256_000_000), (GIB // 4, GIB // 16)])
def test_one_value_may_take_a_part_of_what_is_free(room, expected):
    assert expected == memory.most_for_one(room)
