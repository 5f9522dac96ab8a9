"""Labels that can be true of no item: few are left out and counted, many are refused, and none counts as an item without loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.measure.quality import labels
from advisor.schema.model import ModelOutput
from tests.profiles import facts

CLASSES = 4
SCORES = (ModelOutput(name="y", dtype="float32", shape=("batch", CLASSES), has_classes=True),)
NAMES = (ModelOutput(name="name", dtype="int64", shape=("batch",), has_classes=True), *SCORES)
ITEMS = 200
WHERE = "quality.data: data.npz"


def kept(values, *, metric="accuracy", outputs=SCORES):
    values = np.asarray(values)
    rows = {"x": np.arange(3.0 * len(values)).reshape(-1, 3), "label": values, "other": np.arange(7)}
    return labels.kept(metric, replace(facts(has_length=False), outputs=outputs), rows, len(values), WHERE)


def with_one(wrong, dtype=float):
    values = np.arange(ITEMS).astype(dtype) % CLASSES
    values[5] = wrong
    return values


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1, 0.5, CLASSES, 1e30])
def test_a_label_that_is_no_class_is_left_out_with_its_item_and_counted(wrong):
    found = kept(with_one(wrong))

    assert (ITEMS - 1, ITEMS - 1, ITEMS - 1) == (found.items, len(found.rows["x"]), len(found.rows["label"]))
    assert np.isin(found.rows["label"], range(CLASSES)).all() and 15.0 not in found.rows["x"]
    assert (
        f"quality.data: 1 of 200 items have a label that is no class, the first of them item 6: {wrong:g}; these were left out",
    ) == (found.notes)
    assert 7 == len(found.rows["other"])  # what is no item of the data is none of it


@given(st.integers(1, ITEMS), st.sampled_from([np.nan, -3, 0.5, 99]))
def test_more_than_one_in_a_hundred_are_refused(count, wrong):
    values = np.zeros(ITEMS)
    values[:count] = wrong

    if count <= ITEMS * labels.MOST_LEFT_OUT:
        assert ITEMS - count == kept(values).items
    else:
        with pytest.raises(
            InputError, match=rf"{WHERE}: {count} of 200 items have a label that is no class, the first of them item 1"
        ):
            kept(values)


@pytest.mark.parametrize(
    "values", [np.arange(ITEMS) % CLASSES, (np.arange(ITEMS) % CLASSES).astype(np.float32), np.ones(ITEMS, bool)]
)
def test_labels_that_are_classes_stay_as_they_are(values):
    found = kept(values)

    assert (ITEMS, ()) == (found.items, found.notes) and found.rows["label"] is values


@pytest.mark.parametrize(("metric", "outputs"), [("accuracy", NAMES), ("top2_accuracy", NAMES), ("f1", NAMES)])
def test_a_model_that_names_its_classes_may_call_them_anything(metric, outputs):
    assert ITEMS == kept(np.where(np.arange(ITEMS) % 2, -1, 70), metric=metric, outputs=outputs).items


def test_texts_are_classes_of_their_own():
    assert ITEMS == kept(np.array(["yes", "no"] * (ITEMS // 2)), outputs=NAMES).items


def test_by_custom_a_negative_label_of_a_sequence_is_of_no_position():
    values = np.zeros((ITEMS, 5), np.int64)
    values[:, 3:] = -100

    assert ITEMS == kept(values).items


def test_of_a_sequence_the_first_wrong_label_is_told():
    values = np.zeros((ITEMS, 5))
    values[7, 2] = 9

    assert "the first of them item 8: 9" in kept(values).notes[0]


@pytest.mark.parametrize("metric", ["mean_squared_error", "pearson", "spearman", "auc"])
def test_a_label_that_is_no_number_is_left_out_where_the_metric_takes_numbers(metric):
    found = kept(with_one(np.nan), metric=metric)

    assert ITEMS - 1 == found.items and "no number" in found.notes[0]
    assert ITEMS == kept(with_one(-7.25), metric=metric).items


@pytest.mark.parametrize("metric", ["cosine", "top1_agreement", "own:metric"])
def test_a_metric_that_asks_for_no_labels_keeps_all_items(metric):
    assert ITEMS == kept(with_one(np.nan), metric=metric).items


@pytest.mark.parametrize(
    "values",
    [np.array(1), np.zeros(3, [("a", int)]), np.array(["2026-11-22"], "datetime64[D]"), np.array([1j]), np.array([b"x"], object)],
)
def test_labels_of_a_kind_that_no_metric_takes_are_refused(values):
    with pytest.raises(InputError, match=r"quality\.data: the labels are"):
        labels.check_kind("accuracy", {"label": values})

    labels.check_kind("cosine", {"label": values})
