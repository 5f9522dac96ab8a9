"""The words of students: the condition beside every good word, what is assumed told from what was measured, the same in every format."""

import pytest
from msgspec.structs import replace

from advisor.tell.report import render
from advisor.tell.words.figures import as_text
from advisor.tell.words.students import STUDENT_COLUMNS, student_words
from tests.tell.advice_examples import change, students
from tests.tell.documents import READ_ALONE


def row_of(id_):
    return next(row for row in student_words(students()).rows if row.id.startswith(id_))


def cell_of(id_, column):
    return as_text(row_of(id_).cells[STUDENT_COLUMNS.index(column) - 1])


@pytest.mark.parametrize("format_", ["html", "md"])
def test_advice_without_students_says_nothing_of_them(format_):
    assert student_words(change()) is None
    assert "student" not in render(change(), format_, READ_ALONE).lower()


@pytest.mark.parametrize("format_", ["html", "md"])
def test_every_sentence_and_cell_stands_in_every_format(format_):
    words = student_words(students())
    text = " ".join(render(students(), format_, READ_ALONE).replace("\\", "").split())

    assert words.heading in text and words.because in text
    for row in words.rows:
        parts = [row.id, *(getattr(cell, "shown", cell) for cell in row.cells)]
        parts += [getattr(part, "shown", part).strip() for note in row.notes for part in note]
        assert [] == [part for part in parts if isinstance(part, str) and part not in text]


def test_what_pays_is_never_said_without_its_condition():
    assert "after training, if it holds" == cell_of("layers-3", "Worth it")
    assert "not weighed" == cell_of("layers-1", "Worth it")

    losing = replace(students(), students=tuple(replace(it, pays=False) for it in students().students[:1]))
    assert "no" == student_words(losing).rows[0].cells[-1]
    hardly = replace(students(), students=tuple(replace(it, likely_holds=False) for it in students().students[:1]))
    assert "after training, if it holds, which is more than is assumed" == student_words(hardly).rows[0].cells[-1]


def test_quality_is_assumed_or_measured_or_not_known():
    assert "assumed" in cell_of("layers-3", "Quality")
    assert "measured" in cell_of("layers-4", "Quality")
    assert "not known" == cell_of("layers-1", "Quality")


def test_without_a_floor_the_share_of_the_score_is_shown():
    bare = replace(students(), students=(replace(students().students[0], assumed_drop=None),))

    assert "95 % of the score kept (67–100, assumed)" == as_text(student_words(bare).rows[0].cells[2])


def test_speed_is_shown_at_batch_one_and_with_the_size_of_the_largest():
    assert "measured" in cell_of("layers-3", "Speed-up at batch 1")
    assert " at 32 " in cell_of("layers-3", "In the largest batch")
    assert "not measured" == cell_of("layers-1", "In the largest batch")


def test_what_is_made_already_costs_nothing_more():
    assert "made already" == cell_of("layers-4", "Costs to make")
    assert "see above" == cell_of("layers-4", "Worth it")
    assert "not counted" == cell_of("layers-1", "Costs to make")


def test_the_heading_counts_the_trained_and_says_why_the_others_are_not_advised():
    words = student_words(students())

    assert "3 students of the model timed, 1 of them trained" == words.heading
    assert "none of these is advised before that was measured" in words.because
    trained = replace(students(), students=students().students[2:])
    assert "none of these" not in student_words(trained).because


def test_the_notes_say_what_is_served_how_it_is_made_and_when_it_is_paid_back():
    said = " ".join(as_text(note) for note in row_of("layers-3").notes)

    assert "Served: layers-3-int8 on local, 2 instances of 1 thread" in said and "as it is" in said
    assert "the first time" in said and "made again for 2 releases" in said
    assert "Paid back by 2027-02-06." in said
