import numpy as np
from numpy.typing import NDArray

def non_dominated(points: NDArray[np.float64], *, threads: int = 1) -> NDArray[np.bool_]: ...
