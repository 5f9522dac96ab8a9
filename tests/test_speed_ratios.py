"""Ratios of visits of the same round: what the machine does to both cancels, and what differs from round to round is their noise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.medians import AGAIN, NORMAL_95, SHARED_CORE_LOG, UNREPEATED_FRACTION
from advisor.schema.profile import Measurement
from advisor.speed_ratios import PairNoise, Ratios, pair_noise, ratios
from tests.profiles import busy, fixed_cost_law, profile, variant, visit


def test_ratios_pair_visits_of_the_same_round_without_their_waiting():
    before, after = (
        Measurement(variant=name, batch_size=1, sequence_length=None, intra_op_num_threads=1, instances=1, visits=made)
        for name, made in (("fp32", (busy(2.0, 5.0), busy(2.2, 1.0))), ("opt", (busy(1.0, 3.0), busy(1.1, 2.0))))
    )

    found = ratios(before, after)

    assert [math.log(2)] * 2 == pytest.approx(list(found.logs))
    assert found.doubt > 0


def test_a_visit_that_shared_its_core_is_compared_as_if_it_had_not():
    before, after = (
        Measurement(variant=name, batch_size=1, sequence_length=None, intra_op_num_threads=1, instances=1, visits=(made,))
        for name, made in (("fp32", busy(2.0 * math.exp(SHARED_CORE_LOG), 5.0)), ("opt", visit(1.0)))
    )

    assert math.log(2) == pytest.approx(ratios(before, after).center)
    assert math.log(2) == pytest.approx(-ratios(after, before).center)


def noise_of_pairs(levels):
    law = fixed_cost_law(0.0, 1.0, of_variant={"opt": 0.5})
    return pair_noise(profile(law, variants=(variant(), variant("opt")), visits=levels).sites[0])


@given(st.lists(st.floats(0.2, 5.0), min_size=2, max_size=8))
def test_what_the_machine_does_to_both_of_a_round_is_no_noise_of_their_ratio(levels):
    assert 0.0 == pytest.approx(noise_of_pairs(levels).between_pairs, abs=1e-9)


def test_what_a_machine_does_to_both_of_a_round_hides_no_difference_between_processes():
    drift = np.exp(np.random.default_rng(0).normal(0, 0.5, 4))
    law = fixed_cost_law(0.0, 1.0, of_variant={f"fp32{AGAIN}": 1.2})
    made = profile(law, variants=(variant(), variant(f"fp32{AGAIN}")), visits=drift, batch_sizes=tuple(range(1, 13)))

    assert math.log(1.2) / math.sqrt(2) == pytest.approx(pair_noise(made.sites[0]).between_processes, rel=0.15)


def test_without_a_second_round_the_noise_of_a_ratio_is_assumed():
    assert math.sqrt(2) * math.log1p(UNREPEATED_FRACTION) / NORMAL_95 == pytest.approx(noise_of_pairs([1.0]).between_pairs)


def test_a_ratio_is_no_surer_than_all_pairs_are_even_where_its_own_agree_by_chance():
    noise = PairNoise(between_pairs=0.1, freedom=20.0, between_processes=0.02, process_freedom=6.0)
    agreeing, scattered = (Ratios(logs, (False,) * 4) for logs in ((0.5,) * 4, (0.1, 0.4, 0.6, 0.9)))

    assert NORMAL_95 * 0.1 / 2 < agreeing.half_width(noise) < scattered.half_width(noise)
    assert agreeing.half_width(noise) < Ratios((0.5,), (False,)).half_width(noise)
