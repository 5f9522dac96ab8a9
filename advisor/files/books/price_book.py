"""Prices by the hour from elsewhere: the user's own CSV, or a table that somebody publishes, each with what is known to be wrong in it."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from advisor.disk import kinds, locks
from advisor.disk.reading import refuse_special
from advisor.disk.writing import check_output, write_output
from advisor.errors import InputError
from advisor.files.books.token_book import import_token_prices
from advisor.files.catalog import csv_rows, own_record, user_folder, user_price_book
from advisor.inert.text import inert, inert_cell
from advisor.schema.catalog import Price
from advisor.units import LONGEST_QUOTED, is_day

TOKEN_LAYOUTS = ("litellm", "openrouter")
COLUMNS = ("provider", "region", "instance", "term", "usd_per_hour", "date", "source")
WAY_OUT = f"write a CSV file with the columns {', '.join(COLUMNS)}"
BOOK = kinds.table("price book", COLUMNS)
# A table that says this has no price for the machine: skypilot's catalogue writes it for TPUs in regions that have none.
SENTINELS = {700.0}
MOST_USD_PER_HOUR = 1000.0  # eight of the dearest devices cost 142 $/h; a pod of thousands is not one machine
# Tables of other partitions of the cloud: their currency is not the dollar, or their customers are governments.
OTHER_PARTITIONS = ("aws_cn", "aws_us_gov", "cn-", "us-gov-", "china", "usgov")


class Imported(NamedTuple):
    """Prices that were taken over, and lines on what was left out."""

    prices: tuple[Price, ...]
    left_out: tuple[str, ...]


def read_price_book(path: Path) -> tuple[Price, ...]:
    """Return the prices of a CSV file in advisor's own columns; raise InputError for a line that is none."""
    found = []
    for line, row in csv_rows(path):
        if missing := [name for name in COLUMNS if name not in row]:
            raise InputError(f"{path}: no column {', '.join(missing)}", hint=WAY_OUT)
        found.append(own_record({name: row[name] for name in COLUMNS}, Price, path, line))
    return tuple(found)


def import_any(path: Path, *, layout: str, date: str, into: Path | None) -> tuple[int, tuple[str, ...], str]:
    """Add the prices of a file, by the hour or by the token, to a book, by default the user's; return how many, what not, and where."""
    if not is_day(date):
        raise InputError(f"--date: {date!r} is no day of the calendar", hint="give the day of the prices, as 2026-11-22")
    if layout in TOKEN_LAYOUTS:
        book = into or user_folder() / "token_prices.csv"
        taken, left_out = import_token_prices(path, layout=layout, date=date, into=book)
        return len(taken), left_out, str(book)
    book = into or user_price_book()
    done = import_prices(path, layout=layout, date=date, into=book)
    return len(done.prices), done.left_out, str(book)


def import_prices(path: Path, *, layout: str, date: str, into: Path) -> Imported:
    """Add the prices of a file to the book `into`; of two prices of the same machine the one of the later day stays.

    Of two of the same day the one that is imported stays: it is the correction.
    """
    rows = list(LAYOUTS[layout](path, date))
    kept, left_out = guarded(rows)
    if not kept:
        raise InputError(f"{path}: holds no price in the layout {layout!r}", hint=f"--layout accepts: {', '.join(LAYOUTS)}")
    check_output(into, BOOK, inputs=(path,))
    with locks.held(into, patience_s=locks.MOMENT_S):
        known = read_price_book(into) if into.is_file() else ()
        # A later entry of a dict takes the place of an earlier one, and sorting keeps the order within a day.
        entries = sorted((*known, *kept), key=_day)
        book = {(entry.provider, entry.region, entry.instance, entry.term): entry for entry in entries}
        write_output(into, _text(book.values()).encode(), BOOK, inputs=(path,))
    standing = [book[entry.provider, entry.region, entry.instance, entry.term] for entry in kept]
    stay = tuple(entry for entry, stands in zip(kept, standing, strict=True) if stands is entry)
    older = tuple(
        f"{_machine(entry)}: of {entry.date}, and the book has one of {stands.date}"
        for entry, stands in zip(kept, standing, strict=True)
        if stands.date > entry.date
    )
    return Imported(stay, (*left_out, *older))


def _day(entry: Price) -> str:
    return entry.date


def _machine(entry: Price) -> str:
    return f"{entry.provider} {entry.region} {entry.instance} {entry.term} {entry.usd_per_hour:g} $/h"


