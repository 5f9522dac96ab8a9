"""The tensors of a checkpoint: safetensors files, read by memory map and turned into 32-bit floats one at a time."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.measure.decoder.config_values import is_plain_name, parsed, quoted, read_object
from advisor.measure.decoder.shape import DecoderShape, tensors_of
from advisor.measure.runtime import memory
from advisor.schema.record import LARGEST_COUNT
from advisor.units import size

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
SAVE_AGAIN = "save the checkpoint again with save_pretrained, or download it again if it is cut short"
LENGTH_BYTES = 8  # of the number before the header, as the format has it
MOST_HEADER_BYTES = 100_000_000  # as above
# NumPy knows no bfloat16: its bits are the upper half of a 32-bit float.
STORED_AS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
# Bytes of an element, as the format names types.
ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
HALF_BITS = 16
MOST_AXES = 16  # of a tensor; those of models have four at most
COPIES = 3  # of one tensor: as it is stored, in 32 bits, and turned round
# Older checkpoints hold what is worked out of the configuration.
WORKED_OUT = ".rotary_emb.inv_freq"


class Stored(NamedTuple):
    """Where a tensor lies, and as what."""

    path: Path
    start: int
    dtype: str
    shape: tuple[int, ...]


class Weights:
    """The tensors of a checkpoint by their names, all of them there and of the shapes that its configuration says."""

    def __init__(self, stored: dict[str, Stored]) -> None:
        self._stored = stored

    def has(self, name: str) -> bool:
        """Return whether the model has a tensor."""
        return name in self._stored

    def array(self, name: str) -> np.ndarray:
        """Return a tensor in 32-bit floats, as the file has it: matrices (outputs, inputs); raise InputError where it holds no numbers."""
        path, start, dtype, shape = self._stored[name]
        raw = np.memmap(path, dtype=STORED_AS[dtype], mode="r", offset=start, shape=shape)
        values: np.ndarray = (
            (raw.astype(np.uint32) << HALF_BITS).view(np.float32) if dtype == "BF16" else np.array(raw, np.float32)
        )
        # One such weight, and every logit is one: the file is damaged, or training had failed.
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {name} holds values that are no numbers", hint=SAVE_AGAIN)
        return values


def open_weights(folder: Path, shape: DecoderShape) -> Weights:
    """Return the tensors of a checkpoint; raise InputError for one that is missing, of another shape, damaged or not described."""
    found: dict[str, tuple[Path, int, Any]] = {}
    for path in safetensors_files(folder):
        start, header = header_of(path)
        for name, entry in header.items():
            found[name] = (path, start, entry)
    stored = {}
    for name, expected in tensors_of(shape):
        if name not in found:
            also = " (tie_word_embeddings is false)" if name == "lm_head.weight" else ""
            raise InputError(f"{folder}: {name} is missing from its safetensors files{also}", hint=SAVE_AGAIN)
        stored[name] = _checked(name, expected, *found[name])
    _refuse_others(folder, shape, found.keys() - stored.keys())
    _refuse_large(folder, stored)
    return Weights(stored)


def parameters_in(folder: Path) -> int:
    """Return how many numbers the tensors of a checkpoint have, by the headers of its files; raise InputError for one that is damaged."""
    total = 0
    for path in safetensors_files(folder):
        for name, entry in header_of(path)[1].items():
            total += prod(_sizes(name, path, entry))
    return min(max(1, total), LARGEST_COUNT)


def _sizes(name: str, path: Path, entry: Any) -> tuple[int, ...]:
    """Return the shape of a tensor as its entry says it; raise InputError where that is none."""
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not all(_is_size(axis) for axis in shape):
        raise InputError(f"{path}: {name[:200]!r} has no shape", hint=SAVE_AGAIN)
    return tuple(shape)


def _is_size(axis: object) -> bool:
    return isinstance(axis, int) and 0 <= axis <= LARGEST_COUNT


def safetensors_files(folder: Path) -> Iterator[Path]:
    """Yield the safetensors files of a checkpoint, as transformers looks for them; raise InputError where there are none."""
    if (folder / WHOLE).is_file():
        yield folder / WHOLE
        return
    if not (folder / INDEX).is_file():
        if pickled := next((name for name in PICKLED if (folder / name).is_file()), None):
            raise InputError(
                f"{folder}: its weights are in {pickled}, which can run code of others as it is read",
                hint="load it with transformers, and write it with save_pretrained(..., safe_serialization=True)",
            )
        raise InputError(f"{folder}: neither {WHOLE} nor {INDEX}", hint="save the checkpoint with save_pretrained")
    index = read_object(folder / INDEX, "an index of weights", SAVE_AGAIN)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f"{folder / INDEX}: weight_map: names no files", hint=SAVE_AGAIN)
    for name in sorted(set(places.values())):
        if not is_plain_name(name) or not name.endswith(".safetensors"):
            raise InputError(f"{folder / INDEX}: weight_map: {quoted(name)}: no safetensors file of this folder", hint=SAVE_AGAIN)
        if not (folder / name).is_file():
            raise InputError(f"{folder}: {name} is missing, which {INDEX} names", hint=f"put it into {folder}")
        yield folder / name


def header_of(path: Path) -> tuple[int, dict[str, Any]]:
    """Return where the data of a safetensors file begin, and its entry for each tensor by name: not checked yet."""
    refuse_special(path)
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if length > min(MOST_HEADER_BYTES, file_bytes - LENGTH_BYTES):
                raise InputError(
                    f"{path}: not a safetensors file, or cut short: its header would have {size(length)}", hint=SAVE_AGAIN
                )
            content = file.read(length)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="make the file readable") from error
    header = parsed(content, path, SAVE_AGAIN)
    header.pop("__metadata__", None)
    return LENGTH_BYTES + length, header


def _checked(name: str, expected: tuple[int, ...], path: Path, start: int, entry: Any) -> Stored:
    """Return where a tensor lies; raise InputError unless the file has it whole, in floats and in the shape that is expected."""
    given = entry if isinstance(entry, dict) else {}
    shape, dtype = given.get("shape"), given.get("dtype")
    if shape != list(expected) or not all(isinstance(axis, int) for axis in shape):
        found = shape if isinstance(shape, list) and len(shape) <= len(expected) + 1 else quoted(shape)
        raise InputError(
            f"{path}: {name} has shape {str(found)[:80]}, and by config.json it has {list(expected)}",
            hint="give configuration and weights of the same checkpoint",
        )
    if not isinstance(dtype, str) or dtype not in STORED_AS:
        raise InputError(f"{path}: {name} is stored as {quoted(dtype)}", hint="save it in float32, float16 or bfloat16")
    return located(name, path, start, entry)


def located(name: str, path: Path, start: int, entry: Any) -> Stored:
    """Return where a tensor lies by its entry in the header of a file whose data begin at `start`; raise InputError if it is not whole."""
    given = entry if isinstance(entry, dict) else {}
    shape, dtype, offsets = _sizes(name, path, entry), given.get("dtype"), given.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise InputError(f"{path}: {name[:200]!r} is stored as {quoted(dtype)}, which is not known", hint=SAVE_AGAIN)
    needed = prod(shape) * ITEM_BYTES[dtype]
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(isinstance(offset, int) for offset in offsets):
        raise InputError(f"{path}: {name[:200]}: data_offsets: {quoted(offsets)}: not two numbers", hint=SAVE_AGAIN)
    begin, end = offsets
    if not 0 <= begin <= end <= path.stat().st_size - start or end - begin != needed:
        raise InputError(
            f"{path}: {name[:200]} would take {size(needed)} that the file does not have at its place", hint=SAVE_AGAIN
        )
    return Stored(path, start + begin, dtype, shape)


def _refuse_others(folder: Path, shape: DecoderShape, names: set[str]) -> None:
    """Raise InputError for tensors that the model has and its configuration does not: what is computed with them is not known."""
    ignored = {"lm_head.weight"} if shape.ties_embeddings else set()
    for name in sorted(names - ignored):
        if not name.endswith(WORKED_OUT):
            raise InputError(
                f"{folder}: its weights have {name[:200]!r}, which config.json does not describe",
                hint="give configuration and weights of the same checkpoint",
            )


def _refuse_large(folder: Path, stored: dict[str, Stored]) -> None:
    """Raise InputError if the largest tensor does not fit into the memory that is free."""
    name, largest = max(stored.items(), key=lambda item: prod(item[1].shape))
    needed, room = COPIES * prod(largest.shape) * np.dtype(np.float32).itemsize, memory.available_bytes()
    if room is not None and needed > room:
        raise InputError(
            f"{folder}: {name} takes {size(needed)} while it is converted; {size(room)} of memory are free here",
            hint="use a machine with more memory",
        )
