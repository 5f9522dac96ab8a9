"""All lines at once give what line by line gives: the same numbers, the same faults; and both give what Python's own readers give."""

import csv
import gzip
import hashlib
import io
import json
import random
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.traces.requests import BYTES_PER_REQUEST, columns_of
from advisor.traces.table import Chosen

TIMES = {
    "seconds": lambda at: repr(at / 1e6),
    "whole seconds": lambda at: str(at // 10**6),
    "fixed": lambda at: f"{at / 1e6:.3f}",
    "savetxt": lambda at: f"{at / 1e6:.18e}",
    "ms since 1970": lambda at: str(1_763_798_400_000 + at // 1000),
    "ns since 1970": lambda at: str((1_763_798_400_000_000 + at) * 1000 + 7),
    "s since 1970": lambda at: f"{1_763_798_400 + at / 1e6:.6f}",
    "zulu": lambda at: stamp(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "utc": lambda at: stamp(at).strftime("%Y-%m-%d %H:%M:%S UTC"),
    "slashes": lambda at: stamp(at).strftime("%Y/%m/%d %H:%M:%S.%f0"),
    "zone": lambda at: stamp(at).astimezone(timezone(timedelta(hours=-3, minutes=-30))).isoformat(),
    "naive": lambda at: stamp(at).replace(tzinfo=None).isoformat(" "),
    "basic": lambda at: stamp(at).strftime("%Y%m%dT%H%M%S"),
    "minutes": lambda at: stamp(at).strftime("%Y-%m-%d %H:%M"),
}
ODD_TIMES = (
    "",
    "soon",
    "nan",
    "inf",
    "1e400",
    " 7",
    "7 ",
    "+7",
    "-7",
    "1_000",
    "1,5",
    "-1,5",
    "1,",
    ".5",
    "5.",
    "1.2.3",
    "0x10",
    "\u0661",
)
ODD_TIMES += (
    "9223372036854775808",
    "-9223372036854775808",
    "9" * 30,
    "2026-02-29T08:00:00",
    "2026-11-22T24:00:00",
    "2026-11-22T08:00:00z",
)
ODD_TIMES += (
    "2026-11-22T08:00:00.1234567890",
    "2026-11-22T08:00:00+25:00",
    "2026-11-22T08:00:00+0530",
    "2026-11-22T08:00:00.Z",
    "0000-01-01T00:00:00",
)
ODD_LENGTHS = ("", "0", "-3", "2.5", "12.0", "1e2", "many", "10000001", "10000000", "99999999999", " 5 ", "5,0", "007")


def stamp(at_us):
    return datetime(2026, 2, 28, 23, 59, 0, tzinfo=UTC) + timedelta(microseconds=at_us)


def choose(names):
    if "at" not in names:
        raise InputError("no column at", hint="write one")
    return Chosen("at", "tokens" if "tokens" in names else None, "answers" if "answers" in names else None)


def read(path, **how):
    """Return the columns, or the fault; and the digest of what was read."""
    digest = hashlib.sha256()
    try:
        return columns_of(path, choose, digest, **how), digest.hexdigest()
    except InputError as error:
        return error.fault, None
    except (UnicodeError, csv.Error) as error:
        return type(error), None


def assert_same(one, other):
    if isinstance(one, (str, type)) or isinstance(other, (str, type)):
        assert one == other
        return
    assert (one.chosen, one.by_clock) == (other.chosen, other.by_clock)
    np.testing.assert_array_equal(one.arrival, other.arrival, strict=True)
    for ours, theirs in ((one.length, other.length), (one.output, other.output)):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs, strict=True)


@st.composite
def files(draw):
    """Return the bytes of a table or of JSON lines, here and there with what few people write or nobody should."""
    count, kind = draw(st.integers(1, 40)), draw(st.sampled_from(sorted(TIMES)))
    columns = draw(st.sampled_from([(), ("tokens",), ("answers",), ("tokens", "answers"), ("answers", "tokens")]))
    luck = random.Random(draw(st.integers(0, 2**32)))
    odd = draw(st.sampled_from([0.0, 0.0, 0.05]))
    at = [luck.randrange(10**9) for _ in range(count)]
    times = [luck.choice(ODD_TIMES) if luck.random() < odd else TIMES[kind](each) for each in at]
    lengths = {
        name: [luck.choice(ODD_LENGTHS) if luck.random() < odd else str(luck.randrange(1, 5000)) for _ in at] for name in columns
    }
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    if draw(st.booleans()):
        return as_table(draw, luck, odd, times, lengths, end)
    return as_objects(luck, odd, times, lengths, end)


def as_table(draw, luck, odd, times, lengths, end):
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    quoted = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    extra = draw(st.sampled_from([(), ("model",), ("model", "prompt")]))
    first = draw(st.booleans())
    names = [*(extra if first else ()), "at", *lengths, *(() if first else extra)]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoted)
    writer.writerow(names)
    for place, when in enumerate(times):
        filled = ["ab", luck.choice(["x", "", "é", "a\nb", 'say "so"']) if luck.random() < odd else "y"][: len(extra)]
        row = [*(filled if first else ()), when, *(column[place] for column in lengths.values()), *(() if first else filled)]
        if luck.random() < odd:
            row = luck.choice([[], ["", ""], row[:-1], [*row, "more"], [" ", *row[1:]]])
        writer.writerow(row) if row else text.write(luck.choice(["", " "]) + end)
    return text.getvalue()[: None if luck.random() < 0.5 else -len(end)].encode()


def as_objects(luck, odd, times, lengths, end):
    lines = []
    for place, when in enumerate(times):
        entry = {"at": when if luck.random() < 0.2 else Written(when)}
        entry |= {name: Written(column[place]) for name, column in lengths.items()}
        entry |= {"other": [1, {"at": 2}]} if luck.random() < 0.3 else {}
        line = (
            "{"
            + ", ".join(
                f"{json.dumps(name)}: {value if isinstance(value, Written) else json.dumps(value)}"
                for name, value in entry.items()
            )
            + "}"
        )
        if luck.random() < odd:
            line = luck.choice(
                [
                    "",
                    " ",
                    "[1]",
                    "{",
                    "{}",
                    line[:-1],
                    line + line,
                    '{"at": null}',
                    '{"at": true}',
                    line.replace("a", "\\u0061", 1),
                ]
            )
        lines.append(line)
    return (end.join(lines) + (end if luck.random() < 0.5 else "")).encode()


class Written(str):
    """A value as it stands in JSON: a number without quotation marks, if it is one there."""

    def __format__(self, spec):
        try:
            json.loads(self)
        except json.JSONDecodeError:
            return json.dumps(str(self))
        return str(self)


@settings(max_examples=150)
@given(files(), st.sampled_from([7, 64, 300, 1 << 22]), st.booleans())
def test_all_lines_at_once_are_read_as_line_by_line(tmp_path_factory, content, block_bytes, is_packed):
    path = tmp_path_factory.mktemp("traces") / "t"
    path.write_bytes(gzip.compress(content) if is_packed else content)

    at_once, digest = read(path, block_bytes=block_bytes)
    one_by_one, _ = read(path, block_bytes=block_bytes, line_by_line=True)

    assert_same(one_by_one, at_once)
    assert digest in (None, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("odd", [" \n", "\n", '{"at":\n1}\n', "\r\n"])
def test_an_odd_line_does_not_make_up_for_two_requests_in_one(tmp_path, odd):
    path = tmp_path / "t"
    path.write_text(f'{{"at": 1}}\n{odd}{{"at": 2}}{{"at": 3}}\n{{"at": 4}}\n', newline="")

    found, _ = read(path)

    assert "not a JSON object" in str(found)


@settings(max_examples=80)
@given(files())
def test_the_size_of_a_piece_changes_nothing(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("traces") / "t"
    path.write_bytes(content)

    assert_same(read(path)[0], read(path, block_bytes=50)[0])


@pytest.mark.parametrize("kind", sorted(TIMES))
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_what_is_read_is_what_python_reads(tmp_path, kind, delimiter):
    luck = random.Random(1)
    times = [TIMES[kind](luck.randrange(10**9)) for _ in range(500)]
    lengths = [luck.randrange(1, 5000) for _ in times]
    path = tmp_path / "t.csv"
    path.write_text("\n".join([f"at{delimiter}tokens", *(f"{at}{delimiter}{n}" for at, n in zip(times, lengths, strict=True))]))

    found, _ = read(path)

    assert lengths == found.length.tolist()
    if found.by_clock:
        text = [each.replace("/", "-").replace(" UTC", "Z") for each in times]
        moments = [datetime.fromisoformat(each) for each in text]
        assert [each - moments[0] for each in moments] == [
            timedelta(microseconds=int(us - found.arrival[0])) for us in found.arrival
        ]
    else:
        assert [int(each) if each.isdigit() else float(each) for each in times] == found.arrival.tolist()


def test_the_first_wrong_line_of_many_is_named_however_far_down_it_is(tmp_path):
    lines = [f"{at},7" for at in range(5000)]
    lines[4321] = "4321,seven"
    lines[4500] = "later,8"
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["at,tokens", *lines]))

    fault, _ = read(path, block_bytes=1000)

    assert f"{path}: line 4323: 'seven' is not a whole number of tokens" == fault


def test_more_requests_than_memory_holds_are_refused_before_they_are_kept(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"at\n" + b"1\n" * 10**6))

    fault, _ = read(path, memory_bytes=1000 * BYTES_PER_REQUEST, block_bytes=4096)

    assert "more than 1,000 requests, for which 80,000 bytes of memory are too few" in fault


def test_a_line_without_end_is_refused_and_not_unpacked_to_its_end(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"at\n1\n" + b"7" * (1 << 25)))

    fault, _ = read(path)

    assert "line 3: longer than 16,777,216 bytes" in fault
