"""A smaller model in place of the one given: what it keeps of it, and whether anybody has trained it."""

from typing import Literal

from advisor.schema.record import Count, Estimate, Name, NonNegative, Record, Seconds, Sha256, Whole

# Fewer or narrower blocks of a transformer, fewer trees of an ensemble, a model of another kind on the same inputs, or vectors of words
# that are averaged.
StudentKind = Literal["blocks", "trees", "linear", "mlp", "static"]
# Said wherever a student is spoken well of that nobody has trained.
IF_IT_HOLDS = "after training, if it holds"


class Student(Record, frozen=True, kw_only=True):
    """What a variant is where it is no other form of the model but a smaller one.

    Its speed does not depend on the values of its weights and is measured before anybody trains it; its quality does, and is known only
    where `is_trained`.
    """

    id: Name  # as `advisor distill --student` takes it: layers-3, width-192, layers-3-width-192, trees-50, linear, mlp, static
    kind: StudentKind
    blocks: Count | None  # layers or trees; None where it has none
    teacher_blocks: Count | None
    parameters: Count  # numbers that training sets; of trees their nodes
    teacher_parameters: Count
    is_trained: bool


# What a student learns of its teacher: vectors of texts, which of several classes, numbers, or which token follows.
Learned = Literal["embeddings", "classes", "values", "tokens"]
AgreementMetric = Literal["cosine", "top1_agreement", "pearson"]


class CurvePoint(Record, frozen=True, kw_only=True):
    """How far from its teacher a student was on the part of the texts that it does not learn from, after so many steps."""

    step: Whole
    seconds: Seconds  # of training until then, earlier runs of it included
    held_out_loss: NonNegative


class Longer(Record, frozen=True, kw_only=True):
    """What a longer run would reach, by a power law of the points of this one."""

    steps: Count
    seconds: Seconds
    held_out_loss: Estimate


class Accepted(Record, frozen=True, kw_only=True):
    """What a student is worth as a draft: the tokens of a step of its teacher, of which all but one are drafted."""

    draft_tokens: Count
    tokens_per_step: Estimate


class Outcome(Record, frozen=True, kw_only=True):
    """What learning came to."""

    learned: Learned
    has_labels: bool = False  # it learned from labels as well as from its teacher
    steps: Whole = 0  # 0 where it is fitted at once
    planned_steps: Whole = 0
    seconds: Seconds
    curve: tuple[CurvePoint, ...] = ()
    longer: tuple[Longer, ...] = ()  # none: not known, for the points are too few or no power law
    metric: AgreementMetric
    agreement: Estimate  # with the teacher, on the items that were held out
    accepted: tuple[Accepted, ...] = ()  # of a decoder that generates
    notes: tuple[str, ...] = ()


class Distilled(Record, frozen=True, kw_only=True):
    """A student that was trained, what it learned from and how near it came: `student.json` in the folder of its files."""

    schema_version: int
    recipe: Sha256  # of teacher, student, data and settings: equal for runs that answer the same question
    created: str
    advisor_version: str
    teacher_sha256: Sha256  # of a checkpoint its files, of an ONNX file its graph
    student: Student
    files: dict[str, Sha256]  # the student's own, by their names in the folder
    data_sha256: Sha256  # of all items
    items: Count
    held_out_items: Count  # of them, those that it did not learn from: the same ones in every run on these items
    steps: Count | None  # as they were asked for
    budget_s: Seconds | None
    seed: Whole
    versions: dict[str, str]
    outcome: Outcome
