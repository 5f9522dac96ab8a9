"""Which items are held out is decided by each of them alone."""

import hashlib

import pytest

from advisor.errors import InputError
from advisor.measure.distillation.training import holding_out


def test_about_a_tenth_of_all_items_is_held_out():
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(5000)]

    share = sum(map(holding_out.is_held_out, digests)) / len(digests)

    assert abs(holding_out.HELD_OUT - share) < 0.02


@pytest.mark.parametrize(("learned", "held_out"), [(19, 50), (50, 4), (0, 0)])
def test_too_few_items_on_either_side_are_refused_with_both_counts(learned, held_out):
    with pytest.raises(InputError, match=rf"{learned} are learned from and {held_out} held out"):
        holding_out.refuse_few(learned, held_out, "texts.txt", "texts")


def test_enough_of_both_are_taken():
    holding_out.refuse_few(20, 5, "texts.txt", "texts")
