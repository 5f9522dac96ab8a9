"""The user's examples -> one array per model input; calibration items are kept apart from evaluation items."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.errors import AdvisorError, InputError
from advisor.measure.model import input_rows
from advisor.measure.quality import learned, own_code, texts
from advisor.measure.quality.evaluation import LABELS, SLICES
from advisor.measure.quality.learned import NOTHING, Learned
from advisor.measure.quality.tables import read_table
from advisor.measure.sizes import archives
from advisor.quality_floor import OWN
from advisor.schema.model import ModelInput

NUMBERED = re.compile(r"(?P<name>.*?)[._\[ ]?(?P<place>\d+)\]?")  # x_0, x.1, x[2], pixel 3
# Set aside for finding ranges, from data with labels: more change the ranges little, and each is one less to measure quality on.
CALIBRATION_ITEMS = 128
CALIBRATION_SHARE = 0.25

Rows = dict[str, np.ndarray]
Pick = Callable[[int], np.ndarray]  # items, by how many there are


def read_examples(
    source: str,
    folder: Path,
    inputs: tuple[ModelInput, ...],
    key: str,
    *,
    model: Path,
    pick: Pick | None = None,
    allow_code: bool = False,
) -> Rows:
    """Return the arrays that `source` holds (an .npz file, a table, or module:function), paths and modules relative to `folder`.

    A column of texts becomes what the model reads by the tokenizer beside `model`. `pick` chooses among the items by their number: of
    arrays no others are read. Raises InputError for a function without `allow_code`.
    """
    if OWN.fullmatch(source):
        function = own_code.load(source, folder, key, is_allowed=allow_code)
        return _picked(own_code.run(source, key, _from_function, function, source, inputs, key), inputs, Path(source), pick)
    path = folder / source
    if path.suffix == ".npz":
        return _from_npz(path, key, inputs, pick)
    return _picked(_arrays(_with_ids(read_table(path, key), inputs, model, key), inputs, path, key), inputs, path, pick)


class Unlearned(NamedTuple):
    """Examples that no student learned from; how many were left out since one did, None where that cannot be told."""

    rows: Rows
    left_out: int | None


def read_unlearned(
    source: str,
    folder: Path,
    inputs: tuple[ModelInput, ...],
    key: str,
    *,
    model: Path,
    allow_code: bool = False,
    by: Learned = NOTHING,
) -> Unlearned:
    """Return what `read_examples` does, without the items that students learned from; raise InputError where nothing else is left."""
    path = folder / source
    if by.texts and not OWN.fullmatch(source) and path.suffix != ".npz":
        columns = read_table(path, key)
        if names := _columns_of_ids(columns, inputs):
            texts_of = zip(*(columns[name] for name in names), strict=True)
            kept = learned.others(by.texts, [learned.digest_of_text(text) for text in texts_of], key, path)
            left = {name: [values[item] for item in kept] for name, values in columns.items()}
            rows = _arrays(_with_ids(left, inputs, model, key), inputs, path, key)
            return Unlearned(rows, len(columns[names[0]]) - len(kept))
    rows = read_examples(source, folder, inputs, key, model=model, allow_code=allow_code)
    if not by.rows:
        return Unlearned(rows, None if by.texts else 0)
    digests = item_digests(inputs, rows)
    kept = learned.others(by.rows, digests, key, path)
    return Unlearned(take_items(inputs, rows, kept, len(digests)), len(digests) - len(kept))


def _from_npz(path: Path, key: str, inputs: tuple[ModelInput, ...], pick: Pick | None) -> Rows:
    """Return the arrays of a file, their shapes looked at before anything is read."""
    headers = archives.read_headers(path, key)
    items = input_rows.check_shapes(inputs, {name: header.shape for name, header in headers.items()}, path)
    if pick is None:
        return archives.read(path, key)
    return archives.read_items(path, key, input_rows.item_axes(inputs), pick(items))


def _picked(rows: Rows, inputs: tuple[ModelInput, ...], path: Path, pick: Pick | None) -> Rows:
    if pick is None:
        return rows
    items = input_rows.check_rows(inputs, rows, path)
    return take_items(inputs, rows, pick(items), items)


def _columns_of_ids(columns: dict[str, list[Any]], inputs: tuple[ModelInput, ...]) -> tuple[str, ...]:
    """Return the columns of texts that the model's ids are made of, none where it reads none, or they are there themselves."""
    if not texts.reads_ids(inputs) or any(entry.role == "ids" and entry.name in columns for entry in inputs):
        return ()
    return texts.columns_of_text(columns, {*LABELS, *SLICES, *(entry.name for entry in inputs)})


