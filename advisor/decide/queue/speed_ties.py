"""Which variants run as fast as a simpler one, as far as was measured: selecting one for its speed would be selecting noise."""

import math

from advisor.schema.advice import SpeedTie
from advisor.schema.profile import Measurement, Site, is_untrained
from advisor.schema.record import Estimate
from advisor.speed_ratios import PairNoise, Ratios, pair_noise, ratios, together

Point = tuple[int, int | None, int, int]  # batch_size, sequence_length, intra_op_num_threads, instances

# The same file in another process, on a quiet machine: medians on one thread differed by 2 to 4 % (2026-11), so by more between two.
PROCESS_FRACTION = 0.05
FEWEST_PAIRS = 3
# Equal files are to be a tie in 95 cases of 100, not in 90: Student's quantiles of 5 to 10 degrees of freedom are so much further apart.
SURER = 1.25


def speed_ties(site: Site, today: str) -> dict[str, SpeedTie]:
    """Return, for each variant that ties in speed with a simpler one, that one: today's is the simplest, then the model as given.

    Two are told apart if the ratio of their paired visits lies with all of its interval beyond what one file differs by between two
    processes, over all points or at one batch size. `site` is as it was measured. Students that nobody has trained are left out.
    """
    ready = (entry for entry in site.variants if not is_untrained(entry))
    variants = sorted(ready, key=lambda entry: (entry.id != today, entry.derived_from is not None))
    points: dict[str, dict[Point, Measurement]] = {entry.id: {} for entry in variants}
    for measured in site.measurements:
        if measured.variant in points:
            setting = (measured.intra_op_num_threads, measured.instances)
            points[measured.variant][(measured.batch_size, measured.sequence_length, *setting)] = measured
    noise = pair_noise(site)
    ties: dict[str, SpeedTie] = {}
    for place, variant in enumerate(variants):
        for simpler in variants[:place]:
            found = _by_batch_size(points[simpler.id], points[variant.id])
            if simpler.id in ties or not found:
                continue
            every = together(found.values())
            least = max(math.log1p(PROCESS_FRACTION), math.hypot(SURER * noise.process_difference, every.doubt))
            if not any(_is_beyond(listed, noise, least) for listed in (every, *found.values())):
                ties[variant.id] = SpeedTie(
                    variant=variant.id, simpler=simpler.id, speedup=_speedup(every, least), noise_fraction=math.expm1(least)
                )
                break
    return ties


def _by_batch_size(before: dict[Point, Measurement], after: dict[Point, Measurement]) -> dict[int, Ratios]:
    found: dict[int, Ratios] = {}
    for point in sorted(before.keys() & after.keys(), key=str):
        made = ratios(before[point], after[point])
        found[point[0]] = together((found[point[0]], made)) if point[0] in found else made
    return found


def _is_beyond(found: Ratios, noise: PairNoise, least: float) -> bool:
    """Return whether the whole interval of the typical ratio lies beyond the least difference; of very few pairs none does."""
    return len(found.logs) >= FEWEST_PAIRS and abs(found.center) - found.half_width(noise) > least


def _speedup(found: Ratios, least: float) -> Estimate:
    return Estimate(
        value=math.exp(found.center),
        low=math.exp(found.center - least),
        high=math.exp(found.center + least),
        basis="measured",
        source=f"median of {len(found.logs)} pairs of visits of the same round",
    )
