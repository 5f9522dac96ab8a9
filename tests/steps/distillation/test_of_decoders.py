"""Smaller decoders beside the one that is profiled: cut or given, with its tokens, and refused by name where they are not."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.measure.distillation import checkpoint_students
from advisor.measure.generation.making import described
from advisor.schema.distillation import Accepted
from advisor.schema.record import Estimate
from advisor.steps.distillation.of_decoders import MOST_DRAFTED, USUAL_DRAFTED, draft_of, drafted_tokens, students_of
from tests import checkpoints


class Here:
    """Calls functions in this process."""

    def call(self, limit, function, *arguments, **named):
        return function(*arguments, **named)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return checkpoints.save(tmp_path_factory.mktemp("decoders") / "model", "llama, tied", vocab_size=160)


def students(model, *asked, folder):
    return students_of(Here(), model, described(model), asked, folder)


def test_students_are_cut_or_taken_as_they_were_trained(model, tmp_path):
    own = checkpoint_students.cut(model, "layers-1", tmp_path / "own")

    cut, trained = students(model, "layers-1", str(own), folder=tmp_path).decoders

    assert [("layers-1", False), ("own", True)] == [(it.student.id, it.is_trained) for it in (cut, trained)]
    assert {1} == {it.facts.layers for it in (cut, trained)} == {cut.student.blocks, trained.student.blocks}
    assert trained.learned is None and cut.facts.sha256 == trained.facts.sha256


def test_of_what_is_proposed_nothing_is_made_twice(model, tmp_path):
    found = students(model, "auto", "layers-1", folder=tmp_path)

    names = [it.id for it in found.decoders]
    assert "layers-1" in names and len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda model, folder: folder / "nowhere", "no such folder"),
        (lambda model, folder: model, "the model itself"),
        (lambda model, folder: checkpoints.save(folder / "other", "llama, tied", vocab_size=161), "has 161 tokens"),
        (lambda model, folder: folder, "config.json"),
    ],
)
def test_what_cannot_propose_tokens_is_refused(model, tmp_path, give, said):
    with pytest.raises(InputError, match=said):
        draft_of(Here(), model, described(model), give(model, tmp_path))


def test_words_have_to_be_the_same(model, tmp_path):
    pytest.importorskip("tokenizers")
    folders = [shutil.copytree(model, tmp_path / name) for name in ("model", "draft")]
    for folder, words in zip(folders, ({"a": 0, "b": 1}, {"a": 1, "b": 0}), strict=True):
        vocabulary = {"type": "WordLevel", "vocab": words, "unk_token": "a"}
        (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": vocabulary}))

    with pytest.raises(InputError, match="its tokenizer is not that of"):
        draft_of(Here(), folders[0], replace(described(model), sha256="1" * 64), folders[1])


def accepted(share, count):
    """Return the tokens of a step where each drafted one is accepted with this share."""
    tokens = sum(share**place for place in range(count + 1))
    return Accepted(
        draft_tokens=count, tokens_per_step=Estimate(value=tokens, low=tokens, high=tokens, basis="measured", source="a law")
    )


@given(st.floats(0.0, 0.95), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_the_dearer_a_draft_the_fewer_tokens_are_drafted(share, cost, other):
    known = [accepted(share, count) for count in (1, 2, 3, 4, 5, 8)]
    cheap, dear = (drafted_tokens(known, of) for of in sorted((cost, other)))

    assert 1 <= dear <= cheap <= MOST_DRAFTED


def test_of_a_draft_that_nobody_knows_a_usual_number_is_drafted():
    assert USUAL_DRAFTED == drafted_tokens((), 0.5)
