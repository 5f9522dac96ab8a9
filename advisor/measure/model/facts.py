"""Model file -> ModelFacts: what the graph declares, proved by running it: which inputs it takes and whether items can share a call."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from advisor import quantized_operators
from advisor.disk.reading import refuse_special
from advisor.errors import ModelError
from advisor.measure.model import batching, input_rows, onnx_file, onnx_graph, operator_cost, reading
from advisor.measure.runtime import machine, memory, ort_session
from advisor.measure.runtime.ort_session import Say, unsaid
from advisor.measure.sizes import graph_values
from advisor.schema.model import Family, Graph, ModelFacts, ModelInput, ModelOutput, OperatorFacts
from advisor.units import percent, size

CLASS_NAME_PARTS = ("logit", "prob", "score", "label")
CLASSIFYING = {"Softmax", "LogSoftmax", "TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier"}
# Of weights: fewer do not show in the time of a call.
MUCH_SUBNORMAL = 0.001
READINGS = 2  # a file is held once as it was read and once as it was parsed


def look(
    path: Path,
    *,
    name: str,
    format_: Literal["onnx", "checkpoint"],
    sequence_lengths: tuple[int, ...],
    rows: Path | None,
    say: Say = unsaid,
) -> ModelFacts:
    """Return the facts of the ONNX file, `rows` being the file with the user's own inputs; for a process of its own.

    Raise InputError or ModelError if the file, the rows or the lengths do not work.
    """
    given = None
    if rows is not None:
        say("reading --inputs", ort_session.loading_s(rows))
        given = input_rows.read_npz(rows, "--inputs")
    facts = inspect_onnx(path, name=name, format_=format_, sequence_lengths=sequence_lengths, rows=given, say=say)
    if rows is not None and given is not None:
        input_rows.check_rows(facts.inputs, given, rows)
    return facts


def inspect_onnx(
    path: Path,
    *,
    name: str,
    format_: Literal["onnx", "checkpoint"] = "onnx",
    sequence_lengths: tuple[int, ...] = (),
    rows: Mapping[str, np.ndarray] | None = None,
    say: Say = unsaid,
) -> ModelFacts:
    """Return the facts of the ONNX file; `rows` are the user's own inputs, `sequence_lengths` those of the workload.

    Raise InputError or ModelError if the file, the rows or the lengths do not work.
    """
    refuse_special(path)
    loading_s = _check_size(path, say)
    say("opening it", loading_s)
    session = ort_session.told(_open(path), say)
    say("reading its graph", loading_s)
    graph = onnx_graph.read_graph(path)
    inputs, can_batch, notes, random_operators = reading.read(reading.Model(path, session, graph, sequence_lengths, rows, say))
    length = _example_length(inputs) if not sequence_lengths else sequence_lengths[0]
    together = input_rows.multiple(inputs)
    feeds = batching.items(inputs, rows, batch_size=together, sequence_length=length)
    del session  # before the file is opened once more
    operators, unknown = _operators(path, graph, feeds, together, say)
    if unknown:
        notes += (f"flop unknown: there is no formula for {', '.join(unknown)}",)
    subnormal_fraction = graph.subnormal_weights / graph.parameters if graph.parameters else 0.0
    if subnormal_fraction >= MUCH_SUBNORMAL:
        notes += (f"{percent(subnormal_fraction)} of the weights are subnormal numbers, with which some processors are slow",)
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
        batching=can_batch,
        operators=operators,
        flop_per_item=None if unknown else sum(entry.flop_per_item or 0.0 for entry in operators),
        activation_bytes_per_item=sum(entry.activation_bytes_per_item for entry in operators),
        at_sequence_length=length if any(entry.sequence_axis is not None for entry in inputs) else None,
        kv_bytes_per_token=_kv_bytes_per_token(inputs),
        notes=notes,
        subnormal_fraction=subnormal_fraction,
        random_operators=random_operators,
    )


def _check_size(path: Path, say: Say) -> float:
    """Return the seconds that loading the file may take; raise ModelError if it, or what it computes, does not fit in the free memory.

    Raise InputError if it is no ONNX file.
    """
    say("reading the file", ort_session.loading_s(path))
    _refuse_large(path, READINGS * (path.stat().st_size if path.is_file() else 0), "reading it")
    model = onnx_file.load(path)
    stored = sum(file.stat().st_size for file in (path, *onnx_file.external_files(model, path)))
    _refuse_large(path, stored, "its weights alone")
    say("inferring the sizes of what it computes", ort_session.loading_s(path))
    graph_values.refuse_large(model, path)
    return stored / ort_session.SLOW_BYTES_PER_S


def _refuse_large(path: Path, needed_bytes: int, what: str) -> None:
    room = memory.available_bytes()
    if room is not None and needed_bytes > room:
        raise ModelError(
            f"{path}: {what} takes {size(needed_bytes)} of memory, and {size(room)} are free here",
            hint="use a machine, or a container, with more memory",
        )


def _open(path: Path) -> ort_session.Session:
    """Return a session: ONNX Runtime checks whether a graph is sound, before it is read."""
    try:
        # On all cores: nothing is timed here, and a call may take seconds.
        return ort_session.open_session(path, intra_op_num_threads=len(machine.usable_cores()), keeps_memory=False)
    except ModelError:
        onnx_file.load(path)  # reports it better if this is no ONNX file, or a part of it is missing
        raise


def _example_length(inputs: tuple[ModelInput, ...]) -> int | None:
    return next((entry.example_shape[entry.sequence_axis] for entry in inputs if entry.sequence_axis is not None), None)


def _operators(
    path: Path, graph: Graph, feeds: Mapping[str, np.ndarray], items: int, say: Say
) -> tuple[tuple[OperatorFacts, ...], list[str]]:
    """Return the facts of each operator type that a call of so many items executes, dearest first, and types whose flop is unknown."""
    calls: dict[str, int] = defaultdict(int)
    flop: dict[str, float | None] = defaultdict(float)
    activations: dict[str, int] = defaultdict(int)
    for node in ort_session.executed_nodes(path, feeds, say):
        operator = node["operator"]
        cost = graph.classical_flop.get(operator)
        if cost is None:
            equation = graph.einsum_equations.get(node["name"], graph.einsum_equations.get(""))
            cost = operator_cost.flop(operator, node["inputs"], node["outputs"], equation=equation)
        known = flop[operator]
        flop[operator] = (
            None if cost is None or known is None else known + cost / (1 if operator in graph.classical_flop else items)
        )
        calls[operator] += 1
        activations[operator] += node["output_bytes"]
    found = [
        OperatorFacts(
            type=operator,
            count=calls[operator],
            flop_per_item=flop[operator],
            activation_bytes_per_item=activations[operator] / items,
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
