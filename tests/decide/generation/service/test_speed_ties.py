"""Variants as fast as a simpler one: the simpler is kept, and no difference is claimed."""

import pytest

from advisor.decide.generation.service.speed_ties import speed_ties
from tests.generation_profiles import Law, profile, variant

NOISY = (0.97, 1.0, 1.03, 0.99, 1.02)


@pytest.mark.parametrize(("factor", "is_tie"), [(1.0, True), (0.97, True), (0.5, False), (2.0, False)])
def test_a_variant_ties_unless_it_is_shown_to_be_of_another_speed(factor, is_tie):
    site = profile({"fp32": Law(), "other": Law().times(factor)}, levels=NOISY).sites[0]

    assert ({"other": "fp32"} if is_tie else {}) == speed_ties(site, "fp32", "fp32")


def test_a_variant_that_only_decodes_faster_does_not_tie():
    quicker = Law(decode=tuple(0.4 * cost for cost in Law().decode))
    site = profile({"fp32": Law(), "other": quicker}, levels=NOISY).sites[0]

    assert {} == speed_ties(site, "fp32", "fp32")


def test_what_runs_today_is_the_simplest():
    site = profile({"fp32": Law(), "today": Law()}, levels=NOISY).sites[0]

    assert {"fp32": "today"} == speed_ties(site, "today", "fp32")


def test_engines_are_not_told_apart_by_the_few_steps_that_both_make():
    ours = (variant(), variant("openvino", engine="openvino"))
    site = profile({"fp32": Law(), "openvino": Law()}, variants=ours, levels=NOISY).sites[0]

    assert {} == speed_ties(site, "fp32", "fp32")
