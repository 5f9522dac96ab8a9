"""Records to files and back; what cannot be read is refused with file, key, fault and way out."""

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from advisor.disk import kinds
from advisor.disk.reading import STANDARD_INPUT, refuse_special, standard_input
from advisor.disk.writing import write_output
from advisor.errors import AdvisorError, InputError
from advisor.inert.text import inert_json
from advisor.schema.overview import FOLDER_NAME_FAULT, FOLDER_NAME_WORDS
from advisor.schema.record import SCHEMA_VERSION, Record
from advisor.units import LONGEST_QUOTED, parse_quantity, unit_of

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

R = TypeVar("R", bound=Record)
# Levels of a YAML document that its parser in C surely takes: of some ten thousand it ends the process.
SHALLOW = 1000
# What both parsers take for the same: of tabs, tags, blocks of text, question marks and other alphabets the one in C accepts more.
PLAIN_YAML = re.compile(rb"[\n \x22-=@-{}~]*")


def write_record(path: Path, record: Record, *, inputs: Iterable[Path] = ()) -> None:
    """Write a record as indented JSON that ends in a newline; raise InputError where that would overwrite anything but an older one."""
    write_output(path, to_json(record), kinds.rendered(record, "json"), inputs=inputs)


def to_json(record: Record) -> bytes:
    """Return a record as indented JSON that ends in a newline."""
    try:
        return inert_json(msgspec.json.format(msgspec.json.encode(record), indent=1)) + b"\n"
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object!a} cannot be encoded as text", hint="give the file another name") from error


def to_yaml(document: Mapping[str, Any]) -> bytes:
    """Return a document for other programs as YAML in plain ASCII, its keys in their order."""
    import yaml

    plain = msgspec.json.decode(
        msgspec.json.encode(document)
    )  # a part that stands twice would be an anchor and a reference to it
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=False, width=120).encode()  # type: ignore[no-any-return]


def digest(record: Record) -> str:
    """Return the SHA-256 of the file that `write_record` makes of a record."""
    import hashlib

    return hashlib.sha256(to_json(record)).hexdigest()


class _Versioned(msgspec.Struct):
    """What every file that advisor writes has, whatever else is in it; of profiles and advice some have a kind."""

    schema_version: int
    kind: str | None = None


def read_json(path: Path, record_type: type[R], *, made_by: str) -> R:
    """Return the record in a JSON file that advisor wrote; `made_by` is the command that writes such a file.

    Raises InputError that names the key and its value for what no such file holds.
    """
    return read_json_of(path, {None: record_type}, made_by=made_by)


def read_json_of(path: Path, kinds: Mapping[str | None, type[R]], *, made_by: str) -> R:
    """Return the record in a JSON file as `read_json` does, of the type that its `kind` says; None stands for any other."""
    content = _read(path)
    try:
        head = msgspec.json.decode(content, type=_Versioned)
        version, record_type = head.schema_version, kinds.get(head.kind) or kinds[None]
        record = msgspec.json.decode(content, type=record_type) if version == SCHEMA_VERSION else None
    except msgspec.ValidationError as error:
        raise _not_ours(path, _told(str(error), _tree_of(content)), made_by) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_ours(path, str(error), made_by) from error
    if record is None:
        raise InputError(
            f"{path}: written with schema version {version}, but this advisor reads {SCHEMA_VERSION}",
            hint=f"make it again with `{made_by}`",
        )
    why = _what_ranges_leave(record, content)
    if why is not None:
        raise _not_ours(path, why, made_by)
    return record


def _not_ours(path: Path, why: str, made_by: str) -> InputError:
    return InputError(f"{path}: not a file that this version of advisor wrote ({why})", hint=f"make it with `{made_by}`")


def _what_ranges_leave(record: Record, content: bytes) -> str | None:
    """Return what is wrong with a record beside the ranges of its fields, a key that is there twice among it; None: nothing."""
    from advisor.schema.checks import first_fault

    fault = first_fault(record)
    if fault is not None:
        return f"{fault.key}: {_quoted(fault.value)}: {fault.what}"
    twice = _key_given_twice(content)
    return None if twice is None else f"{twice}: given twice"


