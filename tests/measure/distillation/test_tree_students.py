"""Students of tree ensembles: fewer trees predict what these trees do, and other models take the ensemble's place."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from advisor.errors import InputError, ModelError
from advisor.measure.distillation.student_names import parse
from advisor.measure.distillation.tree_students import count_trees, cut
from advisor.measure.runtime.ort_session import open_session, run
from tests import models

ROWS = np.random.default_rng(3).standard_normal((120, 2)).astype(np.float32)


def ensemble(kind, folder, *, opset=3, **options):
    """Write an ensemble of scikit-learn as ONNX; return the estimator and the path."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    classes = (ROWS[:, 0] > 0).astype(int) + (ROWS[:, 1] > 0)
    is_binary = options.pop("is_binary", False)
    target = ROWS @ [1.0, 2.0] + 20.0 if "Regressor" in kind.__name__ else (classes > 0).astype(int) if is_binary else classes
    estimator = kind(random_state=0, **options).fit(ROWS, target)
    given = {id(estimator): {"zipmap": False}} if "Classifier" in kind.__name__ else None
    model = convert_sklearn(
        estimator, initial_types=[("rows", FloatTensorType([None, 2]))], options=given, target_opset={"": 17, "ai.onnx.ml": opset}
    )
    return estimator, models.save(model, folder / "model.onnx")


def outputs(path):
    onnx.checker.check_model(str(path))
    return list(run(open_session(path), {"rows": ROWS}).values())


@pytest.mark.parametrize("is_binary", [False, True])
def test_fewer_trees_of_a_forest_give_their_mean(is_binary, tmp_path):
    from sklearn.ensemble import RandomForestClassifier

    forest, path = ensemble(RandomForestClassifier, tmp_path, n_estimators=8, max_depth=4, is_binary=is_binary)

    cut(path, parse("trees-3"), tmp_path / "student.onnx")

    expected = np.mean([tree.predict_proba(ROWS) for tree in forest.estimators_[:3]], axis=0)
    np.testing.assert_allclose(expected, outputs(tmp_path / "student.onnx")[1], atol=1e-5)
    assert (8, 3) == (count_trees(path), count_trees(tmp_path / "student.onnx"))
    assert (tmp_path / "student.onnx").stat().st_size < path.stat().st_size


def test_fewer_trees_of_a_forest_of_numbers_give_their_mean(tmp_path):
    from sklearn.ensemble import RandomForestRegressor

    forest, path = ensemble(RandomForestRegressor, tmp_path, n_estimators=8, max_depth=4)

    cut(path, parse("trees-2"), tmp_path / "student.onnx")

    expected = np.mean([tree.predict(ROWS) for tree in forest.estimators_[:2]], axis=0)
    np.testing.assert_allclose(expected, outputs(tmp_path / "student.onnx")[0][:, 0], rtol=1e-4)


def test_fewer_boosted_trees_give_what_the_first_stages_do(tmp_path):
    from sklearn.ensemble import GradientBoostingRegressor

    boosted, path = ensemble(GradientBoostingRegressor, tmp_path, n_estimators=20, max_depth=3)

    cut(path, parse("trees-6"), tmp_path / "student.onnx")

    expected = list(boosted.staged_predict(ROWS))[5]
    np.testing.assert_allclose(expected, outputs(tmp_path / "student.onnx")[0][:, 0], rtol=1e-3)


@pytest.mark.parametrize("student", ["linear", "mlp"])
@pytest.mark.parametrize("kind", ["RandomForestClassifier", "RandomForestRegressor"])
def test_another_model_takes_the_place_of_an_ensemble_and_gives_outputs_of_the_same_types(kind, student, tmp_path):
    import sklearn.ensemble

    _, path = ensemble(getattr(sklearn.ensemble, kind), tmp_path, n_estimators=4, max_depth=3)

    cut(path, parse(student), tmp_path / "student.onnx")

    before, after = outputs(path), outputs(tmp_path / "student.onnx")
    assert [(values.dtype, values.shape) for values in before] == [(values.dtype, values.shape) for values in after]
    if "Classifier" in kind:
        np.testing.assert_allclose(1.0, after[1].sum(axis=1), atol=1e-5)
        assert set(np.unique(after[0])) <= set(np.unique(before[0]))


def newer(folder):
    """Write an ensemble in the newer form: two trees of one split each, leaves of 1, 2, 10 and 20; return the path."""
    tensors = {
        "nodes_splits": np.array([0.0, 0.5], np.float32),
        "nodes_modes": np.array([0, 0], np.uint8),
        "leaf_weights": np.array([1, 2, 10, 20], np.float32),
    }
    node = onnx.helper.make_node(
        "TreeEnsemble",
        ["rows"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function=1,
        tree_roots=[0, 1],
        nodes_featureids=[0, 1],
        nodes_truenodeids=[0, 2],
        nodes_falsenodeids=[1, 3],
        nodes_trueleafs=[1, 1],
        nodes_falseleafs=[1, 1],
        leaf_targetids=[0, 0, 0, 0],
        **{name: numpy_helper.from_array(values, name) for name, values in tensors.items()},
    )
    given = onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, [None, 2])
    made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 5)]
    graph = onnx.helper.make_graph([node], "g", [given], [made])
    return models.save(onnx.helper.make_model(graph, opset_imports=imports, ir_version=9), folder / "newer.onnx")


def test_an_ensemble_in_the_newer_form_is_cut_too(tmp_path):
    path = newer(tmp_path)

    cut(path, parse("trees-1"), tmp_path / "student.onnx")

    expected = np.where(ROWS[:, 0] <= 0, 1.0, 2.0)
    np.testing.assert_array_equal(expected, outputs(tmp_path / "student.onnx")[0][:, 0])
    assert (2, 1) == (count_trees(path), count_trees(tmp_path / "student.onnx"))


def test_as_many_trees_as_there_are_are_no_student(tmp_path):
    path = models.save(models.forest(), tmp_path / "model.onnx")

    with pytest.raises(InputError, match="has 4 trees, and a student has fewer"):
        cut(path, parse("trees-4"), tmp_path / "student.onnx")


def test_a_graph_without_an_ensemble_has_no_student_of_trees(tmp_path):
    path = models.save(models.mlp(), tmp_path / "model.onnx")

    with pytest.raises(ModelError, match="it has no ensemble of trees"):
        count_trees(path)
