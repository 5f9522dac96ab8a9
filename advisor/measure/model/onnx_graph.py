"""ONNX file -> Graph: weights, operators, inputs and outputs, read without running anything. One of the doorways to `onnx`."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from advisor.errors import AdvisorError, ModelError
from advisor.measure.model import cost_inputs
from advisor.measure.model.onnx_file import external_files, inner_graphs, load
from advisor.measure.model.operator_cost import RECURRENT, mean_leaf_depths
from advisor.schema.model import Graph, GraphInput, GraphOutput

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

# Bits of the element types in which weights come; TensorProto.DataType values. 64- and 32-bit integers hold shapes and indices.
WEIGHT_BITS = {1: 32, 10: 16, 11: 64, 16: 16, 2: 8, 3: 8, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4}
# Attributes in which the classical models of ai.onnx.ml keep what they learned; doubles stand in tensors, under a name of their own.
LEARNED_ATTRIBUTES = {
    name + suffix
    for name in (
        "nodes_values class_weights target_weights nodes_splits leaf_weights coefficients support_vectors base_values intercepts rho"
    ).split()
    for suffix in ("", "_as_tensor")
}
# What reading a graph comes to where that is not what ONNX says a graph is: ONNX Runtime lets some of it pass.
SENSELESS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
LONGEST_REASON = 200
MOST_COMPARED = 256  # values that an input is tested against: a table of more is no setting
PIECE = 1 << 20  # values looked at at a time
# TensorProto.DataType values.
INTEGERS = {2, 3, 4, 5, 6, 7, 12, 13}
PASSED_THROUGH = {"Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape"}
TAKEN_FROM = {
    "Flatten",
    "Gather",
    "Slice",
    "Split",
    "Transpose",
}  # hand on a part of their first input, or the same in another order


def read_graph(path: Path) -> Graph:
    """Return what the ONNX file at `path` holds; raise InputError if it is no ONNX file, ModelError if a part is missing or senseless."""
    model = load(path)
    try:
        return _graph(model, path)
    except SENSELESS as error:
        reason = (str(error).splitlines() or [""])[0][:LONGEST_REASON]
        raise ModelError(
            f"{path}: its graph contradicts itself ({type(error).__name__}: {reason})",
            hint="export the model again; the file is damaged, or was not written by an exporter",
        ) from error


def _graph(model: "ModelProto", path: Path) -> Graph:
    files = [path, *external_files(model, path)]
    weights = list(_weights(model, path))
    # Weights are counted as they are stored, operators as they are run: a local function at each of its calls.
    whole = inlined(model)
    nodes = [(node, initializers) for graph, initializers in _graphs(whole) for node in graph.node]
    learned, classical_flop = _learned_attributes(node for node, _ in nodes)
    return Graph(
        sha256=_digest(files),
        file_bytes=sum(file.stat().st_size for file in files),
        opset={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        operators=dict(sorted(Counter(node.op_type for node, _ in nodes if node.op_type != "Constant").items())),
        domains={node.op_type: node.domain or "ai.onnx" for node, _ in nodes},
        parameters=sum(elements for elements, *_ in weights) + learned,
        weight_bytes=sum(size for _, size, *_ in weights) + 4 * learned,
        weight_bytes_of=_weight_bytes_of(nodes),
        weights_sha256=hashlib.sha256("".join(sorted(digest for _, _, digest, _ in weights)).encode()).hexdigest(),
        subnormal_weights=sum(count for *_, count in weights),
        classical_flop=classical_flop,
        einsum_equations=_einsum_equations(node for node, _ in nodes),
        inputs=_inputs(whole, path),
        outputs=_outputs(whole),
    )


def is_still(path: Path, sha256: str) -> bool:
    """Return whether a model is, with its weights beside it, still what has this digest; a file that is no model any more is not."""
    try:
        return _digest([path, *external_files(load(path), path)]) == sha256
    except (AdvisorError, OSError):
        return False


def nodes_with_weights(path: Path, operators: set[str]) -> list[str]:
    """Return the names of the nodes of these types in the main graph that read stored weights, in the order of the file."""
    model = load(path)
    stored = {name for name, tensor in _stored(model.graph) if _elements(tensor)}
    return [node.name for node in model.graph.node if node.op_type in operators and stored & set(node.input)]


def readers_of(path: Path, names: list[str]) -> dict[str, frozenset[str]]:
    """Return for each of these nodes of the main graph which others of them read what it gives, however changed on the way."""
    wanted = set(names)
    origins: dict[str, frozenset[str]] = {}  # by value: the nodes that it comes from
    readers: dict[str, set[str]] = {name: set() for name in names}
    for node in load(path).graph.node:
        read = frozenset().union(*(origins.get(name, frozenset()) for name in node.input))
        if node.name in wanted:
            for origin in read:
                readers[origin].add(node.name)
            read = frozenset({node.name})
        origins |= dict.fromkeys(node.output, read)
    return {name: frozenset(found) for name, found in readers.items()}


def inlined(model: "ModelProto") -> "ModelProto":
    """Return the model with each call of a local function replaced by its nodes."""
    from onnx import inliner

    return inliner.inline_local_functions(model) if model.functions else model


def attributes(node: "NodeProto") -> dict[str, Any]:
    """Return the node's attributes as Python values; texts decoded, graphs and tensors as they are."""
    import onnx

    values = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def _graphs(model: "ModelProto") -> "Iterator[tuple[Any, dict[str, int]]]":
    """Yield every graph and local function with the bytes of each weight that is in its scope, by name."""
    yield from _scoped(model.graph, {})
    for function in model.functions:
        yield from _scoped(function, {})


