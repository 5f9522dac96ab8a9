"""The decoder in NumPy, against the library that the checkpoints are of; and what a graph is told that is another decoder."""

import importlib.util

import numpy as np
import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.decoder import numpy_decoder
from tests import checkpoints

has_transformers = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "transformers")), reason="the extra hf is not installed"
)
TEXT = checkpoints.text(24)


class Given:
    """A decoder that gives these logits."""

    def __init__(self, values):
        self.values = values

    def logits(self, tokens):
        return self.values


@has_transformers
@pytest.mark.parametrize("kind", checkpoints.KINDS)
def test_logits_are_those_of_transformers(tmp_path, kind):
    import torch
    import transformers

    folder = checkpoints.save(tmp_path, kind, dtype="BF16" if kind == "llama" else "F32")
    transformers.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")

    with torch.no_grad():
        expected = model(torch.from_numpy(TEXT)[None]).logits[0].numpy()

    np.testing.assert_allclose(expected, numpy_decoder.logits(folder, TEXT), atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize("scaling", [{"rope_type": "default"}, checkpoints.LLAMA3, {"rope_type": "linear", "factor": 4.0}])
def test_positions_in_the_form_of_transformers_5_are_those_of_before(tmp_path, scaling):
    before = checkpoints.save(tmp_path / "before", rope_theta=500.0, rope_scaling=scaling)
    after = checkpoints.save(tmp_path / "after", rope_theta=None, rope_parameters={"rope_theta": 500.0, **scaling})

    np.testing.assert_array_equal(numpy_decoder.logits(before, TEXT), numpy_decoder.logits(after, TEXT))
    assert np.ptp(numpy_decoder.logits(before, TEXT) - numpy_decoder.logits(checkpoints.save(tmp_path / "other"), TEXT)) > 0.1


@pytest.mark.parametrize("kind", ["llama with biases", "qwen2", "qwen3 with biases"])
def test_every_tensor_counts(tmp_path, kind):
    folder = checkpoints.save(tmp_path, kind)
    tensors = checkpoints.weights(checkpoints.config_of(kind))
    before = numpy_decoder.logits(folder, TEXT)

    for name, values in tensors.items():
        checkpoints.write_safetensors(folder / "model.safetensors", tensors | {name: values[::-1].copy()})
        assert np.abs(numpy_decoder.logits(folder, TEXT) - before).max() > 1e-3 * np.ptp(before), name


def test_agreement_is_a_share_of_the_range(tmp_path):
    folder = checkpoints.save(tmp_path)
    truth = numpy_decoder.logits(folder, TEXT)
    other = truth.copy()
    other[3, 5] += 0.25 * np.ptp(truth)

    assert 0.0 == numpy_decoder.agreement(Given(truth), folder, TEXT)
    assert 0.25 == pytest.approx(numpy_decoder.agreement(Given(other), folder, TEXT), rel=1e-5)
    assert 0.0 == numpy_decoder.check(Given(truth), folder, TEXT)


@pytest.mark.parametrize("fault", [0.01, float("nan"), float("inf")])
def test_a_graph_that_is_another_decoder_is_a_fault_of_advisor(tmp_path, fault):
    folder = checkpoints.save(tmp_path)
    truth = numpy_decoder.logits(folder, TEXT)
    other = truth.copy()
    other[3, 5] += fault * np.ptp(truth)

    with pytest.raises(ModelError, match=f"^{folder}: the graph that advisor wrote does not compute what the checkpoint does"):
        numpy_decoder.check(Given(other), folder, TEXT)


def test_a_checkpoint_whose_own_logits_are_no_numbers_is_damaged(tmp_path):
    folder = checkpoints.save(tmp_path)
    tensors = checkpoints.weights(checkpoints.config_of())
    tensors["model.layers.0.mlp.down_proj.weight"][:] = 1e38
    checkpoints.write_safetensors(folder / "model.safetensors", tensors)

    with pytest.raises(InputError, match=f"^{folder}: its own logits are no numbers"):
        numpy_decoder.check(Given(np.zeros((24, 160), np.float32)), folder, TEXT)
