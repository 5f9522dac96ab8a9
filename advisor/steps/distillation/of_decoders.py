"""Smaller decoders beside the one that is profiled: a draft that proposes tokens, and students that could take its place."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.files.records import read_json
from advisor.measure.generation.making import described
from advisor.measure.quality import learned, texts
from advisor.measure.worker.apart import Apart
from advisor.schema.distillation import Accepted, Distilled, Student
from advisor.schema.generation import DecoderFacts, DraftModel
from advisor.steps import model_folder
from advisor.steps.distillation.students import LABEL

DRAFT = "--draft"
# A step: beyond these a further one is rarely accepted on a CPU, where each costs a step of the draft. Of a draft of which nothing is known
# a number in the middle.
MOST_DRAFTED, USUAL_DRAFTED = 4, 3
OTHER_WORDS = (
    "it has to read and write the same tokens: give one with the tokenizer of the model, such as `advisor distill` makes"
)


class SmallerDecoder(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint of a smaller decoder with the model's tokens, and what is known of how it was made."""

    id: str
    path: Path
    facts: DecoderFacts
    student: Student | None = None
    learned: bytes | None = None  # digests of the texts that it learned from; None: not known
    accepted: tuple[Accepted, ...] = ()

    @property
    def decides(self) -> tuple[object, ...]:
        """All of it that decides what is measured."""
        return self.id, self.facts.sha256, self.learned, self.accepted

    def as_draft(self, left_out: int | None) -> DraftModel:
        """Return it as profiles have it; so many texts were left out since it learned from them."""
        return DraftModel(
            id=self.id,
            sha256=self.facts.sha256,
            layers=self.facts.layers,
            parameters=self.facts.parameters,
            student=self.student,
            learned_texts=left_out if self.learned is not None else None,
        )


def draft_of(apart: Apart, model: Path, facts: DecoderFacts, path: Path) -> SmallerDecoder:
    """Return the draft that the user names for a model; raise InputError for one that cannot propose tokens to it."""
    if facts.given_as != "checkpoint" or facts.encoder is not None:
        raise InputError(f"{DRAFT}: {model} is no checkpoint of a decoder, and drafts are of such", hint="leave --draft out")
    refuse_special(path, DRAFT)
    if not path.is_dir():
        raise InputError(
            f"{DRAFT}: {str(path)[:200]!r}: no such folder",
            hint="give the checkpoint of a smaller decoder with the same tokenizer, such as `advisor distill` makes",
        )
    found = given(apart, model, facts, path, DRAFT)
    if found.facts.sha256 == facts.sha256:
        raise InputError(f"{DRAFT}: {path}: the model itself", hint="give a smaller one")
    return found


def given(apart: Apart, model: Path, facts: DecoderFacts, path: Path, key: str) -> SmallerDecoder:
    """Return a smaller decoder from its folder; raise InputError, about `key`, for one with other tokens than the model."""
    reading = model_folder.reading(str(path))
    own = apart.call(reading, described, path)
    if own.given_as != "checkpoint" or own.encoder is not None:
        raise InputError(f"{key}: {path}: no checkpoint of a decoder", hint="give the folder that save_pretrained wrote")
    if own.vocabulary != facts.vocabulary:
        raise InputError(
            f"{key}: {path}: has {own.vocabulary:,} tokens, and {model} has {facts.vocabulary:,}",
            hint=OTHER_WORDS,
        )
    apart.call(reading, check_words, model, path, key)
    label = read_json(path / LABEL, Distilled, made_by="advisor distill") if (path / LABEL).is_file() else None
    return SmallerDecoder(
        id=path.absolute().name,
        path=path,
        facts=own,
        student=None if label is None else label.student,
        learned=learned.read(path),
        accepted=() if label is None else label.outcome.accepted,
    )


def check_words(model: Path, other: Path, key: str) -> None:
    """Raise InputError where two tokenizers give a token different words; for a process of its own."""
    both = [texts.tokenizer_beside(folder) for folder in (model, other)]
    ours, theirs = (None if path is None else texts.opened(path, key).get_vocab() for path in both)
    if ours is not None and theirs is not None and ours != theirs:
        raise InputError(f"{key}: {other}: its tokenizer is not that of {model}", hint=OTHER_WORDS)


def drafted_tokens(accepted: Sequence[Accepted], cost: float) -> int:
    """Return how many tokens a step are worth drafting where one costs this part of a step of the model.

    The most tokens for what they cost, by theorem 3.8 of Leviathan et al. 2023 (arXiv:2211.17192). `accepted` is what was observed of steps
    as its student was made; without any the number is a usual one.
    """
    listed = [entry for entry in accepted if entry.draft_tokens <= MOST_DRAFTED]
    if not listed:
        return USUAL_DRAFTED
    return max(listed, key=lambda entry: entry.tokens_per_step.value / (1 + cost * entry.draft_tokens)).draft_tokens