def _scoped(graph: Any, outer: dict[str, int]) -> "Iterator[tuple[Any, dict[str, int]]]":
    known = outer | {name: _size(tensor) for name, tensor in _stored(graph)}
    yield graph, known
    for node in graph.node:
        for attribute in node.attribute:
            for inner in inner_graphs(attribute):
                yield from _scoped(inner, known)


def _stored(graph: Any) -> "Iterator[tuple[str, TensorProto]]":
    """Yield name and values of all that a graph stores: initializers, dense or sparse, and constants."""
    yield from ((tensor.name, tensor) for tensor in getattr(graph, "initializer", ()))
    yield from ((sparse.values.name, sparse.values) for sparse in getattr(graph, "sparse_initializer", ()))
    yield from ((node.output[0], tensor) for node in graph.node if node.output for tensor in _constant_tensors(node))


def _constant_tensors(node: "NodeProto") -> "list[TensorProto]":
    from onnx import numpy_helper

    if node.op_type != "Constant":
        return []
    tensors = [attribute.t for attribute in node.attribute if attribute.name == "value"]
    tensors += [attribute.sparse_tensor.values for attribute in node.attribute if attribute.name == "sparse_value"]
    lists = [attribute.floats for attribute in node.attribute if attribute.name == "value_floats"]
    return tensors + [numpy_helper.from_array(np.array(values, dtype=np.float32)) for values in lists]


def _elements(tensor: "TensorProto") -> int:
    """Return the number of learned values, 0 for scalars and for types that hold shapes or indices."""
    if tensor.data_type not in WEIGHT_BITS or not tensor.dims:
        return 0
    elements = 1
    for dimension in tensor.dims:
        elements *= dimension
    return elements


def _size(tensor: "TensorProto") -> int:
    return (_elements(tensor) * WEIGHT_BITS.get(tensor.data_type, 0) + 7) // 8


