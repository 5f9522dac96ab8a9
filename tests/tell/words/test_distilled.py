"""What was made of a student, in words."""

from pathlib import Path

import msgspec

from advisor.schema.distillation import Student
from advisor.tell.words.distilled import lines
from tests.students import distilled


def with_outcome(**changes):
    made = distilled()
    return msgspec.structs.replace(made, outcome=msgspec.structs.replace(made.outcome, **changes))


def test_every_figure_of_a_student_is_told_with_its_interval():
    text = "\n".join(lines(distilled(), Path("student")))

    for part in (
        "layers-2, 2 of 4 layers, 6 k of the teacher's 10 k parameters (60 %)",
        "learned embeddings of 1,080 items in 1,000 steps, 12 min; 120 were held out",
        "cosine 0.95 (0.94 to 0.96)",
        "held-out loss 0.04; expected: 0.03 (0.028 to 0.033) after 2,000 steps (24 min)",
    ):
        assert part in text


def test_a_curve_that_tells_nothing_is_said_to():
    text = "\n".join(lines(with_outcome(longer=()), Path("student")))

    assert "what a longer run would reach is not known" in text


def test_a_student_that_is_fitted_at_once_has_no_curve_and_labels_are_named():
    student = Student(
        id="trees-5", kind="trees", blocks=5, teacher_blocks=50, parameters=10, teacher_parameters=100, is_trained=True
    )
    made = with_outcome(curve=(), longer=(), steps=0, has_labels=True, metric="top1_agreement", notes=("a remark",))

    text = "\n".join(lines(msgspec.structs.replace(made, student=student), Path("a\nfolder")))

    assert "5 of 50 trees" in text and "and their labels" in text and "note: a remark" in text
    assert "loss" not in text and "a\\nfolder" in text
