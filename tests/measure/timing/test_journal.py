"""The journal: what was measured survives a kill at any byte, and nothing else is taken for it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.measure.timing.journal import Journal, LeftOut, MadeVariant, Point, Visited
from advisor.schema.profile import Variant, Visit
from advisor.schema.record import Exclusion

# The folder is shared by the examples of one property; every example begins with a file of its own.
one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def point(variant="fp32", batch_size=1):
    return Point(variant=variant, batch_size=batch_size, sequence_length=None, intra_op_num_threads=1, instances=1)


def visited(number, batch_size=1):
    visit = Visit(order=number, latency_s=(0.25, 0.5 + number), run_delay_s=None)
    return Visited(point=point(batch_size=batch_size), visit=visit, elapsed_s=0.125)


def made(name, sha256="a"):
    return MadeVariant(
        variant=Variant(
            id=name,
            scheme=name,
            title="a variant with a name of two lines\nand an umlaut: ü",
            path=f"{name}.onnx",
            sha256=sha256,
            bytes=1,
            derived_from="fp32",
            changed_operators={},
            changed_weight_bytes=0,
            lossless=False,
            load_s=None,
            peak_memory_bytes=None,
            agreement=None,
            quality=None,
        )
    )


def left_out(name, at=None):
    return LeftOut(exclusion=Exclusion(what=name, reason="it crashed"), point=at)


ENTRIES = [
    made("fp32"),
    made("int8"),
    left_out("fp16"),
    visited(3),
    visited(4),
    visited(5, batch_size=4),
    left_out("b", point("b")),
]


def written(path, entries, digest="d"):
    journal = Journal(path, digest)
    for entry in entries:
        journal.add(entry)
    journal.close()
    return path


def reopened(path, digest="d"):
    journal = Journal(path, digest)
    journal.close()
    return journal


def test_what_was_added_is_there_again(tmp_path):
    journal = reopened(written(tmp_path / "journal", ENTRIES))

    assert ENTRIES == journal.entries
    assert journal.is_resumed
    assert ["fp32", "int8"] == [variant.id for variant in journal.variants]
    assert {point(): [ENTRIES[3].visit, ENTRIES[4].visit], point(batch_size=4): [ENTRIES[5].visit]} == journal.visits
    assert 3 * 0.125 == journal.measured_s
    assert ["fp16", "b"] == [exclusion.what for exclusion in journal.exclusions]
    assert {point("b")} == journal.points_left_out


@one_folder
@given(st.data())
def test_a_kill_at_any_byte_loses_at_most_the_entry_being_written(tmp_path, data):
    path = written(tmp_path / "journal", ENTRIES)
    content = path.read_bytes()
    length = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:length])

    journal = reopened(path)

    assert ENTRIES[: max(content[:length].count(b"\n") - 1, 0)] == journal.entries
    path.unlink()


@one_folder
@given(st.data())
def test_after_a_kill_the_journal_goes_on_as_if_nothing_had_happened(tmp_path, data):
    path = written(tmp_path / "journal", ENTRIES)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    kept = reopened(path).entries

    written(path, ENTRIES[len(kept) :])

    assert content == path.read_bytes()
    path.unlink()


def test_a_damaged_line_ends_what_can_be_believed(tmp_path):
    path = written(tmp_path / "journal", ENTRIES)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b'{"type": "Visited"}\n', *lines[4:]]))

    assert ENTRIES[:2] == reopened(path).entries


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n", b"[]\n", b"a letter\n"])
def test_a_file_that_is_no_journal_is_begun_afresh(content, tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(content)

    assert not reopened(path).is_resumed
    assert ENTRIES == reopened(written(path, ENTRIES)).entries


def test_another_question_starts_afresh(tmp_path):
    path = written(tmp_path / "journal", ENTRIES)

    assert [] == reopened(path, digest="another").entries
    assert [] == reopened(path, digest="d").entries  # the old answers are gone


def test_an_entry_is_on_disk_before_the_next_is_made(tmp_path):
    journal = Journal(tmp_path / "journal", "d")

    for number, entry in enumerate(ENTRIES, start=1):
        journal.add(entry)
        assert number + 1 == (tmp_path / "journal").read_bytes().count(b"\n")

    journal.close()


def test_a_variant_that_was_made_again_is_known_once(tmp_path):
    journal = reopened(written(tmp_path / "journal", [made("int8", "old"), made("int8", "new")]))

    assert ["new"] == [variant.sha256 for variant in journal.variants]


def test_the_same_exclusion_is_told_once(tmp_path):
    journal = reopened(written(tmp_path / "journal", [left_out("int8"), left_out("int8")]))

    assert ["int8"] == [exclusion.what for exclusion in journal.exclusions]


def test_a_finished_journal_is_removed(tmp_path):
    path = written(tmp_path / "new folder" / "journal", ENTRIES)

    Journal(path, "d").remove()

    assert not path.exists()


def test_a_folder_where_nothing_can_be_written_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(InputError, match=rf"{tmp_path}/file/journal"):
        Journal(tmp_path / "file" / "journal", "d")
