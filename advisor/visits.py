"""Which visits count: those in which the machine was the measured process's own, and the same as in most others."""

import statistics
from collections.abc import Iterable, Sequence

from advisor.schema.profile import Measurement, Visit

# Of the time of the calls; a quiet machine shows well under a hundredth, a shared one a half and more.
CONTAMINATED_FRACTION = 0.05
# Cores of one virtual machine were observed 30 and 50 ns apart while the host kept them together, and 160 to 240 ns while it did not.
SAME_DISTANCE_FACTOR = 2.0
ENOUGH_CLEAN = 2
# A distance between the cores that this part of the visits saw comes back while the model is served.
RECURRING_FRACTION = 0.1


def is_clean(visit: Visit) -> bool:
    """Return whether the threads hardly waited for a core; where the system does not report it, a visit counts as clean.

    What a quota withheld is no disturbance: it comes back while the model is served.
    """
    allowed_s = CONTAMINATED_FRACTION * sum(visit.latency_s)
    return _waiting_s(visit) <= allowed_s and (visit.steal_s or 0.0) <= allowed_s


def _waiting_s(visit: Visit) -> float:
    """Return what all threads together waited because of something else that ran, 0 where that is not known."""
    return max(0.0, (visit.run_delay_s or 0.0) - (visit.throttled_s or 0.0))


def usual_hop_s(visits: Iterable[Visit]) -> float | None:
    """Return how far apart the cores were in most of the visits on several threads, as seconds of a hop between them."""
    hops = [visit.core_hop_s for visit in visits if visit.core_hop_s is not None]
    return statistics.median_low(hops) if hops else None


def is_at_usual_distance(visit: Visit, usual_s: float | None) -> bool:
    """Return whether the cores were as far apart as they usually were; unknown distances count as usual."""
    if visit.core_hop_s is None or usual_s is None:
        return True
    return usual_s / SAME_DISTANCE_FACTOR <= visit.core_hop_s <= usual_s * SAME_DISTANCE_FACTOR


def clean(visits: Sequence[Visit], usual_s: float | None) -> tuple[Visit, ...]:
    """Return the visits that count; `usual_s` is the usual hop between cores in the whole profile.

    Those at the usual distance are kept of the clean ones, and wherever a choice would leave too few to speak for themselves, all
    that it chose from.
    """
    undisturbed = _enough([visit for visit in visits if is_clean(visit)], visits)
    return tuple(_enough([visit for visit in undisturbed if is_at_usual_distance(visit, usual_s)], undisturbed))


def slowdown_at_other_distance(measurements: Iterable[Measurement], usual_s: float | None) -> float:
    """Return how many times as long calls take while the cores are not at their usual distance, never less than 1.

    1 where that was observed too seldom to recur, or of no point together with the usual distance.
    """
    usual, other, ratios = 0, 0, []
    for entry in measurements:
        visits = [visit for visit in entry.visits if is_clean(visit)]
        here = [statistics.median(visit.latency_s) for visit in visits if is_at_usual_distance(visit, usual_s)]
        there = [statistics.median(visit.latency_s) for visit in visits if not is_at_usual_distance(visit, usual_s)]
        usual, other = usual + len(here), other + len(there)
        if here and there:
            ratios.append(statistics.median(there) / statistics.median(here))
    if not ratios or other < RECURRING_FRACTION * (usual + other):
        return 1.0
    return max(1.0, statistics.median(ratios))


def _enough(chosen: Sequence[Visit], among: Sequence[Visit]) -> Sequence[Visit]:
    return chosen if len(chosen) >= ENOUGH_CLEAN else among
