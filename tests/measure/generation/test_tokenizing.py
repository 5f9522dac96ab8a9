"""The user's text becomes pieces of tokens by the model's own tokenizer; what cannot be read is refused by name."""

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from advisor.errors import InputError
from advisor.measure.generation.tokenizing import encoded, read_windows
from advisor.measure.quality import learned

WORDS = {"[BOS]": 0, "[UNK]": 1, "[EOS]": 2} | {f"w{number}": 3 + number for number in range(50)}
TEXT = " ".join(f"w{number % 50}" for number in range(1000))


@pytest.fixture
def model(tmp_path):
    """A folder with a tokenizer of words, which puts a token before each text and one behind it."""
    return with_tokenizer(tmp_path / "model", "[BOS] $A [EOS]")


def with_tokenizer(folder, template=None):
    folder.mkdir()
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if template is not None:
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("[BOS]", 0), ("[EOS]", 2)])
    tokenizer.enable_truncation(4)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def written(tmp_path, text, name="text.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def windows(model, data, *, window_tokens=16, most_tokens=1000, vocabulary=53, seed=0, fewest=1):
    given = {"window_tokens": window_tokens, "most_tokens": most_tokens, "vocabulary": vocabulary}
    return read_windows(model, data, seed=seed, fewest=fewest, **given)


def test_each_piece_begins_as_the_tokenizer_begins_texts(model, tmp_path):
    found = windows(model, written(tmp_path, TEXT))

    assert {0} == {tokens[0] for tokens in found.tokens}
    assert not any(2 in tokens for tokens in found.tokens)
    assert {1} == {tokens.count(0) for tokens in found.tokens}
    assert 1 == found.given
    assert 16 == max(map(len, found.tokens))


def test_without_a_beginning_the_first_token_is_told(tmp_path):
    found = windows(with_tokenizer(tmp_path / "plain"), written(tmp_path, "w1 w22 w3"))

    assert ((4, 25, 6),) == found.tokens
    assert 1 == found.given
    assert (len("w22 w3"),) == found.scored_bytes


def test_bytes_are_those_of_the_tokens_that_are_predicted(model, tmp_path):
    found = windows(model, written(tmp_path, "w1 w22 w3"))

    assert (len("w1 w22 w3"),) == found.scored_bytes


def test_no_more_is_read_than_is_asked_for(model, tmp_path):
    found = windows(model, written(tmp_path, TEXT), most_tokens=40)

    assert 40 <= sum(map(len, found.tokens)) < 40 + 16


def test_the_same_seed_gives_the_same_pieces_and_another_one_others(model, tmp_path):
    path = written(tmp_path, TEXT)

    assert windows(model, path) == windows(model, path)
    assert windows(model, path, seed=1) != windows(model, path)


def test_a_table_has_a_text_a_row(model, tmp_path):
    lines = [json.dumps({"id": "a", "text": text}) for text in ("w1 w2 w3", "w4", "w5 w6 w7 w8")]

    found = windows(model, written(tmp_path, "\n".join(lines), "rows.jsonl"))

    # Of one token alone nothing can be said.
    assert {(0, 4, 5, 6), (0, 8, 9, 10, 11)} == set(found.tokens)


def test_half_a_character_does_no_harm(model, tmp_path):
    path = written(tmp_path, '{"text": "w1 \\ud800 w2 w3"}', "rows.jsonl")

    assert 1 == len(windows(model, path).tokens)


def test_a_tokenizer_of_another_model_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="none of the 20 that the model knows"):
        windows(model, written(tmp_path, TEXT), vocabulary=20)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("empty.txt", b"", "too little text"),
        ("spaces.txt", b" \n\n ", "too little text"),
        ("binary.txt", b"\xff\xfe\x00\x81", "no text in UTF-8"),
        ("numbers.csv", b"a,b\n1,2\n", "no column of texts"),
        ("broken.jsonl", b'{"text": "w1', "not valid JSON"),
    ],
)
def test_what_holds_no_text_is_refused_by_name(model, tmp_path, name, content, named):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(InputError, match=named) as refused:
        windows(model, path)

    assert name in refused.value.fault
    assert refused.value.hint


def test_a_model_without_tokenizer_says_that_quality_could_not_be_measured(tmp_path):
    (tmp_path / "bare").mkdir()

    with pytest.raises(InputError, match="quality could not be measured"):
        windows(tmp_path / "bare", written(tmp_path, TEXT))


def test_a_text_of_which_no_interval_can_be_had_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="2 pieces of up to 16 tokens, and 6 are needed"):
        windows(model, written(tmp_path, " ".join(TEXT.split()[:50])), fewest=6)


def test_texts_of_ours_are_encoded_whole_and_what_comes_before_them_by_itself(model):
    found = encoded(model, ("w1 w2 w3 w4 w5 w6", "w7"), vocabulary=53, purpose="-")

    assert ((4, 5, 6, 7, 8, 9), (10,)) == found.texts
    assert (0,) == found.prefix


@pytest.mark.parametrize(("vocabulary", "named"), [(5, "tokenizer of another model"), (None, "so nothing could be tried")])
def test_texts_of_ours_need_the_models_own_tokenizer(model, tmp_path, vocabulary, named):
    with pytest.raises(InputError, match=named):
        encoded(model if vocabulary else tmp_path, ("w9",), vocabulary=vocabulary or 53, purpose="nothing could be tried")


@pytest.mark.parametrize("name", ["t.txt", "t.csv"])
def test_what_a_student_learned_from_is_left_out_line_by_line(model, tmp_path, name):
    head = "" if name.endswith("txt") else "text\n"
    data = written(tmp_path, head + "w1 w2 w3\nw4 w5 w6\nw7 w8 w9\n", name)
    known = learned.packed(learned.digest_of_text((text,)) for text in ("w1 w2 w3", "w7 w8 w9"))
    given = {"window_tokens": 16, "most_tokens": 1000, "vocabulary": 53, "seed": 0, "fewest": 1}

    found = read_windows(model, data, learned=known, **given)

    assert 2 == found.learned_texts and ((0, 7, 8, 9),) == found.tokens
    with pytest.raises(InputError, match="a student learned from every one of its 3 items"):
        read_windows(model, data, learned=known + learned.packed([learned.digest_of_text(("w4 w5 w6",))]), **given)
