"""How many times faster a variant is than another, from visits of the same round.

Both were measured in the same minute, so what the machine did to both cancels in each ratio.
"""

import math

from advisor.schema.profile import Measurement, Site
from advisor.schema.record import Estimate
from advisor.speed_ratios import PairNoise, ratios


def speedup(
    site: Site, variant: str, over: str, *, batch_size: int, sequence_length: int | None, noise: PairNoise
) -> Estimate | None:
    """Return how many times faster a variant is than `over` in calls of one size on one thread; None where either was not measured."""
    ours, theirs = (_on_one_thread(site, name, batch_size, sequence_length) for name in (variant, over))
    if ours is None or theirs is None:
        return None
    found = ratios(theirs, ours)
    half = math.hypot(found.half_width(noise), noise.process_difference, found.doubt)
    return Estimate(
        value=math.exp(found.center),
        low=math.exp(found.center - half),
        high=math.exp(found.center + half),
        basis="measured",
        source=f"batch {batch_size}, 1 thread, {len(found.logs)} interleaved visits each",
    )


def largest_batch_of_both(site: Site, variant: str, over: str, sequence_length: int | None) -> int | None:
    """Return the largest batch in which both were measured on one thread; None where there is none."""
    sizes = (
        {
            entry.batch_size
            for entry in site.measurements
            if (entry.variant, entry.intra_op_num_threads, entry.instances, entry.sequence_length)
            == (name, 1, 1, sequence_length)
        }
        for name in (variant, over)
    )
    ours, theirs = sizes
    return max(ours & theirs, default=None)


def _on_one_thread(site: Site, variant: str, batch_size: int, sequence_length: int | None) -> Measurement | None:
    point = (variant, batch_size, 1, 1, sequence_length)
    for entry in site.measurements:
        if (entry.variant, entry.batch_size, entry.intra_op_num_threads, entry.instances, entry.sequence_length) == point:
            return entry
    return None
