"""A copy in 32-bit floats of a model in 16-bit ones: the same inputs, outputs and answers, no arithmetic in 16 bits left."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from advisor.measure.model import onnx_file
from advisor.measure.runtime import ort_session
from advisor.measure.variants import full_precision
from tests import models
from tests.models import CLASSES, WIDTH, save

HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}


def unused():
    """An input that is an output too, beside one that a cast and a tensor of its own type are made of."""
    return models.build(
        f"""(float16[n, {WIDTH}] x, float16[n, 2] through) => (float16[n, {WIDTH}] y, float16[n, 2] through) {{
            long = Cast <to = 1> (x) short = Cast <to = 10> (long)
            shape = Shape(x) ones = ConstantOfShape <value = float16[1] {{15360}}> (shape) y = Add(short, ones)
        }}"""
    )


BUILDS = {
    "network": lambda: models.mlp(dtype="float16"),
    "branches": lambda: models.halved(models.branches()),
    "loop": lambda: models.halved(models.loop()),
    "constants": lambda: models.with_constant_nodes(models.mlp(dtype="float16")),
    "function": lambda: models.in_function(models.mlp(dtype="float16")),
    "convolution": lambda: models.halved(models.convolution("n, 3, 8, 8")),
    "types named in attributes": unused,
}


def made(model, folder, *, store=save, apart=False):
    baseline = store(model, folder / "half.onnx")
    full_precision.write(baseline, folder / "wide.onnx", apart=apart)
    return baseline, folder / "wide.onnx"


def feeds_of(model):
    random = np.random.default_rng(0)
    types = {value.name: value.type.tensor_type for value in model.graph.input}
    return {
        name: np.ones(shape, np.bool_) if kind.elem_type == TensorProto.BOOL else random.uniform(-1, 1, shape).astype(np.float16)
        for name, kind in types.items()
        for shape in [tuple(dim.dim_value or 3 for dim in kind.shape.dim)]
    }


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS.keys())
def test_the_copy_takes_and_gives_the_same(build, tmp_path):
    model = build()
    baseline, wide = made(model, tmp_path)

    expected, actual = (ort_session.run(ort_session.open_session(path), feeds_of(model)) for path in (baseline, wide))

    assert {name: values.dtype for name, values in expected.items()} == {name: values.dtype for name, values in actual.items()}
    for name, values in expected.items():
        np.testing.assert_allclose(values.astype(float), actual[name].astype(float), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS.keys())
def test_nothing_but_its_ends_is_in_16_bits(build, tmp_path):
    _, wide = made(build(), tmp_path)

    model = onnx.load(wide)
    onnx.checker.check_model(model, full_check=True)
    stored = [tensor for graph in onnx_file.graphs(model) for tensor in graph.initializer]
    assert not {tensor.data_type for tensor in stored} & HALVES
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    inside = {value.type.tensor_type.elem_type for value in inferred.graph.value_info if value.name not in ends}
    assert not inside & HALVES


def test_weights_in_a_second_file_stay_in_one(tmp_path):
    weights = {"w": models.weights(w=(64, 64))["w"].astype(np.float16)}
    model = models.build("(float16[n, 64] x) => (float16[n, 64] y) { y = MatMul(x, w) }", weights)

    _, wide = made(model, tmp_path, store=models.save_with_external_data, apart=True)

    assert (tmp_path / "wide.onnx.data").stat().st_size >= 4 * 64**2
    assert ort_session.run(ort_session.open_session(wide), {"x": np.ones((1, 64), np.float16)})["y"].dtype == np.float16


def test_bfloat16_weights_are_widened_too(tmp_path):
    model = models.halved(models.mlp(), TensorProto.BFLOAT16)
    for value, name in ((model.graph.input[0], "x"), (model.graph.output[0], "logits")):
        value.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH if name == "x" else CLASSES]))
    nodes = list(model.graph.node)
    nodes[0].input[0], nodes[-1].output[0] = "short", "last"
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Cast", ["x"], ["short"], to=TensorProto.BFLOAT16))
    model.graph.node.extend([*nodes, helper.make_node("Cast", ["last"], ["logits"], to=TensorProto.FLOAT)])
    x = np.random.default_rng(0).standard_normal((5, WIDTH)).astype(np.float32)

    _, wide = made(model, tmp_path)

    expected = ort_session.run(ort_session.open_session(save(models.mlp(), tmp_path / "floats.onnx")), {"x": x})["logits"]
    actual = ort_session.run(ort_session.open_session(wide), {"x": x})["logits"]
    np.testing.assert_allclose(expected, actual, rtol=0.05, atol=0.2)
