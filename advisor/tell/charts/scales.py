"""Where an axis begins and ends, and the round values that are marked on it."""

import math
from collections.abc import Iterable, Sequence

from advisor.schema.record import Record

MAX_LINEAR_RANGE = 15.0  # beyond this ratio the small values of a linear axis cannot be read
MAX_TICKS = 8


class Scale(Record, frozen=True, kw_only=True):
    """An axis from `low` to `high` with its marks, ascending."""

    low: float
    high: float
    is_log: bool
    ticks: tuple[float, ...]


def linear_scale(high: float) -> Scale:
    """Return an axis from zero to the first mark above `high`."""
    step = next(step for step in _round_steps(high / 10, high, (1, 2, 5)) if high <= (MAX_TICKS - 2) * step)
    # Through text, since 3 * 0.1 is not the number that is written 0.3.
    count = math.floor(_written(high / step)) + 1
    return Scale(low=0.0, high=_written(step * count), is_log=False, ticks=tuple(_written(step * at) for at in range(count + 1)))


def log_scale(low: float, high: float) -> Scale:
    """Return a logarithmic axis whose ends are the nearest 1, 2 or 5 times a power of ten beyond `low` and `high`."""
    steps = _round_steps(low, high, (1, 2, 5))
    outer_low, outer_high = max(step for step in steps if step < low), min(step for step in steps if step > high)
    fine, coarse = (
        [step for step in _round_steps(low, high, digits) if outer_low <= step <= outer_high] for digits in ((1, 2, 5), (1,))
    )
    return Scale(low=outer_low, high=outer_high, is_log=True, ticks=tuple(fine if len(fine) <= MAX_TICKS else thinned(coarse)))


def scale_over(values: Iterable[float]) -> Scale:
    """Return an axis that holds `values`: from zero, or logarithmic where they are too far apart for that."""
    positive = [value for value in values if value > 0]
    low, high = min(positive, default=1.0), max(positive, default=1.0)
    return linear_scale(high) if high <= MAX_LINEAR_RANGE * low else log_scale(low, high)


def size_scale(sizes: Sequence[float]) -> Scale:
    """Return a logarithmic axis of sizes that were chosen, each of which is marked where there is room."""
    low, high = (sizes[0], sizes[-1]) if len(sizes) > 1 else (sizes[0] / 2, sizes[0] * 2)
    return Scale(low=low, high=high, is_log=True, ticks=tuple(sizes) if len(sizes) <= MAX_TICKS else thinned(sizes))


def held(scale: Scale, value: float) -> float:
    """Return the value, or the end of the axis that it lies beyond."""
    return min(max(value, scale.low), scale.high)


def part(scale: Scale, value: float) -> float:
    """Return how far along the axis a value lies, from 0 to 1."""
    inside = held(scale, value)
    if scale.is_log:
        return math.log(inside / scale.low) / math.log(scale.high / scale.low)
    return (inside - scale.low) / (scale.high - scale.low)


def thinned(values: Sequence[float]) -> tuple[float, ...]:
    """Return every n-th value, few enough for an axis."""
    return tuple(values[:: math.ceil(len(values) / MAX_TICKS)])


def _round_steps(low: float, high: float, digits: Sequence[int]) -> list[float]:
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    return [float(f"{digit}e{exponent}") for exponent in exponents for digit in digits]


def _written(value: float) -> float:
    return float(f"{value:.12g}")
