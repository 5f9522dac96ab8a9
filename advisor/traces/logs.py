"""What servers and load generators write of requests -> the times at which they arrived, and tokens where the file has them.

A load generator notes a request when it is answered, and so does an access log: what it took is subtracted where the file says it. Times in
whole seconds would be bursts that nobody sent: within its second a request is put at random, as a Poisson process has it.
"""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.schema.record import LONGEST_SEQUENCE
from advisor.traces.clock import US_PER_S, moment
from advisor.traces.numbers import number
from advisor.units import counted

Writer = Literal["nginx", "k6", "locust", "vllm"]
GZIP = b"\x1f\x8b"
MONTHS = {name: at for at, name in enumerate(("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec").split(), start=1)}
LOCAL_TIME = re.compile(r"\[(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})\]")
ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})")
MSEC = re.compile(r"(?<![\d.])(1\d{9}\.\d{3})(?![\d.])")  # nginx's $msec
TOOK = re.compile(r"(?:rt|request_time|rqt)[\"']?\s*[=:]\s*[\"']?(\d+\.\d+)")  # nginx's $request_time, under its usual names
DURATIONS = ("http_req_duration", "grpc_req_duration")  # of k6, in ms
SEED = 0
MS_PER_S = 1e3


class Recorded(NamedTuple):
    """Requests in the order of their arrival, from 0 on, in seconds; tokens where the file has them; and how it was read."""

    arrival_s: np.ndarray  # (requests,)
    input_tokens: np.ndarray | None  # (requests,)
    output_tokens: np.ndarray | None  # (requests,)
    notes: tuple[str, ...]


def read_log(path: Path, writer: Writer, only: str | None = None) -> Recorded:
    """Return the requests of a file; of its lines those alone that contain `only`. Raises InputError where it holds none."""
    try:
        return READERS[writer](path, only)
    except (OSError, EOFError, zlib.error) as error:
        fault = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: {fault}", hint="name a file that you may read") from error


# --- access logs ---------------------------------------------------------------------------------------------------------------


def _nginx(path: Path, only: str | None) -> Recorded:
    lines, skipped = _chosen(path, only)
    way = next((found for line in lines if (found := _way_of(line)) is not None), None)
    if way is None:
        raise InputError(
            f"{path}: no line has a time, as $time_local, $time_iso8601 or $msec write it",
            hint="give an access log of nginx; for a table of requests take --from csv",
        )
    ended, took, odd = [], [], 0
    for line in lines:
        at = way(line)
        if at is None:
            odd += 1
            continue
        ended.append(at)
        lasted = TOOK.search(line)
        took.append(float(lasted[1]) if lasted else None)
    notes = [*_left_out(odd, "line", "without a time"), *_left_out(skipped, "line", f"without {only!r}")]
    return _finished(path, np.array(ended), took, notes, "$request_time")


def _way_of(line: str) -> Callable[[str], float | None] | None:
    """Return how to read the time of lines such as this one, the finest that it has."""
    return next((way for way in (_msec, _iso, _local) if way(line) is not None), None)


def _msec(line: str) -> float | None:
    found = MSEC.search(line)
    return float(found[1]) if found else None


def _iso(line: str) -> float | None:
    found = ISO_TIME.search(line)
    at = moment(found[0]) if found else None
    return at.us / US_PER_S if at is not None else None


def _local(line: str) -> float | None:
    found = LOCAL_TIME.search(line)
    if found is None or found[2] not in MONTHS:
        return None
    day, month, year, clock, hours, minutes = found.groups()
    at = moment(f"{year}-{MONTHS[month]:02}-{day}T{clock}{hours}:{minutes}")
    return at.us / US_PER_S if at is not None else None


# --- load generators -----------------------------------------------------------------------------------------------------------


def _k6(path: Path, only: str | None) -> Recorded:
    """Read what `k6 run --out json=FILE` or `--out csv=FILE` writes: a line for each metric of each request."""
    lines, skipped = _chosen(path, only, keep_first=True)
    first = next(iter(lines), "")
    rows = _k6_points(lines) if first.lstrip().startswith("{") else _k6_rows(path, lines)
    ended, took, odd = [], [], 0
    for when, value in rows:
        at, lasted = _when(when), number(value)
        if at is None or lasted is None or lasted < 0:
            odd += 1
        else:
            ended.append(at)
            took.append(lasted / MS_PER_S)
    if not ended:
        raise InputError(
            f"{path}: no point of {' or '.join(DURATIONS)}",
            hint="make it with: k6 run --out json=FILE script.js, or --out csv=FILE",
        )
    notes = [*_left_out(odd, "point", "without a time and a duration"), *_left_out(skipped, "line", f"without {only!r}")]
    return _finished(path, np.array(ended), took, notes, "the duration")


