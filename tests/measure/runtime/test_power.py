"""Claims about the meters of the machine; whether this one has any is not asked."""

from itertools import count
from pathlib import Path

import pytest

from advisor.measure.runtime.power import Meter

NO_GPU = "no-such-library.so"


def rapl(folder: Path, *joules: float) -> None:
    for package, energy in enumerate(joules):
        (folder / f"intel-rapl:{package}").mkdir(exist_ok=True)
        (folder / f"intel-rapl:{package}" / "energy_uj").write_text(f"{int(energy * 1e6)}\n")
        (folder / f"intel-rapl:{package}:0").mkdir(exist_ok=True)
        (folder / f"intel-rapl:{package}:0" / "energy_uj").write_text("999000000\n")


def read_at(folder: Path, *energies: tuple[float, ...]) -> Meter:
    """Return a meter that was read once a second, at these counters."""
    ticks = count()
    rapl(folder, *energies[0])
    meter = Meter(folder, lambda: float(next(ticks)), NO_GPU)
    for joules in energies:
        rapl(folder, *joules)
        meter.read()
    return meter


def test_the_packages_are_added_up_and_their_parts_are_not_counted_twice(tmp_path: Path) -> None:
    drawn = read_at(tmp_path, *((20.0 * second, 10.0 * second) for second in range(1, 8))).power()

    assert drawn is not None
    assert ("RAPL", 30.0, "measured") == (drawn.meter, pytest.approx(drawn.watts.value), drawn.watts.basis)


def test_a_counter_that_begins_anew_is_passed_over(tmp_path: Path) -> None:
    drawn = read_at(tmp_path, *((joules,) for joules in (50.0, 60.0, 70.0, 80.0, 5.0, 15.0, 25.0, 35.0))).power()

    assert drawn is not None
    assert (10.0, 10.0) == (pytest.approx(drawn.watts.low), pytest.approx(drawn.watts.high))


def test_without_a_meter_the_power_is_not_known(tmp_path: Path) -> None:
    meter = Meter(tmp_path, nvml=NO_GPU)
    meter.read()

    assert (None, None) == (meter.name, meter.power())


def test_a_few_readings_are_no_power(tmp_path: Path) -> None:
    assert read_at(tmp_path, (1.0,), (2.0,), (3.0,)).power() is None
