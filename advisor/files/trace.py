"""Recorded requests as people have them: CSV or JSON lines, times by the clock or counted in any unit -> arrival times and lengths."""

import codecs
import csv
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.files.contradictions import MAX_SEQUENCE_LENGTH
from advisor.schema.workload import TimeUnit, Trace, TraceColumns
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
UNIT_OF_NAME = re.compile(
    r"(?:[ _(\[.-]+(?P<unit>s|sec|secs|seconds|ms|millis|milliseconds|us|µs|micros|microseconds|ns|nanos|nanoseconds)[)\]]*"
    r"|(?<=[a-z])(?P<camel>Ms|Us|Ns|Millis|Micros|Nanos))$"
)
SECONDS_IN: dict[TimeUnit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# A clock that counts from 1970 stands between these in the years 2001 to 2128, and a record that begins at 0 stays below them for decades.
EPOCH_S = (1e9, 5e9)
WAY_OUT = (
    "write a header line with arrival_s (seconds, or times as 2026-11-22T08:00:00Z) and, if lengths vary, sequence_length; or name "
    "your own with traffic.columns: {arrival: ..., sequence_length: ..., unit: ms}"
)
DELIMITERS = ",;\t|"


class _Row(NamedTuple):
    """A request of the file as it is written there."""

    line: int
    arrival: str
    length: str | None


class _Read(NamedTuple):
    """All requests of the file, and the names of the columns that they are from."""

    rows: list[_Row]
    arrival: str
    length: str | None


def read_trace(path: Path, columns: TraceColumns | None = None) -> Trace:
    """Return the requests of a CSV file or of JSON lines, gzip-compressed or not, in the order of their times.

    `columns` names what to read; without it the usual names are looked for. Times that count from 1970 are told by their size, and begin
    at 0 in the trace. Raises InputError for what can be read in two ways.
    """
    asked = columns or ANY_COLUMNS
    read = _rows(path, asked)
    if len(read.rows) < MIN_TRACE_REQUESTS:
        raise InputError(f"{path}: {len(read.rows)} requests, but {MIN_TRACE_REQUESTS} are needed", hint="record a longer trace")
    arrival_s, how = _seconds(path, read, asked)
    lengths = [_length(path, row) for row in read.rows] if read.length is not None else []
    order = sorted(range(len(arrival_s)), key=arrival_s.__getitem__)
    moved = sum(place != number for place, number in enumerate(order))
    arrival_s = [arrival_s[number] for number in order]
    span_s = arrival_s[-1] - arrival_s[0]
    if span_s * LARGEST < len(arrival_s):
        raise InputError(f"{path}: all requests arrive at the same moment", hint=WAY_OUT)
    if lengths and not 1 <= min(lengths) <= max(lengths) <= MAX_SEQUENCE_LENGTH:
        raise InputError(f"{path}: a length in {read.length} is not between 1 and {MAX_SEQUENCE_LENGTH:,}", hint=WAY_OUT)
    found = (
        f"traffic.trace: {path.name}: {rate((len(arrival_s) - 1) / span_s)} on average: {len(arrival_s):,} requests in "
        f"{seconds(span_s)}, times from {read.arrival} ({how})" + (f", lengths from {read.length}" if read.length else "")
    )
    unsorted = (
        f"traffic.trace: {path.name}: its lines were not in the order of time and were sorted ({counted(moved, 'line')} moved)"
    )
    return Trace(
        arrival_s=tuple(arrival_s),
        sequence_length=tuple(lengths[number] for number in order) if lengths else None,
        notes=(found, unsorted) if moved else (found,),
    )


# --- the file -> texts ----------------------------------------------------------------------------------------------------


def _rows(path: Path, asked: TraceColumns) -> _Read:
    refuse_special(path)
    try:
        with path.open("rb") as raw, _unpacked(raw) as content, io.TextIOWrapper(content, _encoding(content), newline="") as text:
            first = text.readline()
            text.seek(0)
            if first.lstrip("\ufeff").lstrip().startswith("{"):
                return _from_objects(path, text, asked)
            return _from_table(path, text, first, asked)
    except (UnicodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: not a CSV file or JSON lines ({error})", hint=WAY_OUT) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", hint="name a file that you may read") from error


def _unpacked(raw: IO[bytes]) -> io.BufferedReader:
    start = raw.read(2)
    raw.seek(0)
    return io.BufferedReader(gzip.GzipFile(fileobj=raw) if start == b"\x1f\x8b" else raw)  # type: ignore[arg-type]


def _encoding(content: io.BufferedReader) -> str:
    # A spreadsheet's "Unicode text" is UTF-16, with a mark that says so.
    return "utf-16" if content.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _from_table(path: Path, text: IO[str], header: str, asked: TraceColumns) -> _Read:
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True)
    names = [name.strip() for name in next(reader, [])]
    arrival, length = _columns(path, names, asked)
    places = (names.index(arrival), names.index(length) if length is not None else None)
    rows = []
    for cells in reader:
        if not any(cells):
            continue
        if len(cells) <= max(place for place in places if place is not None):
            raise InputError(
                f"{path}: line {reader.line_num}: has {counted(len(cells), 'column')}, the header {len(names)}", hint=WAY_OUT
            )
        values = (cells[place].strip() if place is not None else None for place in places)
        # Where commas do not separate columns, they are the decimal point of many countries.
        when, long = (value if value is None or delimiter == "," else _with_point(value) for value in values)
        rows.append(_Row(reader.line_num, when or "", long))
    return _Read(rows, arrival, length)


