"""The candidates of advice: today's, the cheapest, those that tie with it, the nearest miss, the frontier."""

import math
from collections.abc import Sequence

import numpy as np

from advisor.decide.queue.demand import quantiles
from advisor.decide.queue.prediction import lone_request, predict, quality_drop, stalls_bind
from advisor.decide.queue.search import MAX_REPLICAS, Found, search
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, MIDDLE_CONFIDENCE
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import Setting, setting_of
from advisor.kernels import pareto
from advisor.schema.advice import Prediction
from advisor.schema.record import Estimate
from advisor.units import number, seconds

# If today's replicas are not known and no number of them meets the target, they are as many as keep this utilization.
STABLE_UTILIZATION = 0.8
FRONTIER_LEVELS = 1  # numbers of replicas beyond the cheapest at which faster candidates are looked for
SHOWN_DIGITS = 3  # of a latency, in reports
SCREENING_REQUESTS = 2000  # enough to see which candidates are worth a full simulation for the frontier
MAX_FRONTIER = 12
MAX_TIES = 5


def baseline_today(site: SiteUnderLoad) -> Prediction:
    """Return what runs today, with the user's replicas or else as many as it would need to keep the target, or at least to keep up."""
    asked = given_replicas(site)
    replicas = _needed_today(site) if asked is None else asked
    return predict(site, site.today, replicas, today_replicas=asked, with_capacity=True, is_given=asked is not None)


def _needed_today(site: SiteUnderLoad) -> int:
    """Return how few replicas keep today's configuration within the target, at the slow end of its service times where any do there."""
    slo = site.workload.slo
    for confidence in (site.question.confidence, MIDDLE_CONFIDENCE, LEAST_CONFIDENCE):
        simulator = site.supposing(confidence)
        found = search(simulator, [site.today], quantile=slo.quantile, target_s=slo.latency_s, price_usd_per_hour=site.price)
        if found.cheapest:
            return found.cheapest[0][1]
    work, _ = site.simulator.bounds(site.today, slo.quantile)
    return max(1, math.ceil(site.demand.busiest_requests_per_s * work / STABLE_UTILIZATION))


def given_replicas(site: SiteUnderLoad) -> int | None:
    """Return how many replicas run today, None where the user did not say."""
    return site.workload.baseline.replicas if site.workload.baseline else None


def keeps_promises(site: SiteUnderLoad, baseline: Prediction) -> bool:
    """Return whether what runs today keeps the latency target, and its quality was not found to fall short."""
    return baseline.meets_slo and baseline.candidate.variant in site.admitted()


def recommend(
    site: SiteUnderLoad, found: Found, baseline: Prediction, home: SiteUnderLoad | None
) -> tuple[Prediction | None, tuple[Prediction, ...], bool]:
    """Return the recommendation, the candidates that tie with it (as cheap, latencies overlapping), and whether there are more ties.

    Of equally cheap candidates it takes the one that changes least. That is today's own if it keeps the target at that cost on `home`,
    the site of what runs today; `home` is None if what runs today may not stay.
    """
    if not found.cheapest:
        # More replicas than are searched are believed only where the user gave their number.
        is_given = given_replicas(site) is not None
        return (baseline if is_given and home is not None and keeps_promises(home, baseline) else None), (), False
    if (
        home is not None
        and keeps_promises(home, baseline)
        and baseline.cost_usd_per_hour.value <= (found.cost_usd_per_hour or 0.0)
    ):
        return baseline, (), False
    replicas_today = given_replicas(site)
    place, recommended = first_to_keep(site, found, with_capacity=True)
    if not recommended.meets_slo:
        return None, (), False
    others = [entry for index, entry in enumerate(found.cheapest) if index != place]
    as_cheap = [predict(site, other, count, today_replicas=replicas_today) for other, count in others]
    target = recommended.latency_slo_s
    ties = [entry for entry in as_cheap if entry.latency_slo_s.overlaps(target)]
    return recommended, tuple(ties[:MAX_TIES]), len(ties) > MAX_TIES


def first_to_keep(site: SiteUnderLoad, found: Found, *, with_capacity: bool = False) -> tuple[int, Prediction]:
    """Return the first of what was found, all equally cheap, that keeps the target with stalls too, and its place; else the very first.

    The search knows no stalls, and what is dearer is not sought for them.
    """
    made = []
    for place, (configuration, replicas) in enumerate(found.cheapest):
        made.append(predict(site, configuration, replicas, today_replicas=given_replicas(site), with_capacity=with_capacity))
        if made[-1].meets_slo:
            return place, made[-1]
    return 0, made[0]


def nearest_miss(
    site: SiteUnderLoad, space: list[Configuration], found: Found, cheaper: Prediction | None
) -> tuple[Prediction, str]:
    """Return the nearest miss, and what keeps it from the target: of what was found, which only stalls keep from it, the first."""
    nearest, replicas = found.cheapest[0] if found.cheapest else _nearest(site, space)
    miss = predict(site, nearest, replicas, today_replicas=given_replicas(site), with_capacity=True)
    return miss, _binding_constraint(site, nearest, miss, cheaper)


