"""How a model is fed: which inputs it takes, along which axes items lie and how many at a time, found by trying."""

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from advisor.disk import temporary
from advisor.errors import AdvisorError, InputError, ModelError
from advisor.measure.model import batching, input_rows, operator_cost, rewriting
from advisor.measure.model.batching import Rows
from advisor.measure.runtime import memory, ort_session
from advisor.measure.runtime.ort_session import Say, unsaid
from advisor.schema.model import Batching, Graph, GraphInput, ModelInput
from advisor.units import size as size_in_words

# Element types, by NumPy's names, in which ONNX Runtime takes an array from Python.
FEEDABLE = set("bool float16 float32 float64 int8 int16 int32 int64 string uint8 uint16 uint32 uint64".split())
# Tried in turn where the model does not take one item.
BATCH_SIZES = (*range(2, 65), 96, 100, 128, 200, 256, 512, 1000, 1024)
READINGS_OF_BATCHES = 3
TRIALS_S = 10.0  # for each kind of unusual reading
# Values of a count that are tried to find out whether the cost depends on it; never what is measured.
COUNTS = (1, 2, 8)


class Reading(NamedTuple):
    """What was found: inputs that the model accepts, whether items can share a call, and what to note."""

    inputs: tuple[ModelInput, ...]
    batching: Batching
    notes: tuple[str, ...]
    random_operators: tuple[str, ...]


class Model(NamedTuple):
    """What is tried, and what the user gave to try it with."""

    path: Path
    session: ort_session.Session
    graph: Graph
    sequence_lengths: tuple[int, ...]
    rows: Rows | None
    say: Say = unsaid


def read(model: Model) -> Reading:
    """Return how the model is fed; raise InputError or ModelError if nothing that was generated or given works."""
    _refuse_other_types(model.path, model.graph.inputs)
    _refuse_empty(model.path, model.graph.inputs)
    with temporary.folder() as folder:
        # The number of items that it takes is asked only of a model that takes no single one, however it is read.
        found, failure = _best(model, _readings(model), folder)
        if found is None:
            found, _ = _best(model, _in_batches(model), folder)
    if found is None:
        _refuse_unknown_counts(model.path, [entry for entry in model.graph.inputs if entry.may_set_cost], model.rows)
        raise failure or ModelError(f"{model.path}: the model accepts no input", hint="give valid inputs with --inputs FILE.npz")
    inputs = _with_counts(model, found.inputs)
    for length in model.sequence_lengths:
        _check_length(model, inputs, length)
    return found._replace(inputs=inputs)


def _best(
    model: Model, readings: Iterable[tuple[ModelInput, ...] | AdvisorError], folder: Path
) -> tuple[Reading | None, AdvisorError | None]:
    """Return the first reading whose items can share a call, or else the first, and the first error."""
    first, failure, steady = None, None, None
    for reading in readings:
        if isinstance(reading, AdvisorError):
            failure = failure or reading
            continue
        steady = steady or _steady(model, reading, folder)
        found = Reading(reading, *_prove(model, steady, reading), steady.random_operators)
        if found.batching.possible:
            return found, failure
        first = first or found
    return first, failure


def _readings(model: Model) -> Iterator[tuple[ModelInput, ...] | AdvisorError]:
    """Yield inputs that the model accepts, likeliest reading first; an error where no input of that kind works.

    The caller stops where items can share a call: a recurrent network may have time first and items second without saying so, items may
    lie along an axis that no name gives away, and a fixed first size may be that of a batch.
    """
    usual = _accepted(model, is_time_first=False)
    yield usual
    if operator_cost.RECURRENT & model.graph.operators.keys():
        yield _accepted(model, is_time_first=True)
    base = usual if not isinstance(usual, AdvisorError) else next(input_rows.possible_inputs(model.graph.inputs, ()))
    ends = time.monotonic() + TRIALS_S
    for other in (*_with_fixed_batch(model.graph, base), *input_rows.other_batch_axes(base)):
        if time.monotonic() > ends:
            return
        try:
            inputs = _shaped(model, other)
            ort_session.run(model.session, batching.items(inputs, model.rows, batch_size=1))
        except AdvisorError:
            continue
        yield inputs


def _accepted(model: Model, *, is_time_first: bool) -> tuple[ModelInput, ...] | AdvisorError:
    failure: AdvisorError | None = None
    for reading in input_rows.possible_inputs(model.graph.inputs, model.sequence_lengths, is_time_first=is_time_first):
        try:
            inputs = _shaped(model, reading)
            ort_session.run(model.session, batching.items(inputs, model.rows, batch_size=1))
        except AdvisorError as error:
            failure = failure or error
            continue
        return inputs
    if isinstance(failure, InputError):
        return failure
    return ModelError(
        f"{model.path}: the model accepts no {'generated' if model.rows is None else 'given'} input; "
        f"first try: {failure.fault if failure else 'none'}",
        hint="give valid inputs with --inputs FILE.npz, one array per model input",
    )


