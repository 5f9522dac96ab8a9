"""A smaller model of rows of numbers learns what its teacher gives on the user's table. A doorway to `sklearn` and `skl2onnx`."""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.errors import InputError, MissingDependencyError, ModelError
from advisor.measure.distillation import student_names
from advisor.measure.distillation.student_names import StudentName
from advisor.measure.distillation.training import holding_out, nearness
from advisor.measure.distillation.training.holding_out import KEY, Counted
from advisor.measure.distillation.tree_students import HIDDEN
from advisor.measure.model import input_rows, onnx_file, onnx_graph, operator_cost
from advisor.measure.quality import examples, learned
from advisor.measure.quality.evaluation import labels_of
from advisor.measure.runtime import ort_session
from advisor.measure.runtime.ort_session import Say, unsaid
from advisor.schema.distillation import Outcome
from advisor.schema.model import ModelFacts, ModelInput, ModelOutput
from advisor.schema.record import Record

ROWS_A_CALL = 4096
LABEL_SHARE = 0.5  # of what is learned, where there are labels; the rest is the teacher (Hinton et al. 2015, arXiv:1503.02531)
LEAST_WEIGHT = 0.01  # of a class in what is learned of an item: less is left out
MOST_ITERATIONS = 200
CLASS_NAMES = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")


class Fitted(Record, frozen=True, kw_only=True):
    """What fitting a student came to."""

    trees: int | None  # that it has, and its teacher
    teacher_trees: int | None
    outcome: Outcome


class Table(NamedTuple):
    """The user's rows, and what is learned of each: a share of every class (items, classes), or a number (items, 1)."""

    rows: np.ndarray
    targets: np.ndarray


class Teacher(NamedTuple):
    """What a teacher gives, and by which of its parts a student is laid out."""

    classes: tuple[str | int, ...]  # none: it gives a number
    scores: np.ndarray  # (items, classes) or (items, 1)
    trees: tuple[dict[str, Any], ...]  # attributes of its ensembles


def counted(facts: ModelFacts, model: Path, data: Path) -> Counted:
    """Return what the user's table is known by; raise InputError where it is none for this model, or has too few items."""
    rows = _read(facts, model, data)
    digests = examples.item_digests(facts.inputs, rows)
    others = [digest for digest in digests if not holding_out.is_held_out(digest)]
    held_out = len(digests) - len(others)
    holding_out.refuse_few(len(others), held_out, data, "items")
    return Counted(examples.digest_of(rows), len(digests), held_out, learned.packed(others))


def fit(facts: ModelFacts, model: Path, data: Path, student_id: str, target: Path, seed: int, say: Say = unsaid) -> Fitted:
    """Fit a student to the teacher's outputs, and to labels where the table has them; write it as ONNX with the same inputs and outputs.

    For a process of its own. Raise InputError for a model that takes or gives something else than rows of numbers.
    """
    begun_s = time.monotonic()
    name = student_names.parse(student_id)
    entry = _only_input(facts, model)
    say("reading the table")
    rows = _read(facts, model, data)
    values, digests = rows[entry.name], examples.item_digests(facts.inputs, rows)
    held_out = np.array([holding_out.is_held_out(digest) for digest in digests])
    say("asking the teacher", ort_session.loading_s(model))
    teacher = _asked(model, facts, entry, values, say)
    labels = labels_of(rows)
    targets = _targets(teacher, labels, data)
    say("fitting the student")
    student = _estimator(name, teacher, facts, seed)
    _learn(student, Table(values[~held_out], targets[~held_out]), teacher)
    say("writing the student")
    _write(student, entry, facts, teacher, model, target)
    say("comparing with the teacher")
    own = _scores(ort_session.open_session(target), facts, entry, values[held_out])
    metric, agreement = nearness.estimated(_figures(teacher, own, teacher.scores[held_out]), seed)
    outcome = Outcome(
        learned="classes" if teacher.classes else "values",
        has_labels=labels is not None,
        seconds=time.monotonic() - begun_s,
        metric=metric,
        agreement=agreement,
    )
    return Fitted(trees=_count(_ensembles(_attributes(target))), teacher_trees=_count(teacher.trees), outcome=outcome)


def _read(facts: ModelFacts, model: Path, data: Path) -> dict[str, np.ndarray]:
    rows = examples.read_examples(f"./{data.name}", data.parent, facts.inputs, KEY, model=model)
    input_rows.check_rows(facts.inputs, rows, data)
    return rows


def _only_input(facts: ModelFacts, model: Path) -> ModelInput:
    """Return the input; raise InputError unless it is the only one, a row of numbers for each item."""
    entry = facts.inputs[0]
    if (
        len(facts.inputs) > 1
        or len(entry.shape) != 2
        or not entry.dtype.startswith("float")
        or not isinstance(entry.shape[1], int)
    ):
        raise InputError(
            f"{model}: its inputs are {', '.join(f'{it.name} {it.dtype} {list(it.shape)}' for it in facts.inputs)}",
            hint="students of tables are of models with one input, floats [items, columns] with so many columns",
        )
    return entry


