"""Exports of a model with an encoder and a decoder, laid out and named as optimum does, small enough to be worked out in NumPy.

The encoder gives the words of the input. The decoder adds the mean of the answer's words to that of the input's, and multiplies by a head.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from advisor.measure.decoder.seq2seq_folder import ENCODER, FIRST, LATER, MERGED
from tests import models

HEADS, DIMENSION = 2, 4
WIDTH = HEADS * DIMENSION
BINS, FRAMES = 3, 20  # of sound
POSITIONS = FRAMES // 2  # that an encoder of sound gives
SIDES = ("key", "value")
OWN = [f"0.decoder.{side}" for side in SIDES]
CROSS = [f"0.encoder.{side}" for side in SIDES]
CONFIG = {
    "architectures": ["T5ForConditionalGeneration"],
    "is_encoder_decoder": True,
    "d_model": WIDTH,
    "num_layers": 2,
    "num_decoder_layers": 1,
    "num_heads": HEADS,
    "vocab_size": models.VOCABULARY,
    "decoder_start_token_id": 0,
}
SOUND = {
    "architectures": ["WhisperForConditionalGeneration"],
    "num_mel_bins": BINS,
    "max_source_positions": POSITIONS,
    "max_target_positions": 40,
}
WEIGHTS = models.weights(words=(models.VOCABULARY, WIDTH), head=(WIDTH, models.VOCABULARY), into=(BINS, WIDTH))


def logits(read: np.ndarray, answer: Sequence[int]) -> np.ndarray:
    """Return logits (vocabulary,) behind an answer, the token that it begins with among it; `read` is what the encoder gives."""
    return np.asarray((WEIGHTS["words"][list(answer)].mean(axis=0) + read.mean(axis=0)) @ WEIGHTS["head"])


def states(tokens: np.ndarray) -> np.ndarray:
    """Return what the encoder gives of tokens (tokens, width)."""
    return np.asarray(WEIGHTS["words"][tokens])


def states_of_sound(sound: np.ndarray) -> np.ndarray:
    """Return what the encoder gives of sound (positions, width)."""
    return np.asarray(sound[:, ::2].T @ WEIGHTS["into"])


def save(
    folder: Path, *, merged: bool = False, sound: bool = False, generation: dict[str, object] | None = None, **config: object
) -> Path:
    """Write an export, its decoder in one file or in two, and return the folder; keys of the configuration that are None are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    models.save(_encoder_of_sound() if sound else _encoder(), folder / ENCODER)
    if merged:
        models.save(_merged(), folder / MERGED)
    else:
        models.save(_first(), folder / FIRST)
        models.save(_later(), folder / LATER)
    keys = CONFIG | (SOUND if sound else {}) | config
    (folder / "config.json").write_text(json.dumps({key: value for key, value in keys.items() if value is not None}))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def rename(path: Path, before: str, after: str) -> None:
    """Give an input or output of a graph another name."""
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        if value.name == before:
            value.name = after
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [after if name == before else name for name in names]
    onnx.save(model, path)


def also_gives(path: Path, name: str, more: str) -> None:
    """Let a graph give one of its outputs a second time under another name."""
    model = onnx.load(path)
    given = next(value for value in model.graph.output if value.name == name)
    model.graph.node.append(helper.make_node("Identity", [name], [more]))
    model.graph.output.append(given)
    model.graph.output[-1].name = more
    onnx.save(model, path)


def reshape(path: Path, name: str, shape: Sequence[int | None]) -> None:
    """Declare an input or output with other sizes; None is one that is left open."""
    model = onnx.load(path)
    value = next(value for value in (*model.graph.input, *model.graph.output) if value.name == name)
    value.type.tensor_type.shape.CopyFrom(
        onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension(dim_value=size) for size in shape])
    )
    onnx.save(model, path)


def _encoder() -> ModelProto:
    nodes = [helper.make_node("Gather", ["words", "input_ids"], ["last_hidden_state"])]
    return _model(nodes, [_ids("input_ids", "n"), _ids("attention_mask", "n")], [_floats("last_hidden_state", "b", "n", WIDTH)])


