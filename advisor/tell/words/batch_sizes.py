"""The batch sizes of a candidate, in one line."""

from advisor import units
from advisor.schema.advice import Prediction

LEAST_SHARE = 0.005  # rarer sizes would read as none


def batch_sizes(prediction: Prediction) -> str:
    """Describe the shares of batches by size, in groups that double: "62 % of 1 request, 25 % of 2, 13 % of 3 to 4; 1.6 on average"."""
    shares = prediction.batch_size_shares
    groups, first = [], 1
    while first <= len(shares):
        last = min(2 * first - 2, len(shares)) if first > 2 else first
        share = sum(shares[first - 1 : last])
        if share >= LEAST_SHARE:
            size = units.counted(1, "request") if first == 1 else f"{first} to {last}" if first < last else str(first)
            groups.append(f"{units.percent(round(share, 2))} of {size}")
        first = last + 1
    return f"{', '.join(groups)}; {units.number(prediction.mean_batch_size)} on average"
