"""A folder of onnxruntime-genai: run as one of ours is, whether its graph gives all logits or the last alone."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from advisor.errors import InputError, ModelError
from advisor.measure.decoder import genai_folder
from advisor.measure.decoder.decoder import Decoder
from advisor.measure.decoder.graph import write_decoder
from tests import checkpoints

CONFIG = {
    "model": {
        "type": "llama",
        "vocab_size": 160,
        "context_length": 128,
        "decoder": {
            "filename": "model.onnx",
            "head_size": 16,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "inputs": {
                "input_ids": "input_ids",
                "attention_mask": "attention_mask",
                "past_key_names": "past_key_values.%d.key",
                "past_value_names": "past_key_values.%d.value",
            },
            "outputs": {"logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value"},
        },
    },
    "search": {"max_length": 128},
}


def as_built(made, folder, *, gives_last_alone=False, has_positions=False):
    """Write a graph of ours as the model builder writes one: lengths counted in a mask, logits of each request by themselves."""
    shutil.copytree(made, folder)
    (folder / "decoder.json").unlink()
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    graph = model.graph
    numbers = {"zero": 0, "one": 1, "ones": [1], "rest": [-1], "vocabulary": [160]}
    graph.initializer.extend(numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items())
    node = helper.make_node
    before = [
        node("ReduceSum", ["attention_mask", "ones"], ["lengths"], keepdims=0),
        node("Sub", ["lengths", "one"], ["places"]),
        node("Cast", ["places"], ["seqlens_k"], to=TensorProto.INT32),
        node("Shape", ["attention_mask"], ["longest"], start=1, end=2),
        node("Cast", ["longest"], ["total_sequence_length"], to=TensorProto.INT32),
        node("Shape", ["input_ids"], ["requests"], end=1),
        node("Size", ["input_ids"], ["all"]),
        node("Shape", ["input_ids"], ["tokens"], start=1, end=2),
        node("Squeeze", ["tokens"], ["step"]),
        node("Sub", ["step", "one"], ["last"]),
        node("Range", ["last", "all", "step"] if gives_last_alone else ["zero", "all", "one"], ["kept_positions"]),
        node("Concat", ["requests", "rest", "vocabulary"], ["by_request"], axis=0),
    ]
    nodes = list(graph.node)
    nodes[-1].output[0] = "all_logits"
    inputs = [value for value in graph.input if value.name.startswith(("input_ids", "past_key_values"))]
    names = ["attention_mask", *(["position_ids"] if has_positions else [])]
    inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, ["requests_", f"{name}_"]) for name in names]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["requests_", 1 if gives_last_alone else "tokens_", 160])
    ]
    outputs += [value for value in graph.output if value.name != "logits"]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend([*before, *nodes, node("Reshape", ["all_logits", "by_request"], ["logits"])])
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    config = json.loads(json.dumps(CONFIG))
    if has_positions:
        config["model"]["decoder"]["inputs"]["position_ids"] = "position_ids"
    (folder / "genai_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("made")
    write_decoder(checkpoints.save(place / "checkpoint"), place / "ours")
    return place / "ours"


@pytest.mark.parametrize("gives_last_alone", [False, True])
@pytest.mark.parametrize("has_positions", [False, True])
def test_a_folder_of_theirs_gives_what_ours_gives(tmp_path, made, gives_last_alone, has_positions):
    folder = as_built(made, tmp_path / "theirs", gives_last_alone=gives_last_alone, has_positions=has_positions)
    texts = [checkpoints.text(count, seed=count) for count in (12, 5)]

    with (
        Decoder.open(made, threads=1, slots=3, max_tokens=32) as ours,
        Decoder.open(folder, threads=1, slots=3, max_tokens=32) as theirs,
    ):
        found = {}
        for decoder in (ours, theirs):
            prompts = [decoder.prefill(text[:-1], slot) for slot, text in enumerate(texts)]
            decoder.prefill(texts[0][:4], 2)
            chunk = decoder.prefill(texts[0][4:-1], 2, 4)
            step = decoder.decode(np.array([text[-1] for text in texts]), np.array([11, 4]))
            found[decoder] = [*prompts, chunk, *step, *decoder.logits(texts[0])]

    for expected, given in zip(found[ours], found[theirs], strict=True):
        np.testing.assert_allclose(expected, given, atol=1e-4 * np.ptp(expected))


def test_its_facts_are_those_of_the_decoder(tmp_path, made):
    folder = as_built(made, tmp_path / "theirs")
    with Decoder.open(made, threads=1, slots=1, max_tokens=8) as ours:
        expected = ours.facts

    facts, _, _ = genai_folder.read(folder)

    for name in ("layers", "attention_heads", "kv_heads", "head_dimension", "hidden_size", "vocabulary", "kv_bytes_per_token"):
        assert getattr(expected, name) == getattr(facts, name), name
    assert "onnxruntime-genai" == facts.given_as
    assert expected.parameters <= facts.parameters < 1.1 * expected.parameters


def decoder_key(**changes):
    return lambda config: config["model"]["decoder"].update(changes)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda config: config.pop("model"), r"model\.decoder is missing"),
        (lambda config: config.update(model=3), "model: 3: holds no keys"),
        (lambda config: config["model"].pop("decoder"), r"model\.decoder is missing"),
        (lambda config: config["model"].update(vision={}), "a model of several parts"),
        (decoder_key(filename="../model.onnx"), r"model\.decoder\.filename: '\.\./model\.onnx': not a file of this folder"),
        (decoder_key(filename="a" * 300), "filename: 'aaa.*: not a file of this folder"),
        (decoder_key(filename="a\n.onnx"), "filename: .*: not a file of this folder"),
        (decoder_key(filename="other.onnx"), r"other\.onnx: no such file"),
        (decoder_key(num_hidden_layers=-1), r"model\.decoder\.num_hidden_layers: -1: outside"),
        (decoder_key(num_hidden_layers=3), r"its graph has no 'past_key_values\.2\.key'"),
        (decoder_key(head_size=None), r"model\.decoder\.head_size is missing"),
        (decoder_key(num_key_value_heads=4), "has sizes .*, and its folder says 4 heads of 16"),
        (decoder_key(inputs={"attention_mask": "mask"}), "its graph has no 'mask'"),
        (decoder_key(inputs=[1]), r"model\.decoder\.inputs: a list of 1: holds no keys"),
        (decoder_key(outputs={"logits": 3}), r"model\.decoder\.outputs\.logits: 3: not a text"),
        (lambda config: config["model"].update(vocab_size=50), "its logits have sizes .*, and its folder says 50 tokens"),
        (lambda config: config["model"].update(context_length=4), "its positions reach to 4"),
    ],
)
def test_a_configuration_that_is_wrong_is_refused(tmp_path, made, damage, complaint):
    folder = as_built(made, tmp_path / "theirs")
    config = json.loads((folder / "genai_config.json").read_text())
    damage(config)
    (folder / "genai_config.json").write_text(json.dumps(config))

    with pytest.raises((InputError, ModelError), match=complaint) as refused:
        Decoder.open(folder, threads=1, slots=1, max_tokens=8)
    assert "\n" not in refused.value.fault + refused.value.hint


def test_half_precision_has_half_the_cache(tmp_path, made):
    folder = as_built(made, tmp_path / "theirs")
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for value in model.graph.input:
        if value.name.startswith("past_key_values"):
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    (folder / "model.onnx").write_bytes(model.SerializeToString())

    facts, _, _ = genai_folder.read(folder)

    assert 2 * 2 * 2 * 16 * 2 == facts.kv_bytes_per_token