def _weights(model: "ModelProto", path: Path) -> Iterator[tuple[int, int, str, int]]:
    """Yield elements, bytes, digest and subnormal elements of each stored weight, in initializers and in Constant nodes alike."""
    import onnx

    for graph, _ in _graphs(model):
        for name, tensor in _stored(graph):
            if elements := _elements(tensor):
                try:
                    values = onnx.numpy_helper.to_array(tensor, base_dir=str(path.parent))
                except (ValueError, onnx.checker.ValidationError) as error:
                    raise ModelError(
                        f"{path}: the values of {name!r} cannot be read: {str(error).splitlines()[0]}",
                        hint="export the model again; its files are truncated or do not belong together",
                    ) from error
                digest = hashlib.sha256(values.reshape(-1).view(np.uint8).data).hexdigest()
                yield elements, _size(tensor), f"{digest}{list(tensor.dims)}", _subnormal(values)
                if tensor.external_data:
                    tensor.ClearField("raw_data")  # where reading has put the values: the weights together would stay in memory


def _subnormal(values: np.ndarray) -> int:
    """Return how many of the values are too small for a full mantissa, in the 32- or 64-bit floats that they are computed in."""
    if values.dtype not in (np.float32, np.float64):
        return 0
    flat, tiny = values.reshape(-1), np.finfo(values.dtype).tiny
    pieces = (flat[start : start + PIECE] for start in range(0, flat.size, PIECE))
    return sum(int(np.count_nonzero((piece != 0) & (np.abs(piece) < tiny))) for piece in pieces)


def _weight_bytes_of(nodes: "list[tuple[NodeProto, dict[str, int]]]") -> dict[str, int]:
    totals: dict[str, int] = defaultdict(int)
    for node, sizes in nodes:
        totals[node.op_type] += sum(sizes.get(name, 0) for name in node.input)
    return {operator: size for operator, size in sorted(totals.items()) if size}


def _einsum_equations(nodes: "Iterator[NodeProto]") -> dict[str, str]:
    """Return equations by node name; under "" that of the nodes without a name, where it is one and the same."""
    equations: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        if node.op_type == "Einsum":
            equations[node.name].add(attributes(node).get("equation", ""))
    return {name: found.pop() for name, found in equations.items() if len(found) == 1}


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _learned_attributes(nodes: "Iterator[NodeProto]") -> tuple[int, dict[str, float]]:
    """Return the number of values learned by ai.onnx.ml operators, and the operations per item of each operator type.

    A tree costs one comparison per level, on the way to a leaf of mean depth; any other learned value one multiply-add.
    """
    learned = 0
    operations: dict[str, float] = defaultdict(float)
    for node in nodes:
        if node.domain != "ai.onnx.ml":
            continue
        values = attributes(node)
        held = 0
        for name in LEARNED_ATTRIBUTES & values.keys():
            value = values[name]
            held += _elements(value) if hasattr(value, "dims") else len(value) if isinstance(value, list) else 1
        learned += held
        if node.op_type.startswith("TreeEnsemble"):
            operations[node.op_type] += mean_leaf_depths(values)
        elif held:
            operations[node.op_type] += 2.0 * held
    return learned, dict(operations)


def _type_and_shape(value: "ValueInfoProto") -> tuple[str, tuple[int | str | None, ...]]:
    import onnx

    if not value.type.HasField("tensor_type"):
        return value.type.WhichOneof("value") or "unknown", ()
    tensor = value.type.tensor_type
    if tensor.elem_type == onnx.TensorProto.STRING:
        dtype = "string"
    elif tensor.elem_type in onnx.helper.get_all_tensor_dtypes():
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    else:
        dtype = "unknown"
    return dtype, tuple(_axis_size(dimension) for dimension in tensor.shape.dim)


def _axis_size(dimension: Any) -> int | str | None:
    # A size below zero is how some tools spell a free one, as ONNX Runtime reads it too; zero is a size like any other.
    if dimension.HasField("dim_value") and dimension.dim_value >= 0:
        return int(dimension.dim_value)
    # A name that is no text comes as bytes.
    return dimension.dim_param if dimension.dim_param and isinstance(dimension.dim_param, str) else None


