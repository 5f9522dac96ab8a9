"""What the visits saw of a machine that was not theirs alone, in words."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from advisor.measure.timing.profile_journal import Point
from advisor.schema.profile import Visit
from advisor.units import counted, number, percent
from advisor.visits import BUSY, CONTAMINATED_FRACTION, counting, is_at_usual_distance, usual_hop_s

NANOSECONDS_PER_S = 1e9


def disturbance_notes(visits: Mapping[Point, Sequence[Visit]]) -> tuple[str, ...]:
    """Return notes on a busy machine, on a quota, and on cores that moved under the measurement, as far as there is reason for them."""
    every = [visit for made in visits.values() for visit in made]
    return tuple(note for note in (_busy(visits, every), _throttled(visits), _moved(every)) if note is not None)


def _throttled(visits: Mapping[Point, Sequence[Visit]]) -> str | None:
    throttled_s = sum(visit.throttled_s or 0.0 for made in visits.values() for visit in made)
    if throttled_s == 0.0:
        return None
    calls_s = sum(point.intra_op_num_threads * sum(visit.latency_s) for point, made in visits.items() for visit in made)
    # A visit that ends while it is throttled pays for what comes after it.
    part = min(throttled_s / calls_s, 1.0)
    return f"throttled by its quota of processor time for {percent(part)} of the call time: that is how it will serve, too"


def _busy(visits: Mapping[Point, Sequence[Visit]], every: list[Visit]) -> str | None:
    calls_s = sum(sum(visit.latency_s) for visit in every)
    # The kernel counts what a quota withheld as waiting.
    waits = (None if visit.run_delay_s is None else max(0.0, visit.run_delay_s - (visit.throttled_s or 0.0)) for visit in every)
    waited, stolen = _total(waits), _total(visit.steal_s for visit in every)
    switches = _total(visit.involuntary_switches for visit in every)
    if max(waited or 0.0, stolen or 0.0) <= CONTAMINATED_FRACTION * calls_s:
        return None
    found = []
    if waited is not None:
        found.append(f"threads waited for a core for {percent(waited / calls_s)} of the call time")
    if switches is not None:
        found.append(f"threads were preempted {number(switches / calls_s)} times per second")
    if stolen is not None:
        found.append(f"the host withheld cores (steal) for {percent(stolen / calls_s)} of that time")
    usual_s = usual_hop_s(every)
    counted_visits = [counting(made, usual_s) for made in visits.values() if len(made) > 1]
    spreads = [_spread(made) for made in counted_visits]
    if spreads:
        left = " without that waiting" if any(visit.waited_s for visit in every) else ""
        found.append(f"medians of one point vary by {percent(statistics.median(spreads))} from visit to visit{left}")
    return f"{BUSY}: {', '.join(found)}; measure again when it is quiet"


def _moved(every: list[Visit]) -> str | None:
    """Return the note where the distance between the cores was not the same throughout."""
    usual_s = usual_hop_s(every)
    hops = [(visit.core_hop_s, is_at_usual_distance(visit, usual_s)) for visit in every if visit.core_hop_s is not None]
    usual = [hop_s for hop_s, is_usual in hops if is_usual]
    other = [hop_s for hop_s, is_usual in hops if not is_usual]
    if len(other) <= CONTAMINATED_FRACTION * len(hops):
        return None
    return (
        f"the machine changed under the measurement: a cache line took {_range_ns(usual)} from core to core in "
        f"{counted(len(usual), 'visit')} on several threads and {_range_ns(other)} in {len(other):,}; figures on 2 or more threads are "
        f"not comparable, and the {len(other):,} are left out if enough others remain"
    )


def _range_ns(hops_s: list[float]) -> str:
    low, high = f"{min(hops_s) * NANOSECONDS_PER_S:.0f}", f"{max(hops_s) * NANOSECONDS_PER_S:.0f}"
    return f"{low} ns" if low == high else f"{low} to {high} ns"


def _total(values: Iterable[float | None]) -> float | None:
    """Return the sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _spread(made: Sequence[Visit]) -> float:
    medians = [statistics.median(visit.latency_s) for visit in made]
    return statistics.stdev(medians) / statistics.mean(medians)
