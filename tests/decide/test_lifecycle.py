"""The lifetime cost: shares that add up, dearer serving that counts as serving, unknowns that stay unknown."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.lifecycle import KINDS, lifetime_facts, lifetime_shares
from advisor.decide.verdict import FACTS
from advisor.schema import Estimate, Lifecycle

amounts = st.floats(0, 1e6)
lifecycles = st.builds(
    Lifecycle,
    horizon_months=st.floats(0.5, 60),
    growth_per_month=st.floats(-0.5, 0.2),
    fine_tunings_per_year=st.floats(0, 52),
    fine_tuning_usd=amounts,
    labels_usd=amounts,
    pre_training_usd=st.none() | amounts,
)
KNOWN = Lifecycle(fine_tunings_per_year=4.0, fine_tuning_usd=500.0, labels_usd=100.0)


def serving(value, spread=0.1):
    return Estimate(value=value, low=value * (1 - spread), high=value * (1 + spread), basis="simulated", source="a test")


@given(st.floats(0.01, 100), lifecycles)
def test_shares_add_up_to_one(usd_per_hour, lifecycle):
    shares, _ = lifetime_shares(serving(usd_per_hour), lifecycle)

    assert 1 == pytest.approx(sum(share.value for share in shares.values()))


@given(st.floats(0.01, 100), lifecycles)
def test_a_share_lies_within_its_interval_and_that_within_zero_and_one(usd_per_hour, lifecycle):
    shares, _ = lifetime_shares(serving(usd_per_hour), lifecycle)

    assert tuple(shares) == KINDS
    assert all(0 <= share.low <= share.value <= share.high <= 1 for share in shares.values())


@given(st.floats(0.01, 100), st.floats(1, 100), lifecycles)
def test_dearer_serving_never_moves_the_shares_toward_training(usd_per_hour, factor, lifecycle):
    cheap, _ = lifetime_shares(serving(usd_per_hour), lifecycle)

    dear, _ = lifetime_shares(serving(usd_per_hour * factor), lifecycle)

    assert cheap["inference"].value <= dear["inference"].value
    assert cheap["fine-tuning"].value >= dear["fine-tuning"].value
    assert cheap["pre-training"].value >= dear["pre-training"].value


@given(st.floats(0.01, 100), lifecycles)
def test_a_share_is_its_total_over_all(usd_per_hour, lifecycle):
    shares, totals_usd = lifetime_shares(serving(usd_per_hour), lifecycle)

    for kind in KINDS:
        assert totals_usd[kind] / sum(totals_usd.values()) == pytest.approx(shares[kind].value)


@pytest.mark.parametrize(
    ("horizon_months", "growth_per_month", "months_of_today"),
    [(12, 0.0, 12), (2.5, 0.0, 2.5), (3, 1.0, 1 + 2 + 4), (2.5, 1.0, 1 + 2 + 0.5 * 4), (12, -0.5, 12)],
)
def test_serving_grows_with_traffic_but_never_falls_below_today(horizon_months, growth_per_month, months_of_today):
    lifecycle = msgspec.structs.replace(KNOWN, horizon_months=horizon_months, growth_per_month=growth_per_month)

    _, totals_usd = lifetime_shares(serving(2.0), lifecycle)

    assert 2.0 * 730 * months_of_today == pytest.approx(totals_usd["inference"])


def test_training_is_its_runs_over_the_horizon_with_labels_and_pre_training():
    lifecycle = msgspec.structs.replace(KNOWN, horizon_months=18.0, pre_training_usd=7.0)

    _, totals_usd = lifetime_shares(serving(1.0), lifecycle)

    assert totals_usd["fine-tuning"] == 500 * 4 * 1.5 + 100
    assert totals_usd["pre-training"] == 7


@pytest.mark.parametrize("unknown", ["fine_tuning_usd", "fine_tunings_per_year", "labels_usd"])
def test_an_unknown_part_leaves_the_shares_unknown(unknown):
    shares, totals_usd = lifetime_shares(serving(1.0), msgspec.structs.replace(KNOWN, **{unknown: None}))

    assert shares == {}
    assert totals_usd == {"inference": 730 * 12, "fine-tuning": None, "pre-training": 0}


@pytest.mark.parametrize(
    "free", [{"fine_tuning_usd": 0.0, "fine_tunings_per_year": None}, {"fine_tuning_usd": None, "fine_tunings_per_year": 0.0}]
)
def test_runs_that_never_happen_or_are_free_need_no_other_figure(free):
    _, totals_usd = lifetime_shares(serving(1.0), msgspec.structs.replace(KNOWN, **free))

    assert totals_usd["fine-tuning"] == 100


def test_without_any_training_serving_is_all_there_is():
    lifecycle = Lifecycle(fine_tunings_per_year=0.0, labels_usd=0.0)

    shares, _ = lifetime_shares(serving(1.0, spread=1.0), lifecycle)

    assert [(share.low, share.value, share.high) for share in shares.values()] == [(1, 1, 1), (0, 0, 0), (0, 0, 0)]


def test_without_a_lifecycle_all_is_unknown():
    shares, totals_usd = lifetime_shares(serving(1.0), None)

    assert shares == {}
    assert totals_usd == dict.fromkeys(KINDS)


def test_a_share_says_that_it_is_projected_and_by_which_formula():
    shares, _ = lifetime_shares(serving(1.0), KNOWN)

    assert {share.basis for share in shares.values()} == {"projected"}
    assert "730 h" in shares["inference"].source


@pytest.mark.parametrize("lifecycle", [None, KNOWN])
def test_the_facts_of_a_life_are_facts_that_rules_may_ask_for(lifecycle):
    facts = lifetime_facts(*lifetime_shares(serving(1.0), lifecycle), lifecycle)

    assert facts.keys() <= FACTS.keys()


def test_the_facts_of_a_life_carry_its_shares_and_totals():
    shares, totals_usd = lifetime_shares(serving(1.0), KNOWN)

    facts = lifetime_facts(shares, totals_usd, KNOWN)

    assert facts["inference_share"] == shares["inference"].value
    assert 1 == pytest.approx(facts["inference_share"] + facts["training_share"])
    assert facts["training_usd"] == totals_usd["fine-tuning"]
    assert facts["labels_usd"] == 100
    assert facts["quality_gap"] is None
