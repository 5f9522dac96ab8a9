"""Advice on the machines of a cluster: they read the command's files through it, and it writes what they send back."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from advisor import __version__
from advisor.disk import temporary
from advisor.disk.kinds import ADVICE, of_format
from advisor.disk.reading import refuse_special
from advisor.disk.writing import check_output, write_atomically
from advisor.errors import AdvisorError, InputError
from advisor.files.catalog import user_folder
from advisor.files.records import read_tree
from advisor.files.rulebook import rules_with
from advisor.measure.architecture.config import read_with
from advisor.quality_floor import OWN
from advisor.schema.overview import AdviceRow
from advisor.steps.many.cluster import beside_the_command, joined, over_nodes, ray_there
from advisor.steps.many.pairs import Pair
from advisor.steps.many.workers import Work
from advisor.steps.sweep.asked import REFERENCES, value_at, with_value
from advisor.steps.sweep.many import Settings, advise_chunk, failed
from advisor.steps.sweep.shipping import mirrored, unpack

CHUNK = 16  # pairs that a machine takes at a time: several seconds of work, for which it reads a profile once
MOST_BYTES = 1_000_000_000  # of what is sent for one path
CALIBRATION = ("quality", "calibration")  # measuring reads it, advising does not
DATA = ("quality", "data")  # may be a folder
BOOKS = "XDG_DATA_HOME"  # says where the user's price books lie
Files = tuple[tuple[str, bytes], ...]  # by their absolute paths beside the command


class Advised(NamedTuple):
    """What a machine sends back for a pair: its row, and the files by their names in the folder of the advice."""

    pair: Pair
    row: AdviceRow
    files: Files = ()


class Command(NamedTuple):
    """What a machine has to know of the command to advise as it would."""

    settings: Settings
    version: str
    folder: str  # where relative paths start
    books: str  # the folder of the user's price books
    files: Files  # that all pairs need: books and rules
    shelf: Any


class Shelf:
    """The files that pairs name, read on the machine of the command, in a process of its own."""

    def __init__(self, folder: str) -> None:
        """`folder` is where relative paths start."""
        os.chdir(folder)

    def read(self, paths: Sequence[str], *, with_folders: bool) -> list[Files | AdvisorError]:
        """Return the content of each path, nothing of what is not there, and of a folder all below it or nothing either."""
        return [_content(Path(path), with_folders=with_folders) for path in paths]


def advised_on_cluster(pairs: Iterable[Pair], settings: Settings, address: str) -> Iterator[AdviceRow]:
    """Yield the row of each pair in the order of the pairs, as they become known; processors of a cluster do the work.

    No more than a few chunks for each processor are held at once, and files are written here, as if nothing had been sent.
    """
    rules_with(settings.rules_folder, now=settings.asked.now)  # refused once, before a cluster is joined
    with joined(address, {}, "advisor advise-many pairs.jsonl -o advice") as ray:
        here = Path.cwd()
        shelf = beside_the_command(ray, Shelf).remote(str(here))
        shared = (user_folder(), *((settings.rules_folder,) if settings.rules_folder else ()))
        files = tuple(file for path in shared for file in _all_of(_content(path, with_folders=True)))
        command = Command(settings, __version__, str(here), str(user_folder().absolute()), files, shelf)
        work = Work(partial(advised_there, command=command), _lost)
        for found in over_nodes(ray, work, pairs, chunk=CHUNK):
            yield _kept(found, settings)


def advised_there(chunk: Sequence[Pair], command: Command) -> list[Advised]:
    """Return what comes of some pairs, on a machine of a cluster; raise InputError where that has another version of advisor."""
    if command.version != __version__:
        raise InputError(
            f"--ray: {os.uname().nodename} has advisor {__version__}, and the command is {command.version}",
            hint=f"install the same version there: pip install 'serving-advisor[cluster]=={command.version}'",
        )
    with temporary.folder() as made:
        root = made.resolve()
        unpack(command.files, root)
        os.environ[BOOKS] = str(mirrored(Path(command.books), root).parent)  # a process of Ray's works for one command
        here = mirrored(Path(command.folder), root)
        here.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(here):
            mirror = _Mirror(root, command.shelf)
            return [_advised(pair, command.settings, mirror) for pair in chunk]


class _Mirror:
    """The command's files under a root: relative paths are as they are there, absolute ones lie below the root."""

    def __init__(self, root: Path, shelf: Any) -> None:
        self.root, self._shelf = root, shelf
        self._asked: set[Path] = set()

    def place(self, path: Path) -> Path:
        return mirrored(path, self.root) if path.is_absolute() else path

    def bring(self, paths: Iterable[Path], *, with_folders: bool = False) -> None:
        """Have these files here, as far as the command has them; raise what it says of one that cannot be read."""
        new = [path for path in dict.fromkeys(paths) if path not in self._asked]
        if not new:
            return
        asked = self._shelf.read.remote([str(path) for path in new], with_folders=with_folders)
        for path, found in zip(new, ray_there().get(asked), strict=True):
            unpack(_all_of(found), self.root)
            self.place(path).parent.mkdir(parents=True, exist_ok=True)  # `a/../b` is found where `a` is
            self._asked.add(path)

    def as_there(self, content: bytes) -> bytes:
        """Return what was written here with the paths that the user knows."""
        return content.replace(str(self.root).encode(), b"")


