"""The folder of a model with an encoder and a decoder: its facts, and what is missing where names do not pair."""

import json

import pytest

from advisor.errors import InputError
from advisor.measure.decoder import seq2seq_folder
from tests import checkpoints, models, seq2seq_exports
from tests.models import VOCABULARY
from tests.seq2seq_exports import DIMENSION, HEADS, POSITIONS, WIDTH


def save(tmp_path, **given):
    return seq2seq_exports.save(tmp_path / "export", **given)


@pytest.mark.parametrize("merged", [False, True])
def test_facts_are_those_of_the_graphs_and_of_the_configuration(tmp_path, merged):
    facts, parts = seq2seq_folder.read(save(tmp_path, merged=merged, max_position_embeddings=512))

    each = 2 * HEADS * DIMENSION * 4
    assert ("export", "T5ForConditionalGeneration", 1, HEADS, DIMENSION, WIDTH, VOCABULARY) == (
        *(
            facts.given_as,
            facts.architecture,
            facts.layers,
            facts.kv_heads,
            facts.head_dimension,
            facts.hidden_size,
            facts.vocabulary,
        ),
    )
    assert ("tokens", 2, 512, 511, 1) == (
        *(
            facts.encoder.reads,
            facts.encoder.layers,
            facts.encoder.input_tokens,
            facts.encoder.output_tokens,
            facts.encoder.start_tokens,
        ),
    )
    assert each == facts.kv_bytes_per_token == facts.encoder.kv_bytes_per_input_token == facts.encoder.kv_bytes_per_output_token
    assert 1023 == facts.context_tokens
    assert (merged, (0,), None) == (parts.is_merged, parts.start, parts.frames)


def test_positions_that_are_biases_of_attention_are_taken_to_reach_far(tmp_path):
    facts, _ = seq2seq_folder.read(save(tmp_path))

    assert facts.encoder.input_tokens > 1000


def test_an_input_of_sound_has_all_its_positions(tmp_path):
    facts, parts = seq2seq_folder.read(save(tmp_path, sound=True))

    assert ("frames", POSITIONS, 39) == (facts.encoder.reads, facts.encoder.input_tokens, facts.encoder.output_tokens)
    assert (seq2seq_exports.BINS, seq2seq_exports.FRAMES) == parts.frames


@pytest.mark.parametrize(
    ("generation", "config", "start"),
    [
        (None, {}, (0,)),
        (None, {"decoder_start_token_id": None, "bos_token_id": 4}, (4,)),
        ({"decoder_start_token_id": 5}, {}, (5,)),
        ({"forced_decoder_ids": [[1, 7], [2, 8]]}, {}, (0, 7, 8)),
        ({"forced_decoder_ids": [[1, None], [2, 8]]}, {}, (0, 8)),
        ({"forced_decoder_ids": [[1, None], [2, 8]], "lang_to_id": {"<|en|>": 6}}, {}, (0, 6, 8)),
        ({"lang_to_id": {"<|en|>": 6}, "task_to_id": {"transcribe": 9}}, {}, (0, 6, 9)),
        ({"lang_to_id": {"<|en|>": 6}, "task_to_id": {"transcribe": 9}, "no_timestamps_token_id": 10}, {}, (0, 6, 9, 10)),
        ({}, {"forced_decoder_ids": [[1, 7]]}, (0, 7)),
    ],
    ids=str,
)
def test_every_answer_begins_with_what_the_configurations_force(tmp_path, generation, config, start):
    facts, parts = seq2seq_folder.read(save(tmp_path, generation=generation, **config))

    assert start == parts.start
    assert len(start) == facts.encoder.start_tokens


def gone(name):
    return lambda folder: (folder / name).unlink()


def renamed(file, before, after):
    return lambda folder: seq2seq_exports.rename(folder / file, before, after)


def replaced(file, model):
    return lambda folder: models.save(model, folder / file)


