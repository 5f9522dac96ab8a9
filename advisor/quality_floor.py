"""The names of metrics and the one rule by which quality holds: both those who measure and those who decide need it."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from advisor.units import number, percent, points, share

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
# Of these there is no upper bound: a loss is an increase over the baseline's, and a value is no share.
UNBOUNDED = {"mean_squared_error", "perplexity"}
# These compare with what the model as given answers, and not with the truth.
OF_THE_BASELINE = {"top1_agreement", "cosine"}
OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")  # module:function


def is_known(metric: str) -> bool:
    """Return whether there is such a metric; a function of the user's counts as known."""
    return metric in METRICS or bool(TOP_K.fullmatch(metric)) or bool(OWN.fullmatch(metric))


def level_format(metric: str) -> Callable[[float], str]:
    """Return what prints a value of a metric: a share, but for those without a bound and those of the user's."""
    return number if metric in UNBOUNDED or OWN.fullmatch(metric) else share


def loss_format(metric: str) -> Callable[[float], str]:
    """Return what prints a loss of a metric: points of a share, per cent of what has no bound, and of the user's own its own unit."""
    if metric in UNBOUNDED:
        return percent
    return number if OWN.fullmatch(metric) else points


def changes(metric: str) -> str:
    """Return the word for what a metric does as quality is lost."""
    return "rises" if metric in RISING else "drops"


def keeps_floor(quality: "QualityResult", max_drop: float, max_slice_drop: float | None) -> tuple[bool, str]:
    """Return whether the quality keeps the floor, and the reason in words.

    Over all items the upper end of the interval has to be within `max_drop`: a larger loss is excluded, not merely unobserved. A single
    class or slice has few items. Without a floor of its own it fails only if it is shown to lose more than `max_drop`; with
    `max_slice_drop` it fails if it may lose more than that.
    """
    drop, shown = quality.drop, loss_format(quality.metric)
    word = changes(quality.metric)
    found = f"{quality.metric} {word} by {shown(drop.value)}, at worst {shown(drop.high)} (allowed {shown(max_drop)})"
    if drop.high > max_drop:
        return False, found
    if not quality.slices:
        return True, found
    if max_slice_drop is None:
        worst = max(quality.slices, key=lambda entry: entry.drop.low)
        if worst.drop.low > max_drop:
            return False, f"{found}; but {worst.name} {word} by {shown(worst.drop.value)}, at least {shown(worst.drop.low)}"
        return True, found
    widest = max(quality.slices, key=lambda entry: entry.drop.high)
    if widest.drop.high > max_slice_drop:
        allowed = f"allowed for each class and slice: {shown(max_slice_drop)}"
        part = f"{widest.name} {word} by {shown(widest.drop.value)}, at worst {shown(widest.drop.high)}"
        return False, f"{found}; but {part} ({allowed})"
    return True, found
