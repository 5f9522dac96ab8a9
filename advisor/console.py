"""The process behind the command line: its encoding, and where the traceback of a fault of ours goes."""

import io
import os
import sys
import tempfile
import traceback

from advisor import __version__
from advisor.inert.text import inert_lines


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


def kept_traceback() -> str:
    """Write the traceback of the exception at hand into a file of its own; return the hint that names it."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="advisor-fault-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(inert_lines(f"advisor {__version__}: {' '.join(sys.argv)}\n\n{traceback.format_exc()}"))
    except OSError as error:
        return f"please report it; its traceback could not be written: {error.strerror}"
    return f"please report it with its traceback, which is in {file.name}"
