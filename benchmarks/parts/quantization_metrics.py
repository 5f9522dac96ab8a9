"""A metric of the benchmark's own, given to the advisor as `parts.quantization_metrics:raw_pitch_accuracy`."""

import numpy as np

CENTS_OF_BIN_0 = 1997.3794084376191
CENTS_PER_BIN = 20
NEAR_BINS = 4
RIGHT_WITHIN_CENTS = 50


def raw_pitch_accuracy(outputs: dict[str, np.ndarray], rows: dict[str, np.ndarray]) -> np.ndarray:
    """Return for each frame whether its pitch, the weighted mean around the likeliest bin, is within 50 cents of the true one."""
    scores = next(iter(outputs.values()))
    bins = np.arange(scores.shape[1])
    near = abs(bins - scores.argmax(axis=1, keepdims=True)) <= NEAR_BINS
    weights = np.where(near, np.maximum(scores, 0), 0)
    cents = (weights @ bins) / np.maximum(weights.sum(axis=1), 1e-9) * CENTS_PER_BIN + CENTS_OF_BIN_0
    is_right: np.ndarray = abs(cents - rows["cents"]) <= RIGHT_WITHIN_CENTS
    return is_right.astype(float)
