"""The students of a decoder in words: what serving would cost with each, and what is known of its quality."""

from advisor import units
from advisor.schema.distillation import IF_IT_HOLDS
from advisor.schema.generation import DecoderStudent, GenerationAdvice
from advisor.tell.generation.naming import configuration
from advisor.tell.words.figures import Figure, Row, figure

OF_STUDENTS = (
    "Steps do not depend on the values of weights, so a student is timed before anybody trains it. What it then keeps is assumed, from the "
    "scores of published students of such a cut; it is never advised untrained. `advisor distill` makes one, and --student with its folder "
    "measures what it keeps. Quality is the share of scores that is assumed to stay, or by how much a trained one raises perplexity. A "
    "student and its form in fewer bits are one saving."
)


def of_students(advice: GenerationAdvice) -> str:
    """Return what the students that were timed would save, the best of them by its name."""
    known = [entry for entry in advice.students if entry.saved_fraction is not None]
    listed = units.counted(len(advice.students), "student")
    if not known:
        return f"{listed} timed; none of them keeps the targets, or nothing without them does"
    best = max(known, key=lambda entry: entry.saved_fraction.value if entry.saved_fraction else 0.0)
    assert best.saved_fraction is not None
    if best.saved_fraction.value <= 0:
        return f"{listed} timed; none of them would be cheaper to serve"
    condition = "" if best.student.is_trained else f", {IF_IT_HOLDS}"
    return f"{listed} timed; {best.student.id} would save {units.percent(best.saved_fraction.value)}{condition}"


def decoder_student_rows(advice: GenerationAdvice) -> tuple[Row, ...]:
    """Return each student with what would be served, its cost and what that saves, and what is known of its quality."""
    return tuple(
        Row(
            label=it.student.id,
            cells=(
                "-" if it.prediction is None else configuration(it.prediction.candidate),
                figure(it.prediction.cost_usd_per_hour if it.prediction else None, units.usd_per_hour, "-"),
                figure(it.saved_fraction, units.percent, "-"),
                _kept_by(it),
                it.because,
            ),
        )
        for it in advice.students
    )


def _kept_by(it: DecoderStudent) -> Figure | str:
    if it.quality is not None:
        return figure(it.quality.perplexity.drop, units.percent)
    return figure(it.retention, units.percent, "not known")
