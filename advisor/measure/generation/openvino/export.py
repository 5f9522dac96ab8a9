"""A checkpoint -> a decoder in OpenVINO's own format, with its cache as a state: what its engine of continuous batching pages by itself.

Inputs: `input_ids`, `attention_mask` and `position_ids` (requests, tokens), `beam_idx` (requests), whose cache each request goes on with.
Output: `logits` (requests, tokens, vocabulary). The engine looks for attention over what is read from a state and joined by the new keys
and values, and puts its own in that place (openvino, StateManagementPattern): the nodes are laid out as it expects them.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from advisor.errors import InputError
from advisor.measure.decoder.decoder_folder import LABEL, ROTARY, Label, being_made, write_label
from advisor.measure.decoder.graph import rotations
from advisor.measure.decoder.quantization import Made
from advisor.measure.decoder.shape import DecoderShape, facts_of, read_shape
from advisor.measure.decoder.weights import Weights, open_weights
from advisor.measure.runtime import openvino_session

MODEL, DATA = "openvino_model.xml", "openvino_model.bin"
Scheme = Literal["fp32", "int8-weight-only"]
SCHEMES: tuple[Scheme, ...] = ("fp32", "int8-weight-only")
MASKED = -65504.0  # the lowest number of 16 bits: attention may be computed in them
LARGEST_INT8 = 127


def write_openvino(checkpoint: Path, folder: Path, *, scheme: Scheme = "fp32", max_tokens: int | None = None) -> Made:
    """Write the decoder of a checkpoint, with positions for requests of so many tokens (all that it knows, if None).

    Weight-only int8 has one scale for each output of a matrix, as OpenVINO's own tools write it; embeddings stay in floats. Raises
    InputError for a checkpoint that is wrong or not modeled, MissingDependencyError without the extra.
    """
    openvino = openvino_session.load_openvino(checkpoint)
    shape = read_shape(checkpoint)
    weights = open_weights(checkpoint, shape)
    max_tokens = shape.context_tokens if max_tokens is None else max_tokens
    _check(checkpoint, shape, max_tokens)
    graph = _Graph(openvino, shape, weights, scheme)
    model = graph.model(max_tokens)
    label = Label(facts=facts_of(checkpoint, shape), scheme=scheme, max_tokens=max_tokens, weight_bytes=graph.weight_bytes)
    with being_made(folder) as place:
        openvino.save_model(model, place / MODEL, compress_to_fp16=False)
        write_label(place, label)
    total = sum((folder / name).stat().st_size for name in (MODEL, DATA, LABEL))
    return Made(scheme, folder, label, _digest(folder), total)


def _digest(folder: Path) -> str:
    """Return the SHA-256 of graph and weights."""
    total = hashlib.sha256()
    for name in (MODEL, DATA):
        with (folder / name).open("rb") as file:
            total.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def is_still(folder: Path, sha256: str) -> bool:
    """Return whether graph and weights in a folder are what has this digest."""
    try:
        return _digest(folder) == sha256
    except OSError:
        return False


def _check(checkpoint: Path, shape: DecoderShape, max_tokens: int) -> None:
    if not 1 <= max_tokens <= shape.context_tokens:
        raise InputError(
            f"{checkpoint}: requests of {max_tokens} tokens, and max_position_embeddings is {shape.context_tokens}",
            hint=f"ask for 1 to {shape.context_tokens} tokens",
        )
    if windows := [window for window in shape.windows if window is not None and window < max_tokens]:
        raise InputError(
            f"{checkpoint}: layers look back {min(windows)} tokens, and OpenVINO's engine looks back over all of a request",
            hint=f"ask for requests of at most {min(windows)} tokens, or serve it with ONNX Runtime",
        )


class _Graph:
    """The nodes of the graph; what each holds stays with the model that is made of them."""

    def __init__(self, openvino: Any, shape: DecoderShape, weights: Weights, scheme: Scheme) -> None:
        self._openvino, self.ops = openvino, openvino.opset13
        self.shape, self._weights, self._scheme = shape, weights, scheme
        self._sinks: list[Any] = []
        self.weight_bytes = 0

    def model(self, max_tokens: int) -> Any:
        """Return the whole model."""
        shape, ops = self.shape, self.ops
        ids, mask, positions = (self._input(name, [-1, -1], np.int64) for name in ("input_ids", "attention_mask", "position_ids"))
        beams = self._input("beam_idx", [-1], np.int32)
        embeddings = self._weight("model.embed_tokens.weight")
        stream = ops.gather(embeddings, ids, _whole(0))
        attend = _Attention(self, ids, mask, positions, beams, max_tokens)
        for layer in range(shape.layers):
            prefix = f"model.layers.{layer}"
            normed = self.norm(stream, f"{prefix}.input_layernorm.weight")
            attended = self.product(attend.layer(layer, normed), f"{prefix}.self_attn.o_proj")
            stream = ops.add(stream, attended)
            normed = self.norm(stream, f"{prefix}.post_attention_layernorm.weight")
            gate = ops.swish(self.product(normed, f"{prefix}.mlp.gate_proj"))
            opened = ops.multiply(gate, self.product(normed, f"{prefix}.mlp.up_proj"))
            stream = ops.add(stream, self.product(opened, f"{prefix}.mlp.down_proj"))
        normed = self.norm(stream, "model.norm.weight")
        if shape.ties_embeddings and self._scheme == "fp32":
            logits = ops.matmul(normed, embeddings, False, True)
        else:
            logits = self._multiplied(normed, "model.embed_tokens.weight" if shape.ties_embeddings else "lm_head.weight")
        result = ops.result(logits, name="logits")
        result.output(0).set_names({"logits"})
        model = self._openvino.Model([result], self._sinks, [ids, mask, positions, beams], "decoder")
        # Without a name of ours a node has one of a count that goes on from graph to graph: the same decoder would be another file.
        for number, node in enumerate(model.get_ordered_ops()):
            if node.get_friendly_name() == node.get_name():
                node.set_friendly_name(f"{node.get_type_name()}.{number}")
        return model

    def product(self, given: Any, name: str) -> Any:
        """Return the product with a matrix, and its bias if it has one."""
        product = self._multiplied(given, f"{name}.weight")
        return self.ops.add(product, self._weight(f"{name}.bias")) if self._weights.has(f"{name}.bias") else product

    def norm(self, given: Any, name: str) -> Any:
        """Return what is given over the root of the mean of its squares, times a weight; all along the last axis."""
        ops = self.ops
        mean = ops.reduce_mean(ops.power(given, _float(2.0)), np.array([-1], dtype=np.int64), keep_dims=True)
        root = ops.sqrt(ops.add(mean, _float(self.shape.norm_epsilon)))
        weight = self._weights.array(name)
        self.weight_bytes += weight.nbytes
        # Of as many axes as what it multiplies, or the whole is not taken for one operation.
        axes = [1] * (len(given.get_output_partial_shape(0)) - 1)
        return ops.multiply(ops.multiply(given, ops.power(root, _float(-1.0))), weight.reshape(*axes, -1))

    def state(self, name: str, beams: Any, requests: Any) -> tuple[Any, Callable[[Any], None]]:
        """Return what a state holds, empty at first, of the requests that go on; and what makes it hold something else."""
        ops, shape, op = self.ops, self.shape, self._openvino.op
        info = op.util.VariableInfo()
        info.variable_id = name
        info.data_type = self._openvino.Type.f32
        info.data_shape = self._openvino.PartialShape([-1, shape.kv_heads, -1, shape.head_dimension])
        variable = op.util.Variable(info)
        sizes = [requests, *(np.array([size], dtype=np.int64) for size in (shape.kv_heads, 0, shape.head_dimension))]
        held = op.read_value(ops.broadcast(_float(0.0), ops.concat(sizes, 0)), variable)
        return ops.gather(held, beams, _whole(0)), lambda value: self._sinks.append(op.assign(value, variable))

    def _input(self, name: str, axes: Sequence[int], dtype: Any) -> Any:
        node = self.ops.parameter(axes, dtype, name=name)
        node.output(0).set_names({name})
        return node

    def _weight(self, name: str) -> Any:
        values = self._weights.array(name)
        self.weight_bytes += values.nbytes
        return self.constant(values, name)

    def constant(self, values: np.ndarray, name: str) -> Any:
        """Return values that are kept in the file of weights."""
        node = self._openvino.op.Constant(values)
        node.set_friendly_name(name)
        return node

    def _multiplied(self, given: Any, name: str) -> Any:
        """Return the product with a matrix (outputs, inputs), which is kept as the scheme says."""
        ops = self.ops
        if self._scheme == "fp32":
            return ops.matmul(given, self._weight(name), False, True)
        values, scales = to_int8(self._weights.array(name))
        self.weight_bytes += values.nbytes + scales.nbytes
        matrix = ops.multiply(ops.convert(self.constant(values, name), "f32"), self.constant(scales, f"{name}.scale"))
        return ops.matmul(given, matrix, False, True)


class _Attention:
    """Attention of all layers: the mask, the angles of the positions and the shapes that they share."""

    def __init__(self, graph: _Graph, ids: Any, mask: Any, positions: Any, beams: Any, max_tokens: int) -> None:
        self._graph, self._ops, self._shape = graph, graph.ops, graph.shape
        self._beams = beams
        sizes = self._ops.shape_of(ids)
        self._requests = self._ops.gather(sizes, np.array([0], dtype=np.int64), _whole(0))
        self._mask = self._causal(mask, sizes)
        tables = rotations(self._shape.rope, self._shape.head_dimension, max_tokens)
        self._cosines, self._sines = (
            self._angles(graph.constant(table, name), positions) for name, table in zip(ROTARY, tables, strict=True)
        )

    def layer(self, layer: int, normed: Any) -> Any:
        """Return the attention of one layer, all heads of a token side by side."""
        ops, shape, prefix = self._ops, self._shape, f"model.layers.{layer}.self_attn"
        queries = self._rotated(self._heads(normed, f"{prefix}.q", shape.attention_heads))
        keys = self._cached(f"past_key_values.{layer}.key", self._rotated(self._heads(normed, f"{prefix}.k", shape.kv_heads)))
        values = self._cached(f"past_key_values.{layer}.value", self._heads(normed, f"{prefix}.v", shape.kv_heads))
        attended = ops.scaled_dot_product_attention(queries, self._for_all(keys), self._for_all(values), self._mask)
        width = shape.attention_heads * shape.head_dimension
        return ops.reshape(ops.transpose(attended, _axes(0, 2, 1, 3)), _axes(0, 0, width), True)

    def _causal(self, mask: Any, sizes: Any) -> Any:
        """Return what is added to each score (requests, 1, tokens, cached and new tokens): nothing, or all that there is to take away."""
        ops = self._ops
        new = ops.gather(sizes, _whole(1), _whole(0))
        total = ops.gather(ops.shape_of(mask), _whole(1), _whole(0))
        keys = ops.unsqueeze(ops.range(_whole(0), total, _whole(1), "i64"), _whole(0))
        queries = ops.unsqueeze(ops.range(ops.subtract(total, new), total, _whole(1), "i64"), _whole(1))
        comes_before = ops.unsqueeze(ops.less_equal(keys, queries), _axes(0, 1))
        is_there = ops.unsqueeze(ops.not_equal(mask, _whole(0)), _axes(1, 2))
        return ops.select(ops.logical_and(comes_before, is_there), _float(0.0), _float(MASKED))

    def _angles(self, table: Any, positions: Any) -> Any:
        """Return a cosine or sine for each token (requests, 1, tokens, head_dimension): both halves of a head turn by the same."""
        ops = self._ops
        found = ops.gather(table, positions, _whole(0))
        return ops.unsqueeze(ops.concat([found, found], -1), _whole(1))

    def _heads(self, normed: Any, name: str, count: int) -> Any:
        """Return queries, keys or values, head by head: (requests, heads, tokens, head_dimension)."""
        ops, shape = self._ops, self._shape
        heads = ops.reshape(self._graph.product(normed, f"{name}_proj"), _axes(0, 0, count, shape.head_dimension), True)
        if shape.has_head_norms and not name.endswith("v"):
            heads = self._graph.norm(heads, f"{name}_norm.weight")
        return ops.transpose(heads, _axes(0, 2, 1, 3))

    def _rotated(self, heads: Any) -> Any:
        ops, half = self._ops, self._shape.head_dimension // 2
        halves = ops.variadic_split(heads, _whole(3), _axes(half, half))
        turned = ops.concat([ops.multiply(halves.output(1), _float(-1.0)), halves.output(0)], -1)
        return ops.add(ops.multiply(heads, self._cosines), ops.multiply(turned, self._sines))

    def _cached(self, name: str, new: Any) -> Any:
        """Return what is in the cache with what is new behind it, and keep that."""
        held, keep = self._graph.state(name, self._beams, self._requests)
        joined = self._ops.concat([held, new], 2)
        keep(joined)
        return joined

    def _for_all(self, heads: Any) -> Any:
        """Return a head for each of the queries, which share those of keys and values in groups."""
        ops, shape = self._ops, self._shape
        shared = shape.attention_heads // shape.kv_heads
        if shared == 1:
            return heads
        repeated = ops.broadcast(ops.unsqueeze(heads, _whole(2)), _axes(1, 1, shared, 1, 1), broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(repeated, _axes(0, shape.attention_heads, -1, shape.head_dimension), True)


def to_int8(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix (outputs, inputs) as 8-bit integers and the scale of each output (outputs, 1)."""
    scales = np.abs(matrix).max(axis=1, keepdims=True) / np.float32(LARGEST_INT8)
    # A row of zeros, or of what is next to none, has no scale to divide by.
    scales = np.where(scales < np.finfo(np.float32).tiny, np.float32(1.0), scales)
    return np.round(matrix / scales).astype(np.int8), scales


def _whole(value: int) -> np.ndarray:
    return np.array(value, dtype=np.int64)


def _float(value: float) -> np.ndarray:
    return np.array(value, dtype=np.float32)


def _axes(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)
