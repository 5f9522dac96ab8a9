"""advisor distill from the command line: a student of a forest, made, known again, and refused in two lines."""

import importlib.util

import numpy as np
import pytest

from tests import models
from tests.damage import ended, is_refusal

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("sklearn", "skl2onnx")),
    reason="scikit-learn and skl2onnx are not installed",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    models.save(models.forest(), folder / "forest.onnx")
    rows = np.random.default_rng(1).standard_normal((200, 2))
    (folder / "table.csv").write_text("rows_0,rows_1\n" + "".join(f"{a},{b}\n" for a, b in rows))
    return folder


def distill(folder, *more, student="trees-2"):
    return ended("distill", "forest.onnx", "--student", student, "--data", "table.csv", "-o", "student", *more, cwd=folder)


def test_a_student_is_made_known_again_and_kept_from_other_questions(folder):
    status, out, err = distill(folder)
    made = (folder / "student" / "model.onnx").stat().st_mtime_ns

    assert (0, True) == (status, "2 of 4 trees" in out), err
    assert out == distill(folder)[1]
    refused = distill(folder, "--seed", "5")
    assert is_refusal(refused[0], refused[2])
    assert made == (folder / "student" / "model.onnx").stat().st_mtime_ns
    assert {".serving-advisor", "learned.digests", "model.onnx", "student.json"} == {
        path.name for path in (folder / "student").iterdir()
    }


@pytest.mark.parametrize(
    "more",
    [
        ("--student", "layers-2"),
        ("--student", "forest"),
        ("--budget", "0"),
        ("--steps", "0"),
        ("--data", "forest.onnx"),
        ("-o", "."),
        ("-o", "table.csv"),
    ],
)
def test_what_cannot_be_done_is_refused_in_two_lines(folder, more):
    status, out, err = distill(folder, "-o", "other", *more)

    assert is_refusal(status, err), err
    assert "" == out and not (folder / "other").exists()
