"""What machines of a cluster are given of pairs, and what they refuse; a real cluster is in test_cluster.py."""

import os
from pathlib import Path

import pytest

from advisor.errors import InputError
from advisor.steps.sweep import elsewhere
from advisor.steps.sweep.elsewhere import Command, Shelf, advised_there
from advisor.steps.sweep.many import Settings
from tests.profiles import NOW


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A shelf in a folder, of which this process is; a real one has a process of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.npz").write_bytes(b"a")
    (tmp_path / "profile.json").write_bytes(b"{}")
    return Shelf(str(tmp_path))


def test_files_are_read_by_the_paths_that_the_user_gave_and_folders_where_they_are_wanted(tmp_path, shelf):
    asked = ["profile.json", "data", "nowhere"]

    assert [((f"{tmp_path}/profile.json", b"{}"),), (), ()] == shelf.read(asked, with_folders=False)
    assert ((f"{tmp_path}/data/a.npz", b"a"),) == shelf.read(asked, with_folders=True)[1]


def test_what_cannot_be_read_or_sent_is_said_as_a_fault_of_its_path(shelf, monkeypatch):
    monkeypatch.setattr(elsewhere, "MOST_BYTES", 1)
    os.mkfifo("pipe")

    pipe, large = shelf.read(["pipe", "profile.json"], with_folders=False)

    assert "pipe: a pipe, not a file" == pipe.fault
    assert large.fault.startswith("profile.json: more than 1 bytes") and "without --ray" in large.hint


def test_a_machine_with_another_version_advises_on_nothing():
    settings = Settings(NOW, 0.95, 1.5, None, Path("out"), ())

    with pytest.raises(InputError, match="and the command is 0") as refused:
        advised_there((), Command(settings, "0.0", "/", "/", (), None))

    assert "==0.0" in refused.value.hint
