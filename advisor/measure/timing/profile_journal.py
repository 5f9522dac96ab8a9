"""The journal of a profile in progress: every variant made and every visit, and what follows from them."""

from pathlib import Path

import msgspec

from advisor.measure.timing.journal import Journal
from advisor.schema.profile import Stalls, Variant, Visit
from advisor.schema.record import Exclusion, Record


class Point(Record, frozen=True, kw_only=True):
    """What is timed: one variant at one shape under one setting."""

    variant: str
    batch_size: int
    sequence_length: int | None
    intra_op_num_threads: int
    instances: int


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


class Watched(Record, frozen=True, kw_only=True, tag=True):
    """A watch for stalls, and the seconds it took; `stalls` is None where the kernel hides what waiting is."""

    stalls: Stalls | None
    elapsed_s: float


Entry = MadeVariant | LeftOut | Prepared | Visited | Watched
DECODER: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class ProfileJournal:
    """The journal of one profile, and what its entries come to."""

    def __init__(self, path: Path, digest: str) -> None:
        """`digest` is of what must be equal for a journal to be gone on with: model, settings, versions and machine."""
        self._journal = Journal(path, digest, DECODER)
        self.visits: dict[Point, list[Visit]] = {}  # of each point, in the order in which they were made
        self._sha256_of: dict[str, str] = {}  # by variant, of the file that was made last
        self.watches: list[Stalls | None] = []  # for stalls, in their order
        self.measured_s = 0.0  # seconds spent measuring so far
        self.prepared_s = 0.0  # seconds spent before that on making and comparing the variants
        for entry in self.entries:
            self._take_in(entry)

    def add(self, entry: Entry) -> None:
        """Keep the entry, on disk before this returns."""
        self._journal.add(entry)
        self._take_in(entry)

    def _take_in(self, entry: Entry) -> None:
        if isinstance(entry, MadeVariant):
            self._forget_another(entry.variant)
        elif isinstance(entry, Visited):
            self.visits.setdefault(entry.point, []).append(entry.visit)
            self.measured_s += entry.elapsed_s
        elif isinstance(entry, Watched):
            self.watches.append(entry.stalls)
            self.measured_s += entry.elapsed_s
        elif isinstance(entry, Prepared):
            self.prepared_s += entry.elapsed_s

    def _forget_another(self, variant: Variant) -> None:
        """Drop the visits of a file in whose place another was made under the same name."""
        if self._sha256_of.setdefault(variant.id, variant.sha256) != variant.sha256:
            self._sha256_of[variant.id] = variant.sha256
            for point in [point for point in self.visits if point.variant == variant.id]:
                del self.visits[point]

    def remove(self) -> None:
        """Delete the file: the profile is written."""
        self._journal.remove()

    @property
    def entries(self) -> list[Entry]:
        """Everything so far, in the order in which it came."""
        return self._journal.entries

    @property
    def next_order(self) -> int:
        """The order of the visit that is made next: later than all before, those whose lines were damaged too."""
        orders = (entry.visit.order for entry in self.entries if isinstance(entry, Visited))
        return max(len(self.entries), 1 + max(orders, default=-1))

    @property
    def variants(self) -> list[Variant]:
        """The variants made so far."""
        # One whose file was deleted meanwhile was made again: the later entry stands.
        return list({entry.variant.id: entry.variant for entry in self.entries if isinstance(entry, MadeVariant)}.values())

    def peak_memory_bytes(self, variant: str) -> int | None:
        """Return the largest memory that the variant's process had after any visit, None before the first."""
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
