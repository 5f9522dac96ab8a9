"""What a library in C prints does not reach the output of a command, and what the command prints does."""

import ctypes
import sys

from advisor.steps.many.quiet import nothing_printed


def test_only_what_is_printed_below_python_meanwhile_is_dropped(capfd):
    library = ctypes.CDLL(None)
    with nothing_printed():
        library.puts(b"from below")
    sys.stdout.write("from here\n")
    library.puts(b"afterwards")
    library.fflush(None)

    out = capfd.readouterr().out
    assert "from here" in out and "afterwards" in out
    assert "from below" not in out
