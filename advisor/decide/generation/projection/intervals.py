"""How far off step times may be: split conformal, by what they stand on and by what they are of.

Models were held back, host times fitted without them, and the ratios of measured over predicted times taken; the factor is that within
which nine of ten of them lie, with the correction for their number (Lei and others, J. Am. Stat. Assoc. 113(523), 2018).
"""

import math

import numpy as np

from advisor.decide.generation.service.laws import normal_scores
from advisor.decide.generation.service.step_time import DRAWS
from advisor.medians import NORMAL_95
from advisor.schema.kernels import Figure, StepError
from advisor.schema.language import Ground

# From firm to shaky.
GROUNDS: tuple[Ground, ...] = ("kernels", "scaled-kernels", "roofline")
# Of ratios so few, the largest times this is taken for the ninth of ten.
FEW_RATIOS, WIDER = 10, 1.25
COVERED = 0.9


def conformal_factor(ratios: np.ndarray) -> float:
    """Return the factor within which, either way, measured over predicted times of what was held back lie in nine of ten cases."""
    logs = np.sort(np.abs(np.log(ratios)))
    rank = math.ceil((len(logs) + 1) * COVERED)
    if rank > len(logs) or len(logs) < FEW_RATIOS:
        return float(np.exp(WIDER * logs[-1]))
    return float(np.exp(logs[rank - 1]))


def factor_of(errors: tuple[StepError, ...], ground: Ground, figure: Figure, *, fitted_device: bool) -> float:
    """Return how far off a figure may be: by rows of the same ground, or of the next shakier one that any were held back of."""
    shakier = GROUNDS[GROUNDS.index(ground) :]
    for kind in shakier:
        for fitted in (True, False) if fitted_device else (False,):
            found = [error for error in errors if (error.ground, error.figure, error.fitted_device) == (kind, figure, fitted)]
            if found:
                return found[0].factor
    return max(error.factor for error in errors)


def of_draw(factor: float, draw: int | None) -> float:
    """Return how many times as long steps take at one of the DRAWS, from quick to slow; 1 as they most likely are."""
    if draw is None:
        return 1.0
    return float(factor ** (normal_scores(DRAWS)[draw] / NORMAL_95))
