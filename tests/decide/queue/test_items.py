"""Requests of several items: answered when the last is, in the simulation, its bounds and the search alike."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.load_test.comparison import offered_load
from advisor.decide.queue.bounds import Bounds
from advisor.decide.queue.demand import SEEDS, WARM_UP_FRACTION, quantiles
from advisor.decide.queue.prediction import predict
from advisor.decide.queue.space import configurations
from advisor.kernels import reference
from advisor.schema.arrays.trace import Trace
from advisor.schema.workload import ItemsPerRequest, SequenceLength
from tests.decide.queue.test_search import allows, most_replicas, small_profiles
from tests.profiles import UNSTEADY, configuration, fixed_cost_law, power_law, profile, under, workload

SECONDS = 0.001
STEADY = profile(power_law(SECONDS), settings=((1, 1), (1, 4)))
REQUESTS, QUANTILE = 200, 0.9

how_many = st.sampled_from([2, 7, 32]) | st.builds(
    lambda p50, factor: ItemsPerRequest(p50=p50, p95=p50 * factor), st.integers(1, 12), st.integers(1, 4)
)


def bench(measured, items, requests_per_s=20.0, *, requests=REQUESTS, trace=None, **asked):
    plain = workload(requests_per_s, **asked)
    made = under(replace(plain, traffic=replace(plain.traffic, items_per_request=items)), measured, trace)
    if requests is not None and trace is None:
        made.demand.requests = requests
    return made


setups = st.builds(
    configuration,
    instances=st.sampled_from([1, 4]),
    max_batch_size=st.sampled_from([1, 4, 16]),
    max_queue_delay_s=st.sampled_from([0.0, 0.005]),
)


@settings(deadline=None, max_examples=30)
@given(setups, how_many, st.floats(1.0, 200.0), st.integers(1, 3), st.sampled_from(["low", "value", "high"]))
def test_a_request_takes_as_long_as_its_slowest_item_in_the_twin_of_the_kernel(candidate, items, rate, replicas, end):
    made = bench(STEADY, items, rate)
    arrival_s, size_class, first = made.demand.stream(0, replicas)
    alone_s, _, _ = reference.simulate_queue(
        arrival_s,
        size_class,
        made.simulator.table(candidate, end),
        np.ones(1),
        instances=candidate.instances,
        max_queue_delay_s=candidate.max_queue_delay_s,
    )
    ends = [*first[1:], len(arrival_s)]
    expected = [max(alone_s[start:stop]) for start, stop in zip(first, ends, strict=True)]

    latency_s = made.simulator.run(candidate, replicas, end, 0).latency_s

    np.testing.assert_array_equal(expected[int(WARM_UP_FRACTION * len(first)) :], latency_s)


@pytest.mark.parametrize(("instances", "max_batch_size"), [(1, 1), (4, 1), (1, 8)])
def test_a_request_by_itself_takes_what_all_its_items_take(instances, max_batch_size):
    batches = profile(fixed_cost_law(0.002, 0.001), settings=((1, 1), (1, 4)), batch_sizes=(1, 2, 4, 8))
    made = bench(batches, 32, 1e-3)
    candidate = configuration(instances=instances, max_batch_size=max_batch_size)
    expected = 32 / instances / max_batch_size * (0.002 + 0.001 * max_batch_size)

    prediction = predict(made, candidate, 1, today_replicas=1)

    assert expected == pytest.approx(prediction.latency_p50_s.value)


def test_as_many_single_items_are_answered_sooner_than_when_they_come_together():
    together, apart = bench(STEADY, 32, 10.0, requests=None), bench(STEADY, 1, 320.0, requests=None)

    several, single = (predict(made, configuration(), 1, today_replicas=1) for made in (together, apart))

    assert several.utilization_fraction.value == pytest.approx(single.utilization_fraction.value, rel=0.05)
    assert several.latency_p50_s.value > 0.03 > single.latency_p50_s.value


def test_rates_and_costs_are_those_of_requests_and_tokens_those_of_all_items():
    lengths = profile(power_law(1e-5), lengths=(8, 64))
    asked = {"sequence_length": SequenceLength(p50=16), "usd_per_hour": 0.36}
    made = bench(lengths, 10, 5.0, requests=2000, **asked)

    prediction = predict(made, configuration(), 1, today_replicas=1)

    assert 5.0 == pytest.approx(prediction.throughput_requests_per_s.value, rel=0.1)
    assert 20.0 == pytest.approx(prediction.cost_usd_per_million_requests.value)
    assert 20.0 / made.demand.mean_length == pytest.approx(prediction.cost_usd_per_million_tokens.value)
    assert 160.0 == pytest.approx(made.demand.mean_length, rel=0.1)


def test_counts_have_the_quantiles_that_were_asked_for():
    demand = bench(STEADY, ItemsPerRequest(p50=20, p95=80), requests=20_000).demand
    counts = np.diff(demand.stream(0, 1).first, append=len(demand.stream(0, 1).arrival_s))

    assert (20, 80) == pytest.approx(tuple(np.quantile(counts, (0.5, 0.95))), rel=0.05)
    assert counts.min() >= 1


def test_of_a_trace_each_request_brings_its_items_wherever_it_goes():
    trace = Trace(arrival_s=tuple(np.arange(2000) * 0.1), sequence_length=tuple(np.resize([8, 64], 2000).tolist()))
    demand = bench(profile(power_law(1e-5), lengths=(8, 64)), ItemsPerRequest(p50=3, p95=9), trace=trace).demand

    whole, part = demand.stream(0, 1), demand.stream(0, 4)

    assert 2000 == whole.total and 500 == pytest.approx(part.total, rel=0.2)
    counts = dict(zip(whole.sent_s, np.diff(whole.first, append=len(whole.arrival_s)), strict=True))
    assert [counts[sent] for sent in part.sent_s] == np.diff(part.first, append=len(part.arrival_s)).tolist()


@settings(deadline=None, max_examples=40)
@given(setups, how_many, st.floats(1.0, 200.0), st.sampled_from([0.5, 0.9]), st.integers(1, 4))
def test_no_run_is_faster_than_the_bound_on_latency(candidate, items, rate, quantile, replicas):
    measured = profile(fixed_cost_law(0.002, 1e-4), settings=((1, 1), (1, 4)), lengths=(16, 64), calls=UNSTEADY)
    made = bench(measured, items, rate, quantile=quantile, sequence_length=SequenceLength(p50=20, p95=60))

    _, floor_s = made.simulator.bounds(candidate, quantile)

    assert floor_s <= made.simulator.outcome(candidate, replicas, "high", (quantile,)).quantiles_s.min()


def keeps_the_target(made, entry, replicas):
    runs = product(("low", "value", "high"), range(SEEDS))
    latencies = (made.simulator.run(entry, replicas, end, seed).latency_s for end, seed in runs)
    keeps_up = made.simulator.keeps_up(entry, replicas, "high")
    return keeps_up and all(quantiles(latency_s, (QUANTILE,))[0] <= made.workload.slo.latency_s for latency_s in latencies)


@settings(deadline=None, max_examples=12)
@given(small_profiles, how_many, st.floats(0.1, 3.0), st.floats(1.0, 8.0))
def test_the_search_is_as_cheap_as_trying_everything_and_no_bound_excludes_what_passes(measured, items, load, tight):
    alone_s = measured.sites[0].measurements[0].visits[0].latency_s[0]
    mean = items if isinstance(items, int) else items.p50
    made = bench(measured, items, load / alone_s / mean, latency_s=tight * alone_s * mean, quantile=QUANTILE, requests=100)
    space = configurations(made.grids, made.workload, made.today, set(made.variants))
    most = {entry: most_replicas(made, entry) for entry in space}
    passing = [
        (replicas, entry)
        for replicas in range(1, 9)
        for entry in space
        if replicas <= most[entry] and keeps_the_target(made, entry, replicas)
    ]
    bounds = Bounds(made.simulator, quantile=QUANTILE, target_s=made.workload.slo.latency_s)

    found = made.search(space)

    assert all(allows(bounds.of(entry), entry, replicas, made.workload.slo.latency_s) for replicas, entry in passing)
    if passing:
        assert passing[0][0] == found.cheapest[0][1]
    else:
        assert not found.cheapest or found.cheapest[0][1] > 8


def test_a_load_test_offers_whole_requests():
    made = bench(STEADY, 32, 10.0, requests=None)
    candidate = configuration(max_batch_size=8).replicated(1, made.hardware)

    offer = offered_load(made, candidate, wanted_s=5.0)

    assert len(offer.requests.arrival_s) == 32 * offer.requests.total
    assert 10.0 == pytest.approx(offer.requests_per_s, rel=0.4)
    assert 0.0 == offer.requests.arrival_s[0]
