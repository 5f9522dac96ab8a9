"""Students as variants: what each differs by from the model, as it is and under a scheme."""

import os
from pathlib import Path

import msgspec

from advisor.measure.distillation.student_files import StudentFile
from advisor.schema.catalog import Provider
from advisor.schema.model import ModelFacts
from advisor.schema.profile import Variant

SCHEME = "student"  # of one that is as its file is


def as_it_is(made: StudentFile, facts: ModelFacts, beside: Path, *, baseline: str, provider: Provider) -> Variant:
    """Return a student as a variant of the model with these facts; paths are from the folder `beside`."""
    before = {entry.type: entry.count for entry in facts.operators}
    return Variant(
        id=made.id,
        scheme=SCHEME,
        title=made.title,
        path=os.path.relpath(made.path, beside),
        sha256=made.graph.sha256,
        bytes=made.graph.file_bytes,
        derived_from=baseline,
        changed_operators=_added(made.graph.operators, {name: -count for name, count in before.items()}),
        changed_weight_bytes=made.graph.weight_bytes - facts.weight_bytes,
        lossless=False,
        load_s=None,
        peak_memory_bytes=None,
        agreement=None,
        quality=None,
        provider=provider,
        student=made.student,
    )


def under_scheme(student: Variant, made: Variant) -> Variant:
    """Return what a scheme made of a student's file as a variant of the model, from which it differs by both."""
    return msgspec.structs.replace(
        made,
        title=f"{student.title}; {made.title}",
        derived_from=student.derived_from,
        changed_operators=_added(student.changed_operators, made.changed_operators),
        changed_weight_bytes=student.changed_weight_bytes + made.changed_weight_bytes,
        lossless=False,
        student=student.student,
    )


def facts_of(made: StudentFile, facts: ModelFacts) -> ModelFacts:
    """Return the facts of a model with a student's file in its place."""
    graph = made.graph
    return msgspec.structs.replace(
        facts, sha256=graph.sha256, file_bytes=graph.file_bytes, parameters=graph.parameters, weight_bytes=graph.weight_bytes
    )


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    """Return two differences in counts of operators together, without those that come to nothing."""
    sums = {name: one.get(name, 0) + other.get(name, 0) for name in sorted(one.keys() | other)}
    return {name: count for name, count in sums.items() if count}
