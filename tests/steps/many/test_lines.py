"""Rows as lines: what is written is read again, whole or not at all, and a line that is none is refused by its number."""

import pytest
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.steps.many.lines import read_lines, write_lines
from tests.overviews import row


def test_rows_are_read_as_they_were_written(tmp_path):
    rows = [row("a", 10.0), row("b", None, outcome="failed"), row("c", 5.0, headline="a\u202eb")]

    assert 3 == write_lines(rows, tmp_path / "rows.jsonl")
    assert rows == list(read_lines(tmp_path / "rows.jsonl"))
    assert (tmp_path / "rows.jsonl").read_bytes().isascii()


def test_older_rows_stay_where_the_newer_ones_do_not_come_to_their_end(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_lines([row("a", 1.0)], path)

    def broken():
        yield row("b", 2.0)
        raise InputError("no more", hint="")

    with pytest.raises(InputError, match="no more"):
        write_lines(broken(), path)
    assert ["a"] == [it.id for it in read_lines(path)]
    assert ["rows.jsonl"] == [it.name for it in tmp_path.iterdir()]


@pytest.mark.parametrize("line", [b"{}", b"\xff", b'{"id": "../x"}', b"[" * 10000])
def test_a_line_that_is_no_row_is_refused_by_its_number(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    write_lines([row("a", 1.0)], path)
    path.write_bytes(path.read_bytes() + line + b"\n")

    with pytest.raises(InputError, match="line 2: no row"):
        list(read_lines(path))


def test_a_row_leads_to_nothing_but_a_file_below_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_lines([replace(row("a", 1.0), report_path="javascript:alert(1)")], path)

    with pytest.raises(InputError, match="line 1: no row"):
        list(read_lines(path))


def test_another_file_is_not_overwritten_and_none_is_refused(tmp_path):
    (tmp_path / "notes").write_text("mine")

    with pytest.raises(InputError, match="not overwritten"):
        write_lines([], tmp_path / "notes")
    with pytest.raises(InputError, match="no such file"):
        list(read_lines(tmp_path / "rows.jsonl"))
