"""The graph that is written of a checkpoint: the decoder that the checkpoint is, in every kind that is modeled."""

import numpy as np
import onnx
import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.decoder import decoder_folder, graph, numpy_decoder
from advisor.measure.decoder.decoder import Decoder
from advisor.measure.decoder.graph import write_decoder
from advisor.measure.decoder.shape import Rope
from advisor.measure.runtime import memory
from tests import checkpoints

TEXT = checkpoints.text(24)


def logits_of(folder, tokens=TEXT):
    with Decoder.open(folder, threads=1, slots=1, max_tokens=len(tokens)) as decoder:
        return decoder.logits(tokens)


@pytest.mark.parametrize("kind", checkpoints.KINDS)
def test_logits_are_those_of_the_checkpoint(tmp_path, kind):
    folder = checkpoints.save(tmp_path / "checkpoint", kind)
    write_decoder(folder, tmp_path / "made")

    expected = numpy_decoder.logits(folder, TEXT)

    np.testing.assert_allclose(expected, logits_of(tmp_path / "made"), atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize(("dtype", "files"), [("F16", 1), ("BF16", 2)])
def test_logits_are_those_of_the_checkpoint_in_every_form_of_file(tmp_path, dtype, files):
    folder = checkpoints.save(tmp_path / "checkpoint", dtype=dtype, files=files)
    write_decoder(folder, tmp_path / "made")

    expected = numpy_decoder.logits(folder, TEXT)

    np.testing.assert_allclose(expected, logits_of(tmp_path / "made"), atol=1e-4 * np.ptp(expected))


def test_positions_reach_as_far_as_they_are_asked_for(tmp_path):
    folder = checkpoints.save(tmp_path / "checkpoint")
    label = write_decoder(folder, tmp_path / "made", max_tokens=30)

    assert 30 == label.max_tokens == decoder_folder.read_label(tmp_path / "made").max_tokens
    assert 128 == label.facts.context_tokens
    with pytest.raises(InputError, match="requests of 31 tokens, and its positions reach to 30"):
        Decoder.open(tmp_path / "made", threads=1, slots=1, max_tokens=31)
    with pytest.raises(InputError, match="requests of 129 tokens, and max_position_embeddings is 128"):
        write_decoder(folder, tmp_path / "longer", max_tokens=129)


def test_positions_that_do_not_fit_into_memory_are_refused_before_they_are_made(tmp_path, monkeypatch):
    folder = checkpoints.save(tmp_path / "checkpoint", max_position_embeddings=1000)
    # Room for each tensor, and not for a thousand rows of angles.
    monkeypatch.setattr(memory, "available_bytes", lambda: 200_000)

    with pytest.raises(InputError, match="positions of 1000 tokens take"):
        write_decoder(folder, tmp_path / "made")
    write_decoder(folder, tmp_path / "made", max_tokens=100)


def test_embeddings_that_are_the_head_as_well_are_stored_once(tmp_path):
    sizes = {}
    for ties in (False, True):
        folder = checkpoints.save(tmp_path / f"checkpoint {ties}", tie_word_embeddings=ties)
        sizes[ties] = write_decoder(folder, tmp_path / f"made {ties}").weight_bytes

    assert 160 * 64 * 4 == sizes[False] - sizes[True]


def test_a_folder_holds_graph_weights_and_label_and_nothing_else_is_left(tmp_path):
    write_decoder(checkpoints.save(tmp_path / "checkpoint"), tmp_path / "place" / "made")

    assert ["decoder.json", "model.onnx", "model.onnx.data"] == sorted(
        path.name for path in (tmp_path / "place" / "made").iterdir()
    )
    assert ["made"] == [path.name for path in (tmp_path / "place").iterdir()]


def test_what_fails_leaves_what_was_there(tmp_path, monkeypatch):
    folder = checkpoints.save(tmp_path / "checkpoint")
    write_decoder(folder, tmp_path / "made")
    before = decoder_folder.digest(tmp_path / "made")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoder_folder.WeightWriter, "add", full)
    with pytest.raises(ModelError, match=r"made: cannot be written \(No space left on device\)"):
        write_decoder(folder, tmp_path / "made", max_tokens=30)

    assert before == decoder_folder.digest(tmp_path / "made")
    assert 128 == decoder_folder.read_label(tmp_path / "made").max_tokens
    assert {"checkpoint", "made"} == {path.name for path in tmp_path.iterdir()}


def test_every_product_has_its_weights_and_every_node_a_name(tmp_path):
    write_decoder(checkpoints.save(tmp_path / "checkpoint", "qwen3"), tmp_path / "made")
    model = onnx.load(tmp_path / "made" / "model.onnx", load_external_data=False)

    stored = {tensor.name for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]

    # Query, key, value, output, gate, up and down of two layers, and the head.
    assert 2 * 7 + 1 == len(products)
    assert {node.input[1] for node in products} <= stored
    assert len(model.graph.node) == len({node.name for node in model.graph.node})


def test_far_positions_turn_by_products_of_32_bit_floats():
    cosines, sines = graph.rotations(Rope(theta=10000.0), 16, 100_000)

    expected = np.float32(99_999) * (np.float32(1.0) / np.float32(10000.0) ** np.float32(2 / 16))

    assert np.cos(np.float64(expected)) == pytest.approx(float(cosines[-1, 1]), abs=1e-6)
    np.testing.assert_allclose(np.ones_like(cosines), cosines**2 + sines**2, atol=1e-6)