def _in_batches(model: Model) -> Iterator[tuple[ModelInput, ...]]:
    """Yield inputs of the least number of items that the model takes, where it does not take one."""
    ends = time.monotonic() + TRIALS_S
    readings = input_rows.possible_inputs(model.graph.inputs, model.sequence_lengths)
    # Where an input has a free axis that is not read as that of items, the number that fits is its size, and says nothing about items.
    readings = (reading for reading in readings if all(_holds_items(entry) for entry in reading))
    for reading in islice(readings, READINGS_OF_BATCHES):
        for count in BATCH_SIZES:
            if time.monotonic() > ends:
                return
            try:
                inputs = input_rows.with_multiple(_shaped(model, reading), count)
                if input_rows.multiple(inputs) == 1:  # there is no axis of items
                    return
                ort_session.run(model.session, batching.items(inputs, model.rows, batch_size=count))
            except AdvisorError:
                continue
            yield inputs


def _holds_items(entry: ModelInput) -> bool:
    is_set = entry.role in input_rows.SET_ROLES or all(isinstance(size, int) for size in entry.shape)
    return is_set or entry.batch_axis is not None


def _with_fixed_batch(graph: Graph, inputs: tuple[ModelInput, ...]) -> Iterator[tuple[ModelInput, ...]]:
    """Yield the inputs with items along the first axis, if all inputs and outputs have the same fixed size there."""
    holding = [entry for entry in inputs if entry.role not in input_rows.SET_ROLES]
    sizes = {entry.shape[0] if len(entry.shape) > 1 else None for entry in holding}
    sizes |= {output.shape[0] if output.shape else None for output in graph.outputs}
    count = sizes.pop() if len(sizes) == 1 else None
    if isinstance(count, int) and 1 < count <= max(BATCH_SIZES):
        yield tuple(
            msgspec.structs.replace(entry, batch_axis=0, batch_multiple=count, example_shape=(1, *entry.example_shape[1:]))
            if entry in holding
            else entry
            for entry in inputs
        )


def _shaped(model: Model, reading: tuple[ModelInput, ...]) -> tuple[ModelInput, ...]:
    """Return the reading in the shape of the user's rows; raise InputError if they do not fit, ModelError if memory is short."""
    if model.rows is not None:
        input_rows.check_rows(reading, model.rows, Path("--inputs"))
        one = input_rows.take(reading, model.rows, start=0, batch_size=1)
        return tuple(msgspec.structs.replace(entry, example_shape=one[entry.name].shape) for entry in reading)
    room = memory.available_bytes()
    for entry in reading:
        needed = input_rows.item_bytes(entry.dtype, entry.example_shape)
        if room is not None and needed > memory.most_for_one(room):
            fault = (
                f"one item of input {entry.name!r} takes {size_in_words(needed)}; one value may take "
                f"{size_in_words(memory.most_for_one(room))} of the {size_in_words(room)} of memory that are free here"
            )
            raise ModelError(f"{model.path}: {fault}", hint="export the model for smaller inputs")
    return reading


def _refuse_other_types(path: Path, inputs: tuple[GraphInput, ...]) -> None:
    for entry in inputs:
        if entry.dtype.endswith("_type"):
            raise ModelError(
                f"{path}: input {entry.name!r} is a {entry.dtype.removesuffix('_type')}, not a tensor",
                hint="export the model with tensors as inputs; sequences, maps and optionals cannot be measured",
            )
        if entry.dtype not in FEEDABLE:
            raise ModelError(
                f"{path}: input {entry.name!r} is of type {entry.dtype}, which ONNX Runtime does not accept as an input",
                hint="export the model with a Cast after this input, from float32 or from an integer type",
            )


def _refuse_empty(path: Path, inputs: tuple[GraphInput, ...]) -> None:
    """Raise ModelError if every input is fixed at a size of 0; a single one of several is fed so."""
    empty = [entry for entry in inputs if 0 in entry.shape]
    if empty and len(empty) == len(inputs):
        raise ModelError(
            f"{path}: input {empty[0].name!r} is empty by its declared shape {list(empty[0].shape)}, so there is nothing to compute",
            hint="export the model with that size free, or as it is in use",
        )


def _check_length(model: Model, inputs: tuple[ModelInput, ...], length: int) -> None:
    if all(entry.sequence_axis is None for entry in inputs):
        raise InputError(
            f"inputs.sequence_length: the model has no sequence axis, so {length} cannot be tried",
            hint="remove inputs.sequence_length from the workload file",
        )
    try:
        ort_session.run(model.session, batching.items(inputs, model.rows, batch_size=1, sequence_length=length))
    except ModelError as error:
        raise InputError(
            f"inputs.sequence_length: the model does not accept length {length}: {error.fault}",
            hint="give lengths that the model accepts; `advisor inspect` shows one",
        ) from error


# --- batches -------------------------------------------------------------------------------------------------------------


TIMES_ASKED = 16  # of a model that draws: of one coin, both sides come up but for one time in 30,000


