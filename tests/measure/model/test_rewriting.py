"""A model rewritten is the same model: without its draws steady, and in 32-bit floats with the ends and the answers that it had."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from advisor.measure.model import onnx_file, rewriting
from advisor.measure.runtime import ort_session
from tests import models
from tests.models import CLASSES, WIDTH, save

DRAWS = ("RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform", "Bernoulli", "Multinomial")


@pytest.mark.parametrize("store", [save, models.save_with_external_data])
@pytest.mark.parametrize("wrap", [lambda model: model, models.in_function])
@pytest.mark.parametrize("draw", DRAWS)
def test_what_is_left_answers_alike_with_outputs_as_before(tmp_path, draw, wrap, store):
    source, target = store(wrap(models.random(draw)), tmp_path / "random.onnx"), tmp_path / "steady" / "steady.onnx"
    target.parent.mkdir()
    feeds = {"x": np.random.default_rng(0).standard_normal((5, WIDTH)).astype(np.float32)}

    rewriting.without_draws(source, target)

    before, session = ort_session.run(ort_session.open_session(source), feeds)["y"], ort_session.open_session(target)
    first, second = (ort_session.run(session, feeds)["y"] for _ in range(2))
    assert (before.shape, before.dtype) == (first.shape, first.dtype)
    np.testing.assert_array_equal(first, second)


def test_a_draw_inside_a_loop_is_held_fixed_too(tmp_path):
    model = models.build(
        f"""(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) {{
            y = Loop(three, yes, x) <body = body (int64 turn, bool go, float[n, {WIDTH}] state)
                => (bool again, float[n, {WIDTH}] next) {{
                    again = Identity(go) noise = RandomNormalLike(state) next = Add(state, noise) }}>
        }}""",
        {"yes": np.array(True), "three": np.array(3)},
    )

    rewriting.without_draws(save(model, tmp_path / "random.onnx"), tmp_path / "steady.onnx")

    x = np.ones((2, WIDTH), np.float32)
    np.testing.assert_array_equal(x, ort_session.run(ort_session.open_session(tmp_path / "steady.onnx"), {"x": x})["y"])


# --- 32-bit floats ------------------------------------------------------------------------------------------------------------

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
    rewriting.in_float32(baseline, folder / "wide.onnx", apart=apart)
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
