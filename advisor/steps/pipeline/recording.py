"""A file of recorded requests, as servers and load generators write it -> the CSV that `traffic.trace` takes."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from advisor.disk.kinds import Kind, table
from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.files.trace import MIN_TRACE_REQUESTS, read_requests, read_trace
from advisor.schema.workload import TraceColumns
from advisor.traces.logs import Recorded, read_log

Source = Literal["csv", "nginx", "k6", "locust", "vllm"]
DIGITS = 6  # of a second: as fine as clocks are


class Written(NamedTuple):
    """The table as text, its kind, and how the file was read, a sentence each."""

    text: str
    kind: Kind
    notes: tuple[str, ...]


def recorded(path: Path, source: Source, *, only: str | None = None, columns: TraceColumns | None = None) -> Written:
    """Return the requests of a file in the columns arrival_s and, where the file has them, sequence_length or both numbers of tokens."""
    refuse_special(path)
    if source == "csv":
        if only is not None:
            raise InputError("--only: chooses among the lines of logs", hint="leave --only out")
        return _of_table(path, columns)
    read = read_log(path, source, only)
    return _written(read, ("arrival_s", "input_tokens", "output_tokens"))


def _of_table(path: Path, columns: TraceColumns | None) -> Written:
    """Return a table of requests in our columns: with the tokens of prompts and answers if it has both, else with its lengths."""
    try:
        requests = read_requests(path, columns)
    except InputError:
        trace = read_trace(path, columns)  # which says what is wrong if that is more than the tokens
        return _written(Recorded(trace.arrival_s, trace.sequence_length, None, trace.notes), ("arrival_s", "sequence_length", ""))
    return _written(
        Recorded(requests.arrival_s, requests.input_tokens, requests.output_tokens, requests.notes),
        ("arrival_s", "input_tokens", "output_tokens"),
    )


def _written(read: Recorded, names: tuple[str, str, str]) -> Written:
    found = [(name, column) for name, column in zip(names, read[:3], strict=True) if column is not None]
    arrival = np.asarray(read.arrival_s) - float(np.min(read.arrival_s))
    rows = zip(*(arrival if name == "arrival_s" else column for name, column in found), strict=True)
    lines = [",".join(name for name, _ in found)]
    lines += [",".join((f"{first:.{DIGITS}f}", *(str(int(length)) for length in lengths))) for first, *lengths in rows]
    notes = [note.removeprefix("traffic.trace: ") for note in read.notes]
    if len(arrival) < MIN_TRACE_REQUESTS:
        notes.append(f"{len(arrival)} requests, and a workload's trace needs {MIN_TRACE_REQUESTS}")
    return Written("\n".join(lines) + "\n", table("trace", tuple(name for name, _ in found)), tuple(notes))
