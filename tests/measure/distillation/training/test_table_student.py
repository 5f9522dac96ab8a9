"""A smaller model of a table learns what its teacher gives, and takes its place: the same inputs, the same outputs."""

import importlib.util

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.distillation.training import table_student
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.model.onnx_graph import read_graph
from advisor.measure.runtime import ort_session
from tests import models

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("sklearn", "skl2onnx")),
    reason="scikit-learn and skl2onnx are not installed",
)

ITEMS = 300


def rows(seed=1, items=ITEMS):
    return np.random.default_rng(seed).standard_normal((items, 2)).astype(np.float32)


def save_table(path, values, labels=None, name="rows"):
    header = [f"{name}_{column}" for column in range(values.shape[1])] + ([] if labels is None else ["label"])
    lines = [[*(repr(float(value)) for value in row)] for row in values]
    lines = lines if labels is None else [[*line, str(label)] for line, label in zip(lines, labels, strict=True)]
    path.write_text("\n".join(",".join(line) for line in (header, *lines)) + "\n")
    return path


def save_forest(folder, **options):
    return models.save(models.forest(**options), folder / "forest.onnx")


def save_sklearn(path, estimator, targets, *, zipmap=False):
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    estimator.fit(rows(2), targets)
    options = {id(estimator): {"zipmap": zipmap}} if hasattr(estimator, "classes_") else None
    made = convert_sklearn(estimator, initial_types=[("rows", FloatTensorType([None, 2]))], options=options)
    return models.save(made, path)


def fit(model, data, student, seed=0):
    target = data.with_name(f"{student}.onnx")
    facts = inspect_onnx(model, name=model.name)
    return table_student.fit(facts, model, data, student, target, seed), target


def outputs_of(path, values):
    return ort_session.run(ort_session.open_session(path), {"rows": values})


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("student", ["trees-2", "linear", "mlp"])
def test_a_student_takes_the_place_of_its_teacher(tmp_path, student, zipmap):
    model = save_forest(tmp_path, zipmap=zipmap, names=("low", "middle", "high"))

    found, target = fit(model, save_table(tmp_path / "table.csv", rows()), student)

    before, after = (inspect_onnx(path, name="model") for path in (model, target))
    assert [(it.name, it.dtype, it.shape) for it in before.inputs] == [(it.name, it.dtype, it.shape) for it in after.inputs]
    assert [(it.name, it.dtype) for it in before.outputs] == [(it.name, it.dtype) for it in after.outputs]
    expected, actual = outputs_of(model, rows(3)), outputs_of(target, rows(3))
    decided = next(name for name, values in expected.items() if values.dtype.kind in "US" or values.dtype == object)
    assert np.mean(expected[decided] == actual[decided]) > 0.6
    assert found.outcome.metric == "top1_agreement" and found.outcome.agreement.value > 0.6
    assert (2 if student == "trees-2" else None, 4) == (found.trees, found.teacher_trees)


def test_an_ensemble_that_is_boosted_stays_one(tmp_path):
    from sklearn.ensemble import GradientBoostingClassifier

    values = rows(2)
    teacher = GradientBoostingClassifier(n_estimators=20, max_depth=2, random_state=0)
    model = save_sklearn(tmp_path / "boosted.onnx", teacher, (values[:, 0] * values[:, 1] > 0).astype(int))

    found, target = fit(model, save_table(tmp_path / "table.csv", rows()), "trees-10")

    assert (10, 20) == (found.trees, found.teacher_trees)
    assert found.outcome.agreement.value > 0.7
    assert "TreeEnsembleClassifier" in read_graph(target).operators


def test_numbers_are_learned_too(tmp_path):
    from sklearn.ensemble import RandomForestRegressor

    model = save_sklearn(tmp_path / "numbers.onnx", RandomForestRegressor(8, max_depth=5, random_state=0), rows(2).sum(axis=1))

    for student in ("trees-4", "linear", "mlp"):
        found, target = fit(model, save_table(tmp_path / "table.csv", rows()), student)
        assert ("values", "pearson") == (found.outcome.learned, found.outcome.metric)
        assert found.outcome.agreement.value > 0.8
        assert outputs_of(model, rows(3)).keys() == outputs_of(target, rows(3)).keys()


def test_labels_are_learned_beside_the_teacher(tmp_path):
    """A teacher that knows nothing of the second column, and labels that are of it alone."""
    model = save_forest(tmp_path, zipmap=False)
    labels = (rows()[:, 1] > 0).astype(int) * 2

    without, plain = fit(model, save_table(tmp_path / "plain.csv", rows()), "mlp")
    found, target = fit(model, save_table(tmp_path / "labels.csv", rows(), labels), "trees-3")

    assert (False, True) == (without.outcome.has_labels, found.outcome.has_labels)
    truth = (rows(3)[:, 1] > 0).astype(int) * 2
    right = [np.mean(next(iter(outputs_of(path, rows(3)).values())) == truth) for path in (plain, target)]
    assert right[1] > right[0]


def test_the_same_seed_makes_the_same_student(tmp_path):
    model, data = save_forest(tmp_path), save_table(tmp_path / "table.csv", rows())

    first = fit(model, data, "trees-2")[1].read_bytes()

    assert first == fit(model, data, "trees-2")[1].read_bytes()


def test_what_a_table_is_known_by_does_not_depend_on_the_student(tmp_path):
    model, data = save_forest(tmp_path), save_table(tmp_path / "table.csv", rows())

    found = table_student.counted(inspect_onnx(model, name="forest"), model, data)

    assert (ITEMS, True) == (found.items, 10 < found.held_out < 60)


@pytest.mark.parametrize(
    ("student", "labels", "fault"),
    [
        ("trees-4", None, "has 4 trees, and a student has fewer"),
        ("linear", ["cat"] * ITEMS, "label 'cat' is none of the model's classes"),
        ("linear", ["9"] * ITEMS, "label '9' is none of the model's classes"),
        ("layers-2", None, "no student of a table"),
    ],
)
def test_what_cannot_be_fitted_is_refused(tmp_path, student, labels, fault):
    data = save_table(tmp_path / "table.csv", rows(), labels)

    with pytest.raises(InputError, match=fault):
        fit(save_forest(tmp_path), data, student)


def test_a_model_that_is_no_ensemble_has_no_fewer_trees(tmp_path):
    from sklearn.linear_model import LogisticRegression

    model = save_sklearn(tmp_path / "linear.onnx", LogisticRegression(), (rows(2)[:, 0] > 0).astype(int))

    with pytest.raises(InputError, match="is no ensemble of trees"):
        fit(model, save_table(tmp_path / "table.csv", rows()), "trees-2")


def test_a_model_that_reads_no_rows_is_refused(tmp_path):
    model = models.save(models.embedding(), tmp_path / "texts.onnx")

    with pytest.raises(InputError, match="its inputs are"):
        fit(model, save_table(tmp_path / "table.csv", rows()), "linear")


def test_too_few_items_are_refused(tmp_path):
    model, data = save_forest(tmp_path), save_table(tmp_path / "table.csv", rows(items=8))

    with pytest.raises(InputError, match="8 different items"):
        table_student.counted(inspect_onnx(model, name="forest"), model, data)
