"""How many times as long a call takes inside a server as in the profile."""

import numpy as np

from advisor.schema.profile import Calibration

# Service inside a server, beside a generator and a batcher, over service in the profile: runs of the same model differed by 0.91 to
# 1.15 where the machine was quiet (prototype, 36 runs, 2026-11); the load test replaces this assumption by a measurement.
SERVER_FACTOR = {"low": 0.95, "value": 1.0, "high": 1.15}


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
