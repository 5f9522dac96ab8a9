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
    plain = [name for name, inner in parts.items() if inner is None]
    if plain:
        yield path, plain
    for name, inner in parts.items():
        if inner is not None:
            yield from _keys(inner, f"{path}.{name}".lstrip("."))
