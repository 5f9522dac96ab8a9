"""Variants: really different from the baseline, really quantized, and otherwise the same model."""

from functools import partial

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from advisor.errors import ModelError
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.model.input_rows import generate
from advisor.measure.model.onnx_graph import read_graph
from advisor.measure.quality import scores
from advisor.measure.runtime import ort_session
from advisor.measure.variants import quantize
from advisor.schema.catalog import CPU
from advisor.schema.record import Exclusion
from advisor.steps.profile import schemes
from tests import models
from tests.models import HIDDEN, WIDTH, save

SCHEMES = {scheme.id: scheme for scheme in schemes()}
DYNAMIC, OPTIMIZED = SCHEMES["int8-dynamic"], SCHEMES["ort-optimized"]
INGREDIENTS = quantize.Ingredients(file_bytes=1, has_vnni=True)
# What makes ONNX Runtime's tools write weights into a second file.
LARGE = quantize.EXTERNAL_DATA_BYTES + 1

with_integer_forms = pytest.mark.parametrize(
    "build",
    [
        models.mlp,
        partial(models.mlp, opset=9),
        partial(models.mlp, batch="1"),
        models.branches,
        models.loop,
        models.lstm,
        models.embedding,
        partial(models.convolution, "n, 3, 8, 8"),
        partial(models.convolution, "n, 8, 8, 3", dtype="uint8", channels_last=True),
        models.decoder,
    ],
)


def variant_of(model, folder, scheme, *, store=save, file_bytes=None, has_vnni=True):
    folder.mkdir(exist_ok=True)
    baseline, target = store(model, folder / "baseline.onnx"), folder / "variants" / f"{scheme.id}.onnx"
    quantize.make_variant(baseline, scheme, target, given(baseline, file_bytes=file_bytes, has_vnni=has_vnni))
    return baseline, target


def given(baseline, *, file_bytes=None, has_vnni=True):
    """Return what variants are made of: calibration on generated items."""

    def items():
        inputs = inspect_onnx(baseline, name="baseline").inputs
        return (generate(inputs, batch_size=1, sequence_length=None, seed=seed) for seed in range(8))

    return quantize.Ingredients(
        file_bytes=file_bytes or read_graph(baseline).file_bytes,
        has_vnni=has_vnni,
        calibration=items,
    )


def outputs_of(path, inputs):
    feeds = generate(inputs, batch_size=1, sequence_length=None, seed=3)
    return ort_session.run(ort_session.open_session(path), feeds)


@with_integer_forms
def test_a_quantized_variant_has_integer_operators(build, tmp_path):
    baseline, variant = variant_of(build(), tmp_path, DYNAMIC)

    changed = quantize.proof_of_difference(DYNAMIC, read_graph(baseline), read_graph(variant))

    assert isinstance(changed, dict), changed
    assert any(part in operator.lower() for operator, count in changed.items() if count > 0 for part in ("integer", "quantize"))


@with_integer_forms
@pytest.mark.parametrize("scheme", [DYNAMIC, OPTIMIZED], ids=lambda scheme: scheme.id)
def test_a_variant_answers_under_the_same_names_with_nearly_the_same_values(build, scheme, tmp_path):
    baseline, variant = variant_of(build(), tmp_path, scheme)
    inputs = inspect_onnx(baseline, name="baseline").inputs

    expected, actual = outputs_of(baseline, inputs), outputs_of(variant, inputs)

    assert [entry.name for entry in inputs] == [entry.name for entry in read_graph(variant).inputs]
    assert list(expected) == list(actual)
    for name, values in expected.items():
        (cosine,) = scores.item_cosines(values.reshape(1, -1), actual[name].reshape(1, -1))
        assert cosine > 0.9


@pytest.mark.parametrize("build", [models.mlp, models.branches, partial(models.convolution, "n, 3, 8, 8")])
def test_weights_in_constant_nodes_are_quantized_like_initializers(build, tmp_path):
    _, from_initializers = variant_of(build(), tmp_path / "initializers", DYNAMIC)
    _, from_constants = variant_of(models.with_constant_nodes(build()), tmp_path / "constants", DYNAMIC)

    expected, actual = read_graph(from_initializers), read_graph(from_constants)

    assert (expected.operators, expected.weight_bytes) == (actual.operators, actual.weight_bytes)
    assert expected.weights_sha256 == actual.weights_sha256


def test_the_bytes_of_quantized_weights_are_a_quarter_and_a_scale_for_each_column(tmp_path):
    _, variant = variant_of(models.branches(), tmp_path, DYNAMIC)

    # Two matrices of bytes; for each of their columns a scale of four bytes and a zero point of one.
    assert 2 * (WIDTH**2 + 5 * WIDTH) == read_graph(variant).weight_bytes


