"""Figures inside sentences and tables: the same in every format, each with its own markup."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from advisor import units
from advisor.schema.record import Basis, Estimate, Record

if TYPE_CHECKING:
    from advisor.schema.advice import Candidate

Format = Callable[[float], str]

# The words beside a figure, explained to the reader of a report: the names of `Basis`, and `fixed` for an interval without spread.
GLOSSARY = {
    "measured": "timed or counted here",
    "interpolated": "between measured points",
    "simulated": "a queue over measured call times",
    "projected": "beyond what was measured: other batch sizes, lengths or hardware",
    "list-price": "a price as published or given",
    "assumed": "taken as given, not checked",
    "fixed": "follows from the price alone, no spread",
    "same at both ends": "the interval of the service times makes no difference",
}


# What follows from service times, which have an interval.
UNCERTAIN = ("simulated", "projected")


class Figure(Record, frozen=True, kw_only=True):
    """An estimate in words. Without a `basis` there is no estimate, and `shown` is the text in its place."""

    shown: str
    interval: str | None = None  # None: `shown` is the interval itself
    basis: Basis | None = None
    source: str | None = None


# A bool is a plain yes or no, which each format prints in its own way.
Part = str | Figure | bool
Sentence = tuple[Part, ...]


class Row(Record, frozen=True, kw_only=True):
    """A name and what belongs to it, a cell for each column of a table."""

    label: str
    cells: tuple[Part, ...]
    goal: str = ""
    source: str = ""


def figure(estimate: Estimate | None, format_: Format, absent: str = "not measured") -> Figure:
    """Return an estimate with its interval, its basis and its source."""
    if estimate is None:
        return Figure(shown=absent)
    # What was simulated or projected is never exact: a number of replicas may be the same at both ends.
    is_exact = estimate.basis not in UNCERTAIN or estimate.low < estimate.high
    return Figure(
        shown=format_(estimate.value),
        interval=units.interval(estimate.value, estimate.low, estimate.high, format_) if is_exact else "same at both ends",
        basis=estimate.basis,
        source=estimate.source,
    )


def source_of(cells: Mapping[str, Figure]) -> str:
    """Return where the figures of a row come from, by column where they differ: "Recommended: 1 x $0.34/h; Today: 5 x $0.34/h"."""
    sources = {name: cell.source for name, cell in cells.items() if cell.source}
    if len(set(sources.values())) < 2:
        return next(iter(sources.values()), "")
    return "; ".join(f"{name}: {source}" for name, source in sources.items())


def known(value: float | None, format_: Format, absent: str = "not known") -> str | Figure:
    """Return a count or a size, which has no interval."""
    return Figure(shown=absent) if value is None else format_(value)


def as_text(words: Part | Sentence) -> str:
    """Return words as a terminal shows them: "p99 41.2 ms (37.5–45.6, simulated)"."""
    if isinstance(words, tuple):
        return "".join(as_text(part) for part in words)
    if isinstance(words, bool):
        return "yes" if words else "no"
    if isinstance(words, str):
        return words
    beside = ", ".join(part for part in (words.interval, words.basis) if part)
    return f"{words.shown} ({beside})" if beside else words.shown


def unproven_of(variant: str, usd_per_hour: Estimate) -> Sentence:
    """Return what a variant would cost that may not be advised, for nobody knows what it loses."""
    return (f"{variant} would cost ", figure(usd_per_hour, units.usd_per_hour), ", but its quality was not measured")


def configuration(candidate: "Candidate") -> str:
    """Describe a candidate, its replicas last."""
    return f"{one_replica(candidate, candidate.hardware)}, {units.counted(candidate.replicas, 'replica')}"


def one_replica(candidate: "Candidate", hardware: str) -> str:
    """Describe one replica of a candidate on some hardware."""
    if candidate.max_batch_size == 1:
        batching = "no batching"
    else:
        delay = f"queue delay {units.seconds(candidate.max_queue_delay_s)}" if candidate.max_queue_delay_s else "no queue delay"
        batching = f"batches of up to {candidate.max_batch_size}, {delay}"
    return f"{candidate.variant} on {hardware}, {setting(candidate.instances, candidate.intra_op_num_threads)}, {batching}"


def setting(instances: int, threads: int) -> str:
    """Describe how the cores are used: "2 instances of 1 thread"."""
    return f"{units.counted(instances, 'instance')} of {units.counted(threads, 'thread')}"


def rows_of(cells: dict[str, Part]) -> tuple[Row, ...]:
    """Return a table of one column."""
    return tuple(Row(label=label, cells=(cell,)) for label, cell in cells.items())


def written(version: str) -> str:
    """Return the footer of every report."""
    return f"Written by serving-advisor {version}. Every estimate carries its 90 % interval and how it was obtained."
