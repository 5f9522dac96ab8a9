"""The outputs of many items in a file: arrays where all items are of one shape, lists of arrays where they are not."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from advisor.errors import ModelError

# Beside an output whose items differ in shape lies the shape of each under its name with this behind it.
SHAPES = "~shapes"


class Layout(NamedTuple):
    """How an output holds the items of a call: `rows` of them for each item along `axis`; None: the call is one item."""

    axis: int | None
    rows: int

    def split(self, values: np.ndarray, count: int) -> list[np.ndarray]:
        """Return what belongs to each of the `count` items of one call; copies that filled it up are left out."""
        if self.axis is None:
            return [values]
        first = np.moveaxis(values, self.axis, 0)
        if self.rows == 1:
            return [np.asarray(first[item], dtype=first.dtype) for item in range(count)]  # a text alone is no array
        return [first[item * self.rows : (item + 1) * self.rows] for item in range(count)]

    def items(self, listed: list[np.ndarray]) -> list[np.ndarray]:
        """Return the items of all calls, without an axis that is 1 since a call has one item."""
        is_one = all(values.shape[:1] == (1,) for values in listed)
        # Declared or not, a size that is 1 in every call is that of items; one that varies, as that of detections, is the item's own.
        return [values[0] for values in listed] if self.axis is None and is_one else listed


def write(path: Path, items: Mapping[str, list[np.ndarray]]) -> None:
    """Write the outputs, each a list of one array for each item; raise ModelError if they differ in their number of axes."""
    arrays: dict[str, np.ndarray] = {}
    for name, listed in items.items():
        shapes = {values.shape for values in listed}
        if len(shapes) <= 1:
            arrays[name] = _storable(np.stack(listed))
            continue
        if len({len(shape) for shape in shapes}) > 1:
            raise ModelError(
                f"output {name} differs in its number of axes from item to item", hint="export the model with one shape for each"
            )
        arrays[name] = _storable(np.concatenate([values.ravel() for values in listed]))
        arrays[name + SHAPES] = np.array([values.shape for values in listed], dtype=np.int64)
    np.savez(path, allow_pickle=False, **arrays)


def _storable(values: np.ndarray) -> np.ndarray:
    # An object array (labels that are texts) would need pickling; its text holds the same.
    return values.astype(str) if values.dtype == object else values


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the outputs by name, (items, ...); one whose items differ in shape is an array of objects (items,), an array each."""
    with np.load(path, allow_pickle=False) as archive:
        stored = {key: archive[key] for key in archive.files}
    return {
        name: _apart(values, stored[name + SHAPES]) if name + SHAPES in stored else values
        for name, values in stored.items()
        if not (name.endswith(SHAPES) and name.removesuffix(SHAPES) in stored)
    }


def _apart(values: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    ends = np.cumsum(shapes.prod(axis=1))
    return as_list([part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), shapes, strict=True)])


def as_list(items: list[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the items as an array of objects (items,), whatever their shapes."""
    listed = np.empty(len(items), dtype=object)
    for number, values in enumerate(items):
        listed[number] = values
    return listed


Shape = tuple[int | str | None, ...]


def alike(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], declared: Mapping[str, Shape]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the outputs of two files for the same items, an output as lists in both where its items may differ in shape and do.

    `declared` are the shapes of the outputs as the model has them: what is fixed there may not differ.
    """
    first, second = dict(one), dict(other)
    for name in first.keys() & second.keys():
        pair = first[name], second[name]
        if pair[0].shape == pair[1].shape or len(pair[0]) != len(pair[1]):
            continue
        axes = [values[0].ndim for values in pair]
        if max(axes) - min(axes) > 1:
            continue
        # An axis that was left out, since it was 1 in every call, is an item's own.
        lists = [
            as_list([values[np.newaxis] if count < max(axes) else values for values in listed])
            for listed, count in zip(pair, axes, strict=True)
        ]
        if all(_may_differ(a.shape, b.shape, declared.get(name, ())) for a, b in zip(*lists, strict=True)):
            first[name], second[name] = lists
    return first, second


def _may_differ(one: tuple[int, ...], other: tuple[int, ...], declared: Shape) -> bool:
    """Return whether two items of an output differ in free sizes alone, counted from the last one."""
    sizes = zip(reversed(one), reversed(other), reversed(declared), strict=False)
    return not any(a != b and isinstance(size, int) for a, b, size in sizes)
