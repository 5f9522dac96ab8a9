"""The space of candidates: nothing lost, nothing feasible cut, cheapest first."""

import inspect
import math
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.kernels import reference, search
from advisor.kernels.columns import Columns
from tests.strategies import spaces


def ranked(space, above=-1.0, up_to=math.inf, module=search):
    fewest, _ = module.fewest_replicas(**space)
    return module.enumerate_candidates(
        space["columns"],
        fewest,
        delay_s=space["delay_s"],
        latency_target_s=space["latency_target_s"],
        above_usd_per_hour=above,
        up_to_usd_per_hour=up_to,
    )


def space(**change):
    columns = Columns(
        price_usd_per_hour=np.ones(2),
        load=np.ones(2),
        busy=np.ones(2),
        floor_s=np.zeros(2),
        queue_s=np.zeros(2),
        slack_s=np.zeros(2),
        fill_s=np.zeros(2),
        max_replicas=np.array([4, 4]),
        first_delay=np.array([0, 0]),
        delays=np.array([1, 1]),
    )
    asked = {"delay_s": np.zeros(1), "latency_target_s": 1.0}
    of_columns = {key: change[key] for key in change if key not in asked}
    return {"columns": columns._replace(**of_columns)} | {key: change.get(key, asked[key]) for key in asked}


@settings(deadline=None, max_examples=150)
@given(spaces())
def test_the_fewest_replicas_are_those_of_its_twin(space):
    expected, left = reference.fewest_replicas(**space)

    fewest, counted = search.fewest_replicas(**space)

    np.testing.assert_array_equal(expected, fewest)
    assert left == counted


@settings(deadline=None, max_examples=150)
@given(spaces(), st.floats(-1.0, 9.0), st.floats(0.0, 40.0))
def test_a_range_of_costs_is_listed_as_by_its_twin(space, above, width):
    expected = ranked(space, above, above + width, reference)

    for expected_part, actual_part in zip(expected, ranked(space, above, above + width), strict=True):
        np.testing.assert_array_equal(expected_part, actual_part)


@pytest.mark.parametrize("name", ["fewest_replicas", "enumerate_candidates"])
def test_the_kernel_is_called_as_its_twin(name):
    expected = inspect.signature(getattr(reference, name)).parameters.values()

    actual = inspect.signature(getattr(search, name)).parameters.values()

    assert [(p.name, p.kind, p.default) for p in expected] == [(p.name, p.kind, p.default) for p in actual]


@settings(deadline=None)
@given(spaces(), st.lists(st.floats(0.0, 60.0), max_size=4).map(sorted))
def test_ranges_that_follow_each_other_list_every_candidate_once_and_in_order(space, edges):
    expected = ranked(space)

    pieces = [ranked(space, low, high) for low, high in zip([-1.0, *edges], [*edges, math.inf], strict=True)]

    for number, expected_part in enumerate(expected):
        np.testing.assert_array_equal(expected_part, np.concatenate([piece[number] for piece in pieces]))


@settings(deadline=None)
@given(spaces(), st.floats(1.0, 3.0))
def test_a_looser_target_never_cuts_more(space, looser):
    strict, _, _, _ = ranked(space)

    loose, _, _, _ = ranked(space | {"latency_target_s": space["latency_target_s"] * looser})

    assert len(strict) <= len(loose)


def test_replicas_that_are_exactly_busy_are_cut_for_their_queue_never_empties():
    _, _, replicas, _ = ranked(space(load=np.array([2.0, 9.0])))

    np.testing.assert_array_equal([3, 4], replicas)


def test_equally_cheap_candidates_come_by_point_delay_and_replicas():
    tied = space(
        price_usd_per_hour=np.zeros(2), max_replicas=np.array([3, 3]), delays=np.array([2, 2]), delay_s=np.array([0.0, 0.5])
    )

    point, delay, replicas, _ = ranked(tied)

    expected = [(0, 0, 2), (0, 0, 3), (0, 1, 2), (0, 1, 3), (1, 0, 2), (1, 0, 3), (1, 1, 2), (1, 1, 3)]
    assert expected == list(zip(point.tolist(), delay.tolist(), replicas.tolist(), strict=True))


def test_an_empty_space_leaves_nothing():
    none = space(**{name: column[:0] for name, column in space()["columns"]._asdict().items()})

    fewest, left = search.fewest_replicas(**none)

    assert (0, 0) == (len(fewest), left)
    assert [0] * 4 == [len(part) for part in ranked(none)]


