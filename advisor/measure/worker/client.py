"""The parent's end of a worker: start it, ask it, notice when it dies or hangs, end it."""

import contextlib
import select
import subprocess
import sys
import time
from typing import TypeVar

import msgspec

from advisor.disk import temporary
from advisor.errors import AdvisorError
from advisor.measure.worker.process import Failed, Reply, Request

# What a call may take before it counts as hung: far beyond any latency worth serving at.
HANG_S = 120.0
LONGEST_STDERR = 300

A = TypeVar("A", bound=msgspec.Struct)


class WorkerError(AdvisorError):
    """A variant's process crashed, hung or refused; the variant is given up, the others go on."""


class WorkerProcess:
    """One child that times one variant. Use as a context manager: the child never outlives it."""

    def __init__(self) -> None:
        self._spawn()

    def _spawn(self) -> None:
        # -P: a folder named advisor where the user stands must not be taken for this package. A session of its own keeps the user's
        # Ctrl-C from the child: the parent decides what is kept, then ends it.
        self._stderr = temporary.nameless_file()  # lives as long as the child; closed with it in _end
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "advisor.measure.worker.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
        )

    def restart(self) -> None:
        """Replace the child, dead or hanging, by a new one that has nothing loaded."""
        self._end()
        self._spawn()

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def ask(self, request: Request, expect: type[A], *, patience_s: float = HANG_S) -> A:
        """Return the child's reply; raise WorkerError if it fails, dies or is silent for `patience_s`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        if not select.select([self._process.stdout], [], [], patience_s)[0]:
            raise WorkerError(f"no reply within {patience_s:.0f} s", hint="the model hangs; try it alone in ONNX Runtime")
        line = self._process.stdout.readline()
        if not line:
            raise self._death()
        reply = msgspec.json.decode(line, type=Reply)
        if isinstance(reply, Failed):
            raise WorkerError(reply.fault, hint="try the file alone in ONNX Runtime")
        assert isinstance(reply, expect)
        return reply

    def _death(self) -> WorkerError:
        deadline = time.monotonic() + 5.0
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        code = self._process.poll()
        self._stderr.seek(0)
        words = self._stderr.read().decode(errors="replace").strip()[-LONGEST_STDERR:]
        reason = f"killed by signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        memory = ", out of memory perhaps" if code == -9 else ""
        return WorkerError(
            f"its process died ({reason}{memory})" + (f": {words}" if words else ""), hint="the other variants go on"
        )
