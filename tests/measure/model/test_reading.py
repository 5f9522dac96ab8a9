"""How a model is fed is found by trying: along which axes items lie, how many at a time, and what only the user can know."""

from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from advisor.errors import AdvisorError, InputError, ModelError
from advisor.measure.model.facts import inspect_onnx
from advisor.tell.facts import render_facts
from tests import models
from tests.models import WIDTH, save


@pytest.fixture
def inspect(tmp_path):
    def inspected(model, **given):
        return inspect_onnx(save(model, tmp_path / "model.onnx"), name="model", **given)

    return inspected


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def with_first_input(model, *sizes):
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info(model.graph.input[0].name, 1, sizes))
    return model


# --- how many items a call takes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 8, 12, 48])
@pytest.mark.parametrize("multiples", [True, False])
def test_the_number_of_items_that_a_model_takes_is_found_by_trying(inspect, size, multiples):
    facts = inspect(models.only_in_batches_of(size, multiples=multiples))

    assert facts.batching.possible
    assert size == facts.inputs[0].batch_multiple == facts.batching.multiple
    assert facts.batching.largest == (None if multiples else size)
    assert facts.batching.reason.startswith(
        f"runs with {'multiples of ' if multiples else ''}{size} items a call, found by trying"
    )


@pytest.mark.parametrize("rows", [5, 8, 40])
def test_own_items_are_enough_to_find_it_however_many_they_are(inspect, rows):
    facts = inspect(models.only_in_batches_of(8), rows={"x": numbers(rows, WIDTH)})

    assert (8, 8) == (facts.inputs[0].batch_multiple, facts.batching.largest)


def test_the_cost_of_a_call_of_many_items_is_shared_among_them(inspect):
    alone, together = (inspect(model) for model in (models.only_in_batches_of(1), models.only_in_batches_of(8)))

    assert alone.flop_per_item == together.flop_per_item
    assert alone.activation_bytes_per_item == together.activation_bytes_per_item


def test_a_first_size_fixed_in_the_file_is_that_of_items_if_they_get_on(inspect):
    facts = inspect(models.mlp(batch="4"))

    assert facts.batching.possible
    assert (0, 4, 4) == (facts.inputs[0].batch_axis, facts.inputs[0].batch_multiple, facts.batching.largest)


def test_items_that_a_fixed_batch_mixes_are_not_items(inspect):
    assert not inspect(models.batch_mean(batch="4")).batching.possible


# --- along which axes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tables", [1, 2, 3])
@pytest.mark.parametrize("items", [None, 2, 9, 40])
def test_the_axis_of_items_is_found_for_each_input_by_trying(inspect, tables, items):
    given = (
        {}
        if items is None
        else {"rows": {"x": numbers(items, WIDTH), "ids": np.arange(tables * items).reshape(tables, items) % 50}}
    )

    facts = inspect(models.tables_first(tables), **given)

    assert facts.batching.possible, facts.batching.reason
    assert {"x": 0, "ids": 1} == {entry.name: entry.batch_axis for entry in facts.inputs}
    assert "axis 1 is batch" in render_facts(facts, "text")


def test_a_name_for_the_axis_of_items_is_believed(inspect):
    facts = inspect(models.build("(float[batch, m] x) => (float[batch, m] y) { y = Softmax <axis = 0> (x) }"))

    assert not facts.batching.possible
    assert 0 == facts.inputs[0].batch_axis


def test_own_rows_that_fit_no_reading_are_an_error_about_the_first(inspect):
    with pytest.raises(ModelError, match=r"accepts no given input; first try: .*Concat"):
        inspect(models.tables_first(), rows={"x": numbers(5, WIDTH), "ids": np.zeros((3, 4), np.int64)})


@pytest.mark.parametrize("length", [1, 3, 128])
def test_rows_of_all_items_joined_are_proved_block_by_block(inspect, length):
    facts = inspect(models.rows_joined(), rows={"input_ids": np.random.default_rng(0).integers(0, 50, size=(4, length))})

    assert facts.batching.possible, facts.batching.reason


def test_rows_of_all_items_in_turn_are_denied_with_the_reason(inspect):
    batching = inspect(models.rows_in_turn()).batching

    assert not batching.possible
    assert "has the rows of all items in turn" in batching.reason


# --- sizes ---------------------------------------------------------------------------------------------------------------------


def test_a_size_of_minus_one_is_a_free_axis(inspect):
    facts = inspect(with_first_input(models.mlp(), -1, WIDTH))

    assert (None, WIDTH) == facts.inputs[0].shape
    assert facts.batching.possible


