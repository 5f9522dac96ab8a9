"""A file of the user's beside the model: what answers noise is told from what was made of it."""

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.model.input_rows import read_npz, write_npz
from advisor.measure.variants.comparison import unlike
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Agreement
from advisor.steps.profile import profile
from tests.models import mlp, save
from tests.profiles import NOW


def silent(*_, **__):
    pass


def agreement(cosine, top1):
    return Agreement(
        items=16, inputs="generated", cosine_mean=cosine, cosine_min=cosine, max_abs_difference=1.0, top1_agreement=top1
    )


@pytest.mark.parametrize(("cosine", "top1"), [(-0.25, 0.0), (0.0, None), (0.7, 0.1), (0.4, None)])
def test_outputs_of_another_model_are_told_from_the_models(cosine, top1):
    assert "have nothing to do with the model's" in unlike(agreement(cosine, top1))


@pytest.mark.parametrize(("cosine", "top1"), [(1.0, 1.0), (0.95, 0.4), (0.7, 0.6), (0.8, None), (None, 0.0), (None, None)])
def test_outputs_that_a_rounding_may_have_moved_are_those_of_the_model(cosine, top1):
    assert unlike(agreement(cosine, top1)) is None


def test_a_variant_that_answers_noise_is_left_out_with_that_reason_and_not_timed(tmp_path):
    model = save(mlp(), tmp_path / "model.onnx")
    other = mlp()
    for tensor in other.graph.initializer:
        values = np.frombuffer(tensor.raw_data, np.float32)
        tensor.raw_data = np.random.default_rng(9).permutation(-values).astype(np.float32).tobytes()
    options = ProfileOptions(variants=(save(other, tmp_path / "noise.onnx"),), budget_s=1.0, max_batch_size=1)

    site = profile(model, tmp_path / "out" / "profile.json", options, now=NOW, report=silent).sites[0]

    assert "noise" not in {entry.variant for entry in site.measurements}
    (reason,) = (entry.reason for entry in site.exclusions if entry.what == "noise")
    assert reason.startswith("its answers have nothing to do with the model's: a mean cosine of")


@pytest.mark.parametrize("name", ["file", "args", "kwds", "allow_pickle", "self", "a/b", "x.npy", "größe 模型", ""])
def test_an_array_of_any_name_is_read_as_it_was_written(tmp_path, name):
    arrays = {name: np.arange(3), "other": np.array(["a", "bc"])}
    write_npz(tmp_path / "rows 模型.npz", arrays)

    found = read_npz(tmp_path / "rows 模型.npz", "--inputs")

    assert {key: values.tolist() for key, values in arrays.items()} == {key: values.tolist() for key, values in found.items()}


@pytest.mark.parametrize("content", [b"", b'{"x": [1]}\n', b"PK\x03\x04", b"\x80\x04K\x01."])
def test_no_error_about_a_file_that_is_no_npz_speaks_of_pickle(tmp_path, content):
    (tmp_path / "rows.npz").write_bytes(content)

    with pytest.raises(InputError) as refusal:
        read_npz(tmp_path / "rows.npz", "--inputs")

    assert "not a readable .npz file" in refusal.value.fault and "pickle" not in refusal.value.fault
