"""Prompts for prompt lookup: by the model's own tokenizer, and never longer than a request may be."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from advisor.errors import InputError
from advisor.measure.generation.openvino.engine import Lookup
from advisor.measure.generation.openvino.prompts import PIECE_TOKENS, SAMPLE, read_prompts
from advisor.measure.generation.openvino.speculation import BEGUN_TOKENS, MOST_ROUNDS

WORDS = {"[BOS]": 0, "[UNK]": 1} | {word: number for number, word in enumerate(dict.fromkeys(SAMPLE.split()), 2)}
VOCABULARY = len(WORDS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a tokenizer of the words of the sample, which puts a token before each text."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="[BOS] $A", special_tokens=[("[BOS]", 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def prompts(model, *, max_tokens=1000, most_running=8, vocabulary=VOCABULARY):
    return read_prompts(model, vocabulary=vocabulary, max_tokens=max_tokens, most_running=most_running, seed=0)


def test_there_are_enough_for_the_most_rounds_of_the_most_requests(model):
    found = prompts(model)

    assert [MOST_ROUNDS * 8] * 2 == [len(found.copying), len(found.free)]
    assert len(set(found.free)) > MOST_ROUNDS
    assert {1 + PIECE_TOKENS} == {len(prompt) for prompt in found.free}
    assert {0} == {prompt[0] for prompt in (*found.copying, *found.free)}


def test_a_copy_is_begun_and_can_go_on_to_the_end_of_the_answer(model):
    found = prompts(model)

    for prompt in found.copying:
        begun = prompt[-BEGUN_TOKENS:]
        place = next(at for at in range(len(prompt)) if prompt[at : at + BEGUN_TOKENS] == begun)
        assert place < len(prompt) - BEGUN_TOKENS
        assert BEGUN_TOKENS + max(found.output_tokens, found.output_tokens_of_many) <= found.piece_tokens


@pytest.mark.parametrize("max_tokens", [55, 80, 120])
def test_where_requests_are_short_prompts_and_answers_are(model, max_tokens):
    found = prompts(model, max_tokens=max_tokens)

    longest = max(map(len, (*found.copying, *found.free)))
    assert longest + found.output_tokens + Lookup().tokens <= max_tokens


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"max_tokens": 40}, "requests of up to 40 tokens leave no room"), ({"vocabulary": 50}, "tokenizer of another model")],
)
def test_what_cannot_be_tried_is_refused_with_the_reason(model, changed, named):
    with pytest.raises(InputError, match=named):
        prompts(model, **changed)


def test_without_a_tokenizer_lookup_cannot_be_tried(tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer.json in .*, so prompt lookup could not be tried"):
        prompts(tmp_path)