def test_counting_lets_other_threads_run():
    points, delays = 20_000, 20
    few = space(
        fill_s=np.full(2, 0.001), max_replicas=np.full(2, 1 << 20), delays=np.full(2, delays), delay_s=np.full(delays, 2.0)
    )
    columns = Columns(*(np.tile(column, points // 2) for column in few["columns"]))
    counted, over = [0], threading.Event()

    def count():
        while not over.is_set():
            counted[0] += 1
            time.sleep(0)

    beside = threading.Thread(target=count)
    beside.start()
    before = counted[0]
    for _ in range(5):
        search.fewest_replicas(**few | {"columns": columns})
    counted_meanwhile = counted[0] - before
    over.set()
    beside.join()

    # Holding the lock throughout, it would let others in between calls alone, five times.
    assert counted_meanwhile > 50


# A shell that puts the tests into the background has them ignore Ctrl-C, and what they start with them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

INTERRUPTED = """
import numpy as np, sys
from advisor.kernels import search
from advisor.kernels.columns import Columns
points, delays = 4_000, 100_000
floats = [np.full(points, value) for value in (1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.001)]
counts = [np.full(points, 1 << 20), np.zeros(points, dtype=np.intp), np.full(points, delays)]
print("ready", flush=True)
try:
    search.fewest_replicas(Columns(*floats, *counts), delay_s=np.full(delays, 2.0), latency_target_s=1.0)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_ends_a_long_count():
    # 4e8 ranges whose ends are sought: some ten seconds or more, were it not interrupted.
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(0.3)

    process.send_signal(signal.SIGINT)

    with process.stdout:
        assert 130 == process.wait(timeout=60)


def test_columns_are_read_by_name_and_not_by_place():
    given = space(load=np.array([1.0, 2.0]), slack_s=np.array([0.5, 0.0]))
    turned = NamedTuple("Turned", [(name, np.ndarray) for name in reversed(Columns._fields)])
    same = turned(**given["columns"]._asdict())

    expected, left = search.fewest_replicas(**given)
    fewest, counted = search.fewest_replicas(**given | {"columns": same})

    np.testing.assert_array_equal(expected, fewest)
    assert left == counted


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"load": np.ones(1)}, "one entry for each point is needed, got .*'load': 1"),
        ({"load": np.array([1.0, np.nan])}, "load must be finite and at least 0"),
        ({"floor_s": np.array([1.0, -1.0])}, "floor_s must be finite and at least 0"),
        ({"price_usd_per_hour": np.array([1.0, np.inf])}, "price_usd_per_hour must be finite and at least 0"),
        ({"price_usd_per_hour": np.array([1.0, 1e200])}, r"price_usd_per_hour must be at most 1e\+100"),
        ({"busy": np.array([1.0, 2.0])}, "busy must be at most load"),
        ({"max_replicas": np.array([1, 0])}, "max_replicas must be finite and at least 1"),
        ({"max_replicas": np.ones(2)}, "Buffer dtype mismatch"),
        ({"first_delay": np.array([0, -1])}, "first_delay must be finite and at least 0"),
        ({"delays": np.array([1, 2])}, "first_delay and delays reach beyond the 1 entries"),
        ({"delay_s": np.array([1.0, 0.5])}, "delay_s must be finite, not negative and ascending"),
        ({"latency_target_s": math.nan}, "latency_target_s must be finite and positive, not nan"),
        ({"latency_target_s": 0.0}, r"latency_target_s must be finite and positive, not 0\.0"),
    ],
)
def test_input_that_makes_no_sense_is_refused(change, complaint):
    given = space(**change)
    bounds = {name: given[name] for name in ("delay_s", "latency_target_s")}
    with pytest.raises(ValueError, match=complaint):
        search.fewest_replicas(**given)
    with pytest.raises(ValueError, match=complaint):
        search.enumerate_candidates(
            given["columns"], np.ones(2, dtype=np.intp), **bounds, above_usd_per_hour=-1.0, up_to_usd_per_hour=math.inf
        )


def test_as_many_fewest_replicas_as_points_are_needed():
    given = space()

    with pytest.raises(ValueError, match="fewest has 3 entries for 2 points"):
        search.enumerate_candidates(
            given["columns"],
            np.ones(3, dtype=np.intp),
            delay_s=given["delay_s"],
            latency_target_s=1.0,
            above_usd_per_hour=-1.0,
            up_to_usd_per_hour=math.inf,
        )