LATER, FIRST, ENCODER = seq2seq_folder.LATER, seq2seq_folder.FIRST, seq2seq_folder.ENCODER


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (
            gone(LATER),
            "without its past, which generates no token: neither decoder_model_merged.onnx nor decoder_with_past_model.onnx",
        ),
        (gone(FIRST), "nor decoder_model.onnx"),
        (replaced(LATER, models.mlp()), r"decoder_with_past_model.onnx: no past_key_values\.\* among its inputs"),
        (replaced(ENCODER, models.mlp()), "not an encoder of input_ids or input_features that gives last_hidden_state"),
        (
            renamed(LATER, "present.0.decoder.key", "shown"),
            "past_model.onnx: no output 'present.0.decoder.key', which 'past_key_values.0",
        ),
        (renamed(FIRST, "present.0.encoder.value", "shown"), "decoder_model.onnx: no output 'present.0.encoder.value', which"),
        (renamed(LATER, "past_key_values.0.encoder.key", "past_key_values.1.encoder.key"), "no output 'present.1.encoder.key'"),
        (renamed(FIRST, "present.0.encoder.value", "present.0.encoder.more"), "no output .present.0.encoder.value."),
        (renamed(LATER, "present.0.decoder.value", "present.7.decoder.value"), "no output .present.0.decoder.value."),
        (renamed(FIRST, "encoder_attention_mask", "past_key_values.0.decoder.key"), "asks for .past_key_values.0.decoder.key."),
        (renamed(LATER, "encoder_attention_mask", "use_cache_branch"), "asks for .use_cache_branch."),
        (renamed(LATER, "past_key_values.0.decoder.key", "past_key_values.0.key"), "neither of the decoder nor of the encoder"),
        (renamed(LATER, "input_ids", "ids"), "decoder_with_past_model.onnx: no input input_ids"),
        (renamed(FIRST, "logits", "scores"), "decoder_model.onnx: no output logits"),
        (renamed(LATER, "encoder_attention_mask", "decoder_position_ids"), "asks for 'decoder_position_ids', which is not known"),
        (renamed(ENCODER, "last_hidden_state", "states"), "that gives last_hidden_state: its inputs are 'input_ids'"),
    ],
)
def test_graphs_whose_names_do_not_pair_are_refused_with_what_is_missing_and_the_way_to_an_export(tmp_path, damage, complaint):
    folder = save(tmp_path)
    damage(folder)

    with pytest.raises(InputError, match=complaint) as refused:
        seq2seq_folder.read(folder)

    assert "`optimum-cli export onnx --task text2text-generation-with-past`" in refused.value.hint


def test_a_merged_decoder_has_to_be_told_how_an_answer_begins(tmp_path):
    folder = save(tmp_path, merged=True)
    seq2seq_exports.rename(folder / seq2seq_folder.MERGED, "use_cache_branch", "encoder_hidden_mask")

    with pytest.raises(InputError, match=r"asks for 'encoder_hidden_mask'|no use_cache_branch"):
        seq2seq_folder.read(folder)


def test_the_way_to_an_export_of_sound_is_another_one(tmp_path):
    folder = save(tmp_path, sound=True)
    (folder / LATER).unlink()

    with pytest.raises(InputError) as refused:
        seq2seq_folder.read(folder)

    assert "--task automatic-speech-recognition-with-past`" in refused.value.hint


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"decoder_start_token_id": None}, "decoder_start_token_id is missing"),
        (
            {"decoder_start_token_id": -1},
            "decoder_start_token_id: -1: with what is forced behind it, -1 is none of the 50 tokens",
        ),
        ({"decoder_start_token_id": [0]}, "a list of 1 is none of the 50 tokens"),
        ({"forced_decoder_ids": [[1, 50]]}, "50 is none of the 50 tokens"),
        ({"forced_decoder_ids": 3}, "forced_decoder_ids: 3: not pairs"),
        ({"forced_decoder_ids": [3]}, "forced_decoder_ids: a list of 1: not pairs"),
        ({"max_position_embeddings": 0}, "max_position_embeddings: 0: outside"),
        ({"max_target_positions": 1}, "answers have 1 positions, and 1 tokens begin each of them"),
        ({"num_layers": "two"}, "num_layers: 'two': not a whole number"),
    ],
    ids=str,
)
def test_a_configuration_that_is_wrong_is_refused_by_key_and_value(tmp_path, config, complaint):
    with pytest.raises(InputError, match=rf"config\.json: .*{complaint}"):
        seq2seq_folder.read(save(tmp_path, **config))


def test_sound_of_other_models_than_whisper_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"input_features of sizes .* only Whisper's"):
        seq2seq_folder.read(save(tmp_path, sound=True, num_mel_bins=None))


