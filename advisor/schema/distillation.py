"""A smaller model in place of the one given: what it keeps of it, and whether anybody has trained it."""

from typing import Literal

from advisor.schema.record import Count, Name, Record

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
