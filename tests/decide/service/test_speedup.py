"""How many times faster a variant is than another, at one batch size, from visits of the same round."""

import pytest

from advisor.decide.service.speedup import largest_batch_of_both, speedup
from advisor.speed_ratios import pair_noise
from tests.profiles import profile, variant, with_site

VARIANTS = (variant(), variant("opt"))


def law(name, batch_size, _, threads, __):
    """Alone opt is twice as fast, in batches of four four times; on two threads it is as fast as the other."""
    faster = {1: 2.0, 4: 4.0}[batch_size] if threads == 1 else 1.0
    return 0.01 * batch_size / (faster if name == "opt" else 1.0)


def measured():
    return profile(law, variants=VARIANTS, batch_sizes=(1, 4), settings=((1, 1), (2, 1))).sites[0]


def faster(site, over="fp32", **asked):
    return speedup(site, "opt", over, **{"batch_size": 1, "sequence_length": None, **asked}, noise=pair_noise(site))


@pytest.mark.parametrize(("batch_size", "expected"), [(1, 2.0), (4, 4.0)])
def test_it_is_that_of_the_batch_size_that_is_asked_for_on_one_thread(batch_size, expected):
    assert expected == pytest.approx(faster(measured(), batch_size=batch_size).value)


def test_what_was_not_measured_of_both_has_none():
    assert faster(measured(), batch_size=2) is None
    assert faster(measured(), over="int8") is None
    assert faster(measured(), sequence_length=8) is None


def test_the_largest_batch_is_one_that_both_were_measured_in():
    whole = measured()
    few = [entry for entry in whole.measurements if (entry.variant, entry.batch_size) != ("opt", 4)]
    less = with_site(profile(law, variants=VARIANTS, batch_sizes=(1, 4)), measurements=tuple(few)).sites[0]

    assert 4 == largest_batch_of_both(whole, "opt", "fp32", None)
    assert 1 == largest_batch_of_both(less, "opt", "fp32", None)
    assert largest_batch_of_both(whole, "opt", "int8", None) is None
