"""Temporary files and folders that outlive no process: each is locked by whoever made it, and what nobody holds any more is removed."""

import contextlib
import fcntl
import os
import re
import shutil
import stat
from pathlib import Path

PRIVATE = 0o700  # the mode of every temporary folder of ours


def claim(handle: int, path: str) -> bool:
    """Lock what this process has just made and return whether it is still there: whoever tidies up may have come in between.

    The lock ends with the process, however that ends.
    """
    # A file system without locks: nobody else can lock it either, and what cannot be locked is never removed.
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    return is_at(handle, path)


def is_at(handle: int, path: str) -> bool:
    """Return whether an open file or folder is the one that the path names."""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    return os.path.samestat(os.fstat(handle), there)


def remove_abandoned(folder: Path, names: re.Pattern[str]) -> None:
    """Remove from a folder the files and folders of these names that this user's processes left behind when they were killed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for path in [entry.path for entry in entries if names.fullmatch(entry.name)]:
            _remove_if_abandoned(path)


def _remove_if_abandoned(path: str) -> None:
    """Remove one, unless it is somebody else's, a link, or held by a process that lives."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid():
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_at(handle, path):
            return
        if stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == PRIVATE:
            shutil.rmtree(path, ignore_errors=True)
        elif stat.S_ISREG(status.st_mode):
            os.unlink(path)
    except OSError:  # held, or on a file system without locks
        return
    finally:
        os.close(handle)
