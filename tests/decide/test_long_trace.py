"""Stretches of a long trace stand for all of it: what is predicted from them holds of the whole, or the whole is simulated."""

from functools import cache

import numpy as np
import pytest

from advisor.decide import long_trace
from advisor.decide.queue.demand import SEEDS
from advisor.decide.queue.prediction import predict
from advisor.schema.arrays.trace import Trace
from tests.profiles import UNSTEADY, configuration, fixed_cost_law, profile, under, workload

REQUESTS = 200_000
FEW = 20_000  # at one replica, beyond which a trace counts as long here
CALL_S = 0.010
MEASURED = profile(fixed_cost_law(0.006, 0.0001), settings=((1, 1), (1, 4)), calls=UNSTEADY, lengths=(16, 64))
WHOLE = 10**9


@cache
def recorded(kind):
    """Return requests that would keep one server of CALL_S busy for 0.55 of the time, at the mean."""
    random = np.random.default_rng(5)
    gap_s = random.exponential(CALL_S / 0.55, REQUESTS)
    place = np.linspace(0, 1, REQUESTS)
    if kind == "day":  # from a third of the mean rate to one and a half times it, seven times
        gap_s /= 1 + 0.6 * np.sin(2 * np.pi * 7 * place)
    elif kind == "spikes":  # one request in a hundred comes in one of forty rushes
        gap_s[(place * 40) % 1 < 0.01] /= 1.6
    elif kind == "flood":  # three in a hundred come, all together, faster than one server works
        gap_s[(place > 0.5) & (place < 0.53)] /= 3
    arrival_s = np.cumsum(gap_s)
    return Trace(arrival_s=arrival_s - arrival_s[0], sequence_length=random.integers(16, 65, REQUESTS).astype(np.int32))


def loaded(kind, most_whole, *, quantile=0.99, latency_s=0.2):
    made = under(workload(latency_s=latency_s, quantile=quantile), MEASURED, recorded(kind))
    made.demand.most_whole = most_whole
    return made


@pytest.mark.parametrize("kind", ["steady", "day", "spikes", "flood"])
@pytest.mark.parametrize(
    ("entry", "replicas"),
    [
        (configuration(max_batch_size=4), 1),
        (configuration(max_batch_size=16, max_queue_delay_s=0.02), 1),
        (configuration(), 2),
        (configuration(instances=4, max_batch_size=4), 2),
    ],
    ids=["batches", "delay", "two", "instances"],
)
@pytest.mark.parametrize("quantile", [0.9, 0.99, 0.999])
def test_what_is_predicted_of_the_whole_lies_within_what_stretches_tell(kind, entry, replicas, quantile):
    part, whole = (predict(loaded(kind, most, quantile=quantile), entry, replicas, today_replicas=None) for most in (FEW, WHOLE))

    for name in ("latency_p50_s", "latency_p95_s", "latency_slo_s", "throughput_requests_per_s", "utilization_fraction"):
        told, true = getattr(part, name), getattr(whole, name)
        assert told.low * 0.995 <= true.value <= told.high * 1.005, name
    assert whole.mean_batch_size == pytest.approx(part.mean_batch_size, rel=0.03)
    assert whole.goodput_fraction.value == pytest.approx(part.goodput_fraction.value, abs=0.01)


@pytest.mark.parametrize("kind", ["steady", "day", "spikes", "flood"])
@pytest.mark.parametrize("latency_s", [0.03, 0.06, 0.12, 0.5])
def test_nothing_keeps_the_target_by_stretches_that_does_not_keep_it_on_all_requests(kind, latency_s):
    few, whole = (loaded(kind, most, latency_s=latency_s) for most in (FEW, WHOLE))
    asked = [(configuration(max_batch_size=size), replicas) for size in (1, 4, 16) for replicas in (1, 2, 3)]

    by_part, by_all = (
        {
            (entry, replicas)
            for entry, replicas in asked
            if site.simulator.meets(entry, replicas, quantile=0.99, target_s=latency_s)
        }
        for site in (few, whole)
    )

    # What all runs of the whole say may lie within the luck of a run.
    near = {
        (entry, replicas)
        for entry, replicas in by_part ^ by_all
        if 0.95 <= whole.simulator.outcome(entry, replicas, "high", (0.99,)).quantiles_s.max() / latency_s <= 1.05
    }
    assert by_part - near == by_all - near


def test_the_fewest_requests_are_simulated_where_most_are_alike():
    demand = loaded("day", FEW).demand

    taken = sum(part.requests.total for part in demand.stretches(0, 1))

    assert taken < REQUESTS
    assert 1 == pytest.approx(sum(part.share for part in demand.stretches(0, 1)))


def test_the_mean_over_draws_is_that_of_all_requests():
    random = np.random.default_rng(2)
    sent_s = np.cumsum(random.exponential(1.0, 400_000) / (1 + 0.8 * np.sin(np.arange(400_000) / 9_000)))
    worth = np.sin(np.arange(400_000) / 30_000) + random.random(400_000)

    def told(seed):
        return sum(
            part.share * worth[part.place[part.is_counted]].mean() for part in long_trace.stretches(sent_s, replicas=1, seed=seed)
        )

    draws = [told(seed) for seed in range(200)]
    error = np.std(draws) / np.sqrt(len(draws))

    assert abs(np.mean(draws) - worth.mean()) <= 4 * error


def test_stretches_bring_their_requests_as_the_trace_has_them():
    site = loaded("steady", FEW)
    trace = recorded("steady")
    (part, *_) = site.demand.stretches(1, 1)
    gaps_s = np.diff(part.requests.arrival_s)
    (first, *_) = long_trace.stretches(trace.arrival_s, replicas=1, seed=1)

    inside = np.diff(first.place) == 1

    np.testing.assert_allclose(np.diff(trace.arrival_s[first.place])[inside], gaps_s[inside], atol=1e-6)
    assert (gaps_s[~inside] > long_trace.PAUSE_S / 2).all()
    assert np.all(np.diff(part.requests.arrival_s) >= 0)
    classes = [site.demand.lengths[each] for each in part.requests.size_class]
    assert np.abs(np.log(np.array(classes) / trace.sequence_length[first.place])).max() < 0.5


def test_who_falls_behind_for_long_is_simulated_on_all_requests():
    few, whole = (loaded("flood", most) for most in (FEW, WHOLE))
    entry = configuration(max_batch_size=1)

    latencies = [site.simulator.run(entry, 1, "value", 0).quantiles_s((0.5, 0.99, 1.0)) for site in (few, whole)]

    np.testing.assert_array_equal(*latencies)
    assert 1 == len(few.simulator.seeds(entry, 1, "value"))
    assert SEEDS == len(few.simulator.seeds(entry, 4, "value"))


@pytest.mark.parametrize("work_s", [0.5, 0.9, 1.1])
def test_the_backlog_is_that_of_a_server_that_rests_when_nothing_is_left(work_s):
    block_s = np.random.default_rng(3).uniform(0.2, 1.8, 300) * long_trace.STRETCH
    expected, left = [], 0.0
    for span_s in block_s:
        left = max(0.0, left + long_trace.STRETCH * work_s - span_s)
        expected.append(left)

    np.testing.assert_allclose(expected, long_trace.backlog_s(block_s, work_s), atol=1e-6)


def test_a_trace_that_is_simulated_whole_needs_no_note():
    assert "" == long_trace.note(long_trace.MOST_WHOLE)
    assert "5,000,000 requests" in long_trace.note(5_000_000)