@pytest.mark.parametrize(("has_vnni", "largest"), [(True, 127), (False, 64)])
def test_weights_leave_a_bit_free_where_the_processor_would_saturate(has_vnni, largest, tmp_path):
    _, variant = variant_of(models.mlp(), tmp_path, DYNAMIC, has_vnni=has_vnni)

    stored = (numpy_helper.to_array(tensor) for tensor in onnx.load(variant).graph.initializer)
    matrices = [values for values in stored if values.dtype == np.int8 and values.ndim == 2]

    assert {(WIDTH, HIDDEN), (HIDDEN, 4)} == {values.shape for values in matrices}
    assert largest == max(np.abs(values.astype(int)).max() for values in matrices)


@pytest.mark.parametrize("scheme", [DYNAMIC, OPTIMIZED], ids=lambda scheme: scheme.id)
@pytest.mark.parametrize("build", [models.mlp, models.branches, models.embedding])
def test_a_model_in_two_files_has_the_variants_of_the_model_in_one(build, scheme, tmp_path):
    baseline, expected = variant_of(build(), tmp_path / "one", scheme)
    two_files, variant = variant_of(build(), tmp_path / "two", scheme, store=models.save_with_external_data)
    two_files.with_name("baseline.onnx.data").unlink()

    one, two = read_graph(expected), read_graph(variant)

    assert (one.operators, one.weight_bytes, one.weights_sha256) == (two.operators, two.weight_bytes, two.weights_sha256)
    inputs = inspect_onnx(baseline, name="baseline").inputs
    for values, other in zip(outputs_of(expected, inputs).values(), outputs_of(variant, inputs).values(), strict=True):
        np.testing.assert_array_equal(values, other)


@pytest.mark.parametrize("scheme", [DYNAMIC, OPTIMIZED], ids=lambda scheme: scheme.id)
def test_a_variant_too_large_for_one_file_keeps_its_weights_in_a_second(scheme, tmp_path):
    # Tensors below a kilobyte stay in the first file all the same.
    model = models.build(f"(float[n, {WIDTH}] x) => (float[n, 512] y) {{ y = MatMul(x, w) }}", models.weights(w=(WIDTH, 512)))
    _, variant = variant_of(model, tmp_path, scheme, file_bytes=LARGE)

    assert {variant.name, f"{variant.name}.data"} == {path.name for path in variant.parent.iterdir()}
    assert ort_session.open_session(variant)


@pytest.mark.parametrize("scheme", [DYNAMIC, OPTIMIZED], ids=lambda scheme: scheme.id)
def test_nothing_but_the_variant_is_left_behind(scheme, tmp_path):
    _, variant = variant_of(models.mlp(), tmp_path, scheme)

    assert [variant] == list(variant.parent.iterdir())


def test_a_model_that_the_quantizer_cannot_do_is_an_error_and_leaves_nothing(tmp_path):
    target = tmp_path / "variants" / "variant.onnx"

    with pytest.raises(ModelError, match="the quantizer fails on this graph"):
        quantize.make_variant(models.voice_detector("silero_vad_op18_ifless"), DYNAMIC, target, INGREDIENTS)
    assert [] == list(target.parent.iterdir())


def test_a_model_that_does_not_load_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(ModelError, match="ONNX Runtime cannot load it"):
        variant_of(models.custom_operator(), tmp_path, OPTIMIZED)
    assert [] == list((tmp_path / "variants").iterdir())


@pytest.mark.parametrize("scheme", [DYNAMIC, OPTIMIZED], ids=lambda scheme: scheme.id)
def test_an_unchanged_model_is_no_variant(scheme, tmp_path):
    graph = read_graph(save(models.mlp(), tmp_path / "model.onnx"))

    found = quantize.proof_of_difference(scheme, graph, graph)

    assert Exclusion(what=scheme.id, reason="the tool returned the model unchanged: same operators, same weights") == found


@pytest.mark.parametrize("build", [models.forest, models.batch_mean, partial(models.relu, "float[n, 8] x")])
def test_what_has_nothing_to_quantize_is_no_quantized_variant(build, tmp_path):
    baseline, variant = variant_of(build(), tmp_path, DYNAMIC)

    assert isinstance(quantize.proof_of_difference(DYNAMIC, read_graph(baseline), read_graph(variant)), Exclusion)


