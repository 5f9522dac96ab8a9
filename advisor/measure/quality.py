"""How a variant's outputs compare with the baseline's, and what that costs in quality on the user's data."""

from collections.abc import Mapping

import numpy as np

from advisor.errors import InputError
from advisor.schema import Agreement, Estimate, Metric, ModelInput, ModelOutput, QualityResult

Outputs = Mapping[str, np.ndarray]

LABELS = ("label", "labels", "y", "target")  # names under which an .npz file holds what is true
BOOTSTRAP_DRAWS = 1000


def labels_of(rows: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Return the labels among the user's arrays, None if there are none."""
    return next((rows[name] for name in LABELS if name in rows), None)


def check(metric: Metric, outputs: tuple[ModelOutput, ...], rows: Mapping[str, np.ndarray], items: int) -> None:
    """Raise InputError if the metric cannot be taken of this model on these rows, before time is spent on measuring."""
    if metric == "cosine":
        if not any(output.dtype.startswith("float") for output in outputs):
            raise InputError("quality.metric: cosine needs a floating-point output", hint="use accuracy or top1_agreement")
        first = next(output for output in outputs if output.dtype.startswith("float"))
        if len(first.shape) > 1 and all(size == 1 for size in first.shape[1:]):
            raise _no_direction()
        return
    if not any(output.has_classes for output in outputs):
        raise InputError(
            f"quality.metric: {metric} needs an output with classes", hint="use cosine for embeddings and other outputs"
        )
    if metric == "accuracy":
        labels = labels_of(rows)
        if labels is None:
            way_out = f"store them in the data file under one of: {', '.join(LABELS)}"
            raise InputError("quality.metric: accuracy needs labels", hint=way_out)
        if len(labels) != items:
            raise InputError(f"quality.data: {len(labels)} labels for {items} items", hint="store one label for each item")


def _no_direction() -> InputError:
    # Of two numbers with the same sign the cosine is 1, however far apart they are.
    return InputError(
        "quality.metric: cosine compares directions, but the first output is one number for each item", hint="use another metric"
    )


def _is_one_number(values: np.ndarray) -> bool:
    return values.size == len(values)


def agreement(
    outputs: tuple[ModelOutput, ...], baseline: Outputs, variant: Outputs, masks: np.ndarray | None, *, given: bool
) -> Agreement:
    """Return how near the variant's outputs are; `masks` (items, length) leaves padded positions out, None keeps all.

    Cosine is per item over the first floating-point output of more than one number; the difference is the largest over all of them.
    """
    floats = [output.name for output in outputs if output.name in baseline and baseline[output.name].dtype.kind == "f"]
    vectors = [name for name in floats if not _is_one_number(baseline[name])]
    cosines = item_cosines(_masked(baseline[vectors[0]], masks), _masked(variant[vectors[0]], masks)) if vectors else None
    classes = _class_decisions(outputs, baseline, masks), _class_decisions(outputs, variant, masks)
    differences = [_largest_difference(_masked(baseline[name], masks), _masked(variant[name], masks)) for name in floats]
    return Agreement(
        items=len(next(iter(baseline.values()))),
        inputs="given" if given else "generated",
        cosine_mean=None if cosines is None else float(cosines.mean()),
        cosine_min=None if cosines is None else float(cosines.min()),
        max_abs_difference=max(differences, default=0.0),
        top1_agreement=None
        if classes[0] is None or classes[1] is None
        else float(_mean_per_item(classes[0] == classes[1], masks).mean()),
    )


def quality(
    metric: Metric,
    outputs: tuple[ModelOutput, ...],
    baseline: Outputs,
    variant: Outputs,
    *,
    labels: np.ndarray | None,
    masks: np.ndarray | None,
    data_sha256: str,
    seed: int,
) -> QualityResult:
    """Return the metric of both on the same items, and the drop with a paired bootstrap interval over items.

    Raise InputError if the metric needs labels or classes that are not there.
    """
    before = _scores(metric, outputs, baseline, baseline, labels, masks)
    after = _scores(metric, outputs, baseline, variant, labels, masks)
    drops = before - after
    random = np.random.default_rng(seed)
    # A draw at a time: all of them together would take 16 kB per item.
    means = [drops[random.integers(0, len(drops), size=len(drops))].mean() for _ in range(BOOTSTRAP_DRAWS)]
    low, high = np.quantile(means, (0.05, 0.95))
    # With no item lost in n, resampling shows no spread; the 90% bound on an unseen loss is then about 2.3 / n (1 - 0.1^(1/n)).
    unseen = 1.0 - 0.1 ** (1.0 / len(drops)) if metric != "cosine" else 0.0
    return QualityResult(
        metric=metric,
        data_sha256=data_sha256,
        items=len(drops),
        baseline=float(before.mean()),
        value=float(after.mean()),
        drop=Estimate(
            value=float(drops.mean()),
            low=float(min(low, drops.mean())),
            high=float(max(high, drops.mean() + unseen)),
            basis="measured",
            source=f"{metric} on {len(drops)} items, paired bootstrap of {BOOTSTRAP_DRAWS} draws",
        ),
    )


def _largest_difference(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the largest absolute difference where both are finite; JSON has no word for another one."""
    a, b = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0))


def item_cosines(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return the cosine similarity (items,) of two outputs (items, ...); equal zero vectors count as 1.

    An infinity or a NaN that both have in the same place, as masked logits do, is left out; any other makes the item count as 0.
    """
    a, b = (values.reshape(len(values), -1).astype(np.float64) for values in (expected, actual))
    shared = ~np.isfinite(a) & ((a == b) | (np.isnan(a) & np.isnan(b)))
    a, b = np.where(shared, 0.0, a), np.where(shared, 0.0, b)
    with np.errstate(all="ignore"):
        scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosines = np.where(scale > 0, (a * b).sum(axis=1) / scale, (a == b).all(axis=1).astype(float))
    return np.asarray(np.clip(np.nan_to_num(cosines, nan=0.0), -1.0, 1.0))


def _scores(
    metric: Metric,
    outputs: tuple[ModelOutput, ...],
    baseline: Outputs,
    variant: Outputs,
    labels: np.ndarray | None,
    masks: np.ndarray | None,
) -> np.ndarray:
    """Return one score per item, higher is better."""
    if metric == "cosine":
        name = next((output.name for output in outputs if baseline[output.name].dtype.kind == "f"), None)
        if name is None or _is_one_number(baseline[name]):
            raise _no_direction()
        return item_cosines(_masked(baseline[name], masks), _masked(variant[name], masks))
    decided = _class_decisions(outputs, variant, masks)
    truth = _class_decisions(outputs, baseline, masks) if metric == "top1_agreement" else labels
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
    right = truth == decided
    return _mean_per_item(right, masks)


def _class_decisions(outputs: tuple[ModelOutput, ...], values: Outputs, masks: np.ndarray | None) -> np.ndarray | None:
    """Return the decided class per item (and position), from a label output if there is one, else from the scores.

    Classes may be called 3 and 7, or by texts; scores only know them as first and second.
    """
    with_classes = [output.name for output in outputs if output.has_classes]
    labels = [name for name in with_classes if values[name].dtype.kind in "iuUS" and values[name].ndim == 1]
    if labels:
        return values[labels[0]]
    scored = [
        name for name in with_classes if values[name].dtype.kind == "f" and values[name].ndim >= 2 and values[name].shape[-1] > 1
    ]
    if scored:
        return np.asarray(_masked(values[scored[0]], masks).argmax(axis=-1))
    named = [name for name in with_classes if values[name].dtype.kind in "iuUS"]
    return values[named[0]] if named else None


def _mean_per_item(right: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """Return the share of right decisions (items,); padded positions are no decisions."""
    if masks is None or right.shape != masks.shape:
        return np.asarray(right.reshape(len(right), -1).mean(axis=1))
    return np.asarray((right & (masks > 0)).sum(axis=1) / np.maximum((masks > 0).sum(axis=1), 1))


def _masked(values: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """Return the values with padded positions set to zero, where the output has one vector a position."""
    if masks is None or values.ndim < 2 or values.shape[:2] != masks.shape:
        return values
    return np.where(masks.reshape(masks.shape + (1,) * (values.ndim - 2)) > 0, values, 0)


def masks_of(inputs: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray] | None) -> np.ndarray | None:
    """Return the (items, length) mask among the user's inputs; None without one, or where inputs are generated unpadded."""
    if rows is None:
        return None
    return next(
        (rows[entry.name] for entry in inputs if entry.role == "mask" and entry.name in rows and rows[entry.name].ndim == 2), None
    )
