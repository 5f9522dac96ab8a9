"""The candidates that the advice speaks of: today's, the cheapest, those that tie with it, the nearest miss, the frontier."""

import math
from typing import Literal

import numpy as np

from advisor.decide.queue.demand import quantiles
from advisor.decide.queue.search import LOWEST_UTILIZATION, MAX_REPLICAS, Found, search
from advisor.decide.queue.site import Bench, predict, quality_drop
from advisor.decide.queue.space import Configuration
from advisor.kernels import pareto
from advisor.schema.advice import Prediction
from advisor.schema.record import Estimate
from advisor.units import seconds

End = Literal["low", "value", "high"]

# Today's replicas are not known: as many as keep the load here, if no number of them meets the target.
STABLE_UTILIZATION = 0.8
FRONTIER_LEVELS = 1  # numbers of replicas beyond the cheapest at which faster candidates are looked for
SCREENING_REQUESTS = 2000  # enough to see which candidates are worth a full simulation for the frontier
MAX_FRONTIER = 12
MAX_TIES_TOLD = 5


def baseline_today(bench: Bench) -> Prediction:
    """Return what runs today, with the user's replicas or else as many as it takes to keep the target, or at least to keep up."""
    asked = bench.workload.baseline.replicas if bench.workload.baseline else None
    if asked is None:
        slo = bench.workload.slo
        found = search(
            bench.simulator, [bench.today], quantile=slo.quantile, target_s=slo.latency_s, price_usd_per_hour=bench.price
        )
        work, _ = bench.simulator.bounds(bench.today, slo.quantile)
        stable = max(1, math.ceil(bench.demand.busiest_requests_per_s * work / STABLE_UTILIZATION))
        # Nobody is taken to run servers that idle nearly all the time: a target that takes so many is missed today.
        idle = math.ceil(bench.demand.busiest_requests_per_s * work / LOWEST_UTILIZATION) + 1
        asked = found.cheapest[0][1] if found.cheapest and found.cheapest[0][1] <= idle else stable
    return predict(bench, bench.today, asked, today_replicas=asked, with_capacity=True)


def fewest_replicas_today(bench: Bench, end: End, most: int) -> int:
    """Return how few replicas keep today's configuration within the target at one end of its service time, up to `most`.

    By bisection: with more replicas each is less busy, and today's configuration seldom waits for a batch to fill.
    """
    slo, low, high = bench.workload.slo, 0, most
    while high - low > 1:
        middle = (low + high) // 2
        reached_s = bench.simulator.outcome(bench.today, middle, end, (slo.quantile,)).quantiles_s.max()
        is_enough = bench.simulator.keeps_up(bench.today, middle, end) and reached_s <= slo.latency_s
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def keeps_promises(bench: Bench, baseline: Prediction) -> bool:
    """Return whether what runs today keeps the latency target, and its quality was not found to fall short."""
    return baseline.meets_slo and baseline.candidate.variant in bench.admitted()


def choose(
    bench: Bench, found: Found, baseline: Prediction, home: Bench | None
) -> tuple[Prediction | None, tuple[Prediction, ...], bool]:
    """Return the recommendation, candidates that cannot be told from it (as cheap, latencies overlapping), and if there are more.

    Of equally cheap candidates the one that changes least is taken; that is today's own if it keeps the target at that cost, judged by
    `home`, the bench of what runs today, None where that may not be kept.
    """
    if not found.cheapest:
        # More replicas than are searched are believed of what really runs, not of what is only assumed to.
        is_said = bench.workload.baseline is not None and bench.workload.baseline.replicas is not None
        return (baseline if is_said and home is not None and keeps_promises(home, baseline) else None), (), False
    if (
        home is not None
        and keeps_promises(home, baseline)
        and baseline.cost_usd_per_hour.value <= (found.cost_usd_per_hour or 0.0)
    ):
        return baseline, (), False
    replicas_today = baseline.candidate.replicas
    (configuration, replicas), *others = found.cheapest
    recommended = predict(bench, configuration, replicas, today_replicas=replicas_today, with_capacity=True)
    as_cheap = [predict(bench, other, count, today_replicas=replicas_today) for other, count in others]
    target = recommended.latency_slo_s
    ties = [entry for entry in as_cheap if entry.latency_slo_s.low <= target.high and target.low <= entry.latency_slo_s.high]
    return recommended, tuple(ties[:MAX_TIES_TOLD]), len(ties) > MAX_TIES_TOLD


def nearest_miss(
    bench: Bench, space: list[Configuration], baseline: Prediction, cheaper: Prediction | None
) -> tuple[Prediction, str]:
    """Return the nearest miss, and what keeps it from the target."""
    nearest, replicas = _nearest(bench, space)
    miss = predict(bench, nearest, replicas, today_replicas=baseline.candidate.replicas, with_capacity=True)
    return miss, _binding_constraint(bench, nearest, miss, cheaper)


