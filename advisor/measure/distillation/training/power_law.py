"""What a longer run would reach: a power law with a floor through the points of a short one, loss = floor + scale * step ** -exponent.

The form is that of Hestness et al. 2017 (arXiv:1712.00409) and of Hoffmann et al. 2022 (arXiv:2203.15556), for one run.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from advisor.schema.distillation import CurvePoint, Longer
from advisor.schema.record import Estimate

FEWEST_POINTS = 5
EXPONENTS = np.linspace(0.05, 2.0, 196)  # of losses that were published they are from 0.07 to about 1
DRAWS = 300
LEVEL = 0.05  # on either side of a 90 % interval
LONGER = (2, 4, 10)  # times as many steps
LEAST_FALL = 0.02  # of the loss from the first point to the last: less is no curve, and its noise would be extrapolated
MOST_UNEXPLAINED = 0.5  # of the variance: points that follow no power law


class PowerLaw(NamedTuple):
    """loss = floor + scale * step ** -exponent, neither of the first two below 0."""

    floor: float
    scale: float
    exponent: float

    def at(self, steps: np.ndarray) -> np.ndarray:
        """Return the loss after so many steps (points,)."""
        return np.asarray(self.floor + self.scale * np.asarray(steps, dtype=float) ** -self.exponent)


def fitted(steps: np.ndarray, losses: np.ndarray) -> PowerLaw:
    """Return the law that is nearest to the points (points,) in the sense of least squares; steps are 1 or more."""
    return PowerLaw(*(float(part[0]) for part in _fitted(steps, losses[np.newaxis])))


def _fitted(steps: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return floors, scales and exponents (draws,) for losses (draws, points): for each exponent the other two follow in closed form."""
    powers = steps[np.newaxis, :] ** -EXPONENTS[:, np.newaxis]  # (exponents, points)
    centered = powers - powers.mean(axis=1, keepdims=True)
    means = losses.mean(axis=1, keepdims=True)  # (draws, 1)
    products, lengths = (losses - means) @ centered.T, (centered**2).sum(axis=1)
    scales = products / lengths  # (draws, exponents)
    floors = means - scales * powers.mean(axis=1)
    # A floor below 0 is none: the line through the origin is then the best that is left; a scale below 0 is a flat line.
    through_zero = losses @ powers.T / (powers**2).sum(axis=1)
    scales = np.where(floors < 0, through_zero, scales)
    floors = np.where(floors < 0, 0.0, floors)
    floors = np.where(scales < 0, means, floors)
    scales = np.maximum(scales, 0.0)
    # The sum of squares, of losses and powers around their means, so that none of its digits is lost.
    beside = means - floors - scales * powers.mean(axis=1)
    errors = scales**2 * lengths - 2 * scales * products + len(steps) * beside**2
    best = errors.argmin(axis=1)[:, np.newaxis]
    return (
        np.take_along_axis(floors, best, axis=1)[:, 0],
        np.take_along_axis(scales, best, axis=1)[:, 0],
        EXPONENTS[best[:, 0]],
    )


def longer_runs(curve: Sequence[CurvePoint], steady: tuple[int, int], seed: int) -> tuple[Longer, ...]:
    """Return what runs of several times as many steps would reach, nothing where the points do not tell.

    The law is of the points at the full learning rate, those of steps within `steady`; what the end of this run gained by lowering it, a
    longer one gains as well, by the same factor. The interval is a bootstrap of the residuals.
    """
    points = [point for point in curve if max(1, steady[0]) <= point.step <= steady[1]]
    steps, losses = (np.array([getattr(point, name) for point in points], dtype=float) for name in ("step", "held_out_loss"))
    if len(points) < FEWEST_POINTS or losses[-1] > (1 - LEAST_FALL) * losses[0]:
        return ()
    law = fitted(steps, losses)
    # Of as many points so many are used up by the law's own parameters.
    residuals = (losses - law.at(steps)) * np.sqrt(len(points) / (len(points) - len(law)))
    if law.scale <= 0 or (residuals**2).mean() > MOST_UNEXPLAINED * losses.var():
        return ()
    random = np.random.default_rng(seed)
    drawn = law.at(steps) + random.choice(residuals - residuals.mean(), size=(DRAWS, len(points)))
    floors, scales, exponents = _fitted(steps, np.maximum(drawn, 0.0))
    last = max(curve, key=lambda point: point.step)
    gained = min(1.0, last.held_out_loss / float(law.at(np.array([last.step]))[0]))
    found = []
    for times in LONGER:
        reached = gained * (floors + scales * float(times * last.step) ** -exponents)
        # A single further point strays as those of the fit do.
        reached = np.maximum(reached + gained * random.choice(residuals - residuals.mean(), size=DRAWS), 0.0)
        low, high = np.quantile(reached, (LEVEL, 1 - LEVEL))
        value = gained * float(law.at(np.array([times * last.step]))[0])
        loss = Estimate(
            value=value,
            low=float(min(low, value)),
            high=float(max(high, value)),
            basis="projected",
            source=f"power law with a floor through {len(points)} points, bootstrap of the residuals",
        )
        found.append(Longer(steps=times * last.step, seconds=times * last.seconds, held_out_loss=loss))
    return tuple(found)
