"""Smaller decoders beside the one that is profiled: a draft that proposes tokens, and students that could take its place."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from advisor.disk.reading import refuse_special
from advisor.errors import AdvisorError, InputError
from advisor.files.records import read_json
from advisor.measure.distillation import checkpoint_students, student_names
from advisor.measure.generation.making import described
from advisor.measure.quality import learned, texts
from advisor.measure.worker.apart import Apart
from advisor.schema.distillation import Accepted, Distilled, Student
from advisor.schema.generation import DecoderFacts, DraftModel
from advisor.schema.record import Exclusion
from advisor.steps import model_folder
from advisor.steps.distillation.students import KEY, LABEL, free_name, paths_in

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
    def is_trained(self) -> bool:
        """Whether anybody has trained it; one that nobody wrote anything down of is what its maker made of it."""
        return self.student is None or self.student.is_trained

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


class Smaller(NamedTuple):
    """The smaller decoders of a profile."""

    draft: SmallerDecoder | None
    students: tuple[SmallerDecoder, ...]

    @property
    def decides(self) -> object:
        """All of them that decides what is measured."""
        return None if self.draft is None else self.draft.decides, [it.decides for it in self.students]


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


class Students(NamedTuple):
    """Smaller decoders to take the place of the model, and what none could be made of."""

    decoders: tuple[SmallerDecoder, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()


def students_of(apart: Apart, model: Path, facts: DecoderFacts, asked: Sequence[str], scratch: Path) -> Students:
    """Return the students that are asked for, those that are proposed or named cut into `scratch`.

    Raise InputError or ModelError for one that is named and cannot be.
    """
    if asked and (facts.given_as != "checkpoint" or facts.encoder is not None):
        raise InputError(f"{KEY}: {model} is no checkpoint of a decoder, and students are cut from such", hint=f"leave {KEY} out")
    reading = model_folder.reading(str(model))
    names = {student_names.parse(text).id: True for text in asked if student_names.is_name(text)}
    left_out: list[Exclusion] = []
    if student_names.AUTO in asked:
        try:
            for name in apart.call(reading, checkpoint_students.proposed, model):
                names.setdefault(name, False)
        except AdvisorError as error:
            left_out.append(Exclusion(what="students", reason=error.fault))
    found: list[SmallerDecoder] = []
    for name, is_named in names.items():
        try:
            found.append(_cut(apart, model, name, scratch / "students" / name))
        except AdvisorError as error:
            if is_named:
                raise
            left_out.append(Exclusion(what=name, reason=error.fault))
    taken = set(names)
    for path in paths_in(asked):
        if not path.is_dir():
            raise InputError(
                f"{KEY}: {str(path)[:200]!r} names no student, and there is no such folder",
                hint="students of a decoder: layers-N, width-N, layers-N-width-N, auto; or the folder of one that you trained",
            )
        refuse_special(path, KEY)
        name = free_name(path, taken)
        taken.add(name)
        found.append(_trained(facts, msgspec.structs.replace(given(apart, model, facts, path, KEY), id=name)))
    return Students(tuple(found), tuple(left_out))


def _cut(apart: Apart, model: Path, name: str, folder: Path) -> SmallerDecoder:
    reading = model_folder.reading(str(model))
    apart.call(reading, checkpoint_students.cut, model, name, folder)
    student = apart.call(reading, checkpoint_students.described, model, name, folder, is_trained=False)
    return SmallerDecoder(id=name, path=folder, facts=apart.call(reading, described, folder), student=student)


def _trained(facts: DecoderFacts, found: SmallerDecoder) -> SmallerDecoder:
    """Return a decoder of the user's as a student, by its sizes where nobody wrote down how it was made."""
    student = found.student or Student(
        id=found.id,
        kind="blocks",
        blocks=found.facts.layers,
        teacher_blocks=facts.layers,
        parameters=found.facts.parameters,
        teacher_parameters=facts.parameters,
        is_trained=True,
    )
    return msgspec.structs.replace(found, student=msgspec.structs.replace(student, id=found.id))


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
