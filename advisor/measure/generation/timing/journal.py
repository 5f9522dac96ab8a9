"""The journal of the profile of a generative model: what was scored and timed is on disk at once, and an equal run goes on from it."""

from pathlib import Path

import msgspec

from advisor.measure.generation.scripts import Part
from advisor.measure.generation.step_timing import Point
from advisor.measure.generation.text_quality import Scored
from advisor.measure.timing.journal import Journal
from advisor.schema.generation import LookupText, Speculation, StepVisit
from advisor.schema.profile import Stalls
from advisor.schema.record import Count, Exclusion, Record, Seconds, Whole


class ScoredText(Record, frozen=True, kw_only=True, tag=True):
    """What a variant said of the text, its files then being of this digest, and the seconds that it took."""

    variant: str
    sha256: str
    scored: Scored
    elapsed_s: Seconds


class Visited(Record, frozen=True, kw_only=True, tag=True):
    """One visit of a point, the variant's files then being of this digest, and the seconds that it took, warm-up included."""

    point: Point
    sha256: str
    visit: StepVisit
    elapsed_s: Seconds
    peak_memory_bytes: Whole
    parts: tuple[Part, ...] = ()  # of a script: what of the visit is a point by itself


class Speculated(Record, frozen=True, kw_only=True, tag=True):
    """What speculation did to one kind of text at one number of requests, the variant's files then being of this digest.

    None where that took longer than there was time for.
    """

    variant: str
    sha256: str
    draft_sha256: str | None = None  # of the decoder that proposes; None: prompt lookup
    text: LookupText
    running_requests: Count
    found: Speculation | None
    elapsed_s: Seconds


class LeftOut(Record, frozen=True, kw_only=True, tag=True):
    """A point that was given up, or with None something else, and why."""

    exclusion: Exclusion
    point: Point | None


class Watched(Record, frozen=True, kw_only=True, tag=True):
    """A watch for stalls; None where the kernel hides what waiting is."""

    stalls: Stalls | None
    elapsed_s: Seconds


Entry = ScoredText | Visited | Speculated | LeftOut | Watched
DECODER: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class GenerationJournal:
    """The journal of one profile, and what its entries come to; those of files that were made anew since do not count."""

    def __init__(self, path: Path, digest: str) -> None:
        """`digest` is of what must be equal for a journal to be gone on with."""
        self._journal = Journal(path, digest, DECODER)
        self._sha256: dict[str, str] = {}

    def knows(self, variant: str, sha256: str) -> None:
        """Take in what a variant's files are now."""
        self._sha256[variant] = sha256

    def add(self, entry: Entry) -> None:
        """Keep the entry, on disk before this returns."""
        self._journal.add(entry)

    def remove(self) -> None:
        """Delete the file: the profile is written."""
        self._journal.remove()

    @property
    def entries(self) -> list[Entry]:
        """Everything so far, in the order in which it came."""
        return self._journal.entries

    @property
    def visits(self) -> dict[Point, list[StepVisit]]:
        """Of each point the visits, in their order."""
        found: dict[Point, list[StepVisit]] = {}
        for entry in self.entries:
            if isinstance(entry, Visited) and self._counts(entry.point.variant, entry.sha256):
                found.setdefault(entry.point, []).append(entry.visit)
        return found

    @property
    def parts(self) -> dict[Point, list[tuple[Part, ...]]]:
        """Of each point that is a script what its visits were made of, in their order."""
        found: dict[Point, list[tuple[Part, ...]]] = {}
        for entry in self.entries:
            if isinstance(entry, Visited) and entry.parts and self._counts(entry.point.variant, entry.sha256):
                found.setdefault(entry.point, []).append(entry.parts)
        return found

    def speculated(self, variant: str, draft_sha256: str | None = None) -> dict[tuple[LookupText, int], Speculation | None]:
        """Return what a draft, or without one prompt lookup, did to a variant, by text and number of requests, as far as it was tried."""
        asked = (variant, draft_sha256)
        found = (
            entry for entry in self.entries if isinstance(entry, Speculated) and (entry.variant, entry.draft_sha256) == asked
        )
        return {(entry.text, entry.running_requests): entry.found for entry in found if self._counts(variant, entry.sha256)}

    def scored(self, variant: str) -> Scored | None:
        """Return what a variant said of the text, None before it was asked."""
        found = (entry for entry in self.entries if isinstance(entry, ScoredText) and entry.variant == variant)
        return next((entry.scored for entry in found if self._counts(variant, entry.sha256)), None)

    def peak_memory_bytes(self, variant: str) -> int | None:
        """Return the most that the variant's process held, None before the first visit."""
        entries = (entry for entry in self.entries if isinstance(entry, Visited) and entry.point.variant == variant)
        return max((entry.peak_memory_bytes for entry in entries), default=None)

    @property
    def watches(self) -> list[Stalls | None]:
        """The watches for stalls, in their order."""
        return [entry.stalls for entry in self.entries if isinstance(entry, Watched)]

    @property
    def exclusions(self) -> list[Exclusion]:
        """What was given up so far, each once."""
        return list(dict.fromkeys(entry.exclusion for entry in self.entries if isinstance(entry, LeftOut)))

    @property
    def points_left_out(self) -> set[Point]:
        """The points that were given up."""
        return {entry.point for entry in self.entries if isinstance(entry, LeftOut) and entry.point is not None}

    @property
    def next_order(self) -> int:
        """The order of the next visit: later than all before."""
        return max((entry.visit.order + 1 for entry in self.entries if isinstance(entry, Visited)), default=0)

    @property
    def scoring_s(self) -> float:
        """Seconds spent on scoring text."""
        return sum(entry.elapsed_s for entry in self.entries if isinstance(entry, ScoredText))

    @property
    def speculating_s(self) -> float:
        """Seconds spent on trying speculation."""
        return sum(entry.elapsed_s for entry in self.entries if isinstance(entry, Speculated))

    @property
    def timing_s(self) -> float:
        """Seconds spent on timing and watching."""
        return sum(entry.elapsed_s for entry in self.entries if isinstance(entry, Visited | Watched))

    def _counts(self, variant: str, sha256: str) -> bool:
        return self._sha256.get(variant, sha256) == sha256
