"""The ONNX files of students: cut out of a graph or a checkpoint and kept as long as both stay the same, or given by the user."""

from pathlib import Path

from advisor import __version__
from advisor.disk import temporary
from advisor.errors import InputError, ModelError
from advisor.measure.distillation import checkpoint_students, graph_students, student_names, tree_students
from advisor.measure.distillation.student_names import StudentName
from advisor.measure.model import checkpoint, kept_files, onnx_graph
from advisor.measure.runtime import memory
from advisor.schema.distillation import Student, StudentKind
from advisor.schema.model import Graph, ModelFacts
from advisor.schema.record import Record
from advisor.units import size

COPIES = 3  # of a model that is cut: as it is read, as it is parsed, as it is written
OF_TRANSFORMERS, OF_TREES = "layers-N, width-N, layers-N-width-N", "trees-N, linear, mlp"


class StudentFile(Record, frozen=True, kw_only=True):
    """A student as a file that takes the model's place: its name among the variants, and what it is."""

    id: str
    title: str
    path: Path
    graph: Graph
    student: Student


class Teacher(Record, frozen=True, kw_only=True):
    """What students are cut from: the ONNX file of the model, and the checkpoint that it was exported from, if it was."""

    facts: ModelFacts
    file: Path
    checkpoint: Path | None


def proposed(teacher: Teacher) -> tuple[str, ...]:
    """Return the students to try for a model, in order of hope; raise InputError or ModelError, which say why, where it can have none."""
    if teacher.facts.family == "tree":
        return student_names.proposed_trees(tree_students.count_trees(teacher.file))
    if teacher.checkpoint is not None and checkpoint_students.is_cut(teacher.checkpoint):
        return checkpoint_students.proposed(teacher.checkpoint)
    return student_names.proposed_blocks(graph_students.count_blocks(teacher.file), width=None)


def made(teacher: Teacher, student_id: str, folder: Path) -> StudentFile:
    """Return the file of a student that nobody has trained, written to the folder unless it is there already.

    Raise InputError for one that the model cannot have, ModelError where it cannot be made.
    """
    name = student_names.parse(student_id)
    _refuse_other_kinds(teacher, name)
    there = count_blocks(teacher)
    if name.blocks is not None:
        what = "trees" if name.kind == "trees" else "layers"
        student_names.refuse_more(name.blocks, there, what, name.id, teacher.facts.name)
    path = folder / f"{name.id}.onnx"
    of_checkpoint = None if teacher.checkpoint is None else checkpoint.digest(teacher.checkpoint)
    recipe = kept_files.recipe(
        (teacher.facts.sha256, of_checkpoint, name.id, kept_files.versions_of(*kept_files.TOOLS), __version__)
    )
    if not kept_files.is_kept(path, recipe):
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.folder(folder) as scratch:
            _write(teacher, name, there, scratch / path.name)
            for file in scratch.glob(f"{path.name}*"):
                file.replace(folder / file.name)
        kept_files.keep(path, recipe)
    graph = onnx_graph.read_graph(path)
    _refuse_other_inputs(teacher, graph, name)
    left = name.blocks or (there if name.kind == "blocks" else None)
    student = _student(teacher, graph, name.id, name.kind, left, there, is_trained=False)
    return StudentFile(id=name.id, title=_title(student, teacher), path=path, graph=graph, student=student)


def given(teacher: Teacher, path: Path, graph: Graph, name: str, known: Student | None) -> StudentFile:
    """Return a student that the user trained; `known` is what was written down of it where advisor trained it."""
    kind: StudentKind = "trees" if teacher.facts.family == "tree" else "blocks"
    student = known or _student(teacher, graph, name, kind, None, None, is_trained=True)
    title = f"{student.id}, a student of {teacher.facts.name}, as trained"
    return StudentFile(id=name, title=title, path=path, graph=graph, student=student)


