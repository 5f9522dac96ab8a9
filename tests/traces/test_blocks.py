"""A file in pieces is the file: nothing is lost between two, lines are whole and have the numbers that they have."""

import gzip
import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.traces.blocks import blocks, line_ends

contents = st.lists(st.sampled_from(["a", "1,2", "é", "\n", "\r\n", "\r", ""]), max_size=60).map("".join)


@settings(max_examples=80)
@given(contents, st.integers(1, 20), st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_the_pieces_are_the_whole_file_in_whole_lines(tmp_path_factory, text, block_bytes, is_packed, encoding):
    path = tmp_path_factory.mktemp("blocks") / "t"
    stored = text.encode(encoding)
    path.write_bytes(gzip.compress(stored) if is_packed else stored)
    digest = hashlib.sha256()

    found = list(blocks(path, digest, block_bytes=max(block_bytes, 4)))

    assert text.encode() == b"".join(block.content for block in found)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest.hexdigest()
    before = b""
    for block in found:
        assert 1 + line_ends(before) == block.first_line
        assert not before or before.endswith((b"\n", b"\r"))
        before += block.content
    assert len(list(io.StringIO(text, newline=""))) == sum(len(list(io.StringIO(b.content.decode(), newline=""))) for b in found)


def test_what_is_no_text_is_refused_wherever_it_stands(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"at\n" + b"1\n" * 1000 + b"\xff\n")

    with pytest.raises(UnicodeDecodeError):
        list(blocks(path, hashlib.sha256(), block_bytes=100))
