"""Examples: the same arrays from every kind of file, and none both to calibrate on and to judge by."""

import csv
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import AdvisorError, InputError
from advisor.measure.quality import examples, learned
from advisor.schema.model import ModelInput


def entry(name, shape, *, dtype="float32", role="features", batch_axis=0, sequence_axis=None):
    example = tuple(size if isinstance(size, int) else 2 for size in shape)
    axes = {"batch_axis": batch_axis, "sequence_axis": sequence_axis}
    return ModelInput(name=name, dtype=dtype, shape=shape, example_shape=example, role=role, upper_bound=None, **axes)


X = (entry("x", ("n", 3)),)
IDS = (
    entry("ids", ("n", "t"), dtype="int64", role="ids", sequence_axis=1),
    entry("mask", ("n", "t"), dtype="int64", role="mask", sequence_axis=1),
)
VALUES = np.array([[1.5, 2, 3], [4, 5, 6.25]], np.float32)


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path.name


def read(source, folder, inputs=X):
    return examples.read_examples(source, folder, inputs, "quality.data", model=folder / "model.onnx", allow_code=True)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (["x_0", "x_1", "x_2", "label"], [[*row, label] for row, label in zip(VALUES.tolist(), ["a", "b"], strict=True)]),
        (["x[2]", "x[0]", "x[1]", "label"], [[c, a, b, label] for (a, b, c), label in zip(VALUES.tolist(), "ab", strict=True)]),
        (["width", "height", "depth", "label"], [[*row, label] for row, label in zip(VALUES.tolist(), "ab", strict=True)]),
        (["label", "x"], [[label, str(row)] for row, label in zip(VALUES.tolist(), "ab", strict=True)]),
    ],
)
def test_columns_of_a_csv_file_become_the_array_of_the_input(tmp_path, header, rows):
    found = read(write_csv(tmp_path / "data.csv", header, rows), tmp_path)

    np.testing.assert_array_equal(VALUES, found["x"])
    assert np.float32 == found["x"].dtype
    assert ["a", "b"] == found["label"].tolist()


def test_a_parquet_file_holds_the_same_as_a_csv_file(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"x": VALUES.tolist(), "label": [3, 7], "slice": ["young", "old"]})
    parquet.write_table(table, tmp_path / "data.parquet")

    found = read("data.parquet", tmp_path)

    np.testing.assert_array_equal(VALUES, found["x"])
    assert ([3, 7], ["young", "old"]) == (found["label"].tolist(), found["slice"].tolist())


def test_an_input_for_each_column_gets_a_column_each(tmp_path):
    inputs = (entry("age", ("n", 1)), entry("name", ("n", 1), dtype="string"))

    found = read(write_csv(tmp_path / "d.csv", ["name", "age", "label"], [["ann", 3, 0], ["bob", 4, 1]]), tmp_path, inputs)

    assert ([["ann"], ["bob"]], [[3.0], [4.0]]) == (found["name"].tolist(), found["age"].tolist())


def test_an_image_may_lie_flat_in_a_row(tmp_path):
    inputs = (entry("image", ("n", 1, 2, 2)),)

    found = read(write_csv(tmp_path / "d.csv", ["label", "p0", "p1", "p2", "p3"], [[0, 1, 2, 3, 4]]), tmp_path, inputs)

    assert [[[[1, 2], [3, 4]]]] == found["image"].tolist()