def _with_ids(columns: dict[str, list[Any]], inputs: tuple[ModelInput, ...], model: Path, key: str) -> dict[str, list[Any]]:
    """Return the columns with what a tokenizer makes of the texts in the place of these, where the model reads ids that are not there."""
    found = _columns_of_ids(columns, inputs)
    if not found:
        return columns
    made = texts.tokenize(list(zip(*(columns[name] for name in found), strict=True)), model, inputs, key)
    kept = {name: values for name, values in columns.items() if name in (*LABELS, *SLICES)}
    return kept | {name: list(values) for name, values in made.items()}


def _from_function(function: Callable[..., object], source: str, inputs: tuple[ModelInput, ...], key: str) -> Rows:
    given = function()
    batches: list[Any] = [given] if isinstance(given, Mapping) else list(given)  # type: ignore[call-overload]
    if not batches or not all(isinstance(batch, Mapping) and all(isinstance(name, str) for name in batch) for batch in batches):
        raise InputError(
            f"{key}: {source} did not give dictionaries of arrays",
            hint="return one, or yield one per batch, with input names as keys",
        )
    axes = input_rows.item_axes(inputs)
    joined = {}
    for name in batches[0]:
        axis = axes.get(name, 0)
        parts = [np.asarray(batch[name]) for batch in batches]
        whole = parts[0] if axis is None or parts[0].ndim == 0 else np.concatenate(parts, axis=axis)
        joined[name] = _storable(whole, name, f"{key}: {source}")
    return joined


def _storable(values: np.ndarray, name: str, where: str) -> np.ndarray:
    """Return an array that can be stored: texts that pandas keeps as objects as texts; raise InputError for any other objects."""
    if values.dtype != object:
        return values
    if not all(isinstance(value, str) for value in values.flat):
        raise InputError(f"{where}: {name} holds Python objects", hint="give arrays of numbers or texts, all rows of one length")
    return values.astype(str)


def _arrays(columns: dict[str, list[Any]], inputs: tuple[ModelInput, ...], path: Path, key: str) -> Rows:
    """Return columns as arrays: those named as inputs, x_0, x_1 ... as the parts of x, and for a lone input all that is left."""
    rest = dict(columns)
    found: Rows = {}
    for name in (*LABELS, *SLICES):
        if name in rest and name not in {entry.name for entry in inputs}:
            found[name] = _array(rest.pop(name), name, path, key)
    wanted = [entry for entry in inputs if entry.role not in ("scalar", "state") or entry.name in rest]
    for entry in wanted:
        if entry.name in rest:
            found[entry.name] = _shaped(_array(rest.pop(entry.name), entry.name, path, key), entry)
            continue
        parts = sorted(
            (int(match["place"]), name) for name in rest if (match := NUMBERED.fullmatch(name)) and match["name"] == entry.name
        )
        names = [name for _, name in parts]
        if not names and len(wanted) == 1:
            names = list(rest)
        if names:
            values = [_array(rest.pop(name), name, path, key) for name in names]
            if any(value.dtype.kind not in "biuf" or value.ndim != 1 for value in values):
                raise InputError(
                    f"{key}: {path}: a column that is no input holds texts or lists", hint="name the columns after the inputs"
                )
            found[entry.name] = _shaped(np.stack(values, axis=1), entry)
    return found


def _array(values: Sequence[Any], name: str, path: Path, key: str) -> np.ndarray:
    if any(value is None for value in values):
        raise InputError(f"{key}: {path}: column {name!r} has empty cells", hint="leave such items out")
    try:
        array = np.asarray([str(value) for value in values] if any(isinstance(value, str) for value in values) else values)
    except ValueError as error:
        raise InputError(
            f"{key}: {path}: column {name!r} holds lists of different lengths", hint="pad them, or use .npz with a mask"
        ) from error
    array = _storable(array, f"column {name!r}", f"{key}: {path}")
    whole = (
        array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all() and (abs(array) < 2**53).all()
    )
    return array.astype(np.int64) if whole else array


