"""Students of a decoder in a report: what they would save stands with its condition, and what is not known is said."""

from msgspec.structs import replace

from advisor.tell.generation.students import decoder_student_rows, of_students
from advisor.tell.generation.words import draft, lookup
from tests.tell.generation_examples import chat

ADVICE = chat()
UNTRAINED, TRAINED = ADVICE.students


def test_what_a_student_would_save_is_said_with_the_condition_on_which_it_holds():
    dear = replace(UNTRAINED, saved_fraction=replace(UNTRAINED.saved_fraction, value=-0.1))

    assert "2 students timed; layers-10 <ours> would save 25 %, after training, if it holds" == of_students(ADVICE)
    assert "1 student timed; none of them would be cheaper to serve" == of_students(replace(ADVICE, students=(dear,)))
    assert "none of them keeps the targets" in of_students(replace(ADVICE, students=(TRAINED,)))


def test_quality_is_assumed_of_an_untrained_one_and_measured_of_a_trained_one():
    assumed, measured = (row.cells[3] for row in decoder_student_rows(ADVICE))

    assert ("76 %", "assumed", "measured") == (assumed.shown, assumed.basis, measured.basis)


def test_a_draft_and_lookup_are_advised_on_in_words_of_their_own():
    assert draft(ADVICE).startswith("layers-10 <ours>: not shown to pay for the given text at 1 and 8 running requests")
    assert "the given text" not in lookup(ADVICE)
    assert draft(replace(ADVICE, speculation=ADVICE.speculation[:2])) is None
