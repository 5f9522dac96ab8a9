"""What is changed in a file that is right: bytes, trees of keys and values, messages of protobuf. Everything is drawn from a `Random`.

The one that Hypothesis hands over remembers what was drawn, and the cases of one seed are the same on every machine.
"""

import copy
import json
from random import Random
from typing import Any

INTEGERS = (0, 1, -1, 2, 3, 7, 63, 255, 65536, 2**31 - 1, 2**31, -(2**31), 2**40, 2**53 + 1, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 0.5, -1.0, 1e-320, 1e-9, 1e9, 1e18, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "nan",
        "inf",
        "1e999",
        "null",
        "true",
        "x" * 5000,
        "a\nb",
        "a\tb",
        "\x00",
        "\x1b[31mred",
        "\u202egnp",
        "\u200b",
    ),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        ".",
        "..",
        "~",
        "-",
        "--help",
        "%s%n",
        "{0}",
        "{{7*7}}",
        "<script>alert(1)</script>",
    ),
    *(
        "=1+1",
        "| a | b |",
        "\ufeff",
        "\U0001f600",
        "é" * 300,
        "1 km",
        "50 ms",
        "-5 ms",
        "1e400 s",
        "99999999999999999999 h",
        "2026-02-30",
    ),
    *("os:getcwd", "local", "t4", "l4", "usa", "9999-12-31", "[" * 200),
)
BYTES = (
    b"\x00",
    b"\xff",
    b"\n",
    b"\r\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b'"',
    b"'",
    b",",
    b";",
    b":",
    b"{",
    b"[",
    b"&a ",
    b"*a",
    b"!!python/",
    b"-",
    b"e999",
)
HUGE = 10**400
DEEP = 300
MOST_BYTES = 4_000_000


def value(random: Random) -> Any:
    """Return a value that stands in no file that is right, or in the wrong place."""
    kind = random.randrange(9)
    if kind == 0:
        return random.choice(INTEGERS)
    if kind == 1:
        return random.choice(FLOATS)
    if kind == 2:
        return random.choice(TEXTS)
    if kind == 3:
        return random.choice((None, True, False))
    if kind == 4:
        return random.choice(([], {}, [[]], [None], {"": None}, [0] * 1000))
    if kind == 5:
        return random.choice((HUGE, -HUGE))
    if kind == 6:
        return _nested(random)
    if kind == 7:
        return random.randint(-(10**6), 10**6) / random.choice((1, 10, 1000))
    return "".join(
        chr(random.choice((random.randrange(32, 127), random.randrange(1, 0xD800)))) for _ in range(random.randrange(12))
    )


def _nested(random: Random) -> Any:
    made: Any = 0
    is_list = random.random() < 0.5
    for _ in range(random.choice((3, DEEP))):
        made = [made] if is_list else {"a": made}
    return made


def tree(random: Random, root: Any) -> Any:
    """Return a tree of lists, dictionaries and values with one to four things changed in it."""
    root = copy.deepcopy(root)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        parents = _way_down(random, root)
        if not parents:
            return value(random)
        holder, key = parents[-1]
        _change(random, holder, key, root)
    return root


def _way_down(random: Random, root: Any) -> list[tuple[Any, Any]]:
    """Return the way to a part of the tree: each holder with the key that leads on."""
    way: list[tuple[Any, Any]] = []
    place = root
    while isinstance(place, dict | list) and place:
        key = random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
        way.append((place, key))
        place = place[key]
        if random.random() < 0.15:
            break
    return way


def _change(random: Random, holder: Any, key: Any, root: Any) -> None:
    old = holder[key]
    # What is of the right kind gets further than what is not.
    if random.random() < 0.65:
        holder[key] = _alike(random, old)
        return
    kind = random.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(old))
    elif kind == 1:
        holder[random.choice(TEXTS)] = holder.pop(key)
    elif kind == 2:
        other = _way_down(random, root)
        holder[key] = copy.deepcopy(other[-1][0][other[-1][1]]) if other else None
    else:
        holder[key] = value(random)


