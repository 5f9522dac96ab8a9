"""Values of a model's configuration, each checked where it is read: what is wrong is said with file, key and value."""

import json
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

    def count(self, key: str, most: int, default: int | None = None) -> int:
        """Return a whole number from 1 to `most`."""
        value = self.given(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise InputError(f"{self.path}: {self._inside}{key} is missing", hint=SAVE_AGAIN)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(key, "not a whole number")
        if not 1 <= value <= most:
            raise self.wrong(key, f"outside of 1 to {most}")
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
    refuse_special(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: {size(path.stat().st_size)}, too large for {what}", hint=way_out)
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {what} cannot be read ({error.strerror})", hint=way_out) from error
    return parsed(content, path, way_out)


def parsed(content: bytes, path: Path, way_out: str) -> dict[str, Any]:
    """Return the object that JSON text holds; raise InputError, which names the file, if it holds none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, a number of too many digits, or too deep
        raise InputError(f"{path}: not valid JSON ({str(error)[:LONGEST_QUOTED]})", hint=way_out) from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no keys", hint=way_out)
    return found
