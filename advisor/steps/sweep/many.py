"""(profile, workload) pairs by the thousand -> a row of advice for each: streamed in and out, on all cores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from advisor.errors import AdvisorError
from advisor.schema.overview import AdviceRow


class Pair(NamedTuple):
    """A profile (or the config.json of a language model), a workload, and the name under which their advice is kept."""

    id: str
    profile: Path
    workload: Path


class Settings(NamedTuple):
    """How all of the pairs are advised on; it can be pickled."""

    now: str
    confidence: float
    max_uncertainty: float
    rules_folder: Path | None
    out: Path  # the folder of the advice: ID/advice.json, and ID/report.html where reports are wanted
    formats: tuple[str, ...]  # of the report of each pair: ("html",), or none


def advise_many(pairs: Iterable[Pair], settings: Settings, *, processes: int | None = None) -> Iterator[AdviceRow]:
    """Yield the row of each pair in the order of the pairs, as they become known; `processes` is all cores unless given.

    No more than a few chunks of pairs are held at once, in and out. A pair that cannot be advised on is a row with its two lines.
    """
    raise NotImplementedError


def advise_chunk(chunk: Sequence[Pair], settings: Settings) -> tuple[AdviceRow, ...]:
    """Return the rows of some pairs, in one process: what a worker does, of this machine or of a cluster."""
    raise NotImplementedError


def failed(pair: Pair, error: AdvisorError, *, seconds: float = 0.0) -> AdviceRow:
    """Return the row of a pair that has no advice, for one that could not be measured as well."""
    raise NotImplementedError


def write_rows(rows: Iterable[AdviceRow], path: Path, *, each: Callable[[AdviceRow], None] | None = None) -> int:
    """Write rows as JSON lines as they come and return how many; the file is whole once it is there."""
    raise NotImplementedError


def read_rows(path: Path) -> Iterator[AdviceRow]:
    """Yield the rows of a file, one line at a time; raise InputError for a line that is none."""
    raise NotImplementedError
