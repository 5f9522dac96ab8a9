"""The shared store: profiles, variants and advice by content, in a folder or in a bucket, for many writers at once.

A content lies under its own digest, `content/ab/abcd...`, and an entry is a small record that names contents,
`index/KIND/MODEL/KEY.json`. Contents are written first, so that an entry never names what is not there yet.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from advisor.disk import temporary
from advisor.errors import InputError
from advisor.inert.text import inert
from advisor.schema.record import SCHEMA_VERSION
from advisor.schema.store import Entry, EntryKind, Key, StoredFile
from advisor.store.bucket import Bucket, Held
from advisor.store.cloud import PROVIDERS, Cloud
from advisor.store.folder import Folder
from advisor.store.keys import canonical, entry_sha256, key_sha256
from advisor.units import moment_s

GRACE_S = 86_400.0  # that a content which nothing names is left alone: whoever writes it names it within that time
MOST_ENTRY_BYTES = 1_000_000  # of a record of the index, which holds a few hundred
TRIES = 3  # of writing contents that a removal takes away at the same moment
INDEX, CONTENT = "index", "content"
INDEXED = re.compile(rf"{INDEX}/(profile|variant|advice)/[0-9a-f]{{64}}/([0-9a-f]{{64}})\.json")
DIGESTED = re.compile(rf"{CONTENT}/([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})")
DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
Source = Path | bytes


class _Versioned(msgspec.Struct):
    schema_version: int


class Removed(NamedTuple):
    """What a removal took away."""

    entries: int
    files: int  # of content that nothing names any more
    bytes: int


class Store:
    """A store that is open; made by `open_store`. `warn` is told of what is damaged, a sentence each."""

    def __init__(self, url: str, bucket: Bucket, warn: Callable[[str], None]) -> None:
        self.url, self._bucket, self._warn = url, bucket, warn

    def find(self, key: Key) -> Entry | None:
        """Return the entry of a key; None where there is none, or a damaged one, of which a warning tells."""
        digest = key_sha256(key)
        name = _index_name(key, digest)
        content = self._bucket.read([name], MOST_ENTRY_BYTES).get(name)
        entry = None if content is None else self._decoded(name, content)
        if entry is None:
            return None
        for file in entry.files:
            held = self._bucket.look(_content_name(file.sha256))
            if held is None or held.bytes != file.bytes:
                self._tell(entry, file, "is not there" if held is None else "is not whole")
                return None
        return entry

    def entries(self, kind: EntryKind | None = None, *, model_sha256: str | None = None) -> tuple[Entry, ...]:
        """Return the entries that can be read, of one kind or model if asked, the youngest first."""
        found = self._entries(kind, model_sha256)
        return tuple(sorted(found, key=lambda entry: (moment_s(entry.created), entry.key_sha256), reverse=True))

    def fetch(self, entry: Entry, into: Path, *, names: tuple[str, ...] | None = None) -> bool:
        """Write the files of an entry, or those of these names, into a folder; return whether all of them were whole.

        Nothing is written there unless all are. A damaged content is taken out of the store, so that it is written anew, and a warning
        tells of it.
        """
        into.mkdir(parents=True, exist_ok=True)
        files = [file for file in entry.files if names is None or file.name in names]
        with temporary.folder(into) as scratch:
            for number, file in enumerate(files):
                if not self._is_fetched(entry, file, scratch / str(number)):
                    return False
            for number, file in enumerate(files):
                target = into / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                (scratch / str(number)).replace(target)
        return True

    def put(self, key: Key, files: Mapping[str, Source], *, created: str, stands_on: str | None = None) -> Entry:
        """Store files, each under its name in the entry, under a key; return the entry, which is there whole or not at all.

        Of writers of equal keys the last one wins. Raises InputError for a name that leads out of a folder.
        """
        for name in files:
            if not is_name(name):
                raise InputError(f"{name!a}: no name of a file in a store", hint="name a file below the folder of the entry")
        sources = {StoredFile(name=name, sha256=_sha256(source), bytes=_size(source)): source for name, source in files.items()}
        entry = _entry(key, tuple(sources), created, stands_on)
        for _ in range(TRIES):
            for file, source in sources.items():
                self._keep(file, source)
            self._bucket.write(_index_name(key, entry.key_sha256), canonical(entry))
            # A removal may have looked at an old content just before it was renewed here.
            if all(self._bucket.look(_content_name(file.sha256)) is not None for file in sources):
                return entry
        raise InputError(f"{self.url}: what is written there disappears", hint="wait until `advisor store rm` has ended there")

    def remove(self, *, older_than_s: float, now_s: float, kind: EntryKind | None = None) -> Removed:
        """Remove entries that were made longer ago, and then contents that no entry names.

        A content is left alone for GRACE_S after it was written, and each time that an entry is made of it: whoever writes an entry
        has that long between the first content and the record that names it. What records of other versions name stays.
        """
        contents = [held for held in self._bucket.find(CONTENT) if DIGESTED.fullmatch(held.name)]
        records = {held.name: held for held in self._bucket.find(INDEX) if INDEXED.fullmatch(held.name)}
        removed, named = 0, set()
        for name, content in self._bucket.read(records, MOST_ENTRY_BYTES).items():
            is_asked = kind is None or name.startswith(f"{INDEX}/{kind}/")
            if is_asked and self._is_old(records[name], content, older_than_s, now_s) and self._is_still(name, content):
                self._bucket.delete(name)
                removed += 1
            else:
                named |= {_content_name(digest) for digest in DIGEST.findall(content.decode(errors="replace"))}
        gone = [held for held in contents if held.name not in named and self._is_forsaken(held)]
        for held in gone:
            self._bucket.delete(held.name)
        return Removed(removed, len(gone), sum(held.bytes for held in gone))

    def _is_old(self, record: Held, content: bytes, older_than_s: float, now_s: float) -> bool:
        """Return whether an entry was made longer ago; one that is damaged counts from when it came there."""
        if _version_of(content) not in (SCHEMA_VERSION, None):
            return False
        entry = self._decoded(record.name, content)
        if entry is None:
            return _age_s(record) > max(older_than_s, GRACE_S)
        return moment_s(entry.created) < now_s - older_than_s

    def _is_still(self, name: str, content: bytes) -> bool:
        """Return whether nobody has written the record anew meanwhile."""
        return self._bucket.read([name], MOST_ENTRY_BYTES).get(name) == content

    def _entries(self, kind: EntryKind | None, model_sha256: str | None) -> Iterator[Entry]:
        prefix = "/".join(filter(None, (INDEX, kind, model_sha256 if kind else None)))
        names = [held.name for held in self._bucket.find(prefix) if INDEXED.fullmatch(held.name)]
        for name, content in self._bucket.read(names, MOST_ENTRY_BYTES).items():
            entry = self._decoded(name, content)
            if entry is not None and model_sha256 in (None, entry.key.model_sha256):
                yield entry

    def _decoded(self, name: str, content: bytes) -> Entry | None:
        """Return the entry in a record of the index; None, and a warning, unless it is whole and what its name says."""
        why = ""
        if _version_of(content) not in (SCHEMA_VERSION, None):
            return None  # another version's, and whole to that
        try:
            entry = msgspec.json.decode(content, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            why = "cut short or damaged"
        else:
            if entry.sha256 != entry_sha256(entry) or entry.key_sha256 != key_sha256(entry.key) or not _is_moment(entry.created):
                why = "damaged"
            elif name != _index_name(entry.key, entry.key_sha256):
                why = "not what its name says"
            elif not all(is_name(file.name) for file in entry.files) or len({file.name for file in entry.files}) < len(
                entry.files
            ):
                why = "naming files that no folder can hold"
        if not why:
            return entry
        self._warn(f"{self.url}: {inert(name)} is {why}, and is taken as absent")
        return None

    def _is_fetched(self, entry: Entry, file: StoredFile, target: Path) -> bool:
        name = _content_name(file.sha256)
        if not self._bucket.fetch(name, target):
            self._tell(entry, file, "is not there")
            return False
        if _sha256(target) == file.sha256:
            return True
        self._tell(entry, file, "is damaged")
        self._bucket.delete(name)
        return False

    def _tell(self, entry: Entry, file: StoredFile, what: str) -> None:
        self._warn(f"{self.url}: {file.name} of {entry.key.kind} {entry.key_sha256[:12]} {what}: the entry is taken as absent")

    def _keep(self, file: StoredFile, source: Source) -> None:
        """Write a content, unless it is there already and so young that no removal may take it."""
        name = _content_name(file.sha256)
        held = self._bucket.look(name)
        if held is None or held.bytes != file.bytes or _age_s(held) > GRACE_S / 2:
            self._bucket.write(name, source)

    def _is_forsaken(self, held: Held) -> bool:
        """Return whether a content that nothing names is old, now as well as when it was listed."""
        if _age_s(held) <= GRACE_S:
            return False
        again = self._bucket.look(held.name)
        return again is not None and _age_s(again) > GRACE_S


def open_store(url: str, *, warn: Callable[[str], None] = lambda _: None) -> Store:
    """Return the store in a folder (a path, or `file://`) or a bucket (`s3://`, `gs://`, `az://`).

    Raises InputError for any other address, MissingDependencyError where the package that reaches it is not installed.
    """
    named = SCHEME.fullmatch(url)
    if named is None or named[1] == "file":
        path = url if named is None else named[2]
        if not path or "\0" in path or (named is not None and not path.startswith("/")):
            raise InputError(f"{url!a}: names no folder", hint="give a path, file:///path, s3://, gs:// or az://bucket/prefix")
        return Store(url, Folder(Path(path)), warn)
    root = named[2].strip("/")
    if named[1] not in PROVIDERS or not root or not all(map(is_name, root.split("/"))):
        raise InputError(f"{url!a}: no store can be there", hint="give a path, file:///path, s3://, gs:// or az://bucket/prefix")
    return Store(url, Cloud(named[1], root), warn)


def is_name(name: str) -> bool:
    """Return whether a name leads to a file below a folder, on any file system, and shows as what it is."""
    parts = name.split("/")
    return (
        len(name) <= 1024
        and all(part not in ("", ".", "..") and len(part.encode(errors="replace")) <= 255 for part in parts)
        and "\\" not in name
        and inert(name) == name
    )


def _entry(key: Key, files: tuple[StoredFile, ...], created: str, stands_on: str | None) -> Entry:
    entry = Entry(
        schema_version=SCHEMA_VERSION,
        key=key,
        key_sha256=key_sha256(key),
        created=created,
        stands_on=stands_on,
        files=files,
        sha256="0" * 64,
    )
    return msgspec.structs.replace(entry, sha256=entry_sha256(entry))


def _version_of(content: bytes) -> int | None:
    """Return the version of a record, None where it cannot be read."""
    try:
        return msgspec.json.decode(content, type=_Versioned).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _index_name(key: Key, digest: str) -> str:
    return f"{INDEX}/{key.kind}/{key.model_sha256}/{digest}.json"


def _content_name(sha256: str) -> str:
    return f"{CONTENT}/{sha256[:2]}/{sha256}"


def _is_moment(text: str) -> bool:
    try:
        moment_s(text)
    except (ValueError, OverflowError):
        return False
    return True


def _age_s(held: Held) -> float:
    """Return how long ago a content was written, by the clock of this machine; of one without a time, that it was just now."""
    return 0.0 if held.modified_s is None else time.time() - held.modified_s


def _sha256(source: Source) -> str:
    import hashlib

    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(source: Source) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size
