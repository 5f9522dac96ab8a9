"""Stretches of a long trace that stand for all of it: of the busiest all, of calmer ones fewer and fewer.

The tail of the latencies is made in the busiest stretches, and there are few of them. So stretches are put in the order of their busiest
moment, the first EACH of them are simulated, and of each further part of the order, always as large as all before it, EACH as well, spread
evenly over it. A request counts as often as its part has requests for each one that is simulated: the mean over draws is that of all.

A stretch begins with an empty queue, and LEAD requests of the trace come before those that count. That holds where a queue forgets in so
many requests what was before. Where one falls behind for longer, it shows in the work alone: `backlog_s` follows it through all the trace.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

MOST_WHOLE = 200_000  # requests at one replica that are simulated for every candidate
STRETCH = 512  # requests that count, at one replica
LEAD = 256
TAIL = 64  # after them, who fill their last batch
EACH = 8  # stretches of a part of the order
BURST = 128  # requests, whose shortest span says how busy a stretch is
PAUSE_S = 3600.0  # between stretches, in which every queue empties
FORGETTABLE = 64  # requests of backlog that LEAD requests make up for


def note(requests: int) -> str:
    """Return what is taken of a trace of so many requests, and why that is safe; empty where all of it is."""
    if requests <= MOST_WHOLE:
        return ""
    return (
        f"traffic.trace: where a replica gets more than {MOST_WHOLE:,} of its {requests:,} requests, stretches of {STRETCH} stand for "
        "them: the busiest all, of calmer ones fewer, each counted for those like it; a candidate that falls behind for longer than a "
        "stretch shows is simulated on all requests, and none counts as keeping the target that does not on all of them"
    )


class Stretches(NamedTuple):
    """The stretches that were taken of one part of the order, one after the other."""

    place: np.ndarray  # (requests,) in the trace
    begins_s: np.ndarray  # (requests,) from the beginning of the trace's clock to that of this one
    is_counted: np.ndarray  # (requests,)
    share: float  # of all requests of the trace that the part holds


def stretches(sent_s: np.ndarray, *, replicas: int, seed: int) -> list[Stretches]:
    """Return the stretches of a trace sent at `sent_s` (requests,), ascending, by part, the busiest part first.

    They are so long that each of `replicas` gets STRETCH of their requests.
    """
    random = np.random.default_rng((seed, 8))
    total = len(sent_s)
    bounds = np.linspace(0, total, total // (STRETCH * replicas) + 1).astype(np.intp)
    order = np.argsort(_shortest_s(sent_s, bounds, BURST * replicas), kind="stable")
    edges = [0, EACH]
    while edges[-1] < len(order):
        edges.append(2 * edges[-1])
    edges[-1] = len(order)
    found = []
    for first, end in pairwise(edges):
        count = min(EACH, end - first)
        taken = order[first + ((np.arange(count) + random.random()) * ((end - first) / count)).astype(np.intp)]
        part = order[first:end]
        share = float((bounds[part + 1] - bounds[part]).sum()) / total
        found.append(_together(sent_s, bounds[taken], bounds[taken + 1], replicas, share))
    return found


def _shortest_s(sent_s: np.ndarray, bounds: np.ndarray, burst: int) -> np.ndarray:
    """Return the shortest time (stretches,) in which so many requests of each stretch come."""
    span_s = np.diff(sent_s[::burst])
    shortest_s = np.full(len(bounds) - 1, np.inf)
    np.minimum.at(shortest_s, np.searchsorted(bounds, np.arange(len(span_s)) * burst, side="right") - 1, span_s)
    return shortest_s


def _together(sent_s: np.ndarray, first: np.ndarray, end: np.ndarray, replicas: int, share: float) -> Stretches:
    """Return the stretches that count from `first` to `end` (stretches,), with what comes before and after."""
    begin = np.maximum(first - LEAD * replicas, 0)
    stop = np.minimum(end + TAIL * replicas, len(sent_s))
    length = stop - begin
    stretch = np.repeat(np.arange(len(first)), length)
    place = np.arange(len(stretch)) - np.repeat(np.cumsum(length) - length, length) + begin[stretch]
    span_s = sent_s[stop - 1] - sent_s[begin] + PAUSE_S
    begins_s = sent_s[begin] - (np.cumsum(span_s) - span_s)
    return Stretches(place, begins_s[stretch], (place >= first[stretch]) & (place < end[stretch]), share)


def backlog_s(block_s: np.ndarray, work_s: float) -> np.ndarray:
    """Return how much work (blocks,) is left after each STRETCH requests, which take `block_s` (blocks,) to come, each with `work_s`.

    No queue has less: work is done as soon as it is there.
    """
    owed_s = np.cumsum(STRETCH * work_s - block_s)
    return np.asarray(owed_s - np.minimum(np.minimum.accumulate(owed_s), 0.0))
