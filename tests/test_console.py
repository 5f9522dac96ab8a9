"""The process: signals end it as Ctrl-C does, and streams that are closed, full or unread change nothing but what is read of them."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from advisor import console
from advisor.errors import ExitStatus

WORKLOAD = Path(__file__).parents[1] / "examples" / "fashion-tagging.yaml"
COMMAND = f"{sys.executable} -m advisor.cli"


def ran(body):
    """The exit status of a command with this body, run as the command line is."""

    @click.command()
    def command():
        return body()

    with pytest.raises(SystemExit) as end:
        console.run(command)
    return end.value.code


@pytest.fixture(autouse=True)
def called_without_arguments_at_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["advisor"])
    for number in console.ENDING:  # who puts the tests into the background may have them ignored
        signal.signal(number, signal.SIG_DFL)


def end_by(number):
    os.kill(os.getpid(), number)
    time.sleep(10.0)


# --- signals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "interrupted by SIGTERM"),
        (signal.SIGHUP, 129, "interrupted by SIGHUP"),
    ],
)
def test_a_signal_ends_a_command_as_ctrl_c_does_and_nothing_is_said_to_be_kept(capsys, number, status, said):
    assert status == ran(lambda: end_by(number))

    out, err = capsys.readouterr()
    assert ("", said) == (out, err.strip())


def test_what_is_kept_is_said_with_it(capsys):
    def body():
        try:
            end_by(signal.SIGTERM)
        except KeyboardInterrupt as end:
            end.add_note("all is kept")
            raise

    assert 143 == ran(body)
    assert "interrupted by SIGTERM: all is kept" == capsys.readouterr().err.strip()


def test_a_second_signal_does_not_cut_short_what_is_left_to_do():
    done = []

    def body():
        try:
            end_by(signal.SIGTERM)
        finally:
            for number in console.ENDING:
                os.kill(os.getpid(), number)
            done.append("tidied up")

    assert (143, ["tidied up"]) == (ran(body), done)


def test_a_module_that_is_being_loaded_is_loaded_to_its_end_first(tmp_path, monkeypatch):
    (tmp_path / "loaded_to_the_end.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.05)\nEND = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def body():
        importlib.import_module("loaded_to_the_end")
        time.sleep(10.0)

    assert 143 == ran(body)
    assert sys.modules.pop("loaded_to_the_end").END


def test_what_the_parent_has_us_ignore_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    assert 0 == ran(lambda: os.kill(os.getpid(), signal.SIGHUP))
    assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)


def test_a_signal_after_the_outcome_is_known_changes_nothing():
    assert 3 == ran(lambda: 3)

    for number in console.ENDING:
        os.kill(os.getpid(), number)


def test_the_end_of_a_file_is_no_interrupt(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def body():
        raise EOFError("no more data")

    assert ExitStatus.FAULT == ran(body)
    assert "error: a fault of advisor itself: EOFError: no more data" in capsys.readouterr().err


# --- streams -------------------------------------------------------------------------------------------------------------


def in_a_shell(command, **options):
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=120, **options)


def test_standard_output_that_is_closed_is_taken_as_the_null_device():
    assert (0, "") == ((done := in_a_shell(f"{COMMAND} classify {WORKLOAD} >&-")).returncode, done.stderr)


def test_standard_error_that_is_closed_or_full_changes_neither_output_nor_exit_status():
    usual = in_a_shell(f"{COMMAND} classify {WORKLOAD} --now 2026-11-22T08:00:00Z")

    for redirection in ("2>&-", "2>/dev/full", "<&- 2>&-"):
        done = in_a_shell(f"{COMMAND} classify {WORKLOAD} --now 2026-11-22T08:00:00Z {redirection}")
        assert (usual.returncode, usual.stdout) == (done.returncode, done.stdout)
    assert 2 == in_a_shell(f"{COMMAND} classify nowhere.yaml 2>/dev/full").returncode


def test_no_file_takes_the_number_of_a_stream_that_is_closed():
    tell = "import os; from advisor.console import open_streams; open_streams(); os._exit(os.open('/dev/null', 0))"

    assert 3 <= in_a_shell(f'{sys.executable} -c "{tell}" <&- >&- 2>&-').returncode


def test_a_stream_that_does_not_block_is_waited_for():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    tell = (
        "from advisor.console import open_streams; open_streams()\n"
        "import sys; sys.stdout.write('x' * 300_000); sys.stdout.write('end')"
    )
    process = subprocess.Popen([sys.executable, "-c", tell], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)

    with os.fdopen(reading) as pipe:
        text = pipe.read()

    assert (0, b"") == (process.wait(timeout=60), process.stderr.read())
    assert (300_003, "end") == (len(text), text[-3:])
    process.stderr.close()
