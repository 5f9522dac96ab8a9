"""Figures inside sentences: every format says the same, and each marks the figures up in its own way."""

from collections.abc import Callable

from advisor import units
from advisor.schema.advice import BUSY_FRACTION, Candidate
from advisor.schema.record import Basis, Estimate, Record

Format = Callable[[float], str]

# What stands beside a figure, explained to the reader of a report: the names of `Basis`, and what stands for an interval without spread.
GLOSSARY = {
    "measured": "timed or counted here",
    "interpolated": "between measured points",
    "simulated": "queue of measured calls",
    "projected": "beyond what was measured: other batches, lengths or hardware",
    "list-price": "a price as published or given",
    "assumed": "taken as given, not checked",
    "fixed": "follows exactly, no spread",
}


class Figure(Record, frozen=True, kw_only=True):
    """An estimate in words. Without a `basis` there is no estimate, and `shown` says what stands in its place."""

    shown: str
    interval: str | None = None  # None: `shown` is the interval itself
    basis: Basis | None = None
    source: str | None = None


# A plain answer is a bool: each format has its own way to print yes and no.
Part = str | Figure | bool
Sentence = tuple[Part, ...]


def figure(estimate: Estimate | None, format_: Format, absent: str = "not measured") -> Figure:
    """Return an estimate with its interval, its basis and its source."""
    if estimate is None:
        return Figure(shown=absent)
    return Figure(
        shown=format_(estimate.value),
        interval=units.interval(estimate.value, estimate.low, estimate.high, format_),
        basis=estimate.basis,
        source=estimate.source,
    )


def tail(estimate: Estimate, format_: Format, utilization: Estimate | None) -> Figure:
    """Return a high quantile; near saturation a small error in service time moves it a lot, and only its interval is honest."""
    if utilization is None or utilization.value <= BUSY_FRACTION:
        return figure(estimate, format_)
    shown = units.ends(estimate.low, estimate.high, format_)
    return Figure(shown=shown, basis=estimate.basis, source=estimate.source)


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


def configuration(candidate: Candidate, hardware: str | None = None) -> str:
    """Return a candidate in words; `hardware` where it runs elsewhere than the candidate itself says."""
    if candidate.max_batch_size == 1:
        batches = "one request a call"
    else:
        wait = f"within {units.seconds(candidate.max_queue_delay_s)}" if candidate.max_queue_delay_s else "of what waits"
        batches = f"batches up to {candidate.max_batch_size} {wait}"
    return (
        f"{candidate.variant} on {hardware or candidate.hardware}, {setting(candidate.instances, candidate.intra_op_num_threads)}, "
        f"{batches}, {units.counted(candidate.replicas, 'replica')}"
    )


def setting(instances: int, threads: int) -> str:
    """Return how the cores are used: "2 instances of 1 thread"."""
    return f"{units.counted(instances, 'instance')} of {units.counted(threads, 'thread')}"
