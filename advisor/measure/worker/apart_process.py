"""The process that calls functions of ours on what the user gave: a frame with a call in, a frame for each step and the answer out.

A frame is its length, eight bytes little-endian, and so many bytes: of a call as Python pickles it, for the parent may ask what it likes;
of an answer in MessagePack, which is checked where it is read, for a model may have written into this process's memory.
"""

import inspect
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from advisor.errors import AdvisorError, of_the_system
from advisor.measure.worker import child
from advisor.schema.record import Record

HEAD_BYTES = 8


class Step(Record, frozen=True, kw_only=True, tag=True):
    """What is begun now, in words, and the seconds that it may take beyond the usual."""

    what: str
    allowed_s: float


class Returned(Record, frozen=True, kw_only=True, tag=True):
    """What the function returned, in MessagePack."""

    value: bytes


class Raised(Record, frozen=True, kw_only=True, tag=True):
    """What it raised of ours: the name of the class, and its texts; names of files in them may be no UTF-8."""

    kind: str
    fault: bytes
    hint: bytes


class Broken(Record, frozen=True, kw_only=True, tag=True):
    """A fault of ours, with its traceback."""

    fault: bytes
    traceback: bytes


Answer = Step | Returned | Raised | Broken


def framed(content: bytes) -> bytes:
    """Return the content with its length before it."""
    return len(content).to_bytes(HEAD_BYTES, "little") + content


def as_bytes(text: str) -> bytes:
    """Return a text as bytes, whatever names of files it holds."""
    return text.encode(errors="surrogateescape")


def as_text(content: bytes) -> str:
    """Return the text that was turned into bytes."""
    return content.decode(errors="surrogateescape")


def from_path(value: object) -> bytes:
    """Return a path as bytes, for what MessagePack does not know."""
    if isinstance(value, Path):
        return os.fsencode(value)
    raise NotImplementedError(f"a value of type {type(value).__name__} does not go from process to process")


def to_path(kind: type, value: object) -> object:
    """Return what `from_path` was given."""
    if issubclass(kind, Path) and isinstance(value, bytes):
        return Path(os.fsdecode(value))
    raise NotImplementedError(f"a value of type {kind.__name__} does not go from process to process")


def answer_to(content: bytes, say: Callable[..., None]) -> Answer:
    """Return what the call in the frame comes to."""
    try:
        function, arguments, named = pickle.loads(content)
        if "say" in inspect.signature(function).parameters:
            named["say"] = say
        return Returned(value=msgspec.msgpack.encode(function(*arguments, **named), enc_hook=from_path))
    except AdvisorError as error:
        return _raised(error)
    except OSError as error:  # as where the command itself meets it
        return _raised(of_the_system(error))
    except MemoryError:
        return Raised(kind="MemoryError", fault=b"it asked for more memory than there is", hint=b"use a machine with more memory")
    except Exception as error:  # noqa: BLE001  nothing goes on after it: the parent raises it again
        fault = f"{type(error).__name__}: {error}"
        return Broken(fault=as_bytes(fault), traceback=as_bytes(traceback.format_exc()))


def _raised(error: AdvisorError) -> Raised:
    return Raised(kind=type(error).__name__, fault=as_bytes(error.fault), hint=as_bytes(error.hint))


def main() -> None:
    """Answer calls until there are no more, as there are not when the parent has closed its end."""
    requests, replies = child.begin(sys.argv)

    def send(answer: Answer) -> None:
        replies.write(framed(msgspec.msgpack.encode(answer)))
        replies.flush()

    def say(what: str, allowed_s: float = 0.0) -> None:
        send(Step(what=what, allowed_s=allowed_s))

    while len(head := requests.read(HEAD_BYTES)) == HEAD_BYTES:
        send(answer_to(requests.read(int.from_bytes(head, "little")), say))


if __name__ == "__main__":
    main()