def _encoder_of_sound() -> ModelProto:
    nodes = [
        helper.make_node("Slice", ["input_features", "zero", "all", "two", "two"], ["every"]),
        helper.make_node("Transpose", ["every"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["turned", "into"], ["last_hidden_state"]),
    ]
    return _model(nodes, [_floats("input_features", "b", BINS, FRAMES)], [_floats("last_hidden_state", "b", POSITIONS, WIDTH)])


def _first() -> ModelProto:
    return _model(_first_nodes(""), [_ids("input_ids", "m"), *_beside()], [_logits(), *_cache("present", "m", "n")])


def _later() -> ModelProto:
    ids, mask = _ids("input_ids", "m"), _ids("encoder_attention_mask", "n")
    return _model(
        _later_nodes(""), [ids, mask, *_cache("past_key_values", "p", "n")], [_logits(), *_cache("present", "q", "n")[:2]]
    )


def _merged() -> ModelProto:
    """Both as branches; that which goes on hands through what it was given of the input."""
    given = ["logits", *(f"present.{name}" for name in (*OWN, *CROSS))]
    handed = [helper.make_node("Identity", [f"past_key_values.{name}"], [f"present.{name}.later"]) for name in CROSS]
    branches = {
        "then_branch": ([*_later_nodes(".later"), *handed], ".later"),
        "else_branch": (_first_nodes(".first"), ".first"),
    }
    graphs = {
        name: helper.make_graph(nodes, name, [], [_floats(f"{value}{end}") for value in given])
        for name, (nodes, end) in branches.items()
    }
    branch = helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1])
    inputs = [_ids("input_ids", "m"), *_beside(), *_cache("past_key_values", "p", "n"), branch]
    nodes = [helper.make_node("If", ["use_cache_branch"], given, **graphs)]
    return _model(nodes, inputs, [_logits(), *_cache("present", "q", "n")])


def _first_nodes(end: str) -> list[NodeProto]:
    parts = [*_parts("encoder_hidden_states", "read", end), *_new(end)]
    named = [("read", CROSS), ("new", OWN)]
    kept = [helper.make_node("Identity", [f"{part}{end}"], [f"present.{name}{end}"]) for part, names in named for name in names]
    return [*parts, *kept, *_answer(f"present.{CROSS[0]}{end}", end)]


def _later_nodes(end: str) -> list[NodeProto]:
    longer = [
        helper.make_node("Concat", [f"past_key_values.{name}", f"new{end}"], [f"present.{name}{end}"], axis=2) for name in OWN
    ]
    return [*_new(end), *longer, *_answer(f"past_key_values.{CROSS[0]}", end)]


def _new(end: str) -> list[NodeProto]:
    return [helper.make_node("Gather", ["words", "input_ids"], [f"word{end}"]), *_parts(f"word{end}", "new", end)]


def _parts(words: str, name: str, end: str) -> list[NodeProto]:
    """Return what makes heads (requests, heads, tokens, dimension) of words."""
    return [
        helper.make_node("Reshape", [words, "split"], [f"{name}.split{end}"]),
        helper.make_node("Transpose", [f"{name}.split{end}"], [f"{name}{end}"], perm=[0, 2, 1, 3]),
    ]


def _answer(cross: str, end: str) -> list[NodeProto]:
    return [
        helper.make_node("ReduceMean", [f"present.{OWN[1]}{end}", "two"], [f"own.mean{end}"]),
        helper.make_node("ReduceMean", [cross, "two"], [f"cross.mean{end}"]),
        helper.make_node("Add", [f"own.mean{end}", f"cross.mean{end}"], [f"sum{end}"]),
        helper.make_node("Reshape", [f"sum{end}", "join"], [f"joined{end}"]),
        helper.make_node("MatMul", [f"joined{end}", "head"], [f"logits{end}"]),
    ]


def _beside() -> list[ValueInfoProto]:
    return [_ids("encoder_attention_mask", "n"), _floats("encoder_hidden_states", "b", "n", WIDTH)]


def _cache(kind: str, own: str, cross: str) -> list[ValueInfoProto]:
    lengths = [*((name, own) for name in OWN), *((name, cross) for name in CROSS)]
    return [_floats(f"{kind}.{name}", "b", HEADS, length, DIMENSION) for name, length in lengths]


def _logits() -> ValueInfoProto:
    return _floats("logits", "b", "one", models.VOCABULARY)


def _ids(name: str, length: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, ["b", length])


def _floats(name: str, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape or None)


def _model(nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]) -> ModelProto:
    constants = {
        "split": np.array([0, 0, HEADS, DIMENSION]),
        "join": np.array([0, 1, WIDTH]),
        "zero": np.array([0]),
        "all": np.array([FRAMES]),
        "two": np.array([2]),
    }
    values = [numpy_helper.from_array(value, name) for name, value in (WEIGHTS | constants).items()]
    used = {name for node in _every(nodes) for name in node.input}
    graph = helper.make_graph(nodes, "part", inputs, outputs, [value for value in values if value.name in used])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", models.OPSET)], ir_version=models.IR_VERSION)


def _every(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """Return nodes with those of their branches."""
    inner = [attribute.g.node for node in nodes for attribute in node.attribute if attribute.HasField("g")]
    return [*nodes, *(node for branch in inner for node in branch)]
