import numpy as np
from numpy.typing import NDArray

def bounce(cell: NDArray[np.int64], hop_s: NDArray[np.float64], *, side: int, hops: int, limit_s: float) -> int: ...