def _nearest(site: SiteUnderLoad, space: list[Configuration]) -> tuple[Configuration, int]:
    """Return the admitted candidate that comes closest to the target when load plays no part: alone, without waiting for a batch."""
    slo = site.workload.slo
    unhurried = [entry for entry in space if entry.max_queue_delay_s == 0.0]
    rated = []
    for entry in unhurried:
        work, _ = site.simulator.bounds(entry, slo.quantile)
        replicas = max(1, math.ceil(site.demand.busiest_requests_per_s * work / STABLE_UTILIZATION * 2))
        rated.append((site.simulator.outcome(entry, replicas, "high", (slo.quantile,)).quantiles_s.max(), replicas, entry))
    _, replicas, best = min(rated, key=lambda entry: (entry[0], entry[1]))
    return best, replicas


def _binding_constraint(site: SiteUnderLoad, nearest: Configuration, miss: Prediction, cheaper: Prediction | None) -> str:
    slo = site.workload.slo
    if miss.meets_slo:
        return f"replicas: {miss.candidate.replicas} would keep the target, but at most {MAX_REPLICAS} are considered"
    without_stalls = miss.latency_without_stalls_s
    if without_stalls is not None and without_stalls.high <= slo.latency_s:
        return _stalls_in_words(site, nearest, miss)
    alone = site.simulator.table(nearest, "value")[0, site.demand.sure_class(slo.quantile)]
    if cheaper is not None:
        return (
            f"quality: {cheaper.candidate.variant} is predicted to keep the target, but its quality was not measured; "
            "set quality.metric, quality.max_drop and quality.data"
        )
    if alone > slo.latency_s:
        return (
            f"service time: a single request takes {seconds(float(alone))} on an idle server, and the target is "
            f"{seconds(slo.latency_s)}"
        )
    return (
        f"headroom: a request takes {seconds(float(alone))} on an idle server, but with queueing, spread and measurement uncertainty "
        f"the p{100 * slo.quantile:g} can reach {seconds(miss.latency_slo_s.high)}, over the target of {seconds(slo.latency_s)}"
    )


def how_cores_stall(site: SiteUnderLoad) -> str:
    """Return how often and how long the cores of a watched machine stand still."""
    assert site.stalls is not None
    often, longest_s = number(site.stalls.rate_per_s["value"]), max(site.stalls.lengths_s, default=0.0)
    return f"cores of {site.hardware} stand still {often} times a second, for up to {seconds(longest_s)}"


def _stalls_in_words(site: SiteUnderLoad, nearest: Configuration, miss: Prediction) -> str:
    """Return what keeps from the target a candidate that keeps it as long as no core stands still."""
    slo, alone = site.workload.slo, lone_request(site, nearest)
    assert alone is not None and miss.latency_without_stalls_s is not None
    level = f"p{100 * slo.quantile:g}"
    host = how_cores_stall(site)
    if stalls_bind(site, nearest):
        return (
            f"stalls: {host}; with them the {level} of a lone request on an idle server is {seconds(alone.latency_s.value)}, without "
            f"them {seconds(alone.latency_without_stalls_s.value)}, and the target is {seconds(slo.latency_s)}: no number of replicas "
            "helps; serve on a machine whose cores are its own, or allow a longer latency"
        )
    return (
        f"stalls: {host}; with them the {level} can reach {seconds(miss.latency_slo_s.high)}, without them "
        f"{seconds(miss.latency_without_stalls_s.high)}, and the target is {seconds(slo.latency_s)}; more replicas are not bought "
        "against stalls: serve on a machine whose cores are its own, or allow a longer latency"
    )


def unproven(site: SiteUnderLoad, recommended: Prediction | None) -> Prediction | None:
    """Return the cheapest candidate among variants whose quality is unknown, if it beats the recommendation."""
    unknown = {name for name, entry in site.admissions.items() if entry.is_unknown} - {site.today.variant, *site.speed_ties}
    found = site.search(site.space(unknown))
    if not found.cheapest or (
        recommended is not None and (found.cost_usd_per_hour or 0.0) >= recommended.cost_usd_per_hour.value
    ):
        return None
    configuration, replicas = found.cheapest[0]
    return predict(site, configuration, replicas, today_replicas=given_replicas(site))


