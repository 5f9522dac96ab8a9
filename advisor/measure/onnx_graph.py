"""ONNX file -> Graph: weights, operators, inputs and outputs, read without running anything. The one doorway to `onnx`."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.errors import InputError, ModelError
from advisor.schema import Graph, GraphInput, GraphOutput

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

# Bits of the element types in which weights come; TensorProto.DataType values. 64- and 32-bit integers hold shapes and indices.
WEIGHT_BITS = {1: 32, 10: 16, 11: 64, 16: 16, 2: 8, 3: 8, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4}
# Attributes in which the classical models of ai.onnx.ml keep what they learned.
LEARNED_ATTRIBUTES = {
    "nodes_values",
    "class_weights",
    "target_weights",
    "nodes_splits",
    "leaf_weights",
    "coefficients",
    "support_vectors",
    "base_values",
    "intercepts",
    "rho",
}
RECURRENT = {"LSTM", "GRU", "RNN"}
PASSED_THROUGH = {"Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape"}


def read_graph(path: Path) -> Graph:
    """Return what the ONNX file at `path` holds; raise InputError if it is no ONNX file, ModelError if a part of it is missing."""
    model = load(path)
    files = [path, *_external_files(model, path)]
    nodes = [(node, initializers) for graph, initializers in _graphs(model) for node in graph.node]
    weights = list(_weights(model, path.parent))
    learned, classical_flop = _learned_attributes(node for node, _ in nodes)
    return Graph(
        sha256=_digest(files),
        file_bytes=sum(file.stat().st_size for file in files),
        opset={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        operators=dict(sorted(Counter(node.op_type for node, _ in nodes if node.op_type != "Constant").items())),
        domains={node.op_type: node.domain or "ai.onnx" for node, _ in nodes},
        parameters=sum(elements for elements, _, _ in weights) + learned,
        weight_bytes=sum(size for _, size, _ in weights) + 4 * learned,
        weight_bytes_of=_weight_bytes_of(nodes),
        weights_sha256=hashlib.sha256("".join(sorted(digest for _, _, digest in weights)).encode()).hexdigest(),
        classical_flop=classical_flop,
        einsum_equations={node.name: attributes(node)["equation"] for node, _ in nodes if node.op_type == "Einsum"},
        inputs=_inputs(model),
        outputs=_outputs(model),
    )


def load(path: Path) -> "ModelProto":
    """Return the parsed file, external weights left on disk."""
    import onnx
    from google.protobuf.message import DecodeError

    way_out = "give an .onnx file that onnx.load can read; export or download it again if it was cut short"
    if not path.is_file():
        raise InputError(f"{path}: no such file", hint="give the path of an .onnx file or of a Hugging Face checkpoint directory")
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise InputError(f"{path}: not a readable ONNX file (truncated or another format)", hint=way_out) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="make the file readable") from error
    if not model.graph.node or not model.opset_import:
        raise InputError(f"{path}: parses as ONNX but holds no operators", hint=way_out)
    return model


def attributes(node: "NodeProto") -> dict[str, Any]:
    """Return the node's attributes as Python values; texts decoded, graphs and tensors as they are."""
    import onnx

    values = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def _subgraphs(attribute: "AttributeProto") -> "list[GraphProto]":
    return [attribute.g, *attribute.graphs] if attribute.HasField("g") else list(attribute.graphs)


def _graphs(model: "ModelProto") -> "Iterator[tuple[Any, dict[str, int]]]":
    """Yield every graph and local function with the bytes of each weight that is in its scope, by name."""
    yield from _scoped(model.graph, {})
    for function in model.functions:
        yield from _scoped(function, {})


def _scoped(graph: Any, outer: dict[str, int]) -> "Iterator[tuple[Any, dict[str, int]]]":
    known = outer | {tensor.name: _size(tensor) for tensor in getattr(graph, "initializer", ())}
    for node in graph.node:
        if node.op_type == "Constant":
            for tensor in _constant_tensors(node):
                known[node.output[0]] = _size(tensor)
    yield graph, known
    for node in graph.node:
        for attribute in node.attribute:
            for inner in _subgraphs(attribute):
                yield from _scoped(inner, known)


def _constant_tensors(node: "NodeProto") -> "list[TensorProto]":
    return [attribute.t for attribute in node.attribute if attribute.name == "value" and attribute.HasField("t")]


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


def _weights(model: "ModelProto", folder: Path) -> Iterator[tuple[int, int, str]]:
    """Yield elements, bytes and digest of each stored weight, in initializers and in Constant nodes alike."""
    from onnx import numpy_helper

    for graph, _ in _graphs(model):
        stored = [*getattr(graph, "initializer", ())]
        stored += [sparse.values for sparse in getattr(graph, "sparse_initializer", ())]
        stored += [tensor for node in graph.node if node.op_type == "Constant" for tensor in _constant_tensors(node)]
        for tensor in stored:
            if elements := _elements(tensor):
                values = numpy_helper.to_array(tensor, base_dir=str(folder))
                digest = hashlib.sha256(values.tobytes()).hexdigest()
                yield elements, _size(tensor), f"{digest}{list(tensor.dims)}"


def _weight_bytes_of(nodes: "list[tuple[NodeProto, dict[str, int]]]") -> dict[str, int]:
    totals: dict[str, int] = defaultdict(int)
    for node, sizes in nodes:
        totals[node.op_type] += sum(sizes.get(name, 0) for name in node.input)
    return {operator: size for operator, size in sorted(totals.items()) if size}


