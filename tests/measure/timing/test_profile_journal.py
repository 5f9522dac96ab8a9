"""The journal of a profile: what its entries come to, each thing told once."""

from advisor.measure.timing.profile_journal import LeftOut, MadeVariant, Point, ProfileJournal, Visited
from advisor.schema.profile import Variant, Visit
from advisor.schema.record import Exclusion


def point(variant="fp32", batch_size=1):
    return Point(variant=variant, batch_size=batch_size, sequence_length=None, intra_op_num_threads=1, instances=1)


def visited(number, batch_size=1):
    visit = Visit(order=number, latency_s=(0.25, 0.5 + number), run_delay_s=None)
    return Visited(point=point(batch_size=batch_size), visit=visit, elapsed_s=0.125)


def made(name, sha256="a" * 64):
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
    journal = ProfileJournal(path, digest)
    for entry in entries:
        journal.add(entry)
    return path


def test_what_was_added_is_there_again(tmp_path):
    journal = ProfileJournal(written(tmp_path / "journal", ENTRIES), "d")

    assert ENTRIES == journal.entries
    assert ["fp32", "int8"] == [variant.id for variant in journal.variants]
    assert {point(): [ENTRIES[3].visit, ENTRIES[4].visit], point(batch_size=4): [ENTRIES[5].visit]} == journal.visits
    assert 3 * 0.125 == journal.measured_s
    assert ["fp16", "b"] == [exclusion.what for exclusion in journal.exclusions]
    assert {point("b")} == journal.points_left_out


def test_a_visit_after_damage_is_later_than_all_before(tmp_path):
    path = written(tmp_path / "journal", ENTRIES)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"damaged\n", *lines[3:]]))

    journal = ProfileJournal(path, "d")

    assert len(ENTRIES) - 1 == len(journal.entries)
    assert journal.next_order > max(entry.visit.order for entry in ENTRIES if isinstance(entry, Visited))


def test_every_entry_has_an_order_of_its_own(tmp_path):
    journal = ProfileJournal(tmp_path / "journal", "d")

    for number, entry in enumerate(ENTRIES):
        assert number == journal.next_order
        journal.add(entry)


def test_a_variant_that_was_made_again_is_known_once(tmp_path):
    journal = ProfileJournal(written(tmp_path / "journal", [made("int8", "0" * 64), made("int8", "1" * 64)]), "d")

    assert ["1" * 64] == [variant.sha256 for variant in journal.variants]


def test_the_same_exclusion_is_reported_once(tmp_path):
    journal = ProfileJournal(written(tmp_path / "journal", [left_out("int8"), left_out("int8")]), "d")

    assert ["int8"] == [exclusion.what for exclusion in journal.exclusions]


def test_visits_of_a_file_in_whose_place_another_was_made_do_not_count(tmp_path):
    again = ProfileJournal(written(tmp_path / "again", [made("fp32"), visited(1), made("fp32"), visited(2)]), "d")
    other = ProfileJournal(
        written(tmp_path / "other", [made("fp32", "0" * 64), visited(1), made("fp32", "1" * 64), visited(2)]), "d"
    )

    assert [1, 2] == [visit.order for visit in again.visits[point()]]
    assert [2] == [visit.order for visit in other.visits[point()]]
