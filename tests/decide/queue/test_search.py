"""The search: as cheap as trying everything, cut by nothing but sound bounds, and an account of every candidate."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from advisor.decide.queue.bounds import Bounds
from advisor.decide.queue.demand import SEEDS, quantiles
from advisor.decide.queue.search import (
    ENOUGH_CHEAPEST,
    LOWEST_UTILIZATION,
    MAX_REPLICAS,
    Searchable,
    count_candidates,
    search,
    search_places,
    walk,
)
from advisor.decide.queue.simulator import Simulator
from advisor.decide.queue.space import configurations
from advisor.kernels import search as kernel
from advisor.schema.profile import Calibration
from advisor.schema.record import Estimate
from tests.profiles import STEADY, UNSTEADY, fixed_cost_law, power_law, profile, under, variant, with_site, workload
from tests.strategies import spaces

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


@st.composite
def seen_profiles(draw):
    """Profiles that have seen a server: in a trial, in a load test of one setting, or in both."""
    measured = draw(small_profiles)

    def calibration(setting):
        return Calibration(
            variant="fp32",
            intra_op_num_threads=setting[0],
            instances=setting[1],
            call_ratio=about(draw(st.sampled_from([0.9, 1.0, 1.3]))),
            call_lengths_s=(0.005, 0.05),
            call_factors=(draw(st.sampled_from([1.0, 1.2])), 1.0),
            per_batch_s=about(draw(st.sampled_from([0.0001, 0.002]))),
            per_request_s=about(draw(st.sampled_from([0.0, 0.0005]))),
            wake_s=about(draw(st.sampled_from([0.0, 0.001]))),
            transit_s=tuple(draw(st.lists(st.floats(0.0, 0.003), min_size=1, max_size=5))),
            spread=tuple(draw(st.lists(st.floats(0.8, 1.5), min_size=1, max_size=8))),
            hold_up_s=tuple(draw(st.lists(st.sampled_from([0.0, 0.0, 0.004]), max_size=5))),
            batches=100,
        )

    settings_ = sorted({(entry.intra_op_num_threads, entry.instances) for entry in measured.sites[0].measurements})
    shown = draw(st.sampled_from([(), (settings_[0],)]))
    return with_site(
        measured,
        calibrations=tuple(map(calibration, shown)),
        trial=calibration((1, 1)) if not shown or draw(st.booleans()) else None,
    )


def about(value):
    return Estimate(value=value, low=0.9 * value, high=1.1 * value, basis="measured", source="a test")


loads = st.floats(0.1, 5.0)  # servers that one request at a time would keep busy
tightness = st.floats(0.8, 8.0)  # the target over the time of one request alone
burstiness = st.sampled_from([0.5, 1.0, 2.0])
days = st.none() | st.lists(st.sampled_from([0.0, 0.2, 1.0, 3.0]), min_size=2, max_size=6).filter(any).map(tuple)


def bench(measured, load, tight, cv=1.0, diurnal=None):
    alone_s = measured.sites[0].measurements[0].visits[0].latency_s[0]
    asked = workload(load / alone_s, tight * alone_s, quantile=QUANTILE, burstiness_cv=cv, diurnal=diurnal)
    made = under(asked, measured)
    made.demand.requests = REQUESTS
    return made


def found_in(made):
    space = made.space(set(made.variants))
    return made.search(space), space


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


def allows(bound, entry, replicas, target_s):
    """Whether the bounds leave a candidate, as the kernel's docstring says."""
    room = target_s - bound.floor_s
    waits = min(entry.max_queue_delay_s, bound.fill_s * replicas) <= room
    return replicas > bound.load and waits and bound.queue_s <= (room + bound.slack_s * replicas) * (replicas - bound.busy)


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


