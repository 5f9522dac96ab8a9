"""Temporary folders: gone when the command ends, and what killed processes left is removed, nothing else."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from advisor.disk import temporary
from advisor.errors import InputError

# Holds a folder, says so, and waits to be killed.
HOLDER = """\
import sys
from pathlib import Path
from advisor.disk import temporary
with temporary.folder(Path(sys.argv[1])) as folder:
    (folder / "file").write_text("kept busy")
    print(folder, flush=True)
    sys.stdin.read()
"""


def abandoned(place, name="advisor-scratch-0123abcd", mode=0o700):
    folder = place / name
    folder.mkdir()
    folder.chmod(mode)
    (folder / "file").touch()
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_private_and_gone_afterwards(place):
    with temporary.folder() as folder:
        (folder / "sub").mkdir()
        assert (place, 0o700) == (folder.parent, stat.S_IMODE(folder.stat().st_mode))

    assert [] == os.listdir(place)


def test_a_folder_is_gone_after_an_interrupt(place):
    with pytest.raises(KeyboardInterrupt), temporary.folder(place):
        raise KeyboardInterrupt

    assert [] == os.listdir(place)


def test_one_beside_an_output_is_hidden(place):
    with temporary.folder(place) as folder:
        assert folder.name.startswith(".advisor-")


def test_what_a_living_process_holds_stays_and_goes_once_it_is_killed(place):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        held = Path(holder.stdout.readline().strip())
        with temporary.folder(place), temporary.folder(place):
            assert (held / "file").exists()
        holder.kill()

    assert (held / "file").exists()
    with temporary.folder(place):
        assert not held.exists()


@pytest.mark.parametrize("beside", [True, False])
def test_what_nobody_holds_is_removed_by_the_next_command(place, beside):
    names = ("advisor-scratch-0123abcd", ".advisor-scratch-0123abcd")
    for name in names:
        abandoned(place, name)

    with temporary.folder(place if beside else None) as folder:
        assert [folder.name] == os.listdir(place)


@pytest.mark.parametrize(
    "name",
    ["advisor-training", "advisor-scratch", "advisor-scratch-old", "advisor-scratch-0123abcd.bak", "my-advisor-scratch-0123abcd"],
)
def test_folders_of_other_names_are_left_alone(place, name):
    folder = abandoned(place, name)

    with temporary.folder():
        pass

    assert (folder / "file").exists()


def test_a_folder_that_others_may_read_is_none_of_ours(place):
    folder = abandoned(place, mode=0o755)

    with temporary.folder():
        pass

    assert (folder / "file").exists()


def test_a_link_of_that_name_is_not_followed(place):
    (place / "mine").mkdir(mode=0o700)
    (place / "mine" / "file").touch()
    (place / "advisor-scratch-0123abcd").symlink_to("mine")

    with temporary.folder():
        pass

    assert (place / "mine" / "file").exists() and (place / "advisor-scratch-0123abcd").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser may give files away")
def test_what_is_of_another_user_is_left_alone(place):
    folder = abandoned(place)
    os.chown(folder, 12345, 12345)

    with temporary.folder():
        pass

    assert (folder / "file").exists()


def test_at_home_the_temporary_files_of_everybody_lie_in_one_folder(place, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(place))

    with temporary.home() as home:
        with temporary.folder() as inner:
            assert home == inner.parent
        tempfile.mkdtemp(prefix="somebody-else-")
        tell = "import tempfile; print(tempfile.mkdtemp())"
        of_a_child = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True).stdout.strip()
        assert str(home) == os.path.dirname(of_a_child)

    assert ([], str(place), str(place)) == (os.listdir(place), tempfile.gettempdir(), os.environ["TMPDIR"])


def test_the_folder_of_temporary_files_is_the_one_that_python_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name, value in (("TMPDIR", tmp_path / "nowhere"), ("TEMP", tmp_path), ("TMP", "/")):
        monkeypatch.setenv(name, str(value))

    with temporary.folder() as folder:
        assert tmp_path == folder.parent
        assert [folder.name] == os.listdir(tmp_path)  # asked of Python only now: it would have written there
        assert str(tmp_path) == tempfile.gettempdir()


def test_where_none_can_be_made_the_place_is_told(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(InputError, match=f"{tmp_path}/file: temporary files cannot be made there"),
        temporary.folder(tmp_path / "file"),
    ):
        pass
