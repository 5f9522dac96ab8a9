"""A student is made: a smaller model learns from the one given on the user's data, into a folder that `recommend` takes."""

import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from advisor import __version__
from advisor.disk import locks, temporary
from advisor.disk.beside import owned
from advisor.disk.reading import refuse_special
from advisor.disk.writing import write_atomically
from advisor.errors import InputError
from advisor.measure.distillation import checkpoint_students, student_names
from advisor.measure.distillation.student_names import StudentName
from advisor.measure.distillation.training import given_texts, static_student, table_student, transformer_student
from advisor.measure.distillation.training.holding_out import Counted
from advisor.measure.model import checkpoint, kept_files, onnx_graph
from advisor.measure.quality import learned
from advisor.measure.variants.making import Report
from advisor.measure.worker.apart import Apart, Limit
from advisor.schema.distillation import Distilled, Outcome, Student
from advisor.schema.options import USUAL_TRAINING_S, DistillOptions
from advisor.schema.record import SCHEMA_VERSION
from advisor.steps import model_folder
from advisor.steps.distillation import student_folder
from advisor.units import parse_moment

STEP = re.compile(r"step (?P<done>[0-9]+) of (?P<of>[0-9]+)")
LIBRARIES = ("torch", "transformers", "accelerate", "model2vec", "scikit-learn", "skl2onnx", "numpy")
LONGEST_STEP_S = 3600.0  # of training, or of loading what it needs
UNLIMITED_S = 1e9  # of all steps: a training that was asked for so many of them takes its time
ONNX = "model.onnx"
# Threads of torch that wait for each other let go of their core: on a busy machine they would otherwise take twice as long.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


class Task(NamedTuple):
    """What is asked for, looked at: which student of which model, from what, and where it comes to lie."""

    model: Path
    name: StudentName
    options: DistillOptions
    output: Path
    apart: Apart  # for looking at what was given
    training: Apart  # of which every step is reported
    scratch: Path  # of temporary files
    now: str


def distill(model: Path, output: Path, options: DistillOptions, *, now: str, report: Report) -> Distilled:
    """Make a student of the model in the folder `output`; go on where an interrupted run of the same command stopped.

    A finished one of the same question is returned as it is, unless `options.fresh`. Raise InputError or ModelError for what cannot be
    made, while what was made before stays whole.
    """
    now, name = parse_moment(now), student_names.parse(options.student)
    if options.steps is None and options.budget_s is None:
        options = options._replace(budget_s=USUAL_TRAINING_S)
    refuse_special(model)
    if not model.exists():
        raise InputError(f"{model}: no such file or directory", hint="give an .onnx file or a Hugging Face checkpoint directory")
    model = model_folder.chosen(model)
    if not output.absolute().name:
        raise InputError(f"{output}: not a folder that students can lie in", hint="name another folder with -o")
    with (
        locks.held(output.absolute()),
        owned(output, inputs=(model, options.data), what="students"),
        temporary.home() as scratch,
        Apart() as apart,
        Apart(_Heard(report, options.budget_s if name.kind == "blocks" else None), PATIENT) as training,
    ):
        temporary.remove_abandoned(output)
        return made(Task(model, name, options, output, apart, training, scratch, now))


def made(task: Task) -> Distilled:
    """Make the student, in a folder that is ours and locked; an interrupt notes what of it is kept."""
    try:
        if task.name.kind == "blocks":
            return _of_blocks(task)
        return _of_vectors(task) if task.name.kind == "static" else _of_table(task)
    except KeyboardInterrupt as end:
        if (kept := student_folder.kept_in(task.output)) is not None:
            end.add_note(kept)
        raise


class _Heard:
    """Takes what a training says that it begins, and reports where it stands."""

    def __init__(
        self,
        report: Report,
        budget_s: float | None,  # None: it ends when it ends, as all do that are fitted and not trained step by step
    ) -> None:
        self._report, self._budget_s = report, budget_s
        self._begun_s = time.monotonic()
        self._first: tuple[int, float] | None = None  # step, and when it was heard of

    def __call__(self, what: str) -> None:
        now_s = time.monotonic()
        spent_s = now_s - self._begun_s
        expected_s = math.inf if self._budget_s is None else max(spent_s, self._budget_s)
        if (found := STEP.match(what)) is not None:
            done, of = int(found["done"]), int(found["of"])
            self._first = self._first or (done, now_s)
            if done > self._first[0]:
                expected_s = spent_s + (of - done) * (now_s - self._first[1]) / (done - self._first[0])
        self._report(spent_s, expected_s, what)


def _reading(task: Task) -> Limit:
    return model_folder.reading(str(task.options.data))


def _training(task: Task) -> Limit:
    return Limit(str(task.model), "starting", LONGEST_STEP_S, UNLIMITED_S)


def _recipe(task: Task, teacher_sha256: str, counted: Counted) -> str:
    """Return the digest of all that decides what the student becomes."""
    asked = (task.name.id, task.options.steps, task.options.budget_s, task.options.seed)
    made_of = (SCHEMA_VERSION, __version__, teacher_sha256, counted.sha256, asked, kept_files.versions_of(*LIBRARIES))
    return kept_files.recipe(made_of)


