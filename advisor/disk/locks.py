"""One command at a time writes an output and what lies beside it under its name: the others are told who does."""

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from advisor.disk import claims
from advisor.disk.writing import WRITABLE, is_stream
from advisor.errors import InputError

OWNER = re.compile(rb"serving-advisor (\d+)\n")
LONGEST_OWNER = 64
PAUSE_S = 0.05
MOMENT_S = 30.0  # for another command that only reads and writes


@contextlib.contextmanager
def held(*outputs: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the locks of outputs while the body runs; raise InputError with the process that has held one for `patience_s`.

    The lock is a file of its own, `.NAME.lock`, and ends with its process, however that ends. Folders that are made for it and stay empty
    are removed again.
    """
    with contextlib.ExitStack() as stack:
        # Nothing lies beside a device or a pipe; outputs that differ in what follows the last dot alone share what lies beside them.
        for output in {_place(path): path for path in outputs if not is_stream(path)}.values():
            stack.enter_context(_one(output, patience_s))
        yield


@contextlib.contextmanager
def _one(output: Path, patience_s: float) -> Iterator[None]:
    try:
        made = _make_folders(output.parent)
        handle, path = _locked(output, patience_s)
    except OSError as error:
        raise InputError(f"{output}: cannot write there ({error.strerror})", hint=WRITABLE) from error
    try:
        yield
    finally:
        # Removed while it is held: who waits for it notices and makes another.
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(handle)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _place(output: Path) -> str:
    return str(output.with_name(f".{output.stem}.lock"))


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and return those that were not there, the deepest first."""
    missing = []
    for place in (folder, *folder.parents):
        if place.exists():
            break
        missing.append(place)
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _locked(output: Path, patience_s: float) -> tuple[int, str]:
    """Return the handle and the path of the lock's file, locked and with the number of this process in it."""
    path = _place(output)
    deadline_s = time.monotonic() + patience_s
    while True:
        handle, may_write = _opened(path)
        try:
            owner = _owner(handle, path)
            if _try_lock(handle):
                if claims.is_at(handle, path) and not may_write:
                    os.unlink(path)  # what another user's process left; the next turn makes one of our own
                elif claims.is_at(handle, path):
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, b"serving-advisor %d\n" % os.getpid(), 0)
                    return handle, path
            elif time.monotonic() >= deadline_s:
                raise InputError(
                    f"{output}: {f'process {owner}' if owner else 'another process'} of advisor is writing it and what lies beside it",
                    hint="wait until that has ended, or name another output with -o",
                )
            else:
                time.sleep(PAUSE_S)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _opened(path: str) -> tuple[int, bool]:
    """Return the handle of the lock's file, made if it is not there, and whether it may be written: another user's may not."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644), True
    except PermissionError:
        if not os.path.lexists(path):
            raise
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), False


def _try_lock(handle: int) -> bool:
    """Return whether nobody else holds the lock; true as well on a file system that has none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _owner(handle: int, path: str) -> int | None:
    """Return the process that the file names, None for one that was cut short; raise InputError for a file of somebody else's."""
    content = os.pread(handle, LONGEST_OWNER, 0) if stat.S_ISREG(os.fstat(handle).st_mode) else b"no file"
    named = OWNER.fullmatch(content)
    if named is None and content and not b"serving-advisor ".startswith(content[:16]):
        raise InputError(f"{path}: not a lock of advisor, which has to lie there", hint="move it away, or name another output")
    return int(named[1]) if named else None
