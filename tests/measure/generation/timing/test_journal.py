"""The journal of a generative model's profile: what was measured is there again, unless the files that it was of are others."""

from msgspec.structs import replace

from advisor.measure.generation.scripts import Part, Script
from advisor.measure.generation.step_timing import Decode, Point, Prefill
from advisor.measure.generation.text_quality import Scored
from advisor.measure.generation.timing.journal import GenerationJournal, LeftOut, ScoredText, Speculated, Visited, Watched
from advisor.schema.generation import StepVisit
from advisor.schema.profile import Stalls
from advisor.schema.record import Exclusion

PREFILL = Point(variant="fp32", intra_op_num_threads=1, step=Prefill(tokens=8))
DECODE = Point(variant="fp32", intra_op_num_threads=1, step=Decode(batch_size=2, context_tokens=8))
SCORED = Scored(surprise=(1.5,), greedy=((1, 2),))
STALLS = Stalls(watched_s=0.5, gaps_s=(), shortest_s=0.001)


def visited(point, order, sha256="a", peak=10):
    visit = StepVisit(order=order, wall_s=(0.5,), cpu_s=(0.25,), waited_s=0.125)
    return Visited(point=point, sha256=sha256, visit=visit, elapsed_s=0.75, peak_memory_bytes=peak)


ENTRIES = [
    ScoredText(variant="fp32", sha256="a", scored=SCORED, elapsed_s=2.0),
    Watched(stalls=STALLS, elapsed_s=0.5),
    visited(PREFILL, 0),
    visited(DECODE, 1, peak=30),
    visited(PREFILL, 2),
    LeftOut(exclusion=Exclusion(what="int4", reason="it crashed"), point=None),
]


def written(path, entries):
    journal = GenerationJournal(path, "question")
    for entry in entries:
        journal.add(entry)
    return journal


def test_what_was_added_is_there_again(tmp_path):
    written(tmp_path / "p.journal", ENTRIES)

    journal = GenerationJournal(tmp_path / "p.journal", "question")

    assert ENTRIES == journal.entries
    assert {PREFILL: [ENTRIES[2].visit, ENTRIES[4].visit], DECODE: [ENTRIES[3].visit]} == journal.visits
    assert SCORED == journal.scored("fp32")
    assert journal.scored("int8") is None
    assert [STALLS] == journal.watches
    assert 30 == journal.peak_memory_bytes("fp32")
    assert (2.0, 3 * 0.75 + 0.5, 3) == (journal.scoring_s, journal.timing_s, journal.next_order)
    assert ["int4"] == [entry.what for entry in journal.exclusions]


def test_a_line_that_a_kill_cut_short_costs_no_other(tmp_path):
    path = tmp_path / "p.journal"
    written(path, ENTRIES)
    path.write_bytes(path.read_bytes()[:-20])

    assert ENTRIES[:-1] == GenerationJournal(path, "question").entries


def test_visits_of_other_files_under_the_same_name_do_not_count(tmp_path):
    journal = written(tmp_path / "p.journal", ENTRIES)

    journal.knows("fp32", "b")
    journal.add(visited(DECODE, 3, sha256="b"))

    assert {DECODE: [visited(DECODE, 3).visit]} == journal.visits
    assert journal.scored("fp32") is None


def test_another_question_begins_anew(tmp_path):
    written(tmp_path / "p.journal", ENTRIES)

    assert [] == GenerationJournal(tmp_path / "p.journal", "another").entries


SCRIPT = Point(variant="openvino", intra_op_num_threads=1, step=Script(0, 0, 8))


def played(order, sha256="a"):
    entry = visited(SCRIPT, order, sha256)
    return replace(entry, parts=(Part(batch_size=0, context_tokens=0, tokens=8, visit=entry.visit),))


def speculated(text, running, sha256="a", found=None):
    return Speculated(variant="openvino", sha256=sha256, text=text, running_requests=running, found=found, elapsed_s=1.5)


def test_scripts_are_there_again_with_what_they_were_made_of(tmp_path):
    written(tmp_path / "p.journal", [played(0), visited(PREFILL, 1), played(2)])

    journal = GenerationJournal(tmp_path / "p.journal", "question")

    assert {SCRIPT: [played(0).parts, played(2).parts]} == journal.parts
    journal.knows("openvino", "b")
    assert {} == journal.parts


def test_what_lookup_did_is_there_again_and_that_there_was_no_time(tmp_path):
    written(tmp_path / "p.journal", [speculated("copying", 1), speculated("free", 8), speculated("given", 1, sha256="b")])

    journal = GenerationJournal(tmp_path / "p.journal", "question")
    journal.knows("openvino", "a")

    assert {("copying", 1): None, ("free", 8): None} == journal.speculated("openvino")
    assert {} == journal.speculated("another")
    assert (4.5, 0.0) == (journal.speculating_s, journal.timing_s)
