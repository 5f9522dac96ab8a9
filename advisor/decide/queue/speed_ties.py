"""Which variants run as fast as a simpler one, as far as was measured: selecting one for its speed would be selecting noise."""

import math

import msgspec

from advisor.medians import NORMAL_95, Medians, Ratios, medians_of, ratios, together
from advisor.schema.advice import SpeedTie
from advisor.schema.profile import Measurement, Site
from advisor.schema.record import Estimate
from advisor.visits import counting_of_all

Point = tuple[int, int | None, int, int]  # batch_size, sequence_length, intra_op_num_threads, instances

# The same file in another process, on a quiet machine: medians on one thread differed by 2 to 4 % (2026-11), so by more between two.
PROCESS_FRACTION = 0.05
FEWEST_PAIRS = 3


def speed_ties(site: Site, today: str) -> dict[str, SpeedTie]:
    """Return, for each variant that ties in speed with a simpler one, that one: today's is the simplest, then the model as given.

    Two are told apart if the ratio of their paired visits lies with all of its interval beyond what one file differs by between two
    processes, over all points or at one batch size. `site` is as it was measured.
    """
    variants = sorted(site.variants, key=lambda entry: (entry.id != today, entry.derived_from is not None))
    points: dict[str, dict[Point, Measurement]] = {entry.id: {} for entry in variants}
    for measured in site.measurements:
        if measured.variant in points:
            setting = (measured.intra_op_num_threads, measured.instances)
            points[measured.variant][(measured.batch_size, measured.sequence_length, *setting)] = measured
    known = medians_of(msgspec.structs.replace(site, measurements=counting_of_all(site.measurements)))
    ties: dict[str, SpeedTie] = {}
    for place, variant in enumerate(variants):
        for simpler in variants[:place]:
            found = _by_batch_size(points[simpler.id], points[variant.id], known)
            if simpler.id in ties or not found:
                continue
            every = together(found.values())
            noise = max(math.log1p(PROCESS_FRACTION), math.hypot(known.noise.process_difference, NORMAL_95 * every.doubt))
            if not any(_is_beyond(listed, noise) for listed in (every, *found.values())):
                ties[variant.id] = SpeedTie(
                    variant=variant.id, simpler=simpler.id, speedup=_speedup(every, noise), noise_fraction=math.expm1(noise)
                )
                break
    return ties


def _by_batch_size(before: dict[Point, Measurement], after: dict[Point, Measurement], known: Medians) -> dict[int, Ratios]:
    found: dict[int, Ratios] = {}
    for point in sorted(before.keys() & after.keys(), key=str):
        made = ratios(before[point], after[point], known.noise_of(*point[2:]))
        found[point[0]] = together((found[point[0]], made)) if point[0] in found else made
    return found


def _is_beyond(found: Ratios, noise: float) -> bool:
    """Return whether the whole interval of the typical ratio lies beyond the noise on one side; of very few pairs none does."""
    return len(found.logs) >= FEWEST_PAIRS and abs(found.center) - found.half_width() > noise


def _speedup(found: Ratios, noise: float) -> Estimate:
    return Estimate(
        value=math.exp(found.center),
        low=math.exp(found.center - noise),
        high=math.exp(found.center + noise),
        basis="measured",
        source=f"median of {len(found.logs)} pairs of visits of the same round",
    )
