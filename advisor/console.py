"""The process behind the command line: its encoding, its streams, the signals that end it, and where the traceback of a fault goes."""

import contextlib
import io
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from types import FrameType
from typing import Any, NoReturn

import click

from advisor import __version__
from advisor.errors import AdvisorError, ExitStatus, NobodyReads, OutputLostError, of_the_system
from advisor.inert.text import inert, inert_lines

NOBODY_READS = 141  # 128 and the number of SIGPIPE, as a shell has it
# What ends a process, and its exit status is 128 more.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 10.0  # what is left to do after the first of them: later ones must not cut that short
IMPORT_PAUSE_S = 0.01  # until it is seen again whether a module is still being loaded


class Ended(KeyboardInterrupt):
    """A signal asks the process to end: all of them do what Ctrl-C does. What is kept stands in its notes."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def in_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale would have names of files in another encoding.

    ONNX Runtime and JSON know names in UTF-8 alone. What a terminal of another encoding cannot show is written as an escape.
    """
    if sys.getfilesystemencoding().lower() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        os.environ["PYTHONUTF8"] = "1"  # for the workers too
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


# --- streams --------------------------------------------------------------------------------------------------------------


class _Output(io.FileIO):
    """Standard output, unbuffered: what could not be written is known when it is printed, and nothing is left for the end."""

    def write(self, data: Any) -> int:
        """Write all of it; raise NobodyReads or OutputLostError."""
        try:
            return _write_all(super().write, data, self)
        except BrokenPipeError:
            raise NobodyReads from None
        except OSError as error:
            raise OutputLostError(
                f"standard output cannot be written ({error.strerror})",
                hint="free some space, or send it elsewhere; files that the command wrote are complete",
            ) from error


class _Messages(io.FileIO):
    """Standard error, which nobody has to read: what cannot be written there is lost, and nothing else changes."""

    def write(self, data: Any) -> int:
        """Write as much as can be written."""
        with contextlib.suppress(OSError):
            _write_all(super().write, data, self)
        return memoryview(data).nbytes


def _write_all(write: Any, data: Any, stream: io.FileIO) -> int:
    left = memoryview(data).cast("B")
    size = left.nbytes
    while left:
        written = write(left)
        if written is None:  # somebody made it non-blocking
            select.select([], [stream], [])
        left = left[written or 0 :]
    return size


def open_streams() -> None:
    """Put standard output and standard error in order: a file that is opened later must never take the number of one that is closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free, which is this one
    # Whoever has put another stream in the place of one, as tests do, means it.
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Messages(2, "w", closefd=False), sys.stderr)


def _text(raw: io.FileIO, before: Any) -> io.TextIOWrapper:
    encoding = before.encoding if before is not None else "utf-8"
    return io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", write_through=True)


# --- signals --------------------------------------------------------------------------------------------------------------


def listen() -> None:
    """Have the signals that end a process raise `Ended`; what the parent has told us to ignore, as nohup does, stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    deaf_until_s, asked = 0.0, signal.SIGINT

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal deaf_until_s, asked
        if time.monotonic() < deaf_until_s:
            return
        if _is_importing(frame):
            asked = signal.Signals(number)
            signal.setitimer(signal.ITIMER_REAL, IMPORT_PAUSE_S)
            return
        deaf_until_s = time.monotonic() + GRACE_S
        raise Ended(number)

    _handle(end)
    signal.signal(signal.SIGALRM, lambda _, frame: end(asked, frame))


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether a module is being loaded: one in C that an exception meets there may end the process, or be left half made."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def stop_listening() -> None:
    """Pass over these signals from now on: the outcome is known, and all that is left is to say it."""
    if threading.current_thread() is threading.main_thread():
        _handle(_pass_over)
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _pass_over(_: int, __: FrameType | None) -> None:
    pass


def _handle(handler: Any) -> None:
    for number in ENDING:
        # A handler of Python's own, unlike SIG_IGN, is not handed down to child processes.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


# --- faults ---------------------------------------------------------------------------------------------------------------


def kept_traceback() -> str:
    """Write the traceback of the exception at hand into a file of its own; return the hint that names it."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="advisor-fault-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(inert_lines(f"advisor {__version__}: {' '.join(sys.argv)}\n\n{traceback.format_exc()}"))
    except OSError as error:
        return f"please report it; its traceback could not be written: {error.strerror}"
    return f"please report it with its traceback, which is in {file.name}"


# --- the command ----------------------------------------------------------------------------------------------------------


def run(command: click.Command) -> NoReturn:
    """Run the command line and exit; every fault is two lines on standard error."""
    in_utf8()
    open_streams()
    listen()
    try:
        status = _outcome(command)
    except KeyboardInterrupt as end:  # while the outcome was put into words
        status = _interrupted(end)
    stop_listening()
    sys.exit(status)


def _outcome(command: click.Command) -> int:
    """Run the command; return its exit status, with all that is to be said of it said."""
    try:
        return int(command(prog_name="advisor", standalone_mode=False) or 0)
    except OutputLostError as error:
        return _fail(error.fault, error.hint, ExitStatus.NOT_PRINTED)
    except AdvisorError as error:
        return _fail(error.fault, error.hint)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitStatus.WRONG_INPUT
    except click.UsageError as error:
        asked = error.ctx.command_path if error.ctx else "advisor"
        return _fail(error.format_message(), f"see `{asked} --help`")
    except click.Abort as error:
        # What click makes of Ctrl-C, and of the end of a file as well.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return _interrupted(error.__cause__)
        return _fault(error.__cause__ or error)
    except NobodyReads:
        return NOBODY_READS
    except SystemExit as leaving:
        # click leaves with 1 where a pipe has no reader; here 1 means that nothing meets the target.
        if leaving.code == 1:
            return NOBODY_READS
        raise
    except OSError as error:
        refused = of_the_system(error)
        return _fail(refused.fault, refused.hint)
    except Exception as error:  # noqa: BLE001  nothing goes on after it: this is where a fault of ours becomes two lines
        return _fault(error)


def _interrupted(end: BaseException) -> int:
    number = end.number if isinstance(end, Ended) else signal.SIGINT
    by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    kept = "".join(f": {note}" for note in getattr(end, "__notes__", ()))
    click.echo(f"interrupted{by}{kept}", err=True)
    return 128 + number


def _fault(error: BaseException) -> int:
    return _fail(f"a fault of advisor itself: {type(error).__name__}: {error}", kept_traceback(), ExitStatus.FAULT)


def _fail(fault: str, hint: str, status: ExitStatus = ExitStatus.WRONG_INPUT) -> int:
    # One line each, and nothing unseen in it, whatever names and other people's messages hold.
    click.echo(f"error: {inert(' '.join(fault.split()))}", err=True)
    click.echo(f"hint: {inert(' '.join(hint.split()))}", err=True)
    return status