@pytest.mark.parametrize(
    ("header", "rows", "complaint"),
    [
        (["x_0", "x_1"], [], "holds no items"),
        (["x_0", "x_1"], [[1, 2], [3]], "line 3 has another number of columns"),
        (["x_0", "x_0"], [[1, 2]], "names a column twice"),
        (["a", "b"], [[1, "red"]], "holds texts or lists"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_an_error_that_says_why(tmp_path, header, rows, complaint):
    with pytest.raises(InputError, match=complaint):
        read(write_csv(tmp_path / "data.csv", header, rows), tmp_path)


def test_a_function_yields_batches_that_are_put_together(tmp_path):
    (tmp_path / "my_examples.py").write_text(
        "import numpy as np\n"
        "def batches():\n"
        "    for start in range(3):\n"
        "        yield {'x': np.full((2, 3), start, np.float32), 'label': np.array([start, start])}\n"
    )

    found = read("my_examples:batches", tmp_path)

    assert ((6, 3), [0, 0, 1, 1, 2, 2]) == (found["x"].shape, found["label"].tolist())
    assert str(tmp_path) not in sys.path


def test_texts_that_pandas_keeps_as_objects_are_texts_and_arrays_may_have_any_name(tmp_path):
    module = (
        "import numpy as np\ndef rows():\n    return {'x': np.ones((2, 3), np.float32), 'file': np.array(['a', 'bc'], object)}\n"
    )
    (tmp_path / "naming_items.py").write_text(module)

    found = read("naming_items:rows", tmp_path)

    assert ("U2", ["a", "bc"]) == (found["file"].dtype.str[1:], found["file"].tolist())


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("no_such_module:f", "cannot be imported"),
        ("broken_examples:missing", "has no function 'missing'"),
        ("broken_examples:fails", r"failed \(ValueError: out of disk; .*broken_examples\.py, line 2\)"),
        ("broken_examples:numbers", "did not give dictionaries"),
    ],
)
def test_a_function_that_fails_is_an_error_that_says_why(tmp_path, source, complaint):
    (tmp_path / "broken_examples.py").write_text(
        "def fails():\n    raise ValueError('out of disk')\ndef numbers():\n    return [1, 2]\n"
    )

    with pytest.raises(InputError, match=complaint):
        read(source, tmp_path)


# --- kept apart ----------------------------------------------------------------------------------------------------------------


def test_an_item_in_both_sets_is_refused():
    judged = {"x": np.arange(30, dtype=np.float32).reshape(10, 3)}
    fitted = {"x": np.concatenate([judged["x"][[3]], 100 + judged["x"][:4]])}

    with pytest.raises(InputError, match=r"1 of its 5 items are in quality\.data too"):
        examples.refuse_overlap(X, fitted, judged)


def test_an_item_is_known_again_under_other_padding():
    judged = {"ids": np.array([[7, 8, 0, 0]]), "mask": np.array([[1, 1, 0, 0]])}
    fitted = {"ids": np.array([[7, 8, 9], [5, 6, 0]]), "mask": np.array([[1, 1, 0], [1, 1, 0]])}

    with pytest.raises(InputError, match="1 of its 2 items"):
        examples.refuse_overlap(IDS, fitted, judged)


def test_sets_without_a_common_item_pass():
    examples.refuse_overlap(X, {"x": VALUES}, {"x": VALUES + 1})


@given(st.integers(8, 60), st.integers(0, 5))
def test_what_is_set_aside_and_what_is_left_have_nothing_in_common(items, seed):
    rows = {"x": np.arange(items * 3, dtype=np.float32).reshape(items, 3) % 40, "label": np.arange(items)}

    fitted, judged = examples.set_aside(X, rows, seed)

    assert not {bytes(row) for row in fitted["x"]} & {bytes(row) for row in judged["x"]}
    assert len(fitted["x"]) == len(fitted["label"]) == items // 4
    np.testing.assert_array_equal(rows["x"][judged["label"]], judged["x"])


def test_states_are_set_aside_with_their_items():
    inputs = (*X, entry("state", (2, "n", 4), role="state", batch_axis=1))
    rows = {"x": np.arange(24, dtype=np.float32).reshape(8, 3), "state": np.arange(64).reshape(2, 8, 4)}

    fitted, judged = examples.set_aside(inputs, rows, 0)

    assert (2, 6) == (fitted["state"].shape[1], judged["state"].shape[1])
    np.testing.assert_array_equal(judged["state"][0, :, 0] // 4, judged["x"][:, 0] // 3)


def test_too_few_items_to_set_some_aside_are_refused():
    with pytest.raises(AdvisorError, match="too few items"):
        examples.set_aside(X, {"x": VALUES}, 0)


def test_rows_that_a_student_learned_from_are_left_out_of_every_format(tmp_path):
    np.savez(tmp_path / "data.npz", x=VALUES, label=np.array([3, 4]))
    known = learned.Learned(rows=learned.packed(examples.item_digests(X, {"x": VALUES})[:1]))

    found = examples.read_unlearned("data.npz", tmp_path, X, "quality.data", model=tmp_path / "model.onnx", by=known)

    assert 1 == found.left_out and [4] == found.rows["label"].tolist()
    np.testing.assert_array_equal(VALUES[1:], found.rows["x"])