def frontier(site: SiteUnderLoad, space: list[Configuration], recommended: Prediction | None) -> tuple[Prediction, ...]:
    """Return the non-dominated candidates in cost, latency at the target's quantile and quality, at the replicas worth looking at."""
    if recommended is None:
        return ()
    least = recommended.candidate.replicas
    today = given_replicas(site)
    levels = sorted({*range(least, least + FRONTIER_LEVELS + 1), *(() if today is None else (today,))})
    screened = _screened(site, space, levels)
    entries = [(entry, replicas) for entry in space for replicas in levels if (entry, replicas) in screened]
    points = [
        (replicas * site.price, screened[entry, replicas], _lost(quality_drop(site.variants[entry.variant])))
        for entry, replicas in entries
    ]
    if not points:
        return ()
    kept = [entry for entry, keep in zip(entries, pareto.non_dominated(np.array(points)), strict=True) if keep]
    kept += _first_of_others(site, sorted(entries, key=lambda each: (each[1], screened[each])), kept)
    predicted = [predict(site, entry, replicas, today_replicas=today) for entry, replicas in kept]
    feasible = [entry for entry in (recommended, *predicted) if entry.meets_slo]
    return tuple(sorted(not_beaten(feasible)[:MAX_FRONTIER], key=cost_and_latency))


def _first_of_others(
    site: SiteUnderLoad, entries: Sequence[tuple[Configuration, int]], kept: Sequence[tuple[Configuration, int]]
) -> list[tuple[Configuration, int]]:
    """Return the first entry of each variant that none of the kept runs, of those whose loss of quality has an interval."""
    listed = {entry.variant for entry, _ in kept}
    found: dict[str, tuple[Configuration, int]] = {}
    for entry, replicas in entries:
        drop = quality_drop(site.variants[entry.variant])
        if entry.variant not in listed and drop is not None and drop.high > max(0.0, drop.low):
            found.setdefault(entry.variant, (entry, replicas))
    return list(found.values())


def not_beaten(entries: Sequence[Prediction]) -> list[Prediction]:
    """Return those that no other betters in cost, latency at the target's quantile and quality; of those that are equal, the first.

    Latencies count as they are shown: nobody pays for what a report cannot show. After them come, of variants that have none among
    them, the cheapest and then quickest, unless what betters it surely keeps as much of the quality: losses whose intervals overlap
    cannot be told apart.
    """
    first: dict[tuple[float, float, float], Prediction] = {}
    for entry in entries:
        first.setdefault((entry.cost_usd_per_hour.value, _shown_s(entry), _lost(entry.quality_drop)), entry)
    if not first:
        return []
    mask = pareto.non_dominated(np.array(list(first)))
    kept = sorted((entry for entry, keep in zip(first.values(), mask, strict=True) if keep), key=cost_and_latency)
    others: dict[str, Prediction] = {}
    for entry in sorted(entries, key=cost_and_latency):
        if all(entry.candidate.variant != other.candidate.variant for other in kept):
            others.setdefault(entry.candidate.variant, entry)
    return [*kept, *(entry for entry in others.values() if not any(_is_surely_as_good(other, entry) for other in kept))]


def _is_surely_as_good(one: Prediction, other: Prediction) -> bool:
    """Return whether one costs no more and is no slower than the other, and certainly loses no more quality."""
    if one.cost_usd_per_hour.value > other.cost_usd_per_hour.value or _shown_s(one) > _shown_s(other):
        return False
    if one.quality_drop is None or other.quality_drop is None:
        return other.quality_drop is None
    return max(0.0, one.quality_drop.high) <= max(0.0, other.quality_drop.low)


def _shown_s(entry: Prediction) -> float:
    return float(f"{entry.latency_slo_s.value:.{SHOWN_DIGITS}g}")


def _screened(site: SiteUnderLoad, space: list[Configuration], levels: list[int]) -> dict[tuple[Configuration, int], float]:
    """Return the target's quantile in a short run of all candidates that keep up at these numbers of replicas and may keep the target.

    The largest batches are run first: where none of them fills, the same configuration with smaller ones, which do not fill either,
    forms the same batches at the same moments.
    """
    slo, demand = site.workload.slo, site.demand
    found: dict[tuple[Configuration, int], float] = {}
    of_larger: dict[tuple[Setting, float, int], tuple[int, float]] = {}  # the largest batch that was formed, and the quantile
    for entry in sorted(space, key=_max_batch_size, reverse=True):
        work, floor = site.simulator.bounds(entry, slo.quantile)
        for replicas in levels:
            if floor > slo.latency_s or demand.busiest_requests_per_s * work >= replicas:
                continue
            key = (setting_of(entry), entry.max_queue_delay_s, replicas)
            if key not in of_larger or of_larger[key][0] >= entry.max_batch_size:
                run = site.simulator.run(entry, replicas, "high", 0, requests=SCREENING_REQUESTS)
                latency_s = float(quantiles(run.latency_s, (slo.quantile,))[0])
                of_larger[key] = (int(np.flatnonzero(run.batches)[-1]) + 1, latency_s)
            found[entry, replicas] = of_larger[key][1]
    return found


def _max_batch_size(entry: Configuration) -> int:
    return entry.max_batch_size


def _lost(drop: Estimate | None) -> float:
    """Return the quality lost, to compare by: what is unknown may be anything."""
    return math.inf if drop is None else max(0.0, drop.value)


def cost_and_latency(entry: Prediction) -> tuple[float, float]:
    """Return what a frontier is sorted by."""
    return entry.cost_usd_per_hour.value, entry.latency_slo_s.value
