"""What a container may use: processor time and memory, by the control groups of Linux, version 1 and 2, and the time it was held back.

A process is in one group of each hierarchy, and the limits of all groups above it hold as well: the tightest counts. Every function takes
the root of the file system, so that tests lay out one of their own.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path("/")
MICROSECONDS_PER_S = 1e6
NANOSECONDS_PER_S = 1e9


class _Group(NamedTuple):
    """The folder of a group, and whether it speaks version 2."""

    folder: Path
    is_v2: bool


def quota_cores(root: Path = ROOT) -> float | None:
    """Return how many cores' worth of time this process may use, by the tightest quota above it; None where there is none."""
    found = []
    for group in _groups(root, "cpu"):
        quota, period = _quota_v2(group.folder) if group.is_v2 else _quota_v1(group.folder)
        if quota is not None and period is not None and quota > 0 and period > 0:
            found.append(quota / period)
    return min(found, default=None)


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """Return the tightest limit of memory above this process; None where there is none."""
    # Without a limit version 1 holds a number larger than any memory, which a caller takes the smaller of anyway.
    found = (
        _integer(group.folder / ("memory.max" if group.is_v2 else "memory.limit_in_bytes")) for group in _groups(root, "memory")
    )
    return min((limit for limit in found if limit is not None and limit > 0), default=None)


def available_bytes(root: Path = ROOT) -> int | None:
    """Return how much memory this process can still get, on the machine and in every group above it; None where nobody says."""
    machine = re.search(r"^MemAvailable:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    found = [int(machine[1]) * 1024] if machine else []
    for group in _groups(root, "memory"):
        limit = _integer(group.folder / ("memory.max" if group.is_v2 else "memory.limit_in_bytes"))
        used = _integer(group.folder / ("memory.current" if group.is_v2 else "memory.usage_in_bytes"))
        if limit is not None and used is not None and limit > 0:
            # What was read from files and not looked at since makes way.
            idle = _fields(group.folder / "memory.stat").get("inactive_file" if group.is_v2 else "total_inactive_file", 0)
            found.append(max(limit - used + idle, 0))
    return min(found, default=None)


def throttled_s(root: Path = ROOT) -> float | None:
    """Return the seconds for which quotas have kept the group's threads from running, summed over cores; None without a quota."""
    if quota_cores(root) is None:
        return None
    total_s = 0.0
    for group in _groups(root, "cpu"):
        fields = _fields(group.folder / "cpu.stat")
        if "throttled_usec" in fields:
            total_s += fields["throttled_usec"] / MICROSECONDS_PER_S
        elif "throttled_time" in fields:
            total_s += fields["throttled_time"] / NANOSECONDS_PER_S
    return total_s


def _quota_v2(folder: Path) -> tuple[int | None, int | None]:
    # "50000 100000"; "max 100000" without a quota.
    quota, period = [*_text(folder / "cpu.max").split(), "", ""][:2]
    return _number(quota), _number(period)


def _quota_v1(folder: Path) -> tuple[int | None, int | None]:
    # -1 without a quota.
    return _integer(folder / "cpu.cfs_quota_us"), _integer(folder / "cpu.cfs_period_us")


def _groups(root: Path, controller: str) -> Iterator[_Group]:
    """Yield the groups of this process in whatever hierarchies have the controller, each before the one above it."""
    paths = _paths(root)
    for mounted, is_v2, controllers, shown in _mounts(root):
        path = paths.get("" if is_v2 else controller)
        if path is None or not (is_v2 or controller in controllers):
            continue
        top = root / mounted.relative_to("/")
        group = top / _below(path, shown)
        while group != top:
            yield _Group(group, is_v2)
            group = group.parent
        yield _Group(top, is_v2)


def _below(path: PurePosixPath, shown: PurePosixPath) -> PurePosixPath:
    """Return where a group lies below a mount point that shows the part of its hierarchy under `shown`.

    A container often sees its own group as the root of all, under a name that only the host knows: it is the mount point then.
    """
    if ".." in path.parts or not path.is_relative_to(shown):
        return PurePosixPath()
    return path.relative_to(shown)


def _paths(root: Path) -> dict[str, PurePosixPath]:
    """Return this process's group by controller, that of version 2 under the empty name."""
    found = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/"):
            found.update(dict.fromkeys(controllers.split(","), PurePosixPath(path)))
    return found


def _mounts(root: Path) -> Iterator[tuple[PurePosixPath, bool, set[str], PurePosixPath]]:
    """Yield of each hierarchy its mount point, whether it is version 2, its controllers, and which part of it is mounted."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        fields, _, system = line.partition(" - ")
        where, what = fields.split(), system.split()
        if len(where) >= 5 and len(what) >= 3 and what[0] in ("cgroup", "cgroup2") and where[4].startswith("/"):
            yield (
                PurePosixPath(_unescaped(where[4])),
                what[0] == "cgroup2",
                set(what[2].split(",")),
                PurePosixPath(_unescaped(where[3])),
            )


def _unescaped(name: str) -> str:
    return name.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: number for pair in pairs if len(pair) == 2 and (number := _number(pair[1])) is not None}


def _integer(path: Path) -> int | None:
    return _number(_text(path).strip())


def _number(text: str) -> int | None:
    return int(text) if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() else None


def _text(path: Path) -> str:
    """Return what a file holds, nothing where there is none that may be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text()
    return ""
