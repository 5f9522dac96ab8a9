"""The sizes of what a graph computes, by its file alone."""

import numpy as np
import onnx
import pytest
from onnx import helper

from advisor.errors import ModelError
from advisor.measure.runtime import memory
from advisor.measure.sizes import graph_values
from tests import models

LARGE = 1 << 30


def largest(model):
    return max(graph_values.least_values(model), key=lambda value: value.least_bytes)


def of_constants(operator, inputs, weights, shape="n, 4"):
    return models.build(
        f"(float[{shape}] x) => (float[n] y) {{ v = {operator}({inputs}) r = Identity(v) y = Add(x, r) }}", weights
    )


@pytest.mark.parametrize(
    ("operator", "inputs", "weights", "shape"),
    [
        ("ConstantOfShape", "s", {"s": np.array([LARGE])}, "n, 4"),
        ("Expand", "x, s", {"s": np.array([LARGE, 4])}, "1, 4"),
        ("Tile", "x, s", {"s": np.array([LARGE, 1])}, "1, 4"),
        ("Range", "a, b, c", {"a": np.array(0), "b": np.array(LARGE), "c": np.array(1)}, "n, 4"),
        ("Resize", "x,,s", {"s": np.array([1, float(LARGE)], np.float32)}, "1, 4"),
        ("Identity", "x", {}, f"{LARGE}, 4"),
    ],
)
def test_what_constants_make_large_is_seen_before_it_is_made(operator, inputs, weights, shape):
    assert largest(of_constants(operator, inputs, weights, shape)).least_bytes >= 4 * LARGE


def test_a_shape_that_is_computed_from_a_shape_is_followed():
    model = models.build(
        """(float[8, 4] x) => (float[n] y) {
            s = Shape(x) t = Mul(s, k) v = ConstantOfShape(t) y = Add(x, v)
        }""",
        {"k": np.array([LARGE, 1])},
    )

    assert ("v", "ConstantOfShape", 4 * 8 * LARGE * 4) == largest(model)


def test_stored_weights_are_no_values_and_open_sizes_count_as_one():
    model = models.build(
        "(float[n, 1000] x) => (float[n, 1000] y) { y = MatMul(x, w) }", {"w": np.ones((1000, 1000), np.float32)}
    )

    assert 4000 == largest(model).least_bytes


def test_a_sparse_tensor_takes_what_it_takes_unpacked():
    values, indices = helper.make_tensor("w", 1, [1], [1.0]), helper.make_tensor("i", 7, [1], [0])
    model = models.build("(float[n] x) => (float[n] y) { y = Add(x, w) }")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [LARGE]))

    assert ("w", "a sparse tensor", 4 * LARGE) == largest(model)


@pytest.mark.parametrize("dims", [[-1, 4], [0, 4], [2**62, 2**62]])
def test_no_size_is_too_odd_to_be_counted(dims):
    model = models.build("(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }")
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, dims))

    assert largest(model).least_bytes >= 16 * (dims[0] == 2**62)


def test_a_value_for_which_there_is_no_memory_is_refused_with_both_sizes(tmp_path):
    room = memory.available_bytes()
    model = of_constants("ConstantOfShape", "s", {"s": np.array([room])})

    with pytest.raises(
        ModelError, match=r"m\.onnx: 'v', which ConstantOfShape makes, takes .* one value may take .* are free here"
    ):
        graph_values.refuse_large(model, tmp_path / "m.onnx")
    graph_values.refuse_large(onnx.ModelProto.FromString(models.mlp().SerializeToString()), tmp_path / "m.onnx")


def test_what_a_file_says_is_looked_at_before_anything_is_inferred_from_it(tmp_path, monkeypatch):
    def inferred(*_, **__):
        raise AssertionError("inferred from a value that is too large")

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", inferred)
    model = models.build(f"(float[{2**31 - 1}] x) => (float[n] y) {{ y = Mul(x, x) }}")

    with pytest.raises(ModelError, match=r"'x', an input, takes 8\.59 GB"):
        graph_values.refuse_large(model, tmp_path / "m.onnx")


@pytest.mark.parametrize(("samples", "is_propagated"), [(100_000, True), (100_001, False)])
def test_no_long_vector_is_taken_for_a_shape(samples, is_propagated, monkeypatch):
    asked, infer = [], onnx.shape_inference.infer_shapes
    monkeypatch.setattr(
        onnx.shape_inference,
        "infer_shapes",
        lambda model, data_prop=False: asked.append(data_prop) or infer(model, data_prop=data_prop),
    )
    model = models.build(
        f"(float[1, {samples}] x) => (float[n] y) {{ v = Flatten(x) w = Reshape(v, s) y = Mul(w, w) }}", {"s": np.array([-1])}
    )

    assert largest(model).least_bytes == 4 * samples
    assert is_propagated == (True in asked)


def test_a_scan_of_more_inputs_than_it_has_is_refused(tmp_path):
    model = models.mlp()
    model.graph.node.add(op_type="Scan", name="s", input=["x"], output=["z"]).attribute.append(
        helper.make_attribute("num_scan_inputs", 2**31 - 1)
    )

    with pytest.raises(ModelError, match="Scan 's' scans 2147483647 inputs and has 1"):
        graph_values.refuse_large(model, tmp_path / "m.onnx")
