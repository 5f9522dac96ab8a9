"""A folder as the place of a store: on a disk, or on a file system that many machines mount."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from advisor.disk.writing import write_atomically
from advisor.errors import InputError
from advisor.store.bucket import Held

HINT = "name a folder that you may read and write"
T = TypeVar("T")


class Folder:
    """Contents as files below one folder; whatever else lies there is left alone, and no link is followed."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        if self._root.exists() and not self._root.is_dir():
            raise InputError(f"{root}: not a folder, and a store lies in one", hint=HINT)

    def look(self, name: str) -> Held | None:
        """Return size and time of a file."""
        return self._tried(name, partial(self._held, name))

    def read(self, names: Iterable[str], most_bytes: int) -> dict[str, bytes]:
        """Return small files by name."""
        found = {}
        for name in names:
            content = self._tried(name, partial(self._read, name, most_bytes))
            if content is not None:
                found[name] = content
        return found

    def fetch(self, name: str, target: Path) -> bool:
        """Copy a file."""

        def copied() -> bool:
            with self._opened(name) as source, target.open("xb") as copy:
                shutil.copyfileobj(source, copy)
            return True

        return bool(self._tried(name, copied))

    def write(self, name: str, content: bytes | Path) -> None:
        """Write a file beside its place and move it there."""
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._is_inside(path):
                raise InputError(f"{path.parent}: a link that leads out of the store", hint="move it away")
            if path.is_symlink():
                path.unlink()  # it would be followed, and what it leads to replaced
        except OSError as error:
            raise self._refusal(name, error) from error
        write_atomically(path, content)

    def delete(self, name: str) -> None:
        """Remove a file."""
        path = self._root / name
        if self._is_inside(path):
            self._tried(name, path.unlink)

    def find(self, prefix: str) -> Iterator[Held]:
        """Yield the files below a folder of the store."""
        start = self._root / prefix
        if not self._is_inside(start / "any"):
            return
        for folder, _, files in os.walk(start):
            for file in files:
                name = os.path.relpath(os.path.join(folder, file), self._root)
                held = self.look(name)
                if held is not None:
                    yield held

    def _held(self, name: str) -> Held | None:
        path = self._root / name
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or not self._is_inside(path):
            return None
        return Held(name, status.st_size, status.st_mtime)

    def _read(self, name: str, most_bytes: int) -> bytes | None:
        with self._opened(name) as file:
            content = file.read(most_bytes + 1)
        return content if len(content) <= most_bytes else None

    def _opened(self, name: str) -> BinaryIO:
        """Return the file, opened; raise FileNotFoundError for a link, a pipe, or what lies behind a folder that is a link."""
        path = self._root / name
        if path.is_symlink() or not self._is_inside(path):
            raise FileNotFoundError(name)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise FileNotFoundError(name)
        return os.fdopen(handle, "rb")

    def _is_inside(self, path: Path) -> bool:
        return Path(os.path.realpath(path.parent)).is_relative_to(self._root)

    def _tried(self, name: str, do: Callable[[], T]) -> T | None:
        try:
            return do()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._refusal(name, error) from error

    def _refusal(self, name: str, error: OSError) -> InputError:
        return InputError(f"{self._root / name}: the store cannot be used ({error.strerror or error})", hint=HINT)
