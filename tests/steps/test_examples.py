"""Code that a workload names: run only where whoever sits there says so."""

import pytest

from advisor.errors import InputError
from advisor.schema.options import ProfileOptions
from advisor.schema.workload import Quality
from advisor.steps.examples import with_consent
from tests.profiles import workload

FLOOR = Quality(max_drop=0.01, metric="own:score", data="own:rows")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text("def score(outputs, rows): return 1.0\ndef rows(): return {}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(folder, *, answer=None, allow_code=False, floor=FLOOR):
    """The options after the question, and the questions that were asked."""
    questions = []

    def asks(question):
        questions.append(question)
        return answer

    options = ProfileOptions(workload=folder / "w.yaml", allow_code=allow_code)
    return with_consent(workload(quality=floor), options, None if answer is None else asks), questions


def test_who_allows_code_is_not_asked(folder):
    options, questions = asked(folder, answer=False, allow_code=True)

    assert (True, []) == (options.allow_code, questions)


def test_who_sits_at_a_terminal_is_asked_once_and_by_name(folder):
    options, [question] = asked(folder, answer=True)

    assert options.allow_code
    assert "own:rows" in question and "own:score" in question and str(folder / "own.py") in question


@pytest.mark.parametrize("answer", [False, None])
def test_without_a_yes_nothing_runs(folder, answer):
    with pytest.raises(InputError) as refusal:
        asked(folder, answer=answer)

    assert refusal.value.fault.endswith("quality.data: own:rows is code, which runs only where that is allowed")
    assert "--allow-code" in refusal.value.hint


@pytest.mark.parametrize("source", ["os:getcwd", "elsewhere.own:score", "linked:score"])
def test_nobody_is_asked_about_code_from_elsewhere(folder, tmp_path_factory, source):
    away = tmp_path_factory.mktemp("away") / "away.py"
    away.write_text("")
    (folder / "linked.py").symlink_to(away)

    with pytest.raises(InputError, match=f"quality.metric: {source} is code"):
        asked(folder, answer=True, floor=Quality(max_drop=0.01, metric=source))


def test_nobody_is_asked_from_another_folder(folder, monkeypatch):
    monkeypatch.chdir(folder / "elsewhere")

    with pytest.raises(InputError, match="is code, which runs only where that is allowed"):
        asked(folder, answer=True)


@pytest.mark.parametrize("floor", [None, Quality(max_drop=0.01, metric="accuracy", data="data.npz")])
def test_a_workload_that_names_no_code_asks_nothing(folder, floor):
    options, questions = asked(folder, answer=True, floor=floor)

    assert (False, []) == (options.allow_code, questions)