@pytest.mark.parametrize("name", ["int4-weight-only", "int8-weight-only"])
@pytest.mark.parametrize("has_sum", [False, True])
def test_a_product_that_folding_fuses_with_its_sum_has_its_weights_quantized(name, has_sum, tmp_path):
    values = models.weights(w=(256, 64), b=(64,))
    body = "p = MatMul(x, w) y = Add(p, b)" if has_sum else "y = Gemm(x, w)"
    model = models.build(f"(float[n, 256] x) => (float[n, 64] y) {{ {body} }}", values if has_sum else {"w": values["w"]})

    baseline, variant = variant_of(model, tmp_path, SCHEMES[name])

    assert 1 == read_graph(variant).operators["MatMulNBits"]
    inputs = inspect_onnx(baseline, name="baseline").inputs
    assert scores.item_cosines(outputs_of(baseline, inputs)["y"], outputs_of(variant, inputs)["y"]).min() > 0.9


def test_a_product_that_is_more_than_a_product_keeps_its_weights(tmp_path):
    text = "(float[n, 256] x) => (float[n, 64] y) { y = Gemm <transB = 1, alpha = 0.5> (x, w) }"
    baseline, variant = variant_of(models.build(text, models.weights(w=(64, 256))), tmp_path, SCHEMES["int8-weight-only"])

    found = quantize.proof_of_difference(SCHEMES["int8-weight-only"], read_graph(baseline), read_graph(variant))

    assert isinstance(found, Exclusion)


def test_fusing_operators_is_an_optimization_but_no_quantization(tmp_path):
    baseline, variant = variant_of(models.mlp(), tmp_path, OPTIMIZED)
    graphs = read_graph(baseline), read_graph(variant)

    assert -2 == quantize.proof_of_difference(OPTIMIZED, *graphs)["MatMul"]
    assert isinstance(quantize.proof_of_difference(DYNAMIC, *graphs), Exclusion)


def test_other_weights_alone_are_a_difference(tmp_path):
    before, after = models.mlp(), models.mlp()
    after.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((WIDTH, HIDDEN), np.float32), "w1"))

    graphs = [read_graph(save(model, tmp_path / f"{number}.onnx")) for number, model in enumerate((before, after))]

    assert {} == quantize.proof_of_difference(OPTIMIZED, *graphs)


# --- every scheme that needs no other device --------------------------------------------------------------------------------

FILES = [scheme for scheme in schemes() if scheme.provider == CPU and scheme.method not in ("provider", "transformer-fusion")]
MATRICES = {"weight-only"}  # blocks of 128: below, everything is in one


def network(method, *, opset=models.OPSET, channels=16):
    """Return a small network that the method can change: a convolution and a product, or a product wide enough for blocks."""
    if method in MATRICES:
        values = models.weights(w=(256, 64), v=(64, 32))
        text = "(float[n, t, 256] x) => (float[n, t, 32] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) }"
        return models.build(text, values, opset=opset)
    mean = "m = ReduceMean<keepdims = 0>(r, axes)" if opset >= 18 else "m = ReduceMean<axes = [2, 3], keepdims = 0>(r)"
    model = models.build(
        f"""(float[n, 3, 8, 8] x) => (float[n, 5] y) {{
            c = Conv <pads = [1, 1, 1, 1]> (x, w)
            r = Relu(c)
            {mean}
            y = MatMul(m, v)
        }}""",
        models.weights(w=(channels, 3, 3, 3), v=(channels, 5)) | ({"axes": np.array([2, 3])} if opset >= 18 else {}),
        opset=opset,
        ir_version=8,
    )
    return models.halved(model) if method == "full-precision" else model


@pytest.mark.parametrize("scheme", FILES, ids=lambda scheme: scheme.id)
@pytest.mark.parametrize("opset", [11, 12, 18])
@pytest.mark.parametrize("in_constants", [False, True])
def test_the_file_of_every_scheme_differs_loads_runs_and_takes_and_gives_the_same(scheme, opset, in_constants, tmp_path):
    model = network(scheme.method, opset=opset)
    model = models.with_constant_nodes(model) if in_constants else model
    baseline, variant = variant_of(model, tmp_path, scheme)
    before, after = read_graph(baseline), read_graph(variant)

    changed = quantize.proof_of_difference(scheme, before, after)

    assert isinstance(changed, dict), changed
    assert before.sha256 != after.sha256
    assert [(e.name, e.dtype, e.shape) for e in before.inputs] == [(e.name, e.dtype, e.shape) for e in after.inputs]
    assert [(e.name, e.dtype) for e in before.outputs] == [(e.name, e.dtype) for e in after.outputs]
    if scheme.method in quantize.QUANTIZING:
        assert after.weight_bytes < before.weight_bytes
    inputs = inspect_onnx(baseline, name="baseline").inputs
    for batch_size in (1, 3):
        feeds = generate(inputs, batch_size=batch_size, sequence_length=None, seed=5)
        one, other = (ort_session.run(ort_session.open_session(path), feeds)["y"] for path in (baseline, variant))
        assert one.shape == other.shape
        assert scores.item_cosines(one, other).min() > 0.9