def _refuse_other_kinds(teacher: Teacher, name: StudentName) -> None:
    """Raise InputError for a student of another kind than the model can have without training."""
    if name.kind == "static":
        raise InputError(
            f"--student {name.id}: vectors of words are made from texts, in seconds, and are no part of {teacher.facts.name}",
            hint="make it with `advisor distill`, and give its folder: --student PATH",
        )
    is_tree = teacher.facts.family == "tree"
    if (name.kind == "blocks") == is_tree:
        what = "an ensemble of trees" if is_tree else "no ensemble of trees"
        forms = OF_TREES if is_tree else OF_TRANSFORMERS
        raise InputError(f"--student {name.id}: {teacher.facts.name} is {what}", hint=f"students of it: {forms}")


def _refuse_other_inputs(teacher: Teacher, graph: Graph, name: StudentName) -> None:
    """Raise ModelError for a student that cannot be asked what the model is asked: one of fewer layers keeps a smaller cache."""
    ours, theirs = ({entry.name for entry in inputs} for inputs in (teacher.facts.inputs, graph.inputs))
    if ours != theirs:
        raise ModelError(
            f"--student {name.id}: it takes other inputs than {teacher.facts.name} ({', '.join(sorted(ours ^ theirs)[:3])})",
            hint="make it with `advisor distill`, and profile its folder by itself",
        )


def _write(teacher: Teacher, name: StudentName, there: int, target: Path) -> None:
    """Write the ONNX file of a student; what is in between goes beside it."""
    needed, room = COPIES * teacher.facts.file_bytes, memory.available_bytes()
    if room is not None and needed > room:
        raise InputError(
            f"--student {name.id}: cutting {teacher.facts.name} takes about {size(needed)}; {size(room)} of memory are free here",
            hint="use a machine with more memory",
        )
    if name.kind != "blocks":
        tree_students.cut(teacher.file, name, target)
    elif name.width is None and _has_blocks(teacher, there):
        assert name.blocks is not None
        graph_students.cut(teacher.file, name.blocks, target)
    elif teacher.checkpoint is None:
        raise InputError(
            f"--student {name.id}: a graph alone does not say how to make it narrower",
            hint="give the checkpoint that it was exported from, or leave out layers alone: layers-N",
        )
    else:
        folder = target.with_name("checkpoint")
        checkpoint.export(checkpoint_students.cut(teacher.checkpoint, name.id, folder), target)


def _has_blocks(teacher: Teacher, wanted: int) -> bool:
    """Return whether the graph of a model repeats as many blocks as the model has layers, each of which can be left out there."""
    try:
        return graph_students.count_blocks(teacher.file) == wanted
    except ModelError:
        return False


def count_blocks(teacher: Teacher) -> int:
    """Return how many layers or trees a model has; raise InputError or ModelError, which say why, where it can have no students."""
    if teacher.facts.family == "tree":
        return tree_students.count_trees(teacher.file)
    if teacher.checkpoint is not None and checkpoint_students.is_cut(teacher.checkpoint):
        return checkpoint_students.count_layers(teacher.checkpoint)
    return graph_students.count_blocks(teacher.file)


def _student(
    teacher: Teacher,
    graph: Graph,
    student_id: str,
    kind: StudentKind,
    blocks: int | None,
    teacher_blocks: int | None,
    *,
    is_trained: bool,
) -> Student:
    return Student(
        id=student_id,
        kind=kind,
        blocks=blocks,
        teacher_blocks=teacher_blocks,
        parameters=max(1, graph.parameters),
        teacher_parameters=max(1, teacher.facts.parameters),
        is_trained=is_trained,
    )


def _title(student: Student, teacher: Teacher) -> str:
    """Return what a student that nobody has trained is, in words."""
    of = f"of {teacher.facts.name}, not trained"
    if student.kind in ("linear", "mlp"):
        return f"{'a linear model' if student.kind == 'linear' else 'a multi-layer perceptron'} in the place {of}"
    name, what = student_names.parse(student.id), "trees" if student.kind == "trees" else "layers"
    kept = [] if name.blocks is None else [f"{name.blocks} of {student.teacher_blocks} {what}"]
    kept += [] if name.width is None else [f"{name.width} wide"]
    return f"{', '.join(kept)} {of}"
