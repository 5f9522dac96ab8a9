"""Labels that cannot be true of any item: found before anything is measured, left out with their items and counted, or refused if many."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from advisor.errors import InputError
from advisor.measure.quality import metrics
from advisor.measure.quality.evaluation import labels_of
from advisor.measure.quality.examples import take_items
from advisor.quality_floor import TOP_K
from advisor.schema.model import ModelFacts, ModelOutput
from advisor.schema.record import Metric

MOST_LEFT_OUT = 0.01  # of the items; more of them are a mistake in the file, and what is left need not speak for all
OF_CLASSES = {"accuracy", "f1"}


class Kept(NamedTuple):
    """The items whose labels can be true, how many they are, and the note on the others for the report."""

    rows: dict[str, np.ndarray]
    items: int
    notes: tuple[str, ...]


def kept(metric: Metric, facts: ModelFacts, rows: dict[str, np.ndarray], items: int, where: str) -> Kept:
    """Return the items without those whose label is no class, or no number where the metric takes numbers.

    Raises InputError, beginning with `where`, if these are too many.
    """
    is_of_classes, labels = _is_of_classes(metric), labels_of(rows)
    if labels is None or not (is_of_classes or metric in metrics.NEEDS_LABELS) or labels.dtype.kind in "US":
        return Kept(rows, items, ())
    wrong = _no_class(labels, facts.outputs) if is_of_classes else ~np.isfinite(labels)
    lost = np.flatnonzero(wrong.reshape(items, -1).any(axis=1))
    if not len(lost):
        return Kept(rows, items, ())
    first = np.atleast_1d(labels[lost[0]])[np.atleast_1d(wrong[lost[0]])].ravel()[0]
    kind = "class" if is_of_classes else "number"
    found = f"{len(lost):,} of {items:,} items have a label that is no {kind}, the first of them item {lost[0] + 1}: {first:g}"
    if len(lost) > MOST_LEFT_OUT * items:
        raise InputError(
            f"{where}: {found}",
            hint=f"correct these labels, or leave the items out; up to {MOST_LEFT_OUT:.0%} are left out by themselves",
        )
    chosen = np.setdiff1d(np.arange(items), lost)
    return Kept(take_items(facts.inputs, rows, chosen, items), len(chosen), (f"quality.data: {found}; these were left out",))


def _is_of_classes(metric: Metric) -> bool:
    return metric in OF_CLASSES or bool(TOP_K.fullmatch(metric))


def _no_class(labels: np.ndarray, outputs: tuple[ModelOutput, ...]) -> np.ndarray:
    """Return where labels are no class that the model could decide for; by custom a negative one in a sequence is of no position."""
    wrong = ~np.isfinite(labels)
    if labels.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            wrong |= labels != np.round(labels)
    if _names_classes(outputs):
        return np.asarray(wrong)
    if labels.ndim == 1 or labels.dtype.kind == "f":
        wrong |= labels < 0
    count = _classes(outputs)
    return np.asarray(wrong if count is None else wrong | (labels >= count))


def _names_classes(outputs: tuple[ModelOutput, ...]) -> bool:
    """Return whether the model gives the name of a class, which may be any number, and not scores whose place is the class."""
    return any(it.has_classes and len(it.shape) == 1 and it.dtype.startswith(("int", "uint", "string")) for it in outputs)


def _classes(outputs: tuple[ModelOutput, ...]) -> int | None:
    """Return how many classes the scores are of, None where the file does not say it."""
    sizes = [it.shape[-1] for it in outputs if it.has_classes and len(it.shape) > 1 and it.dtype.startswith("float")]
    return next((size for size in sizes[:1] if isinstance(size, int) and size > 1), None)


def check_kind(metric: Metric, rows: Mapping[str, np.ndarray]) -> None:
    """Raise InputError for labels that are a single value, or of a kind that no metric takes, such as structures or dates."""
    labels = labels_of(rows) if _is_of_classes(metric) or metric in metrics.NEEDS_LABELS else None
    if labels is not None and (labels.ndim == 0 or labels.dtype.kind not in "biufUS"):
        fault = "a single value" if labels.ndim == 0 else f"of type {labels.dtype}"
        raise InputError(f"quality.data: the labels are {fault}", hint="store one number or text for each item")