def _inputs(model: "ModelProto", path: Path) -> tuple[GraphInput, ...]:
    # Before IR version 4 every initializer is listed among the inputs too.
    stored = {name for name, _ in _stored(model.graph)}
    found = []
    for value in model.graph.input:
        if value.name not in stored:
            dtype, shape = _type_and_shape(value)
            # Without a shape not even the number of axes is known; a scalar has a shape, an empty one.
            if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
                raise ModelError(
                    f"{path}: input {value.name!r} declares no shape",
                    hint="export the model with shapes; single dimensions may be dynamic",
                )
            vocabulary, is_state, compared_with = _clues(model, value.name)
            found.append(
                GraphInput(
                    name=value.name,
                    dtype=dtype,
                    shape=shape,
                    vocabulary=vocabulary,
                    is_state=is_state,
                    compared_with=tuple(number for number in compared_with if _fits(number, dtype)),
                    may_set_cost=_may_set_cost(model, value.name, dtype, shape) and not compared_with,
                )
            )
    return tuple(found)


def _fits(number: int, dtype: str) -> bool:
    """Return whether an input of this type can be given the number."""
    if not dtype.startswith(("int", "uint")):
        return True
    return np.iinfo(dtype).min <= number <= np.iinfo(dtype).max


def _may_set_cost(model: "ModelProto", name: str, dtype: str, shape: tuple[int | str | None, ...]) -> bool:
    """Return whether it is a number or a list of them whose value, not its size, may decide how much is computed."""
    if len(shape) > 1 or not dtype.startswith(("int", "uint", "float")):
        return False
    return cost_inputs.sets_cost((graph for graph, _ in _graphs(model)), name)


def _clues(model: "ModelProto", name: str) -> tuple[int | None, bool, tuple[int, ...]]:
    """Return what the readers of an input give away: rows of the table it indexes, whether it is a state, what it is tested against."""
    from onnx import numpy_helper

    names, vocabulary, is_state, compared = {name}, None, False, []
    tables: dict[str, TensorProto] = {}  # of the main graph too, which come first and which inner graphs read
    for graph, _ in _graphs(model):
        tables |= dict(_stored(graph))
        for node in graph.node:
            read = [position for position, read_name in enumerate(node.input) if read_name in names]
            if not read:
                continue
            if node.op_type in PASSED_THROUGH | TAKEN_FROM and read == [0]:
                names.update(node.output)
            elif node.op_type == "Gather" and read == [1] and node.input[0] in tables:
                sizes, axis = tables[node.input[0]].dims, attributes(node).get("axis", 0)
                if -len(sizes) <= axis < len(sizes):
                    vocabulary = sizes[axis] if vocabulary is None else min(vocabulary, sizes[axis])
            elif node.op_type in RECURRENT and min(read) >= 5:
                is_state = True
            elif node.op_type == "Equal":
                # Whole numbers only: a text, an infinity or a NaN is no setting that an input would be given.
                stored = (tables[other] for other in node.input if other in tables and prod(tables[other].dims) <= MOST_COMPARED)
                compared += [numpy_helper.to_array(t) for t in stored if t.data_type in INTEGERS and not t.external_data]
    return vocabulary, is_state, tuple(int(value) for values in compared for value in values.ravel())


def _outputs(model: "ModelProto") -> tuple[GraphOutput, ...]:
    makers = {output: node for node in model.graph.node for output in node.output}
    found = []
    for value in model.graph.output:
        dtype, shape = _type_and_shape(value)
        maker = makers.get(value.name)
        passed: set[str] = set()  # no more than once, whatever the file connects
        while maker is not None and maker.op_type in PASSED_THROUGH and maker.input and maker.input[0] not in passed:
            passed.add(maker.input[0])
            maker = makers.get(maker.input[0])
        found.append(GraphOutput(name=value.name, dtype=dtype, shape=shape, producer=maker.op_type if maker is not None else ""))
    return tuple(found)
