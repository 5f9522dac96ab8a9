"""The machine that measures: what it is and how busy it was. The one doorway to `psutil`."""

import contextlib
import ctypes
import math
import os
import platform
import signal
import sys
from pathlib import Path

from advisor.measure.runtime import control_groups
from advisor.schema.profile import Machine

# Instruction sets that decide which precision is fast in ONNX Runtime's CPU kernels, as Linux spells them.
DECISIVE_FLAGS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29  # linux/prctl.h
VNNI_FLAGS = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}


def read_machine() -> Machine:
    """Return the description of this machine, cores and memory counted as this process may use them."""
    import psutil

    fields, physical_bytes = _cpuinfo(), psutil.virtual_memory().total
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return Machine(
        cpu=fields.get("model name") or platform.processor() or platform.machine(),
        cores=core_count(),
        memory_bytes=min(physical_bytes, control_groups.memory_limit_bytes() or physical_bytes),
        instruction_sets=tuple(flag for flag in DECISIVE_FLAGS if flag in flags),
        system=f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        quota_cores=control_groups.quota_cores(),
    )


def usable_cores() -> list[int]:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def core_count(root: Path = Path("/")) -> int:
    """Return how many threads this process can keep busy: its cores, and under a quota no more than its time, rounded up.

    With half a core one thread stands still half of the time; two would stand still three quarters of it and wait for one another. With
    one and a half, a second thread gets the half that the first cannot use.
    """
    quota = control_groups.quota_cores(root)
    usable = len(usable_cores())
    return usable if quota is None else max(1, min(usable, math.ceil(quota)))


def has_vnni(machine: Machine) -> bool:
    """Return whether int8 dot products accumulate in 32 bits, so that 8-bit weights do not saturate."""
    return bool(VNNI_FLAGS & set(machine.instruction_sets))


def run_delay_s() -> float | None:
    """Return the seconds that this process's threads waited for a core while ready to run, or None where the kernel hides it."""
    total = 0
    try:
        for path in Path("/proc/self/task").glob("*/schedstat"):
            total += int(path.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return total / 1e9


def end_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when the thread that started it ends, be it killed itself; end now if `parent` ended before.

    Who reads a pipe of the parent's notices that only when it reads, and a model that hangs never does.
    """
    with contextlib.suppress(AttributeError, OSError):  # another system, or another C library
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        sys.exit(1)


def wake_punctually() -> None:
    """Ask the kernel to end this thread's sleeps, and those of the threads it starts, on time: by default it may be 50 us late."""
    with contextlib.suppress(AttributeError, OSError):  # another system, or another C library
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def involuntary_switches() -> int | None:
    """Return how often a core was taken from this process's threads before they gave it up, or None where the kernel hides it."""
    total = 0
    try:
        for path in Path("/proc/self/task").glob("*/status"):
            total += int(_status(path)["nonvoluntary_ctxt_switches"])
    except (OSError, ValueError, KeyError):
        return None
    return total


def steal_s() -> float | None:
    """Return the seconds in which the host ran something else although a core of this machine had work, summed over cores.

    Read in ticks of 10 ms as a rule. None where the kernel hides it; 0 on a machine that is not virtual.
    """
    try:
        fields = Path("/proc/stat").read_text().partition("\n")[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def computed_s() -> float | None:
    """Return the seconds that all processes together have computed on the cores that this one may use, None where it is not known.

    Read in ticks of 10 ms as a rule.
    """
    wanted = {f"cpu{core}" for core in usable_cores()}
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        # user, nice, system, and after idle and iowait irq, softirq; what guests compute is in the first two.
        ticks = [sum(map(int, (*fields[1:4], *fields[6:8]))) for fields in lines if fields and fields[0] in wanted]
    except (OSError, ValueError):
        return None
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def peak_memory_bytes() -> int:
    """Return the largest resident size that this process has had."""
    import resource

    try:
        # getrusage never reports less for a child than what its parent had when the child was started.
        return int(_status(Path("/proc/self/status"))["VmHWM"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024


def forget_peak_memory() -> None:
    """Let the peak of this process begin anew at what it holds now, where the kernel allows that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status(path: Path) -> dict[str, str]:
    """Return the fields of a thread's or process's status file."""
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _cpuinfo() -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo, empty where there is none."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
