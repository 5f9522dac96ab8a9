"""Prices by the token from elsewhere: litellm's and openrouter's tables, where 0 means that a price is not known."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from advisor.disk import kinds, locks
from advisor.disk.reading import refuse_special
from advisor.disk.writing import check_output, write_output
from advisor.errors import InputError
from advisor.files.catalog import read_token_book
from advisor.inert.text import inert, inert_cell
from advisor.schema.catalog import TokenPrice
from advisor.units import LONGEST_QUOTED, is_day

COLUMNS = tuple(TokenPrice.__struct_fields__)
BOOK = kinds.table("token price book", COLUMNS)
MODES = ("chat", "responses", "completion", "embedding")
MILLION = 1e6
MOST_USD_PER_MILLION = (
    10_000.0  # the dearest models cost some hundreds: more is a price by the token taken for one by the million
)


def import_token_prices(path: Path, *, layout: str, date: str, into: Path) -> tuple[tuple[TokenPrice, ...], tuple[str, ...]]:
    """Add the prices of a table to the book; return those that stay, and what was left out with why.

    Of two prices of the same model the one of the later day stays, of the same day the one that is imported.
    """
    tree = _json(path)
    kept, left_out = [], []
    for row in _litellm(tree) if layout == "litellm" else _openrouter(tree):
        fault = _fault(row)
        if fault is not None:
            left_out.append(f"{row['provider']} {row['model']}: {fault}")
            continue
        try:
            kept.append(msgspec.convert(row | {"date": date, "source": f"imported from {inert(path.name)}"}, TokenPrice))
        except msgspec.ValidationError as error:
            left_out.append(f"{row['provider']} {row['model']}: {error}")
    if not kept:
        raise InputError(f"{path}: holds no token price in the layout {layout!r}", hint="give the table as published")
    check_output(into, BOOK, inputs=(path,))
    with locks.held(into, patience_s=locks.MOMENT_S):
        known = read_token_book(into) if into.is_file() else ()
        # A later entry of a dict takes the place of an earlier one, and sorting keeps the order within a day.
        book = {(entry.provider, entry.model): entry for entry in sorted((*known, *kept), key=_day)}
        write_output(into, _text(book).encode(), BOOK, inputs=(path,))
    stay = tuple(entry for entry in kept if book[entry.provider, entry.model] is entry)
    older = [
        f"{entry.provider} {entry.model}: of {entry.date}, and the book has a newer one"
        for entry in kept
        if book[entry.provider, entry.model] is not entry and book[entry.provider, entry.model].date > entry.date
    ]
    return stay, (*left_out, *older)


def _text(book: dict[tuple[str, str], TokenPrice]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(entry, name)) for name in COLUMNS] for _, entry in sorted(book.items()))
    return out.getvalue()


def _cell(value: str | float | None) -> str | float:
    return "" if value is None else inert_cell(value) if isinstance(value, str) else value


def _day(entry: TokenPrice) -> str:
    return entry.date


def _fault(row: dict[str, Any]) -> str | None:
    cost_in, cost_out = row["usd_per_million_input_tokens"], row["usd_per_million_output_tokens"]
    if cost_in is None or (cost_out is None and row["mode"] != "embedding"):
        return "no price, or 0, which means that it is not known"
    if max(cost_in, cost_out or 0.0) > MOST_USD_PER_MILLION:
        return "no model costs that"
    retired_on = row["deprecated"]
    if retired_on is not None and not is_day(str(retired_on)):
        return f"{str(retired_on)[:LONGEST_QUOTED]!r} is no day on which it is retired"
    return None


def _litellm(tree: Any) -> Iterator[dict[str, Any]]:
    for model, entry in tree.items() if isinstance(tree, dict) else ():
        if isinstance(entry, dict) and entry.get("mode") in MODES:
            yield {
                "provider": str(entry.get("litellm_provider") or "unknown"),
                "model": model,
                "mode": entry["mode"],
                "usd_per_million_input_tokens": _per_million(entry.get("input_cost_per_token")),
                "usd_per_million_output_tokens": _per_million(entry.get("output_cost_per_token")),
                "usd_per_million_cached_tokens": _per_million(entry.get("cache_read_input_token_cost")),
                "usd_per_million_batch_input_tokens": _per_million(entry.get("input_cost_per_token_batches")),
                "usd_per_million_batch_output_tokens": _per_million(entry.get("output_cost_per_token_batches")),
                "deprecated": entry.get("deprecation_date") or None,
            }


def _openrouter(tree: Any) -> Iterator[dict[str, Any]]:
    data = tree.get("data") if isinstance(tree, dict) else None
    for entry in data if isinstance(data, list) else ():
        if isinstance(entry, dict) and isinstance(cost := entry.get("pricing"), dict):
            yield {
                "provider": "openrouter",
                "model": str(entry.get("id")),
                "mode": "chat",
                "usd_per_million_input_tokens": _per_million(cost.get("prompt")),
                "usd_per_million_output_tokens": _per_million(cost.get("completion")),
                "usd_per_million_cached_tokens": _per_million(cost.get("input_cache_read")),
                "deprecated": None,
            }


def _per_million(usd: Any) -> float | None:
    """Return dollars for a million tokens; None if the table has no price: 0, or -1 for a price that varies."""
    try:
        value = float(usd) * MILLION
    except (TypeError, ValueError, OverflowError):
        return None
    return value if value > 0 else None


def _json(path: Path) -> Any:
    refuse_special(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})", hint="name a file that you may read") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits is no JSONDecodeError
        raise InputError(f"{path}: not JSON ({error})", hint="choose the layout of the file with --layout") from error