def test_a_folder_is_one_of_graphs_or_a_checkpoint_by_what_lies_in_it(tmp_path):
    export = save(tmp_path)
    checkpoint = checkpoints.save(tmp_path / "checkpoint", is_encoder_decoder=True)
    other = checkpoints.save(tmp_path / "other")

    assert [True, False, False] == [seq2seq_folder.is_export(folder) for folder in (export, checkpoint, other)]
    assert [True, True, False] == [seq2seq_folder.is_checkpoint(folder) for folder in (export, checkpoint, other)]
    assert not seq2seq_folder.is_export(tmp_path / "nowhere") and not seq2seq_folder.is_checkpoint(tmp_path / "nowhere")


def test_what_changes_an_answer_changes_the_digest(tmp_path):
    before = seq2seq_folder.read(save(tmp_path))[0].sha256
    others = {
        seq2seq_folder.read(save(tmp_path, d_kv=4))[0].sha256,
        seq2seq_folder.read(save(tmp_path, generation={"decoder_start_token_id": 3}))[0].sha256,
    }

    assert 3 == len({before, *others})


def configured(folder, **config):
    """A checkpoint of which the configuration is what counts; its tensors are some others."""
    checkpoints.save(folder)
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


T5 = {key: value for key, value in seq2seq_exports.CONFIG.items() if key != "num_decoder_layers"} | {"d_kv": 6}
BART = {
    "architectures": ["BartForConditionalGeneration"],
    "is_encoder_decoder": True,
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 100,
    "vocab_size": 70,
    "decoder_start_token_id": 2,
}


@pytest.mark.parametrize(
    ("config", "sizes"),
    [(T5, (2, 2, HEADS, 6, WIDTH, VOCABULARY)), (BART, (3, 2, 4, 8, 32, 70))],
    ids=["T5", "BART"],
)
def test_a_checkpoint_is_described_by_its_configuration(tmp_path, config, sizes):
    facts = seq2seq_folder.facts_of_checkpoint(configured(tmp_path / "m", **config))

    encoder = facts.encoder
    assert sizes == (*(encoder.layers, facts.layers, facts.kv_heads, facts.head_dimension, facts.hidden_size, facts.vocabulary),)
    assert "checkpoint" == facts.given_as
    assert facts.kv_bytes_per_token == 2 * facts.layers * facts.kv_heads * facts.head_dimension * 4
    tensors = checkpoints.weights(checkpoints.config_of())
    assert sum(values.size for values in tensors.values()) == facts.parameters


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"d_model": None}, "d_model is missing"),
        ({"decoder_layers": None}, "num_decoder_layers is missing"),
        ({"vocab_size": None}, "vocab_size is missing"),
        ({"decoder": {"vocab_size": 3}}, "configurations of their own"),
    ],
    ids=str,
)
def test_a_checkpoint_whose_sizes_are_not_named_is_refused(tmp_path, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        seq2seq_folder.facts_of_checkpoint(configured(tmp_path / "m", **BART | changes))


def test_a_present_that_nothing_takes_is_named(tmp_path):
    folder = save(tmp_path)
    for file in (FIRST, LATER):
        seq2seq_exports.also_gives(folder / file, "present.0.decoder.key", "present.1.decoder.key")

    with pytest.raises(
        InputError, match=r"no input 'past_key_values\.1\.decoder\.key', which would take 'present\.1\.decoder\.key'"
    ):
        seq2seq_folder.read(folder)


@pytest.mark.parametrize(
    ("name", "shape", "complaint"),
    [
        ("past_key_values.0.decoder.key", (None, None, None, DIMENSION), "not heads of 32-bit floats"),
        ("past_key_values.0.encoder.value", (None, HEADS, None), "not heads of 32-bit floats"),
        ("logits", (None, VOCABULARY), "not requests, tokens and vocabulary"),
    ],
)
def test_sizes_that_are_none_of_a_cache_are_refused(tmp_path, name, shape, complaint):
    folder = save(tmp_path)
    seq2seq_exports.reshape(folder / LATER, name, shape)

    with pytest.raises(InputError, match=complaint):
        seq2seq_folder.read(folder)


def test_frames_that_a_graph_leaves_open_are_those_of_the_configuration(tmp_path):
    folder = save(tmp_path, sound=True)
    seq2seq_exports.reshape(folder / ENCODER, "input_features", (None, None, None))

    assert (seq2seq_exports.BINS, seq2seq_exports.FRAMES) == seq2seq_folder.read(folder)[1].frames

    seq2seq_exports.reshape(folder / ENCODER, "input_features", (None, 3, 60_000))
    with pytest.raises(InputError, match="3 bins and 60000 frames: no sound"):
        seq2seq_folder.read(folder)
