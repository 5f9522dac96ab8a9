"""What counts of visits and of load tests: undisturbed visits as they are, or all with the waiting taken out, and how sure each is.

`counting` is the one door to what was timed: advice, the schedule of a profile and its notes see visits through it.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

import msgspec

from advisor import units
from advisor.schema.advice import LoadTest
from advisor.schema.profile import Measurement, Visit

BUSY = "the machine was busy"  # how a note on other work begins
# Of the time of the calls; a quiet machine shows well under a hundredth, a shared one a half and more.
CONTAMINATED_FRACTION = 0.05
# Of the cores' time, what other processes must have had for waiting to be their doing: server and generator wait for each other too, and
# that is a part of serving.
OTHERS_FRACTION = 0.1
# Cores of one virtual machine were observed 30 and 50 ns apart while the host kept them together, and 160 to 240 ns while it did not.
SAME_DISTANCE_FACTOR = 2.0
ENOUGH_CLEAN = 2
# Of a point, each in another round, to know its spread: what measuring aims at and advice asks for.
ENOUGH_VISITS = 5
# A distance between the cores that this part of the visits saw comes back while the model is served.
RECURRING_FRACTION = 0.1
# The least that is left of a call, whatever is said to have disturbed it.
LEAST_LEFT = 0.1


def is_clean(visit: Visit) -> bool:
    """Return whether the threads hardly waited for a core; where the system does not report it, a visit counts as clean.

    What a quota withheld is no disturbance: it comes back while the model is served.
    """
    allowed_s = CONTAMINATED_FRACTION * sum(visit.latency_s)
    return _waiting_s(visit) <= allowed_s and (visit.steal_s or 0.0) <= allowed_s


def _waiting_s(visit: Visit) -> float:
    """Return what all threads together waited because of something else that ran, 0 where that is not known."""
    return max(0.0, (visit.run_delay_s or 0.0) - (visit.throttled_s or 0.0))


def shared_core(visit: Visit) -> bool:
    """Return whether other work here had the visit's cores in between, and its calls count without that waiting.

    Time that the host withheld says nothing of these cores: it is known of the whole machine.
    """
    return visit.waited_s is not None and _waiting_s(visit) > CONTAMINATED_FRACTION * sum(visit.latency_s)


def without_waiting(visit: Visit) -> Visit:
    """Return the visit with calls as long as they take with a core for each of their threads; its record of disturbances stays.

    Other work on a core slows what runs there in between, and that stays in: `medians.SHARED_CORE_LOG`. On several threads, whose waits
    overlap only in part, still too long: the longest wait of a thread is taken out, not what all the others lost by it. What a quota
    withheld stays in.
    """
    waits = visit.waited_s or ()
    if not any(waits):
        return visit
    share = waited_for_others(sum(waits), visit.throttled_s)
    latency_s = tuple(latency - share * waited for latency, waited in zip(visit.latency_s, waits, strict=True))
    return msgspec.structs.replace(visit, latency_s=latency_s, waited_s=())


def waited_for_others(waited_s: float, throttled_s: float | None) -> float:
    """Return the part of the waiting that is no quota's doing: what a quota withholds comes back while the model is served."""
    return max(0.0, 1.0 - throttled_s / waited_s) if throttled_s and waited_s else 1.0


def counting(visits: Sequence[Visit], usual_s: float | None) -> tuple[Visit, ...]:
    """Return the visits that count, disturbed ones without their waiting; `usual_s` is the usual hop between cores in the whole profile.

    Undisturbed ones alone, and of those the ones at the usual distance, wherever a choice leaves enough to speak for themselves;
    else all that it chose from.
    """
    undisturbed = _enough([visit for visit in visits if is_clean(visit)], visits)
    chosen = _enough([visit for visit in undisturbed if is_at_usual_distance(visit, usual_s)], undisturbed)
    return tuple(map(_as_it_counts, chosen))


def counting_of_all(measurements: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """Return the measurements with the visits that count, judged by how far apart the cores were in most visits of all of them."""
    usual_s = usual_hop_s(visit for entry in measurements for visit in entry.visits)
    return tuple(msgspec.structs.replace(entry, visits=counting(entry.visits, usual_s)) for entry in measurements)


def pairs(before: Sequence[Visit], after: Sequence[Visit]) -> list[tuple[Visit, Visit]]:
    """Return the visits of two points that were made in the same round, disturbed ones without their waiting.

    Those that are undisturbed on both sides alone, where there are enough of them. `before` and `after` are as they were made: where one
    was left out, the rounds would no longer meet.
    """
    made = list(zip(before, after, strict=False))
    undisturbed = [pair for pair in made if all(map(is_clean, pair))]
    chosen = undisturbed if len(undisturbed) >= ENOUGH_CLEAN else made
    return [(_as_it_counts(one), _as_it_counts(other)) for one, other in chosen]


def disturbed_fraction(visits: Iterable[Visit]) -> float:
    """Return which part of the visits is disturbed."""
    return statistics.fmean(not is_clean(visit) for visit in visits)


def unexplained(visit: Visit, threads: int) -> float:
    """Return the part of a visit's calls that may be no work of theirs and could not be taken out, as a negative logarithm.

    0 for a clean visit, and for one on one thread whose calls are told from their waiting. On several, steal is known of the whole machine
    and not call by call; so is waiting, in profiles of earlier versions.
    """
    if is_clean(visit) or (threads == 1 and visit.waited_s is not None):
        return 0.0
    calls_s = sum(visit.latency_s)
    unknown_s = (visit.steal_s or 0.0) + (_waiting_s(visit) if visit.waited_s is None else 0.0)
    return -math.log(max(LEAST_LEFT, 1.0 - unknown_s / (threads * calls_s)))


def usual_hop_s(visits: Iterable[Visit]) -> float | None:
    """Return how far apart the cores were in most of the visits on several threads, as seconds of a hop between them."""
    hops = [visit.core_hop_s for visit in visits if visit.core_hop_s is not None]
    return statistics.median_low(hops) if hops else None


def is_at_usual_distance(visit: Visit, usual_s: float | None) -> bool:
    """Return whether the cores were as far apart as they usually were; unknown distances count as usual."""
    if visit.core_hop_s is None or usual_s is None:
        return True
    return usual_s / SAME_DISTANCE_FACTOR <= visit.core_hop_s <= usual_s * SAME_DISTANCE_FACTOR


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


def _as_it_counts(visit: Visit) -> Visit:
    return visit if is_clean(visit) else without_waiting(visit)


def _enough(chosen: Sequence[Visit], among: Sequence[Visit]) -> Sequence[Visit]:
    return chosen if len(chosen) >= ENOUGH_CLEAN else among


def fault_of(test: LoadTest) -> str | None:
    """Return why a load test says nothing about its candidate, None where it is valid.

    A target that was kept beside others at work is kept; one that was missed may be theirs.
    """
    if not test.generator_kept_up:
        return f"the load generator was up to {units.seconds(test.generator_lag_p99_s)} late"
    others = test.others_fraction
    if test.meets_slo or others is None or others <= OTHERS_FRACTION:
        return None
    return f"other programs had {units.percent(others)} of its cores while the target was missed"


def is_valid(test: LoadTest) -> bool:
    """Return whether a load test says something about its candidate."""
    return fault_of(test) is None
