"""The search: what trying every candidate finds, with every candidate accounted for."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.generation.search import Searchable, count_candidates, fewest_replicas, search
from advisor.decide.generation.site import GenerationUnderLoad
from tests.generation_profiles import Law, profile, tokens, under, variant, workload

CONFIDENCE = 0.95


def brute_force(site: GenerationUnderLoad, space) -> list[tuple[float, object, int]]:
    """Return what keeps the targets at the least cost, by asking all candidates up to the first that does."""
    for replicas in range(1, max(map(site.most, space)) + 1):
        found = [
            (replicas * site.price, way, replicas)
            for way in space
            if replicas <= site.most(way) and site.meets(way, replicas, CONFIDENCE)
        ]
        if found:
            return found
    return []


def a_site(requests_per_s=8.0, ttft_s=0.4, tpot_s=0.03, factor=1.0, **more):
    measured = profile(
        {"fp32": Law().times(factor), "opt": Law().times(0.8 * factor)},
        variants=(variant(), variant("opt", lossless=True)),
        batches=(1, 4),
        levels=(0.97, 1.0, 1.03),
    )
    return under(workload(requests_per_s, ttft_s=ttft_s, tpot_s=tpot_s, brings=tokens(60, 10), **more), measured)


def searched(site, **more):
    return search([Searchable(site, site.ways(set(site.variants)))], CONFIDENCE, **more)


@settings(max_examples=6)
@given(st.floats(1.0, 60.0), st.floats(0.05, 0.6), st.floats(0.01, 0.05), st.floats(0.5, 2.0))
def test_the_search_finds_what_trying_everything_finds(requests_per_s, ttft_s, tpot_s, factor):
    site = a_site(requests_per_s, ttft_s, tpot_s, factor)
    space = site.ways(set(site.variants))

    expected = brute_force(site, space)
    found = searched(site, enough=1000)

    assert [(way, replicas) for _, way, replicas in expected] == [(each.way, each.replicas) for each in found.cheapest]


@settings(max_examples=6)
@given(st.floats(1.0, 60.0), st.floats(0.05, 0.6), st.floats(0.01, 0.05))
def test_every_candidate_is_accounted_for(requests_per_s, ttft_s, tpot_s):
    site = a_site(requests_per_s, ttft_s, tpot_s)

    found = searched(site)

    assert found.candidates == count_candidates(site, site.ways(set(site.variants)))
    assert found.candidates == found.cut_by_bound + found.cut_by_cost + found.simulated
    assert min(found.cut_by_bound, found.cut_by_cost, found.simulated) >= 0


@settings(max_examples=6)
@given(st.floats(5.0, 60.0), st.floats(0.05, 0.3), st.floats(0.01, 0.03), st.floats(1.0, 3.0))
def test_a_looser_target_never_costs_more(requests_per_s, ttft_s, tpot_s, looser):
    strict, loose = (
        searched(a_site(requests_per_s, factor * ttft_s, factor * tpot_s), enough=1).usd_per_hour for factor in (1.0, looser)
    )

    assert loose <= strict


@settings(max_examples=6)
@given(st.floats(2.0, 40.0), st.floats(1.5, 3.0))
def test_more_traffic_never_costs_less(requests_per_s, more):
    thin, dense = (searched(a_site(factor * requests_per_s), enough=1).usd_per_hour for factor in (1.0, more))

    assert thin <= dense


def test_what_the_work_alone_excludes_fails_in_simulation_too():
    site = a_site(40.0)

    for way in site.ways({"fp32"}):
        fewest = site.fewest(way, CONFIDENCE)
        assert fewest == 1 or not site.meets(way, fewest - 1, CONFIDENCE)
        if site.is_hopeless(way, CONFIDENCE):
            assert not site.meets(way, site.most(way), CONFIDENCE)


def test_nothing_is_found_below_what_the_cheapest_costs():
    site = a_site(40.0)
    cheapest = searched(site).usd_per_hour

    assert cheapest > site.price
    assert () == searched(site, below_usd_per_hour=cheapest).cheapest
    assert cheapest == searched(site, below_usd_per_hour=cheapest + 0.5).usd_per_hour


def test_targets_that_nothing_keeps_leave_nothing():
    found = searched(a_site(ttft_s=0.001))

    assert () == found.cheapest
    assert math.inf == found.usd_per_hour
    assert found.simulated == 0


def test_more_replicas_than_the_fewest_are_found_above_them():
    site = a_site(40.0)
    way = site.ways({"fp32"})[0]

    fewest = fewest_replicas(site, way, CONFIDENCE)

    assert fewest is not None
    assert fewest + 1 == fewest_replicas(site, way, CONFIDENCE, above=fewest)


def test_clients_are_served_by_as_few_replicas_as_keep_the_targets():
    site = a_site(None, 0.1, 0.02, clients=12, think_s=0.1)

    found = searched(site)

    assert 1 < found.cheapest[0].replicas <= 12
    assert not any(site.meets(way, found.cheapest[0].replicas - 1, CONFIDENCE) for way in site.ways(set(site.variants)))
