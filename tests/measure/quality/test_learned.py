"""What a student learned from is known by digests: nothing else is left out, and nothing of it stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.measure.quality import learned

TEXTS = st.lists(st.text(max_size=6), max_size=12)


def digests(texts):
    return [learned.digest_of_text((text,)) for text in texts]


@given(TEXTS, TEXTS)
def test_what_is_left_is_what_was_not_learned(known, asked):
    packed = learned.packed(digests(known))
    stripped = {text.strip() for text in known}
    expected = [place for place, text in enumerate(asked) if text.strip() not in stripped]

    if asked and not expected:
        with pytest.raises(InputError, match="learned from every one"):
            learned.others(packed, digests(asked), "quality.data", "d.csv")
    else:
        assert expected == learned.others(packed, digests(asked), "quality.data", "d.csv").tolist()


def test_the_lists_of_several_students_count_together():
    both = learned.packed(digests(["a", "b"])) + learned.packed(digests(["b", "c"]))

    assert [3] == learned.others(both, digests("abcd"), "quality.data", "d.csv").tolist()


def test_a_pair_is_another_item_than_its_parts():
    assert learned.digest_of_text(("a", "b")) not in digests(["a", "b", "ab"])


def test_a_student_without_a_list_is_not_known_and_a_damaged_one_is_refused(tmp_path):
    assert learned.read(tmp_path) is None

    (tmp_path / learned.FILE).write_bytes(b"123")
    with pytest.raises(InputError, match=r"learned.digests: 3 bytes are no digests"):
        learned.read(tmp_path)
