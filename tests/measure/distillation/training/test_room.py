"""Memory and disk: known before a training starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError, ModelError
from advisor.measure.distillation.training import room
from advisor.measure.distillation.training.room import Batch, Sizes

MINI = Sizes(
    parameters=17_000_000,
    trained_parameters=6_000_000,
    teacher_parameters=23_000_000,
    layers=3,
    hidden=384,
    heads=12,
    logits=0,
)


@given(st.integers(1, 512), st.integers(10**8, 10**11))
def test_what_is_chosen_fits_into_the_share_of_the_memory(longest, free):
    try:
        batch = room.fitting(MINI, longest, free)
    except ModelError:
        assert room.needed_bytes(MINI, Batch(1, min(longest, room.LEAST_LENGTH))) > room.SHARE * free
        return

    assert room.needed_bytes(MINI, batch) <= room.SHARE * free
    assert 1 <= batch.longest <= longest and batch.size in room.BATCH_SIZES


def test_with_room_for_all_the_batch_is_the_largest_and_nothing_is_cut():
    assert Batch(room.BATCH_SIZES[0], 200) == room.fitting(MINI, 200, 64 * 10**9)
    assert Batch(room.BATCH_SIZES[0], 200) == room.fitting(MINI, 200, None)


def test_batches_shrink_before_texts_are_cut():
    whole = room.needed_bytes(MINI, Batch(1, 512))

    assert Batch(1, 512) == room.fitting(MINI, 512, int(whole / room.SHARE) + 1)


def test_logits_of_a_vocabulary_count():
    many = MINI._replace(logits=50_000)

    assert room.needed_bytes(many, Batch(8, 64)) - room.needed_bytes(MINI, Batch(8, 64)) == 8 * 64 * 50_000 * 4 * 6


def test_a_disk_that_is_too_small_is_refused_with_both_sizes(tmp_path):
    room.refuse_small_disk(tmp_path, 1000, free=1000)

    with pytest.raises(InputError, match=r"take 1 kB, and 999 B are free"):
        room.refuse_small_disk(tmp_path, 1000, free=999)


def test_the_disk_of_the_folder_is_looked_at(tmp_path):
    with pytest.raises(InputError, match="are free on that disk"):
        room.refuse_small_disk(tmp_path, 10**18)
