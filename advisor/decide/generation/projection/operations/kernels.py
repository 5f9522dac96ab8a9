"""One operation on one device -> its seconds at any shape and size: the roofline over the share of it that measured kernels reach."""

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from advisor.decide.generation.projection.operations.grounds import COMPUTED, Found, Foundation, Numbers, rates_of
from advisor.decide.generation.projection.operations.tables import Rates, ShareOfShape, Shares, Work
from advisor.schema.arrays.kernels import Operation

# Of the roofline that kernels reach where no device is near whose were measured: the median of all grids that are shipped.
USUAL_SHARE = 0.6
# What kernels that unpack weights as they go reach of what plain ones do: assumed. Frantar and others, "MARLIN", arXiv 2408.11743, are
# within a few percent of it while weights are what takes the time, and lose more beyond.
UNPACKING_SHARE = 0.9

# (shape, sizes of each axis, numbers) -> what that asks for
Law = Callable[[Sequence[float], Sequence[np.ndarray], Numbers], Work]


# Answers of a kernel that are kept: advice asks for a few hundred.
MAX_ANSWERS = 4096


def _as_they_are(rates: Rates) -> Rates:
    return rates


def kernel_of(
    foundation: Foundation,
    operation: Operation,
    law: Law,
    numbers: Numbers,
    precisions: Sequence[str],
    *,
    numbers_of: Mapping[str, Numbers] = COMPUTED,
    rates: Callable[[Rates], Rates] = _as_they_are,
) -> "Kernel":
    """Return one operation in some numbers on a device, the same one whenever it is asked for."""
    key = (operation, law, numbers, tuple(precisions), tuple(numbers_of.items()), rates)
    if key not in foundation.kernels:
        made = Kernel(foundation, operation, law, numbers, precisions, numbers_of=numbers_of, rates=rates)
        foundation.kernels[key] = made
    found: Kernel = foundation.kernels[key]
    return found


class Kernel:
    """One operation in some numbers on a device."""

    def __init__(
        self,
        foundation: Foundation,
        operation: Operation,
        law: Law,
        numbers: Numbers,
        precisions: Sequence[str],
        *,
        numbers_of: Mapping[str, Numbers] = COMPUTED,
        rates: Callable[[Rates], Rates] = _as_they_are,
    ) -> None:
        """`precisions` name the grids that may stand for it, the first that there is, and `numbers_of` has what each was computed in.

        `rates` turns those of a device into what counts.
        """
        self._law, self._numbers = law, numbers
        self._rates = rates(foundation.rates(numbers.computed_in))
        found = None if foundation.ground == "roofline" else foundation.find(operation, *precisions)
        self._usual = USUAL_SHARE * (UNPACKING_SHARE if numbers.unpacks else 1.0)
        self._shares = None if found is None else _shares(foundation, found, law, numbers_of[found.precision], rates)
        # A grid of kernels that unpack knows what that costs.
        packed = found is not None and numbers_of[found.precision].unpacks
        self._unpacking = UNPACKING_SHARE if numbers.unpacks and not packed else 1.0
        self._of_shape: dict[tuple[float, ...], ShareOfShape] = {}
        self._answers: dict[tuple[Hashable, ...], np.ndarray] = {}

    def seconds(self, shape: Sequence[float], *sizes: np.ndarray) -> np.ndarray:
        """Return the seconds of a shape at sizes, arrays of one shape; no fewer of a larger size. They are not for changing."""
        key = (tuple(shape), *((size.shape, size.tobytes()) for size in sizes))
        known = self._answers.get(key)
        if known is None:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            known = self._answers[key] = self._seconds(shape, sizes)
            known.flags.writeable = False
        return known

    def _seconds(self, shape: Sequence[float], sizes: Sequence[np.ndarray]) -> np.ndarray:
        if self._shares is None:
            return np.asarray(self._least_s(shape, sizes) / self._usual)
        key = tuple(shape)
        if key not in self._of_shape:
            share = self._shares.of(shape)
            self._of_shape[key] = share.ascending(self._least_s(shape, share.nodes()))
        of = self._of_shape[key]
        # Between two sizes that were measured a roofline that bends and a share that does not may dip, or bulge.
        all_sizes = np.broadcast_arrays(*sizes)
        around = [of.around(axis, size) for axis, size in enumerate(all_sizes)]
        below = itertools.product(*((size, low) for size, (low, _) in zip(all_sizes, around, strict=True)))
        at = [np.stack(axis) for axis in zip(*below, [high for _, high in around], strict=True)]
        found = self._least_s(shape, at) / np.exp(of.at(*at))
        return np.asarray(np.minimum(found[:-1].max(axis=0), found[-1]) / self._unpacking)

    def _least_s(self, shape: Sequence[float], sizes: Sequence[np.ndarray]) -> np.ndarray:
        return self._law(shape, sizes, self._numbers).roofline_s(self._rates)


def _shares(foundation: Foundation, found: Found, law: Law, numbers: Numbers, rates: Callable[[Rates], Rates]) -> Shares:
    of_grid = rates(rates_of(foundation.tables.model.measured[found.device], numbers.computed_in))

    def roofline_s(shape: Sequence[float], sizes: Sequence[np.ndarray]) -> np.ndarray:
        return law(shape, sizes, numbers).roofline_s(of_grid)

    return Shares(found.grid, roofline_s)
