"""A process of ours beside this one: it never outlives its parent, is watched while it works, and its end is put into words."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import BinaryIO

from advisor.disk import temporary
from advisor.errors import AdvisorError
from advisor.measure.runtime import machine, memory
from advisor.units import size

LONGEST_STDERR = 300
PIPE_BYTES = 65_536
FREE_SHARE = 0.9  # of the memory that is free: the rest is for everybody else, and for what is taken between two looks
DYING_S = 5.0  # from the end of its pipe until a process has ended, as a rule far less
# What happened, by the signal that ended the process.
IN_WORDS = {
    signal.SIGABRT: "it gave up by itself",
    signal.SIGBUS: "memory that is not there",
    signal.SIGFPE: "an integer division fault",
    signal.SIGILL: "an instruction that this processor lacks",
    signal.SIGKILL: "out of memory perhaps",
    signal.SIGSEGV: "an access to memory that is not its own",
    signal.SIGTERM: "ended from outside",
    signal.SIGTRAP: "it gave up by itself",
}
FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}


class ChildError(AdvisorError):
    """The process is of no more use: it died, is silent, or takes more memory than there is."""


class Died(ChildError):
    """The process has ended; `signal` is what ended it, None where it left by itself."""

    def __init__(self, fault: str, *, hint: str, signal: int | None) -> None:
        super().__init__(fault, hint=hint)
        self.signal = signal


class Child:
    """One process that runs a module of ours, with pipes to its input and from its output. `end` has to be called."""

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        """`environment` comes to that of this process."""
        # -P: a folder named advisor where the user stands must not be taken for this package. A session of its own keeps the user's
        # Ctrl-C from the child: the parent decides what is kept, then ends it. Nothing is read ahead: what waits in the pipe shows.
        self._stderr = temporary.nameless_file()  # lives as long as the child; closed with it in `end`
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            bufsize=0,
            env={**os.environ, **(environment or {})},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout

    def end(self) -> None:
        """Kill the process, whatever it is doing, and close what led to it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._replies, self._stderr):
            with contextlib.suppress(OSError):
                pipe.close()

    def send(self, message: bytes) -> None:
        """Write to its input; raise Died where nobody reads."""
        left = memoryview(message)
        try:
            while left:
                left = left[self._requests.write(left) :]
        except BrokenPipeError:
            raise self.death() from None

    def wait(self, patience_s: float, *, every_s: float, limit_bytes: int | None = None) -> bool:
        """Return whether there is something to read within that time; raise ChildError where it takes more memory than `limit_bytes`."""
        until_s = time.monotonic() + patience_s
        while True:
            left_s = until_s - time.monotonic()
            if select.select([self._replies], [], [], max(0.0, min(left_s, every_s)))[0]:
                return True
            if left_s <= 0:
                return False
            if limit_bytes is not None and (held := memory.held_bytes(self._process.pid)) > limit_bytes:
                raise ChildError(
                    f"it took {size(held)} of memory, and {size(limit_bytes)} were free for it here",
                    hint="use a machine, or a container, with more memory",
                )

    def room_bytes(self) -> int | None:
        """Return how much memory the process may hold in all, by what is free now; None where that is not known."""
        free = memory.available_bytes()
        return None if free is None else memory.held_bytes(self._process.pid) + int(FREE_SHARE * free)

    def read_some(self) -> bytes:
        """Return what there is of its output, after waiting for it; raise Died where it ended."""
        part = self._replies.read(PIPE_BYTES)
        if not part:
            raise self.death()
        return part

    def read(self, count: int) -> bytes:
        """Return so many bytes of its output; raise Died where it ends before."""
        parts, left = [], count
        while left:
            part = self._replies.read(left)
            if not part:
                raise self.death()
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def death(self) -> Died:
        """Return what is to be said of a process whose output ended."""
        deadline = time.monotonic() + DYING_S
        while (code := self._process.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 4 * LONGEST_STDERR))
        words = self._stderr.read().decode(errors="replace").strip()[-LONGEST_STDERR:]
        by_signal = -code if code is not None and code < 0 else None
        reason = f"exit status {code}" if by_signal is None else f"killed by {name_of(by_signal)}"
        fault = f"its process died ({reason})" + (f": {words}" if words else "")
        return Died(fault, hint="try the file alone in ONNX Runtime", signal=by_signal)


def name_of(number: int) -> str:
    """Return the name of a signal and what it means: "SIGFPE, an integer division fault"."""
    try:
        name = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    return f"{name.name}, {IN_WORDS[name]}" if name in IN_WORDS else name.name


def begin(arguments: list[str]) -> tuple[BinaryIO, BinaryIO]:
    """Begin as a child of the process with the id in `arguments`; return where requests come from, and where replies go.

    It ends with its parent, and first of all when memory runs out. What libraries print, in C too, goes to its standard error: in the
    replies it would break the protocol.
    """
    machine.end_with_parent(int(arguments[1]))
    memory.go_first()
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies
