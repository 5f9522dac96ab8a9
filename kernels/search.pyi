import numpy as np
from numpy.typing import NDArray

def enumerate_candidates(
    item_seconds: NDArray[np.float64],
    latency_floor_s: NDArray[np.float64],
    price_usd_per_hour: NDArray[np.float64],
    max_replicas: NDArray[np.intp],
    *,
    requests_per_s: float,
    latency_target_s: float,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64], int, int]: ...
