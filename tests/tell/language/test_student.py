"""What the report says of half of a model's layers: the saving with its condition, what is assumed, the same in every format."""

import pytest
from msgspec.structs import replace

from advisor.schema.language import ConfiguredStudent
from advisor.tell.language.student import configured_words
from advisor.tell.report import render
from advisor.tell.words.figures import as_text
from tests.tell.advice_examples import about, opportunity, student, students
from tests.tell.documents import READ_ALONE
from tests.tell.language_examples import chat_elsewhere


def proposed(*, pays=True, **changed):
    advice = chat_elsewhere()
    [weighed, *_] = students().students
    made = ConfiguredStudent(
        student=replace(student("layers-40", blocks=40, parameters=36_000_000_000), teacher_blocks=80),
        title="40 of 80 layers",
        prediction=advice.recommended,
        saving_usd_per_month=about(20_000.0, "projected", "difference of the two costs"),
        retention=weighed.retention,
        quality_because="assumed, not measured: published decoders",
        making=weighed.making,
        break_even=weighed.break_even,
        opportunity=opportunity("distil", 240_000.0, pays=pays),
    )
    return replace(advice, student=replace(made, **changed))


def cells_of(advice):
    return {row.label: as_text(row.cells[0]) for row in configured_words(advice).rows}


def test_without_a_planned_life_nothing_is_said():
    assert configured_words(chat_elsewhere()) is None
    assert "Student" not in render(chat_elsewhere(), "html", READ_ALONE)


@pytest.mark.parametrize("format_", ["html", "md"])
def test_every_word_stands_in_every_format(format_):
    words = configured_words(proposed())
    text = " ".join(render(proposed(), format_, READ_ALONE).replace("\\", "").split())

    parts = [getattr(part, "shown", part) for part in words.heading]
    parts += [words.because, *words.notes, *(row.label for row in words.rows)]
    parts += [getattr(row.cells[0], "shown", row.cells[0]) for row in words.rows]
    assert [] == [part for part in parts if " ".join(part.split()) not in text]


def test_a_saving_is_said_with_its_condition_and_with_whether_it_pays():
    paying, losing = (as_text(configured_words(proposed(pays=pays)).heading) for pays in (True, False))

    assert paying.startswith("40 of 80 layers would save $20,000/month") and paying.endswith(", after training, if it holds")
    assert losing.endswith("after training, if it holds: not what it costs to make")
    assert ("after training, if it holds", "no") == tuple(cells_of(proposed(pays=pays))["Worth it"] for pays in (True, False))


def test_what_keeps_no_target_saves_nothing():
    missed = proposed(prediction=None, saving_usd_per_month=None, break_even=None, opportunity=None, retention=None)

    assert "40 of 80 layers: nothing keeps the targets with it" == as_text(configured_words(missed).heading)
    cells = cells_of(missed)
    assert ("nothing", "not known", "not weighed") == (
        cells["Saves a month"],
        cells["Share of the score that it keeps"],
        cells["Worth it"],
    )
    assert "Served on" not in cells