class _Steady(NamedTuple):
    """What the proof of batching is run on: the model, or the same drawing no random numbers; None where nothing is steady."""

    session: ort_session.Session | None
    random_operators: tuple[str, ...]


def _steady(model: Model, inputs: tuple[ModelInput, ...], folder: Path) -> _Steady:
    feeds = batching.items(inputs, model.rows, batch_size=1)
    operators = sorted(rewriting.RANDOM & model.graph.operators.keys())
    # What is drawn among few values may come out alike a few times.
    times = TIMES_ASKED if set(operators) - {"Dropout"} else 2
    if _answers_alike(model.session, feeds, times=times):
        return _Steady(model.session, ())
    # Dropout draws in training alone, and files for serving have it too.
    named = tuple(operator for operator in operators if operator != "Dropout" or len(operators) == 1)
    try:
        path = folder / "steady.onnx"
        rewriting.without_draws(model.path, path)
        model.say("opening it without its random draws", ort_session.loading_s(path))
        session = ort_session.told(ort_session.open_session(path, keeps_memory=False), model.say, "without random draws")
        return _Steady(session if _answers_alike(session, feeds) else None, named)
    except ModelError:
        return _Steady(None, named)


def _answers_alike(session: ort_session.Session, feeds: dict[str, np.ndarray], *, times: int = 2) -> bool:
    """Return whether the model gives the same answer so many times; it is asked no more once two answers differ."""
    one = ort_session.run(session, feeds)
    others = (ort_session.run(session, feeds) for _ in range(times - 1))
    return all(
        np.array_equal(values, other[name], equal_nan=values.dtype.kind == "f" and other[name].dtype.kind == "f")
        for other in others
        for name, values in one.items()
    )


def _prove(model: Model, steady: _Steady, inputs: tuple[ModelInput, ...]) -> tuple[Batching, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if steady.session is not model.session:
        by = f" ({', '.join(steady.random_operators)})" if steady.random_operators else ""
        notes = (f"answers differently each time{by}; so do its variants, which the figures of agreement include",)
    if steady.session is None:
        return Batching(possible=False, reason="answers differ each time, so items alone and together cannot be compared"), notes
    found, more = batching.prove(steady.session, model.graph, inputs, model.rows)
    if found.possible and steady.session is not model.session:
        found = msgspec.structs.replace(found, reason=f"{found.reason}, with its random draws held fixed")
    if found.possible and (multiple := input_rows.multiple(inputs)) > 1:
        is_bound = not _takes(model, inputs, 2 * multiple)
        how = f"runs with {'' if is_bound else 'multiples of '}{multiple} items a call, found by trying; fewer are filled up with copies; "
        largest = multiple if is_bound else None
        found = msgspec.structs.replace(found, reason=how + found.reason, multiple=multiple, largest=largest)
    return found, notes + more


def _takes(model: Model, inputs: tuple[ModelInput, ...], batch_size: int) -> bool:
    try:
        ort_session.run(model.session, batching.items(inputs, model.rows, batch_size=batch_size))
    except AdvisorError:
        return False
    return True


# --- counts --------------------------------------------------------------------------------------------------------------


def _with_counts(model: Model, inputs: tuple[ModelInput, ...]) -> tuple[ModelInput, ...]:
    """Return the inputs with the counts that the user gave; raise InputError if the cost depends on one that nobody did."""
    unknown, found = [], []
    for entry in inputs:
        if entry.role != "count":
            found.append(entry)
        elif model.rows is not None and entry.name in model.rows:
            values = model.rows[entry.name].ravel()[: input_rows.MOST_GIVEN_VALUES].tolist()
            found.append(msgspec.structs.replace(entry, given_values=tuple(values), scalar_value=None))
        elif _changes_work(model, inputs, entry):
            unknown.append(entry)
        else:
            found.append(msgspec.structs.replace(entry, role="scalar" if entry.batch_axis is None else "features"))
    _refuse_unknown_counts(model.path, unknown, model.rows)
    return tuple(found)


def _refuse_unknown_counts(path: Path, entries: "list[ModelInput] | list[GraphInput]", rows: Rows | None) -> None:
    names = [entry.name for entry in entries if rows is None or entry.name not in rows]
    if names:
        listed = " and ".join(names)
        raise InputError(
            f"{path}: the cost depends on the value of {listed}, which only you know",
            hint=f"give it with --inputs FILE.npz: {listed} as it is served, and an array for each other input",
        )


def _changes_work(model: Model, inputs: tuple[ModelInput, ...], count: ModelInput) -> bool:
    """Return whether the work of a call depends on the value of a count, by the nodes that run and what they write."""
    work = set()
    for value in COUNTS:
        tried = tuple(msgspec.structs.replace(entry, scalar_value=value) if entry == count else entry for entry in inputs)
        try:
            feeds = batching.items(tried, model.rows, batch_size=1)
            written = [node["output_bytes"] for node in ort_session.executed_nodes(model.path, feeds, model.say)]
        except ModelError:
            continue
        work.add((len(written), sum(written)))
    return len(work) != 1
