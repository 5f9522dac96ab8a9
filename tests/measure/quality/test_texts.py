"""Texts become what a model reads: cut to its length, padded, with the mask and the segments that it asks for."""

import json

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.quality import examples, learned
from advisor.schema.model import ModelInput

tokenizers = pytest.importorskip("tokenizers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "down", "why"]
CLS, SEP = WORDS.index("[CLS]"), WORDS.index("[SEP]")


def entry(name, role, *, width="t", dtype="int64"):
    return ModelInput(
        name=name,
        dtype=dtype,
        shape=("n", width),
        example_shape=(1, 4),
        role=role,
        batch_axis=0,
        sequence_axis=None if isinstance(width, int) else 1,
        upper_bound=len(WORDS),
    )


IDS, MASK, SEGMENT = entry("input_ids", "ids"), entry("attention_mask", "mask"), entry("token_type_ids", "segment")


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with the tokenizer of a tiny BERT, an `onnx` folder in it, and texts with labels beside."""
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: id_ for id_, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    made.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "onnx").mkdir()
    (tmp_path / "d.jsonl").write_text('{"text": "the cat sat down", "label": 1}\n{"text": "why", "label": 0}\n')
    (tmp_path / "pairs.csv").write_text("premise,hypothesis,label\nthe cat,why,1\nwhy,sat down,0\n")
    return tmp_path


def read(folder, *inputs, source="d.jsonl", model="onnx/model.onnx"):
    return examples.read_examples(source, folder, inputs, "quality.data", model=folder / model)


@pytest.mark.parametrize("model", ["onnx/model.onnx", "model.onnx", "."])
def test_texts_become_the_inputs_that_the_model_has_and_no_others(checkpoint, model):
    found = read(checkpoint, IDS, MASK, model=model)

    assert {"input_ids", "attention_mask", "label"} == found.keys()
    assert [[2, 4, 5, 6, 7, 3], [2, 8, 3, 0, 0, 0]] == found["input_ids"].tolist()
    assert [[1] * 6, [1, 1, 1, 0, 0, 0]] == found["attention_mask"].tolist()
    assert [1, 0] == found["label"].tolist()


def test_of_pairs_of_texts_the_second_is_a_segment_of_its_own(checkpoint):
    found = read(checkpoint, IDS, MASK, SEGMENT, source="pairs.csv")

    assert [[2, 4, 5, 3, 8, 3], [2, 8, 3, 6, 7, 3]] == found["input_ids"].tolist()
    assert [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]] == found["token_type_ids"].tolist()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config.json", {"model_max_length": 4}),
        ("config.json", {"max_position_embeddings": 4}),
        ("config.json", {"max_position_embeddings": 6, "model_type": "roberta"}),
    ],
)
def test_texts_are_cut_to_what_the_checkpoint_says_the_model_takes(checkpoint, name, content):
    (checkpoint / name).write_text(json.dumps(content))

    assert [2, 4, 5, SEP] == read(checkpoint, IDS)["input_ids"][0].tolist()


@pytest.mark.parametrize("width", [4, 9])
def test_a_fixed_length_is_cut_to_or_padded_to(checkpoint, width):
    found = read(checkpoint, entry("input_ids", "ids", width=width, dtype="int32"))["input_ids"]

    assert ((2, width), np.int32) == (found.shape, found.dtype)


def test_ids_that_are_there_are_taken_as_they_are(checkpoint):
    (checkpoint / "ids.jsonl").write_text('{"input_ids": [4, 5], "text": "why"}\n')

    assert [[4, 5]] == read(checkpoint, IDS, source="ids.jsonl")["input_ids"].tolist()


def test_without_a_tokenizer_the_error_says_where_to_put_it(checkpoint):
    (checkpoint / "tokenizer.json").unlink()

    with pytest.raises(InputError, match=r"holds texts, but there is no tokenizer\.json in") as ended:
        read(checkpoint, IDS)

    assert "put the tokenizer.json" in ended.value.hint


def test_a_tokenizer_that_cannot_be_read_is_an_error(checkpoint):
    (checkpoint / "tokenizer.json").write_text("{}")

    with pytest.raises(InputError, match="not a readable tokenizer"):
        read(checkpoint, IDS)


def test_texts_that_a_student_learned_from_are_left_out_and_counted(checkpoint):
    known = learned.Learned(texts=learned.packed([learned.digest_of_text(("the cat sat down",))]))
    where = {"folder": checkpoint, "inputs": (IDS, MASK), "key": "quality.data", "model": checkpoint / "model.onnx"}

    found = examples.read_unlearned("d.jsonl", by=known, **where)

    assert 1 == found.left_out
    assert [[2, 8, 3]] == found.rows["input_ids"].tolist() and [0] == found.rows["label"].tolist()
    assert 0 == examples.read_unlearned("d.jsonl", **where).left_out


def test_of_ids_nobody_can_tell_which_texts_they_were(checkpoint):
    (checkpoint / "ids.csv").write_text("input_ids_0,input_ids_1\n2,8\n2,4\n")
    known = learned.Learned(texts=learned.packed([learned.digest_of_text(("why",))]))

    found = examples.read_unlearned(
        "ids.csv", checkpoint, (entry("input_ids", "ids", width=2),), "quality.data", model=checkpoint / "m.onnx", by=known
    )

    assert found.left_out is None and 2 == len(found.rows["input_ids"])
