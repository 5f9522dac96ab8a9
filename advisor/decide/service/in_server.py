"""Service inside a server: how much longer a call takes there than in the profile, and how late a request comes to it."""

import numpy as np

from advisor.decide.service.few_draws import shifted
from advisor.medians import NORMAL_95
from advisor.schema.profile import Calibration

# Service inside a server, beside a generator and a batcher, over service in the profile: runs of the same model differed by 0.91 to
# 1.15 where the machine was quiet (prototype, 36 runs, 2026-11); the load test replaces this assumption by a measurement.
SERVER_FACTOR = {"low": 0.95, "value": 1.0, "high": 1.15}
# What is beside the call, minutes later on the same machine: the median way of a request was 37 to 97 us in 32 runs of four models, slow or
# quick for a minute (standard deviation of logarithms 0.37), and what a call takes more on an idle instance 11 to 62 us (2026-11).
RUN_TO_RUN_FACTOR = 1.8
USUAL_SHARE = 0.9  # of ways and of batches, that are as long as the machine makes them; the others met a hold-up


def way_s(transit_s: np.ndarray, standard_errors: float) -> np.ndarray:
    """Return seconds on the way to the queue (requests,) in another run, so many standard errors slower than this one; or quicker.

    The ends have how few requests were seen, and what runs differ by: the usual way is so much longer, a hold-up only later by that.
    """
    drawn_s = shifted(transit_s, standard_errors)
    longer = RUN_TO_RUN_FACTOR ** (standard_errors / NORMAL_95) - 1
    return np.asarray(drawn_s + longer * np.minimum(drawn_s, np.quantile(drawn_s, USUAL_SHARE)))


def spread_at(known: Calibration | None, alone: tuple[float, ...], slower: float) -> np.ndarray:
    """Return single batches (batches,) over what is said of them where that is so many times as long as in the middle.

    As observed in a server, in their order; without that as calls `alone` are in the profile. A hold-up lasts no longer because all else
    does.
    """
    if known is None:
        return np.array(alone)
    drawn = np.array(known.spread)
    usual = np.minimum(drawn, np.quantile(drawn, USUAL_SHARE))
    return np.asarray(usual + (drawn - usual) / slower)


def call_in_server_s(
    known: Calibration | None, middle_s: np.ndarray, call_s: np.ndarray, end: str, *, is_own: bool
) -> np.ndarray:
    """Return the seconds of calls in a server, as a load test has shown it or as it is assumed, where they may take `call_s` alone.

    `middle_s` is what they most likely take alone, of the shape of `call_s`; `end` that of what a server does to them. Calls alone and
    calls in a server are measured apart: the two errors are independent, and their logarithms add by their squares.
    """
    middle, there = (_ratio(known, middle_s, at, is_own=is_own) for at in ("value", end))
    off = np.hypot(np.log(call_s / middle_s), np.log(there / middle))
    # The two lie on one side, or only one of them lies off its middle.
    return np.asarray(middle_s * middle * np.exp(np.where((call_s < middle_s) | (there < middle), -off, off)))


def _ratio(known: Calibration | None, call_s: np.ndarray, end: str, *, is_own: bool) -> np.ndarray:
    """Return how many times as long each call takes there.

    What was seen of another configuration, not its own, has no end nearer than SERVER_FACTOR has it.
    """
    if known is None:
        return np.full(call_s.shape, SERVER_FACTOR[end])
    factors = np.interp(np.log(call_s), np.log(known.call_lengths_s), known.call_factors)
    ratio = np.asarray(getattr(known.call_ratio, end) * factors)
    if end == "value" or is_own:
        return ratio
    return np.asarray(np.minimum(ratio, SERVER_FACTOR[end]) if end == "low" else np.maximum(ratio, SERVER_FACTOR[end]))
