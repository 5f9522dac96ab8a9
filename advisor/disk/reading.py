"""What may be read: files. A pipe or a device would hold the command up before a byte of it is seen, and has nothing to read twice."""

import os
import stat
from pathlib import Path

from advisor.errors import InputError

KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def refuse_special(path: object, key: str | None = None) -> None:
    """Raise InputError for a pipe, a device, a socket, or a name that no file can have; `key` is the option or field that gave the path.

    Links are followed. What is not there, a folder, or a resource of a package is left to whoever reads it.
    """
    if not isinstance(path, Path):
        return
    named = f"{f'{key}: ' if key else ''}{path}"
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    except ValueError as error:  # a zero byte, or a character without an encoding
        raise InputError(f"{named}: no file can have such a name", hint="check the path") from error
    kind = next((what for is_one, what in KINDS if is_one(mode)), None)
    if kind is not None:
        raise InputError(f"{named}: {kind}, not a file", hint="write its content into a file and name that")
