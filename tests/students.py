"""Records of students that were trained."""

import msgspec

from advisor.schema.distillation import CurvePoint, Distilled, Longer, Outcome, Student
from advisor.schema.record import SCHEMA_VERSION, Estimate


def figure(value, low, high, basis="measured"):
    """A figure with its interval."""
    return Estimate(value=value, low=low, high=high, basis=basis, source="a test")


def distilled(**changes):
    """A student of half the layers; `changes` are of the record."""
    made = Distilled(
        schema_version=SCHEMA_VERSION,
        recipe="a" * 64,
        created="2026-11-22T08:00:00+00:00",
        advisor_version="0",
        teacher_sha256="b" * 64,
        student=Student(
            id="layers-2",
            kind="blocks",
            blocks=2,
            teacher_blocks=4,
            parameters=6_000,
            teacher_parameters=10_000,
            is_trained=True,
        ),
        files={},
        data_sha256="c" * 64,
        items=1200,
        held_out_items=120,
        steps=None,
        budget_s=900.0,
        seed=0,
        versions={"torch": "2"},
        outcome=Outcome(
            learned="embeddings",
            steps=1000,
            planned_steps=1000,
            seconds=720.0,
            curve=(
                CurvePoint(step=0, seconds=1.0, held_out_loss=0.5),
                CurvePoint(step=1000, seconds=720.0, held_out_loss=0.04),
            ),
            longer=(Longer(steps=2000, seconds=1440.0, held_out_loss=figure(0.03, 0.028, 0.033, "projected")),),
            metric="cosine",
            agreement=figure(0.95, 0.94, 0.96),
        ),
    )
    return msgspec.structs.replace(made, **changes)
