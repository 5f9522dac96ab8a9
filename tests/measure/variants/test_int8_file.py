"""Statically quantized files: means that rounding does not shift, and floats that ONNX Runtime leaves alone."""

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from advisor.measure.model import onnx_graph
from advisor.measure.runtime import ort_session
from advisor.measure.variants import int8_file, quantize
from advisor.steps.profile import schemes
from tests import models
from tests.models import save

STATIC, DYNAMIC = (next(scheme for scheme in schemes() if scheme.id == name) for name in ("int8-static-minmax", "int8-dynamic"))
UNCORRECTED = msgspec.structs.replace(STATIC, bias_correction=False)
ITEMS = [np.random.default_rng(seed).gamma(2.0, size=(8, 4, 6, 6)).astype(np.float32) for seed in range(4)]


def convolutions(groups=1, opset=17):
    """Return three convolutions in a row, the last without an activation; some channels have one weight far above the others."""
    random = np.random.default_rng(7)

    def weights(out, into):
        values = random.normal(0.02, 0.05, size=(out, into, 3, 3)).astype(np.float32)
        values[:, 0, 1, 1] += 2.0
        return values

    return models.build(
        f"""(float[n, 4, 6, 6] x) => (float[n, 4, 6, 6] y) {{
            a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
            r = Relu(a)
            b = Conv <pads = [1, 1, 1, 1], group = {groups}> (r, w2, b2)
            s = Relu(b)
            y = Conv <pads = [1, 1, 1, 1]> (s, w3, b3)
        }}""",
        {
            "w1": weights(8, 4),
            "w2": weights(8, 8 // groups),
            "w3": weights(4, 8),
            "b1": np.zeros(8, np.float32),
            "b2": np.full(8, 0.5, np.float32),
            "b3": np.zeros(4, np.float32),
        },
        opset=opset,
    )


def products(transposed):
    """Return two products with a bias, as Gemm; the weights of the first transposed or not."""
    random = np.random.default_rng(3)
    w = random.normal(0.02, 0.05, size=(16, 12)).astype(np.float32)
    w[0, :] += 2.0
    return models.build(
        f"""(float[n, 16] x) => (float[n, 3] y) {{
            a = Gemm <transB = {int(transposed)}> (x, w1, b1)
            r = Relu(a)
            y = Gemm(r, w2, b2)
        }}""",
        {
            "w1": w.T.copy() if transposed else w,
            "b1": np.zeros(12, np.float32),
            "w2": random.normal(size=(12, 3)).astype(np.float32),
            "b2": np.zeros(3, np.float32),
        },
    )


def made(model, folder, scheme=STATIC, nodes=quantize.EVERY, items=ITEMS, are_real=True):
    """Return the prepared file and the file under the scheme, as a user's processor without VNNI would get them."""
    folder.mkdir(exist_ok=True)
    baseline = save(model, folder / "baseline.onnx")
    ingredients = quantize.Ingredients(
        file_bytes=baseline.stat().st_size,
        has_vnni=False,
        calibration=lambda: ({"x": values} for values in items),
        are_real=are_real,
    )
    prepared = quantize.prepare(baseline, folder, apart=False)
    quantize.quantize(prepared, scheme, folder / "made.onnx", ingredients, nodes, apart=False)
    return prepared, folder / "made.onnx"


def outputs(path, items=ITEMS, optimization="all"):
    session = ort_session.open_session(path, optimization=optimization)
    return np.concatenate([ort_session.run(session, {"x": values})["y"] for values in items])


def shift_of_channels(prepared, variant, items=ITEMS):
    """Return how far off the mean of each output channel is."""
    error = outputs(variant, items) - outputs(prepared, items)
    return np.abs(error.mean(axis=tuple(axis for axis in range(error.ndim) if axis != 1)))


@pytest.mark.parametrize("model", [convolutions(), convolutions(groups=4), convolutions(opset=18)])
def test_the_means_of_channels_are_nearer_with_biases_corrected(model, tmp_path):
    before = shift_of_channels(*made(model, tmp_path / "before", UNCORRECTED))
    after = shift_of_channels(*made(model, tmp_path / "after"))

    assert after.mean() < 0.7 * before.mean()


@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_corrected_along_the_right_axis(transposed, tmp_path):
    items = [np.random.default_rng(seed).gamma(2.0, size=(64, 16)).astype(np.float32) for seed in range(4)]

    before = shift_of_channels(*made(products(transposed), tmp_path / "before", UNCORRECTED, items=items), items)
    after = shift_of_channels(*made(products(transposed), tmp_path / "after", items=items), items)

    assert after.mean() < 0.7 * before.mean()


def products_and_sums():
    """Return two products of three axes with what is added to them, as transformers have them."""
    random = np.random.default_rng(5)
    w = random.normal(0.02, 0.05, size=(16, 12)).astype(np.float32)
    w[0, :] += 2.0
    return models.build(
        """(float[n, t, 16] x) => (float[n, t, 3] y) {
            a = MatMul(x, w1)
            b = Add(b1, a)
            r = Relu(b)
            c = MatMul(r, w2)
            y = Add(c, b2)
        }""",
        {
            "w1": w,
            "b1": np.zeros(12, np.float32),
            "w2": random.normal(size=(12, 3)).astype(np.float32),
            "b2": np.zeros(3, np.float32),
        },
    )


@pytest.mark.parametrize(
    ("model", "shape"), [(products_and_sums(), (8, 5, 16)), (products(False), (64, 16)), (products(True), (64, 16))]
)
def test_what_is_added_to_products_is_corrected_where_inputs_are_quantized_at_run_time(model, shape, tmp_path):
    items = [np.random.default_rng(seed).gamma(2.0, size=shape).astype(np.float32) for seed in range(4)]

    def shift(scheme, folder):
        prepared, variant = made(model, folder, scheme, items=items)
        error = outputs(variant, items) - outputs(prepared, items)
        return np.abs(error.reshape(-1, error.shape[-1]).mean(axis=0))

    before = shift(msgspec.structs.replace(DYNAMIC, bias_correction=False), tmp_path / "before")
    after = shift(DYNAMIC, tmp_path / "after")

    assert after.mean() < 0.7 * before.mean()


def test_generated_items_correct_nothing(tmp_path):
    items = [np.random.default_rng(1).gamma(2.0, size=(64, 16)).astype(np.float32)]

    _, real = made(products(False), tmp_path / "real", DYNAMIC, items=items)
    _, generated = made(products(False), tmp_path / "generated", DYNAMIC, items=items, are_real=False)
    _, plain = made(products(False), tmp_path / "plain", msgspec.structs.replace(DYNAMIC, bias_correction=False), items=items)

    weights = [onnx_graph.read_graph(path).weights_sha256 for path in (real, generated, plain)]
    assert weights[1] == weights[2] != weights[0]


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4]))
def test_the_shift_is_what_the_wrong_weights_add(seed, groups):
    random = np.random.default_rng(seed)
    error, mean = random.normal(size=(8, 8 // groups, 1, 1)), random.normal(size=8)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=groups)

    # An image of one pixel, all channels at their mean: what the convolution by the error alone gives.
    expected = [error[out, :, 0, 0] @ mean.reshape(groups, -1)[out // (8 // groups)] for out in range(8)]

    np.testing.assert_allclose(int8_file._shift(node, error, mean), expected)


def test_means_are_those_of_what_each_node_reads(tmp_path):
    prepared, _ = made(convolutions(), tmp_path)
    model = onnx.load(prepared)
    first = next(node for node in model.graph.node if node.op_type == "Conv")

    means = int8_file.mean_inputs(prepared, lambda: ({"x": values} for values in ITEMS))

    np.testing.assert_allclose(means[first.name], np.concatenate(ITEMS).mean(axis=(0, 2, 3)), rtol=1e-5)
    assert {node.name for node in model.graph.node if node.op_type == "Conv"} == set(means)
    assert not list(tmp_path.glob("means-*"))


def test_of_what_onnx_runtime_takes_no_mean_none_is_asked_for(tmp_path):
    half = models.build("(float16[n, 8] x) => (float16[n, 8] y) { y = MatMul(x, w) }", {"w": np.ones((8, 8), np.float16)})

    found = int8_file.mean_inputs(save(half, tmp_path / "half.onnx"), lambda: [{"x": np.ones((1, 8), np.float16)}])

    assert {} == found


def test_what_is_kept_in_floats_is_not_quantized_by_onnx_runtime_after_all(tmp_path):
    prepared, _ = made(convolutions(), tmp_path)
    _, middle, _ = quantize.quantizable(prepared, STATIC)

    _, variant = made(convolutions(), tmp_path, nodes=quantize.Nodes(kept=frozenset({middle})))

    session = ort_session.open_session(variant, save_as=tmp_path / "opened.onnx", optimization="extended")
    del session
    opened = onnx.load(tmp_path / "opened.onnx")
    stored = {tensor.name: tensor for tensor in opened.graph.initializer}
    floats = [node for node in opened.graph.node if node.op_type == "FusedConv"]
    assert 1 == len(floats)
    expected = {tensor.name: tensor for tensor in onnx.load(prepared).graph.initializer}
    weights = numpy_helper.to_array(stored[floats[0].input[1]])
    assert any(
        values.dims == list(weights.shape) and (numpy_helper.to_array(values) == weights).all() for values in expected.values()
    )
    np.testing.assert_allclose(outputs(variant), outputs(variant, optimization="disabled"), rtol=0.1, atol=0.1)


def test_a_product_that_is_kept_gives_what_it_gave(tmp_path):
    items = [np.random.default_rng(seed).gamma(2.0, size=(64, 16)).astype(np.float32) for seed in range(4)]
    path = save(products(False), tmp_path / "model.onnx")
    model = onnx.load(path)
    first = model.graph.node[0]
    first.attribute.append(helper.make_attribute("activation", "LeakyRelu"))
    first.attribute.append(helper.make_attribute("activation_alpha", 1.0))
    first.op_type, first.domain = "FusedGemm", int8_file.MICROSOFT
    model.opset_import.append(helper.make_opsetid(int8_file.MICROSOFT, 1))
    onnx.save(model, tmp_path / "fused.onnx")

    np.testing.assert_array_equal(outputs(path, items), outputs(tmp_path / "fused.onnx", items))


def test_an_activation_is_a_part_of_the_range_before_it(tmp_path):
    _, variant = made(convolutions(), tmp_path)

    assert 0 == onnx_graph.read_graph(variant).operators.get("Relu", 0)