def _key_given_twice(content: bytes) -> str | None:
    """Return a key that an object of the file holds twice, of which a decoder keeps one."""
    # What was read and is written again has as many keys, as a rule: to count them is by far the quickest way to know.
    if content.count(b'":') == msgspec.json.encode(msgspec.json.decode(content)).count(b'":'):
        return None
    import json

    found: list[str] = []

    def noted(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        found.extend(name for name in names if names.count(name) > 1)

    json.loads(content, object_pairs_hook=noted, parse_int=str)
    return next(iter(found), None)


def _told(error: str, tree: Any) -> str:
    """Return the key at fault, its value in the tree that was read, and what is wrong with it."""
    fault, _, where = error.partition(" - at `")
    keys, fault = where.rstrip("`").removeprefix("$").lstrip("."), f"{fault[:1].lower()}{fault[1:]}"
    if not keys or "`" in keys:  # the file as a whole, or a key of a mapping
        return f"{keys.replace('` in `$.', ' of ')}: {fault}" if keys else fault
    try:
        for key in _keys_of(keys):
            tree = tree[int(key) if isinstance(tree, list) else key]
    except (LookupError, TypeError, ValueError):
        return f"{keys}: {fault}"
    return f"{keys}: {fault}" if isinstance(tree, dict | list) else f"{keys}: {_quoted(tree)}: {fault}"


def _keys_of(where: str) -> list[str]:
    """Return the keys and places of a path such as `$.models[0].name`."""
    return re.findall(r"[^.\[\]]+", where.rstrip("`").removeprefix("$"))


def _tree_of(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}…"


def read_own_yaml(path: "Path | Traversable", record_type: type[R]) -> R:
    """Return the record in a YAML file that comes with advisor: plain numbers, no mistakes, and ten times faster."""
    import yaml

    # All text: what a number or a yes is, the record says, and to guess at it takes a third of the time.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    return msgspec.convert(yaml.load(_read(path), Loader=loader), record_type, strict=False)


def read_yaml(path: Path, record_type: type[R], *, what: str = "workload file") -> R:
    """Return the record in a YAML file that a person wrote; numbers may carry units ("50 ms").

    `what` it is called in the documentation.
    """
    return _build(_tree(path, what=what), record_type, path, what)


def read_tree(path: Path, *, what: str = "workload file") -> dict[str, Any]:
    """Return what a YAML file that a person wrote holds, as it stands there: dicts, lists, bools, None and texts."""
    return _tree(path, what=what)


def built(tree: Mapping[str, Any], record_type: type[R], path: Path, what: str = "workload file") -> R:
    """Return the record that a tree of texts, numbers and lists describes, as `read_yaml` does; `path` is what faults name."""
    return _build(dict(tree), record_type, path, what)


def _tree(path: Path, *, what: str) -> dict[str, Any]:
    import yaml

    content = _read(path)
    try:
        document = _composed(content)
        tree = None if document is None else _plain(document, path, (), {})
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        first = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not valid YAML ({first})", hint=f"see the example of a {what} in the documentation") from error
    if not isinstance(tree, dict):
        raise InputError(
            f"{path}: holds no keys", hint=f"write `key: value` lines; see the example of a {what} in the documentation"
        )
    return tree


def _composed(content: bytes) -> Any:
    """Return the node of a YAML document, None of an empty one; raise what `yaml.compose` does."""
    import yaml

    # The parser in C is ten times faster, but ends the process when a document is nested too deep. A level has a bracket or a dash of its
    # own, or one space more than the level above.
    depth = sum(map(content.count, (b"[", b"{", b"-"))) + math.sqrt(2 * content.count(b" "))
    if hasattr(yaml, "CSafeLoader") and depth < SHALLOW and PLAIN_YAML.fullmatch(content):
        try:
            return yaml.compose(content, Loader=yaml.CSafeLoader)
        except yaml.YAMLError:
            pass  # what is wrong is said in the words of the other one
    return yaml.compose(content, Loader=yaml.SafeLoader)


def _build(tree: dict[str, Any], record_type: type[R], path: Path, what: str) -> R:
    """Return the record that a parsed file describes; a fault is refused with the file and the key."""
    converted = _with_units(tree, record_type, path, ())
    try:
        return msgspec.convert(converted, record_type)
    except msgspec.ValidationError as error:
        told = _told(_with_its_key(str(error), converted, record_type), converted)
        if FOLDER_NAME_FAULT in str(error):
            raise InputError(
                f"{path}: {told.partition(': expected')[0]}: not a name for a folder",
                hint=f"write {FOLDER_NAME_WORDS}",
            ) from error
        words = _words_for(record_type, _keys_of(str(error).partition(" - at `")[2]))
        hint = f"write one of: {', '.join(words)}" if words else f"the documentation lists each key of the {what} and its meaning"
        raise InputError(f"{path}: {told}", hint=hint) from error


def _with_its_key(fault: str, tree: Any, expected: Any) -> str:
    """Return a fault with the key of the mapping that it is in, of which msgspec says no more than "[...]"."""
    before, dots, after = fault.partition("[...]")
    keys = _keys_of(before.partition(" - at `")[2])
    expected = _type_at(expected, keys)
    inner = next((get_args(kind)[1] for kind in (expected, *get_args(expected)) if get_origin(kind) is dict), None)
    if not dots or inner is None:
        return fault
    for key in keys:
        tree = tree[int(key) if isinstance(tree, list) else key]
    for name, value in tree.items():
        try:
            msgspec.convert(value, inner)
        except msgspec.ValidationError:
            return f"{before}.{name}{after}"
    return fault


def _type_at(expected: Any, keys: list[str]) -> Any:
    """Return what a record of this type takes at a key."""
    for key in keys:
        kinds = (expected, *get_args(expected))
        record = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)), None)
        expected = _fields(record).get(key) if record is not None else _entry_of(expected)
    return expected