def _alike(random: Random, old: Any) -> Any:
    """Return another value of the kind."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return random.choice((0, -old, old + 1, old - 1, old * 1000, random.choice(INTEGERS)))
    if isinstance(old, float):
        return random.choice((0.0, -old, old + 1, old * 1e6, old * 1e-6, random.choice(FLOATS)))
    if isinstance(old, str):
        return random.choice((random.choice(TEXTS), old[: len(old) // 2], old + "x", old.upper()))
    if isinstance(old, list):
        return random.choice((old[:-1], old[1:], old * 2, old[::-1], []))
    if isinstance(old, dict):
        left_out = random.choice(list(old)) if old else None
        return {key: entry for key, entry in old.items() if key != left_out}
    return random.choice((0, 1.0, "x", [], {}))


def as_json(random: Random, root: Any) -> bytes:
    """Return a tree as JSON, now and then in a way that other tools write it."""
    text = json.dumps(root, indent=random.choice((None, 1)), ensure_ascii=random.random() < 0.5)
    if random.random() < 0.9:  # JSON itself has neither
        text = text.replace("Infinity", "1e999").replace("NaN", random.choice(("null", "0", "-1e999")))
    if random.random() < 0.05 and text.startswith("{"):
        text = '{"schema_version": 1, ' + text[1:]
    encoding = random.choice(("utf-8",) * 12 + ("utf-8-sig", "utf-16", "utf-32"))
    return text.encode(encoding, errors="surrogatepass")


def raw(random: Random, content: bytes, other: bytes = b"") -> bytes:
    """Return bytes with one to eight things changed in them; parts of `other` may be put in."""
    made = bytearray(content[:MOST_BYTES])
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        _change_bytes(random, made, other)
    return bytes(made)


def _change_bytes(random: Random, made: bytearray, other: bytes) -> None:
    kind, size = random.randrange(9), len(made)
    start = random.randrange(size + 1)
    end = min(size, start + random.choice((1, 2, 4, 16, 200)))
    if kind == 0 and size > start:
        made[start] ^= 1 << random.randrange(8)
    elif kind == 1 and size > start:
        made[start] = random.randrange(256)
    elif kind == 2:
        del made[start:end]
    elif kind == 3:
        made[start:start] = made[start:end] * random.choice((1, 2, 20))
    elif kind == 4:
        made[start:start] = random.choice(BYTES)
    elif kind == 5:
        made[start:end] = random.choice((*TEXTS, *map(str, INTEGERS), *map(str, FLOATS))).encode(errors="surrogatepass")
    elif kind == 6 and random.random() < 0.3:
        del made[start:]
    elif kind == 7 and other:
        begin = random.randrange(len(other))
        made[start:end] = other[begin : begin + 64]
    else:
        made[start:start] = random.randbytes(random.choice((1, 3, 8)))


def message(random: Random, root: Any) -> None:
    """Change one field of a message of protobuf, somewhere in it, in place."""
    holders = [root]
    place = root
    while random.random() > 0.08:
        inner = [part for _, found in place.ListFields() for part in _messages(found)]
        if not inner:
            break
        place = random.choice(inner)
        holders.append(place)
    holder = holders[-1]
    fields = holder.ListFields()
    if random.random() < 0.15 or not fields:
        _set_another(random, holder)
        return
    field, found = random.choice(fields)
    if hasattr(found, "ListFields"):
        holder.ClearField(field.name)
    elif hasattr(found, "extend"):
        _change_repeated(random, found)
    else:
        _set(holder, field.name, _scalar(random, found))


def _messages(found: Any) -> list[Any]:
    if hasattr(found, "ListFields"):
        return [found]
    return [part for part in found if hasattr(part, "ListFields")] if hasattr(found, "extend") else []


def _change_repeated(random: Random, found: Any) -> None:
    if not len(found):
        return
    place, kind = random.randrange(len(found)), random.randrange(4)
    if kind == 0:
        del found[place]
    elif kind == 1:
        found.extend([found[place]])
    elif kind == 2 and len(found) > 1:
        one, other = copy.deepcopy(found[place]), copy.deepcopy(found[place - 1])
        if hasattr(one, "CopyFrom"):
            found[place].CopyFrom(other)
            found[place - 1].CopyFrom(one)
        else:
            found[place], found[place - 1] = other, one
    elif hasattr(found[place], "ListFields"):
        message(random, found[place])
    else:
        try:
            found[place] = _scalar(random, found[place])
        except (TypeError, ValueError):  # out of the range of the field
            del found[place]


def _set_another(random: Random, holder: Any) -> None:
    """Set a field that was not there."""
    fields = [field for field in holder.DESCRIPTOR.fields if field.message_type is None]
    if not fields:
        return
    field = random.choice(fields)
    try:
        getattr(holder, field.name).append(random.choice((0, 1, -1, b"x", "x")))
    except AttributeError:
        _set(holder, field.name, random.choice((*INTEGERS, 1.5, "x", b"x")))
    except (TypeError, ValueError):
        return


def _set(holder: Any, name: str, wanted: Any) -> None:
    try:
        setattr(holder, name, wanted)
    except (TypeError, ValueError):  # not of the type or the range of the field
        holder.ClearField(name)


def _scalar(random: Random, old: Any) -> Any:
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return random.choice((*INTEGERS, old + 1, old - 1, -old))
    if isinstance(old, float):
        return random.choice(FLOATS)
    if isinstance(old, bytes):
        return raw(random, old)
    return random.choice((*TEXTS, old + old)).encode(errors="replace").decode()