def _advised(pair: Pair, settings: Settings, mirror: _Mirror) -> Advised:
    try:
        mirror.bring([*read_with(pair.profile), *((pair.workload,) if pair.content is None else ())])
        tree = read_tree(mirror.place(pair.workload)) if pair.content is None else pair.content
        content = _with_references(tree, pair.workload.parent, mirror)
    except AdvisorError as error:
        return Advised(pair, _with_paths(failed(pair, error), pair, mirror))
    here = Pair(pair.id, mirror.place(pair.profile), mirror.place(pair.workload), content)
    with temporary.folder() as out:
        (row,) = advise_chunk((here,), settings._replace(out=out, rules_folder=_rules(settings, mirror)))
        made = sorted(path for path in out.rglob("*") if path.is_file())
        files = tuple((str(path.relative_to(out)), mirror.as_there(path.read_bytes())) for path in made)
    return Advised(pair, _with_paths(row, pair, mirror), files)


def _rules(settings: Settings, mirror: _Mirror) -> Path | None:
    return None if settings.rules_folder is None else mirror.place(settings.rules_folder)


def _with_references(tree: Mapping[str, Any], folder: Path, mirror: _Mirror) -> dict[str, Any]:
    """Bring the files that a workload names, and return the workload as it finds them here."""
    content = dict(tree)
    for keys in REFERENCES:
        name = value_at(tree, keys)
        if keys == CALIBRATION or not isinstance(name, str) or not name:
            continue
        if OWN.fullmatch(name):  # of a function its source is read
            mirror.bring([folder.joinpath(*name.partition(":")[0].split(".")).with_suffix(".py")])
            continue
        path = folder / name
        mirror.bring(read_with(path), with_folders=keys == DATA)
        if path.is_absolute():
            content = with_value(content, keys, str(mirror.place(path)))
    return content


def _with_paths(row: AdviceRow, pair: Pair, mirror: _Mirror) -> AdviceRow:
    shown = msgspec.json.decode(mirror.as_there(msgspec.json.encode(row)), type=AdviceRow)
    return msgspec.structs.replace(shown, profile_path=str(pair.profile), workload_path=str(pair.workload))


def _kept(advised: Advised, settings: Settings) -> AdviceRow:
    """Write the files of a pair and return its row; where they cannot be written that is the row."""
    pair, row, files = advised
    try:
        for name, content in files:
            kind = ADVICE if name.endswith(".json") else of_format(Path(name).suffix.removeprefix("."))
            check_output(settings.out / name, kind, inputs=(pair.profile, pair.workload))
            write_atomically(settings.out / name, content)
    except AdvisorError as error:
        return failed(pair, error)
    return row


def _lost(pair: Pair, error: AdvisorError) -> Advised:
    return Advised(pair, failed(pair, error))


def _all_of(found: Files | AdvisorError) -> Files:
    if isinstance(found, AdvisorError):
        raise found
    return found


def _content(path: Path, *, with_folders: bool) -> Files | AdvisorError:
    """Return the files at a path, or below it, or why they cannot be read."""
    try:
        refuse_special(path)
        below = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
        found = [path] if path.is_file() else sorted(file for file in below if with_folders and file.is_file())
        if sum(file.stat().st_size for file in found) > MOST_BYTES:
            return InputError(
                f"{path}: more than {MOST_BYTES:,} bytes, which are not sent to the machines of a cluster",
                hint="advise on this one without --ray",
            )
        return tuple((os.path.abspath(file), file.read_bytes()) for file in found)
    except OSError as error:
        return InputError(f"{path}: {error.strerror}", hint="name a file that you may read")
    except AdvisorError as error:
        return error
