"""Quantized decoders: the numbers that are stored stand for the weights, and what is run is near the original."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from advisor.measure.decoder import numpy_decoder, quantization
from advisor.measure.decoder.decoder import Decoder
from advisor.measure.decoder.quantization import BLOCK, SCHEMES, by_output, decoder_variants, in_blocks
from tests import checkpoints

TEXT = checkpoints.text(24)
# In these sharp random models rounding to eight bits is off by 0.05 to 0.1, a wrong order of weights by 1 and more.
NEAR = 0.2
# Wider than a block, and not a multiple of one: the last is filled up.
WIDE = {"hidden_size": 192, "intermediate_size": 320, "head_dim": 32}

matrices = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 2 * BLOCK + 5)),
    elements=st.floats(-1e6, 1e6, width=32) | st.just(0.0),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("variants")
    checkpoint = checkpoints.save(place / "checkpoint", "qwen2", **WIDE)
    return {variant.scheme: variant for variant in decoder_variants(checkpoint, place / "made", SCHEMES)}


def error(expected, found):
    """Return the mean difference of logits in their standard deviations, the root of the mean of squares."""
    return float(np.sqrt(np.mean((found - expected) ** 2)) / np.std(expected))


def logits_of(variant):
    with Decoder.open(variant.folder, threads=1, slots=1, max_tokens=len(TEXT)) as decoder:
        return decoder.logits(TEXT)


# --- numbers ----------------------------------------------------------------------------------------------------------------------


def unpacked(codes, scales, bits, inputs):
    """Return the matrix that codes and scales stand for, as the operator's documentation has it: the lower half of a byte first."""
    if bits == 4:
        codes = np.stack([codes % 16, codes // 16], axis=-1).reshape(*codes.shape[:2], BLOCK)
    return ((codes.astype(np.float64) - 2 ** (bits - 1)) * scales[..., None]).reshape(len(codes), -1)[:, :inputs]


@pytest.mark.parametrize("bits", [4, 8])
@given(rows=matrices)
def test_a_weight_is_off_by_a_step_of_its_block_at_most(bits, rows):
    codes, scales = in_blocks(rows, bits)

    found = unpacked(codes, scales, bits, rows.shape[1])
    steps = np.repeat(np.abs(scales), BLOCK, axis=1)[:, : rows.shape[1]]

    assert codes.shape == (len(rows), -(-rows.shape[1] // BLOCK), BLOCK * bits // 8)
    assert (np.abs(found - rows) <= steps * 1.0001 + 1e-30).all()
    # Half a step, but on the side that has one code less.
    assert (np.abs(found - rows) <= steps * 0.5001 + 1e-30)[np.abs(rows) <= steps * (2 ** (bits - 1) - 1)].all()


@pytest.mark.parametrize("bits", [4, 8])
def test_the_largest_weight_of_a_block_is_exact(bits):
    rows = np.array([[0.1, -3.0, 2.9], [0.0, 0.5, 0.7]], np.float32)

    found = unpacked(*in_blocks(rows, bits), bits, 3)

    np.testing.assert_allclose([-3.0, 0.7], [found[0, 1], found[1, 2]], rtol=1e-6)


@given(rows=matrices, largest=st.sampled_from([63, 127]))
def test_a_weight_of_an_output_is_off_by_half_a_step_at_most(rows, largest):
    codes, scales = by_output(rows, largest)

    assert np.abs(codes.astype(int)).max() <= largest
    assert (np.abs(codes * scales[:, None].astype(np.float64) - rows) <= scales[:, None] * 0.5001 + 1e-30).all()


# --- folders -----------------------------------------------------------------------------------------------------------------------


def test_each_scheme_has_a_folder_that_says_what_it_is(made):
    assert list(SCHEMES) == list(made)
    for scheme, variant in made.items():
        assert scheme == variant.folder.name == variant.label.scheme
        assert ["decoder.json", "model.onnx", "model.onnx.data"] == sorted(path.name for path in variant.folder.iterdir())
        assert variant.bytes == sum(path.stat().st_size for path in variant.folder.iterdir())
        assert variant.label.facts == made["fp32"].label.facts
    assert len(made) == len({variant.sha256 for variant in made.values()})


@pytest.mark.parametrize(
    ("scheme", "operator"),
    [("int8-weight-only", "MatMulNBits"), ("int4-weight-only", "MatMulNBits"), ("int8-dynamic", "MatMulIntegerToFloat")],
)
def test_every_product_is_quantized(made, scheme, operator):
    model = onnx.load(made[scheme].folder / "model.onnx", load_external_data=False)
    operators = [node.op_type for node in model.graph.node]

    # Three products in one, output, gate, up and down of two layers, and the head.
    assert 2 * 5 + 1 == operators.count(operator)
    assert not {"MatMul", "Gemm"} & set(operators)


@pytest.mark.parametrize("scheme", ["int8-weight-only", "int8-dynamic"])
def test_eight_bits_stay_near_the_original(made, scheme):
    assert 0 < error(logits_of(made["fp32"]), logits_of(made[scheme])) < NEAR


@pytest.mark.parametrize(("scheme", "bits"), [("int8-weight-only", 8), ("int4-weight-only", 4)])
def test_what_is_run_are_the_weights_that_are_stored(made, tmp_path, scheme, bits):
    """However far these are from the original: what remains is the rounding of activations, to eight bits in both."""
    folder = checkpoints.save(tmp_path, "qwen2", **WIDE)
    tensors = checkpoints.weights(checkpoints.config_of("qwen2", **WIDE))
    products = {name for name in tensors if name.endswith("_proj.weight") or name == "lm_head.weight"}
    stored = {
        name: unpacked(*in_blocks(tensors[name], bits), bits, tensors[name].shape[1]).astype(np.float32) for name in products
    }
    checkpoints.write_safetensors(folder / "model.safetensors", tensors | stored)

    assert error(numpy_decoder.logits(folder, TEXT), logits_of(made[scheme])) < NEAR


def test_fewer_bits_are_fewer_bytes(made):
    sizes = {scheme: variant.label.weight_bytes for scheme, variant in made.items()}

    assert sizes["int4-weight-only"] < sizes["int8-weight-only"] < sizes["fp32"] / 2
    assert sizes["int8-dynamic"] < sizes["fp32"] / 2


def test_weights_have_seven_bits_where_eight_would_overflow(made, tmp_path):
    largest = {}
    for has_vnni in (False, True):
        quantization.quantize(made["fp32"].folder, tmp_path / str(has_vnni), "int8-dynamic", has_vnni=has_vnni)
        model = onnx.load(tmp_path / str(has_vnni) / "model.onnx")
        codes = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name.endswith(".int8")]
        largest[has_vnni] = max(int(np.abs(values.astype(int)).max()) for values in codes)

    assert {False: 63, True: 127} == largest


def test_what_several_products_read_is_quantized_once(made):
    model = onnx.load(made["int8-dynamic"].folder / "model.onnx", load_external_data=False)

    # Before query, key and value, before the output, before gate and up, and before down of each layer; before the head.
    assert 2 * 4 + 1 == sum(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)


def test_a_matrix_in_pieces_is_the_matrix(made, tmp_path, monkeypatch):
    monkeypatch.setattr(quantization, "PIECE_BYTES", 10_000)

    for scheme in ("int4-weight-only", "int8-dynamic"):
        quantization.quantize(made["fp32"].folder, tmp_path / scheme, scheme)
        assert (made[scheme].folder / "model.onnx.data").read_bytes() == (tmp_path / scheme / "model.onnx.data").read_bytes()


def test_a_tied_head_is_quantized_and_the_embeddings_stay(tmp_path):
    checkpoint = checkpoints.save(tmp_path / "checkpoint", "qwen3")
    full, small = decoder_variants(checkpoint, tmp_path / "made", ["int8-weight-only"])

    expected, found = logits_of(full), logits_of(small)
    model = onnx.load(small.folder / "model.onnx", load_external_data=False)

    assert {"embeddings", "embeddings.int8", "embeddings.scales"} <= {tensor.name for tensor in model.graph.initializer}
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)


def test_a_scheme_that_there_is_not_is_a_fault_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="no such scheme: int3"):
        next(decoder_variants(tmp_path, tmp_path / "made", ["int3"]))
    with pytest.raises(ValueError, match="no such scheme: fp32"):
        quantization.quantize(tmp_path, tmp_path / "made", "fp32")
