"""The visits that count, of each point: sorted out here, once for all that is worked out from them."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from advisor.measure.timing.profile_journal import Point
from advisor.schema.profile import Visit
from advisor.visits import counting, is_at_usual_distance, is_clean, usual_hop_s


class Counted(NamedTuple):
    """The visits of one point that count."""

    made: int  # of all that were made
    undisturbed: int  # of those that count; fewer than count only where too few others were made
    medians_s: tuple[float, ...]  # of each that counts
    median_s: float  # of the calls of all that count

    @property
    def standard_error(self) -> float:
        """Of the mean of the medians, as a fraction of it; a single visit has none."""
        if len(self.medians_s) < 2:
            return 0.0
        return statistics.stdev(self.medians_s) / math.sqrt(len(self.medians_s)) / statistics.mean(self.medians_s)


def counted(visits_of: Mapping[Point, Sequence[Visit]]) -> dict[Point, Counted]:
    """Return what counts of the visits of each point, judged by how far apart the cores were in most of all of them."""
    usual_s = usual_hop_s(visit for visits in visits_of.values() for visit in visits)
    return {point: counted_of(visits, usual_s) for point, visits in visits_of.items()}


def counted_of(visits: Sequence[Visit], usual_s: float | None) -> Counted:
    """Return what counts of the visits of one point; `usual_s` is the usual hop between cores, None where it is not known yet."""
    kept = counting(visits, usual_s)
    return Counted(
        made=len(visits),
        undisturbed=sum(is_clean(visit) and is_at_usual_distance(visit, usual_s) for visit in kept),
        medians_s=tuple(statistics.median(visit.latency_s) for visit in kept),
        median_s=statistics.median(latency for visit in kept for latency in visit.latency_s),
    )
