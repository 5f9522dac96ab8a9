"""Mixed precision: the nodes that do harm are found, as few as possible are kept, and no more looks are taken than were paid for."""

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.variants import mixed_precision

NODES = [f"node{number}" for number in range(40)]


def never():
    return time.perf_counter() + 1000


@given(st.sets(st.sampled_from(NODES), min_size=1, max_size=5))
def test_the_nodes_that_do_harm_come_first(guilty):
    ordered = mixed_precision.by_error(NODES, lambda only: float(len(only & guilty)), seconds=1000)

    assert guilty == set(ordered[: len(guilty)])
    assert sorted(NODES) == sorted(ordered)


def test_where_time_is_short_neighbors_are_tried_together():
    calls = []

    def slow(only):
        calls.append(only)
        time.sleep(0.002)
        return float("node7" in only)

    ordered = mixed_precision.by_error(NODES, slow, seconds=0.01)

    assert len(calls) < len(NODES)
    assert set(NODES) == set().union(*calls)
    assert "node7" in ordered[: max(map(len, calls))]


@given(st.integers(1, 32))
def test_the_fewest_that_are_enough_are_found_within_the_looks(needed):
    looks = []

    def holds(kept, look):
        looks.append(look)
        return len(kept) >= needed

    found = mixed_precision.fewest(NODES, holds, until_s=never())

    assert found.looks == len(looks) <= mixed_precision.MOST_LOOKS
    if found.kept is None:
        assert needed > 0.75 * len(NODES)
    else:
        assert needed <= len(found.kept) <= needed + 1
        assert tuple(NODES[: len(found.kept)]) == found.kept


def chain(*links):
    """Return what reads what along a graph given as pairs."""
    return {name: frozenset(reader for maker, reader in links if maker == name) for link in links for name in link}


def test_what_lies_between_kept_nodes_is_kept_too():
    row = chain(("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"))

    assert {"a", "b", "c"} == set(mixed_precision.with_those_between(["a", "c"], row))
    assert {"a", "d"} == set(mixed_precision.with_those_between(["a", "d"], row))
    assert {"e"} == set(mixed_precision.with_those_between(["e"], row))


def test_a_node_that_something_quantized_reads_too_is_not_between():
    fork = chain(("a", "b"), ("b", "c"), ("b", "d"))

    assert {"a", "c"} == set(mixed_precision.with_those_between(["a", "c"], fork))
    assert {"a", "b", "c", "d"} == set(mixed_precision.with_those_between(["a", "c", "d"], fork))


@given(st.sets(st.sampled_from(NODES)))
def test_to_keep_what_lies_between_changes_nothing_more_the_second_time(kept):
    row = chain(*pairwise(NODES))

    once = mixed_precision.with_those_between(sorted(kept), row)

    assert kept <= set(once)
    assert once == mixed_precision.with_those_between(once, row)


def test_where_nothing_is_enough_nothing_is_found():
    found = mixed_precision.fewest(NODES[:4], lambda kept, look: False, until_s=never())

    assert (None, ((2, False), (3, False))) == (found.kept, found.tried)


def test_when_time_is_over_the_best_so_far_stands():
    found = mixed_precision.fewest(NODES, lambda kept, look: True, until_s=0.0)

    assert (tuple(NODES[:6]), 1) == (found.kept, found.looks)
