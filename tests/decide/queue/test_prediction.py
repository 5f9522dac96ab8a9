"""What is expected of a candidate where cores stand still now and then: with that and without, and what no replica helps against."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.queue.prediction import PARTS, load_curve, lone_request, predict, stalls_bind
from advisor.decide.queue.space import Configuration
from advisor.schema.profile import Stalls
from tests.profiles import UNSTEADY, fixed_cost_law, profile, under, with_site, workload

ONE = Configuration(variant="fp32", intra_op_num_threads=1, instances=1, max_batch_size=1, max_queue_delay_s=0.0)
BATCHING = msgspec.structs.replace(ONE, max_batch_size=4, max_queue_delay_s=0.002)
MEASURED = profile(fixed_cost_law(2e-3, 1e-3), calls=UNSTEADY)


def stalled(*gaps_s, watched_s=10.0):
    return with_site(MEASURED, stalls=(Stalls(watched_s=watched_s, gaps_s=gaps_s, shortest_s=2e-4),))


def predicted(measured, configuration=ONE, *, replicas=1, asked=None, **changed):
    site = under(asked or workload(50.0, 0.02, quantile=0.99), measured, **changed)
    return predict(site, configuration, replicas, today_replicas=1)


def test_nobody_says_what_stalls_cost_where_nobody_watched_for_them():
    assert predicted(MEASURED).latency_without_stalls_s is None
    assert lone_request(under(workload(), MEASURED), ONE) is None


@pytest.mark.parametrize("configuration", [ONE, BATCHING])
def test_a_watch_that_saw_nothing_changes_no_figure(configuration):
    before, after = predicted(MEASURED, configuration), predicted(stalled(), configuration)

    assert before == msgspec.structs.replace(after, latency_without_stalls_s=None)
    assert before.latency_slo_s == after.latency_without_stalls_s


@settings(max_examples=20)
@given(st.lists(st.floats(2e-4, 0.03), min_size=1, max_size=60), st.sampled_from([ONE, BATCHING]))
def test_stalls_make_the_tail_longer_and_never_shorter(gaps_s, configuration):
    found = predicted(stalled(*gaps_s), configuration)

    # Batches form otherwise where a server is held up, so single quantiles may come out a little lower.
    smooth = found.latency_without_stalls_s
    assert found.latency_slo_s.value >= 0.98 * smooth.value and found.latency_slo_s.high >= 0.98 * smooth.high


def test_switched_off_they_change_nothing():
    measured = stalled(*[0.03] * 40)

    off = predicted(measured, with_stalls=False)

    assert off.latency_without_stalls_s is None
    assert off.latency_slo_s == predicted(measured).latency_without_stalls_s


def test_the_target_is_kept_with_the_stalls_or_not_at_all():
    often, seldom = predicted(stalled(*[0.03] * 40)), predicted(stalled(0.03, watched_s=1000.0))

    assert often.latency_without_stalls_s.high <= 0.02 < often.latency_slo_s.high
    assert (False, True) == (often.meets_slo, seldom.meets_slo)


def test_a_server_whose_cores_stand_still_is_busier():
    quiet, held_up = predicted(MEASURED), predicted(stalled(*[0.03] * 40))

    assert held_up.utilization_fraction.value > 1.02 * quiet.utilization_fraction.value


def test_more_replicas_do_not_outrun_what_stalls_alone_leave():
    measured = stalled(*[0.03] * 40)
    alone = lone_request(under(workload(50.0, 0.02, quantile=0.99), measured), ONE)

    assert alone.latency_s.value > 0.02 > alone.latency_without_stalls_s.high
    for replicas in (1, 4, 16):
        assert predicted(measured, replicas=replicas).latency_slo_s.value >= 0.95 * alone.latency_s.low


@pytest.mark.parametrize(
    ("gaps", "latency_s", "expected"),
    [
        (40, 0.02, True),  # 4 stalls a second of 30 ms: one request in ten
        (0, 0.02, False),
        (40, 0.1, False),  # kept with them
        (40, 0.002, False),  # missed without them
    ],
)
def test_stalls_bind_where_a_lone_request_misses_the_target_for_them_alone(gaps, latency_s, expected):
    site = under(workload(50.0, latency_s, quantile=0.99), stalled(*[0.03] * gaps))

    assert expected == stalls_bind(site, ONE)


def test_a_quota_of_half_a_core_serves_half_as_much():
    whole = MEASURED.sites[0].machine
    asked = workload(250.0, 0.05)  # at 3 ms a request three quarters of a core

    for quota_cores, expected in ((None, True), (0.5, False), (1.0, True)):
        measured = with_site(MEASURED, machine=msgspec.structs.replace(whole, quota_cores=quota_cores))
        site = under(asked, measured)
        assert expected == site.simulator.keeps_up(ONE, 1, "value")
        assert site.simulator.keeps_up(ONE, 2, "value")


# --- over the load -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("configuration", "replicas"), [(ONE, 1), (BATCHING, 1), (BATCHING, 3)])
def test_the_curve_is_of_one_replica_at_parts_of_its_capacity_and_keeps_the_target_there(configuration, replicas):
    site = under(workload(50.0, 0.02, quantile=0.99), MEASURED)
    shown = predict(site, configuration, replicas, today_replicas=1, with_capacity=True)
    each = shown.capacity_requests_per_s.value / replicas

    curve = load_curve(site, shown)

    rates = [point.requests_per_s for point in curve]
    assert rates and [pytest.approx(part * each) for part in PARTS[: len(rates)]] == rates
    # By the likely service times, which the middle of the capacity is of.
    assert all(point.latency_slo_s.value <= 0.02 * 1.001 for point in curve)
    assert {shown.latency_slo_s.basis} == {point.latency_slo_s.basis for point in curve}


def test_without_a_capacity_and_on_other_hardware_there_is_no_curve():
    site = under(workload(50.0, 0.02, quantile=0.99), MEASURED)
    unsought = predict(site, ONE, 1, today_replicas=1)
    sought = predict(site, ONE, 1, today_replicas=1, with_capacity=True)
    elsewhere = msgspec.structs.replace(sought.candidate, hardware="another")

    assert () == load_curve(site, unsought) == load_curve(site, msgspec.structs.replace(sought, candidate=elsewhere))
