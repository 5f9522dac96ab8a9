"""Service inside a server at the ends of its interval: what a machine does to all of it, and what a hold-up does to some."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.service.in_server import RUN_TO_RUN_FACTOR, spread_at, way_s
from advisor.decide.service.stalls import SIDE
from advisor.schema.profile import Calibration
from advisor.schema.record import Estimate

NOTHING = Estimate(value=0.0, low=0.0, high=0.0, basis="measured", source="a test")
ways = st.lists(st.floats(1e-5, 1e-2), min_size=100, max_size=300).map(np.array)


def seen(spread: tuple[float, ...]) -> Calibration:
    return Calibration(
        variant="fp32",
        intra_op_num_threads=1,
        instances=1,
        call_ratio=NOTHING,
        call_lengths_s=(1.0,),
        call_factors=(1.0,),
        per_batch_s=NOTHING,
        per_request_s=NOTHING,
        wake_s=NOTHING,
        transit_s=(0.0,),
        spread=spread,
        batches=100,
    )


@given(ways)
def test_the_way_of_another_run_is_so_much_longer_or_shorter_and_in_the_middle_the_one_that_was_seen(seen_s: np.ndarray) -> None:
    low_s, value_s, high_s = (way_s(seen_s, SIDE[end]) for end in ("low", "value", "high"))

    np.testing.assert_array_equal(seen_s, value_s)
    assert (low_s <= value_s).all() and (value_s <= high_s).all() and (low_s >= 0).all()


def test_a_hold_up_on_the_way_is_later_by_no_more_than_the_usual_way() -> None:
    usual_s, hold_up_s = 1e-4, 5e-3
    seen_s = np.array([*[usual_s] * 9_500, *[hold_up_s] * 500])

    high_s = np.sort(way_s(seen_s, SIDE["high"]))

    assert RUN_TO_RUN_FACTOR * usual_s == pytest.approx(high_s[0])
    assert hold_up_s + (RUN_TO_RUN_FACTOR - 1) * usual_s == pytest.approx(high_s[-100])


@given(st.floats(0.3, 3.0))
def test_a_hold_up_of_a_batch_lasts_as_long_whatever_the_batches_take(slower: float) -> None:
    at_end = np.sort(spread_at(seen((*[1.0] * 95, *[31.0] * 5)), (), slower)) * slower

    assert slower == pytest.approx(at_end[0])
    assert slower + 30.0 == pytest.approx(at_end[-1])


def test_where_no_server_was_seen_batches_spread_as_calls_alone_do() -> None:
    np.testing.assert_array_equal([0.9, 1.0, 1.4], spread_at(None, (0.9, 1.0, 1.4), 2.0))
