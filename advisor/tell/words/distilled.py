"""What was made of a student, in words: a line each."""

from pathlib import Path

from advisor import units
from advisor.inert.text import inert
from advisor.schema.distillation import Distilled, Longer, Student

METRICS = {"cosine": "cosine", "top1_agreement": "same decision", "pearson": "correlation"}


def lines(made: Distilled, folder: Path) -> list[str]:
    """Return what the student is, what it learned from, how near it came, and what a longer run would reach."""
    student = made.student
    share = student.parameters / student.teacher_parameters
    found = [
        f"{inert(str(folder))}: {student.id}{_blocks(student)}, {units.count(student.parameters)} of the teacher's "
        f"{units.count(student.teacher_parameters)} parameters ({units.percent(share)})",
        f"learned {made.learned} of {made.items - made.held_out_items:,} items{' and their labels' if made.has_labels else ''}"
        f"{_how_long(made)}; {made.held_out_items:,} were held out",
        f"near to the teacher on these: {METRICS[made.metric]} "
        + units.interval(made.agreement.value, made.agreement.low, made.agreement.high, units.similarity),
        *_longer(made),
        *(f"note: {note}" for note in made.notes),
        "how much quality is left, labels of your own say: recommend with it, on data that it did not learn from",
    ]
    return found


def _blocks(student: Student) -> str:
    if student.blocks is None or student.teacher_blocks is None:
        return ""
    return f", {student.blocks} of {student.teacher_blocks} {'trees' if student.kind == 'trees' else 'layers'}"


def _how_long(made: Distilled) -> str:
    steps = f"{made.steps:,} steps, " if made.steps else ""
    return f" in {steps}{units.seconds(made.seconds)}"


def _longer(made: Distilled) -> list[str]:
    if not made.curve:
        return []
    last = made.curve[-1].held_out_loss
    if not made.longer:
        return [f"held-out loss {last:.3g}; what a longer run would reach is not known: too few points, or no power law"]
    return [f"held-out loss {last:.3g}; expected: {'; '.join(map(_one, made.longer))}"]


def _one(longer: Longer) -> str:
    loss = longer.held_out_loss
    reached = units.interval(loss.value, loss.low, loss.high, units.plain)
    return f"{reached} after {longer.steps:,} steps ({units.seconds(longer.seconds)})"
