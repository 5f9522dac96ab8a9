"""Limits of containers, read from file systems that the test lays out: whichever version, however deep, the tightest counts."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.measure.runtime.control_groups import available_bytes, memory_limit_bytes, quota_cores, throttled_s

NAMES = ("kubepods", "pod-1", "box")
UNLIMITED_V1 = 9223372036854771712  # what version 1 holds without a limit
fresh = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
quotas = st.none() | st.tuples(st.integers(1000, 800_000), st.sampled_from([10_000, 100_000]))
limits = st.none() | st.integers(1, 2**40)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def described(root: Path, *, groups: str, mounts: str) -> None:
    write(root / "proc/self/cgroup", groups)
    write(root / "proc/self/mountinfo", mounts)


def v2(root: Path, levels: list[dict[str, str]], *, shown: str = "/", own: str | None = None) -> Path:
    """Lay out a hierarchy of version 2 with a group for each level below the mounted one, the first; return the innermost."""
    path = "/".join(("", *NAMES[: len(levels) - 1]))
    described(
        root,
        groups=f"0::{own if own is not None else path or '/'}\n",
        mounts=f"25 24 0:22 / /proc rw - proc proc rw\n31 24 0:27 {shown} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
    )
    folder = root / "sys/fs/cgroup"
    for depth, files in enumerate(levels):
        folder = folder / NAMES[depth - 1] if depth else folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write(folder / name, text)
    return folder


def v1(root: Path, levels: list[dict[str, str]]) -> None:
    """Lay out hierarchies of version 1 for processor time and for memory, with the same groups, beside an empty one of version 2."""
    path = "/".join(("", *NAMES[: len(levels) - 1])) or "/"
    described(
        root,
        groups=f"9:name=systemd:/\n4:memory:{path}\n2:cpu,cpuacct:{path}\n0::/\n",
        mounts=(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
            "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
            "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
        ),
    )
    for controller in ("cpu,cpuacct", "memory"):
        folder = root / "sys/fs/cgroup" / controller
        for depth, files in enumerate(levels):
            folder = folder / NAMES[depth - 1] if depth else folder
            for name, text in files.items():
                if name.startswith(controller[:3]):
                    write(folder / name, text)


def tightest(values):
    return min((value for value in values if value is not None), default=None)


@fresh
@given(st.lists(quotas, min_size=1, max_size=4), st.booleans())
def test_the_tightest_quota_of_all_groups_above_counts(tmp_path_factory, given_quotas, is_v2):
    root = tmp_path_factory.mktemp("root")
    if is_v2:
        v2(
            root,
            [{"cpu.max": f"{'max' if quota is None else quota[0]} {quota[1] if quota else 100000}\n"} for quota in given_quotas],
        )
    else:
        v1(
            root,
            [
                {"cpu.cfs_quota_us": f"{quota[0] if quota else -1}\n", "cpu.cfs_period_us": f"{quota[1] if quota else 100000}\n"}
                for quota in given_quotas
            ],
        )

    assert tightest([quota and quota[0] / quota[1] for quota in given_quotas]) == quota_cores(root)


@fresh
@given(st.lists(limits, min_size=1, max_size=4), st.booleans())
def test_the_tightest_limit_of_memory_of_all_groups_above_counts(tmp_path_factory, given_limits, is_v2):
    root = tmp_path_factory.mktemp("root")
    if is_v2:
        v2(root, [{"memory.max": f"{'max' if limit is None else limit}\n"} for limit in given_limits])
    else:
        v1(root, [{"memory.limit_in_bytes": f"{limit or UNLIMITED_V1}\n"} for limit in given_limits])

    expected = tightest(given_limits)
    assert (expected if is_v2 or expected is not None else UNLIMITED_V1) == memory_limit_bytes(root)


def test_a_container_that_sees_its_own_group_as_the_root_finds_its_limits(tmp_path):
    for number, (shown, own) in enumerate([("/", "/"), ("/docker/abc", "/docker/abc"), ("/", "/../../docker/abc")]):
        root = tmp_path / str(number)
        v2(root, [{"cpu.max": "150000 100000\n", "memory.max": "629145600\n"}], shown=shown, own=own)

        assert (1.5, 629145600) == (quota_cores(root), memory_limit_bytes(root))


def test_throttled_time_is_that_of_all_groups_above_in_seconds(tmp_path):
    half = {"cpu.max": "50000 100000\n", "cpu.stat": "usage_usec 9\nnr_throttled 4\nthrottled_usec 1500000\n"}
    one = {"cpu.max": "100000 100000\n", "cpu.stat": "throttled_usec 250000\n"}
    v2(tmp_path / "2", [{}, half, one])
    v1(
        tmp_path / "1",
        [
            {
                "cpu.cfs_quota_us": "50000\n",
                "cpu.cfs_period_us": "100000\n",
                "cpu.stat": "nr_throttled 4\nthrottled_time 1500000000\n",
            }
        ],
    )

    assert 1.75 == throttled_s(tmp_path / "2")
    assert 1.5 == throttled_s(tmp_path / "1")


def test_without_a_quota_nothing_is_throttled_and_without_control_groups_nothing_is_limited(tmp_path):
    v2(tmp_path / "free", [{"cpu.max": "max 100000\n", "cpu.stat": "throttled_usec 0\n", "memory.max": "max\n"}])

    for root in (tmp_path / "free", tmp_path / "empty"):
        assert (None, None, None) == (quota_cores(root), memory_limit_bytes(root), throttled_s(root))


@fresh
@given(st.text(max_size=200), st.text(max_size=400), st.text(max_size=40))
def test_files_that_say_something_else_limit_nothing_and_break_nothing(tmp_path_factory, groups, mounts, quota):
    root = tmp_path_factory.mktemp("root")
    described(root, groups=groups, mounts=mounts)
    assert quota_cores(root) is None and memory_limit_bytes(root) is None

    v2(root, [{"cpu.max": quota, "memory.max": quota, "cpu.stat": quota}])
    assert (quota_cores(root) or 1) > 0 and (memory_limit_bytes(root) or 1) > 0


@pytest.mark.parametrize("text", ["", "max", "0 100000", "-5 100000", "50000 0", "50000", "٣ 100000", "1e5 100000"])
def test_a_quota_that_makes_no_sense_is_none(tmp_path, text):
    v2(tmp_path, [{"cpu.max": text}])

    assert quota_cores(tmp_path) is None


def test_what_can_still_be_had_is_the_least_that_the_machine_and_a_group_leave(tmp_path):
    half = {"memory.max": "1000000\n", "memory.current": "900000\n", "memory.stat": "anon 1\ninactive_file 300000\n"}
    v2(tmp_path / "2", [{}, half, {"memory.max": "max\n", "memory.current": "5\n"}])
    v1(
        tmp_path / "1",
        [
            {
                "memory.limit_in_bytes": "1000000\n",
                "memory.usage_in_bytes": "950000\n",
                "memory.stat": "total_inactive_file 0\n",
            }
        ],
    )
    (tmp_path / "machine" / "proc").mkdir(parents=True)

    for root in ("2", "1", "machine"):
        (tmp_path / root / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")

    assert [400_000, 50_000, 4_096_000] == [available_bytes(tmp_path / root) for root in ("2", "1", "machine")]
    assert available_bytes(tmp_path / "nowhere") is None