def _shaped(values: np.ndarray, entry: ModelInput) -> np.ndarray:
    """Return one row an item, in the shape and type that the input has where these are fixed."""
    rest = entry.shape[1:]
    if (
        rest
        and all(isinstance(size, int) for size in rest)
        and values.size == len(values) * prod(int(str(size)) for size in rest)
    ):
        values = values.reshape(len(values), *(int(str(size)) for size in rest))
    elif len(entry.shape) == values.ndim + 1:
        values = values[..., np.newaxis]
    return values.astype(entry.dtype) if entry.dtype.startswith("float") and values.dtype.kind in "biuf" else values


# --- calibration and evaluation kept apart ----------------------------------------------------------------------------------


def item_digests(inputs: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray]) -> list[bytes]:
    """Return a digest of each item; padding is left out, so that an item is known again at another length."""
    axes = input_rows.item_axes(inputs)
    mask = next((rows[e.name] for e in inputs if e.role == "mask" and e.name in rows and rows[e.name].ndim == 2), None)
    names = [e for e in inputs if e.name in rows and axes[e.name] is not None and e.role not in ("state", "mask")]
    arrays = [(np.moveaxis(rows[e.name], axes[e.name] or 0, 0).astype(e.dtype if e.dtype != "string" else str), e) for e in names]
    found = []
    for item in range(len(arrays[0][0]) if arrays else 0):
        digest = hashlib.sha256()
        for values, entry in arrays:
            one = values[item]
            if mask is not None and one.shape == mask[item].shape:
                one = one[mask[item] > 0]
            digest.update(f"{entry.name} {one.tolist() if one.dtype.kind in 'US' else ''}".encode())
            digest.update(np.ascontiguousarray(one).tobytes() if one.dtype.kind not in "US" else b"")
        found.append(digest.digest())
    return found


def refuse_overlap(inputs: tuple[ModelInput, ...], calibration: Rows, evaluation: Rows) -> None:
    """Raise InputError if an item is in both: quality would be measured on what the variant was fitted to."""
    evaluated = set(item_digests(inputs, evaluation))
    fitted = item_digests(inputs, calibration)
    common = sum(digest in evaluated for digest in fitted)
    if common:
        raise InputError(
            f"quality.calibration: {common} of its {len(fitted)} items are in quality.data too",
            hint="use other items, or leave quality.calibration out: a part of quality.data is then set aside",
        )


def set_aside(inputs: tuple[ModelInput, ...], rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Return calibration and evaluation items out of one set: a random part, and all that are not equal to one of it."""
    digests = item_digests(inputs, rows)
    count = min(CALIBRATION_ITEMS, int(len(digests) * CALIBRATION_SHARE))
    if count < 1:
        raise AdvisorError("too few items to set some aside for calibration", hint="give quality.calibration")
    order = np.random.default_rng(seed).permutation(len(digests))
    chosen = np.sort(order[:count])
    fitted = {digests[item] for item in chosen}
    others = np.array([item for item in range(len(digests)) if digests[item] not in fitted], dtype=np.int64)
    if not len(others):
        raise AdvisorError("all items are alike: none is left to measure quality on", hint="give quality.calibration")
    return take_items(inputs, rows, chosen, len(digests)), take_items(inputs, rows, others, len(digests))


def take_items(inputs: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray], chosen: np.ndarray, items: int) -> Rows:
    """Return these of all items of every array that has items: inputs along their own axis, anything else along the first."""
    axes: dict[str, int | None] = dict(input_rows.item_axes(inputs))
    return {
        name: values.take(chosen, axis=axis) if axis is not None and values.shape[axis : axis + 1] == (items,) else values
        for name, values in rows.items()
        for axis in (axes.get(name, 0),)
    }


def digest_of(rows: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of the arrays under their names."""
    total = hashlib.sha256()
    for name, values in sorted(rows.items()):
        total.update(f"{name} {values.dtype} {values.shape}".encode())
        total.update(np.ascontiguousarray(values).tobytes())
    return total.hexdigest()


def batches(
    inputs: tuple[ModelInput, ...], rows: Rows | None, *, items: int, size: int, length: int | None, seed: int
) -> Iterable[Rows]:
    """Yield feeds of so many items, a batch at a time: the user's, or generated ones where there are none."""
    for start in range(0, items, size):
        count = min(size, items - start)
        if rows is None:
            feeds = input_rows.generate(inputs, batch_size=count, sequence_length=length, seed=seed + start)
        else:
            feeds = input_rows.take(inputs, rows, start=start, batch_size=count)
        yield input_rows.padded(inputs, feeds)
