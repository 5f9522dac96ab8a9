"""What a journal has grown by is handed on whole, whatever becomes of the file meanwhile."""

from hypothesis import given
from hypothesis import strategies as st

from advisor.steps.sweep.measuring import JournalTail

HEAD = b'{"type":"Key","digest":"%d"}\n'

# Between two looks a journal is added to, cut back to its last whole line, begun anew under another question, or removed.
changes = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.binary(min_size=1, max_size=8).filter(lambda line: b"\n" not in line and b"\r" not in line)),
        st.tuples(st.just("cut"), st.just(b"")),
        st.tuples(st.just("anew"), st.just(b"")),
        st.tuples(st.just("remove"), st.just(b"")),
    ),
    max_size=12,
)


@given(st.binary(max_size=20), changes)
def test_what_was_handed_on_is_the_journal_at_every_look(tmp_path_factory, before, steps):
    path = tmp_path_factory.mktemp("tail") / "p.journal"
    path.write_bytes(before)
    copy = bytearray(before)

    def took(start, piece, entries):
        copy[start:] = piece

    tail = JournalTail(path, took)
    for number, (what, line) in enumerate(steps):
        content = path.read_bytes() if path.exists() else b""
        if what == "remove":
            path.unlink(missing_ok=True)
        else:
            added = {"add": content + line + b"\n", "cut": content[: content.rfind(b"\n") + 1], "anew": HEAD % number}[what]
            path.write_bytes(added)
        tail.look()

        if path.exists() and path.read_bytes():  # one that is removed is done: its profile is written
            assert path.read_bytes() == bytes(copy)


def test_entries_that_were_there_before_are_not_counted_again(tmp_path):
    path = tmp_path / "p.journal"
    path.write_bytes(HEAD % 1 + b"one\n")
    counts = []
    tail = JournalTail(path, lambda start, piece, entries: counts.append(entries))

    path.write_bytes(HEAD % 2 + b"one\n")  # begun anew, what can be used of it kept
    tail.look()
    path.write_bytes(HEAD % 2 + b"one\ntwo\nthree\n")
    tail.look()

    assert [0, 2] == counts
    assert 2 == tail.entries
