"""The search: as cheap as trying everything, cut by nothing but sound bounds, and an account of every candidate."""

import math
from itertools import product

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from advisor.decide.bench import Bench
from advisor.decide.candidates import configurations
from advisor.decide.demand import SEEDS, quantiles
from advisor.decide.search import ENOUGH_CHEAPEST, LOWEST_UTILIZATION, MAX_REPLICAS, search
from tests.profiles import STEADY, UNSTEADY, fixed_cost_law, power_law, profile, variant, workload

REQUESTS = 300  # fewer than a promise needs: what is exact for many is exact for few
QUANTILE = 0.9

small_profiles = st.builds(
    lambda fixed_s, item_s, opt, batch_sizes, settings_, calls: profile(
        fixed_cost_law(fixed_s, item_s, of_variant={"opt": opt}),
        variants=(variant(), variant("opt")),
        batch_sizes=batch_sizes,
        settings=settings_,
        calls=calls,
        visits=(0.97, 1.0, 1.04),
    ),
    st.floats(0.0, 0.02),
    st.floats(0.001, 0.02),
    st.floats(0.5, 1.5),
    st.sampled_from([(1,), (1, 4)]),
    st.sampled_from([((1, 1),), ((1, 1), (1, 2))]),
    st.sampled_from([STEADY, UNSTEADY]),
)
loads = st.floats(0.1, 5.0)  # servers that one request at a time would keep busy
tightness = st.floats(0.8, 8.0)  # the target over the time of one request alone
burstiness = st.sampled_from([0.5, 1.0, 2.0])
days = st.none() | st.lists(st.sampled_from([0.0, 0.2, 1.0, 3.0]), min_size=2, max_size=6).filter(any).map(tuple)


def bench(measured, load, tight, cv=1.0, diurnal=None):
    alone_s = measured.measurements[0].visits[0].latency_s[0]
    asked = workload(load / alone_s, tight * alone_s, quantile=QUANTILE, burstiness_cv=cv, diurnal=diurnal)
    made = Bench(measured, asked, None)
    made.demand.requests = REQUESTS
    return made


def found_in(made):
    return made.find(set(made.variants))


def most_replicas(made, entry):
    """How far the space goes: as the search says of itself."""
    work_s, _ = made.simulator.bounds(entry, QUANTILE)
    lowest = min(LOWEST_UTILIZATION, (1 - QUANTILE) / 2) if entry.max_batch_size == 1 else LOWEST_UTILIZATION
    return min(math.ceil(made.demand.busiest_requests_per_s * work_s / lowest) + 1, MAX_REPLICAS)


def keeps_the_target(made, entry, replicas):
    target_s = made.workload.slo.latency_s
    runs = (
        made.simulator.run(entry, replicas, end, seed).latency_s for end, seed in product(("low", "value", "high"), range(SEEDS))
    )
    keeps_up = made.simulator.keeps_up(entry, replicas, "high")
    return keeps_up and all(quantiles(latency_s, (QUANTILE,))[0] <= target_s for latency_s in runs)


def fewest_by_trying_everything(made, space):
    most = {entry: most_replicas(made, entry) for entry in space}
    return next(
        (
            replicas
            for replicas in range(1, max(most.values()) + 1)
            for entry in space
            if replicas <= most[entry] and keeps_the_target(made, entry, replicas)
        ),
        None,
    )


@settings(deadline=None, max_examples=40)
@given(small_profiles, loads, tightness, burstiness, days)
def test_the_answer_is_as_cheap_as_that_of_trying_everything(measured, load, tight, cv, diurnal):
    made = bench(measured, load, tight, cv, diurnal)
    found, space = found_in(made)
    expected = fewest_by_trying_everything(made, space)

    actual = found.cheapest[0][1] if found.cheapest else None

    assert expected == actual


@settings(deadline=None, max_examples=30)
@given(small_profiles, loads, tightness)
def test_all_answers_cost_the_same_keep_the_target_and_come_simplest_first(measured, load, tight):
    made = bench(measured, load, tight)
    found, space = found_in(made)

    places = [space.index(entry) for entry, _ in found.cheapest]

    assert {replicas * made.price for _, replicas in found.cheapest} <= {found.cost_usd_per_hour}
    assert all(keeps_the_target(made, entry, replicas) for entry, replicas in found.cheapest)
    assert sorted(places) == places
    assert len(found.cheapest) <= ENOUGH_CHEAPEST


