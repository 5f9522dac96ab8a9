"""The students that a profile is asked for: those proposed, those named, and those that the user trained."""

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import NamedTuple

from advisor.disk.reading import refuse_special
from advisor.errors import AdvisorError, InputError
from advisor.files.records import read_json
from advisor.measure.distillation import student_files, student_names
from advisor.measure.distillation.student_files import StudentFile, Teacher
from advisor.measure.quality import learned as learned_items
from advisor.measure.quality.learned import Learned
from advisor.measure.worker.apart import Apart
from advisor.schema.distillation import Distilled, Student
from advisor.schema.options import ProfileOptions
from advisor.schema.record import Exclusion
from advisor.steps import model_folder
from advisor.steps.examples import GivenModel

LABEL = "student.json"  # beside the files of a student that advisor trained
KEY = "--student"
LEARN_FROM_TEXTS = ("blocks", "static")  # kinds of students


class Students(NamedTuple):
    """The files of students in order of hope, what none could be made of, and a note where none was asked for."""

    files: tuple[StudentFile, ...] = ()
    learned: Learned = learned_items.NOTHING
    exclusions: tuple[Exclusion, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """What they are called."""
        return frozenset(made.id for made in self.files)

    @property
    def sha256(self) -> tuple[str, ...]:
        """The digests of their files, in order."""
        return tuple(made.graph.sha256 for made in self.files)


def students_of(
    apart: Apart,
    model: GivenModel,
    baseline: Path,
    folder: Path,
    options: ProfileOptions,
    *,
    taken: Iterable[str],
    is_planned: bool,
) -> Students:
    """Return the students that the options name, their files written to `folder`; `taken` are names of other variants.

    Where they name none and the model's life is planned, note which there could be. Raises InputError or ModelError for a student that is
    named and cannot be.
    """
    teacher = Teacher(facts=model.facts, file=baseline, checkpoint=model.path if model.path.is_dir() else None)
    if not options.students:
        return Students(notes=_note(apart, teacher)) if is_planned else Students()
    names, given, left_out = _asked(apart, teacher, options.students)
    files = []
    for name, is_named in names.items():
        try:
            files.append(apart.call(model_folder.reading(name), student_files.made, teacher, name, folder))
        except AdvisorError as error:
            if is_named:
                raise
            left_out.append(Exclusion(what=name, reason=_of(teacher, error)))
    known, learned = {*taken, *names}, learned_items.NOTHING
    for number, path in enumerate(given):
        name = free_name(path, known)
        known.add(name)
        label = label_of(path)
        files.append(_given(apart, teacher, path, folder / "students" / str(number), name, label))
        learned = _with(learned, name, learned_items.read(folder_of(path)), label)
    return Students(tuple(files), learned, tuple(left_out))


def paths_in(students: Iterable[str]) -> tuple[Path, ...]:
    """Return those of the students that are given as files or folders."""
    return tuple(Path(text) for text in students if text != student_names.AUTO and not student_names.is_name(text))


def _asked(apart: Apart, teacher: Teacher, texts: tuple[str, ...]) -> tuple[dict[str, bool], list[Path], list[Exclusion]]:
    """Return the names to make students of, each with whether the user named it; the files of trained ones; and what there is none of."""
    names: dict[str, bool] = {student_names.parse(text).id: True for text in texts if student_names.is_name(text)}
    left_out: list[Exclusion] = []
    if student_names.AUTO in texts:
        try:
            for name in _proposed(apart, teacher):
                names.setdefault(name, False)
        except AdvisorError as error:
            left_out.append(Exclusion(what="students", reason=_of(teacher, error)))
    paths = list(paths_in(texts))
    for path in paths:
        if not path.exists():
            proposed = ", ".join(_or_none(apart, teacher))
            raise InputError(
                f"{KEY}: {str(path)[:200]!r} names no student, and there is no such file or folder",
                hint=f"students of this model: {proposed or 'none is known'}; or give the folder of one that you trained",
            )
        refuse_special(path, KEY)
    return names, paths, left_out


def _of(teacher: Teacher, error: AdvisorError) -> str:
    """Return what is wrong, without the name of the model: the report is about no other."""
    return error.fault.removeprefix(f"{teacher.file}: ")


def _proposed(apart: Apart, teacher: Teacher) -> tuple[str, ...]:
    return apart.call(model_folder.reading(teacher.facts.name), student_files.proposed, teacher)


def _or_none(apart: Apart, teacher: Teacher) -> tuple[str, ...]:
    try:
        return _proposed(apart, teacher)
    except AdvisorError:
        return ()


def _note(apart: Apart, teacher: Teacher) -> tuple[str, ...]:
    """Return that smaller models could be timed, where there are any."""
    proposed = _or_none(apart, teacher)
    if not proposed:
        return ()
    return (f"smaller models in its place can be timed before anyone trains them: --student auto ({', '.join(proposed)})",)


def free_name(path: Path, taken: set[str]) -> str:
    """Return what a student of the user's is called: as its folder or file, numbered where that is taken."""
    stem = path.absolute().name if path.is_dir() else path.stem
    candidates = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    return next(name for name in candidates if name not in taken)


def _with(learned: Learned, name: str, found: bytes | None, known: Student | None) -> Learned:
    """Return what students learned from, with a further one, whose digests are `found`."""
    if found is None or known is None:
        return learned._replace(not_known=(*learned.not_known, name))
    if known.kind in LEARN_FROM_TEXTS:
        return learned._replace(texts=learned.texts + found)
    return learned._replace(rows=learned.rows + found)


def folder_of(path: Path) -> Path:
    """Return the folder of a student that is given as its folder, or as a file in it."""
    return path if path.is_dir() else path.parent


def label_of(path: Path) -> Student | None:
    """Return what `advisor distill` wrote down of a student, None of one that was trained otherwise; raise InputError for no student."""
    label = folder_of(path) / LABEL
    if label.is_file():
        return read_json(label, Distilled, made_by="advisor distill").student
    if path.is_dir() and not any(path.iterdir()):
        raise InputError(f"{KEY}: {path}: an empty folder", hint="give the folder that `advisor distill` wrote, or a checkpoint")
    return None


def _given(apart: Apart, teacher: Teacher, path: Path, folder: Path, name: str, known: Student | None) -> StudentFile:
    """Return a student that the user trained; raise InputError unless it takes the model's place."""
    limit = model_folder.reading(str(path))
    chosen = apart.call(limit, model_folder.chosen, path)
    file = apart.call(limit, model_folder.onnx_file, chosen, folder)
    graph = model_folder.in_the_place_of(apart, file, teacher.facts, KEY, shown=path)
    return apart.call(limit, student_files.given, teacher, file, graph, name, known)
