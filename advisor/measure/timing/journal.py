"""The journal of a profile in the making: every visit is on disk as soon as it is measured, and the same command goes on from it."""

from pathlib import Path
from typing import BinaryIO

import msgspec

from advisor.errors import InputError
from advisor.schema.profile import Variant, Visit
from advisor.schema.record import Exclusion, Record


class Point(Record, frozen=True, kw_only=True):
    """What is timed: one variant at one shape under one setting."""

    variant: str
    batch_size: int
    sequence_length: int | None
    intra_op_num_threads: int
    instances: int


class Key(Record, frozen=True, kw_only=True, tag=True):
    """What must be equal for a journal to be gone on with: model, settings, versions and machine, as one digest."""

    digest: str


class MadeVariant(Record, frozen=True, kw_only=True, tag=True):
    """A variant that was made and compared with the baseline."""

    variant: Variant


class LeftOut(Record, frozen=True, kw_only=True, tag=True):
    """Something that was given up; `point` if it is one point, which is then not tried again."""

    exclusion: Exclusion
    point: Point | None


class Prepared(Record, frozen=True, kw_only=True, tag=True):
    """The seconds that making and comparing the variants took."""

    elapsed_s: float


class Visited(Record, frozen=True, kw_only=True, tag=True):
    """One visit, the seconds it took, warm-up included, and the largest size that its process had had by its end."""

    point: Point
    visit: Visit
    elapsed_s: float
    peak_memory_bytes: int | None = None


Entry = Key | MadeVariant | LeftOut | Prepared | Visited


class Journal:
    """Entries on disk, one JSON line each; a line that a kill cut short is dropped."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.entries: list[MadeVariant | LeftOut | Prepared | Visited] = []
        self.visits: dict[Point, list[Visit]] = {}  # of each point, in the order in which they were made
        self.measured_s = 0.0  # seconds spent measuring so far
        self.prepared_s = 0.0  # seconds spent before that on making and comparing the variants
        try:
            kept, good_bytes = _read(path)
            if is_same := bool(kept) and kept[0] == Key(digest=digest):
                self._file: BinaryIO = path.open("r+b")
                self._file.seek(good_bytes)
                self._file.truncate()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("wb")
        except OSError as error:
            raise InputError(
                f"{path}: cannot write there ({error.strerror})", hint="name a folder that you may write to"
            ) from error
        if is_same:
            for entry in kept[1:]:
                self._take_in(entry)
        else:
            self._write(Key(digest=digest))
        self.is_resumed = bool(self.entries)

    def add(self, entry: MadeVariant | LeftOut | Prepared | Visited) -> None:
        """Keep the entry, on disk before this returns."""
        self._take_in(entry)
        self._write(entry)

    def _take_in(self, entry: Entry) -> None:
        if isinstance(entry, Key):
            return
        self.entries.append(entry)
        if isinstance(entry, Visited):
            self.visits.setdefault(entry.point, []).append(entry.visit)
            self.measured_s += entry.elapsed_s
        elif isinstance(entry, Prepared):
            self.prepared_s += entry.elapsed_s

    def _write(self, entry: Entry) -> None:
        self._file.write(msgspec.json.encode(entry) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file and keep it for the next run."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file: the profile is written."""
        self.close()
        self.path.unlink(missing_ok=True)

    @property
    def variants(self) -> list[Variant]:
        """The variants made so far."""
        # One whose file was deleted meanwhile was made again: the later entry stands.
        return list({entry.variant.id: entry.variant for entry in self.entries if isinstance(entry, MadeVariant)}.values())

    def peak_memory_bytes(self, variant: str) -> int | None:
        """Return the largest size that the process of the variant was seen to have after a visit, None before the first."""
        visits = (entry for entry in self.entries if isinstance(entry, Visited) and entry.point.variant == variant)
        return max((entry.peak_memory_bytes for entry in visits if entry.peak_memory_bytes is not None), default=None)

    @property
    def exclusions(self) -> list[Exclusion]:
        """What was given up so far, each once."""
        return list(dict.fromkeys(entry.exclusion for entry in self.entries if isinstance(entry, LeftOut)))

    @property
    def points_left_out(self) -> set[Point]:
        """The points that were given up."""
        return {entry.point for entry in self.entries if isinstance(entry, LeftOut) and entry.point is not None}


def _read(path: Path) -> tuple[list[Entry], int]:
    """Return the entries and the bytes that hold them, up to the first line that cannot be read."""
    entries: list[Entry] = []
    good_bytes = 0
    if path.is_file():
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break  # what is added would go on in the same line
            try:
                entries.append(msgspec.json.decode(line, type=Entry))
            except (msgspec.DecodeError, UnicodeDecodeError):
                break  # a kill in the middle of a write; all that came before is good
            good_bytes += len(line)
    return entries, good_bytes
