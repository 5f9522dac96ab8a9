"""What the machine draws, by its own meters: RAPL of CPUs, NVML of NVIDIA's GPUs; None where neither can be read."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from advisor.schema.profile import Power
from advisor.schema.record import Estimate

RAPL = Path("/sys/class/powercap")
LEAST_S = 0.05  # counters are renewed every millisecond or so; a shorter span is inaccurate
LEAST_SPANS = 5
NVML = "libnvidia-ml.so.1"


class Reading(NamedTuple):
    """Joules used up to a moment, or watts at it."""

    moment_s: float
    joules: float | None
    watts: float | None


class Meter:
    """Reads a meter on request, and returns the mean power between the first and the last reading."""

    def __init__(self, folder: Path = RAPL, clock: Callable[[], float] = time.perf_counter, nvml: str = NVML) -> None:
        self._clock = clock
        self._domains = _packages(folder)
        self._watts = None if self._domains else _nvml(nvml)
        self.readings: list[Reading] = []

    @property
    def name(self) -> Literal["RAPL", "NVML"] | None:
        """The meter that can be read."""
        return "RAPL" if self._domains else "NVML" if self._watts else None

    def read(self) -> None:
        """Take a reading; without a meter nothing happens."""
        if self._domains and (joules := _joules(self._domains)) is not None:
            self.readings.append(Reading(self._clock(), joules, None))
        elif self._watts is not None:
            self.readings.append(Reading(self._clock(), None, self._watts()))

    def power(self) -> Power | None:
        """Return the median over the spans between readings, with the range that nine in ten of them lie in."""
        name, spans = self.name, self._spans()
        if name is None or len(spans) < LEAST_SPANS:
            return None
        low, value, high = (float(each) for each in np.quantile(spans, (0.05, 0.5, 0.95)))
        source = f"{name} between {len(spans) + 1} readings while the model was measured"
        return Power(watts=Estimate(value=value, low=low, high=high, basis="measured", source=source), meter=name)

    def _spans(self) -> list[float]:
        found, before = [], None
        for reading in self.readings:
            if reading.watts is not None:
                found.append(reading.watts)
                continue
            if before is not None and reading.moment_s - before.moment_s < LEAST_S:
                continue
            # A counter that has begun anew is passed over.
            if before is not None and (reading.joules or 0.0) >= (before.joules or 0.0):
                found.append(((reading.joules or 0.0) - (before.joules or 0.0)) / (reading.moment_s - before.moment_s))
            before = reading
        return [watts for watts in found if watts > 0]


def _packages(folder: Path) -> list[Path]:
    """Return the counters of whole packages; those below them are counted in."""
    found = [path / "energy_uj" for path in sorted(folder.glob("intel-rapl:*")) if path.name.count(":") == 1]
    return found if found and _joules(found) is not None else []


def _joules(counters: list[Path]) -> float | None:
    try:
        return sum(int(path.read_text()) for path in counters) / 1e6
    except (OSError, ValueError):  # newer kernels let only root read them
        return None


def _nvml(name: str) -> Callable[[], float] | None:
    """Return what reads the watts of all GPUs, None without the driver's library."""
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    count = ctypes.c_uint()
    if library.nvmlInit_v2() != 0 or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return None
    handles = []
    for index in range(count.value):
        handle = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) == 0:
            handles.append(handle)

    def watts() -> float:
        total, milliwatts = 0.0, ctypes.c_uint()
        for handle in handles:
            if library.nvmlDeviceGetPowerUsage(handle, ctypes.byref(milliwatts)) == 0:
                total += milliwatts.value / 1e3
        return total

    return watts if handles and watts() > 0 else None
