"""Students in a profile: timed after all that needs no training, judged where they are trained, gone on with after an interrupt."""

import msgspec
import onnx
import pytest

from advisor.measure.distillation import student_files
from advisor.measure.distillation.student_files import Teacher
from advisor.measure.model.onnx_graph import read_graph
from advisor.measure.timing.profile_journal import MadeVariant, Visited
from advisor.measure.variants import making
from advisor.measure.variants.making import AGAIN
from tests.measure.distillation.test_graph_students import transformer
from tests.measure.timing.test_profiler import entries_of, measured, plan_of
from tests.measure.variants.test_screening import ONE_SHORT_ROUND, plan_with, uneven
from tests.models import save

STUDENTS = ("layers-2", "layers-1")
COMBINED = tuple(f"{name}+int8-dynamic" for name in STUDENTS)


def plan_with_students(folder, *names):
    """Return the plan of a transformer of four blocks with students, one scheme named for all of them."""
    plan = plan_of(
        onnx.load(transformer(folder / "whole.onnx", range(4))), folder, timing=ONE_SHORT_ROUND, wanted=("int8-dynamic",)
    )
    teacher = Teacher(facts=plan.facts, file=plan.baseline, checkpoint=None)
    made = tuple(student_files.made(teacher, name, plan.folder) for name in names)
    return msgspec.structs.replace(plan, students=made, kept=frozenset((*names, "int8-dynamic")))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    plan = plan_with_students(tmp_path_factory.mktemp("untrained"), *STUDENTS)
    return plan, measured(plan)


def variants_of(profile):
    return {variant.id: variant for variant in profile.sites[0].variants}


def test_students_are_timed_as_they_are_and_under_a_scheme_without_a_word_on_quality(untrained):
    _, profile = untrained

    found = {name: variant for name, variant in variants_of(profile).items() if variant.student is not None}
    assert {*STUDENTS, *COMBINED} == set(found)
    for variant in found.values():
        assert variant.derived_from == "fp32" and not variant.lossless and not variant.student.is_trained
        assert variant.quality is None and variant.agreement is None
        assert {entry.batch_size for entry in profile.sites[0].measurements if entry.variant == variant.id} >= {1, 4}
    assert {"layers-2": (2, 4), "layers-1": (1, 4)} == {
        name: (found[name].student.blocks, found[name].student.teacher_blocks) for name in STUDENTS
    }
    assert found["layers-1"].changed_operators["MatMul"] == -9
    assert found["layers-2+int8-dynamic"].changed_operators["MatMul"] == -12  # six with the blocks, six to the scheme
    assert found["layers-1"].student.parameters < found["layers-2"].student.parameters < profile.model.parameters


def test_no_student_is_timed_before_all_else_was(untrained):
    _, profile = untrained
    first = {
        entry.variant: min(visit.order for visit in entry.visits)
        for entry in profile.sites[0].measurements
        if not entry.variant.endswith(AGAIN)
    }
    students = {*STUDENTS, *COMBINED}

    assert max(order for name, order in first.items() if name not in students) < min(first[name] for name in students)


def test_a_run_that_goes_on_makes_no_student_again(untrained):
    plan, profile = untrained
    before = len(entries_of(plan))

    again = measured(plan)

    assert variants_of(profile).keys() == variants_of(again).keys()
    assert not any(isinstance(entry, MadeVariant | Visited) for entry in entries_of(plan)[before:])


def test_a_damaged_file_of_a_student_under_a_scheme_is_made_again(untrained):
    plan, profile = untrained
    variant = variants_of(profile)["layers-2+int8-dynamic"]
    path = making.variant_file(plan, variant)
    path.write_bytes(path.read_bytes()[:-30])

    assert making.restored(plan, profile.sites[0].variants)
    assert variant.sha256 == read_graph(path).sha256


def test_a_trained_student_is_judged_by_the_users_data_as_every_variant_is(tmp_path):
    plan = plan_with(tmp_path, "int8-dynamic", quality_max_drop=0.5, wanted=("int8-dynamic",))
    model = uneven()
    for tensor in model.graph.initializer:
        if tensor.name != "decide":
            tensor.CopyFrom(onnx.numpy_helper.from_array(0.99 * onnx.numpy_helper.to_array(tensor), tensor.name))
    path = save(model, tmp_path / "mine.onnx")
    teacher = Teacher(facts=plan.facts, file=plan.baseline, checkpoint=None)
    student = student_files.given(teacher, path, read_graph(path), "mine", None)
    plan = msgspec.structs.replace(plan, students=(student,), kept=frozenset({"mine", "int8-dynamic"}))

    profile = measured(plan)

    found = variants_of(profile)
    assert found["mine"].student.is_trained and 0.0 == found["mine"].quality.drop.value
    assert found["mine+int8-dynamic"].quality is not None and found["mine+int8-dynamic"].agreement is not None
