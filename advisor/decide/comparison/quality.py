"""Quality as it is and not as what was lost: a metric's value with an interval, as far as its law is known."""

import math
from statistics import NormalDist
from typing import NamedTuple

from advisor.quality_floor import RISING, TOP_K, UNBOUNDED
from advisor.schema.profile import QualityResult
from advisor.schema.record import Estimate

# Shares, and what lies between 0 and 1 for each item: of all that does, a share varies most (Bhatia and Davis 2000).
BETWEEN_0_AND_1 = {"accuracy", "f1", "auc", "exact_match", "character_error_rate", "top1_agreement", "cosine"}
CORRELATIONS = {"pearson", "spearman"}
DEVIATIONS = NormalDist().inv_cdf(0.95)  # of either end of a 90 % interval
FEWEST_FOR_A_CORRELATION = 4  # by Fisher's law


class Known(NamedTuple):
    """A figure of advice, or why there is none."""

    estimate: Estimate | None
    because: str = ""


def sides(old: QualityResult | None, new: QualityResult) -> tuple[Known, Known]:
    """Return both values; where they were measured beside the same values of the same model, with the intervals of what was lost.

    Those are paired, item by item, and a few times narrower than those of the values by themselves.
    """
    if old is None:
        return Known(None, "it was not measured"), absolute(new)
    if old.metric != new.metric:
        return absolute(old), Known(None, f"it is {new.metric} in the one and {old.metric} in the other")
    if old.data_sha256 != new.data_sha256:
        return absolute(old), Known(None, "it was measured on other data")
    if old.baseline == new.baseline:
        return Known(_by_loss(old)), Known(_by_loss(new))
    return absolute(old), absolute(new)


def absolute(quality: QualityResult | None) -> Known:
    """Return the value by itself; its interval is that of other items of the same kind."""
    if quality is None:
        return Known(None, "it was not measured")
    ends = _ends(quality)
    if ends is None:
        return Known(None, f"nobody knows how far a value of {quality.metric} can be off")
    return Known(_estimate(quality, *ends))


def exact(quality: QualityResult) -> Known:
    """Return the value as it was measured, of a file that is compared with itself."""
    return Known(_estimate(quality, quality.value, quality.value))


def _ends(quality: QualityResult) -> tuple[float, float] | None:
    value, items = quality.value, quality.items
    if (quality.metric in BETWEEN_0_AND_1 or TOP_K.fullmatch(quality.metric)) and 0 <= value <= 1:
        return _wilson(value, items)
    if quality.metric in CORRELATIONS and items >= FEWEST_FOR_A_CORRELATION and abs(value) < 1:
        # Fisher's transformation: its error hangs on nothing but the number of items.
        spread = DEVIATIONS / math.sqrt(items - FEWEST_FOR_A_CORRELATION + 1)
        return math.tanh(math.atanh(value) - spread), math.tanh(math.atanh(value) + spread)
    if quality.drop.low < quality.drop.high:
        by_loss = _by_loss(quality)
        return by_loss.low, by_loss.high
    return None


def _wilson(share: float, items: int) -> tuple[float, float]:
    """Return the 90 % interval of a share (Wilson 1927), which holds at 0 and at 1, too."""
    z2 = DEVIATIONS**2 / items
    middle = (share + z2 / 2) / (1 + z2)
    half = DEVIATIONS / (1 + z2) * math.sqrt(share * (1 - share) / items + z2 / (4 * items))
    return min(share, middle - half), max(share, middle + half)


def _by_loss(quality: QualityResult) -> Estimate:
    """Return the value with the interval of what was lost against the model as given."""
    scale = abs(quality.baseline) if quality.metric in UNBOUNDED else 1.0
    below, above = ((quality.drop.value - quality.drop.low) * scale, (quality.drop.high - quality.drop.value) * scale)
    if quality.metric not in RISING:
        below, above = above, below
    return _estimate(quality, quality.value - max(0.0, below), quality.value + max(0.0, above))


def _estimate(quality: QualityResult, low: float, high: float) -> Estimate:
    return Estimate(
        value=quality.value, low=low, high=high, basis="measured", source=f"{quality.metric} on {quality.items:,} items"
    )
