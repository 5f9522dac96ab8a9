"""Which variants run as fast as a simpler one, so far as was measured: to choose one for its speed would be to choose noise."""

import math
import statistics
from collections.abc import Iterable

from advisor.schema import Estimate, Measurement, Profile, SpeedTie, Visit
from advisor.visits import is_clean

# The same file in another process, on a quiet machine: medians on one thread differed by 2 to 4 % (2026-11), so by more between two.
PROCESS_FRACTION = 0.05
# A variant that is faster at a few points only, at large batches say, is told apart if more than these lie beyond twice the noise.
BEYOND_FRACTION = 0.1


def speed_ties(profile: Profile, today: str) -> dict[str, SpeedTie]:
    """Return, for each variant that cannot be told from a simpler one, that one: today's is the simplest, then the model as given."""
    variants = sorted(profile.variants, key=lambda entry: (entry.id != today, entry.derived_from is not None))
    points: dict[str, dict[tuple[int, int | None, int, int], Measurement]] = {entry.id: {} for entry in variants}
    for measured in profile.measurements:
        if measured.variant in points:
            setting = (measured.intra_op_num_threads, measured.instances)
            points[measured.variant][(measured.batch_size, measured.sequence_length, *setting)] = measured
    ties: dict[str, SpeedTie] = {}
    noise = max(PROCESS_FRACTION, profile.noise_fraction or 0.0)
    for place, variant in enumerate(variants):
        for simpler in variants[:place]:
            shared = points[simpler.id].keys() & points[variant.id].keys()
            pairs = (
                _paired_log_ratio(points[simpler.id][key].visits, points[variant.id][key].visits)
                for key in sorted(shared, key=str)
            )
            logs = [log for log in pairs if log is not None]
            if simpler.id not in ties and logs and _are_within(logs, math.log1p(noise)):
                ties[variant.id] = SpeedTie(
                    variant=variant.id, simpler=simpler.id, speedup=_speedup(logs, math.log1p(noise)), noise_fraction=noise
                )
                break
    return ties


def _paired_log_ratio(before: Iterable[Visit], after: Iterable[Visit]) -> float | None:
    """Return the median logarithm of the ratio of visits of the same round, those in which the machine was busy left out if possible."""
    pairs = list(zip(before, after, strict=False))
    pairs = [pair for pair in pairs if all(map(is_clean, pair))] or pairs
    if not pairs:
        return None
    return statistics.median(
        math.log(statistics.median(one.latency_s) / statistics.median(other.latency_s)) for one, other in pairs
    )


def _are_within(logs: list[float], noise: float) -> bool:
    beyond = sum(abs(log) > 2 * noise for log in logs)
    return abs(statistics.median(logs)) <= noise and beyond <= BEYOND_FRACTION * len(logs)


def _speedup(logs: list[float], noise: float) -> Estimate:
    center = statistics.median(logs)
    return Estimate(
        value=math.exp(center),
        low=math.exp(center - noise),
        high=math.exp(center + noise),
        basis="measured",
        source=f"median of {len(logs)} points, each paired in time",
    )
