"""Which variants run as fast as a simpler one, as far as was measured: selecting one for its speed would be selecting noise."""

import math
import statistics

from advisor.decide.service.measured import student_t_95
from advisor.schema.advice import SpeedTie
from advisor.schema.profile import Measurement, Site
from advisor.schema.record import Estimate
from advisor.visits import is_clean

Point = tuple[int, int | None, int, int]  # batch_size, sequence_length, intra_op_num_threads, instances

# The same file in another process, on a quiet machine: medians on one thread differed by 2 to 4 % (2026-11), so by more between two.
PROCESS_FRACTION = 0.05
# Of fewer pairs of visits the median has no 95 % interval: the smallest and the largest of six enclose it in 97 of 100 cases.
ENOUGH_PAIRS = 6
FEWEST_PAIRS = 3


def speed_ties(site: Site, today: str) -> dict[str, SpeedTie]:
    """Return, for each variant that ties in speed with a simpler one, that one: today's is the simplest, then the model as given.

    Two are told apart if the ratio of their paired visits lies beyond the noise with all of its interval, over all points or at one
    batch size.
    """
    variants = sorted(site.variants, key=lambda entry: (entry.id != today, entry.derived_from is not None))
    points: dict[str, dict[Point, Measurement]] = {entry.id: {} for entry in variants}
    for measured in site.measurements:
        if measured.variant in points:
            setting = (measured.intra_op_num_threads, measured.instances)
            points[measured.variant][(measured.batch_size, measured.sequence_length, *setting)] = measured
    ties: dict[str, SpeedTie] = {}
    noise = max(PROCESS_FRACTION, site.noise_fraction or 0.0)
    for place, variant in enumerate(variants):
        for simpler in variants[:place]:
            logs = _paired_log_ratios(points[simpler.id], points[variant.id])
            if simpler.id not in ties and logs and not _are_apart(logs, math.log1p(noise)):
                ties[variant.id] = SpeedTie(
                    variant=variant.id,
                    simpler=simpler.id,
                    speedup=_speedup([log for listed in logs.values() for log in listed], math.log1p(noise)),
                    noise_fraction=noise,
                )
                break
    return ties


def _paired_log_ratios(before: dict[Point, Measurement], after: dict[Point, Measurement]) -> dict[int, list[float]]:
    """Return, by batch size, the logarithms of ratios of visits of the same round, those of a busy machine left out if possible."""
    found: dict[int, list[float]] = {}
    for point in sorted(before.keys() & after.keys(), key=str):
        pairs = list(zip(before[point].visits, after[point].visits, strict=False))
        pairs = [pair for pair in pairs if all(map(is_clean, pair))] or pairs
        logs = [math.log(statistics.median(one.latency_s) / statistics.median(other.latency_s)) for one, other in pairs]
        found.setdefault(point[0], []).extend(logs)
    return found


def _are_apart(logs: dict[int, list[float]], noise: float) -> bool:
    everything = [log for listed in logs.values() for log in listed]
    return any(_is_beyond(listed, noise) for listed in (everything, *logs.values()))


def _is_beyond(logs: list[float], noise: float) -> bool:
    """Return whether the whole interval of the typical ratio lies beyond the noise on one side.

    Of many pairs it is that of the median, by the binomial law of its rank, which single disturbed visits do not widen; of few,
    Student's of the mean.
    """
    count = len(logs)
    if count < FEWEST_PAIRS:
        return False
    if count < ENOUGH_PAIRS:
        center, half = statistics.mean(logs), student_t_95(count - 1) * statistics.stdev(logs) / math.sqrt(count)
        return abs(center) - half > noise
    ordered = sorted(logs)
    rank = max(0, math.floor(count / 2 - 0.98 * math.sqrt(count)))
    return ordered[rank] > noise or ordered[count - 1 - rank] < -noise


def _speedup(logs: list[float], noise: float) -> Estimate:
    center = statistics.median(logs)
    return Estimate(
        value=math.exp(center),
        low=math.exp(center - noise),
        high=math.exp(center + noise),
        basis="measured",
        source=f"median of {len(logs)} pairs of visits of the same round",
    )
