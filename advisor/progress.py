"""A progress bar on stderr: what is being measured and the time left. The one doorway to `rich`."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Report = Callable[[float, float, str], None]
PLAIN_EVERY_S = 10.0


@contextlib.contextmanager
def progress() -> Iterator[Report]:
    """Yield report(done_s, total_s, what); a bar in a terminal, a line every few seconds in a log."""
    if not sys.stderr.isatty():
        yield _plain()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def report(done_s: float, total_s: float, what: str) -> None:
            # The last round is finished even when it ends a little late, so the bar may be full for a moment.
            bar.update(task, completed=min(done_s, total_s), total=total_s, description=what)

        yield report


def _plain() -> Report:
    last = -PLAIN_EVERY_S

    def report(done_s: float, total_s: float, what: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_EVERY_S:
            last = now
            sys.stderr.write(f"advisor: {what} ({done_s:.0f} of about {total_s:.0f} s measured)\n")
            sys.stderr.flush()

    return report
