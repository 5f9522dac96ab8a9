"""The journal: what is in it survives a kill at any byte and damage to any line, and nothing else is taken for it."""

import os

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.measure.timing.journal import KEPT, Journal, noting_what_is_kept, of_load_tests
from advisor.schema.record import Estimate, Exclusion

# The folder is shared by the examples of one property; every example begins with a file of its own.
one_folder = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

ENTRIES = [Exclusion(what=f"entry {number}", reason="two lines\nand an umlaut: ü") for number in range(5)]


def opened(path, question="q"):
    return Journal(path, question, msgspec.json.Decoder(Exclusion))


def written(path, entries=ENTRIES):
    path.unlink(missing_ok=True)
    journal = opened(path)
    for entry in entries:
        journal.add(entry)
    return path


def test_what_was_added_is_there_again(tmp_path):
    assert ENTRIES == opened(written(tmp_path / "new folder" / "journal")).entries


@one_folder
@given(st.data())
def test_a_kill_at_any_byte_loses_at_most_the_entry_being_written(tmp_path, data):
    path = written(tmp_path / "journal")
    content = path.read_bytes()
    length = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:length])

    assert ENTRIES[: max(content[:length].count(b"\n") - 1, 0)] == opened(path).entries


@one_folder
@given(st.data())
def test_after_a_kill_the_journal_goes_on_as_if_nothing_had_happened(tmp_path, data):
    path = written(tmp_path / "journal")
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    journal = opened(path)

    for entry in ENTRIES[len(journal.entries) :]:
        journal.add(entry)

    assert content == path.read_bytes()


@one_folder
@given(
    st.integers(1, len(ENTRIES)),
    st.sampled_from([b"", b"\xff\xfe", b"{}", b"[]", b'{"what": 1, "reason": "r"}', b"\x00\x00", b'{"what": "en', b"\r"]),
)
def test_a_damaged_line_costs_its_own_entry_and_no_other(tmp_path, number, damage):
    path = written(tmp_path / "journal")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:number], damage + b"\n", *lines[number + 1 :]]))
    rest = ENTRIES[: number - 1] + ENTRIES[number:]

    journal = opened(path)
    journal.add(ENTRIES[0])

    assert [*rest, ENTRIES[0]] == journal.entries == opened(path).entries


@pytest.mark.parametrize("content", [b"\n", b"\xff\xfe\n", b"[]\n", b"a letter\n", b'q\n{"what": "w", "reason": "r"}\n'])
def test_a_file_that_is_no_journal_is_refused_and_stays(content, tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(content)

    with pytest.raises(InputError, match="not a journal of advisor"):
        opened(path)

    assert content == path.read_bytes()


@pytest.mark.parametrize("entries", [ENTRIES, []])
def test_an_interrupt_says_that_something_is_kept_where_something_is(entries, tmp_path):
    journal = opened(written(tmp_path / "journal", entries))

    with pytest.raises(KeyboardInterrupt) as raised, noting_what_is_kept(journal.entries):
        raise KeyboardInterrupt

    assert ([KEPT] if entries else []) == getattr(raised.value, "__notes__", [])


def test_another_question_starts_afresh(tmp_path):
    path = written(tmp_path / "journal")

    assert [] == opened(path, "another").entries
    assert [] == opened(path).entries  # the old answers are gone


def test_an_entry_is_on_disk_before_the_next_is_made(tmp_path):
    journal = opened(tmp_path / "journal")

    for number, entry in enumerate(ENTRIES, start=1):
        journal.add(entry)
        assert ENTRIES[:number] == opened(tmp_path / "journal").entries


def test_what_is_kept_is_not_made_again(tmp_path):
    made = []

    def make(entry):
        return lambda: made.append(entry) or entry

    for _ in range(2):
        journal = opened(tmp_path / "j")
        assert list(ENTRIES) == [journal.once(entry, make(entry), by=lambda kept: kept) for entry in ENTRIES]

    assert list(ENTRIES) == made == opened(tmp_path / "j").entries


def test_an_interrupt_of_what_is_made_says_what_is_kept_of_the_others(tmp_path):
    journal = opened(tmp_path / "j")
    journal.add(ENTRIES[0])

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as end:
        journal.once(ENTRIES[1], interrupted, by=lambda kept: kept)

    assert [KEPT] == end.value.__notes__


def test_load_tests_of_other_advice_or_another_length_begin_anew(tmp_path):
    asked = (("a" * 64, 1.0), ("a" * 64, None), ("b" * 64, 1.0))
    of_load_tests(tmp_path / "advice.json", *asked[0], Exclusion).add(Exclusion(what="x", reason="y"))

    kept = [
        len(of_load_tests(tmp_path / "advice.json", *question, Exclusion).entries) for question in (asked[0], *asked, asked[0])
    ]

    assert [1, 1, 0, 0, 0] == kept
    assert [tmp_path / "advice.load-tests"] == list(tmp_path.iterdir())


def test_a_finished_journal_is_removed(tmp_path):
    path = written(tmp_path / "journal")

    opened(path).remove()

    assert not path.exists()


def test_a_folder_where_nothing_can_be_written_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(InputError, match=rf"{tmp_path}/file/journal"):
        opened(tmp_path / "file" / "journal")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_a_disk_that_is_full_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "journal"
    path.symlink_to("/dev/full")
    with pytest.raises(InputError, match=rf"{path}: cannot write there \(No space left"):
        opened(path)

    path.unlink()
    journal = opened(path)
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(InputError, match=rf"{path}: cannot write there \(No space left"):
        journal.add(ENTRIES[0])


@one_folder
@given(st.data())
def test_a_byte_that_changed_costs_its_own_line_and_no_other(tmp_path, data):
    path = written(tmp_path / "journal")
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    lost = bytes(written(tmp_path / "whole").read_bytes()[:place]).count(b"\n") - 1  # -1: the first line, which holds no entry

    entries = opened(path).entries

    # A newline that is gone joins two lines, one that is new parts one.
    assert all(entry in ENTRIES for entry in entries)
    assert [entry for number, entry in enumerate(ENTRIES) if number not in (lost, lost + 1)] == [
        entry for number, entry in enumerate(ENTRIES) if number not in (lost, lost + 1) and entry in entries
    ]


def test_a_line_of_another_run_is_passed_over(tmp_path):
    path, other = written(tmp_path / "journal"), written(tmp_path / "other", ENTRIES[:0])
    Journal(other, "another", msgspec.json.Decoder(Exclusion)).add(Exclusion(what="foreign", reason="r"))
    path.write_bytes(path.read_bytes() + other.read_bytes())

    assert ENTRIES == opened(path).entries


def test_a_first_line_that_is_damaged_costs_no_entry(tmp_path):
    path = written(tmp_path / "journal")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"digest"', b'"d\xff"'))

    assert ENTRIES == opened(path).entries
    assert content == path.read_bytes()


def test_an_entry_of_senseless_values_is_passed_over(tmp_path):
    path = tmp_path / "journal"
    decoder = msgspec.json.Decoder(Estimate)
    journal = Journal(path, "q", decoder)
    good = Estimate(value=1.0, low=0.5, high=2.0, basis="measured", source="a test")
    for entry in (good, msgspec.structs.replace(good, low=1.5), msgspec.structs.replace(good, value=1e305)):
        journal.add(entry)

    assert [good] == Journal(path, "q", decoder).entries
