"""Outputs come back from the file as they were, as arrays or as lists where items differ in shape."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.errors import ModelError
from advisor.measure.worker import output_file

counts = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=counts, kind=st.sampled_from(["f4", "f2", "i8", "bool", "U3", "O"]))
def test_items_of_any_shape_come_back_as_they_were(tmp_path, counts, kind):
    random = np.random.default_rng(0)
    items = [random.integers(0, 2, size=(count, 3)).astype("U1" if kind == "O" else kind) for count in counts]
    items = [item.astype(object) for item in items] if kind == "O" else items

    output_file.write(tmp_path / "outputs.npz", {"y": items, "count": [np.array(count) for count in counts]})
    found = output_file.read(tmp_path / "outputs.npz")

    assert counts == found["count"].tolist()
    assert (found["y"].dtype == object) == (len(set(counts)) > 1)
    for expected, actual in zip(items, found["y"], strict=True):
        np.testing.assert_array_equal(expected.astype(actual.dtype), actual)


def test_items_that_differ_in_their_number_of_axes_are_refused_by_output(tmp_path):
    with pytest.raises(ModelError, match="output y differs in its number of axes"):
        output_file.write(tmp_path / "outputs.npz", {"y": [np.zeros(3), np.zeros((3, 1))]})


@given(one=counts, data=st.data())
def test_two_files_have_lists_of_an_output_in_both_where_its_free_size_differs(one, data):
    other = data.draw(st.lists(st.integers(0, 5), min_size=len(one), max_size=len(one)))

    def outputs(counts):
        items = [np.zeros((count, 4)) for count in counts]
        return np.stack(items) if len(set(counts)) == 1 else output_file.as_list(items)

    before, after = output_file.alike({"y": outputs(one)}, {"y": outputs(other)}, {"y": ("found", 4)})

    assert before["y"].shape == after["y"].shape
    assert (one, other) == tuple([len(item) for item in values["y"]] for values in (before, after))


def test_what_one_file_has_without_its_first_axis_gets_it_back():
    one, other = np.zeros((2, 4)), output_file.as_list([np.zeros((1, 4)), np.zeros((3, 4))])

    before, after = output_file.alike({"y": one}, {"y": other}, {"y": ("found", 4)})

    assert [(1, 4), (1, 4)] == [item.shape for item in before["y"]]
    assert [(1, 4), (3, 4)] == [item.shape for item in after["y"]]


def test_a_size_that_is_fixed_may_not_differ():
    before, after = output_file.alike({"y": np.zeros((5, 10))}, {"y": np.zeros((5, 9))}, {"y": ("n", 10)})

    assert before["y"].shape != after["y"].shape
