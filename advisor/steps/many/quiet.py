"""What libraries in C print by themselves is not for the user of a command."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def nothing_printed() -> Iterator[None]:
    """Drop what goes to standard output below Python while the body runs: the solver HiGHS leaves lines there that say nothing."""
    if sys.stdout is not None:
        sys.stdout.flush()
    library = ctypes.CDLL(None)
    library.fflush(None)
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        library.fflush(None)  # or it would come out when the buffer is emptied, later
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)
