import numpy as np
from numpy.typing import NDArray

from advisor.kernels.columns import Columns

_Floats = NDArray[np.float64]
_Counts = NDArray[np.intp]

def fewest_replicas(columns: Columns, *, delay_s: _Floats, latency_target_s: float) -> tuple[_Counts, int]: ...
def enumerate_candidates(
    columns: Columns,
    fewest: _Counts,
    *,
    delay_s: _Floats,
    latency_target_s: float,
    above_usd_per_hour: float,
    up_to_usd_per_hour: float,
) -> tuple[_Counts, _Counts, _Counts, _Floats]: ...
