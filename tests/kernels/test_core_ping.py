"""The ping: what one side says the other hears, and neither waits for ever. It measures, so no twin could answer as it does."""

import threading
import time

import numpy as np
import pytest

from advisor.kernels import core_ping

PATIENCE_S = 30.0
CELLS = 33


def bounced(*, blocks, hops, limit_s=PATIENCE_S, cells=CELLS):
    """Return the blocks that each side finished, their seconds a hop, and the cell, after both sides ran as threads."""
    cell, readings, finished = np.zeros(cells, dtype=np.int64), [np.zeros(blocks) for _ in range(2)], [None, None]

    def bounce(side):
        finished[side] = core_ping.bounce(cell, readings[side], side=side, hops=hops, limit_s=limit_s)

    threads = [threading.Thread(target=bounce, args=(side,)) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return finished, readings, cell


# Without the interpreter lock released, the side that begins would wait for the other until its patience ends.
@pytest.mark.parametrize(("blocks", "hops"), [(1, 1), (1, 7), (5, 3)])
def test_both_sides_finish_what_they_agreed_on(blocks, hops):
    finished, readings, cell = bounced(blocks=blocks, hops=hops)

    assert [blocks, blocks] == finished
    assert 2 * blocks * hops + 2 == cell[CELLS // 2]  # the last two: one lets the other side finish, which answers
    assert all((0 < hop_s).all() for hop_s in readings)


def test_only_the_middle_cell_is_touched():
    _, _, cell = bounced(blocks=2, hops=2)

    assert [CELLS // 2] == np.flatnonzero(cell).tolist()


def test_the_seconds_of_all_hops_are_within_the_time_it_took():
    started = time.perf_counter()
    _, readings, _ = bounced(blocks=3, hops=5)
    elapsed_s = time.perf_counter() - started

    assert all(2 * 5 * hop_s.sum() <= elapsed_s for hop_s in readings)


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_that_hears_nothing_gives_up(side):
    readings = np.zeros(4)

    assert 0 == core_ping.bounce(np.zeros(CELLS, dtype=np.int64), readings, side=side, hops=10**9, limit_s=0.01)
    assert not readings.any()


def test_no_blocks_are_finished_at_once():
    assert [0, 0] == bounced(blocks=0, hops=1)[0]


@pytest.mark.parametrize(
    "wrong",
    [{"side": 2}, {"side": -1}, {"hops": 0}, {"limit_s": -1.0}, {"limit_s": float("nan")}, {"cell": np.zeros(0, np.int64)}],
)
def test_arguments_that_mean_nothing_are_refused(wrong):
    arguments = {"cell": np.zeros(CELLS, np.int64), "hop_s": np.zeros(1), "side": 0, "hops": 1, "limit_s": 0.0} | wrong

    with pytest.raises(ValueError):
        core_ping.bounce(arguments.pop("cell"), arguments.pop("hop_s"), **arguments)
