"""What optimum exports, run with its past: the same decoder as the one whose cache stays in place."""

import importlib.util
import json
import shutil

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.decoder import numpy_decoder
from advisor.measure.decoder.decoder import Decoder
from advisor.measure.decoder.graph import write_decoder
from advisor.measure.decoder.plain_export import PlainDecoder
from advisor.measure.generation.step_timing import Bench, Decode, Prefill
from advisor.measure.model import checkpoint
from tests import checkpoints, models

has_optimum = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("optimum", "torch", "transformers")),
    reason="the extra hf is not installed",
)


@has_optimum
def test_an_export_gives_what_the_graph_with_its_cache_in_place_gives(tmp_path):
    folder = checkpoints.save(tmp_path / "checkpoint")
    checkpoint.export(folder, tmp_path / "export" / "model.onnx")
    shutil.copy(folder / "config.json", tmp_path / "export")
    write_decoder(folder, tmp_path / "made")
    texts = [checkpoints.text(count, seed=count) for count in (12, 5)]

    found = []
    for kind, place in ((Decoder, "made"), (PlainDecoder, "export")):
        with kind.open(tmp_path / place, threads=1, slots=3, max_tokens=32) as decoder:
            prompts = [decoder.prefill(text[:-1], slot) for slot, text in enumerate(texts)]
            decoder.prefill(texts[0][:4], 2)
            chunk = decoder.prefill(texts[0][4:-1], 2, 4)
            step = decoder.decode(np.array([text[-1] for text in texts]), np.array([11, 4]))
            decoder.move(0, 1, 7)
            moved = decoder.prefill(texts[0][7:], 1, 7)
            found.append([*prompts, chunk, *step, moved, *decoder.logits(texts[0])])
            facts = decoder.facts

    for expected, given in zip(*found, strict=True):
        np.testing.assert_allclose(expected, given, atol=1e-4 * np.ptp(expected))
    np.testing.assert_allclose(numpy_decoder.logits(folder, texts[0]), found[1][-12:], atol=1e-3)
    assert ("export", 2, 4, 2, 16, 64) == (
        *(facts.given_as, facts.layers, facts.attention_heads, facts.kv_heads, facts.head_dimension, facts.hidden_size),
    )


@pytest.fixture
def export(tmp_path):
    """An export of one layer whose logits are those of the token alone, with heads of 4 and a vocabulary of 50."""
    models.save(models.decoder(), tmp_path / "model.onnx")
    config = {"architectures": ["GPT2LMHeadModel"], "n_head": 2, "n_embd": 8, "n_positions": 64, "vocab_size": 50}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_steps_are_timed_behind_tokens_that_nobody_has_read(export):
    with PlainDecoder.open(export, threads=1, slots=2, max_tokens=32) as decoder:
        bench = Bench(decoder, 1)
        for step in (Decode(batch_size=2, context_tokens=21), Prefill(tokens=3, past_tokens=9), Prefill(tokens=4)):
            assert bench.visit(step, 0, seconds=0.0, warm_up_calls=1).wall_s

        with pytest.raises(ValueError, match="slots of 32"):
            decoder.fill(0, 33)


def test_a_family_that_is_not_modeled_is_run_all_the_same(export):
    with PlainDecoder.open(export, threads=1, slots=2, max_tokens=16) as decoder:
        first = decoder.prefill(np.array([3, 4, 5]), 0)
        step = decoder.decode(np.array([7, 5]), np.array([3, 0]))
        facts = decoder.facts

    np.testing.assert_allclose(first, step[1], rtol=1e-5)
    assert ("GPT2LMHeadModel", 1, 2, 4, 64) == (
        *(facts.architecture, facts.layers, facts.attention_heads, facts.head_dimension, facts.context_tokens),
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda decoder: decoder.prefill(np.arange(17), 0),
        lambda decoder: decoder.prefill(np.arange(3), 2),
        lambda decoder: decoder.prefill(np.arange(3), 0, 1),
        lambda decoder: decoder.prefill(np.array([50]), 0),
        lambda decoder: decoder.prefill(np.array([], np.int64), 0),
        lambda decoder: decoder.decode(np.array([1]), np.array([1])),
        lambda decoder: decoder.decode(np.array([1, 2]), np.array([0])),
        lambda decoder: decoder.move(0, 1, 1),
        lambda decoder: decoder.move(0, 2, 0),
        lambda decoder: decoder.move(0, -1, 0),
    ],
)
def test_a_call_beyond_what_is_held_is_a_fault_of_the_caller(export, call):
    with (
        PlainDecoder.open(export, threads=1, slots=2, max_tokens=16) as decoder,
        pytest.raises(ValueError, match=r"slot|token"),
    ):
        call(decoder)


def config_key(**changes):
    return lambda folder: (folder / "config.json").write_text(json.dumps({"n_head": 2, "n_embd": 8, "vocab_size": 50} | changes))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), r"no model\.onnx"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json: the configuration of the export cannot be read"),
        (config_key(vocab_size=-1), "vocab_size: -1: outside"),
        (config_key(vocab_size=49), r"vocab_size: 49: the graph gives logits of sizes .*50"),
        (config_key(n_embd="8"), "n_embd: '8': not a whole number"),
        (config_key(n_ctx=8), "its positions reach to 8"),
        (lambda folder: models.save(models.mlp(), folder / "model.onnx"), "not a decoder with its past: its inputs are x"),
    ],
)
def test_an_export_that_is_no_decoder_is_refused(export, damage, complaint):
    damage(export)

    with pytest.raises(InputError, match=complaint):
        PlainDecoder.open(export, threads=1, slots=1, max_tokens=16)
