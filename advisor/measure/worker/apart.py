"""Functions of ours called in a process of their own, for what they open and run is the user's: it may crash, hang or eat the memory."""

import contextlib
import pickle
import time
import typing
from collections.abc import Callable, Mapping
from typing import NamedTuple, ParamSpec, TypeVar

import msgspec

from advisor.disk import temporary
from advisor.errors import AdvisorError, InputError, MissingDependencyError, ModelError
from advisor.measure.worker.apart_process import HEAD_BYTES, Answer, Broken, Raised, Returned, Step, as_text, framed, to_path
from advisor.measure.worker.child import FROM_OUTSIDE, Child, ChildError, Died, name_of
from advisor.units import seconds

PROCESS = "advisor.measure.worker.apart_process"
WATCH_S = 0.05  # between two looks at the memory of the process
# Calls of a model differ in length with their batch, and with what is optimized; and a look makes no more of them than so many.
LONGER, MOST_CALLS = 4.0, 30
ALONE = "try it alone in ONNX Runtime; export it again"
# What may be raised there and here, by name.
KINDS: dict[str, type[AdvisorError]] = {
    kind.__name__: kind for kind in (AdvisorError, InputError, MissingDependencyError, ModelError)
}

P = ParamSpec("P")
T = TypeVar("T")


class Limit(NamedTuple):
    """What a call is about and begins with, in words, and how long it may take: each step that it says it begins, and all of them.

    Where a step took longer than another that has ended, the others may take longer too.
    """

    subject: str
    begins: str
    step_s: float
    total_s: float


class Apart:
    """One process for all calls, started at the first of them, and again after one that ended it. Use as a context manager."""

    def __init__(self, hears: Callable[[str], None] = lambda _: None, environment: Mapping[str, str] | None = None) -> None:
        """`hears` is told what each call says that it begins; `environment` comes to that of this process."""
        self._hears = hears
        self._environment = environment or {}
        self._child: Child | None = None
        self._scratch = contextlib.ExitStack()  # what it leaves behind when it is killed

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the process; the next call starts another."""
        if self._child is not None:
            self._child.end()
            self._child = None
        self._scratch.close()

    def _started(self) -> Child:
        if self._child is None:
            self._child = Child(PROCESS, {**self._environment, "TMPDIR": str(self._scratch.enter_context(temporary.folder()))})
        return self._child

    def call(self, limit: Limit, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """Return what a function of a module of ours returns there; what it raises of ours is raised here.

        Where it has a parameter `say`, it gets one to name its steps with. Raise ModelError, about `limit.subject`, where the process
        dies, takes longer, or takes more memory than is free.
        """
        child = self._started()
        waiting = _Waiting(child, limit, child.room_bytes(), self._hears)
        try:
            answer = waiting.answer_to(framed(pickle.dumps((function, arguments, named))))
        except BaseException:  # an interrupt too: whatever it is doing, nobody waits for it any more
            self.end()
            raise
        if isinstance(answer, Raised):
            fault, hint = as_text(answer.fault), as_text(answer.hint)
            raise KINDS[answer.kind](fault, hint=hint) if answer.kind in KINDS else waiting.error(fault, hint)
        if isinstance(answer, Broken):
            error = RuntimeError(as_text(answer.fault))
            error.add_note(as_text(answer.traceback))
            raise error
        kind = typing.get_type_hints(function)["return"]
        try:
            found: T = msgspec.msgpack.decode(answer.value, type=kind, dec_hook=to_path)
        except msgspec.ValidationError as error:  # a figure of the file that no record takes
            raise waiting.error(f"what was found in it makes no sense ({error})", "export it again") from error
        return found


class _Waiting:
    """The wait for one answer, step by step."""

    def __init__(self, child: Child, limit: Limit, limit_bytes: int | None, hears: Callable[[str], None]) -> None:
        self.child, self.limit, self.limit_bytes, self.hears = child, limit, limit_bytes, hears
        self.step = Step(what=limit.begins, allowed_s=0.0)
        self.spent_s = self.longest_s = 0.0

    def answer_to(self, call: bytes) -> Returned | Raised | Broken:
        """Return what comes at the end; raise ModelError where nothing does."""
        try:
            self.child.send(call)
            while isinstance(answer := self._next(), Step):
                self.step = answer
                self.hears(answer.what)
        except Died as error:
            raise self._of_death(error) from error
        except ChildError as error:
            raise self.error(error.fault, error.hint) from error
        except msgspec.DecodeError as error:
            raise self.error("its process gave an answer that cannot be read", ALONE) from error
        return answer

    def _next(self) -> Answer:
        step_s = max(self.limit.step_s, LONGER * self.longest_s) + self.step.allowed_s
        total_s = self.limit.total_s + MOST_CALLS * self.longest_s + self.step.allowed_s
        started_s = time.monotonic()
        if not self.child.wait(min(step_s, total_s - self.spent_s), every_s=WATCH_S, limit_bytes=self.limit_bytes):
            took_s = time.monotonic() - started_s
            whole = f", of {seconds(self.spent_s + took_s)} for all" if self.spent_s > took_s else ""
            raise self.error(f"it did not end within {seconds(took_s)}{whole}", f"{ALONE}, so that a call takes less")
        content = self.child.read(int.from_bytes(self.child.read(HEAD_BYTES), "little"))
        took_s = time.monotonic() - started_s
        self.spent_s += took_s
        self.longest_s = max(self.longest_s, took_s)
        answer: Answer = msgspec.msgpack.decode(content, type=Answer)
        return answer

    def error(self, fault: str, hint: str) -> ModelError:
        """Return what is to be said of the step at hand."""
        return ModelError(f"{self.limit.subject}: {self.step.what}: {fault}", hint=hint)

    def _of_death(self, error: Died) -> ModelError:
        if error.signal is None:
            return self.error(error.fault, ALONE)
        if error.signal in FROM_OUTSIDE:
            return self.error(f"its process was killed ({name_of(error.signal)})", "free some memory, or use a machine with more")
        return self.error(f"the model crashed the runtime ({name_of(error.signal)})", ALONE)
