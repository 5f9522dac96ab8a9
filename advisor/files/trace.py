"""Recorded requests as people have them: CSV or JSON lines, times by the clock or counted in any unit -> arrival times and lengths."""

import csv
import gzip
import hashlib
import re
import stat
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.measure.runtime.memory import available_bytes
from advisor.schema.arrays.trace import Requests, Trace
from advisor.schema.workload import TimeUnit, TraceColumns
from advisor.traces.blocks import WAY_OUT
from advisor.traces.clock import US_PER_S
from advisor.traces.numbers import is_number
from advisor.traces.requests import Columns, columns_of
from advisor.traces.table import Chosen
from advisor.units import LARGEST, counted, rate, seconds

MIN_TRACE_REQUESTS = 100  # fewer have no p99
ANY_COLUMNS = TraceColumns()
# Names that loggers and public traces give, without case and punctuation.
TIMES = (
    *("arrival", "arrivals", "arrivaltime", "arrivaltimestamp", "arrivedat", "timestamp", "timestamps", "ts", "time"),
    *("datetime", "date"),
    *("requesttime", "requesttimestamp", "starttime", "startedat", "createdat", "receivedat", "eventtime"),
)
LENGTHS = (
    *("sequencelength", "seqlen", "length", "inputlength", "inputtokens", "numinputtokens", "prompttokens", "numprompttokens"),
    *("promptlength", "promptlen", "inputlen", "contexttokens", "requesttokens", "tokens", "numtokens"),
)
# Of these a name by itself says whose tokens they are: `tokens` and `length` may be those of prompt and answer together.
PROMPTS = (
    *("inputtokens", "numinputtokens", "inputlength", "inputlen", "prompttokens", "numprompttokens", "promptlength", "promptlen"),
    *("contexttokens", "numcontexttokens", "contextlength", "prefilltokens", "numprefilltokens", "requesttokens"),
    *("sequencelength", "seqlen"),
)
ANSWERS = (
    *("outputtokens", "numoutputtokens", "outputlength", "outputlen", "generatedtokens", "numgeneratedtokens", "generatedlength"),
    *("completiontokens", "numcompletiontokens", "completionlength", "completionlen", "responsetokens", "numresponsetokens"),
    *("responselength", "responselen", "decodetokens", "numdecodetokens", "answertokens"),
)
Wanted = Literal["times", "lengths", "tokens"]
UNIT_OF_NAME = re.compile(
    r"(?:[ _(\[.-]+(?P<unit>s|sec|secs|seconds|ms|millis|milliseconds|us|µs|micros|microseconds|ns|nanos|nanoseconds)[)\]]*"
    r"|(?<=[a-z])(?P<camel>Ms|Us|Ns|Millis|Micros|Nanos))$"
)
SECONDS_IN: dict[TimeUnit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# A clock that counts from 1970 stands between these in the years 2001 to 2128, and a record that begins at 0 stays below them for decades.
EPOCH_S = (1e9, 5e9)


def read_trace(path: Path, columns: TraceColumns | None = None) -> Trace:
    """Return the requests of a CSV file or of JSON lines, gzip-compressed or not, in the order of their times.

    `columns` names what to read; without it the usual names are looked for. Times that count from 1970 are told by their size, and begin
    at 0 in the trace. A file that did not change is read once. Raises InputError for what can be read in two ways.
    """
    found = _read(path, columns, "lengths")
    assert isinstance(found, Trace)  # that is what `lengths` makes
    return found


def read_requests(path: Path, columns: TraceColumns | None = None, *, has_own_lengths: bool = False) -> Requests:
    """Return the requests to a generative model as `read_trace` does, with the tokens that each brought and got.

    `has_own_lengths`: the workload gives lengths itself, and those of the trace are not read. Raises InputError where one is lacking.
    """
    found = _read(path, columns, "times" if has_own_lengths else "tokens")
    assert isinstance(found, Requests)
    return found


def _read(path: Path, columns: TraceColumns | None, wanted: Wanted) -> Trace | Requests:
    refuse_special(path)
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", hint="name a file that you may read") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: not a regular file", hint="name a file with the recorded requests")
    return _read_once(path, columns or ANY_COLUMNS, wanted, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


# A command asks for its trace several times: who checks the lengths, who prints the notes, and who simulates.
@lru_cache(maxsize=1)
def _read_once(path: Path, asked: TraceColumns, wanted: Wanted, _file: tuple[int, ...]) -> Trace | Requests:
    digest = hashlib.sha256()
    try:
        read = columns_of(path, lambda names: CHOOSING[wanted](path, names, asked), digest, memory_bytes=available_bytes())
    except (UnicodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: not a CSV file or JSON lines ({error})", hint=WAY_OUT) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", hint="name a file that you may read") from error
    return _recorded(path, read, asked, wanted, digest.hexdigest())


def _recorded(path: Path, read: Columns, asked: TraceColumns, wanted: Wanted, sha256: str) -> Trace | Requests:
    requests = len(read.arrival)
    if requests < MIN_TRACE_REQUESTS:
        raise InputError(f"{path}: {requests} requests, but {MIN_TRACE_REQUESTS} are needed", hint="record a longer trace")
    arrival_s, how = _seconds(path, read, asked)
    lengths, moved = [read.length, read.output], 0
    if (arrival_s[1:] < arrival_s[:-1]).any():
        order = np.argsort(arrival_s, kind="stable")
        moved = int((order != np.arange(requests)).sum())
        arrival_s, lengths = arrival_s[order], [None if column is None else column[order] for column in lengths]
    span_s = float(arrival_s[-1] - arrival_s[0])
    if span_s * LARGEST < requests:
        raise InputError(f"{path}: all requests arrive at the same moment", hint=WAY_OUT)
    found = (
        f"traffic.trace: {path.name}: {rate((requests - 1) / span_s)} on average: {requests:,} requests in "
        f"{seconds(span_s)}, times from {read.chosen.arrival} ({how}){_named_lengths(read.chosen)}"
    )
    unsorted = (
        f"traffic.trace: {path.name}: its lines were not in the order of time and were sorted ({counted(moved, 'line')} moved)"
    )
    for shared in (arrival_s, *lengths):
        if shared is not None:
            shared.setflags(write=False)
    notes = (found, unsorted) if moved else (found,)
    length, output = lengths
    if wanted == "lengths":
        return Trace(arrival_s=arrival_s, sequence_length=length, notes=notes, sha256=sha256)
    return Requests(arrival_s=arrival_s, input_tokens=length, output_tokens=output, notes=notes, sha256=sha256)


def _named_lengths(chosen: Chosen) -> str:
    if chosen.output is not None:
        return f", prompts from {chosen.length}, answers from {chosen.output}"
    return f", lengths from {chosen.length}" if chosen.length is not None else ""


# --- names -> columns ------------------------------------------------------------------------------------------------------


def _times(path: Path, names: list[str], asked: TraceColumns) -> Chosen:
    """Return the column of times alone."""
    arrival = _named(path, names, asked.arrival, "arrival") or _usual(path, names, TIMES, "arrival") or _nothing(path, names)
    return Chosen(arrival, None)


def _lengths(path: Path, names: list[str], asked: TraceColumns) -> Chosen:
    """Return the columns of times and, if there is one, of lengths."""
    arrival = _times(path, names, asked).arrival
    length = _input_named(path, names, asked) or _usual(path, names, LENGTHS, "sequence_length")
    if arrival == length:
        raise InputError(
            f"{path}: traffic.columns: {arrival} cannot hold both the times and the lengths",
            hint=f"the file has: {_listed(names)}",
        )
    return Chosen(arrival, length)


def _tokens(path: Path, names: list[str], asked: TraceColumns) -> Chosen:
    """Return the columns of times, of what requests to a generative model brought, and of what they got; all of them are there."""
    arrival = _times(path, names, asked).arrival
    prompt = _input_named(path, names, asked) or _usual(path, names, PROMPTS, "input_tokens")
    answer = _named(path, names, asked.output_tokens, "output_tokens") or _usual(path, names, ANSWERS, "output_tokens")
    if prompt is None or answer is None:
        lacking = " and ".join(
            f"{key} ({whose})"
            for key, whose, found in (("input_tokens", "of prompts", prompt), ("output_tokens", "of answers", answer))
            if found is None
        )
        raise InputError(
            f"{path}: no lengths in tokens: no column {lacking}, nor another known name of it; it has: {_listed(names)}",
            hint="name your own with traffic.columns: {input_tokens: ..., output_tokens: ...}, or give tokens: {input: ..., output: ...}",
        )
    if len({arrival, prompt, answer}) < 3:
        twice = next(name for name in (arrival, prompt, answer) if [arrival, prompt, answer].count(name) > 1)
        raise InputError(
            f"{path}: traffic.columns: {twice} cannot be two of the times, the prompts and the answers",
            hint=f"the file has: {_listed(names)}",
        )
    return Chosen(arrival, prompt, answer)


CHOOSING: dict[Wanted, Callable[[Path, list[str], TraceColumns], Chosen]] = {
    "times": _times,
    "lengths": _lengths,
    "tokens": _tokens,
}


def _input_named(path: Path, names: list[str], asked: TraceColumns) -> str | None:
    """Return the column of lengths that was named, by whichever key: of a prompt, its length is its tokens."""
    key = "sequence_length" if asked.sequence_length is not None else "input_tokens"
    return _named(path, names, asked.sequence_length or asked.input_tokens, key)


def _nothing(path: Path, names: list[str]) -> str:
    if names and all(is_number(name) for name in names):
        raise InputError(f"{path}: the first line holds numbers, not the names of the columns", hint=WAY_OUT)
    raise InputError(f"{path}: no column arrival_s, nor another known name of times; it has: {_listed(names)}", hint=WAY_OUT)


def _named(path: Path, names: list[str], wanted: str | None, key: str) -> str | None:
    if wanted is None or wanted in names:
        return wanted
    raise InputError(f"{path}: traffic.columns.{key}: there is no column {wanted!r}", hint=f"the file has: {_listed(names)}")


def _listed(names: list[str]) -> str:
    return ", ".join(names)[:200]


def _usual(path: Path, names: list[str], usual: tuple[str, ...], key: str) -> str | None:
    """Return the column of a usual name; of several, the one named as we do."""
    if (own := {"arrival": "arrival_s"}.get(key, key)) in names:
        return own
    bare = {name: re.sub(r"[^a-z0-9]", "", UNIT_OF_NAME.sub("", name).lower()) for name in names}
    found = [name for name in names if bare[name] in usual]
    if len(found) > 1:
        raise InputError(
            f"{path}: {' and '.join(found)} could each be traffic.columns.{key}",
            hint=f"name one: traffic: {{columns: {{{key}: {found[0]}}}}}",
        )
    return found[0] if found else None


# --- counts -> seconds -----------------------------------------------------------------------------------------------------


def _seconds(path: Path, read: Columns, asked: TraceColumns) -> tuple[np.ndarray, str]:
    """Return the times in seconds, in the order of the file, and in words how they were read."""
    counts = read.arrival
    if read.by_clock:
        return (counts - counts.min()) / US_PER_S, "by the clock"
    unit, is_epoch, how = _unit(path, read.chosen.arrival, counts.min().item(), asked)
    # Whole numbers are subtracted as such: a float cannot hold nanoseconds since 1970.
    return (counts - counts.min() if is_epoch else counts) * SECONDS_IN[unit], how


def _unit(path: Path, name: str, least: float, asked: TraceColumns) -> tuple[TimeUnit, bool, str]:
    """Return the unit of the numbers, whether they count from 1970, and that in words; InputError where both cannot be told."""
    of_size = next((unit for unit, scale in SECONDS_IN.items() if EPOCH_S[0] <= least * scale < EPOCH_S[1]), None)
    unit = asked.unit or of_size or _unit_of_name(name)
    if unit is None:
        raise InputError(
            f"{path}: {name}: counts from {least:g}, and nothing says whether in s, ms, us or ns",
            hint=f"add traffic: {{columns: {{arrival: {name}, unit: s}}}}, or ms, us, ns",
        )
    if unit == of_size:
        return unit, True, f"{unit} since 1970"
    return unit, False, unit


def _unit_of_name(name: str) -> TimeUnit | None:
    match = UNIT_OF_NAME.search(name)
    if match is None:
        return None
    unit = (match["unit"] or match["camel"]).lower()
    return "ms" if unit.startswith(("ms", "milli")) else "us" if unit[0] in "uµm" else "ns" if unit[0] == "n" else "s"
