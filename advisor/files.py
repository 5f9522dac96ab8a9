"""Records to files and back. Files appear whole or not at all; what cannot be read is refused with file, key, fault and way out."""

import difflib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from advisor.errors import AdvisorError, InputError
from advisor.schema import Record
from advisor.units import parse_quantity, unit_of

R = TypeVar("R", bound=Record)


def write_atomically(path: Path, content: bytes) -> None:
    """Write the file under a temporary name beside it, then move it into place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot write there ({error.strerror})", hint="name a folder that you may write to") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files private; results are as readable as anything else the user writes.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_record(path: Path, record: Record) -> None:
    """Write a record as indented JSON that ends in a newline."""
    write_atomically(path, to_json(record))


def to_json(record: Record) -> bytes:
    """Return a record as indented JSON that ends in a newline."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def read_json(path: Path, record_type: type[R], *, made_by: str) -> R:
    """Return the record in a JSON file that advisor wrote; `made_by` is the command that writes such a file."""
    content = _read(path)
    try:
        return msgspec.json.decode(content, type=record_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not a file that this version of advisor wrote ({error})", hint=f"make it with `{made_by}`"
        ) from error


def read_yaml(path: Path, record_type: type[R]) -> R:
    """Return the record in a YAML file that a person wrote; numbers may carry units ("50 ms")."""
    content = _read(path)
    try:
        tree = msgspec.yaml.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not valid YAML ({first})", hint="see the example workload in the README") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: holds no keys", hint="write `key: value` lines; see the example workload in the README")
    return build(tree, record_type, path)


def build(tree: dict[str, Any], record_type: type[R], path: Path) -> R:
    """Return the record that a parsed file describes; a fault is refused with the file and the key."""
    converted = _with_units(tree, record_type, path, ())
    try:
        return msgspec.convert(converted, record_type)
    except msgspec.ValidationError as error:
        fault, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").lstrip(".")
        raise InputError(
            f"{path}: {key + ': ' if key else ''}{fault[:1].lower() + fault[1:]}",
            hint="see the workload file in the README for each key and its meaning",
        ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", hint="check the path") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="name a file that you may read") from error


def _with_units(tree: Any, expected: Any, path: Path, keys: tuple[str, ...]) -> Any:
    """Return the tree with texts such as "50 ms" as numbers in base units wherever a number is expected; refuse unknown keys."""
    record = next(
        (kind for kind in (expected, *get_args(expected)) if isinstance(kind, type) and issubclass(kind, msgspec.Struct)), None
    )
    if record is not None and isinstance(tree, dict):
        fields = {field.name: field.type for field in msgspec.structs.fields(record)}
        for name in tree:
            if name not in fields:
                raise InputError(f"{path}: {'.'.join((*keys, str(name)))}: unknown key", hint=_nearest(str(name), list(fields)))
        return {name: _with_units(value, fields[name], path, (*keys, name)) for name, value in tree.items()}
    if isinstance(tree, dict) and any(get_origin(kind) is dict for kind in (expected, *get_args(expected))):
        inner = next(get_args(kind)[1] for kind in (expected, *get_args(expected)) if get_origin(kind) is dict)
        return {name: _with_units(value, inner, path, (*keys, str(name))) for name, value in tree.items()}
    if isinstance(tree, str) and _is_number(expected):
        unit = next((unit for key in reversed(keys) if (unit := unit_of(key)) is not None), None)
        try:
            value = parse_quantity(tree, unit)
        except AdvisorError as error:
            raise InputError(f"{path}: {'.'.join(keys)}: {error.fault}", hint=error.hint) from error
        return int(value) if value.is_integer() and not _mentions(expected, float) else value
    return tree


def _is_number(expected: Any) -> bool:
    return (_mentions(expected, float) or _mentions(expected, int)) and not _mentions(expected, str)


def _mentions(expected: Any, kind: type) -> bool:
    return expected is kind or any(_mentions(inner, kind) for inner in get_args(expected) if not isinstance(inner, msgspec.Meta))


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known keys here: {', '.join(known)}"
