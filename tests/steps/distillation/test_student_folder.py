"""The folder of a student: what is done is known again, and nothing of another question is lost."""

import pytest

from advisor.errors import InputError
from advisor.measure.distillation.training import checkpoints
from advisor.measure.distillation.training.checkpoints import Plan
from advisor.steps.distillation import student_folder
from tests.students import distilled


@pytest.fixture
def done(tmp_path):
    """A folder with a student that is done."""
    folder = tmp_path / "student"
    final = student_folder.training_in(folder, fresh=False) / student_folder.FINAL
    (final / "1_Pooling").mkdir(parents=True)
    (final / "model.safetensors").write_bytes(b"weights")
    (final / "1_Pooling" / "config.json").write_text("{}")
    made = distilled(files=student_folder.moved(final, folder))
    student_folder.finish(folder, made)
    return folder, made


def test_a_student_that_is_done_is_returned_as_it_is(done):
    folder, made = done

    assert made == student_folder.finished(folder, made.recipe, fresh=False)
    assert not (folder / student_folder.TRAINING).exists()
    assert {"model.safetensors", "1_Pooling/config.json"} == set(made.files)


def test_one_whose_files_changed_is_not_taken_for_it(done):
    folder, made = done
    (folder / "1_Pooling" / "config.json").write_text("{ }")

    assert student_folder.finished(folder, made.recipe, fresh=False) is None


def test_another_question_does_not_replace_it_unless_it_is_told_to(done):
    folder, _ = done

    with pytest.raises(InputError, match="holds the student layers-2 of another teacher, data or settings"):
        student_folder.finished(folder, "0" * 64, fresh=False)
    assert student_folder.finished(folder, "0" * 64, fresh=True) is None
    student_folder.training_in(folder, fresh=True)
    assert not (folder / student_folder.LABEL).exists()


def test_half_of_another_training_is_not_replaced_either(tmp_path):
    training = student_folder.training_in(tmp_path, fresh=False)
    checkpoints.write_plan(training, Plan(recipe="other", steps=5, batch_size=1, longest=8, threads=1, watched=1))

    with pytest.raises(InputError, match="holds the training of another student"):
        student_folder.finished(tmp_path, "mine", fresh=False)
    assert student_folder.finished(tmp_path, "other", fresh=False) is None


def test_what_is_kept_of_an_interrupted_training_is_said(tmp_path):
    training = student_folder.training_in(tmp_path, fresh=False)
    assert student_folder.kept_in(tmp_path) is None
    (training / "checkpoint-7").mkdir()
    checkpoints.mark_whole(training / "checkpoint-7", 7, 3.0)

    assert "until step 7 is kept" in student_folder.kept_in(tmp_path)
