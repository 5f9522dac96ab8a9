"""The words of smaller models in place of the one given: how fast they are, what they lose, what they cost and when that is paid back."""

from typing import TYPE_CHECKING

from advisor import units
from advisor.quality_floor import loss_format
from advisor.schema.distillation import IF_IT_HOLDS
from advisor.schema.record import Record
from advisor.tell.words.figures import Figure, Part, Sentence, configuration, figure
from advisor.tell.words.life import NOT_PAID_BACK, break_even_traffic

if TYPE_CHECKING:
    from advisor.schema.advice import Advice, StudentOutlook

STUDENT_COLUMNS = (
    *("Student", "Speed-up at batch 1", "In the largest batch", "Quality"),
    *("Costs to make", "Saves a month", "Paid back after", "Pays with", "Worth it"),
)
NOT_COUNTED = "not counted"
NOT_TRAINED = (
    "Speed does not depend on the values of weights: it was measured before anybody trained them. Quality does: what is assumed of it "
    f"comes from published students. What one would save counts {IF_IT_HOLDS}, and none of these is advised before that was measured on "
    "your data. Train one with advisor distill, then give its folder with --student."
)
ONE_SAVING = (
    "What two students save, or a student and its quantized form, does not add up: each is compared with what is advised above."
)


class StudentRow(Record, frozen=True, kw_only=True):
    """One student: a cell for each of the STUDENT_COLUMNS, and what is to be said beside."""

    id: str
    cells: tuple[Part, ...]  # all columns but the first
    notes: tuple[Sentence, ...]


class StudentWords(Record, frozen=True, kw_only=True):
    """What is said of the students of a model."""

    heading: str
    because: str
    rows: tuple[StudentRow, ...]


def student_words(advice: "Advice") -> StudentWords | None:
    """Return what is said of the students that were timed; None where there are none."""
    if not advice.students:
        return None
    trained = sum(it.student.is_trained for it in advice.students)
    count = units.counted(len(advice.students), "student")
    heading = f"{count} of the model timed, {trained or 'none'} of them trained"
    because = ONE_SAVING if trained == len(advice.students) else f"{NOT_TRAINED} {ONE_SAVING}"
    return StudentWords(heading=heading, because=because, rows=tuple(_row(it) for it in advice.students))


def _row(it: "StudentOutlook") -> StudentRow:
    even = it.break_even
    cells: tuple[Part, ...] = (
        figure(it.speedup_single, units.ratio),
        _largest(it),
        _quality(it),
        figure(it.making.total_usd, units.usd) if it.making is not None else Figure(shown=_not_made(it)),
        figure(it.saving_usd_per_month, units.usd_per_month, "nothing to compare"),
        figure(even.months, units.months, NOT_PAID_BACK) if even is not None else Figure(shown=NOT_COUNTED),
        break_even_traffic(even) if even is not None else Figure(shown=NOT_COUNTED),
        _worth(it),
    )
    return StudentRow(id=f"{it.student.id}: {it.title}", cells=cells, notes=tuple(_notes(it)))


def _largest(it: "StudentOutlook") -> Figure:
    if it.speedup_largest is None or it.largest_batch_size is None:
        return Figure(shown="not measured")
    found = figure(it.speedup_largest, units.ratio)
    return Figure(
        shown=f"{found.shown} at {it.largest_batch_size}", interval=found.interval, basis=found.basis, source=found.source
    )


def _quality(it: "StudentOutlook") -> Figure:
    """Return what was measured to be lost, or what is assumed; the share of the score where no floor says which metric counts."""
    if it.quality is not None:
        return figure(it.quality.drop, loss_format(it.quality.metric))
    if it.assumed_drop is not None:
        return figure(it.assumed_drop, units.points)
    kept = figure(it.retention, units.percent, "not known")
    if it.retention is None:
        return kept
    return Figure(shown=f"{kept.shown} of the score kept", interval=kept.interval, basis=kept.basis, source=kept.source)


def _not_made(it: "StudentOutlook") -> str:
    return "made already" if it.student.is_trained else NOT_COUNTED


def _worth(it: "StudentOutlook") -> str:
    if it.student.is_trained:
        return "see above"
    if it.pays is None:
        return "not weighed"
    if not it.pays:
        return "no"
    return f"{IF_IT_HOLDS}, which is more than is assumed" if it.likely_holds is False else IF_IT_HOLDS


def _notes(it: "StudentOutlook") -> list[Sentence]:
    """Return the sentences below a row: why quality is what it is, what would be served, how its cost comes about."""
    said: list[Sentence] = [(f"Quality: {it.quality_because}.",)]
    if it.served is not None:
        served: Sentence = (f"Served: {configuration(it.served.candidate)}, ",)
        served += (figure(it.served.cost_usd_per_month, units.usd_per_month),)
        if it.alone is not None:
            served += ("; as it is, ", figure(it.alone.cost_usd_per_month, units.usd_per_month))
        said.append((*served, "."))
    if it.making is not None:
        again = figure(it.making.again_usd, units.usd)
        said.append(
            ("Made: ", figure(it.making.once_usd, units.usd), " the first time, ", again, f" again. {it.making.because}.")
        )
    if it.break_even is not None and it.break_even.on is not None:
        said.append((f"Paid back by {it.break_even.on}.",))
    if it.because:
        said.append((f"{it.because[:1].upper()}{it.because[1:]}.",))
    return said
