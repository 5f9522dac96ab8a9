"""What is said of a model: proved by running it, or refused with a reason; never a traceback."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from advisor.errors import AdvisorError, InputError, ModelError
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.model.input_rows import SEQUENCE_LENGTHS
from tests import models
from tests.models import CLASSES, HIDDEN, MLP_PARAMETERS, POSITIONS, VOCABULARY, WIDTH, save

EXAMPLES = Path(__file__).parents[3] / "examples" / "data"
MLP_FLOP = 2 * (WIDTH * HIDDEN + HIDDEN * CLASSES) + 2 * HIDDEN + CLASSES  # products; the first sum and Relu; the second sum


@pytest.fixture
def inspect(tmp_path):
    def inspected(model, **given):
        return inspect_onnx(save(model, tmp_path / "model.onnx"), name="model", **given)

    return inspected


def items(count, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


# --- size and cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["batch", "unk__12", "?", "1"])
@pytest.mark.parametrize("opset", [9, 13, 18])
def test_a_small_network_is_known_to_the_last_operation(inspect, batch, opset):
    facts = inspect(models.mlp(batch=batch, opset=opset))

    assert (MLP_PARAMETERS, 4 * MLP_PARAMETERS) == (facts.parameters, facts.weight_bytes)
    assert MLP_FLOP == facts.flop_per_item
    assert {"MatMul": 384, "Add": 20, "Relu": 16} == {entry.type: entry.flop_per_item for entry in facts.operators}
    assert ((1, WIDTH), True) == (facts.inputs[0].example_shape, facts.outputs[0].has_classes)


@pytest.mark.parametrize("dtype", ["float16", "double"])
def test_the_precision_of_weights_changes_their_bytes_alone(inspect, dtype):
    facts = inspect(models.mlp(dtype=dtype))

    assert {"float16": 2, "double": 8}[dtype] * MLP_PARAMETERS == facts.weight_bytes
    assert {"MatMul": 384, "Add": 20} == {e.type: e.flop_per_item for e in facts.operators if e.type in ("MatMul", "Add")}


@pytest.mark.parametrize(
    ("model", "executed", "flop"),
    [
        (models.branches(), 1, 2 * WIDTH**2),  # one of two branches
        (models.loop(times=5), 5, 5 * 2 * WIDTH**2),
        (models.in_function(models.mlp()), 2, 384),
        (models.sparse(), 1, 2 * WIDTH * CLASSES),
    ],
    ids=["If", "Loop", "function", "sparse"],
)
def test_operators_cost_as_often_as_they_are_executed(inspect, model, executed, flop):
    (product,) = (entry for entry in inspect(model).operators if entry.type == "MatMul")

    assert (executed, flop) == (product.count, product.flop_per_item)


def test_an_operator_without_a_formula_makes_the_cost_unknown_and_is_named(inspect):
    facts = inspect(models.build("(float[n, 4, 4] x) => (float[n] y) { y = Det(x) }"))

    assert facts.flop_per_item is None
    assert ("flop unknown: there is no formula for Det",) == facts.notes


def test_an_einsum_without_a_name_is_known_by_its_equation(inspect):
    model = models.build(
        '(float[n, 4] x) => (float[n, 3] y) { y = Einsum <equation = "ij,jk->ik"> (x, w) }', models.weights(w=(4, 3))
    )

    assert 2 * 4 * 3 == inspect(model).flop_per_item


@pytest.mark.parametrize(
    ("build", "family"),
    [
        (models.mlp, "other"),
        (models.lstm, "other"),
        (partial(models.convolution, "n, 3, 8, 8"), "cnn"),
        (models.decoder, "decoder"),
        (models.forest, "tree"),
    ],
)
def test_the_family_follows_from_what_is_executed(inspect, build, family):
    assert family == inspect(build()).family


def test_a_cache_grows_by_a_key_and_a_value_for_each_head(inspect):
    assert 2 * 2 * 4 * 4 == inspect(models.decoder(heads=2, head_width=4)).kv_bytes_per_token


def test_a_quantized_file_is_recognised(tmp_path):
    facts = inspect_onnx(models.quantized(tmp_path), name="model")

    assert facts.already_quantized
    assert MLP_PARAMETERS == facts.parameters
    assert facts.weight_bytes < 2 * MLP_PARAMETERS


@pytest.mark.parametrize("operator", ["MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul"])
def test_a_file_in_integers_is_recognised_whatever_operators_it_has(inspect, operator):
    assert inspect(models.product_of_bytes(operator)).already_quantized


def test_a_forest_is_the_same_with_and_without_zipmap(inspect):
    with_map, without = inspect(models.forest(zipmap=True)), inspect(models.forest(zipmap=False))

    assert with_map.flop_per_item == without.flop_per_item > 0
    assert [(entry.role, entry.batch_axis) for entry in with_map.inputs] == [("features", 0)]
    assert with_map.batching == without.batching
    assert all(output.has_classes for output in (*with_map.outputs, *without.outputs))


# --- whether items can share a call --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        models.mlp,
        models.embedding,
        partial(models.embedding, ids="int32"),
        partial(models.embedding, sequence_first=True),
        partial(models.two_tables, mask="bool"),
        partial(models.two_tables, mask="float"),
        models.positioned,
        models.lstm,
        models.decoder,
        partial(models.convolution, "n, 3, height, width"),
        partial(models.convolution, "unk__1, ?, ?, 3", dtype="uint8", channels_last=True),
        models.forest,
        models.logarithm,
        partial(models.relu, "float[n, t] audio"),
        partial(models.relu, "float[n, t, 80] mel"),
        models.switched,
        models.encoder_of_texts,
    ],
)
def test_items_that_do_not_disturb_each_other_can_share_a_call(inspect, build):
    batching = inspect(build()).batching

    assert batching.possible, batching.reason


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (models.mlp(batch="1"), r"no input has a free batch axis \(x \[1, 8\]\)"),
        (models.batch_mean(batch="4"), r"no input has a free batch axis \(x \[4, 8\]\)"),
        (models.batch_mean(), "an item's output depends on the others in its batch"),
        (models.states_added_up(), "an item's output depends on the others in its batch"),
        (models.fixed_reshape(), "a batch of two fails"),
        (models.build("(float[n, 8] x) => (float y) { y = ReduceSum <keepdims = 0> (x) }"), "output y does not grow"),
    ],
)
def test_items_that_cannot_share_a_call_are_refused_with_the_reason(inspect, model, reason):
    batching = inspect(model).batching

    assert not batching.possible
    assert re.match(reason, batching.reason)


@pytest.mark.parametrize("states", [True, False], ids=["states given", "states inside"])
def test_a_recurrent_network_with_time_first_is_not_taken_for_one_with_items_first(inspect, states):
    model = models.lstm()
    for value in model.graph.input:
        for dimension in value.type.tensor_type.shape.dim:
            dimension.ClearField("dim_param")
    if not states:
        del model.graph.input[1:], model.graph.node[0].input[4:], model.graph.output[1:], model.graph.node[0].output[1:]

    facts = inspect(model)

    assert ((SEQUENCE_LENGTHS[0], 1, 3), 0, 1) == (
        facts.inputs[0].example_shape,
        facts.inputs[0].sequence_axis,
        facts.inputs[0].batch_axis,
    )
    assert facts.batching.possible


def test_a_small_influence_of_the_neighbors_is_an_influence(inspect):
    model = models.build(
        f"""(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) {{
            mean = ReduceMean(x, axis)
            little = Mul(mean, twentieth)
            y = Add(x, little)
        }}""",
        {"axis": np.array([0]), "twentieth": np.float32(0.05)},
    )

    assert not inspect(model).batching.possible


@pytest.mark.parametrize(("times", "is_possible"), [(10, True), (1000, False)])
def test_dynamic_quantization_is_allowed_its_slight_dependence_and_noted(inspect, times, is_possible):
    # Beside a row ten times as large a row has a tenth of its 255 steps, beside one a thousand times as large none. Weights of 7 bits
    # saturate on no processor, so that every instruction set comes to the same integers.
    x = items(2, WIDTH) * np.array([[1], [times]], np.float32)

    facts = inspect(models.product_of_bytes(), rows={"x": x})

    assert is_possible == facts.batching.possible
    noted = ("outputs depend slightly on what else is in the batch, as dynamic quantization makes them",)
    assert (noted if is_possible else ()) == facts.notes


# --- inputs --------------------------------------------------------------------------------------------------------------------


def test_the_first_length_that_the_model_accepts_is_kept(inspect):
    facts = inspect(models.embedding())

    assert SEQUENCE_LENGTHS[0] > POSITIONS
    assert next(length for length in SEQUENCE_LENGTHS if length <= POSITIONS) == facts.at_sequence_length
    assert (0, 1, VOCABULARY) == (facts.inputs[0].batch_axis, facts.inputs[0].sequence_axis, facts.inputs[0].upper_bound)


def test_lengths_that_were_asked_for_must_be_accepted(inspect):
    assert 32 == inspect(models.embedding(), sequence_lengths=(32, POSITIONS)).at_sequence_length

    with pytest.raises(InputError, match=r"inputs\.sequence_length: the model does not accept length 65"):
        inspect(models.embedding(), sequence_lengths=(32, POSITIONS + 1))


def test_a_length_for_a_model_without_sequences_is_refused(inspect):
    with pytest.raises(InputError, match="the model has no sequence axis"):
        inspect(models.mlp(), sequence_lengths=(32,))


def test_a_setting_is_found_among_those_that_the_graph_knows(inspect):
    assert [None, 16000] == [entry.scalar_value for entry in inspect(models.switched()).inputs]


def test_a_voice_detector_with_weights_in_its_branches_is_understood():
    facts = inspect_onnx(models.voice_detector("silero_vad"), name="silero_vad")

    assert {"input": "features", "state": "state", "sr": "scalar"} == {entry.name: entry.role for entry in facts.inputs}
    assert {"input": 0, "state": 1, "sr": None} == {entry.name: entry.batch_axis for entry in facts.inputs}
    assert facts.inputs[2].scalar_value in (16000, 8000)
    assert facts.batching.possible
    assert facts.weight_bytes == 4 * facts.parameters > 2_000_000


def test_the_example_of_the_readme_is_understood():
    images = np.load(EXAMPLES / "fashion_images.npz")

    facts = inspect_onnx(EXAMPLES / "fashion_dscnn.onnx", name="dscnn", rows={"image": images["image"]})

    assert ("cnn", (1, 1, 28, 28), True) == (facts.family, facts.inputs[0].example_shape, facts.batching.possible)


# --- the user's own items ------------------------------------------------------------------------------------------------------


def test_own_items_say_how_long_a_sequence_is(inspect):
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (6, 20))

    facts = inspect(models.embedding(), rows={"input_ids": ids})

    assert ((1, 20), 20) == (facts.inputs[0].example_shape, facts.at_sequence_length)
    assert 20 * WIDTH == facts.flop_per_item


def test_own_items_are_cut_to_the_lengths_that_were_asked_for(inspect):
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (6, 20))

    assert 8 * WIDTH == inspect(models.embedding(), rows={"input_ids": ids}, sequence_lengths=(8, 12)).flop_per_item

    with pytest.raises(InputError, match="the model does not accept length 65"):
        inspect(models.embedding(), rows={"input_ids": ids}, sequence_lengths=(POSITIONS + 1,))


def test_own_items_stand_in_where_generated_ones_are_refused(inspect):
    model = models.build(
        f"(int64[n] row) => (float[n, {WIDTH}] y) {{ one = Cast <to = 7> (row) less = Sub(one, start) y = Gather(table, less) }}",
        models.weights(table=(5, WIDTH)) | {"start": np.int64(1000)},
    )
    with pytest.raises(ModelError, match="the model accepts no generated input"):
        inspect(model)

    facts = inspect(model, rows={"row": np.array([1000, 1004, 1002])})

    assert facts.batching.possible
    assert facts.flop_per_item == 1


def test_own_items_that_the_model_refuses_are_an_error_that_names_the_model(inspect, tmp_path):
    with pytest.raises(ModelError, match=rf"{tmp_path}/model\.onnx: the model accepts no given input"):
        inspect(models.embedding(), rows={"input_ids": np.full((3, 4), VOCABULARY)})


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({}, "no array named 'x'"),
        ({"x": items(WIDTH)}, "x has shape"),
        ({"x": items(5, 3)}, "x has shape"),
        ({"x": items(0, WIDTH)}, "x holds no items"),
        ({"x": items(5, WIDTH).astype(str)}, "x holds <U"),
    ],
)
def test_own_items_that_do_not_fit_are_refused_by_array(inspect, rows, complaint):
    with pytest.raises(InputError, match=rf"--inputs: {complaint}"):
        inspect(models.mlp(), rows=rows)


@pytest.mark.parametrize("rows", [items(1, WIDTH), np.repeat(items(1, WIDTH), 4, axis=0)], ids=["one", "four equal"])
def test_items_that_are_all_the_same_prove_nothing(inspect, rows):
    assert not inspect(models.batch_mean(), rows={"x": rows}).batching.possible


def test_one_call_is_one_item_where_items_cannot_share_it(inspect):
    facts = inspect(models.batch_mean(), rows={"x": items(7, WIDTH)})

    assert (1, WIDTH) == facts.inputs[0].example_shape
    assert 2 * WIDTH == facts.flop_per_item


# --- what cannot be measured ---------------------------------------------------------------------------------------------------


def with_input(value):
    model = models.mlp()
    model.graph.input[0].CopyFrom(value)
    return model


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (models.custom_operator(), "ONNX Runtime cannot load it"),
        (models.mlp(opset=18, ir_version=99), "ONNX Runtime cannot load it"),
        (with_input(helper.make_tensor_sequence_value_info("x", 1, None)), "ONNX Runtime cannot load it"),
        (
            models.build("(seq(float[n]) x) => (float[m] y) { y = ConcatFromSequence <axis = 0> (x) }"),
            "input 'x' is a sequence, not a tensor",
        ),
        (models.build("(bfloat16[n, 8] x) => (float[n, 8] y) { y = Cast <to = 1> (x) }"), "input 'x' is of type bfloat16"),
        (
            models.build(
                "(float[n, 8] x) => (seq(float[n, m]) y) <int64[2] s = {3, 5}> { y = SplitToSequence <axis = 1> (x, s) }"
            ),
            "an output is a sequence of tensors of different shapes",
        ),
        (with_input(helper.make_tensor_value_info("x", 1, [0, WIDTH])), "is empty by its declared shape"),
        (
            models.build("(float[n, m] x) => (float[n, 2] y) { y = MatMul(x, w) }", models.weights(w=(11, 2))),
            "no generated input",
        ),
    ],
    ids=["custom operator", "new IR", "sequence", "sequence input", "bfloat16", "ragged output", "no items", "unknown width"],
)
def test_a_model_that_cannot_be_run_is_refused_by_name(inspect, tmp_path, model, complaint):
    with pytest.raises(ModelError, match=rf"^{tmp_path}/model\.onnx: .*{complaint}"):
        inspect(model)


@pytest.mark.parametrize("content", [b"", b"a letter\n" * 9, models.mlp().SerializeToString()[:-300]])
def test_what_is_no_onnx_file_is_wrong_input_not_a_wrong_model(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(InputError, match=rf"^{path}: "):
        inspect_onnx(path, name="model")


def test_a_missing_second_file_is_named_as_such(tmp_path):
    path = models.save_with_external_data(models.mlp(), tmp_path / "model.onnx")
    (tmp_path / "model.onnx.data").unlink()

    with pytest.raises(ModelError, match=r"its weights are in model\.onnx\.data, which is missing beside it"):
        inspect_onnx(path, name="model")


@pytest.mark.parametrize("build", [models.mlp, models.branches, models.forest])
def test_a_damaged_file_is_refused_or_read_but_never_a_traceback(tmp_path, build):
    content, path, random = build().SerializeToString(), tmp_path / "model.onnx", np.random.default_rng(0)

    for _ in range(100):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[random.integers(len(content), size=3)] = random.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        try:
            inspect_onnx(path, name="model")
        except AdvisorError as error:
            assert str(path) in error.fault


def test_a_setting_that_an_input_cannot_hold_is_not_tried(inspect):
    model = models.build(
        f"""(float[n, {WIDTH}] x, uint8 mode) => (float[n, {WIDTH}] y, bool is_set) {{
            y = Relu(x) wide = Cast <to = 7> (mode) is_set = Equal(wide, five)
        }}""",
        {"five": np.array(-5)},
    )

    assert 1 == inspect(model).inputs[1].scalar_value
