"""A smaller transformer learns, is killed, goes on, and ends as if it had not been killed."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.distillation import checkpoint_students
from advisor.measure.distillation.training import checkpoints, room, trainer, transformer_student
from advisor.measure.distillation.training.objectives import Objective
from advisor.measure.distillation.training.room import Batch
from advisor.measure.distillation.training.transformer_student import Asked, Pace
from advisor.measure.runtime.ort_session import unsaid
from tests.tiny_encoders import save_bert, save_texts

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("accelerate", "torch", "transformers")),
    reason="the extra hf is not installed",
)

STEPS = 4


class Killed(BaseException):
    """The process has ended."""


def killed_at(step):
    def say(what, _=0.0):
        if what == f"step {step} of {STEPS}":
            raise Killed

    return say


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("students")
    save_bert(folder / "teacher")
    save_bert(folder / "classifier", classes=3)
    save_texts(folder / "texts.txt", 90)
    return folder


def learn(place, name, *, teacher="teacher", student="layers-2", say=unsaid, steps=STEPS, budget_s=None, seed=0):
    folder = place / name
    folder.mkdir(exist_ok=True)
    if not (folder / "start").exists():
        checkpoint_students.cut(place / teacher, student, folder / "start")
    asked = Asked(steps, budget_s, seed, "recipe")
    return transformer_student.train(place / teacher, folder / "start", folder, place / "texts.txt", asked, folder / "final", say)


def weights_of(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "final" / "model.safetensors")


@pytest.fixture(scope="module")
def unbroken(place):
    return learn(place, "unbroken")


def test_what_is_learned_shows_in_the_loss_and_the_student_is_a_checkpoint(place, unbroken):
    assert (STEPS, STEPS, "embeddings", "cosine") == (
        unbroken.steps,
        unbroken.planned_steps,
        unbroken.learned,
        unbroken.metric,
    )
    assert unbroken.curve[0].step == 0 and unbroken.curve[-1].step == STEPS
    assert unbroken.curve[-1].held_out_loss < unbroken.curve[0].held_out_loss
    assert [point.seconds for point in unbroken.curve] == sorted(point.seconds for point in unbroken.curve)
    assert unbroken.agreement.low <= unbroken.agreement.value <= unbroken.agreement.high
    made = transformer_student.checkpoint.loaded(place / "unbroken" / "final")
    assert 2 == made.config.num_hidden_layers
    assert (place / "unbroken" / "final" / "tokenizer.json").is_file()


def test_words_keep_the_vectors_of_the_teacher(place, unbroken):
    teacher = transformer_student.checkpoint.loaded(place / "teacher")

    np.testing.assert_array_equal(
        teacher.get_input_embeddings().weight.detach().numpy(),
        weights_of(place / "unbroken")["embeddings.word_embeddings.weight"],
    )


@pytest.mark.parametrize("step", [1, 3])
def test_a_run_that_was_killed_goes_on_and_ends_as_one_that_was_not(place, unbroken, step):
    with pytest.raises(Killed):
        learn(place, f"killed-{step}", say=killed_at(step))

    gone_on = learn(place, f"killed-{step}")

    assert (unbroken.steps, [point.step for point in unbroken.curve]) == (gone_on.steps, [it.step for it in gone_on.curve])
    expected, found = weights_of(place / "unbroken"), weights_of(place / f"killed-{step}")
    for name, values in expected.items():
        np.testing.assert_allclose(values, found[name], atol=1e-6, err_msg=name)


def test_a_checkpoint_that_is_half_written_costs_only_itself(place, unbroken):
    with pytest.raises(Killed):
        learn(place, "half", say=killed_at(4))
    latest, mark = checkpoints.last_whole(place / "half")
    (latest / checkpoints.MARK).unlink()
    (latest / "model.safetensors").write_bytes(b"half")

    assert checkpoints.last_whole(place / "half")[1].step < mark.step
    assert unbroken.steps == learn(place, "half").steps


def test_what_is_done_is_not_trained_again(place, unbroken):
    said = []

    again = learn(place, "unbroken", say=lambda what, _=0.0: said.append(what))

    assert unbroken.curve == again.curve
    assert not [what for what in said if what.startswith("step 1 ")]


def test_a_budget_plans_its_steps_and_a_spent_one_stops(place):
    planned = learn(place, "budget", steps=7, budget_s=3600.0)
    spent = learn(place, "spent", steps=50, budget_s=1e-3)

    assert (7, 7) == (planned.steps, planned.planned_steps)
    assert 1 == spent.steps


def test_a_narrower_student_learns_in_its_own_width(place):
    found = learn(place, "narrow", student="layers-2-width-8", steps=2)

    assert 8 == transformer_student.checkpoint.loaded(place / "narrow" / "final").config.hidden_size
    assert -1 <= found.agreement.value <= 1
    assert (place / "narrow" / transformer_student.PROJECTION).is_file()


def test_a_model_with_classes_teaches_its_decisions(place):
    found = learn(place, "classes", teacher="classifier", steps=2)

    assert ("classes", "top1_agreement") == (found.learned, found.metric)


def test_batches_shrink_with_the_memory_that_is_free(place, monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda: 400_000)

    learn(place, "shrunk", steps=1)

    assert checkpoints.read_plan(place / "shrunk").batch_size < room.BATCH_SIZES[0]


def test_texts_that_have_no_room_are_cut_and_that_is_said(place, monkeypatch):
    monkeypatch.setattr(room, "fitting", lambda *_: Batch(8, 6))

    found = learn(place, "cut", steps=1)

    assert ("texts were cut to 6 tokens, since longer ones do not fit into memory",) == found.notes


def test_too_little_memory_is_refused_before_a_plan_is_made(place, monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda: 1000)

    with pytest.raises(ModelError, match=r"training takes .* of memory at the least"):
        learn(place, "small")
    assert checkpoints.read_plan(place / "small") is None


def test_too_little_disk_is_refused_and_checkpoints_stay_whole(place, monkeypatch):
    with pytest.raises(Killed):
        learn(place, "full", say=killed_at(3))
    before = checkpoints.last_whole(place / "full")

    def no_room(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "mark_whole", no_room)
    with pytest.raises(ModelError, match=r"a checkpoint could not be written .No space left"):
        learn(place, "full")
    assert before == checkpoints.last_whole(place / "full")


def test_a_teacher_without_a_tokenizer_is_refused(tmp_path):
    save_bert(tmp_path / "bare", has_tokenizer=False)

    with pytest.raises(InputError, match=r"there is no tokenizer.json in .*bare"):
        transformer_student.check_teacher(tmp_path / "bare")


def test_the_rate_stands_still_between_its_rise_and_its_fall():
    assert (51, 800) == trainer.steady_steps(1000)


def test_a_short_budget_is_for_many_small_steps_and_few_looks(place, monkeypatch):
    monkeypatch.setattr(transformer_student, "_pace", lambda job: Pace(0.02 * job.plan.batch_size, 0.01 * job.plan.batch_size))

    learn(place, "small-steps", steps=1, budget_s=30.0)
    learn(place, "large-steps", steps=1, budget_s=3000.0)

    short, long = (checkpoints.read_plan(place / name) for name in ("small-steps", "large-steps"))
    assert (transformer_student.LEAST_BATCH, room.BATCH_SIZES[0]) == (short.batch_size, long.batch_size)
    assert short.watched < long.watched == transformer_student.MOST_WATCHED


@pytest.mark.parametrize(("enough_s", "steps"), [(0.0, 2), (3600.0, transformer_student.PACE_STEPS)])
def test_timing_a_slow_step_takes_few_of_them_and_no_pass_beside(place, monkeypatch, enough_s, steps):
    jobs, passes, loss_of = [], [], trainer.loss_of
    with monkeypatch.context() as patch:
        patch.setattr(transformer_student, "_quickest", lambda job: jobs.append(job) or (1, Pace(1.0, 1.0)))
        learn(place, f"paced-{steps}", steps=1, budget_s=3600.0)
    before = {name: values.clone() for name, values in jobs[0].student.state_dict().items()}
    monkeypatch.setattr(transformer_student, "PACE_S", enough_s)
    monkeypatch.setattr(trainer, "loss_of", lambda *given: passes.append(given) or loss_of(*given))

    pace = transformer_student._pace(jobs[0])

    assert steps == len(passes)
    assert 0 < pace.look_s < pace.step_s
    assert all(values.equal(before[name]) for name, values in jobs[0].student.state_dict().items())


@pytest.mark.parametrize(
    ("learned", "tokens", "expected"),
    [("tokens", 230, 1), ("tokens", 100, 2), ("tokens", 10, transformer_student.LEAST_BATCH)]
    + [(learned, 230, transformer_student.LEAST_BATCH) for learned in ("embeddings", "classes", "values")],
)
def test_long_texts_of_which_each_token_is_learned_from_come_one_by_one(learned, tokens, expected):
    job = SimpleNamespace(objective=Objective(learned), learned=[{"input_ids": [1] * tokens}] * 3)

    assert expected == transformer_student._least_batch(job)
