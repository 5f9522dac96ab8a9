"""Metrics by their usual names: what a model gives and what is true -> a figure over any selection of items."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from advisor.errors import AdvisorError, InputError
from advisor.measure.quality import own_code
from advisor.measure.quality.scores import area_under_curve, edit_distance, is_list, item_cosines, ranks, surprise
from advisor.quality_floor import OWN, TOP_K, UNBOUNDED
from advisor.schema.model import ModelInput, ModelOutput
from advisor.schema.record import Record

Outputs = Mapping[str, np.ndarray]
Loss = Literal["difference", "rise", "increase"]  # what is lost: a fall, a rise, or a rise as a fraction of the baseline
Score = Callable[[np.ndarray], float]  # indices of items (with repetitions) -> the metric of them


class Case(Record, frozen=True, kw_only=True):
    """The input of a metric: the user's items, and the outputs of the model as given for them."""

    outputs: tuple[ModelOutput, ...]
    baseline: Outputs
    labels: np.ndarray | None
    masks: np.ndarray | None  # (items, length); padded positions count nowhere
    rows: Mapping[str, np.ndarray]
    inputs: tuple[ModelInput, ...]


# Where most items score exactly alike before and after, resampling shows no spread of losses too rare to have been observed.
COUNTED = {"accuracy", "top1_agreement", "exact_match", "f1", "character_error_rate"}
NEEDS_LABELS = {
    "accuracy",
    "f1",
    "auc",
    "exact_match",
    "character_error_rate",
    "mean_squared_error",
    "pearson",
    "spearman",
}
NEEDS_CLASSES = {"accuracy", "f1", "top1_agreement"}
NEEDS_FLOATS = {"cosine", "mean_squared_error", "pearson", "spearman", "auc", "perplexity"}


def is_counted(metric: str) -> bool:
    """Return whether items are right or wrong, so that a loss may be too rare to show in a sample."""
    return metric in COUNTED or bool(TOP_K.fullmatch(metric))


def loss_of(metric: str) -> Loss:
    """Return the unit in which a loss of this metric is reported."""
    if metric == "character_error_rate":
        return "rise"
    return "increase" if metric in UNBOUNDED else "difference"


def lost(metric: str, before: float, after: float) -> float:
    """Return what is lost from `before` to `after`; raise AdvisorError if that has no measure."""
    kind = loss_of(metric)
    if kind == "difference":
        return before - after
    if kind == "rise":
        return after - before
    if before <= 0:
        raise AdvisorError(
            f"quality.metric: the model as given has a {metric} of 0, so a loss cannot be expressed as a fraction of it",
            hint="use labels that are not the model's own outputs, or another metric",
        )
    increase = after / before - 1
    if not math.isfinite(increase):
        raise AdvisorError(
            f"quality.metric: {metric} rises from {before:g} to {after:g}, which is no figure", hint="use another metric"
        )
    return increase


def scorer(metric: str, case: Case, values: Outputs, own: Callable[..., object] | None) -> Score:
    """Return the metric of the outputs `values` as a function of items; raise InputError where it cannot be taken of them."""
    top = TOP_K.fullmatch(metric)
    if OWN.fullmatch(metric):
        assert own is not None
        return _own(metric, own, case, values)
    lists = [name for name, value in values.items() if is_list(value)]
    if len(lists) == len(values):
        raise InputError(
            f"quality.metric: {metric} needs an output of one shape, and {lists[0]} differs in shape from item to item",
            hint="name a function of your own, 'module:function': it gets a list of arrays, one for each item",
        )
    if metric == "cosine":
        return _mean(_cosines(case, values))
    if metric == "perplexity":
        return _perplexity(case, values)
    if metric in ("accuracy", "top1_agreement") or top:
        return _mean(_right(metric, case, values, int(top[1]) if top else 1))
    if metric in ("exact_match", "character_error_rate"):
        return _text_score(metric, case, values)
    if metric == "f1":
        return _f1(case, values)
    if metric == "auc":
        return _auc(case, values)
    return _regression(metric, case, values)


def _mean(scores: np.ndarray) -> Score:
    return lambda chosen: float(scores[chosen].mean())


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> Score:
    return lambda chosen: float(parts[chosen].sum() / max(wholes[chosen].sum(), 1))


