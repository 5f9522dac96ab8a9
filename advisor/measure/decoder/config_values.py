"""Values of a model's configuration, each checked where it is read: what is wrong is said with file, key and value."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.units import LONGEST_QUOTED, size

# Of a configuration; that of a model with a vocabulary in it is far below.
MOST_BYTES = 64_000_000
LONGEST_NAME_BYTES = 255  # of a file, as Linux has it
SAVE_AGAIN = "save the checkpoint again with save_pretrained, or mend that key"


class Values:
    """The keys of one object of a configuration; null stands for a key that is not there."""

    def __init__(self, path: Path, found: dict[str, Any], inside: str = "") -> None:
        self.path, self._found, self._inside = path, found, inside

    def has(self, key: str) -> bool:
        """Return whether the key is there, null included."""
        return key in self._found

    def given(self, key: str) -> Any:
        """Return the value as it is, None where there is none."""
        return self._found.get(key)

    def wrong(self, key: str, fault: str, *, hint: str = SAVE_AGAIN) -> InputError:
        """Return the complaint about a key: its value and what is wrong with it."""
        return InputError(f"{self.path}: {self._inside}{key}: {quoted(self.given(key))}: {fault}", hint=hint)

    def key_of(self, *names: str) -> str:
        """Return which of several names of one thing is used, the first where none is; raise InputError where two disagree."""
        used = [name for name in names if self.given(name) is not None]
        for name in used[1:]:
            if quoted(self.given(name)) != quoted(self.given(used[0])):
                said = f"{used[0]} says {quoted(self.given(used[0]))}"
                raise self.wrong(name, said, hint="take out the wrong one of the two")
        return used[0] if used else names[0]

    def count(self, key: str, most: int, default: int | None = None, *, least: int = 1) -> int:
        """Return a whole number from `least` to `most`."""
        value = self.given(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise InputError(f"{self.path}: {self._inside}{key} is missing", hint=SAVE_AGAIN)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(key, "not a whole number")
        if not least <= value <= most:
            raise self.wrong(key, f"outside of {least} to {most}")
        return value

    def number(self, key: str, least: float, most: float, default: float | None = None) -> float:
        """Return a number in a range."""
        value = self.given(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise InputError(f"{self.path}: {self._inside}{key} is missing", hint=SAVE_AGAIN)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(key, "not a number")
        if not least <= value <= most:  # no more is NaN
            raise self.wrong(key, f"outside of {least:g} to {most:g}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.given(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "neither true nor false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text."""
        value = self.given(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "not a text")
        return value

    def part(self, key: str) -> "Values | None":
        """Return the object under a key, None where there is none."""
        value = self.given(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(key, "holds no keys")
        return Values(self.path, value, f"{self._inside}{key}.")

    def parts(self, key: str) -> "tuple[Values, ...]":
        """Return the objects in the list, or in the object, under a key; none where there is no such key."""
        value = self.given(key)
        if value is None:
            return ()
        if not isinstance(value, list | dict):
            raise self.wrong(key, "holds no objects")
        named = list(value.items() if isinstance(value, dict) else enumerate(value))
        for name, entry in named:
            if not isinstance(entry, dict):
                raise self.wrong(key, f"what {quoted(name)} stands for there holds no keys")
        return tuple(Values(self.path, entry, f"{self._inside}{key}[{quoted(name)}].") for name, entry in named)

    def each_layer(self, key: str, layers: int, allowed: Sequence[object]) -> tuple[Any, ...]:
        """Return a list with one of a few values for each layer."""
        value = self.given(key)
        if not isinstance(value, list) or len(value) != layers or any(entry not in allowed for entry in value):
            raise self.wrong(key, f"not a list of {' and '.join(map(str, allowed))} for {layers} layers")
        return tuple(value)

    def with_defaults(self, defaults: Mapping[str, Any]) -> "Values":
        """Return these values, others where a key is not there; null is a value here."""
        return Values(self.path, {**defaults, **self._found}, self._inside)


def quoted(value: object) -> str:
    """Return a value as an error repeats it: its beginning."""
    text = f"a {type(value).__name__} of {len(value)}" if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}…"


def is_plain_name(name: str) -> bool:
    """Return whether a name is that of a file in the folder itself, and one that a file system takes."""
    # A name that leads elsewhere could have any file of the machine read. What cannot be printed is no name that a tool gave.
    return Path(name).name == name and name.isprintable() and len(name.encode()) <= LONGEST_NAME_BYTES


def read_object(path: Path, what: str, way_out: str) -> dict[str, Any]:
    """Return the object in a JSON file; raise InputError for one that is not there, not JSON or larger than such a file ever is."""
    return parsed(read_content(path, what, way_out), path, way_out)


def read_content(path: Path, what: str, way_out: str) -> bytes:
    """Return what a file holds; raise InputError for one that is not there, or is larger than such a file ever is."""
    refuse_special(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: {size(path.stat().st_size)}, too large for {what}", hint=way_out)
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise InputError(f"{path}: {what} cannot be read ({reason})", hint=way_out) from error


def parsed(content: bytes, path: Path, way_out: str) -> dict[str, Any]:
    """Return the object that JSON text holds; raise InputError, which names the file, if it holds none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, a number of too many digits, or too deep
        raise InputError(f"{path}: not valid JSON ({str(error)[:LONGEST_QUOTED]})", hint=way_out) from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no keys", hint=way_out)
    return found
