"""A checkpoint of Hugging Face: exported as it will be served, or refused for what is wrong with the directory."""

import importlib.util
import json
import re
import shutil

import numpy as np
import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.model import checkpoint
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.model.input_rows import generate
from advisor.measure.model.onnx_graph import read_graph
from advisor.measure.runtime import ort_session
from advisor.measure.variants import quantize
from advisor.steps.profile import schemes

# Imported where they are used: whoever collects these tests without running them does not wait for torch.
pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("optimum", "torch", "transformers")),
    reason="the extra hf is not installed",
)

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 60}


def save_bert(folder):
    import transformers

    transformers.BertModel(transformers.BertConfig(**SMALL, max_position_embeddings=40)).save_pretrained(folder)


def save_classifier(folder):
    import transformers

    config = transformers.BertConfig(**SMALL, max_position_embeddings=40, num_labels=3)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)


def save_llama(folder):
    import transformers

    config = transformers.LlamaConfig(**SMALL, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Export each kind of checkpoint once."""
    done = {}

    def export(save):
        if save not in done:
            folder = tmp_path_factory.mktemp(save.__name__)
            save(folder / "checkpoint")
            checkpoint.export(folder / "checkpoint", folder / "made" / "exported.onnx")
            done[save] = folder / "made" / "exported.onnx"
        return done[save]

    return export


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    save_bert(folder)
    return folder


@pytest.fixture
def bert(whole, tmp_path):
    """A checkpoint to be broken."""
    return shutil.copytree(whole, tmp_path / "bert")


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- what is exported ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("save", "family", "outputs", "kv_bytes_per_token"),
    [
        (save_bert, "encoder", ["last_hidden_state"], None),
        (save_classifier, "encoder", ["logits"], None),
        # Two layers, key and value, two heads of four floats.
        (save_llama, "decoder", ["logits"], 2 * 2 * 2 * 4 * 4),
    ],
)
def test_a_checkpoint_becomes_a_model_that_is_understood(exported, save, family, outputs, kv_bytes_per_token):
    facts = inspect_onnx(exported(save), name="model", format_="checkpoint")

    assert (family, kv_bytes_per_token) == (facts.family, facts.kv_bytes_per_token)
    assert outputs == [output.name for output in facts.outputs if not output.name.startswith("present")]
    assert facts.batching.possible
    assert facts.flop_per_item > 0
    assert {"input_ids": "ids", "attention_mask": "mask"}.items() <= {entry.name: entry.role for entry in facts.inputs}.items()
    assert 60 == facts.inputs[0].upper_bound


@pytest.mark.parametrize("save", [save_bert, save_llama])
def test_the_exported_model_computes_what_the_checkpoint_does(exported, save):
    import torch
    import transformers

    path = exported(save)
    inputs = inspect_onnx(path, name="model").inputs
    feeds = generate(inputs, batch_size=2, sequence_length=7, seed=0)
    loaded = (transformers.AutoModelForCausalLM if save is save_llama else transformers.AutoModel).from_pretrained(
        path.parents[1] / "checkpoint"
    )

    with torch.no_grad():
        expected = loaded(torch.from_numpy(feeds["input_ids"]), attention_mask=torch.from_numpy(feeds["attention_mask"]))[0]

    actual = next(iter(ort_session.run(ort_session.open_session(path), feeds).values()))
    np.testing.assert_allclose(expected.numpy(), actual, atol=1e-4)


def test_nothing_but_the_model_is_left_behind(exported):
    path = exported(save_bert)

    assert [path] == list(path.parent.iterdir())


def test_a_model_of_several_files_is_refused_with_their_names(tmp_path):
    import transformers

    config = transformers.T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=60)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")

    with pytest.raises(ModelError, match=r"exports to \d files \(decoder_model\.onnx, .*encoder_model\.onnx\), not to one"):
        checkpoint.export(tmp_path / "t5", tmp_path / "exported.onnx")
    assert not (tmp_path / "exported.onnx").exists()


# --- which checkpoint it is --------------------------------------------------------------------------------------------------


def test_a_copy_is_the_same_checkpoint(whole, bert):
    assert checkpoint.digest(whole) == checkpoint.digest(bert)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: change_config(folder, layer_norm_eps=1e-3),
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1] + b"\1"),
        lambda folder: (folder / "model.safetensors").rename(folder / "other.safetensors"),
    ],
    ids=["configuration", "weights", "names"],
)
def test_any_change_makes_another_checkpoint(whole, bert, change):
    change(bert)

    assert checkpoint.digest(whole) != checkpoint.digest(bert)


# --- what is refused -----------------------------------------------------------------------------------------------------------


def write_config(content):
    return lambda folder: (folder / "config.json").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: (folder / "config.json").unlink(), "a directory without config.json is no Hugging Face checkpoint"),
        (write_config(b"{"), "config.json: not valid JSON"),
        (write_config(b'{"a": "\xe9"}'), "config.json: not valid JSON"),
        (write_config(b"[1]"), "config.json: holds no keys"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
    ],
)
def test_a_directory_that_is_no_checkpoint_is_refused_by_name(bert, damage, complaint):
    damage(bert)

    for use in (checkpoint.digest, lambda folder: checkpoint.export(folder, folder.parent / "exported.onnx")):
        with pytest.raises(InputError, match=f"^{re.escape(str(bert))}.*{complaint}"):
            use(bert)


@pytest.mark.parametrize(
    "architectures", [None, [], [None], "BertModel", ["UnheardOfModel"], ["BertConfig"], ["pipeline"], ["utils"]], ids=str
)
def test_an_architecture_that_nobody_knows_is_refused_by_name(bert, architectures):
    change_config(bert, architectures=architectures)

    with pytest.raises(InputError, match=rf"^{re.escape(str(bert))}/config\.json: architectures names "):
        checkpoint.export(bert, bert.parent / "exported.onnx")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000]),
        lambda folder: change_config(folder, hidden_size=32),
        lambda folder: change_config(folder, model_type="unheard of"),
    ],
    ids=["no weights", "weights cut short", "other sizes", "unknown type"],
)
def test_a_checkpoint_that_does_not_load_is_an_error_that_names_it_and_leaves_nothing(bert, damage):
    damage(bert)

    with pytest.raises(ModelError, match=rf"^{re.escape(str(bert))}: optimum cannot export it for feature-extraction: \w"):
        checkpoint.export(bert, bert.parent / "made" / "exported.onnx")
    assert [] == list((bert.parent / "made").iterdir())


@pytest.mark.parametrize("save", [save_bert, save_classifier])
def test_fusions_change_operators_and_nothing_else(exported, save, tmp_path):
    baseline = exported(save)
    scheme = next(scheme for scheme in schemes() if scheme.method == "transformer-fusion")
    given = quantize.Ingredients(file_bytes=baseline.stat().st_size, has_vnni=True, checkpoint=baseline.parents[1] / "checkpoint")

    quantize.make_variant(baseline, scheme, tmp_path / "variants" / "fused.onnx", given)

    assert ["fused.onnx"] == [path.name for path in (tmp_path / "variants").iterdir()]
    changed = quantize.proof_of_difference(scheme, read_graph(baseline), read_graph(tmp_path / "variants" / "fused.onnx"))
    assert changed["SkipLayerNormalization"] > 0
    inputs = inspect_onnx(baseline, name="m").inputs
    feeds = generate(inputs, batch_size=3, sequence_length=7, seed=0)
    before, after = (
        ort_session.run(ort_session.open_session(path), feeds) for path in (baseline, tmp_path / "variants" / "fused.onnx")
    )
    assert list(before) == list(after)
    for name, values in before.items():
        np.testing.assert_allclose(values, after[name], atol=1e-4)


def test_an_architecture_that_cannot_be_fused_is_an_error_and_leaves_nothing(exported, tmp_path):
    baseline = exported(save_bert)
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text(json.dumps({"model_type": "nobody-knows"}))
    scheme = next(scheme for scheme in schemes() if scheme.method == "transformer-fusion")
    given = quantize.Ingredients(file_bytes=baseline.stat().st_size, has_vnni=True, checkpoint=tmp_path / "checkpoint")

    with pytest.raises(ModelError, match="ORTOptimizer cannot fuse it"):
        quantize.make_variant(baseline, scheme, tmp_path / "variants" / "fused.onnx", given)
    assert [] == list((tmp_path / "variants").iterdir())
