"""What measurements leave open: nothing where they are exact, and whatever could be cheaper or a smaller change where they are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.queue.openness import openness
from advisor.schema.workload import Quality
from tests.profiles import drop_of, fixed_cost_law, power_law, profile, under, variant, workload

EXACT = (1.0, 1.0, 1.0)
LOOSE = (0.7, 1.0, 1.4)


def opened(measured, asked):
    found = openness(under(asked, measured))
    assert found is not None
    return found


@given(rate=st.floats(1.0, 2000.0), visits=st.sampled_from([EXACT, LOOSE]))
def test_an_answer_stands_where_nothing_else_is_open(rate, visits):
    found = opened(profile(power_law(0.01), visits=visits), workload(requests_per_s=rate, latency_s=0.2))

    assert found.stands == (" to " not in found.answer.replace("up to", ""))


def test_exact_service_times_leave_nothing_open():
    found = opened(profile(power_law(0.01), visits=EXACT), workload(requests_per_s=250.0, latency_s=0.2))

    assert found.stands
    assert ("fp32", 1, 1) == found.settings[0].setting


def test_service_times_that_may_be_shorter_leave_the_number_of_replicas_open():
    found = opened(profile(power_law(0.01), visits=LOOSE), workload(requests_per_s=250.0, latency_s=0.2))

    assert not found.stands
    assert "replicas" in found.answer


def test_a_variant_that_could_be_cheaper_is_asked_for_and_one_that_could_not_is_not():
    law = fixed_cost_law(0.0, 0.01, of_variant={"near": 0.9, "slow": 4.0})
    measured = profile(law, variants=(variant(), variant("near"), variant("slow")), visits=LOOSE)

    found = opened(measured, workload(requests_per_s=500.0, latency_s=0.2))

    names = {entry.setting[0] for entry in found.settings}
    assert "near" in names
    assert "slow" not in names


def test_a_variant_whose_quality_does_not_hold_is_not_asked_for():
    law = fixed_cost_law(0.0, 0.01, of_variant={"lossy": 0.3})
    lossy = variant("lossy", lossless=False, quality=drop_of(0.2, 0.25))
    asked = workload(requests_per_s=500.0, latency_s=0.2, quality=Quality(metric="accuracy", max_drop=0.02, data="data.npz"))

    found = opened(profile(law, variants=(variant(), lossy), visits=LOOSE), asked)

    assert {"fp32"} == {entry.setting[0] for entry in found.settings}


def test_a_tie_after_few_visits_is_still_looked_at():
    measured = profile(power_law(0.01), variants=(variant(), variant("twin")), visits=(0.7,))
    site = under(workload(requests_per_s=500.0, latency_s=0.2), measured)

    assert {"fp32"} == site.admitted()
    assert {"fp32", "twin"} == site.eligible()


def test_what_nothing_can_keep_stands_and_rests_on_what_runs_today():
    found = opened(profile(power_law(1.0), visits=LOOSE), workload(requests_per_s=1.0, latency_s=0.001))

    assert found.stands
    assert [("fp32", 1, 1)] == [entry.setting for entry in found.settings]
    assert "no configuration keeps the target" == found.answer


@pytest.mark.parametrize("batch", [1, 16])
def test_single_items_and_the_largest_batch_of_the_answer_are_asked_for(batch):
    law = power_law(0.01) if batch == 1 else fixed_cost_law(0.05, 0.0001)

    found = opened(profile(law, visits=EXACT), workload(requests_per_s=90.0 if batch == 1 else 250.0, latency_s=0.5))

    assert 1 in found.settings[0].batch_sizes
    assert max(found.settings[0].batch_sizes) >= batch if batch == 16 else True
