import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_Counts = NDArray[np.intp]
# price_usd_per_hour, load, busy, floor_s, queue_s, slack_s, fill_s, max_replicas, first_delay, delays
_Columns = tuple[_Floats, _Floats, _Floats, _Floats, _Floats, _Floats, _Floats, _Counts, _Counts, _Counts]

def scan_candidates(
    columns: _Columns, *, delay_s: _Floats, latency_target_s: float, threads: int = 1
) -> tuple[int, float, int, int, int]: ...
def cheapest_candidate(columns: _Columns, *, delay_s: _Floats, latency_target_s: float) -> tuple[float, int, int, int]: ...
def fewest_replicas(columns: _Columns, *, delay_s: _Floats, latency_target_s: float) -> tuple[_Counts, int]: ...
def enumerate_candidates(
    columns: _Columns,
    fewest: _Counts,
    *,
    delay_s: _Floats,
    latency_target_s: float,
    above_usd_per_hour: float,
    up_to_usd_per_hour: float,
) -> tuple[_Counts, _Counts, _Counts, _Floats]: ...
