"""How much memory there is for more, what a process holds of it, and which process goes first when none is left."""

import contextlib
import ctypes
from pathlib import Path

from advisor.measure.runtime import control_groups

KIB = 1024
# A value of a call may take a thirty-second of what is free, and where that is little, up to a quarter.
PARTS, FEW_PARTS, SMALL_BYTES = 32, 4, 256_000_000
# Of OOM killers: 1000 is the first to go. Our children hold the models; the parent holds what was measured.
FIRST_TO_GO = "1000"


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return what this process and its children may still take, on the machine and under every limit above it; None where unknown."""
    found = (_kib(root / "proc/meminfo", "MemAvailable"), control_groups.memory_room_bytes(root))
    return min((value for value in found if value is not None), default=None)


def held_bytes(pid: int) -> int:
    """Return the memory that a process holds and the system cannot take back: pages of files are left out. 0 once it is gone."""
    path = Path(f"/proc/{pid}/status")
    return (_kib(path, "RssAnon") or 0) + (_kib(path, "RssShmem") or 0)


def give_back() -> None:
    """Give memory that was freed back to the system, where its C library (glibc) keeps it and can be asked to."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def most_for_one(room_bytes: int) -> int:
    """Return how much of the free memory one value of a call may take: others come to it, of several items, asked more than once."""
    return max(room_bytes // PARTS, min(SMALL_BYTES, room_bytes // FEW_PARTS))


def go_first() -> None:
    """Ask the system to end this process before any other of ours when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


def _kib(path: Path, field: str) -> int | None:
    """Return a field of a file of the kernel's, which has it in KiB."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) * KIB
    return None