@settings(deadline=None, max_examples=30)
@given(small_profiles, loads, tightness, days)
def test_every_candidate_is_accounted_for(measured, load, tight, diurnal):
    made = bench(measured, load, tight, diurnal=diurnal)
    found, space = found_in(made)

    expected = sum(most_replicas(made, entry) for entry in space)

    assert expected == found.candidates == found.cut_by_bound + found.cut_by_cost + found.simulated


@settings(deadline=None, max_examples=30)
@given(small_profiles, loads, tightness, st.floats(1.0, 4.0))
def test_a_looser_target_never_costs_more(measured, load, tight, looser):
    strict, _ = found_in(bench(measured, load, tight))
    assume(strict.cheapest)

    loose, _ = found_in(bench(measured, load, tight * looser))

    assert loose.cost_usd_per_hour <= strict.cost_usd_per_hour


@settings(deadline=None, max_examples=30)
@given(small_profiles, loads, tightness, st.floats(0.1, 1.0))
def test_less_traffic_never_costs_more(measured, load, tight, less):
    much, _ = found_in(bench(measured, load, tight))
    assume(much.cheapest)

    little, _ = found_in(bench(measured, load * less, tight))

    assert little.cost_usd_per_hour <= much.cost_usd_per_hour


@settings(deadline=None, max_examples=20)
@given(small_profiles, st.floats(1.2, 5.0))
def test_what_is_cut_by_throughput_falls_behind_for_ever(measured, load):
    made = bench(measured, load, 8.0)
    made.demand.requests = 4000
    space = configurations(made.grids, made.workload, made.today, set(made.variants))
    works = [made.simulator.bounds(entry, QUANTILE)[0] for entry in space]
    overloaded = [entry for entry, work_s in zip(space, works, strict=True) if made.demand.requests_per_s * work_s >= 1.1]
    assume(overloaded)

    for entry in overloaded:
        latency_s = made.simulator.run(entry, 1, "high", 0).latency_s
        quarters = [part.mean() for part in np.array_split(latency_s, 4)]
        assert sorted(quarters) == quarters and quarters[3] > 2 * quarters[0]


def test_a_target_that_only_an_idle_server_keeps_is_bought_with_replicas():
    # Of requests that find the server busy, next to none keep a target so near to the time of one request alone.
    made = Bench(profile(power_law(0.01), batch_sizes=(1,)), workload(20.0, 0.01151, quantile=0.99), None)

    found, _ = found_in(made)

    (_, replicas), *_ = found.cheapest
    assert 20.0 * 0.01 / replicas < 0.02


def test_an_empty_space_has_no_answer():
    made = bench(profile(power_law(0.01)), 1.0, 2.0)

    found = search(made.simulator, [], quantile=QUANTILE, target_s=1.0, price_usd_per_hour=1.0)

    assert ((), None, 0) == (found.cheapest, found.cost_usd_per_hour, found.candidates)


def test_the_price_does_not_change_which_candidate_is_cheapest():
    made = bench(profile(fixed_cost_law(0.005, 0.002), visits=(0.97, 1.0, 1.04)), 3.0, 4.0)
    space = configurations(made.grids, made.workload, made.today, set(made.variants))

    cheap, dear = (
        search(made.simulator, space, quantile=QUANTILE, target_s=made.workload.slo.latency_s, price_usd_per_hour=price)
        for price in (0.01, 7.0)
    )

    assert cheap.cheapest == dear.cheapest
    assert dear.cost_usd_per_hour / 7.0 * 0.01 == cheap.cost_usd_per_hour


def test_equally_cheap_candidates_are_listed_only_as_far_as_anybody_reads():
    measured = profile(power_law(0.001), settings=((1, 1), (1, 2)), batch_sizes=(1, 4, 16))

    found, space = found_in(bench(measured, 0.01, 50.0))

    assert ENOUGH_CHEAPEST == len(found.cheapest) < len(space)
