"""Functions of the user's: run only where that is allowed, and whatever they do is an error that names them and their line."""

import sys

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.quality import own_code

MODULE = """
import sys

class Quiet(Exception):
    def __str__(self):
        raise RuntimeError("no words")

class Ours(BaseException):
    pass

def fails():
    raise ValueError("out of disk")

def leaves():
    sys.exit(3)

def says_nothing():
    raise Quiet

def is_no_exception():
    raise Ours("on its own")

def is_interrupted():
    raise KeyboardInterrupt

def deeper():
    return fails()
"""
KEY = "quality.metric"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own_functions.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("own_functions", None)


def load(name, folder, *, is_allowed=True):
    return own_code.load(f"own_functions:{name}", folder, KEY, is_allowed=is_allowed)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fails", "failed (ValueError: out of disk; {file}, line 12)"),
        ("leaves", "failed (SystemExit: 3; {file}, line 15)"),
        ("says_nothing", "failed (Quiet: ; {file}, line 18)"),
        ("is_no_exception", "failed (Ours: on its own; {file}, line 21)"),
        ("deeper", "failed (ValueError: out of disk; {file}, line 12)"),
    ],
)
def test_whatever_a_function_raises_is_an_error_with_the_line_of_its_file(folder, name, told):
    with pytest.raises(InputError) as refusal:
        own_code.run(f"own_functions:{name}", KEY, load(name, folder))

    assert f"{KEY}: own_functions:{name} {told.format(file=folder / 'own_functions.py')}" == refusal.value.fault


def test_an_interrupt_stays_one(folder):
    with pytest.raises(KeyboardInterrupt):
        own_code.run("own_functions:is_interrupted", KEY, load("is_interrupted", folder))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise SystemExit('no')", "(SystemExit: no; {file}, line 1)"),
        ("x = 1\nimport no_such_package", "(ModuleNotFoundError: No module named 'no_such_package'; {file}, line 2)"),
        ("def f(:", "line 1)"),
        ("\0", "own_functions cannot be imported"),
    ],
)
def test_a_module_that_cannot_be_imported_is_an_error_with_the_line_of_its_file(folder, text, told):
    (folder / "own_functions.py").write_text(text)

    with pytest.raises(InputError) as refusal:
        load("f", folder)

    assert told.format(file=folder / "own_functions.py") in refusal.value.fault
    assert str(folder) not in sys.path


def test_nothing_is_even_imported_that_is_not_allowed(folder):
    (folder / "own_functions.py").write_text(f"open({str(folder / 'trace')!r}, 'w')")

    with pytest.raises(InputError) as refusal:
        load("f", folder, is_allowed=False)

    assert "own_functions:f is code, which runs only where that is allowed" in refusal.value.fault
    assert f"read {folder / 'own_functions.py'}" in refusal.value.hint and "--allow-code" in refusal.value.hint
    assert not (folder / "trace").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (float("nan"), "returned nan"),
        (np.array([1.0, np.inf]), "returned inf for item 2"),
        ("high", "returned str, which is no figure"),
        (None, "returned nan"),
        ([[1.0], [1.0, 2.0]], "returned list, which is no figure"),
        ({"score": 1}, "returned dict, which is no figure"),
        (1 + 2j, "returned complex, which is no figure"),
    ],
)
def test_what_is_no_figure_is_refused(given, told):
    with pytest.raises(InputError, match=f"quality.metric: own:score {told}"):
        own_code.figures("own:score", KEY, given)


def test_a_module_beside_the_workload_and_one_in_a_package_are_found(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "own.py").write_text("")
    (tmp_path / "a" / "b" / "__init__.py").write_text("")

    assert tmp_path / "own.py" == own_code.file_of("own:f", tmp_path)
    assert tmp_path / "a" / "b" / "__init__.py" == own_code.file_of("a.b:f", tmp_path)
    assert own_code.file_of("json:loads", tmp_path) is None
