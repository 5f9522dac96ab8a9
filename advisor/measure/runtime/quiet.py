"""Keeping other packages' chatter away from the user's terminal, where it would break the progress bar and say nothing of use."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator

STDERR = 2  # where libraries in C write, whatever Python has made of sys.stderr


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop prints, warnings and log records below error level while the body runs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    dropped = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(dropped), contextlib.redirect_stderr(dropped):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def without_native_words() -> Iterator[None]:
    """Drop what is written to stderr below Python while the body runs; what Python itself would write meanwhile goes with it."""
    with contextlib.ExitStack() as stack:
        try:
            kept = os.dup(STDERR)
        except OSError:  # closed by who started us: nothing can be written there
            kept = None
        if kept is not None:
            stack.callback(os.close, kept)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, STDERR)
            os.close(nowhere)
            stack.callback(os.dup2, kept, STDERR)
        yield
