"""Progress on stderr: what is being done and the time left over all stages. The one doorway to `rich`."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from advisor.inert.text import inert

PLAIN_EVERY_S = 10.0


class Report(Protocol):
    """Takes seconds spent, seconds that all stages take, what is being done, and now and then a sentence to be read by itself.

    All stages take `math.inf` where nobody knows.
    """

    def __call__(self, done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
        """Report where the run stands."""


@contextlib.contextmanager
def progress(*, is_quiet: bool = False) -> Iterator[Report]:
    """Yield report(done_s, of_s, what); a bar in a terminal, a line every few seconds in a log, nothing at all if `is_quiet`."""
    if is_quiet:
        yield _silent
        return
    if not sys.stderr.isatty():
        yield plain(sys.stderr.write, time.monotonic)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    # What is being done may name a file of the user's, which must not be taken for markup.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, left="")

        def report(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
            if line is not None:
                bar.console.print(inert(line), markup=False, highlight=False)
            # The last visit is finished even when it ends a little late, so the bar may be full for a moment.
            total = None if math.isinf(of_s) else of_s
            bar.update(task, completed=min(done_s, of_s), total=total, description=inert(what), left=_left(done_s, of_s))

        yield report


def _silent(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
    pass


def plain(write: Callable[[str], object], clock: Callable[[], float]) -> Report:
    """Return a report for a log: a line at most every PLAIN_EVERY_S, a sentence before what is being done, nothing but printable text."""
    last: float | None = None
    waiting: str | None = None

    def report(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
        nonlocal last, waiting
        waiting = line or waiting  # a newer sentence replaces one that was not due yet
        now = clock()
        if last is None or now - last >= PLAIN_EVERY_S:
            text = f"{waiting}; {what}" if waiting else what
            write(f"advisor: {inert(text)} ({_left(done_s, of_s)})\n")
            last, waiting = now, None

    return report


def _left(done_s: float, of_s: float) -> str:
    return f"{done_s:.0f} s so far" if math.isinf(of_s) else f"about {max(of_s - done_s, 0.0):.0f} s left"
