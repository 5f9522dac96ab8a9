"""A grid of measured kernels -> the seconds of any shape and size, on that device or another.

What is interpolated is not the time but the share of the roofline that the kernel reached, as a logarithm: linear in logarithms of shapes
and sizes. Beyond what was measured the share stays as it is at the end, and the roofline goes on. So a time is never clamped, and on
another device the share is kept while the rates are its own.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from advisor.schema.arrays.kernels import Grid

# What launching a kernel takes whatever it does: those of empty work were measured at 2 to 5 us.
LAUNCH_S = 2.5e-6
ROUNDS = 3  # over the axes of a grid, until hardly anything descends


class Rates(NamedTuple):
    """What a device does at best, in one precision."""

    flop_per_s: float
    bytes_per_s: float
    link_bytes_per_s: float  # to the other devices of its machine


class Work(NamedTuple):
    """What a kernel has to do, arrays of one shape."""

    flop: np.ndarray
    bytes: np.ndarray

    def roofline_s(self, rates: Rates) -> np.ndarray:
        """Return the least seconds, the launch counted (Williams, Waterman and Patterson, CACM 52(4), 2009)."""
        return LAUNCH_S + np.maximum(self.flop / rates.flop_per_s, self.bytes / rates.bytes_per_s)


# (shape, sizes of each axis as arrays that broadcast) -> what that asks for
WorkOf = Callable[[Sequence[float], Sequence[np.ndarray]], np.ndarray]


class Shares:
    """Logarithms of the share of the roofline that kernels of one grid reach."""

    def __init__(self, grid: Grid, roofline_s: WorkOf) -> None:
        """`roofline_s` gives the least seconds of a shape at sizes, on the device of the grid."""
        self._grid, self._roofline_s = grid, roofline_s
        self._logs = np.log(np.maximum(grid.shapes, 1e-9))
        self._axes = [np.log(axis) for axis in grid.axes]

    def of(self, shape: Sequence[float]) -> "ShareOfShape":
        """Return the shares of one shape at any size."""
        found = np.zeros([len(axis) for axis in self._axes])
        for row, weight in weights(self._logs, [math.log(max(part, 1e-9)) for part in shape]):
            found += weight * self._of_row(row)
        return ShareOfShape(self._axes, found)

    def _of_row(self, row: int) -> np.ndarray:
        """Return the shares of a measured shape, (sizes); what was not measured as at the nearest size that was."""
        sizes = np.meshgrid(*self._grid.axes, indexing="ij", sparse=True)
        share = np.log(self._roofline_s(self._grid.shapes[row].tolist(), sizes)) - self._grid.log_s[row]
        for axis in reversed(range(share.ndim)):
            share = _filled(share, axis)
        return np.asarray(share)


class ShareOfShape(NamedTuple):
    """Logarithms of shares over a grid of logarithms of sizes."""

    axes: Sequence[np.ndarray]
    logs: np.ndarray

    def nodes(self) -> list[np.ndarray]:
        """Return the sizes of the grid, an array for each axis; they broadcast to the grid."""
        return [np.exp(axis) for axis in np.meshgrid(*self.axes, indexing="ij", sparse=True)]

    def ascending(self, least_s: np.ndarray) -> "ShareOfShape":
        """Return the shares with which no size of the grid takes longer than a larger one; `least_s` are the rooflines of the grid.

        Libraries change their ways with the size, and the kernel of the next larger one may be quicker. Such neighbors get their mean
        (isotonic regression by pooling adjacent violators: Ayer and others, Ann. Math. Stat. 26(4), 1955), one axis after the other.
        """
        least = np.log(np.broadcast_to(least_s, self.logs.shape))
        log_s = least - self.logs
        for axis in list(range(log_s.ndim)) * (1 if log_s.ndim == 1 else ROUNDS):
            if (np.diff(log_s, axis=axis) < 0).any():
                log_s = np.apply_along_axis(_pooled, axis, log_s)
        # What is left on several axes lies between its envelopes from above and from below.
        above = below = log_s
        for axis in range(log_s.ndim):
            above = np.maximum.accumulate(above, axis)
            below = np.flip(np.minimum.accumulate(np.flip(below, axis), axis), axis)
        return self._replace(logs=least - (above + below) / 2)

    def around(self, axis: int, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sizes of the grid on both sides of each; beyond the ends the size itself."""
        nodes = np.exp(self.axes[axis])
        below, above = (np.searchsorted(nodes, size, side=side) for side in ("right", "left"))
        low = np.where(below > 0, nodes[np.maximum(below - 1, 0)], size)
        high = np.where(above < len(nodes), nodes[np.minimum(above, len(nodes) - 1)], size)
        return np.minimum(low, size), np.maximum(high, size)

    def at(self, *sizes: np.ndarray) -> np.ndarray:
        """Return the logarithm of the share at sizes, arrays of one shape; beyond the ends as there."""
        flat = [np.asarray(size, dtype=float).ravel() for size in np.broadcast_arrays(*sizes)]
        shape = np.broadcast_shapes(*(np.shape(size) for size in sizes))
        corners = [(np.zeros(len(flat[0]), dtype=np.intp), np.ones(len(flat[0])))]
        for axis, size in zip(self.axes, flat, strict=True):
            low, part = _bracket(axis, np.log(np.maximum(size, 1e-9)))
            high = np.minimum(low + 1, len(axis) - 1)
            corners = [
                (place * len(axis) + at, weight * share)
                for place, weight in corners
                for at, share in ((low, 1 - part), (high, part))
            ]
        values = self.logs.ravel()
        return np.asarray(sum(weight * values[place] for place, weight in corners)).reshape(shape)


