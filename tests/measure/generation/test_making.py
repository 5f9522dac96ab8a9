"""Forms of a decoder: made once, kept as long as they are what would be made again, and known when they are damaged."""

import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.decoder.decoder import Decoder
from advisor.measure.generation.making import (
    BASELINE,
    MARK,
    SCHEMES,
    TITLES,
    described,
    difference,
    given,
    is_still,
    made,
)
from tests import checkpoints, seq2seq_exports


@pytest.fixture
def model(tmp_path):
    return checkpoints.save(tmp_path / "model")


def made_of(model, folder, scheme=BASELINE, *, max_tokens=64):
    return made(model, folder, scheme, sha256=described(model).sha256, max_tokens=max_tokens, has_vnni=False)


def test_a_form_that_is_there_is_not_made_again(model, tmp_path):
    first = made_of(model, tmp_path / "forms")
    written = (first.folder / "model.onnx").stat().st_mtime_ns

    second = made_of(model, tmp_path / "forms")

    assert first == second
    assert written == (second.folder / "model.onnx").stat().st_mtime_ns


@pytest.mark.parametrize("damage", ["weights", "mark", "label", "longer"])
def test_what_would_be_made_otherwise_is_made_again(model, tmp_path, damage):
    first = made_of(model, tmp_path / "forms")
    if damage == "weights":
        with (first.folder / "model.onnx.data").open("r+b") as file:
            file.write(b"damaged")
    elif damage == "mark":
        (first.folder / MARK).write_bytes(b"{")
    elif damage == "label":
        (first.folder / "decoder.json").unlink()

    second = made_of(model, tmp_path / "forms", max_tokens=100 if damage == "longer" else 64)

    assert is_still(second.folder, second.sha256)
    assert (damage == "longer") == (first.sha256 != second.sha256)


def test_damage_is_noticed(model, tmp_path):
    form = made_of(model, tmp_path / "forms")
    assert is_still(form.folder, form.sha256)

    with (form.folder / "model.onnx.data").open("r+b") as file:
        file.write(b"damaged")

    assert not is_still(form.folder, form.sha256)
    assert not is_still(tmp_path / "nowhere", form.sha256)


def test_every_scheme_has_a_title_and_is_smaller_than_floats(model, tmp_path):
    forms = {scheme: made_of(model, tmp_path / "forms", scheme) for scheme in SCHEMES}

    assert set(SCHEMES) <= set(TITLES)
    assert all(forms[scheme].weight_bytes < forms[BASELINE].weight_bytes for scheme in SCHEMES if scheme != BASELINE)


def test_the_exact_form_has_to_be_that_decoder_and_others_only_near_it(model, tmp_path):
    form = made_of(model, tmp_path / "forms")
    other = checkpoints.save(tmp_path / "other", seed=1)
    with Decoder.open(form.folder, threads=1, slots=1, max_tokens=64) as decoder:
        assert difference(decoder, model, tmp_path / "a.npy", is_exact=True, seed=0) < 1e-4
        assert difference(decoder, other, tmp_path / "b.npy", is_exact=False, seed=0) > 1e-2
        with pytest.raises(ModelError):
            difference(decoder, other, tmp_path / "b.npy", is_exact=True, seed=0)


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or directory"):
        described(tmp_path / "nowhere")


def test_what_the_checkpoint_says_is_worked_out_once(model, tmp_path):
    form, truth = made_of(model, tmp_path / "forms"), tmp_path / "truth.npy"
    with Decoder.open(form.folder, threads=1, slots=1, max_tokens=64) as decoder:
        first = difference(decoder, model, truth, is_exact=True, seed=0)

        assert first == difference(decoder, tmp_path / "nowhere", truth, is_exact=True, seed=0)


@pytest.mark.parametrize("merged", [False, True])
def test_an_export_with_an_encoder_counts_what_is_opened_of_it(tmp_path, merged):
    folder = seq2seq_exports.save(tmp_path / "export", merged=merged)
    (folder / "optimizer.bin").write_bytes(b"0" * 10_000)
    parts = ("encoder_model.onnx", "decoder_model_merged.onnx") if merged else tuple(path.name for path in folder.glob("*.onnx"))

    form = given(folder)

    assert form.bytes == form.weight_bytes == sum((folder / name).stat().st_size for name in parts)
    assert is_still(folder, form.sha256)
    with (folder / parts[-1]).open("ab") as file:
        file.write(b"damaged")
    assert not is_still(folder, form.sha256)