def _with_point(value: str) -> str:
    return re.sub(r"^(\d+),(\d+)$", r"\1.\2", value)


def _from_objects(path: Path, text: IO[str], asked: TraceColumns) -> _Read:
    rows: list[_Row] = []
    arrival: str | None = None
    length: str | None = None
    for line, entry in _objects(path, text):
        if arrival is None:
            arrival, length = _columns(path, [str(name) for name in entry], asked)
        values = [entry.get(name) for name in (arrival, length) if name is not None]
        if any(value is None or isinstance(value, (bool, dict, list)) for value in values):
            raise InputError(f"{path}: line {line}: no {arrival}{f' or no {length}' if length else ''}", hint=WAY_OUT)
        when, long = (*map(str, values), None)[:2]
        rows.append(_Row(line, when or "", long))
    return _Read(rows, arrival or "", length)


def _objects(path: Path, text: IO[str]) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            # Numbers stay as they are written: a count of nanoseconds since 1970 has more digits than a float.
            entry = json.loads(line, parse_float=str, parse_int=str)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{path}: line {number}: not a JSON object ({error})", hint="write one object a line") from error
        if not isinstance(entry, dict):
            raise InputError(f"{path}: line {number}: not a JSON object", hint="write one object a line")
        yield number, entry


def _columns(path: Path, names: list[str], asked: TraceColumns) -> tuple[str, str | None]:
    """Return the columns of times and of lengths; None where there are no lengths."""
    return (
        _named(path, names, asked.arrival, "arrival") or _usual(path, names, TIMES, "arrival") or _nothing(path, names),
        _named(path, names, asked.sequence_length, "sequence_length") or _usual(path, names, LENGTHS, "sequence_length"),
    )


def _nothing(path: Path, names: list[str]) -> str:
    if names and all(_is_number(name) for name in names):
        raise InputError(f"{path}: the first line holds numbers, not the names of the columns", hint=WAY_OUT)
    raise InputError(
        f"{path}: no column arrival_s, nor another known name of times; it has: {', '.join(names)[:200]}", hint=WAY_OUT
    )


def _named(path: Path, names: list[str], wanted: str | None, key: str) -> str | None:
    if wanted is None or wanted in names:
        return wanted
    raise InputError(
        f"{path}: traffic.columns.{key}: there is no column {wanted!r}", hint=f"the file has: {', '.join(names)[:200]}"
    )


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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- texts -> seconds, lengths ---------------------------------------------------------------------------------------------


def _seconds(path: Path, read: _Read, asked: TraceColumns) -> tuple[list[float], str]:
    """Return the times in seconds, in the order of the file, and in words how they were read."""
    if not _is_number(read.rows[0].arrival):
        return _by_the_clock(path, read.rows), "by the clock"
    numbers = [_whole(path, row) for row in read.rows]
    unit, is_epoch, how = _unit(path, read.arrival, min(numbers), asked)
    # Whole numbers are subtracted as such: a float cannot hold nanoseconds since 1970.
    start = min(numbers) if is_epoch else 0
    return [(number - start) * SECONDS_IN[unit] for number in numbers], how


def _whole(path: Path, row: _Row) -> float:
    try:
        return int(row.arrival)
    except ValueError:
        pass
    try:
        value = float(row.arrival)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:
        raise InputError(
            f"{path}: line {row.line}: {row.arrival[:40]!r} is not a time, as the lines before have it", hint=WAY_OUT
        )
    return value


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


def _by_the_clock(path: Path, rows: list[_Row]) -> list[float]:
    moments = [_moment(path, row) for row in rows]
    odd = next((row for row, it in zip(rows, moments, strict=True) if (it.tzinfo is None) != (moments[0].tzinfo is None)), None)
    if odd is not None:
        raise InputError(
            f"{path}: line {odd.line}: some times have a zone and others none", hint="write all of them with their zone"
        )
    start = min(moments)
    return [(moment - start).total_seconds() for moment in moments]


def _moment(path: Path, row: _Row) -> datetime:
    text = re.sub(
        r"^(\d{4})/(\d\d)/(\d\d)", r"\1-\2-\3", row.arrival.removesuffix(" UTC") + ("Z" if row.arrival.endswith(" UTC") else "")
    )
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{path}: line {row.line}: {row.arrival[:40]!r} is not a time",
            hint="write times as 2026-11-22T08:00:00Z, or in seconds",
        ) from error


def _length(path: Path, row: _Row) -> int:
    try:
        value = float(row.length or "")
    except ValueError:
        value = math.nan
    if not value.is_integer():
        raise InputError(f"{path}: line {row.line}: {(row.length or '')[:40]!r} is not a whole number of tokens", hint=WAY_OUT)
    return int(value)