def _pooled(line: np.ndarray) -> np.ndarray:
    """Return the ascending line that is nearest by least squares."""
    means: list[float] = []
    counts: list[int] = []
    for value in line.tolist():
        mean, count = value, 1
        while means and means[-1] > mean:
            count += counts[-1]
            mean += (means.pop() - mean) * counts.pop() / count
        means.append(mean)
        counts.append(count)
    return np.repeat(means, counts)


def _bracket(axis: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places below, and how far each value lies towards the next; within the ends."""
    if len(axis) == 1:
        return np.zeros(len(wanted), dtype=np.intp), np.zeros(len(wanted))
    low = np.clip(np.searchsorted(axis, wanted, side="right") - 1, 0, len(axis) - 2)
    return low, np.clip((wanted - axis[low]) / (axis[low + 1] - axis[low]), 0.0, 1.0)


def _filled(values: np.ndarray, axis: int) -> np.ndarray:
    """Return values with gaps along an axis closed: linear between what is known, as at the end beyond; a line without any stays."""
    lines = np.moveaxis(values, axis, -1).copy()
    places = np.arange(lines.shape[-1])
    for line in lines.reshape(-1, lines.shape[-1]):
        known = ~np.isnan(line)
        if known.any() and not known.all():
            line[~known] = np.interp(places[~known], places[known], line[known])
    return np.moveaxis(lines, -1, axis)


def weights(shapes: np.ndarray, wanted: Sequence[float]) -> list[tuple[int, float]]:
    """Return which rows of `shapes` (rows, columns), in logarithms, stand for a shape, and with what weight.

    Column by column: the values on both sides of the wanted one are taken whose rows enclose it in the columns that follow, and each of
    them in proportion to how near it is. Where no row encloses it the nearest value stands for it.
    """
    rows = np.arange(len(shapes))
    return [(int(row), weight) for row, weight in _weights(shapes, rows, wanted) if weight > 0]


def _weights(shapes: np.ndarray, rows: np.ndarray, wanted: Sequence[float]) -> list[tuple[int, float]]:
    if not wanted:
        return [(int(rows[0]), 1.0)]
    column = shapes[rows, shapes.shape[1] - len(wanted)]
    values = np.unique(column)
    rest = wanted[1:]
    if rest:
        enclosing = [value for value in values if _encloses(shapes, rows[column == value], rest)]
        values = np.array(enclosing) if enclosing else values
    low, part = _bracket(values, np.array([wanted[0]]))
    below, above = values[low[0]], values[min(low[0] + 1, len(values) - 1)]
    share = float(part[0])
    found: list[tuple[int, float]] = []
    for value, weight in ((below, 1.0 - share), (above, share)):
        if weight > 0:
            found.extend((row, weight * inner) for row, inner in _weights(shapes, rows[column == value], rest))
    return found


def _encloses(shapes: np.ndarray, rows: np.ndarray, wanted: Sequence[float]) -> bool:
    """Return whether rows lie on both sides of what is wanted in every column that is left, or at it."""
    if not wanted:
        return True
    column = shapes[rows, shapes.shape[1] - len(wanted)]
    below, above = column <= wanted[0] + 1e-9, column >= wanted[0] - 1e-9
    if not (below.any() and above.any()):
        return False
    sides = (column[below].max(), column[above].min())
    return all(_encloses(shapes, rows[column == side], wanted[1:]) for side in sides)
