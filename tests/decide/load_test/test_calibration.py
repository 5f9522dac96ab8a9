"""What a load test teaches: the parts that batches were made of are found again, with intervals that cover them."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.load_test.calibration import Batches, as_queued, calibrate, held_against, own_way
from advisor.decide.service.in_server import RUN_TO_RUN_FACTOR
from advisor.decide.service.stalls import process_of
from advisor.medians import SHARED_CORE_LOG
from advisor.schema.advice import Candidate
from advisor.schema.profile import Calibration, Stalls
from advisor.schema.record import Estimate

CANDIDATE = Candidate(
    variant="fp32", hardware="local", intra_op_num_threads=1, instances=1, max_batch_size=4, max_queue_delay_s=0.0, replicas=1
)
RATIO, AWAKE_S, ASSEMBLY_S, PER_REQUEST_S, WAKE_S, LATE_S = 1.2, 20e-6, 30e-6, 10e-6, 60e-6, 80e-6


def batches(
    *, count: int, seed: int = 0, noise: float = 0.03, idle_share: float = 0.5, timer_share: float = 0.0, sizes: int = 4
) -> Batches:
    random = np.random.default_rng(seed)
    size = random.integers(1, sizes + 1, count)
    expected_s = 1e-3 + 0.5e-3 * size
    was_idle = random.random(count) < idle_share
    by_timer = random.random(count) < timer_share

    def noisy(seconds: np.ndarray) -> np.ndarray:
        return seconds * random.lognormal(0.0, noise, count)

    return Batches(
        wait_s=noisy(AWAKE_S + (WAKE_S + LATE_S * by_timer) * was_idle),
        assembly_s=noisy(ASSEMBLY_S + PER_REQUEST_S * size),
        call_s=noisy(RATIO * expected_s),
        waited_s=np.zeros(count),
        was_idle=was_idle,
        by_timer=by_timer,
        size=size,
        expected_s=expected_s,
        transit_s=random.exponential(1e-4, 2 * count),
        had_own_way=np.ones(2 * count, dtype=bool),
    )


def calibrate_quietly(seen: Batches) -> Calibration:
    return calibrate(CANDIDATE, seen, noise_fraction=0.0)


def test_the_parts_of_a_batch_are_found_again() -> None:
    found = calibrate_quietly(batches(count=4000))

    assert pytest.approx(RATIO, rel=0.01) == found.call_ratio.value
    assert pytest.approx(AWAKE_S + ASSEMBLY_S, rel=0.05) == found.per_batch_s.value
    assert pytest.approx(PER_REQUEST_S, rel=0.1) == found.per_request_s.value
    assert pytest.approx(WAKE_S, rel=0.1) == found.wake_s.value


def test_beside_other_work_a_call_counts_without_what_it_waited_for_a_core() -> None:
    quiet = batches(count=4000)
    waited_s = np.where(np.arange(4000) % 2, 2.0, 0.0) * quiet.expected_s
    busy = msgspec.structs.replace(quiet, call_s=quiet.call_s + waited_s, waited_s=waited_s)

    known, found = calibrate_quietly(quiet), calibrate_quietly(busy)
    # And without what sharing a core costs beside the waiting, as in a profile.
    assert pytest.approx(known.call_ratio.value * math.exp(-SHARED_CORE_LOG)) == found.call_ratio.value
    assert pytest.approx(known.spread, rel=0.01) == found.spread


def test_what_is_found_says_the_same_of_a_batch_as_was_observed() -> None:
    seen = batches(count=4000)

    found = calibrate_quietly(seen)

    assert pytest.approx(1.0, abs=0.02) == float(np.median(found.spread))


def test_disturbances_are_kept_in_the_order_in_which_they_came() -> None:
    seen = batches(count=6000, idle_share=0.0)
    slow = np.arange(6000) >= 3000
    disturbed = msgspec.structs.replace(seen, call_s=seen.call_s * np.where(slow, 3.0, 1.0))

    spread = np.array(calibrate_quietly(disturbed).spread)

    assert len(spread) < 6000 and 2.0 < np.median(spread[-100:]) / np.median(spread[:100]) < 4.0


def test_how_late_a_timer_ends_is_told_apart_from_waking_up() -> None:
    found = calibrate_quietly(batches(count=4000, timer_share=0.5))

    assert found.timer_late_s is not None
    assert pytest.approx(LATE_S, rel=0.15) == found.timer_late_s.value
    assert pytest.approx(WAKE_S, rel=0.15) == found.wake_s.value


@pytest.mark.parametrize("timer_share", [0.0, 1.0])
def test_without_batches_of_both_kinds_lateness_is_unknown_and_part_of_waking_up(timer_share: float) -> None:
    found = calibrate_quietly(batches(count=4000, timer_share=timer_share))

    assert found.timer_late_s is None
    assert pytest.approx(WAKE_S + timer_share * LATE_S, rel=0.1) == found.wake_s.value


@pytest.mark.parametrize("idle_share", [0.0, 1.0])
def test_a_server_that_is_always_or_never_idle_teaches_what_can_be_seen_of_it(idle_share: float) -> None:
    found = calibrate_quietly(batches(count=1000, idle_share=idle_share))

    beside_s = found.per_batch_s.value + found.wake_s.value * idle_share
    assert pytest.approx(AWAKE_S + ASSEMBLY_S + WAKE_S * idle_share, rel=0.1) == beside_s


def test_the_interval_of_the_ratio_covers_it() -> None:
    found = [calibrate_quietly(batches(count=400, seed=seed, noise=0.3)).call_ratio for seed in range(50)]

    assert sum(entry.low <= RATIO <= entry.high for entry in found) >= 45


@pytest.mark.parametrize(("times", "least"), [(0.02, 0.2), (1.0, 0.05), (1000.0, 0.05)])
def test_runs_of_short_calls_differ_by_more_than_those_of_long_ones(times: float, least: float) -> None:
    seen = batches(count=4000, noise=0.0)
    found = calibrate_quietly(
        msgspec.structs.replace(seen, expected_s=times * seen.expected_s, call_s=times * seen.call_s)
    ).call_ratio

    assert least * found.value <= found.high - found.value
    assert (found.high - found.value <= 0.06 * found.value) == (times > 100)


def test_what_is_beside_the_call_may_be_far_off_in_another_run() -> None:
    found = calibrate_quietly(batches(count=4000, noise=0.0))

    for beside in (found.per_batch_s, found.per_request_s, found.wake_s):
        assert beside.low <= beside.value / RUN_TO_RUN_FACTOR and RUN_TO_RUN_FACTOR * beside.value <= beside.high


def test_a_ratio_has_the_doubt_of_the_call_that_it_was_held_against() -> None:
    found = calibrate_quietly(batches(count=400))
    call_s = Estimate(value=2.0, low=1.6, high=2.2, basis="measured", source="a test")

    before, after = found.call_ratio, held_against(found, call_s).call_ratio

    assert before.value == after.value
    # A call that is quicker by itself makes the ratio larger.
    assert math.hypot(math.log(before.high / before.value), math.log(2.0 / 1.6)) == pytest.approx(
        math.log(after.high / after.value)
    )
    assert math.hypot(math.log(before.low / before.value), math.log(2.0 / 2.2)) == pytest.approx(
        math.log(after.value / after.low)
    )


def test_short_calls_may_be_slowed_down_more_than_long_ones() -> None:
    seen = batches(count=4000, idle_share=0.0)
    colder = msgspec.structs.replace(seen, call_s=seen.call_s + 0.3e-3)

    found = calibrate_quietly(colder)

    said = found.call_ratio.value * np.interp(np.log(seen.expected_s), np.log(found.call_lengths_s), found.call_factors)
    assert said * seen.expected_s == pytest.approx(RATIO * seen.expected_s + 0.3e-3, rel=0.02)
    assert list(found.call_factors) == sorted(found.call_factors, reverse=True)


@given(st.integers(1, 60), st.integers(0, 5), st.floats(0.0, 1.0))
def test_however_few_batches_there_are_no_figure_is_negative_and_each_lies_within_its_interval(
    count: int, seed: int, idle_share: float
) -> None:
    found = calibrate_quietly(batches(count=count, seed=seed, idle_share=idle_share, noise=1.0))

    for entry in _figures(found):
        assert 0.0 <= entry.low <= entry.value <= entry.high
    assert count == found.batches == len(found.spread)


def test_a_single_batch_teaches_with_a_wide_interval() -> None:
    ratio = calibrate_quietly(batches(count=1)).call_ratio

    assert ratio.high / ratio.low > 1.3


def test_no_interval_is_narrower_than_the_noise() -> None:
    noisy = calibrate(CANDIDATE, batches(count=4000), noise_fraction=0.4)

    assert all(entry.low <= entry.value / 1.4 and entry.value * 1.4 <= entry.high for entry in _figures(noisy))


def _figures(found: Calibration) -> tuple:
    return (found.call_ratio, found.per_batch_s, found.per_request_s, found.wake_s)


def test_a_request_has_the_way_to_itself_unless_others_are_held_up_before_it_or_a_batch_is_running() -> None:
    arrival_s = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    transit_s = np.array([0.1, 2.5, 1.5, 0.5, 0.1, 0.1])  # the second is held up until 3.5, and those behind it with it

    found = own_way(arrival_s, transit_s, started_s=np.array([4.5]), ended_s=np.array([5.5]))

    assert [True, True, False, False, True, False] == found.tolist()


def test_of_the_way_to_the_queue_only_that_of_requests_that_had_it_to_themselves_is_kept() -> None:
    had_own_way = np.arange(400) % 2 == 0
    seen = msgspec.structs.replace(batches(count=100), transit_s=np.where(had_own_way, 0.1, 2.5), had_own_way=had_own_way)

    assert {0.1} == set(calibrate_quietly(seen).transit_s)


def test_where_hardly_a_request_had_the_way_to_itself_that_of_all_is_kept() -> None:
    had_own_way = np.arange(400) < 50
    seen = msgspec.structs.replace(batches(count=100), transit_s=np.where(had_own_way, 0.1, 2.5), had_own_way=had_own_way)

    assert {0.1, 2.5} == set(calibrate_quietly(seen).transit_s)


def test_what_the_watches_account_for_is_simulated_by_itself_and_not_a_part_of_the_spread() -> None:
    seen, random = batches(count=4000), np.random.default_rng(2)
    held_up = random.random(4000) < 0.01
    late = random.random(8000) < 0.01
    stalled = msgspec.structs.replace(seen, call_s=seen.call_s + 5e-3 * held_up, transit_s=seen.transit_s + 5e-3 * late)
    # Batches take some 9.6 s in all, and 40 of them were held up; 4 stalls a second of 5 ms.
    watched = process_of((Stalls(watched_s=100.0, gaps_s=(5e-3,) * 400, shortest_s=2e-4),))

    plain, smooth = calibrate_quietly(stalled), calibrate(CANDIDATE, stalled, noise_fraction=0.0, stalls=watched)

    assert max(plain.spread) > 2.0 > 1.3 > max(smooth.spread)
    assert max(plain.transit_s) > 5e-3 > max(smooth.transit_s)
    assert len(smooth.spread) > 0.98 * len(plain.spread)
    assert plain.call_ratio == smooth.call_ratio


def test_without_a_watch_every_batch_counts() -> None:
    seen = batches(count=500)

    assert 500 == len(calibrate_quietly(seen).spread) == len(calibrate(CANDIDATE, seen, noise_fraction=0.0, stalls=None).spread)


def test_what_holds_up_batches_that_wake_an_instance_up_is_no_part_of_the_spread() -> None:
    seen, held_up_s = batches(count=4000), 5e-3
    is_held_up = seen.was_idle & (np.arange(4000) % 20 == 0)
    found = calibrate_quietly(msgspec.structs.replace(seen, wait_s=seen.wait_s + held_up_s * is_held_up))
    calm = calibrate_quietly(seen)

    kept = np.array(found.hold_up_s)
    assert int(seen.was_idle.sum()) == len(kept) and int(is_held_up.sum()) == np.count_nonzero(kept)
    assert held_up_s == pytest.approx(float(np.median(kept[kept > 0])), rel=0.1)
    assert max(found.spread) == pytest.approx(max(calm.spread), rel=0.1)
    assert not calm.hold_up_s


def test_a_batch_on_an_instance_at_work_is_held_up_in_the_spread() -> None:
    seen = batches(count=4000)
    is_held_up = ~seen.was_idle & (np.arange(4000) % 20 == 0)

    found = calibrate_quietly(msgspec.structs.replace(seen, wait_s=seen.wait_s + 5e-3 * is_held_up))

    assert not found.hold_up_s and max(found.spread) > 2.0


def test_too_few_batches_at_work_do_not_tell_whether_these_are_held_up_less() -> None:
    seen = batches(count=1000, idle_share=0.95)

    found = calibrate_quietly(msgspec.structs.replace(seen, wait_s=seen.wait_s + 5e-3 * (np.arange(1000) % 20 == 0)))

    assert not found.hold_up_s and 1000 == len(found.spread)


def test_a_request_that_is_due_while_a_batch_runs_finds_the_instance_at_work_however_late_it_comes_to_the_queue() -> None:
    # Sent at 0, 1.5 and 5; the second while the first is served until 2, and taken as it is there at 2.25; the third to an idle instance.
    wait_s, was_idle = as_queued(
        np.array([0.0, 1.5, 5.0]),
        0.125,
        size=np.ones(3, dtype=int),
        ended_s=np.array([2.0, 4.25, 7.5]),
        busy_s=np.array([1.5, 2.0, 2.0]),
        wait_s=np.array([0.25, 0.0, 0.25]),
        was_idle=np.ones(3, dtype=bool),
        instances=1,
    )

    assert [0.25, 0.25, 0.25] == wait_s.tolist()
    assert [True, False, True] == was_idle.tolist()


def test_batches_of_several_requests_are_due_by_their_oldest_and_find_the_instance_that_is_free_first() -> None:
    # Two instances: from 0 to 4 and from 1 to 3; a batch of two, the oldest due at 2, and one that is due at 3.5 on the idle one.
    wait_s, was_idle = as_queued(
        np.array([0.0, 1.0, 2.0, 2.5, 3.5]),
        0.0,
        size=np.array([1, 1, 1, 2]),
        ended_s=np.array([3.0, 4.0, 4.5, 3.25]),
        busy_s=np.array([2.0, 4.0, 1.0, 0.125]),
        wait_s=np.zeros(4),
        was_idle=np.ones(4, dtype=bool),
        instances=2,
    )

    # In the order of their taking: at 0, 1, 3.125 (two, of the requests due at 2 and 2.5) and 3.5.
    assert [0.0, 0.0, 0.0, 0.125] == wait_s.tolist()
    assert [True, True, True, False] == was_idle.tolist()
