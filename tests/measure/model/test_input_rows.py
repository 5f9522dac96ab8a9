"""Inputs: read from what the file says, generated as the model wants them, or the user's own, refused where they do not fit."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.errors import InputError, ModelError
from advisor.measure.model.input_rows import (
    IMAGE_SIDES,
    PIECE,
    SEQUENCE_LENGTHS,
    check_rows,
    generate,
    item_axes,
    possible_inputs,
    read_npz,
    shape_at,
    take,
)
from advisor.measure.runtime import ort_session
from advisor.schema.model import GraphInput, ModelInput
from tests import models
from tests.models import POSITIONS, VOCABULARY, WIDTH, save

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
# What stands for an open length and an open side, unless the model refuses it.
LENGTH, SIDE = SEQUENCE_LENGTHS[0], IMAGE_SIDES[0]
ROLES = ("ids", "mask", "segment", "position", "state", "scalar", "features")


def declared(name, shape, dtype="float32", *, vocabulary=None, is_state=False, compared_with=()):
    return GraphInput(name=name, dtype=dtype, shape=shape, vocabulary=vocabulary, is_state=is_state, compared_with=compared_with)


def entry(name="x", shape=("batch", WIDTH), dtype="float32", role="features", **given):
    defaults = {"example_shape": tuple(size if isinstance(size, int) else 1 for size in shape), "batch_axis": 0}
    defaults |= {"sequence_axis": None, "upper_bound": None}
    return ModelInput(name=name, dtype=dtype, shape=shape, role=role, **defaults | given)


def first_reading(*inputs):
    return next(possible_inputs(inputs, ()))


@st.composite
def entries(draw, roles=ROLES):
    role = draw(st.sampled_from(roles))
    bound = draw(st.integers(1, 100)) if role == "ids" else None
    kinds = INTEGERS if role in ("ids", "segment", "position") else (*INTEGERS, *FLOATS, "bool", "string")
    return entry(
        shape=("batch", "sequence", 3)[: draw(st.integers(2, 3))],
        dtype=draw(st.sampled_from(kinds)),
        role=role,
        sequence_axis=1,
        upper_bound=bound,
        scalar_value=draw(st.none() | st.integers(0, 100)) if role == "scalar" else None,
    )


# --- reading -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [
        # What it is, one item of it, the axes of items and of time.
        (declared("x", ("batch", 8)), ("features", (1, 8), 0, None)),
        (declared("x", ("unk__12", 8)), ("features", (1, 8), 0, None)),
        (declared("x", (None, 8)), ("features", (1, 8), 0, None)),
        (declared("x", (4, 8)), ("features", (4, 8), None, None)),
        (declared("temperature", ()), ("scalar", (), None, None)),
        (declared("sr", (), "int64", compared_with=(16000, 8000)), ("scalar", (), None, None)),
        (declared("wave", ("n", "samples")), ("features", (1, LENGTH), 0, 1)),
        (declared("mel", ("N", "T", 80)), ("features", (1, LENGTH, 80), 0, 1)),
        (declared("mel", (1, None, 80)), ("features", (1, LENGTH, 80), None, 1)),
        (declared("mel", ("seq", "batch", 80)), ("features", (LENGTH, 1, 80), 1, 0)),
        (declared("image", ("N", 3, "height", "width")), ("features", (1, 3, SIDE, SIDE), 0, None)),
        (declared("image", (None, 3, None, None)), ("features", (1, 3, SIDE, SIDE), 0, None)),
        (declared("image", (None, None, None, None)), ("features", (1, 3, SIDE, SIDE), 0, None)),
        (declared("image", ("unk__1", "unk__2", "unk__3", 3), "uint8"), ("features", (1, SIDE, SIDE, 3), 0, None)),
        (declared("image", (3, "height", "width"), "uint8"), ("features", (3, SIDE, SIDE), None, None)),
        (declared("input_ids", ("batch", "sequence"), "int64", vocabulary=9), ("ids", (1, LENGTH), 0, 1)),
        (declared("tokens", ("batch", "length"), "int32"), ("ids", (1, LENGTH), 0, 1)),
        (declared("user", ("batch",), "int64", vocabulary=9), ("ids", (1,), 0, None)),
        (declared("attention_mask", ("batch", "sequence"), "bool"), ("mask", (1, LENGTH), 0, 1)),
        (declared("attention_mask", ("batch", "sequence"), "float32"), ("mask", (1, LENGTH), 0, 1)),
        (declared("attention_mask", ("b", "past_sequence_length + sequence_length"), "int64"), ("mask", (1, LENGTH), 0, 1)),
        (declared("token_type_ids", ("batch", "sequence"), "int64"), ("segment", (1, LENGTH), 0, 1)),
        (declared("position_ids", ("batch", "sequence"), "int64", vocabulary=64), ("position", (1, LENGTH), 0, 1)),
        (declared("past_key_values.0.key", ("batch", 2, "past_sequence_length", 4)), ("state", (1, 2, 0, 4), 0, None)),
        (declared("past.0", (None, 2, None, 4)), ("state", (1, 2, 0, 4), 0, None)),
        (declared("state", (2, None, 128)), ("state", (2, 1, 128), 1, None)),
        (declared("a", (1, "n", 4), is_state=True), ("state", (1, 1, 4), 1, None)),
        (declared("h", (1, 1, 4)), ("state", (1, 1, 4), None, None)),
        # What an encoder has computed is no memory, and its second axis is no past.
        (declared("encoder_hidden_states", ("batch", None, 16)), ("features", (1, LENGTH, 16), 0, 1)),
        (declared("word", (None, 1), "string"), ("features", (1, 1), 0, None)),
    ],
    ids=lambda value: f"{value.name} {list(value.shape)}" if isinstance(value, GraphInput) else "",
)
def test_an_input_is_read_from_its_name_shape_and_type(given_input, expected):
    (read,) = first_reading(given_input)

    assert expected == (read.role, read.example_shape, read.batch_axis, read.sequence_axis)


def test_only_scalars_that_are_compared_take_the_values_that_they_are_compared_with():
    inputs = (
        declared("ids", ("n", 4), "int64", vocabulary=9, compared_with=(3,)),  # with the number of the padding
        declared("rate", (), "int64", compared_with=(16000, 8000)),
        declared("temperature", ()),
    )

    values = {tuple(read.scalar_value for read in reading) for reading in possible_inputs(inputs, ())}

    assert {(None, 16000, 1), (None, 8000, 1)} == values


def test_lengths_that_were_asked_for_are_tried_first():
    readings = possible_inputs((declared("ids", ("n", "seq"), "int64"),), (77, 5))

    assert [77, 5, LENGTH] == [next(readings)[0].example_shape[1] for _ in range(3)]


# --- generating ----------------------------------------------------------------------------------------------------------------


@given(st.lists(entries(), max_size=4), st.integers(1, 5), st.integers(1, 9), st.integers(0, 3))
def test_the_same_seed_generates_the_same_inputs(listed, batch_size, sequence_length, seed):
    inputs = tuple(replace(value, name=str(number)) for number, value in enumerate(listed))
    settings = {"batch_size": batch_size, "sequence_length": sequence_length, "seed": seed}

    expected, actual = generate(inputs, **settings), generate(inputs, **settings)

    assert expected.keys() == actual.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(values, actual[name])


@given(entries(), st.integers(1, 5), st.integers(1, 9))
def test_generated_inputs_have_the_shape_and_type_of_the_input(read, batch_size, sequence_length):
    values = generate((read,), batch_size=batch_size, sequence_length=sequence_length, seed=0)["x"]

    assert (batch_size, sequence_length, 3)[: len(read.shape)] == shape_at(read, batch_size, sequence_length) == values.shape
    assert ("object" if read.dtype == "string" else read.dtype) == values.dtype


@given(entries(roles=["ids"]), st.integers(1, 5), st.integers(1, 9), st.integers(0, 3))
def test_generated_ids_are_inside_the_vocabulary(read, batch_size, sequence_length, seed):
    values = generate((read,), batch_size=batch_size, sequence_length=sequence_length, seed=seed)["x"]

    assert 0 <= values.min() <= values.max() < read.upper_bound


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32", "bool"])
@pytest.mark.parametrize(
    ("role", "expected"), [("mask", [1, 1, 1]), ("segment", [0, 0, 0]), ("state", [0, 0, 0]), ("position", [0, 1, 2])]
)
def test_generated_values_mean_what_their_role_says(role, expected, dtype):
    read = entry(shape=("batch", "sequence"), dtype=dtype, role=role, sequence_axis=1)
    expected = [1, 1, 1] if dtype == "bool" else expected  # a flag is set

    values = generate((read,), batch_size=2, sequence_length=3, seed=0)["x"]

    np.testing.assert_array_equal(np.array([expected, expected], dtype), values)


@pytest.mark.parametrize(("scalar_value", "expected"), [(None, 1), (16000, 16000), (0, 0)])
def test_a_scalar_takes_the_value_that_it_is_compared_with_or_one(scalar_value, expected):
    read = entry(shape=(), dtype="int64", role="scalar", batch_axis=None, scalar_value=scalar_value)

    assert expected == generate((read,), batch_size=2, sequence_length=3, seed=0)["x"]


def test_bytes_are_generated_over_their_whole_range():
    values = generate((entry(dtype="uint8", shape=("n", 4000)),), batch_size=1, sequence_length=None, seed=0)["x"]

    assert (0, 255) == (values.min(), values.max())


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    path = save(models.embedding(), tmp_path_factory.mktemp("model") / "model.onnx")
    read = entry("input_ids", ("batch", "sequence"), "int64", role="ids", sequence_axis=1, upper_bound=VOCABULARY)
    return ort_session.open_session(path), (read,)


@given(batch_size=st.integers(1, 9), sequence_length=st.integers(1, POSITIONS), seed=st.integers(0, 1000))
def test_generated_inputs_are_accepted_at_any_size(language_model, batch_size, sequence_length, seed):
    session, inputs = language_model

    outputs = ort_session.run(session, generate(inputs, batch_size=batch_size, sequence_length=sequence_length, seed=seed))

    assert (batch_size, sequence_length, WIDTH) == outputs["y"].shape


# --- the user's own ------------------------------------------------------------------------------------------------------------


def rows(**arrays):
    return {name: np.asarray(values) for name, values in arrays.items()}


TWO = (entry("x"), entry("ids", ("batch", "sequence"), "int64", role="ids", sequence_axis=1))
ITEMS = {"x": np.zeros((5, WIDTH), np.float32), "ids": np.arange(15).reshape(5, 3)}


def test_rows_that_fit_are_counted(tmp_path):
    assert 5 == check_rows(TWO, ITEMS | {"label": np.zeros(9)}, tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"x": None}, "no array named 'x'"),
        ({"x": np.zeros(WIDTH)}, r"x has shape \[8\], but the model needs \['batch', 8\]"),
        ({"x": np.zeros((5, 3))}, r"x has shape \[5, 3\], but the model needs \['batch', 8\]"),
        ({"x": np.zeros((4, WIDTH))}, r"arrays differ in their number of items: \{'x': 4, 'ids': 5\}"),
        ({"x": np.zeros((0, WIDTH)), "ids": np.zeros((0, 3))}, "x holds no items"),
        ({"x": np.full((5, WIDTH), "a")}, "x holds <U1"),
        ({"x": np.zeros((5, WIDTH), complex)}, "x holds complex128"),
        ({"ids": np.full((5, 3), 0.5)}, "ids holds float64, which does not convert to the model's int64 without loss"),
        ({"ids": np.full((5, 3), np.nan)}, "ids holds float64, which does not convert to the model's int64 without loss"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_file_and_array(change, complaint, tmp_path):
    given_rows = {name: values for name, values in (ITEMS | change).items() if values is not None}
    path = tmp_path / "rows.npz"

    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {complaint}"):
        check_rows(TWO, given_rows, path)


@pytest.mark.parametrize(
    ("dtype", "values", "fits"),
    [
        ("uint8", np.array([[0.0, 255.0]]), True),
        ("uint8", np.array([[0.0, 0.5]]), False),  # a picture scaled to 0..1 would turn black
        ("uint8", np.array([[0, 256]]), False),
        ("int64", np.array([[1, 2]], np.int8), True),
        ("float16", np.array([[0.1, 1e9]]), True),
        ("float32", np.array([[np.nan, np.inf]]), True),
        ("string", np.array([["yes", "no"]]), True),
        ("string", np.array([[1, 2]]), False),
    ],
)
def test_values_fit_if_the_type_of_the_model_takes_them_without_loss(dtype, values, fits, tmp_path):
    inputs = (entry(shape=("n", 2), dtype=dtype),)

    if fits:
        assert 1 == check_rows(inputs, {"x": values}, tmp_path)
    else:
        with pytest.raises(InputError):
            check_rows(inputs, {"x": values}, tmp_path)


def test_scalars_and_states_may_be_left_out(tmp_path):
    inputs = (entry(), entry("rate", (), role="scalar", batch_axis=None), entry("h", (1, "n", 4), role="state", batch_axis=1))

    assert 5 == check_rows(inputs, rows(x=np.zeros((5, WIDTH))), tmp_path)


@given(st.integers(1, 7), st.integers(0, 20), st.integers(1, 20))
def test_items_are_taken_around_the_end(items, start, batch_size):
    values = np.arange(items * WIDTH, dtype=np.float32).reshape(items, WIDTH)

    taken = take((entry(),), {"x": values}, start=start, batch_size=batch_size)["x"]

    np.testing.assert_array_equal([values[(start + number) % items] for number in range(batch_size)], taken)


@given(st.integers(1, 7), st.integers(1, 20))
def test_sequences_are_cut_or_repeated_to_the_length(given_length, length):
    values = np.arange(2 * given_length).reshape(2, given_length)

    taken = take((TWO[1],), {"ids": values}, start=0, batch_size=2, sequence_length=length)["ids"]

    np.testing.assert_array_equal(np.resize(values[1], length), taken[1])


def test_items_are_taken_along_their_own_axis():
    read = entry(shape=("time", "batch", 2), batch_axis=1, sequence_axis=0)
    values = np.arange(24.0).reshape(4, 3, 2)

    np.testing.assert_array_equal(values[:, [2, 0]], take((read,), {"x": values}, start=2, batch_size=2)["x"])


def test_items_of_a_model_for_one_item_lie_along_the_size_that_is_fixed_at_one(tmp_path):
    inputs = (entry(shape=(1, WIDTH), batch_axis=None), entry("h", (1, 1, 4), role="state", batch_axis=None))
    values = np.arange(3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)

    assert {"x": 0, "h": None} == item_axes(inputs)
    assert 3 == check_rows(inputs, {"x": values}, tmp_path)
    np.testing.assert_array_equal(values[2:], take(inputs, {"x": values}, start=2, batch_size=1)["x"])


def test_beside_an_input_with_a_batch_a_first_size_of_one_is_no_batch(tmp_path):
    inputs = (entry(), entry("table", (1, WIDTH), batch_axis=None))

    assert 5 == check_rows(inputs, rows(x=np.zeros((5, WIDTH)), table=np.zeros((1, WIDTH))), tmp_path)


def test_rows_are_given_to_the_model_in_its_own_type_and_rank():
    inputs = (entry(), entry("rate", (), "int64", role="scalar", batch_axis=None))

    taken = take(inputs, rows(x=np.zeros((5, WIDTH), np.float64), rate=np.array(8000, np.int32)), start=0, batch_size=2)

    assert {"x": ("float32", (2, WIDTH)), "rate": ("int64", ())} == {name: (v.dtype, v.shape) for name, v in taken.items()}


def write(content):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        write(b""),
        write(b"x,y\n1,2\n"),
        lambda path: write(path.read_bytes()[:100])(path),
        lambda path: write(path.read_bytes()[:-30])(path),
        lambda path: write(path.read_bytes()[:60] + b"\xff" * 20 + path.read_bytes()[80:])(path),
        lambda path: np.savez(path, x=np.array([None, 1], dtype=object)),
        lambda path: [np.save(path.with_suffix(".npy"), np.zeros(3)), path.with_suffix(".npy").replace(path)],
    ],
    ids=["missing", "empty", "text", "cut short", "cut at the end", "damaged inside", "with objects", "a lone .npy"],
)
def test_a_file_that_is_no_npz_is_refused_by_option_and_path(damage, tmp_path):
    path = tmp_path / "rows.npz"
    np.savez_compressed(path, x=np.arange(1000.0))
    damage(path)

    with pytest.raises(InputError, match=f"^--inputs: {re.escape(str(path))}: "):
        read_npz(path, "--inputs")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8"])
def test_values_drawn_in_pieces_are_those_drawn_at_once(dtype):
    size = 2 * PIECE + 7
    read = (entry("x", (None, size), dtype, batch_axis=0),)
    random = np.random.default_rng(5)
    expected = (
        random.standard_normal((1, size))
        if dtype.startswith("float")
        else random.integers(0, 256 if dtype == "uint8" else 2, (1, size))
    )

    np.testing.assert_array_equal(expected.astype(dtype), generate(read, batch_size=1, sequence_length=None, seed=5)["x"])


def test_inputs_for_which_there_is_no_memory_are_refused_before_they_are_made():
    with pytest.raises(ModelError, match=r"the inputs of a call with 1000000000000 items take .*; .* of memory are free here"):
        generate((entry("x", (None, 8)),), batch_size=10**12, sequence_length=None, seed=0)