def _k6_points(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if not any(f'"{name}"' in line for name in DURATIONS):
            continue
        try:
            point = json.loads(line, parse_float=str, parse_int=str)
            if point["type"] == "Point" and point["metric"] in DURATIONS:
                yield str(point["data"]["time"]), str(point["data"]["value"])
        except (ValueError, RecursionError, LookupError, TypeError):
            yield "", ""


def _k6_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for row in _table(path, lines, ("metric_name", "timestamp", "metric_value")):
        if row["metric_name"] in DURATIONS:
            yield row["timestamp"] or "", row["metric_value"] or ""


def _locust(path: Path, only: str | None) -> Recorded:
    """Read FILE_stats_history.csv of `locust --csv FILE`: how many requests there were until each moment."""
    name = "Aggregated" if only is None else only
    moments, totals, odd = [], [], 0
    for row in _table(path, _lines(path), ("Timestamp", "Name", "Total Request Count")):
        if row["Name"] != name:
            continue
        at, total = _when(row["Timestamp"] or ""), number(row["Total Request Count"] or "")
        if at is None or total is None or total < 0:
            odd += 1
        else:
            moments.append(at)
            totals.append(int(total))
    if len(moments) < 2 or totals[-1] <= 0:
        raise InputError(
            f"{path}: {counted(len(moments), 'row')} of {name!r} with requests, and two are needed",
            hint="give FILE_stats_history.csv of `locust --csv FILE`; --only names one of several entries",
        )
    at_s, many = np.array(moments), np.diff(np.array(totals), prepend=0)
    if (many < 0).any() or (np.diff(at_s) <= 0).any():
        raise InputError(f"{path}: its counts or its times go back", hint="give the history of one run")
    width_s = np.diff(at_s, prepend=2 * at_s[0] - at_s[1])
    arrival_s = np.repeat(at_s, many) - np.random.default_rng(SEED).random(int(many.sum())) * np.repeat(width_s, many)
    notes = (
        f"counts every {np.median(width_s):g} s: within that time requests are put at random",
        *_left_out(odd, "row", "without a time and a count"),
    )
    return _sorted(path, arrival_s, None, None, notes)


def _vllm(path: Path, only: str | None) -> Recorded:
    """Read what `vllm bench serve --save-result --save-detailed` writes: lists with an entry for each request."""
    if only is not None:
        raise InputError("--only: results of vLLM have no lines to choose among", hint="leave --only out")
    keys = ("start_times", "input_lens", "output_lens")
    try:
        result = json.loads("".join(_lines(path)))
        columns = [np.asarray(result[key], dtype=float) for key in keys]
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise InputError(
            f"{path}: not a result of vLLM with {', '.join(keys)} ({error})",
            hint="make it with: vllm bench serve --save-result --save-detailed",
        ) from error
    start, read, written = columns
    if not start.ndim == read.ndim == written.ndim == 1 or not len(start) == len(read) == len(written):
        raise InputError(f"{path}: {', '.join(keys)} are of different lengths", hint="give the file of one whole run")
    is_whole = np.isfinite(start) & np.isfinite(read) & np.isfinite(written)
    is_whole &= (read >= 1) & (written >= 1) & (read <= LONGEST_SEQUENCE) & (written <= LONGEST_SEQUENCE)
    notes = _left_out(int((~is_whole).sum()), "request", "without an answer")
    start, read, written = (column[is_whole] for column in columns)
    return _sorted(path, start, read.astype(np.int64), written.astype(np.int64), notes)


READERS: dict[Writer, Callable[[Path, str | None], Recorded]] = {"nginx": _nginx, "k6": _k6, "locust": _locust, "vllm": _vllm}


# --- what they share -----------------------------------------------------------------------------------------------------------


def _finished(path: Path, ended_s: np.ndarray, took_s: list[Any], notes: list[str], name: str) -> Recorded:
    """Return requests by when they were answered, and what each took, where all of them say so."""
    if len(ended_s) and (ended_s == np.floor(ended_s)).all():
        ended_s = ended_s + np.random.default_rng(SEED).random(len(ended_s))
        notes = ["times are whole seconds: within its second a request is put at random", *notes]
    if all(lasted is not None for lasted in took_s):
        ended_s = ended_s - np.array(took_s, dtype=float)
        notes = [f"arrival is the time of the answer less {name}", *notes]
    else:
        notes = ["times are those of the answers, for what each took is not in the file", *notes]
    return _sorted(path, ended_s, None, None, tuple(notes))


def _sorted(
    path: Path, arrival_s: np.ndarray, read: np.ndarray | None, written: np.ndarray | None, notes: Iterable[str]
) -> Recorded:
    if not len(arrival_s):
        raise InputError(f"{path}: holds no request", hint="give the file of a run with requests, or leave --only out")
    order = np.argsort(arrival_s, kind="stable")
    times = arrival_s[order] - arrival_s.min()
    return Recorded(times, None if read is None else read[order], None if written is None else written[order], tuple(notes))


def _left_out(many: int, what: str, why: str) -> tuple[str, ...]:
    return (f"left out: {counted(many, what)} {why}",) if many else ()


def _when(text: str) -> float | None:
    """Return seconds since 1970 of a time by the clock, or of a number that counts s, ms, us or ns since then, as its size says."""
    counts = number(text)
    if counts is None:
        at = moment(text)
        return at.us / US_PER_S if at is not None else None
    scale = next((scale for scale in (1.0, 1e-3, 1e-6, 1e-9) if 1e9 <= counts * scale < 5e9), None)
    return counts * scale if scale is not None else None


def _table(path: Path, lines: Iterable[str], columns: tuple[str, ...]) -> Iterator[dict[str, str | None]]:
    reader = csv.DictReader(lines)
    try:
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}", hint="name another format with --from")
        yield from reader
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error})", hint="name another format with --from") from error


def _chosen(path: Path, only: str | None, *, keep_first: bool = False) -> tuple[list[str], int]:
    """Return the lines that contain a text, and how many do not; the first may be the names of columns."""
    lines = [line for line in _lines(path) if line.strip()]
    if only is None:
        return lines, 0
    kept = [line for place, line in enumerate(lines) if only in line or (keep_first and place == 0)]
    return kept, len(lines) - len(kept)


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        is_packed = file.read(len(GZIP)) == GZIP
    opener = gzip.open if is_packed else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as text:
        yield from text
