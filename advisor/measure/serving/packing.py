"""What a server elsewhere gets beside its configuration: the model's files, items to warm up with, and answers to compare with.

Called in a process apart: the model is the user's.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from advisor.errors import InputError
from advisor.measure.model import input_rows, onnx_file, onnx_graph
from advisor.measure.runtime import ort_session
from advisor.measure.runtime.ort_session import Say, unsaid
from advisor.schema.model import ModelInput
from advisor.schema.record import Record

ITEMS = 4
SEED = 0


class Tensors(Record, frozen=True, kw_only=True):
    """What a call takes, and the outputs that are kept of it, in their order."""

    inputs: tuple[ModelInput, ...]
    outputs: tuple[str, ...]


def weights_of(path: Path, sha256: str, variant: str) -> tuple[str, ...]:
    """Return the names of the files beside a variant's that hold its weights; raise InputError where it is gone or changed."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; the advice names it for {variant}",
            hint="export beside the profile, or run advisor profile again: it makes it anew",
        )
    if not onnx_graph.is_still(path, sha256):
        raise InputError(
            f"{path}: no longer the file that was measured as {variant}",
            hint="run advisor profile again: it makes it anew",
        )
    found = onnx_file.external_files(onnx_file.load(path), path)
    names = tuple(file.relative_to(path.parent).as_posix() for file in found)
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InputError(f"{path}: its weights lie outside of its folder, in {name}", hint="export the model again")
    return names


def write_items(target: Path, tensors: Tensors, model: Path | None, say: Say = unsaid) -> bool:
    """Write items that the model accepts, and its answers to them; return whether there are answers.

    Without a model there are none, nor where an output is no array. Arrays are named by their place, since names may hold anything:
    `0.input.1` is the second input of the first item.
    """
    items = [
        input_rows.generate(tensors.inputs, batch_size=1, sequence_length=None, seed=SEED + number) for number in range(ITEMS)
    ]
    arrays = {"count": np.array(ITEMS)} | {
        f"{number}.input.{place}": _saved(item[entry.name])
        for number, item in enumerate(items)
        for place, entry in enumerate(tensors.inputs)
    }
    answers = None if model is None else _answers(tensors, items, model, say)
    if answers is not None:
        arrays |= {
            f"{number}.output.{place}": _saved(values) for number, row in enumerate(answers) for place, values in enumerate(row)
        }
    input_rows.write_npz(target, arrays)
    return answers is not None


def _answers(tensors: Tensors, items: list[dict[str, np.ndarray]], model: Path, say: Say) -> list[list[np.ndarray]] | None:
    say("opening the model as given", ort_session.loading_s(model))
    session = ort_session.told(ort_session.open_session(model), say)
    multiple = input_rows.multiple(tensors.inputs)
    found = []
    for item in items:
        outputs = ort_session.run(session, input_rows.padded(tensors.inputs, item))
        if set(tensors.outputs) - outputs.keys():
            return None
        # Of what was filled up the first item is kept by who reads it: as many items as the model takes are answered.
        found.append([outputs[name] if multiple == 1 else _first(outputs[name], multiple) for name in tensors.outputs])
    return found


def _first(values: np.ndarray, multiple: int) -> np.ndarray:
    axis = next((axis for axis, size in enumerate(values.shape) if size and size % multiple == 0), None)
    return values if axis is None else values.take(range(values.shape[axis] // multiple), axis=axis)


def _saved(values: np.ndarray) -> np.ndarray:
    """Return an array that is saved without Python objects: texts as such."""
    return values.astype(str) if values.dtype.hasobject else values
