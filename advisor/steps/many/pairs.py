"""A folder of workload files, or JSON lines with a workload each -> the pairs to advise on, one at a time."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.schema.overview import FOLDER_NAME_FAULT, FOLDER_NAME_WORDS, OWN_NAMES, PairId
from advisor.schema.record import Name, Record

SUFFIXES = (".yaml", ".yml", ".json")
LINES = (".jsonl", ".ndjson")
LONGEST_ID = 100
EXAMPLE = '{"id": "search", "profile": "search/profile.json", "workload": "search/workload.yaml"}'


class Pair(NamedTuple):
    """A profile (or the config.json of a language model), a workload, and the name under which their advice is kept."""

    id: str
    profile: Path
    workload: Path
    content: Mapping[str, Any] | None = (
        None  # of the workload, where it has no file of its own; then `workload` is what faults name
    )


class PairLine(Record, frozen=True, kw_only=True):
    """A line that names a pair; paths are relative to the file of the lines."""

    workload: Name | dict[str, Any]  # a file, or what would stand in it
    id: PairId | None = None  # None: the number of the line
    profile: Name | None = None  # None: the one that was given for all


class Pairs:
    """Pairs, of which only as many are held as are looked at; how many there are is known, for each was looked at once."""

    def __init__(self, count: int, read: Callable[[], Iterator[Pair]]) -> None:
        """`read` begins with the first pair, as often as it is called."""
        self._count, self._read = count, read

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def __iter__(self) -> Iterator[Pair]:
        """Yield them from the first one."""
        return self._read()


def pairs_in(workloads: Path, profile: Path | None) -> Pairs:
    """Return the pairs of a folder of workload files, or of a file of JSON lines, which is read a line at a time.

    `profile` is that of all pairs that name none. What cannot be read as a line, a name that two of them have and a profile that nobody
    gave are refused before the first pair; what is wrong inside a workload is left to who reads it.
    """
    if workloads.is_dir():
        found = _in_folder(workloads, _given(profile, workloads))
        return Pairs(len(found), found.__iter__)
    if not os.path.lexists(workloads):
        raise InputError(f"{workloads}: no such file or folder", hint="check the path")
    read = partial(_in_lines, workloads, profile)
    return Pairs(sum(1 for _ in _checked(read(), workloads)), read)


def workloads_in(workloads: Path) -> Pairs:
    """Return what `pairs_in` does where no profile is needed."""
    return pairs_in(workloads, workloads)


def _given(profile: Path | None, where: Path | str) -> Path:
    if profile is None:
        raise InputError(
            f"{where}: no profile for its workloads",
            hint="name one with --profile, or on each line",
        )
    return profile


def _in_folder(folder: Path, profile: Path) -> list[Pair]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise InputError(f"{folder}: holds no workload files", hint=f"name a folder with {', '.join(SUFFIXES)} files in it")
    return list(_checked((Pair(_id_of(path.relative_to(folder)), profile, path) for path in paths), folder))


def _id_of(path: Path) -> str:
    """Return a name for a workload file by which no folder is left and nothing is hidden."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(path.with_suffix("").parts)).lstrip(".-")[:LONGEST_ID] or "workload"


def _checked(pairs: Iterator[Pair], where: Path) -> Iterator[Pair]:
    known: dict[str, Path] = {}
    for pair in pairs:
        if pair.id.casefold() in OWN_NAMES:
            raise InputError(
                f"{pair.workload}: its advice would be kept as {pair.id!r}, which is the name of a file beside all of them",
                hint="give it another name",
            )
        if pair.id in known:
            raise InputError(
                f"{pair.workload}: its advice would be kept as {pair.id!r}, and so would that of {known[pair.id]}",
                hint="give one of the two another name",
            )
        known[pair.id] = pair.workload
        yield pair
    if not known:
        raise InputError(f"{where}: holds no workloads", hint=f"write a line for each, for example {EXAMPLE}")


def _in_lines(path: Path, profile: Path | None) -> Iterator[Pair]:
    if path.suffix.lower() not in LINES:
        raise InputError(
            f"{path}: neither a folder nor JSON lines", hint=f"name a folder of workload files, or a {LINES[0]} file"
        )
    refuse_special(path)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _pair(line, number, path, profile)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", hint="check the path") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="name a file that you may read") from error


def _pair(line: bytes, number: int, path: Path, profile: Path | None) -> Pair:
    # What faults name; the files that a workload names lie in the same folder as if it had a file of its own there.
    where = path.with_name(f"{path.name}:{number}")
    try:
        tree = msgspec.json.decode(line, type=dict[str, Any])
        # A line without one is a workload itself.
        asked = msgspec.convert(tree, PairLine) if "workload" in tree else PairLine(workload=tree)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if FOLDER_NAME_FAULT in str(error):
            raise InputError(
                f"{where}: id: {str(tree['id'])[:100]!a}: not a name for a folder", hint=f"write {FOLDER_NAME_WORDS}"
            ) from error
        raise InputError(f"{where}: no pair of profile and workload ({error})", hint=f"write, for example, {EXAMPLE}") from error
    id_ = asked.id or str(number)
    measured = _given(profile, where) if asked.profile is None else path.parent / asked.profile
    if isinstance(asked.workload, str):
        return Pair(id_, measured, path.parent / asked.workload)
    return Pair(id_, measured, where, asked.workload)
