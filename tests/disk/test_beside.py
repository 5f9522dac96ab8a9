"""What lies beside a profile: only what advisor put there is taken over."""

import os
from pathlib import Path

import pytest

from advisor.disk.beside import MARK, check_journal, check_places, owned
from advisor.errors import InputError
from advisor.schema.options import ProfileOptions


def test_a_folder_that_stays_empty_is_removed_and_one_that_does_not_is_taken_over_again(tmp_path):
    folder = tmp_path / "p.variants"
    with owned(folder):
        pass
    assert [] == os.listdir(tmp_path)

    for name in ("int8.onnx", "fp16.onnx"):
        with owned(folder):
            (folder / name).touch()

    assert {MARK, "int8.onnx", "fp16.onnx"} == set(os.listdir(folder))


def test_a_folder_of_the_users_is_refused_and_stays_as_it_is(tmp_path):
    folder = tmp_path / "p.variants"
    folder.mkdir()
    (folder / "int8.onnx").write_text("mine")

    with pytest.raises(InputError, match="a folder that advisor did not make"), owned(folder):
        pass

    assert ["int8.onnx"] == os.listdir(folder)


@pytest.mark.parametrize("there", ["a file", "a dangling link"])
def test_what_is_no_folder_is_refused(tmp_path, there):
    folder = tmp_path / "p.variants"
    if there == "a file":
        folder.write_text("mine")
    else:
        folder.symlink_to("nowhere")

    with pytest.raises(InputError, match="not a folder"), owned(folder):
        pass

    assert ["p.variants"] == os.listdir(tmp_path)


def test_a_model_that_lies_where_variants_are_written_is_refused(tmp_path):
    folder = tmp_path / "p.variants"
    with owned(folder):
        (folder / "int8.onnx").touch()
    (tmp_path / "link.onnx").symlink_to(folder / "int8.onnx")

    for given in (folder / "int8.onnx", tmp_path / "link.onnx"):
        with pytest.raises(InputError, match="where variants are written"), owned(folder, inputs=(given,)):
            pass


@pytest.mark.parametrize("content", ["", '{"type":"Key","digest":"', '{"type":"Ke', '{"type":"Key","digest":"0"}\n{"type":"Vis'])
def test_a_journal_is_gone_on_with_however_much_of_it_was_written(tmp_path, content):
    (tmp_path / "p.journal").write_text(content)

    check_journal(tmp_path / "p.journal")


@pytest.mark.parametrize("content", ["a letter", '{"type":"Kay"}', "\n"])
def test_what_is_no_journal_is_refused(tmp_path, content):
    (tmp_path / "p.journal").write_text(content)

    with pytest.raises(InputError, match="not a journal of advisor"):
        check_journal(tmp_path / "p.journal")


def test_a_pipe_is_no_journal(tmp_path):
    os.mkfifo(tmp_path / "p.journal")

    with pytest.raises(InputError, match="a pipe"):
        check_journal(tmp_path / "p.journal")


@pytest.mark.parametrize("role", ["model", "workload", "inputs", "variants"])
@pytest.mark.parametrize("name", ["p.json", "p.journal"])
def test_no_input_is_an_output_or_its_journal(tmp_path, role, name):
    path = tmp_path / name
    path.write_text("")
    roles = {"model": tmp_path / "m.onnx", "workload": None, "inputs": None, role: path}
    options = ProfileOptions(workload=roles["workload"], inputs=roles["inputs"], variants=(path,) if role == "variants" else ())

    with pytest.raises(InputError, match=f"{name}: is an input of this command"):
        check_places(roles["model"], tmp_path / "p.json", options)


@pytest.mark.parametrize("output", ["/dev/tty", "/dev/stdout"])
def test_a_profile_is_a_file(output):
    with pytest.raises(InputError, match="the variants of a profile have to lie beside it"):
        check_places(Path("m.onnx"), Path(output), ProfileOptions())
