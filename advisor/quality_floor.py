"""The names of metrics and the one rule by which quality holds: both those who measure and those who decide need it."""

import re
from typing import TYPE_CHECKING

from advisor.units import percent

if TYPE_CHECKING:
    from advisor.schema.profile import QualityResult  # `advisor classify` asks for names of metrics alone

METRICS = (
    "accuracy",
    "f1",
    "auc",
    "exact_match",
    "character_error_rate",
    "mean_squared_error",
    "pearson",
    "spearman",
    "perplexity",
    "top1_agreement",
    "cosine",
)
TOP_K = re.compile(r"top([1-9][0-9]*)_accuracy")
# Of these a loss is more of them.
RISING = {"character_error_rate", "mean_squared_error", "perplexity"}
# These have no upper bound: their loss is an increase, and their value is no share.
UNBOUNDED = {"perplexity", "mean_squared_error"}
# These compare with what the model as given answers, and not with the truth.
OF_THE_BASELINE = {"top1_agreement", "cosine"}
OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")  # module:function


def is_known(metric: str) -> bool:
    """Return whether there is such a metric; a function of the user's counts as known."""
    return metric in METRICS or bool(TOP_K.fullmatch(metric)) or bool(OWN.fullmatch(metric))


def changes(metric: str) -> str:
    """Return the word for what a metric does as quality is lost."""
    return "rises" if metric in RISING else "drops"


def keeps_floor(quality: "QualityResult", max_drop: float, max_slice_drop: float | None) -> tuple[bool, str]:
    """Return whether the quality keeps the floor, and the reason in words.

    Over all items the upper end of the interval has to be within `max_drop`: a larger loss is excluded, not merely unobserved. A single
    class or slice has few items. Without a floor of its own it fails only if it is shown to lose more than `max_drop`; with
    `max_slice_drop` it fails if it may lose more than that.
    """
    drop = quality.drop
    word = changes(quality.metric)
    found = f"{quality.metric} {word} by {percent(drop.value)}, at worst {percent(drop.high)} (allowed {percent(max_drop)})"
    if drop.high > max_drop:
        return False, found
    if not quality.slices:
        return True, found
    if max_slice_drop is None:
        worst = max(quality.slices, key=lambda entry: entry.drop.low)
        if worst.drop.low > max_drop:
            return False, f"{found}; but {worst.name} {word} by {percent(worst.drop.value)}, at least {percent(worst.drop.low)}"
        return True, found
    widest = max(quality.slices, key=lambda entry: entry.drop.high)
    if widest.drop.high > max_slice_drop:
        allowed = f"allowed for each class and slice: {percent(max_slice_drop)}"
        part = f"{widest.name} {word} by {percent(widest.drop.value)}, at worst {percent(widest.drop.high)}"
        return False, f"{found}; but {part} ({allowed})"
    return True, found
