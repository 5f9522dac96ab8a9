"""The folder of a decoder: graph, weights beside it and what it is. All three are moved into place together, what it is at the end."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from advisor.disk import temporary, writing
from advisor.errors import InputError, ModelError
from advisor.measure.decoder.shape import FLOAT_BYTES, MOST_LAYERS
from advisor.measure.runtime.ort_session import Session
from advisor.schema.generation import DecoderFacts
from advisor.schema.record import Count, Length, Name, Record

if TYPE_CHECKING:
    from onnx import TensorProto

MODEL, DATA, LABEL = "model.onnx", "model.onnx.data", "decoder.json"
MOST_LABEL_BYTES = 1_000_000
MOST_SHOWN = 100  # characters of what a decoder of JSON complains about: it quotes values whole
# ONNX Runtime maps what begins at a page of the file into memory, and copies the rest.
PAGE_BYTES = 4096
ROTARY = ("cos_cache", "sin_cache")  # initializers that are worked out, no weights


class Label(Record, frozen=True, kw_only=True):
    """What a folder holds: the decoder, the scheme under which it was written, and how far its positions reach."""

    facts: DecoderFacts
    scheme: Name
    max_tokens: Length
    weight_bytes: Count


def read_label(folder: Path) -> Label:
    """Return what the folder holds; raise InputError if its label is damaged or was written by another version."""
    path = folder / LABEL
    try:
        if path.stat().st_size > MOST_LABEL_BYTES:
            raise InputError(f"{path}: too large for what advisor wrote there", hint="make the folder again")
        label = msgspec.json.decode(path.read_bytes(), type=Label)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", hint="make the folder again") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{path}: not what this version of advisor wrote ({str(error)[:MOST_SHOWN]})", hint="make the folder again"
        ) from error
    facts = label.facts
    if (
        facts.layers > MOST_LAYERS
        or facts.kv_bytes_per_token != 2 * facts.layers * facts.kv_heads * facts.head_dimension * FLOAT_BYTES
    ):
        raise InputError(
            f"{path}: not what this version of advisor wrote (its sizes contradict each other)", hint="make the folder again"
        )
    return label


@contextlib.contextmanager
def being_made(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `folder`, and move what was written there into it, label last, unless the body fails.

    Raises ModelError where the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.folder(folder.parent) as place:
            yield place
            # Without its label a folder is none, whatever else happens to lie there.
            (folder / LABEL).unlink(missing_ok=True)
            for path in sorted(place.iterdir(), key=lambda path: path.name == LABEL):
                path.replace(folder / path.name)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written ({error.strerror})", hint="free some space, or name another folder"
        ) from error


def write_label(folder: Path, label: Label) -> None:
    """Write what a folder holds."""
    writing.write_atomically(folder / LABEL, msgspec.json.format(msgspec.json.encode(label), indent=1) + b"\n")


def digest(folder: Path) -> str:
    """Return the SHA-256 of graph and weights."""
    total = hashlib.sha256()
    for name in (MODEL, DATA):
        with (folder / name).open("rb") as file:
            total.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


class Value(NamedTuple):
    """An input or output of a graph; sizes that it leaves open are names or None."""

    type: str
    shape: tuple[int | str | None, ...]


def declared(session: Session, model: Path) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return inputs and outputs of a graph by their names; raise ModelError if one of the names is no text."""
    try:
        inputs, outputs = (
            {value.name: Value(value.type, tuple(value.shape)) for value in values}
            for values in (session.get_inputs(), session.get_outputs())
        )
    except UnicodeDecodeError as error:
        raise ModelError(f"{model}: a name in its graph is no text ({error.reason})", hint="export the model again") from error
    return inputs, outputs


class WeightWriter:
    """Writes weights one behind the other into the file beside a graph, and gives the initializers that name their places."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = (folder / DATA).open("wb")
        self.initializers: list[TensorProto] = []
        self.weight_bytes = 0

    def __enter__(self) -> "WeightWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def add(self, name: str, values: np.ndarray) -> str:
        """Write one tensor whole and return its name."""
        return self.add_pieces(name, values.shape, values.dtype, (values,))

    def add_pieces(self, name: str, shape: tuple[int, ...], dtype: "np.dtype[np.generic]", pieces: Iterable[np.ndarray]) -> str:
        """Write one tensor in pieces, along its first axis, and return its name."""
        from onnx import TensorProto, helper

        begin = -(-self._file.tell() // PAGE_BYTES) * PAGE_BYTES
        self._file.seek(begin)
        for piece in pieces:
            self._file.write(np.ascontiguousarray(piece, dtype=dtype).data)
        length = prod(shape) * dtype.itemsize
        assert self._file.tell() == begin + length, "pieces that do not make up the tensor"
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(dtype), dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", DATA), ("offset", str(begin)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        self.initializers.append(tensor)
        if name not in ROTARY:
            self.weight_bytes += length
        return name


def stored(folder: Path, tensor: "TensorProto") -> np.ndarray:
    """Return an initializer that a WeightWriter wrote, left in the file until it is read."""
    from onnx import helper

    where = {entry.key: entry.value for entry in tensor.external_data}
    return np.memmap(
        folder / where["location"],
        dtype=helper.tensor_dtype_to_np_dtype(tensor.data_type),
        mode="r",
        offset=int(where["offset"]),
        shape=tuple(tensor.dims),
    )
