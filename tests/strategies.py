"""What the property tests draw from: queues, spaces of candidates, points. Grids of few values make ties likely."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from advisor.kernels.columns import Columns

# Multiples of 1/8 s are exact in binary: arrivals, deadlines and completions then really fall on the same instant.
_gap_s = st.sampled_from([0.0, 0.125, 0.5, 1.0]) | st.floats(0.0, 4.0, allow_subnormal=False)
_duration_s = st.sampled_from([0.125, 0.5, 1.0]) | st.floats(1e-3, 8.0)
_factor = st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.1, 3.0)
_delay_s = st.sampled_from([0.0, 0.125, 1.0, 1e6]) | st.floats(0.0, 8.0, allow_subnormal=False)
_length_s = st.sampled_from([0.0, 0.125, 0.5, 2.0]) | st.floats(0.0, 4.0, allow_subnormal=False)
_stall_gap_s = st.sampled_from([0.125, 0.5, 1.0, 4.0]) | st.floats(0.01, 8.0)
_max_batch_size = st.integers(1, 5)
_wake_s = st.sampled_from([0.0, 0.0, 0.125, 1.0]) | st.floats(0.0, 2.0, allow_subnormal=False)
_coordinate = st.sampled_from([-1.0, 0.0, 1.0, 2.0]) | st.floats(allow_nan=False)


@st.composite
def queues(
    draw: st.DrawFn,
    max_batch_sizes: st.SearchStrategy[int] = _max_batch_size,
    factors: st.SearchStrategy[float] = _factor,
) -> dict[str, Any]:
    """Arguments of simulate_queue: bursts, idle spells, more servers than requests, delays from none to longer than the trace."""
    gap_s = draw(st.lists(_gap_s, max_size=40))
    classes = draw(st.integers(1, 3))
    return {
        "arrival_s": np.cumsum(np.array(gap_s, dtype=np.float64)),
        "size_class": draw(arrays(np.intp, len(gap_s), elements=st.integers(0, classes - 1))),
        "service_s": draw(arrays(np.float64, (draw(max_batch_sizes), classes), elements=_duration_s)),
        "service_factor": draw(arrays(np.float64, st.integers(1, 4), elements=factors)),
        "instances": draw(st.integers(1, 5) | st.just(64)),
        "max_queue_delay_s": draw(_delay_s),
        "wake_s": draw(_wake_s),
        "hold_up_s": draw(st.none() | arrays(np.float64, st.integers(1, 4), elements=_wake_s)),
    }


@st.composite
def stalls(draw: st.DrawFn, lengths: st.SearchStrategy[float] = _length_s) -> dict[str, Any]:
    """Arguments that stall the servers of simulate_queue: often and seldom, overlapping, of no length, less than half of the time."""
    count = draw(st.integers(1, 6))
    length_s = draw(arrays(np.float64, count, elements=lengths))
    gap_s = draw(arrays(np.float64, count, elements=_stall_gap_s))
    return {"stall_gap_s": gap_s * max(1.0, 4 * length_s.sum() / gap_s.sum()), "stall_length_s": length_s}


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of the search: equal prices and none, floors at the target, loads that are a whole number of replicas."""
    points = draw(st.integers(0, 8))
    delays = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5]) | st.floats(0.0, 2.0), min_size=1, max_size=3).map(sorted))
    few = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0]) | st.floats(0.0, 3.0)

    def column(elements: st.SearchStrategy[float]) -> NDArray[np.float64]:
        return draw(arrays(np.float64, points, elements=elements))

    first = draw(arrays(np.intp, points, elements=st.integers(0, len(delays) - 1)))
    load = column(st.sampled_from([0.0, 1.0, 4.0, 1e300]) | st.floats(0.0, 12.0))
    columns = Columns(
        price_usd_per_hour=column(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0.0, 9.0)),
        load=load,
        busy=load * draw(st.sampled_from([0.0, 0.5, 1.0])),
        floor_s=column(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0.0, 2.0)),
        queue_s=column(few),
        slack_s=column(few),
        fill_s=column(few),
        max_replicas=draw(arrays(np.intp, points, elements=st.integers(1, 12) | st.just(40))),
        first_delay=first,
        delays=np.array([draw(st.integers(1, len(delays) - start)) for start in first], dtype=np.intp),
    )
    return {
        "columns": columns,
        "delay_s": np.array(delays),
        "latency_target_s": draw(st.sampled_from([0.5, 1.0]) | st.floats(0.1, 2.0)),
    }


@st.composite
def points(draw: st.DrawFn) -> NDArray[np.float64]:
    """Points in 2 to 5 objectives: duplicates, shared coordinates, infinities."""
    return draw(arrays(np.float64, st.tuples(st.integers(0, 30), st.integers(2, 5)), elements=_coordinate))
