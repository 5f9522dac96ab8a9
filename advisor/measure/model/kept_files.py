"""Files that were made before: kept by what they were made of, and never trusted if they changed since."""

import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from advisor.measure.model import onnx_graph
from advisor.schema.record import Record

# What writes files: checkpoints to ONNX, and ONNX to its variants.
TOOLS = ("onnxruntime", "onnx", "numpy", "onnx-ir", "optimum", "optimum-onnx", "transformers", "torch")


class Mark(Record, frozen=True, kw_only=True):
    """What lies beside a file that was made: the digest of what it was made of, and that of the file itself."""

    recipe: str
    sha256: str  # of the file and of its weights beside it
    items: int  # that it was calibrated on


def recipe(made_of: object) -> str:
    """Return the digest of all that decides what is written."""
    return hashlib.sha256(msgspec.json.encode(made_of, order="deterministic")).hexdigest()


def versions_of(*names: str) -> tuple[str | None, ...]:
    """Return the versions of packages, None for one that is not installed: another version may write another file."""
    return tuple(map(_version, names))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def digest_of(rows: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays under their names."""
    total = hashlib.sha256()
    for name, values in sorted(rows.items()):
        total.update(f"{name} {values.dtype} {values.shape} ".encode())
        total.update(np.ascontiguousarray(values).astype(str).tobytes() if values.dtype.hasobject else values.tobytes())
    return total.hexdigest()


def mark_of(path: Path) -> Path:
    """Return where the mark of a file is."""
    return path.with_name(f"{path.name}.mark")


def keep(path: Path, recipe: str, items: int = 0) -> None:
    """Mark the file as made by the recipe, as it is now."""
    mark = Mark(recipe=recipe, sha256=onnx_graph.read_graph(path).sha256, items=items)
    mark_of(path).write_bytes(msgspec.json.encode(mark))


def read_mark(path: Path) -> Mark | None:
    """Return what is written down of how a file was made, None where nothing is."""
    try:
        return msgspec.json.decode(mark_of(path).read_bytes(), type=Mark)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def is_kept(path: Path, recipe: str, items: int = 0) -> bool:
    """Return whether the file was made by the recipe, on as many items at least, and is still what was written."""
    mark = read_mark(path)
    return mark is not None and mark.recipe == recipe and mark.items >= items and onnx_graph.is_still(path, mark.sha256)
