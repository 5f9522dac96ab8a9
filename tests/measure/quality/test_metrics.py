"""Metrics give what scikit-learn and SciPy give under the same names, and errors grow where fits worsen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import AdvisorError, InputError
from advisor.measure.quality import evaluation, metrics, scores
from advisor.schema.model import ModelInput, ModelOutput

SCORES = (ModelOutput(name="logits", dtype="float32", shape=("n", 3), has_classes=True),)
NUMBER = (ModelOutput(name="price", dtype="float32", shape=("n", 1), has_classes=False),)
few_examples = settings(max_examples=30)
seeds = st.integers(0, 10_000)


def score(metric, values, *, labels=None, of=SCORES, rows=None, inputs=(), masks=None, baseline=None, chosen=None):
    values = dict.fromkeys([of[0].name], values) if isinstance(values, np.ndarray) else values
    case = metrics.Case(outputs=of, baseline=baseline or values, labels=labels, masks=masks, rows=rows or {}, inputs=inputs)
    items = len(next(iter(values.values())))
    return metrics.scorer(metric, case, values, None)(np.arange(items) if chosen is None else chosen)


def scored(seed, items=60, classes=3):
    random = np.random.default_rng(seed)
    return random.standard_normal((items, classes)), np.arange(items) % classes, random.integers(0, items, items)


@few_examples
@given(seeds)
def test_f1_over_classes_is_that_of_scikit_learn(seed):
    from sklearn import metrics as sk

    values, labels, chosen = scored(seed)

    expected = sk.f1_score(labels[chosen], values.argmax(1)[chosen], average="macro")

    assert expected == pytest.approx(score("f1", values, labels=labels, chosen=chosen))


@few_examples
@given(seeds)
def test_f1_of_two_classes_is_that_of_the_larger(seed):
    from sklearn import metrics as sk

    values, labels, _ = scored(seed, classes=2)

    assert sk.f1_score(labels, values.argmax(1)) == pytest.approx(score("f1", values, labels=labels))


@few_examples
@given(seeds)
def test_auc_is_that_of_scikit_learn_with_ties_too(seed):
    from sklearn import metrics as sk

    values, labels, chosen = scored(seed, classes=2)
    values = values.round(1)

    expected = sk.roc_auc_score(labels[chosen], (values[:, 1] - values[:, 0])[chosen])

    assert expected == pytest.approx(score("auc", values, labels=labels, chosen=chosen))


@few_examples
@given(seeds)
def test_auc_of_one_score_is_that_of_scikit_learn(seed):
    from sklearn import metrics as sk

    values, labels, _ = scored(seed, classes=2)

    assert sk.roc_auc_score(labels, values[:, 0]) == pytest.approx(
        score("auc", {"price": values[:, :1]}, labels=labels, of=NUMBER)
    )


@few_examples
@given(seeds)
def test_auc_of_several_classes_is_the_mean_of_each_against_the_rest(seed):
    from sklearn import metrics as sk

    values, labels, _ = scored(seed)
    shares = np.exp(values) / np.exp(values).sum(1, keepdims=True)

    assert sk.roc_auc_score(labels, shares, multi_class="ovr") == pytest.approx(score("auc", shares, labels=labels))


@few_examples
@given(seeds, st.integers(1, 3))
def test_top_k_is_that_of_scikit_learn(seed, k):
    from sklearn import metrics as sk

    values, labels, _ = scored(seed)

    expected = sk.top_k_accuracy_score(labels, values, k=k, labels=[0, 1, 2]) if k < 3 else 1.0

    assert expected == pytest.approx(score(f"top{k}_accuracy", values, labels=labels))


@few_examples
@given(seeds)
def test_correlations_and_squared_errors_are_those_of_scipy_and_scikit_learn(seed):
    from scipy import stats
    from sklearn import metrics as sk

    random = np.random.default_rng(seed)
    truth, chosen = random.integers(0, 9, 40).astype(float), random.integers(0, 40, 40)
    values = (truth + random.standard_normal(40)).round(1)
    given_ = {"price": values[:, np.newaxis]}

    found = [
        score(name, given_, labels=truth, of=NUMBER, chosen=chosen) for name in ("pearson", "spearman", "mean_squared_error")
    ]

    one, other = values[chosen], truth[chosen]
    expected = [stats.pearsonr(one, other)[0], stats.spearmanr(one, other)[0], sk.mean_squared_error(other, one)]
    assert expected == pytest.approx(found)


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("same", "same", 0), ("abcd", "acbd", 2)],
)
def test_the_edit_distance_is_what_is_worked_out_by_hand(one, other, edits):
    assert edits == scores.edit_distance(list(one), list(other))


@given(st.text("ab", max_size=8), st.text("ab", max_size=8), st.text("ab", max_size=8))
def test_the_edit_distance_is_a_distance(a, b, c):
    def distance(x, y):
        return scores.edit_distance(list(x), list(y))

    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_character_errors_are_edits_over_the_length_of_the_truth():
    decided = {"logits": np.eye(5)[[[1, 2, 3, 0], [4, 4, 4, 4]]]}
    labels = np.array([[1, 2, 3, 0], [4, 4, -1, -1]])

    assert 2 / 6 == score("character_error_rate", decided, labels=labels)
    assert 0.5 == score("exact_match", decided, labels=labels)


def test_texts_are_compared_character_by_character():
    decided = {"logits": np.array(["cat", "dog"])}

    assert 1 / 6 == score("character_error_rate", decided, labels=np.array(["cat", "dig"]))


def ids_input():
    fields = {"dtype": "int64", "shape": ("n", "t"), "example_shape": (1, 4), "batch_axis": 0, "sequence_axis": 1}
    return ModelInput(name="input_ids", role="ids", upper_bound=5, **fields)


def test_perplexity_of_a_model_that_knows_nothing_is_the_size_of_its_vocabulary():
    rows = {"input_ids": np.array([[1, 2, 3, 4], [4, 3, 2, 1]])}

    assert 5.0 == pytest.approx(score("perplexity", np.zeros((2, 4, 5)), rows=rows, inputs=(ids_input(),)))


def test_perplexity_counts_no_padding():
    rows = {"input_ids": np.array([[1, 2, 3, 0], [1, 2, 0, 0]])}
    masks = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
    logits = np.zeros((2, 4, 5))
    logits[:, :, 0] = 50.0  # sure of the padding
    logits[0, 0, 2] = logits[0, 1, 3] = logits[1, 0, 2] = 100.0

    assert 1.0 == pytest.approx(score("perplexity", logits, rows=rows, inputs=(ids_input(),), masks=masks))


def test_labels_of_minus_100_are_not_counted():
    decided = np.eye(3)[[[0, 1], [2, 2]]]

    assert 0.75 == score("accuracy", decided, labels=np.array([[0, -100], [2, 1]]))


@pytest.mark.parametrize(
    ("metric", "before", "after", "loss"),
    [
        ("accuracy", 0.9, 0.8, 0.1),
        ("character_error_rate", 0.1, 0.3, 0.2),
        ("perplexity", 20.0, 25.0, 0.25),
        ("mean_squared_error", 4.0, 3.0, -0.25),
    ],
)
def test_a_loss_is_positive_where_the_variant_is_worse(metric, before, after, loss):
    assert loss == pytest.approx(metrics.lost(metric, before, after))


def test_of_a_perfect_fit_no_loss_is_a_fraction():
    with pytest.raises(AdvisorError, match="so a loss cannot be expressed as a fraction of it"):
        metrics.lost("mean_squared_error", 0.0, 1.0)


# --- functions of the user's ---------------------------------------------------------------------------------------------------


def measured(function, before, after, rows):
    return evaluation.quality(
        "module:function", SCORES, before, after, labels=None, masks=None, data_sha256="d", seed=0, rows=rows, own=function
    )


def test_the_users_function_may_score_each_item():
    values, labels, _ = scored(1)
    after = {"logits": np.roll(values, 1, axis=0)}

    result = measured(
        lambda outputs, rows: outputs["logits"].argmax(1) == rows["truth"], {"logits": values}, after, {"truth": labels}
    )

    assert (values.argmax(1) == labels).mean() == result.baseline
    assert result.drop.low <= result.baseline - result.value <= result.drop.high


def test_the_users_function_may_give_one_figure_of_the_items_it_gets():
    values, labels, _ = scored(1)

    def f1(outputs, rows):
        found, truth = outputs["logits"].argmax(1), rows["truth"]
        right, said, there = (np.bincount(classes, minlength=3) for classes in (truth[found == truth], found, truth))
        return float((2 * right / np.maximum(said + there, 1)).mean())

    result = measured(f1, {"logits": values}, {"logits": values}, {"truth": labels})

    assert f1({"logits": values}, {"truth": labels}) == pytest.approx(result.baseline)
    assert 0.0 == result.drop.value == result.drop.low < result.drop.high < 0.04  # a loss too rare to be seen on 60 items


def test_what_else_the_users_function_gives_is_refused():
    values, labels, _ = scored(1)

    with pytest.raises(InputError, match=r"returned shape \[2\] for 60 items"):
        measured(lambda outputs, rows: np.zeros(2), {"logits": values}, {"logits": values}, {"truth": labels})


@pytest.mark.parametrize("metric", ["accuracy", "f1", "auc", "exact_match", "pearson", "top2_accuracy"])
def test_a_variant_that_answers_alike_loses_nothing_in_any_metric(metric):
    values, labels, _ = scored(3)
    of = SCORES if metric != "pearson" else NUMBER
    values = {of[0].name: values if metric != "pearson" else values[:, :1]}

    result = evaluation.quality(metric, of, values, values, labels=labels, masks=None, data_sha256="d", seed=0)

    assert 0.0 == result.drop.low == result.drop.value <= result.drop.high < 0.05
