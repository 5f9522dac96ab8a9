"""(profile, workload) pairs by the thousand -> a row of advice for each: streamed in and out, on all cores."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from advisor.decide.comparison.rows import row_of, row_of_failure
from advisor.disk.kinds import of_format
from advisor.disk.writing import write_output
from advisor.errors import AdvisorError
from advisor.files.records import write_record
from advisor.files.rulebook import rules_with
from advisor.files.workload import read_workload
from advisor.schema.overview import AdviceRow
from advisor.steps.advise import Asked, Given, advice_for
from advisor.steps.many.lines import read_lines as read_rows
from advisor.steps.many.lines import write_lines as write_rows
from advisor.steps.many.pairs import Pair
from advisor.steps.many.workers import Work, over_processes
from advisor.units import parse_moment

__all__ = ["Pair", "Settings", "advise_chunk", "advise_many", "failed", "read_rows", "write_rows"]

CHUNK = 4  # pairs that a process takes at a time: a second or two of work, beside which a message is nothing
MOST_PROFILES = 16  # that a process keeps as they were read
BY_ITSELF = "advise on it by itself, and report what that prints: advisor advise {} -w {}"


class Settings(NamedTuple):
    """How all of the pairs are advised on; it can be pickled."""

    now: str
    confidence: float
    max_uncertainty: float
    rules_folder: Path | None
    out: Path  # the folder of the advice: ID/advice.json, and ID/report.html where reports are wanted
    formats: tuple[str, ...]  # of the report of each pair: ("html",), or none
    with_advice: bool = True  # else there are rows alone

    @property
    def asked(self) -> Asked:
        """How each of them is asked for; what only reports show is left out where there are none."""
        has_files = self.with_advice or bool(self.formats)
        return Asked(
            parse_moment(self.now), self.confidence, self.max_uncertainty, None, self.rules_folder, with_charts=has_files
        )


def advise_many(pairs: Iterable[Pair], settings: Settings, *, processes: int | None = None) -> Iterator[AdviceRow]:
    """Yield the row of each pair in the order of the pairs, as they become known; `processes` is all cores unless given.

    No more than a few chunks of pairs are held at once, in and out. A pair that cannot be advised on is a row with its two lines.
    Processes are forked now, not with the first row.
    """
    rules_with(settings.rules_folder, now=settings.asked.now)  # refused once, and what was read is there in every process
    work = Work(partial(advise_chunk, settings=settings), failed)
    return over_processes(work, pairs, processes=processes, chunk=CHUNK)


def advise_chunk(chunk: Sequence[Pair], settings: Settings) -> tuple[AdviceRow, ...]:
    """Return the rows of some pairs, in one process: what a worker does, of this machine or of a cluster."""
    return tuple(_row(pair, settings) for pair in chunk)


def failed(pair: Pair, error: AdvisorError) -> AdviceRow:
    """Return the row of a pair that has no advice, for one that could not be measured as well."""
    return row_of_failure(pair.id, error, profile_path=str(pair.profile), workload_path=str(pair.workload))


def _row(pair: Pair, settings: Settings) -> AdviceRow:
    try:
        return _advised(pair, settings)
    except AdvisorError as error:
        return failed(pair, error)
    except Exception as error:  # noqa: BLE001  # of one pair, it is shown in its row: thousands of others do not have it
        fault = f"{pair.workload}: a fault of advisor itself ({type(error).__name__}: {error})"
        return failed(pair, AdvisorError(fault, hint=BY_ITSELF.format(pair.profile, pair.workload)))


def _advised(pair: Pair, settings: Settings) -> AdviceRow:
    given = _given(pair.profile)
    workload = read_workload(pair.workload, pair.content)
    advice = advice_for(given, workload, pair.workload, settings.asked)
    advice_path = report_path = None
    if settings.with_advice:
        advice_path = f"{pair.id}/advice.json"
        write_record(settings.out / advice_path, advice, inputs=(pair.profile, pair.workload))
    for format_ in settings.formats:
        from advisor.tell.report import render

        name = f"{pair.id}/report.{format_}"
        write_output(settings.out / name, render(advice, format_).encode(), of_format(format_))
        report_path = report_path or name
    return row_of(
        pair.id,
        advice,
        now=settings.asked.now,
        profile_path=str(pair.profile),
        workload_path=str(pair.workload),
        profile_sha256=given.sha256,
        advice_path=advice_path,
        report_path=report_path,
    )


@lru_cache(maxsize=MOST_PROFILES)
def _given(path: Path) -> Given:
    return Given(path)
