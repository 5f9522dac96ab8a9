"""What was made of a student, in words: a line each."""

from pathlib import Path

from advisor import units
from advisor.inert.text import inert
from advisor.schema.distillation import Distilled, Longer, Outcome, Student
from advisor.schema.record import Estimate

METRICS = {"cosine": "cosine", "top1_agreement": "same decision", "pearson": "correlation"}


def lines(made: Distilled, folder: Path) -> list[str]:
    """Return what the student is, what it learned from, how near it came, and what a longer run would reach."""
    student, outcome = made.student, made.outcome
    share = student.parameters / student.teacher_parameters
    found = [
        f"{inert(str(folder))}: {student.id}{_blocks(student)}, {units.count(student.parameters)} of the teacher's "
        f"{units.count(student.teacher_parameters)} parameters ({units.percent(share)})",
        f"learned {outcome.learned} of {made.items - made.held_out_items:,} items{' and their labels' if outcome.has_labels else ''}"
        f"{_how_long(outcome)}; {made.held_out_items:,} were held out",
        f"near to the teacher on these: {METRICS[outcome.metric]} {_figure(outcome.agreement)}",
        *_longer(outcome),
        *_as_draft(outcome),
        *(f"note: {note}" for note in outcome.notes),
        "how much quality is left, labels of your own say: recommend with it, on data that it did not learn from",
    ]
    return found


def _blocks(student: Student) -> str:
    if student.blocks is None or student.teacher_blocks is None:
        return ""
    return f", {student.blocks} of {student.teacher_blocks} {'trees' if student.kind == 'trees' else 'layers'}"


def _how_long(outcome: Outcome) -> str:
    steps = f"{outcome.steps:,} steps, " if outcome.steps else ""
    return f" in {steps}{units.seconds(outcome.seconds)}"


def _longer(outcome: Outcome) -> list[str]:
    if not outcome.curve:
        return []
    last = outcome.curve[-1].held_out_loss
    if not outcome.longer:
        return [f"held-out loss {last:.3g}; what a longer run would reach is not known: too few points, or no power law"]
    return [f"held-out loss {last:.3g}; expected: {'; '.join(map(_one, outcome.longer))}"]


def _as_draft(outcome: Outcome) -> list[str]:
    told = (f"{it.draft_tokens} drafted: {_figure(it.tokens_per_step)}" for it in outcome.accepted)
    return [f"as a draft of its teacher, tokens a step: {'; '.join(told)}"] if outcome.accepted else []


def _one(longer: Longer) -> str:
    return f"{_figure(longer.held_out_loss)} after {longer.steps:,} steps ({units.seconds(longer.seconds)})"


def _figure(known: Estimate) -> str:
    return f"{units.number(known.value)} ({units.ends(known.low, known.high, units.number)})"
