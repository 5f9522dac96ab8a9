"""Records in which every text is inert: what a report is made of, and records as JSON for other programs to read."""

from typing import Any, TypeVar, cast

import msgspec

from advisor.inert.text import inert, inert_json

Part = TypeVar("Part")


def inert_parts(part: Part) -> Part:
    """Return a record, or whatever it is made of, with all texts in it inert; the same one where they are that already."""
    if isinstance(part, msgspec.Struct) and _is_inert(part):
        return part
    return cast(Part, _inert_part(part))


def _is_inert(record: msgspec.Struct) -> bool:
    """Return whether no text in the record needs an escape: as JSON, where the encoder has escaped some of what would."""
    try:
        text = msgspec.json.encode(record).decode()
    except UnicodeEncodeError:  # half a character
        return False
    return text.isprintable() and "\\" not in text


def _inert_part(part: Any) -> Any:
    if isinstance(part, str):
        return inert(part)
    if isinstance(part, msgspec.Struct):
        fields = {name: getattr(part, name) for name in part.__struct_fields__}
        changed = {name: made for name, value in fields.items() if (made := _inert_part(value)) is not value}
        return msgspec.structs.replace(part, **changed) if changed else part
    if isinstance(part, tuple):
        parts = tuple(map(_inert_part, part))
        return part if all(made is was for made, was in zip(parts, part, strict=True)) else parts
    if isinstance(part, dict):
        return {_inert_part(name): _inert_part(value) for name, value in part.items()}
    return part


def as_json(record: msgspec.Struct, *, indent: int) -> bytes:
    """Return a record as indented JSON that ends in a newline; half characters, which JSON cannot hold, as their escapes."""
    try:
        content = msgspec.json.encode(record)
    except UnicodeEncodeError:
        content = msgspec.json.encode(_inert_part(record))
    return inert_json(msgspec.json.format(content, indent=indent)) + b"\n"