def _external_files(model: "ModelProto", path: Path) -> list[Path]:
    names = {
        entry.value
        for graph, _ in _graphs(model)
        for tensor in getattr(graph, "initializer", ())
        for entry in tensor.external_data
        if entry.key == "location"
    }
    files = [path.parent / name for name in sorted(names)]
    for file in files:
        if not file.is_file():
            raise ModelError(
                f"{path}: its weights are in {file.name}, which is not beside it",
                hint=f"put {file.name} into {path.parent}, under exactly this name",
            )
    return files


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
            operations[node.op_type] += _mean_leaf_depths(values)
        elif held:
            operations[node.op_type] += 2.0 * held
    return learned, dict(operations)


def _mean_leaf_depths(values: dict[str, Any]) -> float:
    """Return the sum over trees of the mean depth of a leaf: comparisons per item if all leaves were equally likely."""
    if "nodes_treeids" not in values:
        return _mean_leaf_depths_from_opset_5(values)
    children: dict[tuple[int, int], tuple[int, int]] = {}
    fields = ("nodes_treeids", "nodes_nodeids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_modes")
    for tree, node, true, false, mode in zip(*(values[field] for field in fields), strict=True):
        if mode not in (b"LEAF", "LEAF"):
            children[tree, node] = (true, false)
    depths: dict[int, list[int]] = defaultdict(list)
    for tree in dict.fromkeys(values["nodes_treeids"]):
        waiting = [(0, 0)]
        while waiting:
            node, depth = waiting.pop()
            if (tree, node) in children:
                waiting += [(child, depth + 1) for child in children[tree, node]]
            else:
                depths[tree].append(depth)
    return sum(sum(leaves) / len(leaves) for leaves in depths.values())


def _mean_leaf_depths_from_opset_5(values: dict[str, Any]) -> float:
    total = 0.0
    for root in values["tree_roots"]:
        waiting, depths = [(root, 1)], []
        while waiting:
            node, depth = waiting.pop()
            for ids, leaves in (("nodes_truenodeids", "nodes_trueleafs"), ("nodes_falsenodeids", "nodes_falseleafs")):
                if values[leaves][node]:
                    depths.append(depth)
                else:
                    waiting.append((values[ids][node], depth + 1))
        total += sum(depths) / len(depths)
    return total


def _type_and_shape(value: "ValueInfoProto") -> tuple[str, tuple[int | str | None, ...]]:
    import onnx

    if not value.type.HasField("tensor_type"):
        return value.type.WhichOneof("value") or "unknown", ()
    tensor = value.type.tensor_type
    if tensor.elem_type == onnx.TensorProto.STRING:
        dtype = "string"
    else:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else dim.dim_param or None for dim in tensor.shape.dim
    )
    return dtype, shape


def _inputs(model: "ModelProto") -> tuple[GraphInput, ...]:
    # Before IR version 4 every initializer is listed among the inputs too.
    stored = {tensor.name for tensor in model.graph.initializer}
    found = []
    for value in model.graph.input:
        if value.name not in stored:
            dtype, shape = _type_and_shape(value)
            vocabulary, is_state, compared_with = _clues(model, value.name)
            found.append(
                GraphInput(
                    name=value.name,
                    dtype=dtype,
                    shape=shape,
                    vocabulary=vocabulary,
                    is_state=is_state,
                    compared_with=compared_with,
                )
            )
    return tuple(found)


def _clues(model: "ModelProto", name: str) -> tuple[int | None, bool, tuple[int, ...]]:
    """Return what the readers of an input give away: rows of the table it indexes, whether it is a state, constants it is tested against."""
    from onnx import numpy_helper

    names, vocabulary, is_state, compared = {name}, None, False, []
    for graph, _ in _graphs(model):
        tables = {tensor.name: tensor for tensor in getattr(graph, "initializer", ())}
        tables |= {node.output[0]: t for node in graph.node if node.op_type == "Constant" for t in _constant_tensors(node)}
        for node in graph.node:
            read = [position for position, read_name in enumerate(node.input) if read_name in names]
            if not read:
                continue
            if node.op_type in PASSED_THROUGH and read == [0]:
                names.update(node.output)
            elif node.op_type == "Gather" and read == [1] and node.input[0] in tables:
                rows = tables[node.input[0]].dims[attributes(node).get("axis", 0)]
                vocabulary = rows if vocabulary is None else min(vocabulary, rows)
            elif node.op_type in RECURRENT and min(read) >= 5:
                is_state = True
            elif node.op_type == "Equal":
                compared += [numpy_helper.to_array(tables[other]) for other in node.input if other in tables]
    return vocabulary, is_state, tuple(int(value) for values in compared for value in values.ravel())


def _outputs(model: "ModelProto") -> tuple[GraphOutput, ...]:
    makers = {output: node for node in model.graph.node for output in node.output}
    found = []
    for value in model.graph.output:
        dtype, shape = _type_and_shape(value)
        maker = makers.get(value.name)
        while maker is not None and maker.op_type in PASSED_THROUGH:
            maker = makers.get(maker.input[0])
        found.append(GraphOutput(name=value.name, dtype=dtype, shape=shape, producer=maker.op_type if maker is not None else ""))
    return tuple(found)