def guarded(rows: list[Price]) -> tuple[tuple[Price, ...], tuple[str, ...]]:
    """Return the prices that can be believed, and why others cannot: sentinels, sums that no machine costs, spot above on-demand."""
    on_demand = {(row.provider, row.region, row.instance): row.usd_per_hour for row in rows if row.term == "on-demand"}
    kept, left_out = [], []
    for row in rows:
        usual = on_demand.get((row.provider, row.region, row.instance))
        what = _machine(row)
        if row.usd_per_hour in SENTINELS:
            left_out.append(f"{what}: stands for no price")
        elif row.usd_per_hour > MOST_USD_PER_HOUR:
            left_out.append(f"{what}: no single machine costs that")
        elif row.term == "spot" and usual is not None and row.usd_per_hour >= usual:
            left_out.append(f"{what}: not below on-demand ({usual:g} $/h)")
        elif any(row.region.lower().startswith(mark) for mark in OTHER_PARTITIONS):
            left_out.append(f"{what}: another partition of the cloud, perhaps in another currency")
        else:
            kept.append(row)
    return tuple(kept), tuple(left_out)


def _text(prices: Iterable[Price]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(tuple(_cell(getattr(entry, name)) for name in COLUMNS) for entry in prices))
    return out.getvalue()


def _cell(value: str | float) -> str | float:
    return inert_cell(value) if isinstance(value, str) else value


# --- layouts of tables that others publish --------------------------------------------------------------------------------


def _own(path: Path, _: str) -> Iterator[Price]:
    yield from read_price_book(path)


def _karpenter(path: Path, date: str) -> Iterator[Price]:
    """Yield prices of karpenter's generated Go maps: region, then `"machine": price`."""
    if any(mark in path.name.lower() for mark in OTHER_PARTITIONS):
        raise InputError(f"{path}: prices of another partition, not in dollars", hint="use the table of the public cloud")
    provider = "azure" if "Standard_" in (text := _read(path)) else "aws"
    region = ""
    for line in text.splitlines():
        if (head := re.match(r'\s*"([a-z0-9-]+)":\s*(?:map\[string\]float64)?\{', line)) is not None:
            region = head[1]
        for machine, usd in re.findall(r'"([A-Za-z0-9_.-]+)":\s*([0-9.]+)', line):
            if region:
                yield _price(path, provider, region, machine, "on-demand", usd, date)


def _skypilot(path: Path, date: str) -> Iterator[Price]:
    """Yield prices of a skypilot catalog; the file of a provider does not name it, its folder does."""
    provider = path.parent.name.lower()
    for line, row in csv_rows(path):
        machine = row.get("InstanceType") or row.get("AcceleratorName")
        if not machine or "Region" not in row:
            raise InputError(f"{path}: line {line}: neither machine nor region", hint="give vms.csv of one provider")
        for term, column in (("on-demand", "Price"), ("spot", "SpotPrice")):
            if _is_price(row.get(column)):
                yield _price(path, provider, row["Region"], machine, term, row[column], date)


def _gpuhunt(path: Path, date: str) -> Iterator[Price]:
    """Yield prices of a catalog of gpuhunt, CSV or JSON."""
    rows: Any = _json(path) if path.suffix == ".json" else [row for _, row in csv_rows(path)]
    if not isinstance(rows, list):
        raise InputError(f"{path}: no list of prices", hint="choose the layout of the file with --layout")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"{path}: row {number}: {str(row)[:LONGEST_QUOTED]!r} is no price", hint="leave that row out")
        machine = row.get("instance_name") or row.get("instance_type")
        provider, region, price = row.get("provider") or path.stem, row.get("location") or row.get("region"), row.get("price")
        if machine and region and _is_price(price):
            term = "spot" if str(row.get("spot")).lower() == "true" else "on-demand"
            yield _price(path, provider, region, machine, term, price, date)


def _neuron(path: Path, date: str) -> Iterator[Price]:
    """Yield prices of the tables beside AWS's Neuron benchmarks; their "on-demand" rate is what three years reserved cost an hour."""
    for _, row in csv_rows(path):
        machine, price = row.get("Inst. Type"), row.get("On-Demand hourly rate")
        if machine and _is_price(price):
            yield _price(path, "aws", "us-east-1", machine.lower(), "reserved", price, date)


LAYOUTS: dict[str, Callable[[Path, str], Iterator[Price]]] = {
    "own": _own,
    "karpenter": _karpenter,
    "skypilot": _skypilot,
    "gpuhunt": _gpuhunt,
    "neuron": _neuron,
}


def _price(path: Path, provider: str, region: str, machine: str, term: str, usd: Any, date: str) -> Price:
    try:
        return msgspec.convert(
            {
                "provider": provider,
                "region": region,
                "instance": machine,
                "term": term,
                "usd_per_hour": float(usd),
                "date": date,
                "source": f"imported from {inert(path.name)}",
            },
            Price,
        )
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: {machine}: {error}", hint="correct the price or the name of that machine, or leave it out"
        ) from error


def _is_price(text: Any) -> bool:
    """Return whether a table holds a price at all: empty and 0 mean that it is not known."""
    try:
        return float(text) > 0
    except (TypeError, ValueError, OverflowError):
        return False


def _read(path: Path) -> str:
    refuse_special(path)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})", hint="name a text file that you may read") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError) as error:  # a number of too many digits is no JSONDecodeError
        raise InputError(f"{path}: not JSON ({error})", hint="choose the layout of the file with --layout") from error
