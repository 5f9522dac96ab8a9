"""Forms for OpenVINO's engine are made once, and again when they are no longer what was written."""

import pytest

from advisor.measure.generation.openvino.export import DATA, MODEL, is_still
from advisor.measure.generation.openvino.making import EXACT, FORMS, TITLES, made
from tests.decoders import CONTEXT_TOKENS


@pytest.fixture(autouse=True)
def _with_the_extra():
    pytest.importorskip("openvino")


def form_of(checkpoint, folder, name=EXACT, *, sha256="a" * 64, max_tokens=CONTEXT_TOKENS):
    return made(checkpoint, folder, name, sha256=sha256, max_tokens=max_tokens)


def test_every_form_has_a_folder_of_its_name_and_a_title(checkpoint, tmp_path):
    found = {name: form_of(checkpoint, tmp_path, name) for name in FORMS}

    assert set(TITLES) == set(FORMS)
    assert EXACT in FORMS
    for name, form in found.items():
        assert tmp_path / name == form.folder
        assert {MODEL, DATA} <= {path.name for path in form.folder.iterdir()}
        assert is_still(form.folder, form.sha256)
        assert form.bytes >= form.weight_bytes
    assert found["openvino-int8-weight-only"].weight_bytes < found[EXACT].weight_bytes


def test_what_was_made_is_kept_until_it_is_changed_or_asked_otherwise(checkpoint, tmp_path):
    first = form_of(checkpoint, tmp_path)
    written = (tmp_path / EXACT / MODEL).stat().st_mtime_ns

    assert first == form_of(checkpoint, tmp_path)
    assert written == (tmp_path / EXACT / MODEL).stat().st_mtime_ns
    (tmp_path / EXACT / DATA).write_bytes(b"damaged")
    assert not is_still(tmp_path / EXACT, first.sha256)
    assert first.sha256 == form_of(checkpoint, tmp_path).sha256
    assert first.sha256 != form_of(checkpoint, tmp_path, max_tokens=CONTEXT_TOKENS // 2).sha256


def test_what_is_not_there_is_not_what_was_measured(tmp_path):
    assert not is_still(tmp_path, "a" * 64)
