"""What may be read: files, and standard input where it is asked for.

A pipe or a device would hold the command up before a byte of it is seen, and has nothing to read twice.
"""

import errno
import os
import stat
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from advisor.errors import InputError

STANDARD_INPUT = Path("-")
KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
# Whoever reads a file says that there is none; what else the system says of a name, pathlib raises from the question whether there is one.
NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP}


def refuse_special(path: object, key: str | None = None) -> None:
    """Raise InputError for a pipe, a device, a socket, or a name that no file can have; `key` is the option or field that gave the path.

    Links are followed. What is not there, a folder, or a resource of a package is left to whoever reads it.
    """
    if not isinstance(path, Path):
        return
    named = f"{f'{key}: ' if key else ''}{path}"
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise InputError(f"{named}: {error.strerror}", hint="check the path, and who may read it") from error
        return
    except ValueError as error:  # a zero byte, or a character without an encoding
        raise InputError(f"{named}: no file can have such a name", hint="check the path") from error
    kind = next((what for is_one, what in KINDS if is_one(mode)), None)
    if kind is not None:
        raise InputError(f"{named}: {kind}, not a file", hint="write its content into a file and name that")


def standard_input() -> bytes:
    """Return all of standard input, the same bytes whenever it is asked for; raise InputError where nothing comes there."""
    stream = sys.stdin
    if stream is None or stream.closed or stream.isatty():
        raise InputError("-: nothing is piped into standard input", hint="pipe a file into the command, or name the file")
    return _all_of(stream)


def name_beside(path: Path) -> str | None:
    """Return the name by which a file is found beside another; None of standard input, which lies nowhere."""
    return None if path == STANDARD_INPUT else path.name


@lru_cache(maxsize=1)
def _all_of(stream: Any) -> bytes:
    content: bytes = stream.buffer.read()
    return content
