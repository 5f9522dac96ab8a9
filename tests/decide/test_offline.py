"""A batch job: done in time at the slower end, at the least cost of any way to do it."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.offline import advise_offline, as_online
from advisor.decide.queue.space import configurations
from advisor.errors import ExitStatus
from advisor.files.catalog import read_device
from advisor.schema.workload import HardwareChoice, Inputs, OfflineWorkload, Quality, SequenceLength, Volume
from advisor.steps.advise import exit_status
from tests.profiles import drop_of, fixed_cost_law, on, place, power_law, profile, request, under, variant

measured = st.builds(
    lambda fixed_s, item_s, opt: profile(
        fixed_cost_law(fixed_s, item_s, of_variant={"opt": opt}),
        variants=(variant(), variant("opt")),
        batch_sizes=(1, 4, 16),
        settings=((1, 1), (1, 2)),
        visits=(0.97, 1.0, 1.04),
    ),
    st.floats(0.0, 0.02),
    st.floats(0.001, 0.02),
    st.floats(0.5, 1.5),
)


def job(items=100_000, deadline_s=600.0, *, start_s=0.0, **more):
    return OfflineWorkload(
        name="a test",
        offline=Volume(items=items, deadline_s=deadline_s, start_s=start_s),
        hardware=HardwareChoice(price_usd_per_hour={"local": 2.0}),
        **more,
    )


def advised(profile_, asked, **changed):
    return advise_offline(profile_, asked, request(as_online(asked), profile_, **changed))


@settings(deadline=None, max_examples=40)
@given(measured, st.integers(1, 10**6), st.floats(30.0, 10_000.0), st.sampled_from([0.0, 20.0]))
def test_no_way_that_is_done_in_time_costs_less(profile_, items, deadline_s, start_s):
    asked = job(items, deadline_s, start_s=start_s)
    made = under(as_online(asked), profile_)
    ways = []
    for entry in configurations(made.grids, made.workload, made.today, made.admitted()):
        item_s = {end: made.simulator.work_s(entry, end) / entry.instances for end in ("high", "value")}
        for replicas in range(1, 513):
            high_s, value_s = (0.1 + start_s + items * item_s[end] / replicas for end in ("high", "value"))
            if high_s <= deadline_s:
                ways.append(value_s / 3600 * replicas * 2.0)
    advice = advised(profile_, asked)

    if advice.recommended is None:
        assert not [cost for cost in ways if cost < math.inf]
    else:
        assert advice.recommended.meets_deadline
        assert advice.recommended.duration_s.high <= deadline_s
        assert advice.recommended.cost_usd.value <= min(ways) * (1 + 1e-9)


def test_the_account_adds_up():
    account = advised(profile(power_law(0.01)), job()).certificate

    assert account.candidates == account.cut_by_bound + account.cut_by_quality + account.cut_by_cost + account.simulated


def test_what_cannot_be_done_in_time_is_reported_with_the_nearest_miss():
    advice = advised(profile(power_law(0.01)), job(10**9, 60.0))

    assert advice.recommended is None
    assert advice.nearest_miss is not None and advice.nearest_miss.duration_s.high > 60.0
    assert "512" in advice.binding_constraint


def test_a_deadline_before_anything_has_started_is_missed():
    assert advised(profile(power_law(0.01)), job(10, 5.0, start_s=10.0)).recommended is None


def test_a_variant_that_loses_too_much_is_not_used_for_a_batch_job_either():
    law = fixed_cost_law(0.0, 0.01, of_variant={"int8": 0.2})
    lossy = profile(law, variants=(variant(), variant("int8", lossless=False, quality=drop_of(0.05, 0.06))))
    floor = Quality(max_drop=0.01, metric="accuracy", data="eval.npz")

    assert "fp32" == advised(lossy, job(quality=floor)).recommended.candidate.variant


def test_long_items_take_longer():
    measured_ = profile(power_law(0.0001), lengths=(16, 64, 256))

    short, long = (
        advised(measured_, job(inputs=Inputs(sequence_length=SequenceLength(p50=p50, p95=p50)))).recommended for p50 in (16, 256)
    )

    assert short.cost_usd.value < long.cost_usd.value


def test_a_batch_job_runs_where_it_may_at_the_price_there():
    here = profile(power_law(0.01))
    device = read_device("c7i.xlarge")
    both = replace(here, sites=(*here.sites, on(profile(power_law(0.02)), device)))

    advice = advised(both, job(), places=(place(device, 0.5),))

    assert "c7i.xlarge" == advice.recommended.candidate.hardware
    assert "c7i.xlarge" in advice.headline
    hours = advice.recommended.duration_s.value / 3600
    assert advice.recommended.cost_usd.value == pytest.approx(0.5 * hours * advice.recommended.candidate.replicas)


def test_a_deadline_that_only_quick_calls_keep_is_not_shown_to_be_missed():
    made = profile(power_law(0.01, batch=1.0), batch_sizes=(1, 4), visits=(0.7, 1.0, 1.3))
    needed_s = 10**6 * 0.01 / 512

    open_, shown = (advised(made, job(10**6, deadline_s)) for deadline_s in (needed_s + 0.1, needed_s / 4))

    assert (None, None) == (open_.recommended, shown.recommended)
    assert open_.headline.startswith("Not known yet whether") and shown.headline.startswith("No measured configuration does")
    assert (ExitStatus.INCONCLUSIVE, ExitStatus.INFEASIBLE) == (exit_status(open_), exit_status(shown))
