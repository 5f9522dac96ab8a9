"""Temporary folders: gone when the command ends, and with the next command where it was killed."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from advisor.disk import claims
from advisor.errors import InputError

IN_TEMP, HIDDEN = "advisor-scratch-", ".advisor-scratch-"
NAMES = re.compile(rf"\.?{IN_TEMP}[a-z0-9_]{{8}}")  # as tempfile completes them
TRIES = 10
WAY_OUT = "free some space, or name a folder that you may write to in TMPDIR"


@contextlib.contextmanager
def folder(beside: Path | None = None) -> Iterator[Path]:
    """Yield a new private folder, in that of temporary files or, hidden, in `beside`, and remove it afterwards.

    Those that killed processes left at the same place are removed first.
    """
    place = beside or _temporary()
    claims.remove_abandoned(place, NAMES)
    path, handle = _made(place, HIDDEN if beside else IN_TEMP)
    try:
        yield path
    finally:
        _remove(path)
        os.close(handle)


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """Yield a folder as `folder` does, and have all temporary files lie in it meanwhile, those of other packages and of children too."""
    with folder() as path:
        before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
        tempfile.tempdir = os.environ["TMPDIR"] = str(path)
        try:
            yield path
        finally:
            tempfile.tempdir = before
            os.environ.pop("TMPDIR", None)
            if variable is not None:
                os.environ["TMPDIR"] = variable


def remove_abandoned(beside: Path) -> None:
    """Remove the hidden folders that killed processes left in a folder."""
    claims.remove_abandoned(beside, NAMES)


@contextlib.contextmanager
def file(content: bytes, beside: Path) -> Iterator[Path]:
    """Yield a hidden file with this content in a folder, and remove it afterwards; those that killed processes left there go first."""
    claims.remove_abandoned(beside, NAMES)
    try:
        handle, name = tempfile.mkstemp(prefix=HIDDEN, dir=beside)
    except OSError as error:
        raise _cannot_make(str(beside), error) from error
    try:
        claims.claim(handle, name)
        with os.fdopen(handle, "wb", closefd=False) as opened:
            opened.write(content)
        yield Path(name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        os.close(handle)


def nameless_file() -> IO[bytes]:
    """Return a file without a name, which no process can leave behind."""
    place = _temporary()
    try:
        return tempfile.TemporaryFile(dir=place)
    except OSError as error:
        raise _cannot_make(str(place), error) from error


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path, ignore_errors=True)
    except KeyboardInterrupt:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _temporary() -> Path:
    """Return the folder of temporary files, as tempfile finds it but for the file that it writes to see whether it can.

    A process that is killed just then leaves that file behind, under a name that nobody knows for ours.
    """
    if tempfile.tempdir is not None:
        return Path(tempfile.tempdir)
    named = [found for name in ("TMPDIR", "TEMP", "TMP") if (found := os.environ.get(name))]
    for place in (*named, "/tmp", "/var/tmp", "/usr/tmp", os.curdir):
        if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return Path(os.path.abspath(place))
    raise InputError("no folder for temporary files can be written", hint=WAY_OUT)


def _made(place: Path, prefix: str) -> tuple[Path, int]:
    """Return a new folder and the handle that holds it."""
    for _ in range(TRIES):
        try:
            path = tempfile.mkdtemp(prefix=prefix, dir=place)
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError as error:  # the place itself is gone, or who tidied up came first
            if place.is_dir():
                continue
            raise _cannot_make(str(place), error) from error
        except OSError as error:
            raise _cannot_make(str(place), error) from error
        if claims.claim(handle, path):
            return Path(path), handle
        os.close(handle)
    raise InputError(f"{place}: temporary folders made there disappear", hint="name another folder in TMPDIR")


def _cannot_make(where: str, error: OSError) -> InputError:
    return InputError(
        f"{where}: temporary files cannot be made there ({error.strerror})",
        hint=WAY_OUT,
    )
