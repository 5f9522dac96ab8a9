"""Valid inputs for a model: generated from what the graph declares of each input, or the user's own rows."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import numpy as np

from advisor.disk.reading import refuse_special
from advisor.errors import InputError, ModelError
from advisor.measure.runtime import memory
from advisor.measure.sizes import archives
from advisor.schema.model import GraphInput, ModelInput, Role
from advisor.units import size as size_in_words

BATCH_NAME = re.compile(r"batch|^n$|^b$|^bs$|^bsz$", re.IGNORECASE)
SIDE_NAME = re.compile(r"height|width|^h$|^w$", re.IGNORECASE)
SEQUENCE_NAME = re.compile(r"seq|len|time|token|frame|^t$|^l$|^s$", re.IGNORECASE)
PAST_NAME = re.compile(r"past|cache", re.IGNORECASE)
STATE_NAME = re.compile(r"past|cache|state|hidden|^[hc](_?0|_?in|_?prev)?$", re.IGNORECASE)
ACTIVATIONS_NAME = re.compile(r"hidden_states$", re.IGNORECASE)  # what another network computed, not what this one remembers
MASK_NAME = re.compile(r"mask", re.IGNORECASE)
SEGMENT_NAME = re.compile(r"token_type|segment", re.IGNORECASE)
POSITION_NAME = re.compile(r"position", re.IGNORECASE)
IDS_NAME = re.compile(r"(^|_)ids?$|tokens", re.IGNORECASE)

# Tried in turn where the file leaves sizes open: common lengths of text and of audio windows, common image sides.
SEQUENCE_LENGTHS = (128, 16, 512, 64, 256, 576, 1024, 1, 1600, 16000)
IMAGE_SIDES = (224, 32, 64, 128, 256, 28, 299, 384, 640)
DEFAULT_VOCABULARY = 100  # where ids are known by name only; small, so that no table is overrun
MAX_TRIALS = 60
# What is set once for a whole call, and holds no items.
SET_ROLES = ("scalar", "state", "count")
MOST_GIVEN_VALUES = 64  # of a count that differs from item to item
# Of inputs: so little is not asked for, since asking takes longer. Beside the inputs of a call there are its outputs, as large perhaps.
ALWAYS_FREE_BYTES, ANSWERED = 64_000_000, 2
TEXT_BYTES = 64  # of a generated one: the object, and the pointer to it
PIECE = 1 << 20  # numbers drawn at a time


def possible_inputs(
    inputs: tuple[GraphInput, ...], sequence_lengths: tuple[int, ...], *, is_time_first: bool = False
) -> Iterator[tuple[ModelInput, ...]]:
    """Yield readings of the graph's inputs, likeliest first; the caller keeps the first that the model accepts.

    Lengths that the user asked for come before the common ones. Where names do not decide, the first of three axes is that of items, or
    of time if `is_time_first`.
    """
    lengths = tuple(dict.fromkeys((*sequence_lengths, *SEQUENCE_LENGTHS)))
    has_image = any(
        _axis(entry, axis, "features", is_time_first) == "side" for entry in inputs for axis in range(len(entry.shape))
    )
    sides = IMAGE_SIDES if has_image else (IMAGE_SIDES[0],)
    # Scalars that the graph compares with a constant, as a sample rate, take each of these; others take 1.
    switches = tuple(
        dict.fromkeys(value for entry in inputs if _role(entry)[0] == "scalar" for value in entry.compared_with)
    ) or (1,)
    for switch, length, side in islice(product(switches, lengths, sides), MAX_TRIALS):
        yield tuple(_read(entry, length=length, side=side, switch=switch, is_time_first=is_time_first) for entry in inputs)


def _read(entry: GraphInput, *, length: int, side: int, switch: int, is_time_first: bool) -> ModelInput:
    role, upper_bound = _role(entry)
    axes = [_axis(entry, axis, role, is_time_first) for axis in range(len(entry.shape))]
    sizes = {"batch": 1, "sequence": length, "past": 0, "side": side, "channels": 3, "one": 1}
    return ModelInput(
        name=entry.name,
        dtype=entry.dtype,
        shape=entry.shape,
        example_shape=tuple(size if isinstance(size, int) else sizes[kind] for size, kind in zip(entry.shape, axes, strict=True)),
        role=role,
        batch_axis=axes.index("batch") if "batch" in axes else None,
        sequence_axis=axes.index("sequence") if "sequence" in axes else None,
        upper_bound=upper_bound,
        scalar_value=(switch if entry.compared_with else 1) if role in ("scalar", "count") else None,
    )


def _role(entry: GraphInput) -> tuple[Role, int | None]:
    """Return the role of an input and, for integers, the exclusive bound of its values."""
    integer = entry.dtype.startswith(("int", "uint"))
    if entry.may_set_cost and not MASK_NAME.search(entry.name):
        return "count", None
    if len(entry.shape) == 0 or (entry.shape == (1,) and integer and entry.compared_with):
        return "scalar", None
    if MASK_NAME.search(entry.name):
        return "mask", 2
    if integer and SEGMENT_NAME.search(entry.name):
        return "segment", entry.vocabulary
    if integer and POSITION_NAME.search(entry.name):
        return "position", entry.vocabulary
    if integer and entry.dtype != "uint8" and (entry.vocabulary or IDS_NAME.search(entry.name)):
        return "ids", entry.vocabulary or DEFAULT_VOCABULARY
    if entry.is_state or (not integer and STATE_NAME.search(entry.name) and not ACTIVATIONS_NAME.search(entry.name)):
        return "state", None
    return "features", None


def _axis(entry: GraphInput, axis: int, role: str, is_time_first: bool) -> str:
    """Return what a dynamic axis stands for: batch, sequence, past, side, channels or one; "fixed" where it is not dynamic."""
    size = entry.shape[axis]
    if isinstance(size, int):
        return "fixed"
    if size is not None:
        # A sum such as "past_sequence_length + sequence_length" is as long as the sequence, since the past is empty.
        words = [word for word in size.split("+") if not PAST_NAME.search(word)]
        if not words:
            return "past"
        if SIDE_NAME.search(size):
            return "side"
        if any(SEQUENCE_NAME.search(word) for word in words):
            return "sequence"
        if BATCH_NAME.search(size):
            return "batch"
    dynamic = [position for position, value in enumerate(entry.shape) if not isinstance(value, int)]
    if role == "state":
        return "batch" if axis == dynamic[0] else "past"
    if is_time_first and len(entry.shape) == 3 and axis < 2:
        return "sequence" if axis == 0 else "batch"
    if axis == 0:
        return "batch"
    if len(entry.shape) == 4:
        # With the last size fixed it is the channels that come last, as TensorFlow has them.
        return "channels" if axis == 1 and not isinstance(entry.shape[3], int) else "side"
    return "sequence" if axis == 1 else "one"


def shape_at(entry: ModelInput, batch_size: int, sequence_length: int | None) -> tuple[int, ...]:
    """Return the shape of an input for so many items of that length; None keeps the length of the example."""
    shape = list(entry.example_shape)
    if entry.batch_axis is not None:
        shape[entry.batch_axis] = batch_size
    if entry.sequence_axis is not None and sequence_length is not None:
        shape[entry.sequence_axis] = sequence_length
    return tuple(shape)


def padded(inputs: tuple[ModelInput, ...], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the feeds with the last item repeated until the model takes as many: some take multiples of a number alone."""
    filled = dict(feeds)
    for entry in inputs:
        if entry.batch_axis is not None and entry.batch_multiple > 1:
            values = feeds[entry.name]
            items = values.shape[entry.batch_axis]
            wanted = -(-items // entry.batch_multiple) * entry.batch_multiple
            filled[entry.name] = values.take(np.minimum(np.arange(wanted), items - 1), axis=entry.batch_axis)
    return filled


def multiple(inputs: tuple[ModelInput, ...]) -> int:
    """Return the number of items of which a call takes multiples alone, 1 where it takes any number."""
    return max((entry.batch_multiple for entry in inputs if entry.batch_axis is not None), default=1)


def with_multiple(inputs: tuple[ModelInput, ...], multiple: int) -> tuple[ModelInput, ...]:
    """Return the inputs with a batch axis that takes multiples of a number alone."""
    return tuple(
        msgspec.structs.replace(entry, batch_multiple=multiple) if entry.batch_axis is not None else entry for entry in inputs
    )


def other_batch_axes(inputs: tuple[ModelInput, ...]) -> Iterator[tuple[ModelInput, ...]]:
    """Yield readings in which items lie along other free axes, where no name says along which; those nearest to this one first."""
    choices = [_with_other_axes(entry) for entry in inputs]
    readings = sorted(product(*(range(len(listed)) for listed in choices)), key=sum)
    for picked in islice(readings, 1, MAX_TRIALS):
        yield tuple(listed[number] for listed, number in zip(choices, picked, strict=True))


def _with_other_axes(entry: ModelInput) -> list[ModelInput]:
    """Return the input as it is read, and with items along each other free axis."""
    axis = entry.batch_axis
    named = entry.shape[axis] if axis is not None else None
    if entry.role in SET_ROLES or (isinstance(named, str) and BATCH_NAME.search(named)):
        return [entry]
    free = [other for other, size in enumerate(entry.shape) if not isinstance(size, int) and other != axis]
    found = [entry]
    for other in free:
        name = entry.shape[other]
        if isinstance(name, str) and SEQUENCE_NAME.search(name):
            continue
        shape = list(entry.example_shape)
        sequence_axis = entry.sequence_axis if entry.sequence_axis != other else axis
        if axis is not None and sequence_axis == axis:
            shape[axis] = entry.example_shape[other]
        shape[other] = 1
        found.append(msgspec.structs.replace(entry, batch_axis=other, sequence_axis=sequence_axis, example_shape=tuple(shape)))
    return found


def generate(inputs: tuple[ModelInput, ...], *, batch_size: int, sequence_length: int | None, seed: int) -> dict[str, np.ndarray]:
    """Return valid random inputs by name: ids inside the vocabulary, masks of ones, states of zeros, the same for the same seed.

    Raise ModelError where they do not fit in the memory that is free.
    """
    _refuse_large(inputs, batch_size, sequence_length)
    random = np.random.default_rng(seed)
    return {entry.name: _values(entry, shape_at(entry, batch_size, sequence_length), random) for entry in inputs}


def item_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the bytes of an input of this type and shape, of texts as they are generated."""
    return prod(shape) * (TEXT_BYTES if dtype == "string" else np.dtype(dtype).itemsize)


def _refuse_large(inputs: tuple[ModelInput, ...], batch_size: int, sequence_length: int | None) -> None:
    """Raise ModelError where a call with so many items of that length takes more memory than there is, looked at before it is taken."""
    needed = sum(item_bytes(entry.dtype, shape_at(entry, batch_size, sequence_length)) for entry in inputs)
    if needed <= ALWAYS_FREE_BYTES or (room := memory.available_bytes()) is None or ANSWERED * needed <= room:
        return
    items = f"{batch_size} items" if batch_size > 1 else "one item"
    length = f" of length {sequence_length}" if sequence_length is not None else ""
    raise ModelError(
        f"the inputs of a call with {items}{length} take {size_in_words(needed)}; {size_in_words(room)} of memory are free here",
        hint="give smaller batches or shorter lengths, or use a machine with more memory",
    )


def _drawn(draw: Callable[[int], np.ndarray], shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Return the numbers that `draw` gives, a piece at a time: it draws them in 64 bits, whatever the type."""
    values = np.empty(prod(shape), dtype)
    for start in range(0, len(values), PIECE):
        piece = values[start : start + PIECE]
        piece[:] = draw(len(piece))
    return values.reshape(shape)


def _values(entry: ModelInput, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if entry.dtype == "string":
        return np.array([f"text {number}" for number in random.integers(0, 10, size=prod(shape))], dtype=object).reshape(shape)
    dtype = np.dtype(entry.dtype)
    if entry.role == "count" and entry.given_values:
        return np.resize(np.array(entry.given_values, dtype=dtype), shape)
    if entry.role in ("scalar", "count"):
        return np.full(shape, 1 if entry.scalar_value is None else entry.scalar_value, dtype=dtype)
    if entry.role == "mask" or dtype == np.bool_:
        return np.ones(shape, dtype=dtype)
    if entry.role in ("state", "segment"):
        return np.zeros(shape, dtype=dtype)
    if entry.role == "position":
        return np.broadcast_to(np.arange(shape[-1], dtype=dtype), shape).copy()
    if entry.role == "ids":
        # The first ids of a vocabulary are often padding and other special tokens.
        bound = entry.upper_bound or DEFAULT_VOCABULARY
        return _drawn(lambda count: random.integers(min(bound // 2, 5), bound, count), shape, dtype)
    if dtype.kind in "iu":
        most = 256 if dtype.itemsize == 1 and dtype.kind == "u" else 2
        return _drawn(lambda count: random.integers(0, most, count), shape, dtype)
    return _drawn(random.standard_normal, shape, dtype)


def read_npz(path: Path, key: str) -> dict[str, np.ndarray]:
    """Return the arrays of the user's .npz file; raise InputError that names `key`, the option or field that gave the path."""
    refuse_special(path, key)
    return archives.read(path, key)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as numpy.savez does, whatever they are called: to it, an array cannot have the name of one of its parameters."""
    with ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)


def check_rows(inputs: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray], path: Path) -> int:
    """Return the number of items in the user's arrays; raise InputError if they do not fit the model's inputs."""
    items = check_shapes(inputs, {name: values.shape for name, values in rows.items()}, path)
    for entry in _needed(inputs, rows):
        if not _holds(entry.dtype, rows[entry.name]):
            raise InputError(
                f"{path}: {entry.name} holds {rows[entry.name].dtype}, which does not convert to the model's {entry.dtype} without loss",
                hint=f"store it as {entry.dtype}, with values as in training",
            )
    return items


def check_shapes(inputs: tuple[ModelInput, ...], shapes: Mapping[str, tuple[int, ...]], path: Path) -> int:
    """Return the number of items in arrays of these shapes; raise InputError if they do not fit the model's inputs."""
    axes, needed = item_axes(inputs), _needed(inputs, shapes)
    for entry in needed:
        if entry.name not in shapes:
            raise InputError(
                f"{path}: no array named {entry.name!r}",
                hint=f"the model's inputs are: {', '.join(f'{other.name} {list(other.shape)}' for other in inputs)}",
            )
        given = shapes[entry.name]
        fits = len(given) == len(entry.shape) and all(
            not isinstance(size, int) or axis == axes[entry.name] or size == given[axis] for axis, size in enumerate(entry.shape)
        )
        if not fits:
            raise InputError(
                f"{path}: {entry.name} has shape {list(given)}, but the model needs {list(entry.shape)}",
                hint="store one item per row, in the model's own layout",
            )
    counts = {entry.name: shapes[entry.name][axis] for entry in needed if (axis := axes[entry.name]) is not None}
    if len(set(counts.values())) > 1:
        raise InputError(f"{path}: arrays differ in their number of items: {counts}", hint="give every input the same items")
    items = next(iter(counts.values()), 1)
    if items == 0:
        raise InputError(f"{path}: {next(iter(counts))} holds no items", hint="store at least one item")
    return items


def _needed(inputs: tuple[ModelInput, ...], given: Collection[str]) -> list[ModelInput]:
    """Return the inputs that the user's arrays have to hold, and those that they do hold."""
    return [entry for entry in inputs if not (entry.role in SET_ROLES or 0 in entry.shape) or entry.name in given]


def _holds(dtype: str, given: np.ndarray) -> bool:
    """Return whether the model's type can hold the values: texts as texts, whole numbers unchanged, floats rounded at most."""
    if dtype == "string":
        return given.dtype.kind in "US"
    if given.dtype.kind not in "biuf":
        return False
    with np.errstate(invalid="ignore"):
        return np.dtype(dtype).kind == "f" or np.array_equal(given.astype(dtype), given)


def item_axes(inputs: tuple[ModelInput, ...]) -> dict[str, int | None]:
    """Return by input the axis along which the user's array holds items.

    That is the batch axis. A model without one has a call for each item, and where its first size is fixed at 1, items lie along that.
    """
    if any(entry.batch_axis is not None for entry in inputs):
        return {entry.name: entry.batch_axis for entry in inputs}
    return {entry.name: 0 if entry.shape[:1] == (1,) and entry.role not in SET_ROLES else None for entry in inputs}


def take(
    inputs: tuple[ModelInput, ...],
    rows: Mapping[str, np.ndarray],
    *,
    start: int,
    batch_size: int,
    sequence_length: int | None = None,
) -> dict[str, np.ndarray]:
    """Return a batch of the user's items from `start` on, around the end if need be, cut or repeated to `sequence_length`."""
    feeds, axes = {}, item_axes(inputs)
    for entry in inputs:
        axis = axes[entry.name]
        if entry.name not in rows:
            feeds[entry.name] = _values(entry, shape_at(entry, batch_size, sequence_length), np.random.default_rng(0))
            continue
        values, dtype = rows[entry.name], entry.dtype if entry.dtype != "string" else object
        if axis is not None:
            values = values.take(np.arange(start, start + batch_size), axis=axis, mode="wrap")
        if entry.sequence_axis is not None and sequence_length is not None:
            values = values.take(np.arange(sequence_length), axis=entry.sequence_axis, mode="wrap")
        feeds[entry.name] = np.asarray(values, dtype=dtype, order="C")  # np.ascontiguousarray would make an array of a scalar
    return feeds
