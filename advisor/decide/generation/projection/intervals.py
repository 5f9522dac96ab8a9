"""How far off step times may be: split conformal, by what they stand on and by what they are of.

Models were held back, host times fitted without them, and the ratios of measured over predicted times taken; the factor is that within
which nine of ten of them lie, with the correction for their number (Lei and others, J. Am. Stat. Assoc. 113(523), 2018).
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from advisor.decide.generation.service.laws import normal_scores
from advisor.decide.generation.service.step_time import DRAWS
from advisor.medians import NORMAL_95
from advisor.schema.arrays.kernels import Figure, StepError
from advisor.schema.language import Ground

# From firm to shaky.
GROUNDS: tuple[Ground, ...] = ("kernels", "scaled-kernels", "roofline")
COVERED = 0.9
# What steps of an engine may be off by that were never held back of it, those of its older self were.
OLDER = {"vllm": "vllm-2024"}
# Of ratios so few that none of them is the ninth of ten, the largest counts, and this many times its logarithm.
WIDER = 1.25


def conformal_factor(ratios: Sequence[float] | np.ndarray) -> float:
    """Return the factor within which, either way, measured over predicted times of what was held back lie in nine of ten cases."""
    logs = np.sort(np.abs(np.log(ratios)))
    rank = math.ceil((len(logs) + 1) * COVERED)
    return float(np.exp(WIDER * logs[-1] if rank > len(logs) else logs[rank - 1]))


def factor_of(errors: Sequence[StepError], ground: Ground, figure: Figure, *, engine: str, fitted_device: bool) -> float:
    """Return how far off a figure may be: by rows of the same ground sooner than of a shakier one, of the same engine sooner than of all.

    What a whole batch was off by tells of steps that were never timed by themselves. What was never held back of any such kind may be as
    far off as the worst of all that was.
    """
    by_kind = {(error.ground, error.figure, error.fitted_device, error.engine): error.factor for error in errors}
    grounds = GROUNDS[GROUNDS.index(ground) :]
    devices = (True, False) if fitted_device else (False,)
    engines = (engine, OLDER[engine], None) if engine in OLDER else (engine, None)
    for kind, fitted, of, wanted in itertools.product(grounds, devices, engines, dict.fromkeys((figure, "batch"))):
        if (kind, wanted, fitted, of) in by_kind:
            return by_kind[kind, wanted, fitted, of]
    return max(by_kind.values())


def of_draw(factor: float, draw: int | None) -> float:
    """Return how many times as long steps take at one of the DRAWS, from quick to slow; 1 as they most likely are."""
    if draw is None:
        return 1.0
    return float(factor ** (normal_scores(DRAWS)[draw] / NORMAL_95))
