"""A checkpoint -> a decoder as ONNX Runtime serves it: attention over a cache that is kept in place (GroupQueryAttention).

Inputs: `input_ids` (requests, tokens); `seqlens_k` (requests), what is cached of each after this step less one; `total_sequence_length`
(1), the largest of these and one; `kept_positions` (kept), which tokens, counted over all requests, logits are wanted of; and
`past_key_values.LAYER.key` and `.value` (requests, heads, room, dimension). Outputs: `logits` (kept, vocabulary) and `present.*`, which may
lie where the past lies. A doorway to `onnx`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from advisor.errors import InputError
from advisor.measure.decoder.decoder_folder import MODEL, ROTARY, Label, WeightWriter, being_made, write_label
from advisor.measure.decoder.shape import DecoderShape, Rope, facts_of, read_shape
from advisor.measure.decoder.weights import Weights, open_weights
from advisor.measure.model import onnx_file
from advisor.measure.runtime import memory
from advisor.units import size

if TYPE_CHECKING:
    from onnx import NodeProto

FULL_PRECISION = "fp32"
OPSET, IR_VERSION = 18, 9
CONTRIBUTED = "com.microsoft"
INPUT_IDS, SEQLENS, TOTAL, KEPT, LOGITS = "input_ids", "seqlens_k", "total_sequence_length", "kept_positions", "logits"
EACH_HEAD, ALL_HEADS, ALL_ROWS = "each_head_shape", "all_heads_shape", "all_rows_shape"


def past_name(layer: int, side: str) -> str:
    """Return the name of the input with the keys or values of a layer."""
    return f"past_key_values.{layer}.{side}"


def present_name(layer: int, side: str) -> str:
    """Return the name of the output with the keys or values of a layer."""
    return f"present.{layer}.{side}"


def write_decoder(checkpoint: Path, folder: Path, *, max_tokens: int | None = None) -> Label:
    """Write the graph of a checkpoint in 32-bit floats, with positions for requests of so many tokens (all that it knows, if None).

    Raises InputError for a checkpoint that is wrong or not modeled, and for more tokens than it was trained on.
    """
    shape = read_shape(checkpoint)
    weights = open_weights(checkpoint, shape)
    max_tokens = shape.context_tokens if max_tokens is None else max_tokens
    if not 1 <= max_tokens <= shape.context_tokens:
        raise InputError(
            f"{checkpoint}: requests of {max_tokens} tokens, and max_position_embeddings is {shape.context_tokens}",
            hint=f"ask for 1 to {shape.context_tokens} tokens",
        )
    _refuse_long(checkpoint, shape, max_tokens)
    facts = facts_of(checkpoint, shape)
    with being_made(folder) as place:
        with WeightWriter(place) as writer:
            graph = _Graph(shape, weights, writer)
            graph.write(max_tokens)
        onnx_file.save_beside(graph.model(), place / MODEL)
        label = Label(facts=facts, scheme=FULL_PRECISION, max_tokens=max_tokens, weight_bytes=writer.weight_bytes)
        write_label(place, label)
    return label


def _refuse_long(checkpoint: Path, shape: DecoderShape, max_tokens: int) -> None:
    # Angles, their cosines and sines in 64 and in 32 bits.
    needed, room = 20 * max_tokens * shape.head_dimension, memory.available_bytes()
    if room is not None and needed > room:
        raise InputError(
            f"{checkpoint}: positions of {max_tokens} tokens take {size(needed)}; {size(room)} of memory are free here",
            hint="ask for shorter requests",
        )


def rotations(rope: Rope, head_dimension: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines of the angles by which each position turns each pair of a head: (tokens, head_dimension / 2).

    Angles are products of 32-bit floats, as the models were trained with: far out, more digits would be another model.
    """
    halves = np.arange(0, head_dimension, 2, dtype=np.float32) / np.float32(head_dimension)
    frequencies = (1.0 / np.float32(rope.theta) ** halves).astype(np.float32)
    if rope.kind == "linear":
        frequencies = frequencies / np.float32(rope.factor)
    elif rope.kind == "llama3":
        frequencies = _stretched(frequencies, rope)
    angles = np.arange(tokens, dtype=np.float32)[:, None] * frequencies.astype(np.float32)
    return np.cos(angles.astype(np.float64)).astype(np.float32), np.sin(angles.astype(np.float64)).astype(np.float32)