# --- the teacher ------------------------------------------------------------------------------------------------------------


def _asked(model: Path, facts: ModelFacts, entry: ModelInput, values: np.ndarray, say: Say) -> Teacher:
    session = ort_session.told(ort_session.open_session(model), say)
    parts = _attributes(model)
    named = next((part[key] for part in parts for key in CLASS_NAMES if part.get(key)), None)
    trees = _ensembles(parts)
    scores = _scores(session, facts, entry, values)
    if scores.shape[1] == 1 and named is None:
        return Teacher((), scores, trees)
    if scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise InputError(f"{model}: it gives no scores of two classes or more", hint="export it with its probabilities")
    names = tuple(_plain(name) for name in named) if named is not None else tuple(range(scores.shape[1]))
    if len(names) != scores.shape[1]:
        raise ModelError(f"{model}: names {len(names)} classes and gives {scores.shape[1]} scores", hint="export it again")
    return Teacher(names, _shares(scores), trees)


def _attributes(model: Path) -> list[dict[str, Any]]:
    return [onnx_graph.attributes(node) for graph in onnx_file.graphs(onnx_file.load(model)) for node in graph.node]


def _ensembles(parts: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(part for part in parts if "nodes_treeids" in part)


def _count(trees: Sequence[dict[str, Any]]) -> int | None:
    """Return how many trees there are, None where there is none."""
    return sum(len(set(part["nodes_treeids"])) for part in trees) or None


def _plain(name: Any) -> str | int:
    return name.decode(errors="replace") if isinstance(name, bytes) else name if isinstance(name, str) else int(name)


def _scores(session: Any, facts: ModelFacts, entry: ModelInput, values: np.ndarray) -> np.ndarray:
    """Return the scores of classes (items, classes) that a model gives, or its number (items, 1)."""
    size = ROWS_A_CALL if facts.batching.possible else 1
    found = []
    for first in range(0, len(values), size):
        given = values[first : first + size].astype(entry.dtype)
        outputs = ort_session.run(session, {entry.name: given})
        floats = [value for value in outputs.values() if value.dtype.kind == "f"]
        found.append(max(floats, key=lambda value: value.ndim, default=np.empty((len(given), 0))).reshape(len(given), -1))
    return np.concatenate(found).astype(np.float64)


def _shares(scores: np.ndarray) -> np.ndarray:
    """Return scores as shares of one: probabilities as they are, any others by softmax."""
    sums = scores.sum(axis=1, keepdims=True)
    if (scores >= 0).all() and np.allclose(sums, 1.0, atol=1e-3):
        return np.asarray(scores / sums)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _targets(teacher: Teacher, labels: np.ndarray | None, data: Path) -> np.ndarray:
    """Return what is learned of each item: what the teacher gives, and half of it what is true where there are labels."""
    if labels is None:
        return teacher.scores
    if labels.shape != (len(teacher.scores),) or (not teacher.classes and labels.dtype.kind not in "biuf"):
        raise InputError(
            f"{KEY}: {data}: its labels are not one for each item", hint="store one label an item, or leave them out"
        )
    if not teacher.classes:
        truth = labels.astype(np.float64)[:, np.newaxis]
    else:
        places = {name: place for place, name in enumerate(teacher.classes)}
        given = labels.tolist()
        unknown = next((label for label in given if label not in places), None)
        if unknown is not None:
            raise InputError(
                f"{KEY}: {data}: label {str(unknown)[:100]!r} is none of the model's classes",
                hint="name labels as the model names its classes",
            )
        truth = np.eye(len(places))[[places[label] for label in given]]
    return np.asarray((1 - LABEL_SHARE) * teacher.scores + LABEL_SHARE * truth)


# --- the student ------------------------------------------------------------------------------------------------------------


def _estimator(name: StudentName, teacher: Teacher, facts: ModelFacts, seed: int) -> Any:
    """Return what is fitted, not fitted yet."""
    try:
        from sklearn import ensemble, linear_model, neural_network, pipeline, preprocessing
    except ImportError as error:
        raise MissingDependencyError(
            f"--student {name.id}: to fit it needs scikit-learn and skl2onnx ({error.name} is missing)",
            hint="pip install 'serving-advisor[students]'",
        ) from error
    has_classes, state = bool(teacher.classes), seed % 2**32
    if name.kind == "trees":
        return _ensemble(ensemble, name, teacher, facts, state)
    if name.kind == "linear":
        last = linear_model.LogisticRegression(max_iter=MOST_ITERATIONS) if has_classes else linear_model.Ridge()
    elif name.kind == "mlp":
        network = neural_network.MLPClassifier if has_classes else neural_network.MLPRegressor
        last = network(hidden_layer_sizes=(HIDDEN,), max_iter=MOST_ITERATIONS, random_state=state)
    else:
        raise InputError(f"--student {name.id}: no student of a table", hint="name trees-N, linear or mlp")
    return pipeline.Pipeline([("scaled", preprocessing.StandardScaler()), ("fitted", last)])


def _ensemble(library: Any, name: StudentName, teacher: Teacher, facts: ModelFacts, state: int) -> Any:
    """Return an ensemble of fewer trees, averaged or boosted as the teacher is, no deeper and with no more leaves a tree."""
    there = _count(teacher.trees)
    if there is None or name.blocks is None:
        raise InputError(f"--student {name.id}: {facts.name} is no ensemble of trees", hint="name linear or mlp")
    student_names.refuse_more(name.blocks, there, "trees", name.id, facts.name)
    leaves = [depths for part in teacher.trees for depths in operator_cost.leaf_depths(part).values()]
    # As large as the teacher's: shares of classes could be split without end.
    sizes = {"max_depth": max(1, *map(max, leaves)), "max_leaf_nodes": max(2, round(sum(map(len, leaves)) / len(leaves)))}
    kind = "Classifier" if teacher.classes else "Regressor"
    transforms = {part.get("post_transform", b"NONE") for part in teacher.trees}
    is_boosted = bool(transforms & {b"LOGISTIC", b"SOFTMAX", "LOGISTIC", "SOFTMAX"}) or any(
        part.get("base_values") for part in teacher.trees
    )
    if is_boosted:
        turns = 1 if len(teacher.classes) < 3 else len(teacher.classes)  # trees of a step
        boosted = getattr(library, f"GradientBoosting{kind}")
        return boosted(n_estimators=max(1, name.blocks // turns), **sizes, random_state=state)
    return getattr(library, f"RandomForest{kind}")(name.blocks, **sizes, random_state=state)


def _learn(student: Any, table: Table, teacher: Teacher) -> None:
    """Fit the student: an item counts once for each class, with the share of it that is to be learned as its weight."""
    rows, targets, weights = table.rows.astype(np.float32), table.targets[:, 0], np.ones(len(table.rows))
    if teacher.classes:
        items, places = np.nonzero(table.targets >= LEAST_WEIGHT)
        rows, weights = rows[items], table.targets[items, places]
        targets = np.array(teacher.classes)[places]
        absent = [name for place, name in enumerate(teacher.classes) if place not in set(places)]
        if absent:
            raise InputError(
                f"{KEY}: no item of the table is of class {absent[0]!r}, by the teacher or by labels",
                hint="give items of every class",
            )
    step = student.steps[-1][0] if hasattr(student, "steps") else None
    named = {"sample_weight": weights} if step is None else {f"{step}__sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could go on: it is stopped on purpose
        student.fit(rows, targets, **named)


def _figures(teacher: Teacher, own: np.ndarray, theirs: np.ndarray) -> dict[str, np.ndarray]:
    if not teacher.classes:
        return {"student": own[:, 0], "teacher": theirs[:, 0]}
    hits = own.argmax(axis=1) == theirs.argmax(axis=1)
    return {"hits": hits, "of": np.ones(len(hits), dtype=np.int64)}


def _write(student: Any, entry: ModelInput, facts: ModelFacts, teacher: Teacher, model: Path, target: Path) -> None:
    """Write the student in ONNX, its inputs and outputs called as the teacher's."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common import data_types

    columns = data_types.DoubleTensorType if entry.dtype == "float64" else data_types.FloatTensorType
    zipmap = "ZipMap" in onnx_graph.read_graph(model).operators
    names = _output_names(facts.outputs, has_classes=bool(teacher.classes), model=model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about itself
        made = convert_sklearn(
            student,
            name="student",
            initial_types=[(entry.name, columns([None, entry.shape[1]]))],
            options={id(student): {"zipmap": zipmap}} if teacher.classes else None,
        )
    _rename(made.graph, dict(zip([output.name for output in made.graph.output], names, strict=True)))
    wanted = [output.name for output in facts.outputs]
    kept = [output for output in made.graph.output if output.name in wanted]
    del made.graph.output[:]
    made.graph.output.extend(sorted(kept, key=lambda output: wanted.index(output.name)))
    onnx_file.save_whole(made, target, apart=False)


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Give outputs of a graph other names."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for output in graph.output:
        output.name = names[output.name]


def _output_names(outputs: Sequence[ModelOutput], *, has_classes: bool, model: Path) -> list[str]:
    """Return how the student's outputs are called: of classes first the label, then the scores; one that the teacher lacks gets a name."""
    labels = [output.name for output in outputs if output.dtype.startswith(("int", "string"))]
    scores = [output.name for output in outputs if output.name not in labels]
    if len(labels) > 1 or len(scores) != 1 or (labels and not has_classes):
        raise InputError(
            f"{model}: its outputs are {', '.join(output.name for output in outputs)}",
            hint="students of tables are of models that give a number, or scores of classes with or without their label",
        )
    return [*(labels or ["~label"]), *scores] if has_classes else scores
