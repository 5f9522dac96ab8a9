"""Model file -> ModelFacts: what the graph declares, proved by running it: which inputs it takes and whether items can share a call."""

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from advisor import quantized_operators
from advisor.errors import InputError, ModelError
from advisor.measure.model import input_rows, onnx_file, onnx_graph, operator_cost
from advisor.measure.runtime import machine, ort_session
from advisor.schema.model import Batching, Family, Graph, GraphInput, ModelFacts, ModelInput, ModelOutput, OperatorFacts

# Element types, by NumPy's names, in which ONNX Runtime takes an array from Python.
FEEDABLE = set("bool float16 float32 float64 int8 int16 int32 int64 string uint8 uint16 uint32 uint64".split())
CLASS_NAME_PARTS = ("logit", "prob", "score", "label")
CLASSIFYING = {"Softmax", "LogSoftmax", "TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier"}
# Items that are computed together in another order differ by rounding; dynamic int8 shares one scale in a batch and differs by more.
SAME_FRACTION = 0.01
RELATED_COSINE = 0.99


def inspect_onnx(
    path: Path,
    *,
    name: str,
    format_: Literal["onnx", "checkpoint"] = "onnx",
    sequence_lengths: tuple[int, ...] = (),
    rows: Mapping[str, np.ndarray] | None = None,
) -> ModelFacts:
    """Return the facts of the ONNX file; `rows` are the user's own inputs, `sequence_lengths` those of the workload.

    Raise InputError or ModelError if the file, the rows or the lengths do not work.
    """
    session = _open(path)
    graph = onnx_graph.read_graph(path)
    inputs, batching, notes = _read_and_prove(path, session, graph, sequence_lengths, rows)
    length = _example_length(inputs) if not sequence_lengths else sequence_lengths[0]
    operators, unknown = _operators(path, graph, _items(inputs, rows, batch_size=1, sequence_length=length))
    if unknown:
        notes += (f"flop unknown: there is no formula for {', '.join(unknown)}",)
    return ModelFacts(
        name=name,
        format=format_,
        sha256=graph.sha256,
        family=_family(graph, inputs, operators),
        parameters=graph.parameters,
        weight_bytes=graph.weight_bytes,
        file_bytes=graph.file_bytes,
        opset=graph.opset,
        already_quantized=quantized_operators.are_quantized(graph.operators),
        inputs=inputs,
        outputs=tuple(
            ModelOutput(
                name=output.name,
                dtype=output.dtype,
                shape=output.shape,
                has_classes=output.producer in CLASSIFYING or any(part in output.name.lower() for part in CLASS_NAME_PARTS),
            )
            for output in graph.outputs
        ),
        batching=batching,
        operators=operators,
        flop_per_item=None if unknown else sum(entry.flop_per_item or 0.0 for entry in operators),
        activation_bytes_per_item=sum(entry.activation_bytes_per_item for entry in operators),
        at_sequence_length=length if any(entry.sequence_axis is not None for entry in inputs) else None,
        kv_bytes_per_token=_kv_bytes_per_token(inputs),
        notes=notes,
    )


def _open(path: Path) -> ort_session.Session:
    """Return a session: ONNX Runtime checks whether a graph is sound, before it is read."""
    try:
        # On all cores: nothing is timed here, and a call may take seconds.
        return ort_session.open_session(path, intra_op_num_threads=len(machine.usable_cores()))
    except ModelError:
        onnx_file.load(path)  # reports it better if this is no ONNX file, or a part of it is missing
        raise


def _read_and_prove(
    path: Path,
    session: ort_session.Session,
    graph: Graph,
    sequence_lengths: tuple[int, ...],
    rows: Mapping[str, np.ndarray] | None,
    *,
    is_time_first: bool = False,
) -> tuple[tuple[ModelInput, ...], Batching, tuple[str, ...]]:
    """Return inputs that the model accepts, whether their items can share a call, and notes.

    A recurrent network may have time first and items second without saying so; it is read that way if only then items get on.
    """
    inputs = _accepted_inputs(path, session, graph, sequence_lengths, rows, is_time_first=is_time_first)
    batching, notes = _prove_batching(session, graph, inputs, rows)
    if not batching.possible and not is_time_first and operator_cost.RECURRENT & graph.operators.keys():
        with contextlib.suppress(InputError, ModelError):
            other = _read_and_prove(path, session, graph, sequence_lengths, rows, is_time_first=True)
            if other[1].possible:
                return other
    return inputs, batching, notes