def _own(source: str, function: Callable[..., object], case: Case, values: Outputs) -> Score:
    """Score by the user's function of outputs and rows: a score for each item, or one figure for those it is given; higher is better."""
    key, items = "quality.metric", len(next(iter(values.values())))

    def figures(outputs: Outputs, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        return own_code.figures(source, key, own_code.run(source, key, function, dict(outputs), dict(rows)))

    whole = figures(values, case.rows)
    if whole.shape == (items,):
        return _mean(whole)
    if whole.shape != ():
        raise _wrong_shape(source, whole, items)

    def score(chosen: np.ndarray) -> float:
        rows = {name: rows[chosen] if rows.ndim and len(rows) == items else rows for name, rows in case.rows.items()}
        found = figures({name: value[chosen] for name, value in values.items()}, rows)
        if found.shape != ():
            raise _wrong_shape(source, found, len(chosen))
        return float(found)

    return score


def _wrong_shape(source: str, found: np.ndarray, items: int) -> InputError:
    return InputError(
        f"quality.metric: {source} returned shape {list(found.shape)} for {items} items",
        hint="return one score for each item, or one number; higher is better",
    )


# --- directions ----------------------------------------------------------------------------------------------------------


def no_direction() -> InputError:
    """Return the complaint about a cosine of single numbers: of two with the same sign it is 1, however far apart they are."""
    return InputError(
        "quality.metric: cosine compares directions, but the first output is one number for each item", hint="use another metric"
    )


def is_one_number(values: np.ndarray) -> bool:
    """Return whether the output is a single number for each item."""
    return values.size == len(values)


def _cosines(case: Case, values: Outputs) -> np.ndarray:
    name = _float_output(case, values)
    if name is None or is_one_number(case.baseline[name]):
        raise no_direction()
    return item_cosines(masked(case.baseline[name], case.masks), masked(values[name], case.masks))


# --- decisions -----------------------------------------------------------------------------------------------------------


def class_decisions(outputs: tuple[ModelOutput, ...], values: Outputs, masks: np.ndarray | None) -> np.ndarray | None:
    """Return the decided class per item (and position), from a label output if there is one, else from the scores.

    Classes may be called 3 and 7, or by texts; scores only know them as first and second.
    """
    with_classes = [output.name for output in outputs if output.has_classes]
    labels = [name for name in with_classes if values[name].dtype.kind in "iuUS" and values[name].ndim == 1]
    if labels:
        return values[labels[0]]
    scores = class_scores(outputs, values)
    if scores is not None:
        return np.asarray(masked(scores, masks).argmax(axis=-1))
    named = [name for name in with_classes if values[name].dtype.kind in "iuUS"]
    return values[named[0]] if named else None


def class_scores(outputs: tuple[ModelOutput, ...], values: Outputs) -> np.ndarray | None:
    """Return the scores of classes along the last axis, None where the model gives none."""
    scored = [
        output.name
        for output in outputs
        if output.has_classes
        and values[output.name].dtype.kind == "f"
        and values[output.name].ndim >= 2
        and values[output.name].shape[-1] > 1
    ]
    return values[scored[0]] if scored else None


def _right(metric: str, case: Case, values: Outputs, k: int) -> np.ndarray:
    """Return the share of right decisions of each item (items,)."""
    decided = class_decisions(case.outputs, values, case.masks)
    truth = class_decisions(case.outputs, case.baseline, case.masks) if metric == "top1_agreement" else case.labels
    decided, truth = _comparable(metric, decided, truth)
    right = decided == truth
    if k > 1:
        scores = class_scores(case.outputs, values)
        if scores is None or scores.shape[:-1] != truth.shape:
            raise InputError(f"quality.metric: {metric} needs scores of classes", hint="use accuracy")
        best = np.argpartition(scores, -min(k, scores.shape[-1]), axis=-1)[..., -k:]
        right = (best == truth[..., np.newaxis]).any(axis=-1)
    counted = _counted(truth, case.masks)
    return mean_per_item(right, counted)


def _comparable(metric: str, decided: np.ndarray | None, truth: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    if decided is None or truth is None:
        raise InputError(f"quality.metric: {metric} finds no classes in the outputs", hint="use cosine")
    if truth.shape != decided.shape:
        raise InputError(
            f"quality.data: labels have shape {list(truth.shape)}, the model decides {list(decided.shape)}",
            hint="store one label for each decision of the model",
        )
    # NumPy finds a text unequal to every number, so that all would be wrong alike and nothing lost.
    if (truth.dtype.kind in "US") != (decided.dtype.kind in "US"):
        raise InputError(
            f"quality.data: labels are {truth.dtype}, the model decides {decided.dtype}",
            hint="store labels as the model names its classes",
        )
    return decided, truth


def _counted(truth: np.ndarray, masks: np.ndarray | None) -> np.ndarray | None:
    """Return which decisions count: those at positions that are not padded, and whose label is not negative (-100, by custom)."""
    if masks is not None and truth.shape == masks.shape:
        return masks > 0
    return truth >= 0 if truth.ndim > 1 and truth.dtype.kind == "i" and (truth < 0).any() else None


def mean_per_item(right: np.ndarray, counted: np.ndarray | None) -> np.ndarray:
    """Return the share of right decisions (items,) among those that count."""
    if counted is None or right.shape != counted.shape:
        return np.asarray(right.reshape(len(right), -1).mean(axis=1))
    return np.asarray((right & counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1))


def masked(values: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """Return the values with padded positions set to zero, where the output has one vector a position."""
    if masks is None or values.ndim < 2 or values.shape[:2] != masks.shape:
        return values
    return np.where(masks.reshape(masks.shape + (1,) * (values.ndim - 2)) > 0, values, 0)


def _f1(case: Case, values: Outputs) -> Score:
    """F1 of the larger of two classes, or the mean over the classes where there are more."""
    decided, truth = _comparable("f1", class_decisions(case.outputs, values, case.masks), case.labels)
    counted = _counted(truth, case.masks)
    counted = np.ones(truth.shape, dtype=bool) if counted is None else counted
    classes = np.unique(truth[counted])
    wanted = classes[1:] if len(classes) == 2 else classes

    def per_item(hits: np.ndarray) -> np.ndarray:
        return np.asarray((hits & counted).reshape(len(truth), -1).sum(axis=1))

    hits = np.array([per_item((decided == name) & (truth == name)) for name in wanted])
    # F1 = 2 TP / (2 TP + FP + FN), and 2 TP + FP + FN is how often the class is decided or true.
    named = np.array([per_item(decided == name) + per_item(truth == name) for name in wanted])

    def score(chosen: np.ndarray) -> float:
        counts = named[:, chosen].sum(axis=1)
        present = counts > 0
        return float((2 * hits[:, chosen].sum(axis=1)[present] / counts[present]).mean()) if present.any() else 1.0

    return score


# --- orders --------------------------------------------------------------------------------------------------------------


def _auc(case: Case, values: Outputs) -> Score:
    """Area under the ROC curve; with several classes the mean over each against the rest."""
    scores = class_scores(case.outputs, values)
    if scores is None:
        name = _float_output(case, values)
        scores = None if name is None else values[name].reshape(len(values[name]), -1)
    labels = case.labels
    if scores is None or labels is None or labels.shape != (len(scores),) or scores.ndim != 2:
        raise InputError(
            "quality.metric: auc needs one label and one score (or one per class) for each item", hint="use accuracy"
        )
    classes = np.unique(labels)
    if len(classes) < 2 or (scores.shape[1] == 1 and len(classes) != 2) or (1 < scores.shape[1] < len(classes)):
        raise InputError(
            f"quality.data: auc with {scores.shape[1]} scores found the labels {classes[:5].tolist()}",
            hint="give two classes or more",
        )
    if scores.shape[1] <= 2:
        columns = [(scores[:, -1] - (scores[:, 0] if scores.shape[1] == 2 else 0.0), labels == classes[-1])]
    else:
        # Labels of a model whose classes have names of their own: in their order, as the scores are.
        places = classes if classes.dtype.kind in "iu" and classes.max() < scores.shape[1] else np.arange(len(classes))
        columns = [(scores[:, place], labels == name) for place, name in zip(places, classes, strict=True)]

    def score(chosen: np.ndarray) -> float:
        areas = [area_under_curve(column[chosen], positive[chosen]) for column, positive in columns]
        known = [area for area in areas if area is not None]
        return float(np.mean(known)) if known else 1.0

    return score


def _regression(metric: str, case: Case, values: Outputs) -> Score:
    name = _float_output(case, values)
    labels = case.labels
    if name is None or labels is None or labels.dtype.kind not in "biuf":
        raise InputError(f"quality.metric: {metric} needs numbers as output and as labels", hint="use another metric")
    guesses = masked(values[name], case.masks).astype(np.float64)
    if guesses.size != labels.size or len(guesses) != len(labels):
        raise InputError(
            f"quality.data: labels have shape {list(labels.shape)}, the model gives {list(guesses.shape)}",
            hint="store one label for each number of the output",
        )
    guesses, truth = guesses.reshape(len(guesses), -1), labels.astype(np.float64).reshape(len(labels), -1)
    if metric == "mean_squared_error":
        return _mean(((guesses - truth) ** 2).mean(axis=1))

    def score(chosen: np.ndarray) -> float:
        one, other = guesses[chosen].ravel(), truth[chosen].ravel()
        if metric == "spearman":
            one, other = ranks(one), ranks(other)
        one, other = one - one.mean(), other - other.mean()
        scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
        return float((one * other).sum() / scale) if scale > 0 else 0.0

    return score


def _float_output(case: Case, values: Outputs) -> str | None:
    return next((output.name for output in case.outputs if values[output.name].dtype.kind == "f"), None)


# --- sequences -----------------------------------------------------------------------------------------------------------


def _perplexity(case: Case, values: Outputs) -> Score:
    """Perplexity of each next token under the logits (items, length, vocabulary); padded positions do not count."""
    ids = next((case.rows[e.name] for e in case.inputs if e.role == "ids" and e.name in case.rows), None)
    logits = next(
        (v for v in values.values() if v.dtype.kind == "f" and v.ndim == 3 and ids is not None and v.shape[:2] == ids.shape), None
    )
    if ids is None or logits is None or ids.shape[1] < 2:
        raise InputError(
            "quality.metric: perplexity needs token ids and an output (items, length, vocabulary)", hint="use another metric"
        )
    counted = np.ones(ids.shape, bool) if case.masks is None else case.masks > 0
    counted = counted[:, 1:] & counted[:, :-1]
    wrong = counted & ((ids[:, 1:] < 0) | (ids[:, 1:] >= logits.shape[2]))
    if wrong.any():
        raise InputError(
            f"quality.data: {ids[:, 1:][wrong][0]} is none of the {logits.shape[2]} tokens", hint="use the model's own tokens"
        )
    # Those that do not count may be any number.
    following = np.clip(ids[:, 1:], 0, logits.shape[2] - 1).astype(np.int64)
    # One at a time: all logits in double precision would take twice the memory of the outputs.
    surprises = np.array([surprise(logits[item, :-1], following[item]) for item in range(len(ids))]).reshape(counted.shape)
    return perplexity_of(np.where(counted, surprises, 0.0).sum(axis=1), counted.sum(axis=1))


def perplexity_of(sums: np.ndarray, tokens: np.ndarray) -> Score:
    """Return the perplexity of the tokens, by how unlikely those of each item are together (items,) and how many they are (items,)."""
    mean = _ratio(sums, tokens)
    return lambda chosen: float(np.exp(min(mean(chosen), 700.0)))


def _text_score(metric: str, case: Case, values: Outputs) -> Score:
    decided = class_decisions(case.outputs, values, case.masks)
    if decided is None:
        decided = next((v for v in values.values() if v.dtype.kind in "iuUS"), None)
    if decided is None or case.labels is None or (case.labels.dtype.kind in "US") != (decided.dtype.kind in "US"):
        raise InputError(
            f"quality.metric: {metric} needs texts or classes as output, and labels of the same kind", hint="use another metric"
        )
    masks = case.masks if case.masks is not None and decided.shape == case.masks.shape else None
    pairs = [
        (_symbols(guess, None if masks is None else masks[item] > 0), _symbols(truth, None))
        for item, (guess, truth) in enumerate(zip(decided, case.labels, strict=True))
    ]
    if metric == "exact_match":
        return _mean(np.array([guess == truth for guess, truth in pairs], dtype=float))
    edits = np.array([edit_distance(guess, truth) for guess, truth in pairs])
    return _ratio(edits, np.array([len(truth) for _, truth in pairs]))


def _symbols(values: np.ndarray, counted: np.ndarray | None) -> list[object]:
    """Return the characters of a text, or the classes of a sequence; negative ones are padding."""
    listed = np.atleast_1d(np.asarray(values))
    if listed.dtype.kind in "US":
        return list("".join(text.decode() if isinstance(text, bytes) else text for text in listed.ravel().tolist()))
    kept = listed if counted is None else listed[counted]
    return [symbol for symbol in kept.ravel().tolist() if symbol >= 0]