def _stretched(frequencies: np.ndarray, rope: Rope) -> np.ndarray:
    """Return frequencies as Llama 3.1 has them: the slow ones divided by the factor, the fast ones as they were, a blend in between."""
    # How often a pair turns round within the context of the first training.
    turns = rope.original_context_tokens * frequencies / np.float32(2 * np.pi)
    span = rope.high_frequency_factor - rope.low_frequency_factor
    kept = np.clip((turns - rope.low_frequency_factor) / span, 0.0, 1.0)
    blended: np.ndarray = (1 - kept) * frequencies / np.float32(rope.factor) + kept * frequencies
    return blended.astype(np.float32)


class _Graph:
    """The nodes of the graph, in the order in which they run."""

    def __init__(self, shape: DecoderShape, weights: Weights, writer: WeightWriter) -> None:
        self._shape, self._weights, self._writer = shape, weights, writer
        self._nodes: list[NodeProto] = []

    def write(self, max_tokens: int) -> None:
        """Write all nodes and their weights."""
        shape, weights = self._shape, self._weights
        for name, values in zip(ROTARY, rotations(shape.rope, shape.head_dimension, max_tokens), strict=True):
            self._writer.add(name, values)
        embeddings = self._writer.add("embeddings", weights.array("model.embed_tokens.weight"))
        self._add("Gather", [embeddings, INPUT_IDS], ["embedded"])
        stream = "embedded"
        normed = self._norm(stream, "input_norm.0", "model.layers.0.input_layernorm.weight")
        for layer in range(shape.layers):
            attended = self._attention(layer, normed)
            normed, stream = self._joined(
                stream, attended, f"mlp_norm.{layer}", f"model.layers.{layer}.post_attention_layernorm.weight"
            )
            mixed = self._mlp(layer, normed)
            is_last = layer == shape.layers - 1
            following = "model.norm.weight" if is_last else f"model.layers.{layer + 1}.input_layernorm.weight"
            normed, stream = self._joined(stream, mixed, "norm" if is_last else f"input_norm.{layer + 1}", following)
        self._add("Reshape", [normed, ALL_ROWS], ["rows"])
        self._add("Gather", ["rows", KEPT], ["kept_rows"])
        head = embeddings
        if not shape.ties_embeddings:
            head = self._writer.add("lm_head", weights.array("lm_head.weight"))
        self._add("Gemm", ["kept_rows", head], [LOGITS], transB=1)

    def _add(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        # By name nodes are chosen and left out.
        node = helper.make_node(operator, inputs, outputs, name=f"{outputs[0]}:{operator}", domain=domain, **attributes)
        self._nodes.append(node)
        return outputs[0]

    def _attention(self, layer: int, normed: str) -> str:
        """Add attention of one layer and return what is to be added to the stream."""
        shape, prefix = self._shape, f"model.layers.{layer}.self_attn"
        if shape.has_head_norms:
            queries = self._head_norm(
                f"query.{layer}", self._product(f"query.{layer}", normed, [f"{prefix}.q_proj"]), f"{prefix}.q_norm"
            )
            keys = self._head_norm(
                f"key.{layer}", self._product(f"key.{layer}", normed, [f"{prefix}.k_proj"]), f"{prefix}.k_norm"
            )
            given = [queries, keys, self._product(f"value.{layer}", normed, [f"{prefix}.v_proj"])]
        else:
            # One product for all three: the operator takes them packed, too.
            given = [self._product(f"query_key_value.{layer}", normed, [f"{prefix}.{part}_proj" for part in "qkv"]), "", ""]
        window = shape.windows[layer]
        attended = self._add(
            "GroupQueryAttention",
            [*given, past_name(layer, "key"), past_name(layer, "value"), SEQLENS, TOTAL, *ROTARY],
            [f"attention.{layer}", present_name(layer, "key"), present_name(layer, "value")],
            domain=CONTRIBUTED,
            num_heads=shape.attention_heads,
            kv_num_heads=shape.kv_heads,
            do_rotary=1,
            **({} if window is None else {"local_window_size": window}),
        )
        return self._product(f"attention_output.{layer}", attended, [f"{prefix}.o_proj"])

    def _mlp(self, layer: int, normed: str) -> str:
        """Add the gated MLP of one layer and return what is to be added to the stream."""
        prefix = f"model.layers.{layer}.mlp"
        gate = self._product(f"gate.{layer}", normed, [f"{prefix}.gate_proj"])
        up = self._product(f"up.{layer}", normed, [f"{prefix}.up_proj"])
        opened = self._add("Sigmoid", [gate], [f"opened.{layer}"])
        silu = self._add("Mul", [gate, opened], [f"silu.{layer}"])
        gated = self._add("Mul", [silu, up], [f"gated.{layer}"])
        return self._product(f"down.{layer}", gated, [f"{prefix}.down_proj"])

    def _product(self, name: str, given: str, projections: Sequence[str]) -> str:
        """Add one product for projections side by side, and their biases if they have some."""
        matrix = np.concatenate([self._weights.array(f"{projection}.weight") for projection in projections])
        weight = self._writer.add(f"{name}.weight", matrix.T)
        if not self._weights.has(f"{projections[0]}.bias"):
            return self._add("MatMul", [given, weight], [name])
        product = self._add("MatMul", [given, weight], [f"{name}.product"])
        biases = np.concatenate([self._weights.array(f"{projection}.bias") for projection in projections])
        return self._add("Add", [product, self._writer.add(f"{name}.bias", biases)], [name])

    def _norm(self, given: str, name: str, weight: str) -> str:
        kept = self._writer.add(f"{name}.weight", self._weights.array(weight))
        return self._add("SimplifiedLayerNormalization", [given, kept], [name], axis=-1, epsilon=self._shape.norm_epsilon)

    def _joined(self, stream: str, more: str, name: str, weight: str) -> tuple[str, str]:
        """Add to the stream, and return the norm of the sum and the sum."""
        kept = self._writer.add(f"{name}.weight", self._weights.array(weight))
        outputs = [name, "", "", f"{name}.stream"]
        self._add(
            "SkipSimplifiedLayerNormalization", [stream, more, kept], outputs, CONTRIBUTED, epsilon=self._shape.norm_epsilon
        )
        return name, outputs[3]

    def _head_norm(self, name: str, given: str, norm: str) -> str:
        """Add a norm over each head by itself: it comes before the rotation, which attention does."""
        heads = self._add("Reshape", [given, EACH_HEAD], [f"{name}.heads"])
        normed = self._norm(heads, f"{name}.norm", f"{norm}.weight")
        return self._add("Reshape", [normed, ALL_HEADS], [f"{name}.normed"])

    def model(self) -> Any:
        """Return the model, its weights in the file beside it."""
        from onnx import TensorProto, helper, numpy_helper

        shape, value = self._shape, helper.make_tensor_value_info
        room: list[str | int | None] = ["requests", shape.kv_heads, "room", shape.head_dimension]
        names = [(layer, side) for layer in range(shape.layers) for side in ("key", "value")]
        inputs = [
            value(INPUT_IDS, TensorProto.INT64, ["requests", "tokens"]),
            value(SEQLENS, TensorProto.INT32, ["requests"]),
            value(TOTAL, TensorProto.INT32, [1]),
            value(KEPT, TensorProto.INT64, ["kept"]),
            *(value(past_name(*name), TensorProto.FLOAT, room) for name in names),
        ]
        outputs = [
            value(LOGITS, TensorProto.FLOAT, ["kept", shape.vocabulary]),
            *(value(present_name(*name), TensorProto.FLOAT, room) for name in names),
        ]
        sizes = {ALL_ROWS: [-1, shape.hidden_size]}
        if shape.has_head_norms:
            sizes |= {EACH_HEAD: [0, 0, -1, shape.head_dimension], ALL_HEADS: [0, 0, -1]}
        shapes = [numpy_helper.from_array(np.array(axes, dtype=np.int64), name) for name, axes in sizes.items()]
        graph = helper.make_graph(self._nodes, "decoder", inputs, outputs, [*shapes, *self._writer.initializers])
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="serving-advisor")
