import numpy as np
from numpy.typing import NDArray

def simulate_queue(
    arrival_s: NDArray[np.float64],
    size_class: NDArray[np.intp],
    service_s: NDArray[np.float64],
    service_factor: NDArray[np.float64],
    *,
    instances: int,
    max_queue_delay_s: float,
    wake_s: float = 0.0,
    hold_up_s: NDArray[np.float64] | None = None,
    stall_gap_s: NDArray[np.float64] | None = None,
    stall_length_s: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]: ...
def keeps_target(
    arrival_s: NDArray[np.float64],
    size_class: NDArray[np.intp],
    service_s: NDArray[np.float64],
    service_factor: NDArray[np.float64],
    transit_s: NDArray[np.float64],
    *,
    instances: int,
    max_queue_delay_s: float,
    target_s: float,
    warm_up: int,
    allowed: int,
    wake_s: float = 0.0,
    hold_up_s: NDArray[np.float64] | None = None,
    stall_gap_s: NDArray[np.float64] | None = None,
    stall_length_s: NDArray[np.float64] | None = None,
) -> bool: ...
