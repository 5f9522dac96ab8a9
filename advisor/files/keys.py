"""The keys of the workload file, by the parts that they stand in."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from advisor.schema.workload import Workload


def workload_keys() -> Iterator[tuple[str, list[str]]]:
    """Yield each part of the workload file by its path, "" for the top, with the keys that hold no further part."""
    yield from _keys(Workload, "")


def record_in(kind: Any) -> type[msgspec.Struct] | None:
    """Return the record that a field holds, None where it holds none."""
    return next((each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, msgspec.Struct)), None)


def _keys(record: type[msgspec.Struct], path: str) -> Iterator[tuple[str, list[str]]]:
    parts = {field.name: record_in(field.type) for field in msgspec.structs.fields(record)}
    # What may be a number or a part, as items_per_request, is both.
    plain = [field.name for field in msgspec.structs.fields(record) if parts[field.name] is None or _mentions_number(field.type)]
    if plain:
        yield path, plain
    for name, inner in parts.items():
        if inner is not None:
            yield from _keys(inner, f"{path}.{name}".lstrip("."))


def _mentions_number(kind: Any) -> bool:
    return kind in (int, float) or any(_mentions_number(inner) for inner in get_args(kind))