class Question(NamedTuple):
    """What a student answers: the digests of its teacher and of all that it is made of, and its data."""

    teacher_sha256: str
    recipe: str
    counted: Counted


def _answered(task: Task, question: Question, make: Callable[[Path, Path], tuple[Student, Outcome]]) -> Distilled:
    """Return the student that is there already, or have it made: `make` trains in one folder and writes to another."""
    known = student_folder.finished(task.output, question.recipe, fresh=task.options.fresh)
    if known is not None:
        return known
    task.apart.end()  # and the memory that it holds
    training = student_folder.training_in(task.output, fresh=task.options.fresh)
    final = training / student_folder.FINAL
    final.mkdir()
    try:
        student, outcome = make(training, final)
        write_atomically(final / learned.FILE, question.counted.learned)
    except BaseException:
        if student_folder.kept_in(task.output) is None:
            student_folder.forget(task.output)
        raise
    record = Distilled(
        schema_version=SCHEMA_VERSION,
        recipe=question.recipe,
        created=task.now,
        advisor_version=__version__,
        teacher_sha256=question.teacher_sha256,
        student=student,
        files=student_folder.moved(final, task.output),
        data_sha256=question.counted.sha256,
        items=question.counted.items,
        held_out_items=question.counted.held_out,
        steps=task.options.steps,
        budget_s=task.options.budget_s,
        seed=task.options.seed,
        versions={name: version for name in LIBRARIES if (version := kept_files.versions_of(name)[0]) is not None},
        outcome=outcome,
    )
    student_folder.finish(task.output, record)
    return record


# --- kinds of students ------------------------------------------------------------------------------------------------------


def _checkpoint_question(task: Task) -> Question:
    """Return the question of a student of a checkpoint; raise InputError for a model that is none, or cannot read texts."""
    if not task.model.is_dir():
        raise InputError(
            f"--student {task.name.id}: {task.model} is a file, and such students are made of Hugging Face checkpoints",
            hint="give the folder that save_pretrained wrote; of tables: trees-N, linear, mlp",
        )
    reading = model_folder.reading(str(task.model))
    digest = task.apart.call(reading, checkpoint.digest, task.model)
    task.apart.call(reading, transformer_student.check_teacher, task.model)
    counted = task.apart.call(_reading(task), given_texts.counted, task.options.data)
    return Question(digest, _recipe(task, digest, counted), counted)


def _of_blocks(task: Task) -> Distilled:
    question = _checkpoint_question(task)

    def make(training: Path, final: Path) -> tuple[Student, Outcome]:
        start = training / student_folder.START
        if not start.exists():
            task.training.call(model_folder.reading(str(task.model)), checkpoint_students.cut, task.model, task.name.id, start)
        options = task.options
        asked = transformer_student.Asked(options.steps, options.budget_s, options.seed, question.recipe)
        outcome = task.training.call(
            _training(task), transformer_student.train, task.model, start, training, options.data, asked, final
        )
        return checkpoint_students.described(task.model, task.name.id, final, is_trained=True), outcome

    return _answered(task, question, make)


def _of_vectors(task: Task) -> Distilled:
    question = _checkpoint_question(task)

    def make(_: Path, final: Path) -> tuple[Student, Outcome]:
        exported = model_folder.file_of(task.training, task.model, task.scratch)
        facts = model_folder.facts_of(task.training, task.model, exported, (), None)
        fitted = task.training.call(
            _training(task), static_student.fit, task.model, facts, task.options.data, final / ONNX, task.options.seed
        )
        for name in checkpoint_students.BESIDE:
            if (task.model / name).is_file():
                shutil.copyfile(task.model / name, final / name)
        return _described(task, fitted.parameters, facts.parameters), fitted.outcome

    return _answered(task, question, make)


def _of_table(task: Task) -> Distilled:
    if task.model.is_dir():
        raise InputError(
            f"--student {task.name.id}: {task.model} is a folder, and such students are made of an .onnx file that reads rows of numbers",
            hint="of checkpoints: layers-N, width-N, layers-N-width-N, static",
        )
    exported = model_folder.file_of(task.apart, task.model, task.scratch)
    facts = model_folder.facts_of(task.apart, task.model, exported, (), None)
    counted = task.apart.call(_reading(task), table_student.counted, facts, task.model, task.options.data)
    question = Question(facts.sha256, _recipe(task, facts.sha256, counted), counted)

    def make(_: Path, final: Path) -> tuple[Student, Outcome]:
        target = final / ONNX
        fitted = task.training.call(
            _training(task), table_student.fit, facts, exported, task.options.data, task.name.id, target, task.options.seed
        )
        parameters = task.training.call(_training(task), onnx_graph.read_graph, target).parameters
        return _described(task, parameters, facts.parameters, fitted.trees, fitted.teacher_trees), fitted.outcome

    return _answered(task, question, make)


def _described(task: Task, parameters: int, others: int, blocks: int | None = None, of: int | None = None) -> Student:
    return Student(
        id=task.name.id,
        kind=task.name.kind,
        blocks=blocks,
        teacher_blocks=of,
        parameters=max(1, parameters),
        teacher_parameters=max(1, others),
        is_trained=True,
    )
