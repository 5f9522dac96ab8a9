"""How a variant's outputs compare with the baseline's, and what that costs in quality on the user's data."""

from collections.abc import Callable, Mapping

import numpy as np

from advisor.errors import AdvisorError, InputError
from advisor.measure.quality import metrics
from advisor.measure.quality.metrics import Case, Outputs, Score
from advisor.measure.quality.scores import is_list, item_cosines, list_cosines, pairs_of_one_shape
from advisor.quality_floor import OWN, TOP_K
from advisor.schema.model import ModelInput, ModelOutput
from advisor.schema.profile import Agreement, QualityResult, SliceResult
from advisor.schema.record import Estimate, Metric

LABELS = ("label", "labels", "y", "target")  # names under which the data holds what is true
SLICES = ("slice", "slices", "group")  # and subsets of the items that are checked each on its own
BOOTSTRAP_DRAWS = 1000
FEWEST_IN_A_SLICE = 10  # of fewer items one that is lost is no evidence
LEVEL = 0.05  # on either side of a 90 % interval


def labels_of(rows: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Return the labels among the user's arrays, None if there are none."""
    return next((rows[name] for name in LABELS if name in rows), None)


def check(metric: Metric, outputs: tuple[ModelOutput, ...], rows: Mapping[str, np.ndarray], items: int) -> None:
    """Raise InputError if the metric cannot be taken of this model on these rows, before time is spent on measuring."""
    if OWN.fullmatch(metric):
        return
    name = "accuracy" if TOP_K.fullmatch(metric) else metric
    if name in metrics.NEEDS_FLOATS and not any(output.dtype.startswith("float") for output in outputs):
        raise InputError(f"quality.metric: {metric} needs a floating-point output", hint="use accuracy or top1_agreement")
    if metric == "cosine":
        first = next(output for output in outputs if output.dtype.startswith("float"))
        if len(first.shape) > 1 and all(size == 1 for size in first.shape[1:]):
            raise metrics.no_direction()
    if name in metrics.NEEDS_CLASSES and not any(output.has_classes for output in outputs):
        raise InputError(
            f"quality.metric: {metric} needs an output with classes", hint="use cosine for embeddings and other outputs"
        )
    if name in metrics.NEEDS_LABELS:
        labels = labels_of(rows)
        if labels is None:
            way_out = f"store them in the data file under one of: {', '.join(LABELS)}"
            raise InputError(f"quality.metric: {metric} needs labels", hint=way_out)
        if len(labels) != items:
            raise InputError(f"quality.data: {len(labels)} labels for {items} items", hint="store one label for each item")


def agreement(
    outputs: tuple[ModelOutput, ...], baseline: Outputs, variant: Outputs, masks: np.ndarray | None, *, given: bool
) -> Agreement:
    """Return how near the variant's outputs are; `masks` (items, length) leaves padded positions out, None keeps all.

    Cosine is per item over the first floating-point output of more than one number; the difference is the largest over all of them.
    Of an output whose items differ in shape, one that has another shape than the baseline's has a cosine of 0, and no difference.
    The scores of two classes are in truth one number, the other its mirror image, and have a cosine of 1 or -1.
    """
    floats = [output.name for output in outputs if output.name in baseline and baseline[output.name].dtype.kind == "f"]
    with_classes = [output.name for output in outputs if output.has_classes and output.name in floats]
    of_two = {name for name in with_classes if baseline[name].shape[-1:] == (2,)}
    vectors = [name for name in floats if name not in of_two and not metrics.is_one_number(baseline[name])]
    cosines = (
        item_cosines(metrics.masked(baseline[vectors[0]], masks), metrics.masked(variant[vectors[0]], masks)) if vectors else None
    )
    lists = [output.name for output in outputs if output.name in baseline and is_list(baseline[output.name])]
    lists = [name for name in lists if all(values.dtype.kind == "f" for values in baseline[name])]
    if cosines is None and lists:
        cosines = list_cosines(baseline[lists[0]], variant[lists[0]])
    classes = metrics.class_decisions(outputs, baseline, masks), metrics.class_decisions(outputs, variant, masks)
    differences = [
        _largest_difference(metrics.masked(baseline[name], masks), metrics.masked(variant[name], masks)) for name in floats
    ]
    differences += [
        _largest_difference(*pair) for name in lists for pair in pairs_of_one_shape(baseline[name], variant[name]) if pair
    ]
    counted = None if masks is None else masks > 0
    return Agreement(
        items=len(next(iter(baseline.values()))),
        inputs="given" if given else "generated",
        cosine_mean=None if cosines is None else float(cosines.mean()),
        cosine_min=None if cosines is None else float(cosines.min()),
        max_abs_difference=max(differences, default=0.0),
        top1_agreement=None
        if classes[0] is None or classes[1] is None
        else float(metrics.mean_per_item(classes[0] == classes[1], counted).mean()),
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
    rows: Mapping[str, np.ndarray] | None = None,
    inputs: tuple[ModelInput, ...] = (),
    own: Callable[..., object] | None = None,
    looks: int = 1,
) -> QualityResult:
    """Return the metric of both on the same items, and the loss with a paired bootstrap interval over items; of every slice too.

    After `looks` at the same items for the best of as many variants each interval is widened to hold for all of them together.
    Raise InputError if the metric needs labels or classes that are not there.
    """
    rows = rows or {}
    case = Case(outputs=outputs, baseline=baseline, labels=labels, masks=masks, rows=rows, inputs=inputs)
    before, after = (metrics.scorer(metric, case, values, own) for values in (baseline, variant))
    items = len(next(iter(baseline.values())))
    parts = _parts(metric, case, items)
    level = LEVEL / looks
    random = np.random.default_rng(seed)
    everything = np.arange(items)
    source = f"{metric} on {items} items, paired bootstrap of {BOOTSTRAP_DRAWS} draws"
    source += f", for {looks} looks together" if looks > 1 else ""
    joint = f"paired bootstrap, for all {len(parts)} parts together"
    return QualityResult(
        metric=metric,
        data_sha256=data_sha256,
        items=items,
        baseline=_level(metric, before, everything),
        value=_level(metric, after, everything),
        drop=drop_of(metric, before, after, everything, random, level, source),
        slices=tuple(
            SliceResult(
                name=name,
                items=len(chosen),
                baseline=before(chosen),
                value=after(chosen),
                drop=drop_of(metric, before, after, chosen, random, level / len(parts), f"{len(chosen)} items, {joint}"),
            )
            for name, chosen in parts.items()
        ),
    )


def check_outputs(
    metric: Metric,
    outputs: tuple[ModelOutput, ...],
    values: Outputs,
    rows: Mapping[str, np.ndarray],
    inputs: tuple[ModelInput, ...],
    own: Callable[..., object] | None,
) -> None:
    """Raise InputError if the metric cannot be taken of these outputs of the baseline."""
    case = Case(outputs=outputs, baseline=values, labels=labels_of(rows), masks=masks_of(inputs, rows), rows=rows, inputs=inputs)
    _level(metric, metrics.scorer(metric, case, values, own), np.arange(len(next(iter(values.values())))))


def _level(metric: Metric, score: Score, chosen: np.ndarray) -> float:
    """Return the metric of the chosen items; raise AdvisorError where it is no figure, as an error of outputs that are not finite."""
    level = score(chosen)
    if not np.isfinite(level):
        raise AdvisorError(f"quality.metric: {metric} of these outputs is {level}, which is no figure", hint="use another metric")
    return level


def drop_of(
    metric: Metric, before: Score, after: Score, chosen: np.ndarray, random: np.random.Generator, level: float, source: str
) -> Estimate:
    """Return what is lost on the chosen items, with the interval that leaves `level` out on either side."""
    value = metrics.lost(metric, before(chosen), after(chosen))
    draws = np.empty(BOOTSTRAP_DRAWS)
    # A draw at a time: all of them together would take 16 kB per item.
    for number in range(BOOTSTRAP_DRAWS):
        drawn = chosen[random.integers(0, len(chosen), size=len(chosen))]
        draws[number] = metrics.lost(metric, before(drawn), after(drawn))
    low, high = np.quantile(draws, (level, 1 - level))
    # With no item lost in n, resampling shows no spread; the bound on an unseen loss is then about 2.3 / n (1 - 0.1^(1/n)). What the
    # user's own function scores may be counted so too, which shows in that there is no spread at all.
    is_counted = metrics.is_counted(metric) or (bool(OWN.fullmatch(metric)) and float(np.ptp(draws)) == 0.0)
    unseen = 1.0 - (2 * level) ** (1.0 / len(chosen)) if is_counted else 0.0
    unseen *= abs(before(chosen)) if OWN.fullmatch(metric) else 1.0
    # Nothing but what was there can be lost.
    bound = value + unseen if metrics.loss_of(metric) == "rise" else min(value + unseen, max(value, before(chosen)))
    return Estimate(value=value, low=float(min(low, value)), high=float(max(high, bound)), basis="measured", source=source)


def _parts(metric: Metric, case: Case, items: int) -> dict[str, np.ndarray]:
    """Return the indices of the items of each slice that the user named, and of each class where the metric counts decisions."""
    found: dict[str, np.ndarray] = {}
    named = next((case.rows[name] for name in SLICES if name in case.rows), None)
    if named is not None and named.shape == (items,):
        found |= {f"slice {name}": np.flatnonzero(named == name) for name in np.unique(named)}
    classes = case.labels
    if metric == "top1_agreement":
        classes = metrics.class_decisions(case.outputs, case.baseline, case.masks)
    counts_decisions = metric in ("accuracy", "top1_agreement", "exact_match") or bool(TOP_K.fullmatch(metric))
    if counts_decisions and classes is not None and classes.shape == (items,):
        found |= {f"class {name}": np.flatnonzero(classes == name) for name in np.unique(classes)}
    return {name: chosen for name, chosen in found.items() if len(chosen) >= FEWEST_IN_A_SLICE}


def first_not_finite(baseline: Outputs, variant: Outputs) -> str | None:
    """Return the name of the first output that is not finite somewhere although the baseline's is everywhere."""
    for name, values in variant.items():
        if not _is_finite(values) and _is_finite(baseline[name]):
            return name
    return None


def _is_finite(values: np.ndarray) -> bool:
    """Return whether floats are finite everywhere; what is no float is."""
    if is_list(values):
        return all(_is_finite(item) for item in values)
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _largest_difference(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the largest absolute difference where both are finite; JSON has no word for another one."""
    a, b = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0))


def are_close(expected: np.ndarray, actual: np.ndarray, fraction: float) -> bool:
    """Return whether two outputs differ nowhere by more than this fraction of the largest value, where they are finite."""
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    return _largest_difference(expected, actual) <= fraction * float(finite.max(initial=0.0))


def masks_of(inputs: tuple[ModelInput, ...], rows: Mapping[str, np.ndarray] | None) -> np.ndarray | None:
    """Return the (items, length) mask among the user's inputs; None without one, or where inputs are generated unpadded."""
    if rows is None:
        return None
    return next(
        (rows[entry.name] for entry in inputs if entry.role == "mask" and entry.name in rows and rows[entry.name].ndim == 2), None
    )
