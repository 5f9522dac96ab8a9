"""Figures of arrays that more than one metric is made of."""

import numpy as np


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


def is_list(values: np.ndarray) -> bool:
    """Return whether an output is a list of arrays, since its items differ in shape, and not one array of all items."""
    return values.dtype == object


def pairs_of_one_shape(expected: np.ndarray, actual: np.ndarray) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """Return both values of each item of two outputs, None where they differ in shape; one item a pair, whatever the shapes of others."""
    pairs = zip(expected, actual, strict=True)
    return [(one[np.newaxis], other[np.newaxis]) if one.shape == other.shape else None for one, other in pairs]


def list_cosines(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return the cosine similarity (items,) of two lists of arrays; one that differs in shape counts as 0."""
    return np.array([0.0 if pair is None else item_cosines(*pair)[0] for pair in pairs_of_one_shape(expected, actual)])


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Return the share of pairs in which the positive item scores higher, equal ones half; None without a pair."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return None
    return float((ranks(scores)[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 1 on, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])


def edit_distance(one: list[object], other: list[object]) -> int:
    """Return the fewest insertions, deletions and replacements that turn one sequence into the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for count, symbol in enumerate(one, 1):
        diagonal, row[0] = row[0], count
        for place, wanted in enumerate(other, 1):
            diagonal, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, diagonal + (symbol != wanted))
    return row[-1]


def surprise(logits: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Return how unlikely each token (n,) is under the logits before it (n, vocabulary): the negative logarithm of its probability."""
    scores = logits.astype(np.float64)
    top = scores.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(scores, following[:, np.newaxis], axis=-1)
    return np.asarray((np.log(np.exp(scores - top).sum(axis=-1, keepdims=True)) + top - chosen)[:, 0])