@settings(deadline=None, max_examples=15)
@given(small_profiles | seen_profiles(), loads, tightness, burstiness, days)
def test_no_bound_excludes_what_a_simulation_lets_pass(measured, load, tight, cv, diurnal):
    made = bench(measured, load, tight, cv, diurnal)
    space = configurations(made.grids, made.workload, made.today, set(made.variants))
    slo = made.workload.slo
    bounds = Bounds(made.simulator, quantile=QUANTILE, target_s=slo.latency_s)
    excluded = [
        (entry, replicas)
        for entry in space
        for replicas in range(1, min(most_replicas(made, entry), 6) + 1)
        if not allows(bounds.of(entry), entry, replicas, slo.latency_s)
    ]

    assert [] == [candidate for candidate in excluded if keeps_the_target(made, *candidate)]


@settings(deadline=None, max_examples=15)
@given(seen_profiles(), loads, tightness)
def test_what_a_server_was_observed_to_add_leaves_the_search_exact(measured, load, tight):
    made = bench(measured, load, tight)
    found, space = found_in(made)
    expected = fewest_by_trying_everything(made, space)

    actual = found.cheapest[0][1] if found.cheapest else None

    assert expected == actual


@pytest.mark.parametrize("reason", ["good batches", "filling", "queue"])
def test_each_bound_excludes_something_that_the_others_do_not(reason):
    # Batches help a lot but take their time, and the target is near: each of the bounds finds something to exclude.
    measured = profile(fixed_cost_law(0.02, 0.002), batch_sizes=(1, 4, 16), visits=(0.97, 1.0, 1.04))
    made = bench(measured, 8.0, 1.6)
    slo = made.workload.slo
    whole, without = (Bounds(made.simulator, quantile=QUANTILE, target_s=slo.latency_s) for _ in range(2))
    neutral = {"good batches": {}, "filling": {"fill_s": 0.0}, "queue": {"queue_s": 0.0, "slack_s": 0.0, "busy": 0.0}}[reason]
    space = configurations(made.grids, made.workload, made.today, {"fp32"})

    def weaker(entry):
        bound = without.of(entry)._replace(**neutral)
        work_s, _ = made.simulator.bounds(entry, QUANTILE)
        return bound._replace(load=made.demand.busiest_requests_per_s * work_s) if reason != "filling" else bound

    excluded_only_by_it = [
        (entry, replicas)
        for entry in space
        for replicas in range(1, 20)
        if allows(weaker(entry), entry, replicas, slo.latency_s) and not allows(whole.of(entry), entry, replicas, slo.latency_s)
    ]

    assert excluded_only_by_it


@settings(deadline=None, max_examples=25)
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
@given(small_profiles, loads, tightness, days, st.sampled_from([{"fp32", "opt"}, {"fp32"}, {"opt"}, set()]))
def test_candidates_are_counted_without_a_search_as_a_search_accounts_for_them(measured, load, tight, diurnal, variants):
    made = bench(measured, load, tight, diurnal=diurnal)
    space = configurations(made.grids, made.workload, made.today, variants)
    slo = made.workload.slo

    expected = search(made.simulator, space, quantile=QUANTILE, target_s=slo.latency_s, price_usd_per_hour=1.0).candidates

    assert expected == count_candidates(made.simulator, space, QUANTILE)


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
    made = under(workload(20.0, 0.01151, quantile=0.99), profile(power_law(0.01), batch_sizes=(1,)))

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