def _words_for(expected: Any, keys: list[str]) -> tuple[str, ...]:
    """Return the words that a record of this type takes at a key, none where it takes anything else as well."""
    expected = _type_at(expected, keys)
    options = [kind for kind in (expected, *get_args(expected)) if get_origin(kind) is Literal]
    return () if _mentions(expected, str) else tuple(str(word) for kind in options for word in get_args(kind))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    import hashlib

    if path == STANDARD_INPUT:
        return hashlib.sha256(standard_input()).hexdigest()
    refuse_special(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_folder(folder: Path) -> str:
    """Return the SHA-256 of the names and digests of all files in a folder."""
    import hashlib

    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder)} {sha256(path)}\n".encode())
    return total.hexdigest()


def _read(path: "Path | Traversable") -> bytes:
    if path == STANDARD_INPUT:
        return standard_input()
    refuse_special(path)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", hint="check the path") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="name a file that you may read") from error


def _plain(node: Any, path: Path, keys: tuple[str, ...], made: dict[int, Any]) -> Any:
    """Return a YAML node as dict, list, bool, None or text; what a number is, units.py says, for to YAML 010 is 8 and 1:30 is 90.

    `made` holds what came of nodes met before, by identity: an alias is the same node again.
    """
    if id(node) in made:
        return made[id(node)]
    made[id(node)] = None  # what a node finds of itself inside itself
    tree: Any
    if node.id == "mapping":
        tree = {}
        for key_node, value_node in node.value:
            key = key_node.value if key_node.id == "scalar" else "?"
            if key in tree:
                line = key_node.start_mark.line + 1
                raise InputError(f"{path}: {'.'.join((*keys, key))}: given twice", hint=f"keep one: line {line} repeats it")
            tree[key] = _plain(value_node, path, (*keys, key), made)
    elif node.id == "sequence":
        tree = [_plain(entry, path, keys, made) for entry in node.value]
    elif node.tag.endswith(":null"):
        tree = None
    elif node.tag.endswith(":bool"):
        tree = node.value.lower() in ("true", "yes", "on")
    else:
        tree = node.value.encode(errors="replace").decode()  # an escape may name half a character, which no file can hold
    made[id(node)] = tree
    return tree


def _with_units(tree: Any, expected: Any, path: Path, keys: tuple[str, ...]) -> Any:
    """Return the tree with texts such as "50 ms" as numbers in base units wherever a number is expected; refuse unknown keys."""
    record = next(
        (kind for kind in (expected, *get_args(expected)) if isinstance(kind, type) and issubclass(kind, msgspec.Struct)), None
    )
    if record is not None and isinstance(tree, dict):
        fields = _fields(record)
        for name in tree:
            if name not in fields:
                raise InputError(f"{path}: {'.'.join((*keys, name))}: unknown key", hint=_nearest(name, list(fields)))
        return {name: _with_units(value, fields[name], path, (*keys, name)) for name, value in tree.items()}
    if isinstance(tree, dict) and any(get_origin(kind) is dict for kind in (expected, *get_args(expected))):
        inner = next(get_args(kind)[1] for kind in (expected, *get_args(expected)) if get_origin(kind) is dict)
        return {name: _with_units(value, inner, path, (*keys, name)) for name, value in tree.items()}
    if isinstance(tree, list) and (entry := _entry_of(expected)) is not None:
        return [_with_units(value, entry, path, keys) for value in tree]
    if isinstance(tree, str) and _is_number(expected):
        unit = next((unit for key in reversed(keys) if (unit := unit_of(key)) is not None), None)
        try:
            value = parse_quantity(tree, unit)
        except AdvisorError as error:
            raise InputError(f"{path}: {'.'.join(keys)}: {error.fault}", hint=error.hint) from error
        return int(value) if value.is_integer() and not _mentions(expected, float) else value
    return tree


@cache
def _fields(record: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(record)}


def _entry_of(expected: Any) -> Any:
    """Return what the entries of an expected list are, None where no list is expected."""
    if get_origin(expected) is tuple:
        return get_args(expected)[0]
    return next((entry for inner in get_args(expected) if (entry := _entry_of(inner)) is not None), None)


def _is_number(expected: Any) -> bool:
    return (_mentions(expected, float) or _mentions(expected, int)) and not _mentions(expected, str)


def _mentions(expected: Any, kind: type) -> bool:
    return expected is kind or any(_mentions(inner, kind) for inner in get_args(expected) if not isinstance(inner, msgspec.Meta))


def _nearest(name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known keys here: {', '.join(known)}"