def test_one_input_of_several_may_be_empty(inspect):
    model = models.build(f"(float[n, {WIDTH}] x, float[n, 0] roi) => (float[n, {WIDTH}] y) {{ y = Concat <axis = 1> (x, roi) }}")

    facts = inspect(model)

    assert (1, 0) == facts.inputs[1].example_shape
    assert facts.batching.possible
    assert inspect(model, rows={"x": numbers(5, WIDTH)}).batching.possible


def test_an_input_that_does_not_fit_into_memory_is_refused_before_it_is_made(inspect):
    with pytest.raises(ModelError, match=r"'x', an input, takes [\d.]+ \w+ in a call .* of memory that are free"):
        inspect(with_first_input(models.relu("float[n] x"), 1 << 45))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(sizes=st.lists(st.one_of(st.sampled_from([-1, 0, 1, 2, 3, 8, 1 << 40, 1 << 62]), st.integers(-9, 40)), max_size=5))
def test_whatever_sizes_a_file_declares_it_is_read_or_refused_in_words(inspect, sizes):
    model = models.relu("float[n] x")
    for value in (model.graph.input[0], model.graph.output[0]):
        del value.type.tensor_type.shape.dim[:]
        for size in sizes:
            value.type.tensor_type.shape.dim.add().dim_value = size
    try:
        facts = inspect(model)
    except AdvisorError as error:
        assert error.fault and error.hint and "::" not in error.fault
    else:
        assert tuple(None if size < 0 else size for size in sizes) == facts.inputs[0].shape
        assert all(shape == size for shape, size in zip(facts.inputs[0].example_shape, sizes, strict=True) if size >= 0) or (
            facts.batching.largest is not None
        )


# --- what is no function of its input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw", ["RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform", "Bernoulli", "Multinomial"]
)
def test_a_model_that_draws_is_named_so_and_its_items_are_judged_by_the_rest(inspect, draw):
    steady, mixing = (inspect(models.random(draw, mixes=mixes)) for mixes in (False, True))

    assert (draw,) == steady.random_operators == mixing.random_operators
    assert f"answers differently each time ({draw})" in render_facts(steady, "text")
    assert (True, False) == (steady.batching.possible, mixing.batching.possible)
    assert "depends on the others" in mixing.batching.reason


@pytest.mark.parametrize("build", [models.mlp, models.lstm, models.branches])
def test_a_model_that_answers_alike_is_not_called_random(inspect, build):
    assert () == inspect(build()).random_operators


# --- counts --------------------------------------------------------------------------------------------------------------------

COUNTED = {
    "trips": models.counted_loop,
    "trips by a scalar": partial(models.counted_loop, "int64 steps"),
    "trips in 32 bits": partial(models.counted_loop, "int32[1] max_length"),
    "condition": partial(models.counted_loop, by_condition=True),
    **{name: partial(models.counted, name) for name in ("Range", "TopK", "Tile", "Expand", "ConstantOfShape", "Slice")},
}


@pytest.mark.parametrize("build", COUNTED.values(), ids=COUNTED.keys())
def test_a_count_that_the_cost_depends_on_is_asked_for(inspect, build):
    name = build().graph.input[1].name

    for rows in (None, {"x": numbers(4, WIDTH)}):
        with pytest.raises(InputError, match=f"the cost depends on the value of {name}") as caught:
            inspect(build(), rows=rows)
        assert "--inputs" in caught.value.hint


@pytest.mark.parametrize("by_condition", [False, True])
@pytest.mark.parametrize("count", [3, 17])
def test_the_given_count_is_what_is_looked_at(inspect, count, by_condition):
    rows = {"x": numbers(4, WIDTH), "max_length": np.array([count])}

    facts = inspect(models.counted_loop(by_condition=by_condition), rows=rows)

    turns = next(entry.count for entry in facts.operators if entry.type == "MatMul")
    assert count + by_condition == turns  # the condition is asked after the turn
    assert (count,) == facts.inputs[1].given_values
    assert f"set to {count}, as given: the cost depends on it" in render_facts(facts, "text")


def test_a_value_that_changes_nothing_about_the_cost_is_not_asked_for(inspect):
    facts = inspect(models.shifted())

    assert ("scalar", 1) == (facts.inputs[1].role, facts.inputs[1].scalar_value)
    assert facts.batching.possible


# --- what is no model ----------------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x04", b"{", b"<html", b"\x1f\x8b", b"GGUF", b"\x08\x09"]), rest=st.binary()
)
def test_whatever_bytes_a_file_holds_it_is_refused_in_two_lines(tmp_path, start, rest):
    path = tmp_path / "model.onnx"
    path.write_bytes(start + rest)

    with pytest.raises(AdvisorError) as caught:
        inspect_onnx(path, name="model")

    assert caught.value.fault.startswith(f"{path}: ") and caught.value.hint
