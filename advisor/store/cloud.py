"""A bucket of an object store as the place of a store, reached by fsspec with the credentials that its own tools use."""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from advisor.errors import InputError, MissingDependencyError
from advisor.store.bucket import Held

T = TypeVar("T")


class Provider(NamedTuple):
    """What reaches an object store: the package, and what it raises beside OSError."""

    package: str
    extra: str
    faults: tuple[tuple[str, str], ...]  # module and class


PROVIDERS = {
    "s3": Provider(
        "s3fs",
        "store-s3",
        (("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError"), ("aiohttp", "ClientError")),
    ),
    "gs": Provider("gcsfs", "store-gs", (("google.auth.exceptions", "GoogleAuthError"), ("aiohttp", "ClientError"))),
    "az": Provider("adlfs", "store-az", (("azure.core.exceptions", "AzureError"), ("builtins", "ValueError"))),
}
# Under which names the packages list when a content was written.
MODIFIED = ("LastModified", "last_modified", "updated", "mtime", "modified")


class Cloud:
    """Contents as objects under one prefix; a PUT of an object is there whole or not at all."""

    def __init__(self, scheme: str, root: str) -> None:
        self._url, self._root = f"{scheme}://{root}", root
        provider = PROVIDERS[scheme]
        try:
            import fsspec

            importlib.import_module(provider.package)
        except ImportError as error:
            raise MissingDependencyError(
                f"{self._url}: {provider.package}, which reaches it, is not installed",
                hint=f"pip install 'serving-advisor[{provider.extra}]'",
            ) from error
        self._faults = (OSError, *(getattr(importlib.import_module(module), name) for module, name in provider.faults))
        # What others write meanwhile has to be seen: nothing is listed from memory.
        fs: Any = self._tried(partial(fsspec.filesystem, scheme, use_listings_cache=False))
        self._fs = fs
        # A bucket that is missing is known before time is spent on what goes into it.
        self._tried(partial(fs.info, root.partition("/")[0]), is_there=True)

    def look(self, name: str) -> Held | None:
        """Return size and time of an object."""
        self._fs.invalidate_cache()
        info = self._tried(partial(self._fs.info, self._path(name)))
        return None if info is None or info.get("type") != "file" else _held(name, info)

    def read(self, names: Iterable[str], most_bytes: int) -> dict[str, bytes]:
        """Return small objects by name, read side by side."""
        paths = {self._path(name): name for name in names}
        if not paths:
            return {}
        # One byte more than there may be: an object that is as large as a disk is not read to its end.
        asked = list(paths)
        found = self._tried(
            partial(self._fs.cat_ranges, asked, [0] * len(asked), [most_bytes + 1] * len(asked), on_error="return")
        )
        contents = {}
        for path, content in zip(asked, found or (), strict=False):
            if isinstance(content, bytes):
                if len(content) <= most_bytes:
                    contents[paths[path]] = content
            elif not isinstance(content, FileNotFoundError):
                self._tried(partial(_raise, content))
        return contents

    def fetch(self, name: str, target: Path) -> bool:
        """Download an object."""
        if self.look(name) is None:
            return False
        self._tried(partial(self._fs.get_file, self._path(name), str(target)))
        return target.is_file()

    def write(self, name: str, content: bytes | Path) -> None:
        """Upload an object."""
        path = self._path(name)
        put = partial(self._fs.pipe_file, path, content)
        if isinstance(content, Path):
            put = partial(self._fs.put_file, str(content), path)
        self._tried(put, is_there=True)

    def delete(self, name: str) -> None:
        """Remove an object."""
        self._tried(partial(self._fs.rm_file, self._path(name)))

    def find(self, prefix: str) -> Iterator[Held]:
        """Yield the objects whose names begin with the prefix."""
        self._fs.invalidate_cache()
        found = self._tried(partial(self._fs.find, self._path(prefix), detail=True)) or {}
        start = f"{self._root}/"
        for path, info in found.items():
            if path.startswith(start):
                yield _held(path.removeprefix(start), info)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _tried(self, do: Callable[[], T], *, is_there: bool = False) -> T | None:
        """Return what a call returns, None where the object is not there; `is_there`: a bucket that is missing is a fault."""
        try:
            return do()
        except self._faults as error:
            if isinstance(error, FileNotFoundError) and not is_there:
                return None
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{self._url}: the store cannot be used ({said})",
                hint="check the name of the bucket, the credentials, and that it can be reached from here",
            ) from error


def _raise(error: BaseException) -> None:
    raise error


def _held(name: str, info: Mapping[str, Any]) -> Held:
    return Held(name, int(info.get("size") or 0), modified_s(info))


def modified_s(info: Mapping[str, Any]) -> float | None:
    """Return when an object was written, of what any of the packages lists of it; None where it says nothing."""
    said = next((info[name] for name in MODIFIED if info.get(name) is not None), None)
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said)
        except ValueError:
            return None
    if isinstance(said, datetime):
        return said.timestamp()
    return float(said) if isinstance(said, int | float) else None
