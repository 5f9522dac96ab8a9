"""The files of students: made once, of a model that has them, where there is memory for it."""

import msgspec
import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.distillation import student_files
from advisor.measure.distillation.student_files import Teacher, made, proposed
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.runtime import memory
from tests import models
from tests.checkpoints import change, save
from tests.measure.distillation.test_graph_students import transformer


def teacher_of(path):
    return Teacher(facts=inspect_onnx(path, name="model.onnx"), file=path, checkpoint=None)


@pytest.fixture
def teacher(tmp_path):
    return teacher_of(transformer(tmp_path / "model.onnx", range(4)))


def test_all_that_is_proposed_can_be_made(teacher, tmp_path):
    found = [made(teacher, name, tmp_path / "made") for name in proposed(teacher)]

    assert [("layers-2", 2), ("layers-1", 1)] == [(student.id, student.student.blocks) for student in found]
    assert ["2 of 4 layers of model.onnx, not trained", "1 of 4 layers of model.onnx, not trained"] == [it.title for it in found]
    assert not [path for path in (tmp_path / "made").iterdir() if path.is_dir()]


def test_trees_and_what_takes_their_place_are_made_of_an_ensemble(tmp_path):
    teacher = teacher_of(models.save(models.forest(zipmap=False), tmp_path / "model.onnx"))

    found = {name: made(teacher, name, tmp_path / "made").student for name in (*proposed(teacher), "linear", "mlp")}

    assert {"trees-2": 2, "trees-1": 1, "linear": None, "mlp": None} == {name: it.blocks for name, it in found.items()}
    assert {4} == {it.teacher_blocks for it in found.values()}


def test_what_the_memory_has_no_room_for_is_refused_before_it_is_read(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)

    with pytest.raises(InputError, match="1 kB of memory are free here"):
        made(teacher, "layers-2", tmp_path / "made")


def test_of_a_checkpoint_of_another_family_blocks_are_left_out_of_its_graph(teacher, tmp_path):
    folder = change(save(tmp_path / "checkpoint"), model_type="vit")
    teacher = msgspec.structs.replace(teacher, checkpoint=folder)

    assert ("layers-2", "layers-1") == proposed(teacher)
    assert 2 == made(teacher, "layers-2", tmp_path / "made").student.blocks
    with pytest.raises(InputError, match="no student of it can be cut"):
        made(teacher, "width-4", tmp_path / "made")


def test_a_student_that_takes_other_inputs_is_none(teacher, tmp_path):
    first, *others = teacher.facts.inputs
    facts = msgspec.structs.replace(teacher.facts, inputs=(first, *others, msgspec.structs.replace(first, name="past.3.key")))

    with pytest.raises(ModelError, match=r"takes other inputs than model.onnx \(past.3.key\)"):
        made(msgspec.structs.replace(teacher, facts=facts), "layers-2", tmp_path / "made")


@pytest.mark.parametrize(
    ("name", "said"), [("trees-2", "is no ensemble of trees"), ("static", "made from texts"), ("width-4", "narrower")]
)
def test_a_student_of_another_kind_of_model_is_refused(teacher, name, said, tmp_path):
    with pytest.raises(InputError, match=said):
        student_files.made(teacher, name, tmp_path / "made")
