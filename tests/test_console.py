"""The process: signals end it as Ctrl-C does, and streams that are closed, full or unread change nothing but what is read of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from advisor.errors import ExitStatus

WORKLOAD = Path(__file__).parents[1] / "examples" / "fashion-tagging.yaml"
COMMAND = f"{sys.executable} -m advisor.cli"

# What every program below begins with. Each is a process of its own: a signal that is missed there ends that process, and no test.
BEGINNING = """
import os, signal, sys, time
import click
from advisor import console

for number in console.ENDING:  # who puts the tests into the background may have them ignored
    signal.signal(number, signal.SIG_DFL)

def ran(body):
    try:
        console.run(click.command()(body))
    except SystemExit as end:
        return end.code

def end_by(number):
    os.kill(os.getpid(), number)
    time.sleep(10.0)

"""


def ended(program, **environment):
    """Return the exit status, the output and the messages of this program, run as the command line is: `ran` gives its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr.strip()


# --- signals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("SIGINT", 130, "interrupted"),
        ("SIGTERM", 143, "interrupted by SIGTERM"),
        ("SIGHUP", 129, "interrupted by SIGHUP"),
    ],
)
def test_a_signal_ends_a_command_as_ctrl_c_does_and_nothing_is_said_to_be_kept(name, status, said):
    assert (status, "", said) == ended(f"sys.exit(ran(lambda: end_by(signal.{name})))")


def test_what_is_kept_is_said_with_it():
    program = """
def body():
    try:
        end_by(signal.SIGTERM)
    except KeyboardInterrupt as end:
        end.add_note("all is kept")
        raise

sys.exit(ran(body))
"""

    assert (143, "", "interrupted by SIGTERM: all is kept") == ended(program)


def test_a_second_signal_does_not_cut_short_what_is_left_to_do():
    program = """
def body():
    try:
        end_by(signal.SIGTERM)
    finally:
        for number in console.ENDING:
            os.kill(os.getpid(), number)
        print("tidied up")

sys.exit(ran(body))
"""

    assert (143, "tidied up\n", "interrupted by SIGTERM") == ended(program)


def test_a_module_that_is_being_loaded_is_loaded_to_its_end_first(tmp_path):
    (tmp_path / "loaded_to_the_end.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.05)\nEND = True\n"
    )
    program = """
def body():
    import loaded_to_the_end
    time.sleep(10.0)

status = ran(body)
print(sys.modules["loaded_to_the_end"].END)
sys.exit(status)
"""

    assert (143, "True\n", "interrupted by SIGTERM") == ended(program, PYTHONPATH=str(tmp_path))


def test_what_the_parent_has_us_ignore_stays_ignored():
    program = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
status = ran(lambda: os.kill(os.getpid(), signal.SIGHUP))
print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
sys.exit(status)
"""

    assert (0, "True\n", "") == ended(program)


def test_a_signal_after_the_outcome_is_known_changes_nothing():
    program = """
status = ran(lambda: 3)
for number in console.ENDING:
    os.kill(os.getpid(), number)
sys.exit(status)
"""

    assert (3, "", "") == ended(program)


def test_the_end_of_a_file_is_no_interrupt(tmp_path):
    program = """
def body():
    raise EOFError("no more data")

sys.exit(ran(body))
"""
    status, out, err = ended(program, TMPDIR=str(tmp_path))

    assert (ExitStatus.FAULT, "") == (status, out)
    assert "error: a fault of advisor itself: EOFError: no more data" in err


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
