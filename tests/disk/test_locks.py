"""One command at a time: others are told which process it is, and a killed one is in nobody's way."""

import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from advisor.disk import locks
from advisor.errors import InputError

# Holds the lock of an output, says so, and waits for the end of its input or to be killed.
HOLDER = """\
import sys
from pathlib import Path
from advisor.disk import locks
with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def output(tmp_path):
    return tmp_path / "profile.json"


@pytest.fixture
def holder(output):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert "held\n" == process.stdout.readline()
        yield process
        process.kill()


def test_a_lock_leaves_nothing_behind(output):
    with locks.held(output):
        assert [".profile.lock"] == os.listdir(output.parent)

    assert [] == os.listdir(output.parent)


def test_folders_that_were_made_for_it_go_if_they_stay_empty(tmp_path):
    with locks.held(tmp_path / "a" / "b" / "x.json"), locks.held(tmp_path / "c" / "d" / "x.json"):
        (tmp_path / "a" / "file").touch()

    assert ["a", "a/file"] == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["profile.json", "profile.yaml"])
def test_another_process_is_refused_with_the_number_of_the_one_that_writes(output, holder, name):
    with pytest.raises(InputError) as raised, locks.held(output.with_name(name)):
        pass

    assert f"process {holder.pid} of advisor is writing it" in raised.value.fault


def test_a_killed_process_leaves_no_lock(output, holder):
    holder.kill()
    holder.wait()
    assert [".profile.lock"] == os.listdir(output.parent)

    with locks.held(output):
        pass

    assert [] == os.listdir(output.parent)


def test_who_has_patience_gets_it_when_the_other_ends(output, holder):
    threading.Timer(0.2, holder.stdin.close).start()

    with locks.held(output, patience_s=60.0):
        holder.wait(timeout=60)


def test_two_that_wait_get_it_one_after_the_other(output):
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        with locks.held(output, patience_s=60.0):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (1, []) == (most, os.listdir(output.parent))


def test_outputs_that_share_what_lies_beside_them_share_a_lock(output):
    with locks.held(output, output.with_suffix(".yaml"), output.with_name("advice.json")):
        assert {".profile.lock", ".advice.lock"} == set(os.listdir(output.parent))


def test_a_file_of_the_users_is_no_lock(output):
    (output.parent / ".profile.lock").write_text("mine")

    with pytest.raises(InputError, match="not a lock of advisor"), locks.held(output):
        pass

    assert "mine" == (output.parent / ".profile.lock").read_text()


def test_a_link_in_the_place_of_a_lock_is_not_followed(output):
    (output.parent / "mine").touch()
    (output.parent / ".profile.lock").symlink_to("mine")

    with pytest.raises(InputError, match="cannot write there"), locks.held(output):
        pass

    assert "" == (output.parent / "mine").read_text()


def test_beside_a_device_there_is_nothing_to_lock():
    ours, terminal = pty.openpty()

    with locks.held(Path(os.ttyname(terminal))):  # where it lies no file can be made
        pass

    os.close(ours)
    os.close(terminal)
