"""The parent's end of a worker: start it, ask it, notice when it dies or hangs, start it again once, end it."""

from typing import TypeVar

import msgspec

from advisor.errors import AdvisorError
from advisor.measure.worker.child import Child, ChildError, Died
from advisor.measure.worker.process import Failed, Load, Loaded, Reply, Request

# What a call may take before it counts as hung: far beyond any latency worth serving at.
HANG_S = 120.0
PROCESS = "advisor.measure.worker.process"

A = TypeVar("A", bound=msgspec.Struct)


class WorkerError(AdvisorError):
    """A variant's process crashed, hung or refused; the variant is given up, the others go on."""


class WorkerProcess:
    """One child that times one variant. Use as a context manager: the child never outlives it."""

    def __init__(self) -> None:
        self._child = Child(PROCESS)
        self._loaded: Load | None = None  # what the child has opened

    def restart(self) -> None:
        """Replace the child, dead or hanging, by a new one that has nothing loaded."""
        self._child.end()
        self._child, self._loaded = Child(PROCESS), None

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()

    def ask(self, request: Request, expect: type[A], *, again: Request | None = None, patience_s: float = HANG_S) -> A:
        """Return the child's reply; raise WorkerError if it fails, dies twice or is silent for `patience_s`.

        A child that died is started again once and asked the same, or `again`: a stranger's kill, or a moment without memory, is no
        property of the model.
        """
        loaded = self._loaded
        try:
            return self._ask(request, expect, patience_s)
        except Died as first:
            try:
                self.restart()
                if loaded is not None and not isinstance(request, Load):
                    self._ask(loaded, Loaded, HANG_S)
                return self._ask(again or request, expect, patience_s)
            except ChildError as second:
                twice = (
                    f"{second.fault}, as it did before"
                    if second.fault == first.fault
                    else f"{second.fault}; before: {first.fault}"
                )
                raise WorkerError(twice, hint=second.hint) from second
        except ChildError as error:
            raise WorkerError(error.fault, hint=error.hint) from error

    def _ask(self, request: Request, expect: type[A], patience_s: float) -> A:
        self._child.send(msgspec.json.encode(request) + b"\n")
        if not self._child.wait(patience_s, every_s=patience_s):
            raise WorkerError(f"no reply within {patience_s:.0f} s", hint="the model hangs; try it alone in ONNX Runtime")
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self._child.read_some()
        reply = msgspec.json.decode(line, type=Reply)
        if isinstance(reply, Failed):
            raise WorkerError(reply.fault, hint="try the file alone in ONNX Runtime")
        assert isinstance(reply, expect)
        if isinstance(request, Load):
            self._loaded = request
        return reply
