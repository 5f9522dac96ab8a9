"""The JSON that Prometheus answers a query with: series of metrics by name, or the values of an expression."""

from collections import defaultdict
from typing import Any, Literal, NamedTuple

import msgspec

from advisor.errors import InputError
from advisor.files.metrics.scrape import Sample, Scrape

HINT = "give the answer of /api/v1/query or /api/v1/query_range"
NAME = "__name__"
Point = tuple[float, str]


class _Row(msgspec.Struct):
    metric: dict[str, str] = {}
    value: Point | None = None
    values: list[Point] = []


class _Data(msgspec.Struct, rename={"kind": "resultType"}):
    kind: Literal["vector", "matrix", "scalar"]
    result: Any


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


class Result(NamedTuple):
    """Values by time, in order, each of one series; those of metrics have a name, those of an expression none."""

    scrapes: tuple[Scrape, ...]
    is_named: bool


def read_query(content: bytes, source: str) -> Result:
    """Return what a query found; raise InputError for what no query answers, and for one that failed or found nothing."""
    try:
        answer = msgspec.json.decode(content, type=_Answer)
        if answer.status == "success" and answer.data is None:
            raise InputError(f"{source}: not the answer of a query to Prometheus (no data in it)", hint=HINT)
        if answer.status != "success" or answer.data is None:
            raise InputError(f"{source}: the query failed ({answer.error[:120] or answer.status[:40]})", hint="mend the query")
        rows = _rows(answer.data)
        by_time: dict[float, list[Sample]] = defaultdict(list)
        for row in rows:
            labels = {name: value for name, value in row.metric.items() if name != NAME}
            for at_s, text in ([row.value] if row.value is not None else []) + row.values:
                by_time[at_s].append(Sample(row.metric.get(NAME, ""), labels, float(text)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{source}: not the answer of a query to Prometheus ({str(error)[:120]})", hint=HINT) from error
    if not by_time:
        raise InputError(f"{source}: the query found nothing", hint="check names and labels, and that the range holds traffic")
    named = {bool(row.metric.get(NAME)) for row in rows}
    return Result(tuple(Scrape(at_s, tuple(by_time[at_s])) for at_s in sorted(by_time)), named == {True})


def _rows(data: _Data) -> list[_Row]:
    if data.kind == "scalar":
        return [_Row(value=msgspec.convert(data.result, Point))]
    return msgspec.convert(data.result, list[_Row])
