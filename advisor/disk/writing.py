"""The one way in which commands write files: whole or not at all, and over nothing but an older output of the same kind."""

import contextlib
import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from advisor.disk import claims
from advisor.disk.kinds import Kind
from advisor.errors import InputError, NobodyReads

WRITABLE = "name a file in a folder that you may write to"
ANOTHER = "name another file with -o"
# What lies beside outputs under their names: written to be gone on with, never to be read.
RESERVED = (".journal", ".load-tests", ".lock", ".variants")
BEGIN, END = ".advisor-", ".partial"
PARTIAL = re.compile(rf"{re.escape(BEGIN)}[a-z0-9_]{{8}}{re.escape(END)}")  # as tempfile completes them
TRIES = 10
MOST_LINKS = 40  # that the kernel follows
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_output(path: Path, kind: Kind, *, inputs: Iterable[Path] = ()) -> None:
    """Raise InputError unless the output can be written there and takes the place of nothing but an older one of its kind.

    `inputs` are the files of the same command; one of them is none, by whatever name or link.
    """
    if path.suffix in RESERVED:
        raise InputError(
            f"{path}: names that end in {path.suffix} are kept for what advisor keeps beside an output", hint=ANOTHER
        )
    for given in inputs:
        if _are_same(path, given):
            raise InputError(f"{path}: is an input of this command", hint=ANOTHER)
    check_writable(path)
    if _descriptor(path) is not None or not path.is_file() or path.stat().st_size == 0:
        return
    try:
        is_older = kind.is_at(path)
    except OSError as error:
        raise _refusal(path, error) from error
    if not is_older:
        raise InputError(
            f"{path}: holds something else than an older {kind.what} of advisor, and is not overwritten",
            hint="name another file with -o, or move this one away",
        )


def check_new(path: Path) -> None:
    """Raise InputError unless there is nothing at the path yet and a file can be written there."""
    if os.path.lexists(path):
        raise InputError(f"{path}: is there already", hint="name another file with -o; nothing is ever overwritten")
    check_writable(path)


def check_writable(path: Path) -> None:
    """Raise InputError where a file could not be written, before time is spent on what goes into it."""
    try:
        fault = _why_not(path)
    except OSError as error:
        raise _refusal(path, error) from error
    if fault is not None:
        raise InputError(f"{path}: cannot write there{f' ({fault})' if fault else ''}", hint=WRITABLE)


def is_stream(path: Path) -> bool:
    """Return whether what is written there goes into a device, a pipe or an open descriptor: nothing can lie beside it."""
    return _descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def write_output(path: Path, content: bytes, kind: Kind, *, inputs: Iterable[Path] = ()) -> None:
    """Write the file; raise InputError for what `check_output` refuses."""
    check_output(path, kind, inputs=inputs)
    write_atomically(path, content + kind.ends.encode())


def copy_output(path: Path, source: Path, kind: Kind) -> None:
    """Write a copy of the source; raise InputError for what `check_output` refuses."""
    check_output(path, kind, inputs=(source,))
    write_atomically(path, source)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet; raise InputError where it is."""
    check_new(path)
    made = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        _pour(made, content)
    except BaseException as error:
        if made is not None:
            os.unlink(path)
        if isinstance(error, OSError):
            raise _refusal(path, error) from error
        raise


def write_atomically(path: Path, content: bytes | Path) -> None:
    """Write bytes, or a copy of a file, beside the place and move it there: the old one is whole until the new one is.

    A link stays and what it leads to is replaced; mode and, where that may be, owner stay as well. Into a device, a pipe or an open
    descriptor the content is written. Raises NobodyReads where that has no reader any more.
    """
    try:
        descriptor = _descriptor(path)
        if descriptor is not None:
            if sys.stdout is not None:
                sys.stdout.flush()  # what was printed before comes before
            _pour(os.dup(descriptor), content)
        elif is_stream(path):
            _pour(os.open(path, os.O_WRONLY | os.O_NOCTTY), content)
        else:
            _refuse_dangling(path)
            target = Path(os.path.realpath(path))
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, content)
    except BrokenPipeError:
        raise NobodyReads from None
    except OSError as error:
        raise _refusal(path, error) from error


def _why_not(path: Path) -> str | None:
    """Return why a file cannot be written, empty where there is nothing more to be said; None if it can."""
    if (descriptor := _descriptor(path)) is not None:
        os.fstat(descriptor)
        return None
    _refuse_dangling(path)
    if path.exists():
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return "it is a folder"
        if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            return "it is a disk" if stat.S_ISBLK(mode) else "it is a socket"
        if not os.access(path, os.W_OK):
            return "it is write-protected"
        if not stat.S_ISREG(mode):
            return None
    target = Path(os.path.realpath(path))
    folder = next(parent for parent in target.parents if os.path.exists(parent))
    return None if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) else ""


def _refuse_dangling(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path}: cannot write there (a link to {os.readlink(path)}, which is not there)", hint=ANOTHER)


def _are_same(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):  # one of them is not there
        return False


def _descriptor(path: Path) -> int | None:
    """Return the open descriptor of this process that a path means, as /dev/stdout and /dev/fd/3 do; None for all others."""
    ours, current = os.path.realpath("/proc/self/fd"), os.fspath(path)
    for _ in range(MOST_LINKS):
        folder, name = os.path.split(current)
        if name.isdecimal() and os.path.realpath(folder) == ours:
            return int(name)
        if not os.path.islink(current):
            return None
        current = os.path.join(folder, os.readlink(current))
    return None


def _pour(handle: int, content: bytes | Path) -> None:
    with os.fdopen(handle, "wb", buffering=0) as file:
        left = memoryview(content.read_bytes() if isinstance(content, Path) else content)
        while left:
            left = left[file.write(left) or 0 :]


def _replace(target: Path, content: bytes | Path) -> None:
    """Write the content under a temporary name beside the target and move it into place."""
    claims.remove_abandoned(target.parent, PARTIAL)
    handle, name = _claimed(target.parent)
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, file)
            else:
                file.write(content)
        if target.exists():
            before = target.stat()
            # Only the superuser may give files away; the owner first, since a change of it takes bits off the mode.
            with contextlib.suppress(OSError):
                os.fchown(handle, before.st_uid, before.st_gid)
            os.fchmod(handle, stat.S_IMODE(before.st_mode))
        else:
            # mkstemp makes files private; results are as readable as anything else the user writes.
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(handle, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    finally:
        os.close(handle)


def _claimed(folder: Path) -> tuple[int, str]:
    for _ in range(TRIES):
        handle, name = tempfile.mkstemp(prefix=BEGIN, suffix=END, dir=folder)
        if claims.claim(handle, name):
            return handle, name
        os.close(handle)
    raise OSError(errno.EBUSY, "temporary files made there disappear")


def _refusal(path: Path, error: OSError) -> InputError:
    hint = "free some space, or name a file on another disk" if error.errno in NO_ROOM else WRITABLE
    return InputError(f"{path}: cannot write there ({error.strerror or error})", hint=hint)