def _nearest(bench: Bench, space: list[Configuration]) -> tuple[Configuration, int]:
    """Return the admitted candidate that comes closest to the target when load plays no part: alone, without waiting for a batch."""
    slo = bench.workload.slo
    unhurried = [entry for entry in space if entry.max_queue_delay_s == 0.0]
    rated = []
    for entry in unhurried:
        work, _ = bench.simulator.bounds(entry, slo.quantile)
        replicas = max(1, math.ceil(bench.demand.busiest_requests_per_s * work / STABLE_UTILIZATION * 2))
        rated.append((bench.simulator.outcome(entry, replicas, "high", (slo.quantile,)).quantiles_s.max(), replicas, entry))
    _, replicas, best = min(rated, key=lambda entry: (entry[0], entry[1]))
    return best, replicas


def _binding_constraint(bench: Bench, nearest: Configuration, miss: Prediction, cheaper: Prediction | None) -> str:
    slo = bench.workload.slo
    if miss.meets_slo:
        return f"replicas: {miss.candidate.replicas} would keep the target, no more than {MAX_REPLICAS} are considered"
    alone = bench.simulator.table(nearest, "value")[0, bench.demand.sure_class(slo.quantile)]
    if cheaper is not None:
        return (
            f"quality: {cheaper.candidate.variant} is predicted to keep the target, but its quality was not measured; "
            "give quality.metric, quality.max_drop and quality.data"
        )
    if alone > slo.latency_s:
        return f"service time: a single request takes {seconds(float(alone))} on an idle server, the target is {seconds(slo.latency_s)}"
    return (
        f"margin: an idle server answers in {seconds(float(alone))}, but with queueing, spread and the uncertainty of the measurement "
        f"p{100 * slo.quantile:g} can reach {seconds(miss.latency_slo_s.high)}, over the target of {seconds(slo.latency_s)}"
    )


def unproven(bench: Bench, recommended: Prediction | None, baseline: Prediction) -> Prediction | None:
    """Return the cheapest candidate among variants whose quality is unknown, if it beats the answer."""
    unknown = {name for name, entry in bench.admissions.items() if entry.is_unknown} - {bench.today.variant, *bench.speed_ties}
    found, _ = bench.find(unknown)
    if not found.cheapest or (
        recommended is not None and (found.cost_usd_per_hour or 0.0) >= recommended.cost_usd_per_hour.value
    ):
        return None
    configuration, replicas = found.cheapest[0]
    return predict(bench, configuration, replicas, today_replicas=baseline.candidate.replicas)


def frontier(
    bench: Bench, space: list[Configuration], recommended: Prediction | None, baseline: Prediction
) -> tuple[Prediction, ...]:
    """Return the non-dominated candidates in cost, latency at the target's quantile and quality, at the replicas worth looking at."""
    if recommended is None:
        return ()
    slo = bench.workload.slo
    least = recommended.candidate.replicas
    levels = sorted({*range(least, least + FRONTIER_LEVELS + 1), baseline.candidate.replicas})
    entries, points = [], []
    for entry in space:
        work, floor = bench.simulator.bounds(entry, slo.quantile)
        for replicas in levels:
            if floor > slo.latency_s or bench.demand.busiest_requests_per_s * work >= replicas:
                continue
            run = bench.simulator.run(entry, replicas, "high", 0, requests=SCREENING_REQUESTS)
            entries.append((entry, replicas))
            lost = _lost(quality_drop(bench.variants[entry.variant]))
            points.append((replicas * bench.price, float(quantiles(run.latency_s, (slo.quantile,))[0]), lost))
    if not points:
        return ()
    kept = [entry for entry, keep in zip(entries, pareto.non_dominated(np.array(points)), strict=True) if keep]
    today = baseline.candidate.replicas
    predicted = [predict(bench, entry, replicas, today_replicas=today) for entry, replicas in kept]
    feasible = [entry for entry in (*predicted, recommended) if entry.meets_slo]
    if not feasible:
        return ()
    objectives = [(entry.cost_usd_per_hour.value, entry.latency_slo_s.value, _lost(entry.quality_drop)) for entry in feasible]
    mask = pareto.non_dominated(np.array(objectives))
    front = {entry.candidate: entry for entry, keep in zip(feasible, mask, strict=True) if keep}
    return tuple(sorted(front.values(), key=_cost_and_latency)[:MAX_FRONTIER])


def _lost(drop: Estimate | None) -> float:
    """Return the quality lost, to compare by: what is unknown may be anything."""
    return math.inf if drop is None else max(0.0, drop.value)


def _cost_and_latency(entry: Prediction) -> tuple[float, float]:
    return entry.cost_usd_per_hour.value, entry.latency_slo_s.value