@pytest.mark.parametrize("scheme", FILES, ids=lambda scheme: scheme.id)
def test_a_copy_of_a_variant_in_two_files_is_whole(scheme, tmp_path):
    # So many that the variant, too, has tensors large enough for the second file.
    _, variant = variant_of(network(scheme.method, channels=256), tmp_path, scheme, file_bytes=LARGE)
    inputs = inspect_onnx(variant, name="variant").inputs
    expected = outputs_of(variant, inputs)
    assert variant.with_name(f"{variant.name}.data").is_file()

    quantize.copy(variant, variant.with_name("copy.onnx"))
    quantize.discard(variant)

    assert {"copy.onnx", "copy.onnx.data"} == {path.name for path in variant.parent.iterdir()}
    np.testing.assert_array_equal(expected["y"], outputs_of(variant.with_name("copy.onnx"), inputs)["y"])


def test_a_copy_that_cannot_be_written_is_an_error_that_says_so(tmp_path):
    source = save(models.mlp(), tmp_path / "model.onnx")
    (tmp_path / "copy.onnx").mkdir()

    with pytest.raises(ModelError, match=r"copy\.onnx: cannot be written \("):
        quantize.copy(source, tmp_path / "copy.onnx")


@pytest.mark.parametrize("name", ["int8-dynamic", "int8-static-minmax", "int8-weight-only"])
def test_nodes_that_are_kept_stay_as_they_were(name, tmp_path):
    scheme = SCHEMES[name]
    baseline = save(network(scheme.method), tmp_path / "baseline.onnx")
    prepared = quantize.prepare(baseline, tmp_path, apart=False)
    first, last = quantize.quantizable(prepared, scheme)
    made = {}
    for name, nodes in (
        ("all", quantize.EVERY),
        ("kept", quantize.Nodes(kept=frozenset({last}))),
        ("only", quantize.Nodes(only=frozenset({first}))),
    ):
        quantize.quantize(prepared, scheme, tmp_path / f"{name}.onnx", given(baseline), nodes, apart=False)
        made[name] = read_graph(tmp_path / f"{name}.onnx")

    assert made["kept"].operators == made["only"].operators
    assert made["kept"].weights_sha256 == made["only"].weights_sha256
    assert made["all"].weight_bytes < made["kept"].weight_bytes < read_graph(prepared).weight_bytes


def test_ranges_are_found_once(tmp_path):
    baseline = save(network("static-quantization"), tmp_path / "baseline.onnx")
    first = msgspec.structs.replace(given(baseline), ranges=tmp_path / "ranges")
    second = msgspec.structs.replace(first, calibration=lambda: pytest.fail("calibrated again"))

    for name, ingredients in (("one", first), ("two", second)):
        quantize.make_variant(baseline, SCHEMES["int8-static-minmax"], tmp_path / f"{name}.onnx", ingredients)

    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_static_ranges_need_items(tmp_path):
    baseline = save(network("static-quantization"), tmp_path / "baseline.onnx")
    nothing = msgspec.structs.replace(given(baseline), calibration=None)

    with pytest.raises(ModelError, match="need items to calibrate on"):
        quantize.make_variant(baseline, SCHEMES["int8-static-minmax"], tmp_path / "v.onnx", nothing)


def test_sessions_that_the_tools_open_write_nothing_to_the_terminal(tmp_path, capfd):
    path = save(models.mlp(), tmp_path / "model.onnx")
    quantize.make_variant(path, DYNAMIC, tmp_path / "int8.onnx", INGREDIENTS)
    chatty = onnx.load(path)
    chatty.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "unused"))

    onnxruntime.InferenceSession(chatty.SerializeToString(), providers=[CPU])

    assert ("", "") == capfd.readouterr()


def test_ranges_of_least_lost_entropy_are_not_those_of_all_that_was_observed(tmp_path):
    baseline = save(network("static-quantization"), tmp_path / "baseline.onnx")
    values = np.random.default_rng(0).standard_t(2, size=(64, 3, 8, 8)).astype(np.float32)
    ingredients = msgspec.structs.replace(
        given(baseline), calibration=lambda: ({"x": values[n : n + 8]} for n in range(0, 64, 8))
    )

    scales = {}
    for name in ("minmax", "entropy"):
        path = tmp_path / f"{name}.onnx"
        quantize.make_variant(baseline, SCHEMES[f"int8-static-{name}"], path, ingredients)
        held = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        scales[name] = held["x_scale"]

    assert 0 < scales["entropy"] < scales["minmax"]