@settings(deadline=None, max_examples=80)
@given(spaces(), st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_a_walk_finds_what_trying_every_candidate_finds_and_accounts_for_all(space, seed, enough):
    left = [tuple(map(int, entry)) for entry in zip(*listed(space)[:3], strict=True)]
    lucky = np.random.default_rng(seed)
    feasible = {candidate for candidate in left if lucky.random() < 0.2}
    in_order = [candidate for candidate in left if candidate in feasible]
    cost = {candidate: space["columns"].price_usd_per_hour[candidate[0]] * candidate[2] for candidate in left}
    expected = [candidate for candidate in in_order if cost[candidate] == cost[in_order[0]]][:enough] if in_order else []
    asked = []

    def is_feasible(*candidate):
        asked.append(candidate)
        return candidate in feasible

    seen = walk(space["columns"], space["delay_s"], space["latency_target_s"], is_feasible, enough=enough)

    assert expected == list(seen.cheapest)
    assert left[: len(asked)] == asked and len(asked) == seen.simulated
    assert len(left) == seen.candidates - seen.cut_by_bound
    assert 0.0 == seen.regret_usd_per_hour


def listed(space):
    fewest, _ = kernel.fewest_replicas(**space)
    return kernel.enumerate_candidates(
        space["columns"],
        fewest,
        delay_s=space["delay_s"],
        latency_target_s=space["latency_target_s"],
        above_usd_per_hour=-1.0,
        up_to_usd_per_hour=math.inf,
    )


@settings(deadline=None, max_examples=60)
@given(spaces(), st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_a_walk_that_is_stopped_bounds_its_regret(space, seed, patience):
    left = [tuple(map(int, entry)) for entry in zip(*listed(space)[:3], strict=True)]
    lucky = np.random.default_rng(seed)
    feasible = {candidate for candidate in left if lucky.random() < 0.3}
    cost = {candidate: float(space["columns"].price_usd_per_hour[candidate[0]] * candidate[2]) for candidate in left}
    best = min((cost[candidate] for candidate in feasible), default=None)
    ticks = iter(range(10**9))

    seen = walk(
        space["columns"],
        space["delay_s"],
        space["latency_target_s"],
        lambda *candidate: candidate in feasible,
        is_over=lambda: next(ticks) >= patience,
    )

    if seen.cost_usd_per_hour is not None:
        assert seen.cheapest[0] in feasible
        assert seen.cost_usd_per_hour - best <= seen.regret_usd_per_hour
    elif seen.least_unseen_usd_per_hour is not None:
        assert best is None or best >= seen.least_unseen_usd_per_hour
    else:
        assert best is None


@settings(deadline=None, max_examples=20)
@given(small_profiles, loads, tightness, st.lists(st.sampled_from([0.5, 1.0, 1.0, 3.0]), min_size=1, max_size=3))
def test_over_several_kinds_of_hardware_the_answer_is_the_cheapest_of_any(measured, load, tight, prices):
    made = bench(measured, load, tight)
    space = configurations(made.grids, made.workload, made.today, set(made.variants))
    slo = made.workload.slo
    apart = [
        search_places([Searchable(made.simulator, space, price)], quantile=QUANTILE, target_s=slo.latency_s) for price in prices
    ]
    costs = [found.cost_usd_per_hour for found in apart if found.cost_usd_per_hour is not None]

    found = search_places(
        [Searchable(made.simulator, space, price) for price in prices], quantile=QUANTILE, target_s=slo.latency_s
    )

    assert min(costs, default=None) == found.cost_usd_per_hour
    assert found.candidates == sum(entry.candidates for entry in apart)
    if found.places:
        assert prices[found.places[0]] == min(prices) and found.places[0] == prices.index(min(prices))


@settings(deadline=None, max_examples=20)
@given(small_profiles | seen_profiles(), loads, tightness, st.sampled_from([0.97, 0.99, 0.999]))
def test_more_confidence_never_costs_less_and_keeps_the_target_at_slower_calls(measured, load, tight, confidence):
    made = bench(measured, load, tight)
    usual, _ = found_in(made)
    surer = Simulator(made.demand, made.grids, made.service.calibrations, made.service.trial, confidence=confidence)
    space = configurations(made.grids, made.workload, made.today, set(made.variants))
    slo = made.workload.slo

    sure = search(surer, space, quantile=QUANTILE, target_s=slo.latency_s, price_usd_per_hour=made.price)

    assert all((surer.table(entry, "high") >= made.simulator.table(entry, "high") * (1 - 1e-12)).all() for entry in space[:20])
    assert sure.cost_usd_per_hour is None or usual.cost_usd_per_hour <= sure.cost_usd_per_hour