def _accepted_inputs(
    path: Path,
    session: ort_session.Session,
    graph: Graph,
    sequence_lengths: tuple[int, ...],
    rows: Mapping[str, np.ndarray] | None,
    *,
    is_time_first: bool,
) -> tuple[ModelInput, ...]:
    _refuse_other_types(path, graph.inputs)
    failure = None
    for reading in input_rows.possible_inputs(graph.inputs, sequence_lengths, is_time_first=is_time_first):
        inputs = reading if rows is None else _shaped_as(reading, rows)
        try:
            ort_session.run(session, _items(inputs, rows, batch_size=1))
        except ModelError as error:
            failure = failure or error
            continue
        for length in sequence_lengths:
            _check_length(session, inputs, rows, length)
        return inputs
    raise ModelError(
        f"{path}: the model accepts no {'generated' if rows is None else 'given'} input; first try: {failure.fault if failure else 'none'}",
        hint="give valid inputs with --inputs FILE.npz, one array per model input",
    )


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


def _shaped_as(reading: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray]) -> tuple[ModelInput, ...]:
    input_rows.check_rows(reading, rows, Path("--inputs"))
    one = input_rows.take(reading, rows, start=0, batch_size=1)
    return tuple(msgspec.structs.replace(entry, example_shape=one[entry.name].shape) for entry in reading)


def _check_length(
    session: ort_session.Session, inputs: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray] | None, length: int
) -> None:
    if all(entry.sequence_axis is None for entry in inputs):
        raise InputError(
            f"inputs.sequence_length: the model has no sequence axis, so {length} cannot be tried",
            hint="remove inputs.sequence_length from the workload file",
        )
    try:
        ort_session.run(session, _items(inputs, rows, batch_size=1, sequence_length=length))
    except ModelError as error:
        raise InputError(
            f"inputs.sequence_length: the model does not accept length {length}: {error.fault}",
            hint="give lengths that the model accepts; `advisor inspect` shows one",
        ) from error


def _prove_batching(
    session: ort_session.Session, graph: Graph, inputs: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray] | None
) -> tuple[Batching, tuple[str, ...]]:
    """Run two different items alone and together; they share a call if every output grows with the batch and no item changes."""
    if all(entry.batch_axis is None for entry in inputs):
        shapes = ", ".join(f"{entry.name} {list(entry.shape)}" for entry in inputs if entry.shape)
        return Batching(possible=False, reason=f"no input has a free batch axis ({shapes}); one call is counted as one item"), ()
    pair = _items(inputs, rows, batch_size=2)
    if rows is None:
        pair |= _different_states(inputs, pair)
    alone = [_part(inputs, pair, item) for item in range(2)]
    if rows is not None and all(np.array_equal(alone[0][name], alone[1][name]) for name in pair):
        return Batching(possible=False, reason="the first two given items are identical, which proves nothing"), ()
    try:
        together = ort_session.run(session, pair)
    except ModelError as error:
        return Batching(possible=False, reason=f"a batch of two fails: {error.fault}"), ()
    worst = 1.0
    for item in range(2):
        for name, single in ort_session.run(session, alone[item]).items():
            axis = ort_session.growing_axis(single.shape, together[name].shape)
            if axis is None:
                return Batching(possible=False, reason=f"output {name} does not grow with the batch"), ()
            worst = min(worst, _likeness(single, together[name].take([item], axis=axis)))
    # Only what shares a scale among the items of a batch may let them depend on each other, and slightly.
    if worst < (RELATED_COSINE if quantized_operators.share_scales(graph.operators) else 1.0):
        return Batching(possible=False, reason=f"an item's output depends on the others in its batch (cosine {worst:.3f})"), ()
    axes = [f"axis {entry.batch_axis} of {entry.name}" for entry in inputs if entry.batch_axis is not None]
    named = ", ".join(axes[:3]) + (f" and {len(axes) - 3} more" if len(axes) > 3 else "")
    notes = ("outputs depend slightly on what else is in the batch, as dynamic quantization makes them",) if worst < 1.0 else ()
    return Batching(possible=True, reason=f"two items give the same outputs together as alone ({named})"), notes


