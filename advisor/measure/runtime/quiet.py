"""Keeping other packages' chatter away from the user's terminal, where it would break the progress bar and say nothing of use."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


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
