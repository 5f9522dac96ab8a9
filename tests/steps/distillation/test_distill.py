"""A student is made in a folder of its own: returned as it is when it is done, gone on with when it is not, refused in words."""

import importlib.util
import math
import shutil
from pathlib import Path

import pytest

from advisor.errors import InputError
from advisor.measure.distillation import student_names
from advisor.measure.distillation.training import given_texts
from advisor.measure.quality import learned
from advisor.measure.runtime import machine
from advisor.measure.runtime.ort_session import unsaid
from advisor.schema.options import DistillOptions
from advisor.steps.distillation import distill, student_folder
from advisor.steps.distillation.distill import Task
from tests.tiny_encoders import save_bert, save_texts

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("accelerate", "torch", "transformers")),
    reason="the extra hf is not installed",
)

NOW = "2026-11-22T08:00:00+00:00"


class Here:
    """Calls functions in this process, which has loaded what they need."""

    def __init__(self, say=unsaid):
        self.say = say

    def end(self):
        """Nothing ends: it is this process."""

    def call(self, limit, function, *arguments):
        more = {"say": self.say} if "say" in function.__code__.co_varnames else {}
        return function(*arguments, **more)


@pytest.fixture(scope="module", autouse=True)
def on_one_thread():
    """Threads of a model this small would only wait for each other, all the more on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "core_count", lambda: 1)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distilled")
    save_bert(folder / "teacher")
    save_texts(folder / "texts.txt")
    return folder


def task_of(place, output, *, say=unsaid, student="layers-2", **options):
    asked = DistillOptions(student=student, **{"steps": 3, "data": place / "texts.txt"} | options)
    output.mkdir(exist_ok=True)
    return Task(place / "teacher", student_names.parse(student), asked, output, Here(say), Here(say), output, NOW)


def interrupted_at(step):
    def say(what, _=0.0):
        if what.startswith(f"step {step} of"):
            raise KeyboardInterrupt

    return say


def test_a_student_is_made_once_and_then_returned_as_it_is(place, tmp_path):
    said = []
    first = distill.made(task_of(place, tmp_path))
    again = distill.made(task_of(place, tmp_path, say=lambda what, _=0.0: said.append(what)))

    assert first == again and not said
    texts = [(line,) for line in (place / "texts.txt").read_text().splitlines()]
    kept = learned.others(learned.read(tmp_path), [learned.digest_of_text(text) for text in texts], "--data", place)
    assert [given_texts.is_held_out(text) for text in texts] == [item in kept for item in range(len(texts))]
    assert ("layers-2", 2, 4, True) == (
        first.student.id,
        first.student.blocks,
        first.student.teacher_blocks,
        first.student.is_trained,
    )
    assert (3, 120) == (first.outcome.steps, first.items)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(first.files)
    assert sorted([*first.files, student_folder.LABEL]) == sorted(path.name for path in tmp_path.iterdir())


def test_an_interrupt_says_what_is_kept_and_the_next_run_goes_on_there(place, tmp_path):
    with pytest.raises(KeyboardInterrupt) as end:
        distill.made(task_of(place, tmp_path, say=interrupted_at(3)))
    said = []

    made = distill.made(task_of(place, tmp_path, say=lambda what, _=0.0: said.append(what)))

    assert ["what was learned until step 2 is kept, and the same command goes on from there"] == end.value.__notes__
    assert not [what for what in said if what.startswith("step 2 ")] and made.outcome.steps == 3


def test_an_interrupt_before_the_first_checkpoint_keeps_nothing_and_says_nothing(place, tmp_path):
    with pytest.raises(KeyboardInterrupt) as end:
        distill.made(task_of(place, tmp_path, say=interrupted_at(1)))

    assert not hasattr(end.value, "__notes__")
    assert [] == list(tmp_path.iterdir())


def test_another_question_is_refused_and_the_student_stays_whole(place, tmp_path):
    first = distill.made(task_of(place, tmp_path))

    with pytest.raises(InputError, match="holds the student layers-2"):
        distill.made(task_of(place, tmp_path, seed=1))
    assert first == distill.made(task_of(place, tmp_path))


def test_bad_data_is_refused_before_anything_that_is_there_is_replaced(place, tmp_path):
    first = distill.made(task_of(place, tmp_path))

    with pytest.raises(InputError, match="no such file"):
        distill.made(task_of(place, tmp_path, data=place / "absent.txt", fresh=True))
    assert first == distill.made(task_of(place, tmp_path))


def test_files_that_were_changed_are_made_again(place, tmp_path):
    first = distill.made(task_of(place, tmp_path))
    (tmp_path / "config.json").write_text("{}")

    assert first.files == distill.made(task_of(place, tmp_path)).files


def report(done_s, of_s, what, *, line=None):
    """Tell nobody."""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"student": "layers-2", "model": "texts.txt"}, "is a file, and such students are made of Hugging Face checkpoints"),
        ({"student": "trees-2", "model": "teacher"}, "is a folder, and such students are made of an .onnx file"),
        ({"student": "smaller"}, "names no student"),
        ({"model": "absent"}, "no such file or directory"),
        ({"output": "teacher"}, "a folder that advisor did not make, where students would lie"),
        ({"output": "."}, "a folder that advisor did not make"),
        ({"output": "/"}, "not a folder that students can lie in"),
        ({"output": "texts.txt"}, "not a folder"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_left(place, change, fault):
    asked = {"student": "layers-2", "model": "teacher", "output": "student"} | change
    before = sorted(place.rglob("*"))

    with pytest.raises(InputError, match=fault):
        distill.distill(
            place / asked["model"],
            place / asked["output"],
            DistillOptions(student=asked["student"], data=place / "texts.txt"),
            now=NOW,
            report=report,
        )
    assert before == sorted(place.rglob("*"))


def test_a_folder_that_holds_the_data_is_not_written_to(place, tmp_path):
    (tmp_path / ".serving-advisor").touch()
    data = Path(shutil.copy(place / "texts.txt", tmp_path))

    with pytest.raises(InputError, match=r"lies in .*, where students"):
        distill.distill(place / "teacher", tmp_path, DistillOptions(student="layers-2", data=data), now=NOW, report=report)


def test_time_left_follows_from_the_steps_that_were_heard_of(monkeypatch):
    told, clock = [], iter([0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr(distill.time, "monotonic", lambda: next(clock))
    heard = distill._Heard(lambda done_s, of_s, what: told.append((done_s, of_s)), None)

    for what in ("loading the models", "step 1 of 4", "step 2 of 4"):
        heard(what)

    assert [(10.0, math.inf), (20.0, math.inf), (30.0, 50.0)] == told


def test_no_time_left_is_made_up_for_a_student_that_is_fitted(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(distill, "made", lambda task: task.training._hears("fitting the student"))
    monkeypatch.setattr(distill.model_folder, "chosen", lambda model: model)
    (tmp_path / "forest.onnx").touch()
    (tmp_path / "rows.csv").touch()
    options = DistillOptions(student="mlp", data=tmp_path / "rows.csv")

    distill.distill(tmp_path / "forest.onnx", tmp_path / "made", options, now=NOW, report=lambda *given: told.append(given))

    assert [(math.inf, "fitting the student")] == [given[1:] for given in told]
