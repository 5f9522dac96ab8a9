"""How near a student is to its teacher on items that it did not learn from, with its interval."""

from collections.abc import Mapping

import numpy as np

from advisor.measure.quality.evaluation import LEVEL, drop_of
from advisor.measure.quality.metrics import Score
from advisor.schema.distillation import AgreementMetric
from advisor.schema.record import Estimate


def estimated(figures: Mapping[str, np.ndarray], seed: int) -> tuple[AgreementMetric, Estimate]:
    """Return the metric and its value with a 90 % interval over items.

    `figures` (items,) are a `score` each, a cosine; or `hits` among `of` decisions of an item; or the numbers that `student` and `teacher`
    give.
    """
    metric, score = _scored(figures)
    items = len(next(iter(figures.values())))
    source = f"{metric} with the teacher on {items} items that were held out"
    drop = drop_of(metric, _whole, score, np.arange(items), np.random.default_rng(seed), LEVEL, source)
    low, high = (min(1.0, max(-1.0, 1.0 - end)) for end in (drop.high, drop.low))
    return metric, Estimate(value=1.0 - drop.value, low=low, high=high, basis="measured", source=source)


def _whole(_: np.ndarray) -> float:
    """Return how near the teacher is to itself."""
    return 1.0


def _scored(figures: Mapping[str, np.ndarray]) -> tuple[AgreementMetric, Score]:
    if "score" in figures:
        return "cosine", lambda chosen: float(figures["score"][chosen].mean())
    if "hits" in figures:
        return "top1_agreement", lambda chosen: float(figures["hits"][chosen].sum() / max(figures["of"][chosen].sum(), 1))
    return "pearson", lambda chosen: _correlation(figures["student"][chosen], figures["teacher"][chosen])


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's correlation; of what does not vary 1 where both are alike, else 0."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    centered = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((centered[0] ** 2).sum() * (centered[1] ** 2).sum()))
    if scale == 0:
        return float(np.array_equal(one, other))
    return float((centered[0] * centered[1]).sum() / scale)
