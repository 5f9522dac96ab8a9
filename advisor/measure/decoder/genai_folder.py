"""A folder that the model builder of onnxruntime-genai wrote: what decoder is in it, and what its graph calls its inputs and outputs."""

import hashlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.measure.decoder.config_values import Values, is_plain_name, read_object
from advisor.measure.decoder.shape import FLOAT_BYTES, MOST_HEADS, MOST_LAYERS, MOST_VOCABULARY, MOST_WIDTH
from advisor.measure.model import onnx_file, onnx_graph
from advisor.schema.generation import DecoderFacts
from advisor.schema.record import LONGEST_SEQUENCE

CONFIG = "genai_config.json"
AS_GIVEN = "as-given"
BUILD_AGAIN = "build the folder again with onnxruntime_genai.models.builder"
LAYER = "%d"  # stands for a layer in the names of the cache
FLOAT16 = 10  # TensorProto.DataType


class Names(NamedTuple):
    """What a graph calls its inputs and outputs; `cache` is past and present of each layer and side."""

    ids: str
    mask: str
    positions: str | None
    logits: str
    cache: tuple[tuple[str, str], ...]


def read(folder: Path) -> tuple[DecoderFacts, Names, Path]:
    """Return facts, names and graph of the folder; raise InputError where its configuration is wrong or names what is not there."""
    path = folder / CONFIG
    whole = Values(path, read_object(path, "a configuration", BUILD_AGAIN)).part("model")
    decoder = None if whole is None else whole.part("decoder")
    if whole is None or decoder is None:
        raise InputError(f"{path}: model.decoder is missing: it describes no decoder", hint=BUILD_AGAIN)
    if whole.part("encoder") is not None or whole.part("vision") is not None:
        raise InputError(
            f"{path}: a model of several parts, of which only a decoder alone is measured", hint="give a model of text"
        )
    name = decoder.text("filename", "model.onnx")
    if not is_plain_name(name):
        raise decoder.wrong("filename", "not a file of this folder", hint=BUILD_AGAIN)
    layers = decoder.count("num_hidden_layers", MOST_LAYERS)
    names = _names(decoder, layers)
    return _facts(folder / name, whole, decoder, names), names, folder / name


def _names(decoder: Values, layers: int) -> Names:
    inputs, outputs = decoder.part("inputs"), decoder.part("outputs")
    inputs = inputs or Values(decoder.path, {}, "model.decoder.inputs.")
    outputs = outputs or Values(decoder.path, {}, "model.decoder.outputs.")
    cache: list[tuple[str, str]] = []
    for side in ("key", "value"):
        patterns = (
            inputs.text(f"past_{side}_names", f"past_key_values.{LAYER}.{side}"),
            outputs.text(f"present_{side}_names", f"present.{LAYER}.{side}"),
        )
        cache += [(patterns[0].replace(LAYER, str(layer)), patterns[1].replace(LAYER, str(layer))) for layer in range(layers)]
    return Names(
        ids=inputs.text("input_ids", "input_ids"),
        mask=inputs.text("attention_mask", "attention_mask"),
        positions=inputs.text("position_ids") if inputs.given("position_ids") is not None else None,
        logits=outputs.text("logits", "logits"),
        cache=tuple(cache),
    )


def _facts(model: Path, whole: Values, decoder: Values, names: Names) -> DecoderFacts:
    heads = decoder.count("num_attention_heads", MOST_HEADS)
    kv_heads = decoder.count("num_key_value_heads", MOST_HEADS, heads)
    dimension = decoder.count("head_size", MOST_WIDTH)
    parsed = onnx_file.load(model)
    halves = {value.name for value in parsed.graph.input if value.type.tensor_type.elem_type == FLOAT16}
    element_bytes = FLOAT_BYTES // 2 if names.cache[0][0] in halves else FLOAT_BYTES
    return DecoderFacts(
        sha256=_digest([whole.path, model, *onnx_file.external_files(parsed, model)]),
        architecture=whole.text("type", "decoder"),
        given_as="onnxruntime-genai",
        parameters=_parameters(parsed),
        layers=len(names.cache) // 2,
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dimension=dimension,
        hidden_size=decoder.count("hidden_size", MOST_WIDTH),
        vocabulary=whole.count("vocab_size", MOST_VOCABULARY),
        context_tokens=whole.count("context_length", LONGEST_SEQUENCE),
        window_tokens=_window(parsed),
        kv_bytes_per_token=len(names.cache) * kv_heads * dimension * element_bytes,
    )


def _parameters(model: Any) -> int:
    """Return how many weights there are, those in packed products as many as they stand for."""
    packed = [node for node in model.graph.node if node.op_type == "MatMulNBits"]
    of_packed = {name for node in packed for name in node.input[1:4]}
    sizes = [onnx_graph.attributes(node) for node in packed]
    plain: Iterator[int] = (prod(tensor.dims) for tensor in model.graph.initializer if tensor.name not in of_packed)
    return max(1, sum(plain) + sum(int(size["K"] * size["N"]) for size in sizes))


def _window(model: Any) -> int | None:
    """Return how many tokens attention looks back, None where layers differ or look back to the first."""
    nodes = [onnx_graph.attributes(node) for node in model.graph.node if node.op_type == "GroupQueryAttention"]
    windows: set[int] = {max(0, int(given.get("local_window_size", -1))) for given in nodes}
    return next(iter(windows)) or None if len(windows) == 1 else None


def _digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        refuse_special(path)
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
