"""How many times as long a call takes inside a server as in the profile."""

import numpy as np

from advisor.schema.profile import Calibration

# Service inside a server, beside a generator and a batcher, over service in the profile: runs of the same model differed by 0.91 to
# 1.15 where the machine was quiet (prototype, 36 runs, 2026-11); the load test replaces this assumption by a measurement.
SERVER_FACTOR = {"low": 0.95, "value": 1.0, "high": 1.15}


def ratio_in_server(known: Calibration | None, call_s: np.ndarray, end: str, *, is_own: bool) -> np.ndarray | float:
    """Return the ratio of each call, as a load test has shown it or as it is assumed.

    What was seen of another configuration, not its own, has no end nearer than SERVER_FACTOR has it.
    """
    if known is None:
        return SERVER_FACTOR[end]
    factors = np.interp(np.log(call_s), np.log(known.call_lengths_s), known.call_factors)
    ratio = np.asarray(getattr(known.call_ratio, end) * factors)
    if end == "value" or is_own:
        return ratio
    return np.asarray(np.minimum(ratio, SERVER_FACTOR[end]) if end == "low" else np.maximum(ratio, SERVER_FACTOR[end]))
