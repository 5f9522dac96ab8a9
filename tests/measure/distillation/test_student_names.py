"""Names of students: each says what it keeps, and says it in one way."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.measure.distillation.student_names import (
    FORMS,
    StudentName,
    kept_blocks,
    parse,
    proposed_blocks,
    proposed_trees,
    refuse_more,
)

counts = st.integers(1, 9_999_999)
names = st.one_of(
    st.builds(lambda blocks: StudentName("blocks", blocks=blocks), counts),
    st.builds(lambda width: StudentName("blocks", width=width), counts),
    st.builds(lambda blocks, width: StudentName("blocks", blocks=blocks, width=width), counts, counts),
    st.builds(lambda blocks: StudentName("trees", blocks=blocks), counts),
    st.sampled_from([StudentName("linear"), StudentName("mlp"), StudentName("static")]),
)


@given(names)
def test_a_name_says_what_it_was_made_of(name):
    assert name == parse(name.id)


@given(st.text(max_size=30) | names.map(lambda name: name.id).map(lambda text: f"{text}-"))
def test_what_is_no_name_is_refused_with_all_that_are(text):
    try:
        found = parse(text)
    except InputError as error:
        assert FORMS in error.hint and "\n" not in error.hint
    else:
        assert text == found.id


@pytest.mark.parametrize(
    "text", ["layers-0", "layers-03", "layers--3", "width-192-layers-3", "LAYERS-3", "layers-٣", "trees-", "", "auto"]
)
def test_names_are_written_in_one_way(text):
    with pytest.raises(InputError, match="names no student"):
        parse(text)


@given(st.integers(1, 200), st.data())
def test_evenly_spaced_blocks_are_as_many_as_wanted_with_the_first_and_the_last(blocks, data):
    wanted = data.draw(st.integers(1, blocks))

    kept = kept_blocks(blocks, wanted)

    assert wanted == len(set(kept)) and list(kept) == sorted(kept)
    assert kept[0] == 0 and (wanted == 1 or kept[-1] == blocks - 1)
    gaps = {after - before for before, after in itertools.pairwise(kept)}
    assert max(gaps, default=1) - min(gaps, default=1) <= 1


@given(st.integers(1, 200), st.none() | st.integers(1, 64), st.integers(1, 128))
def test_every_proposed_student_is_smaller_than_its_teacher_and_has_whole_heads(layers, heads, size):
    width = None if heads is None else heads * size

    proposed = [parse(text) for text in proposed_blocks(layers, width=width, multiple=size)]

    assert len(proposed) == len(set(proposed))
    for name in proposed:
        assert name.blocks is None or name.blocks < layers
        assert name.width is None or (name.width < width and name.width % size == 0)


def test_half_of_the_layers_come_first_and_both_ways_together_later():
    expected = ("layers-3", "layers-2", "width-192", "layers-3-width-192", "layers-1")

    assert expected == proposed_blocks(6, width=384, multiple=32)


@pytest.mark.parametrize(("trees", "expected"), [(1, ()), (2, ("trees-1",)), (100, ("trees-50", "trees-10"))])
def test_half_and_a_tenth_of_the_trees_are_proposed(trees, expected):
    assert expected == proposed_trees(trees)


@pytest.mark.parametrize(
    ("asked", "there", "said"), [(6, 6, "from 1 to 5"), (9, 6, "from 1 to 5"), (1, 1, "nothing to leave out")]
)
def test_as_many_as_there_are_is_no_student(asked, there, said):
    with pytest.raises(InputError) as caught:
        refuse_more(asked, there, "layers", f"layers-{asked}", "model")

    assert said in caught.value.hint