def _items(
    inputs: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray] | None, *, batch_size: int, sequence_length: int | None = None
) -> dict[str, np.ndarray]:
    if rows is not None:
        return input_rows.take(inputs, rows, start=0, batch_size=batch_size, sequence_length=sequence_length)
    return input_rows.generate(inputs, batch_size=batch_size, sequence_length=sequence_length, seed=0)


def _different_states(inputs: tuple[ModelInput, ...], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return random values for states: zeros would not show whether the states of two items are mixed up."""
    random = np.random.default_rng(0)
    states = {entry.name: feeds[entry.name] for entry in inputs if entry.role == "state"}
    return {name: random.standard_normal(v.shape).astype(v.dtype) for name, v in states.items() if v.dtype.kind == "f"}


def _part(inputs: tuple[ModelInput, ...], feeds: Mapping[str, np.ndarray], item: int) -> dict[str, np.ndarray]:
    return {
        entry.name: feeds[entry.name] if entry.batch_axis is None else feeds[entry.name].take([item], axis=entry.batch_axis)
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


def _example_length(inputs: tuple[ModelInput, ...]) -> int | None:
    return next((entry.example_shape[entry.sequence_axis] for entry in inputs if entry.sequence_axis is not None), None)


def _operators(path: Path, graph: Graph, feeds: Mapping[str, np.ndarray]) -> tuple[tuple[OperatorFacts, ...], list[str]]:
    """Return the facts of each operator type that one item executes, dearest first, and the types whose flop is unknown."""
    calls: dict[str, int] = defaultdict(int)
    flop: dict[str, float | None] = defaultdict(float)
    activations: dict[str, int] = defaultdict(int)
    for node in ort_session.executed_nodes(path, feeds):
        operator = node["operator"]
        cost = graph.classical_flop.get(operator)
        if cost is None:
            equation = graph.einsum_equations.get(node["name"], graph.einsum_equations.get(""))
            cost = operator_cost.flop(operator, node["inputs"], node["outputs"], equation=equation)
        known = flop[operator]
        flop[operator] = None if cost is None or known is None else known + cost
        calls[operator] += 1
        activations[operator] += node["output_bytes"]
    found = [
        OperatorFacts(
            type=operator,
            count=calls[operator],
            flop_per_item=flop[operator],
            activation_bytes_per_item=float(activations[operator]),
            weight_bytes=graph.weight_bytes_of.get(operator, 0),
        )
        for operator in calls
    ]
    found.sort(key=lambda entry: (-(entry.flop_per_item or 0.0), -entry.activation_bytes_per_item, entry.type))
    return tuple(found), sorted(operator for operator, cost in flop.items() if cost is None)


def _kv_bytes_per_token(inputs: tuple[ModelInput, ...]) -> int | None:
    """Return the bytes that one more token adds to the KV caches, from the inputs whose past is empty in the example."""
    caches = [entry for entry in inputs if entry.role == "state" and 0 in entry.example_shape]
    sizes = [np.dtype(entry.dtype).itemsize * int(np.prod([s for s in entry.example_shape if s > 0])) for entry in caches]
    return sum(sizes) or None


def _family(graph: Graph, inputs: tuple[ModelInput, ...], operators: tuple[OperatorFacts, ...]) -> Family:
    names = " ".join(entry.name for entry in inputs)
    if any(operator.startswith("TreeEnsemble") for operator in graph.operators):
        return "tree"
    if "encoder_hidden_states" in names or "decoder_input_ids" in names:
        return "encoder-decoder"
    if "GroupQueryAttention" in graph.operators or any(0 in entry.example_shape for entry in inputs if entry.role == "state"):
        return "decoder"
    if operator_cost.RECURRENT & graph.operators.keys():
        return "other"
    flop = {entry.type: entry.flop_per_item or 0.0 for entry in operators}
    convolution = sum(flop.get(operator, 0.0) for operator in operator_cost.CONVOLUTIONS)
    product = sum(flop.get(operator, 0.0) for operator in operator_cost.MATRIX_PRODUCTS)
    if convolution > product:
        return "cnn"
    has_attention = bool(operator_cost.ATTENTIONS & graph.operators.keys()) or {"MatMul", "Softmax"} <= graph.operators.keys()
    normalizes = any("Normalization" in operator or operator == "ReduceMean" for operator in graph.operators)
    return "encoder" if has_attention and normalizes else "other"
