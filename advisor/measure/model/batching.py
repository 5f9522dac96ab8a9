"""Can items share a call? Proved by running some alone and together: every output grows with the batch and no item changes."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from advisor import quantized_operators
from advisor.errors import ModelError
from advisor.measure.model import input_rows
from advisor.measure.runtime import ort_session
from advisor.schema.model import Batching, Graph, ModelInput

Rows = Mapping[str, np.ndarray]

# Items that are computed together in another order differ by rounding; dynamic int8 shares one scale in a batch and differs by more.
SAME_FRACTION = 0.01
RELATED_COSINE = 0.99


def prove(
    session: ort_session.Session, graph: Graph, inputs: tuple[ModelInput, ...], rows: Rows | None
) -> tuple[Batching, tuple[str, ...]]:
    """Return whether the items of a call keep the outputs that they have alone, and notes; `rows` are the user's own."""
    if all(entry.batch_axis is None for entry in inputs):
        shapes = ", ".join(f"{entry.name} {list(entry.shape)}" for entry in inputs if entry.shape)
        return _denied(f"no input has a free batch axis ({shapes}); one call is counted as one item"), ()
    multiple = input_rows.multiple(inputs)
    count = max(2, multiple)
    batch = items(inputs, rows, batch_size=count)
    if rows is None:
        batch |= _different_states(inputs, batch)
    chosen = sorted({0, 1, count - 1})
    alone = {item: _part(inputs, batch, item) for item in chosen}
    if rows is not None and all(
        np.array_equal(alone[one][name], alone[other][name]) for one, other in pairwise(chosen) for name in batch
    ):
        return _denied("the first two given items are identical, which proves nothing"), ()
    try:
        together = ort_session.run(session, batch)
    except ModelError as error:
        return _denied(f"a batch of two fails: {error.fault.removeprefix(ort_session.FAILED)}"), ()
    worst = 1.0
    for item in chosen:
        for name, single in ort_session.run(session, input_rows.padded(inputs, alone[item])).items():
            axis = ort_session.items_axis(single.shape, together[name].shape, multiple)
            if axis is None:
                return _denied(f"output {name} does not grow with the batch"), ()
            # An output may have many rows for each item, those of the first item first.
            size = single.shape[axis] // multiple
            own, theirs = single.take(range(size), axis=axis), together[name]
            likeness = _likeness(own, theirs.take(range(item * size, (item + 1) * size), axis=axis))
            if (
                likeness < RELATED_COSINE
                and size > 1
                and _likeness(own, theirs.take(range(item, count * size, count), axis=axis)) == 1
            ):
                return _denied(f"output {name} has the rows of all items in turn, not one item after the other"), ()
            worst = min(worst, likeness)
    # Only what shares a scale among the items of a batch may let them depend on each other, and slightly.
    if worst < (RELATED_COSINE if quantized_operators.share_scales(graph.operators) else 1.0):
        return _denied(f"an item's output depends on the others in its batch (cosine {worst:.3f})"), ()
    notes = ("outputs depend slightly on what else is in the batch, as dynamic quantization makes them",) if worst < 1.0 else ()
    return Batching(possible=True, reason=_reason(inputs, multiple)), notes


def _denied(reason: str) -> Batching:
    return Batching(possible=False, reason=reason)


def _reason(inputs: tuple[ModelInput, ...], multiple: int) -> str:
    axes = [f"axis {entry.batch_axis} of {entry.name}" for entry in inputs if entry.batch_axis is not None]
    named = ", ".join(axes[:3]) + (f" and {len(axes) - 3} more" if len(axes) > 3 else "")
    same = "two items give the same outputs together as alone" if multiple == 1 else "the others in a call do not change an item"
    return f"{same} ({named})"


def items(
    inputs: tuple[ModelInput, ...], rows: Rows | None, *, batch_size: int, sequence_length: int | None = None
) -> dict[str, np.ndarray]:
    """Return the inputs of a call with so many items, filled up to as many as the model takes: the user's, or generated ones."""
    if rows is not None:
        feeds = input_rows.take(inputs, rows, start=0, batch_size=batch_size, sequence_length=sequence_length)
    else:
        feeds = input_rows.generate(inputs, batch_size=batch_size, sequence_length=sequence_length, seed=0)
    return input_rows.padded(inputs, feeds)


def _different_states(inputs: tuple[ModelInput, ...], feeds: Rows) -> dict[str, np.ndarray]:
    """Return random values for states: zeros would not show whether the states of two items are mixed up."""
    random = np.random.default_rng(0)
    states = {entry.name: feeds[entry.name] for entry in inputs if entry.role == "state"}
    return {name: random.standard_normal(v.shape).astype(v.dtype) for name, v in states.items() if v.dtype.kind == "f"}


def _part(inputs: tuple[ModelInput, ...], feeds: Rows, item: int) -> dict[str, np.ndarray]:
    """Return one item of a batch, as views."""
    return {
        entry.name: feeds[entry.name][(slice(None),) * (entry.batch_axis or 0) + (slice(item, item + 1),)]
        if entry.batch_axis is not None
        else feeds[entry.name]
        for entry in inputs
    }


def _likeness(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return 1.0 for equal up to rounding, else the cosine (the share of equal entries where the values are no floats)."""
    if expected.dtype.kind != "f":
        return float(np.mean(expected == actual)) if expected.size else 1.0
    expected, actual = (values.astype(np.float64).ravel() for values in (expected, actual))
    finite = np.isfinite(expected) & np.isfinite(actual)
    # A model may give infinities and NaN; they then have to stand in the same places.
    if not np.array_equal(expected[~finite], actual[~finite], equal_nan=True):
        return 0.0
    expected, actual = expected[finite], actual[finite]
    if np.abs(expected - actual).max(initial=0.0) <= SAME_FRACTION * np.abs(expected).max(initial=0.0):
        return 1.0
    scale = np.linalg.norm(expected) * np.linalg.norm(actual)
    return min(float(expected @ actual / scale), np.nextafter(1.0, 0.0)) if scale > 0 else 0.0
