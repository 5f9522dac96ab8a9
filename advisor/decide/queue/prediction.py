"""Site + configuration + replicas -> Prediction: what is expected of a candidate, each figure at both ends of the service interval."""

from typing import Protocol

import msgspec
import numpy as np

from advisor.decide.queue.demand import SEEDS, quantiles
from advisor.decide.queue.runs import Outcome
from advisor.decide.queue.search import most_replicas
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, USUAL_CONFIDENCE, Simulator
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration, changes, of_candidate
from advisor.decide.service import energy
from advisor.decide.service.measured import is_projected
from advisor.schema.advice import LoadLatency, Prediction
from advisor.schema.profile import QualityResult, Variant
from advisor.schema.record import Basis, Estimate, Record
from advisor.units import counted, seconds, usd

QUANTILES = (0.5, 0.95, 0.99)
ENDS = ("low", "value", "high")  # of the service interval
ALONE_FACTOR = 5.0  # times the longest that a request may take: by then nobody is left of those before it
CAPACITY_STEPS = 8
PARTS = (0.2, 0.4, 0.6, 0.75, 0.9, 1.0)  # of the capacity, for the chart of latency against load
SECONDS_PER_MILLION = 1e6 / 3600


def predict(
    site: SiteUnderLoad,
    configuration: Configuration,
    replicas: int,
    *,
    today_replicas: int | None,
    with_capacity: bool = False,
    is_given: bool = False,
) -> Prediction:
    """Return what is expected of the configuration on so many replicas.

    If their number `is_given` by the user, the cost follows from the price alone; else it has the interval of the number that is needed.
    `today_replicas` is None where nobody knows it.
    """
    slo = site.workload.slo
    wanted = (*QUANTILES, slo.quantile)
    ends = {end: site.simulator.outcome(configuration, replicas, end, wanted, with_stalls=True) for end in ENDS}
    basis, source = _ground(site, configuration, ends["value"])

    def estimate(runs: dict[str, np.ndarray]) -> Estimate:
        return over_runs(runs, basis, source)

    def latency(index: int) -> Estimate:
        return estimate({end: outcome.quantiles_s[:, index] for end, outcome in ends.items()})

    busiest = {end: outcome.busiest_s for end, outcome in ends.items() if outcome.busiest_s is not None}
    utilization = estimate({end: outcome.utilization for end, outcome in ends.items()})
    at_target = latency(len(QUANTILES))
    shares = _shares(ends["value"])
    smooth = _without_stalls(site, configuration, replicas)
    keeps_up = {end: site.simulator.keeps_up(configuration, replicas, end) for end in ("low", "high")}
    meets = keeps_up["high"] and at_target.high <= slo.latency_s
    rent = price_of(site, replicas) if is_given else _needed(site, configuration, replicas, basis)
    per_million, per_month, per_million_tokens = _costs(site, rent)
    joules = _joules(site, replicas, utilization)
    return Prediction(
        candidate=configuration.replicated(replicas, site.hardware),
        latency_p50_s=latency(0),
        latency_p95_s=latency(1),
        latency_p99_s=latency(2),
        latency_slo_s=at_target,
        latency_busiest_s=estimate(busiest) if busiest else None,
        goodput_fraction=estimate({end: outcome.goodput for end, outcome in ends.items()}),
        throughput_requests_per_s=estimate({end: outcome.throughput_requests_per_s for end, outcome in ends.items()}),
        capacity_requests_per_s=_capacity(site, configuration, replicas, basis) if with_capacity else None,
        utilization_fraction=utilization,
        mean_batch_size=float(shares @ np.arange(1, len(shares) + 1)),
        batch_size_shares=tuple(shares.tolist()),
        cost_usd_per_hour=rent,
        cost_usd_per_million_requests=per_million,
        cost_usd_per_month=per_month,
        cost_usd_per_million_tokens=per_million_tokens,
        energy_joules_per_request=joules,
        carbon_grams_per_million_requests=energy.grams_per_million_requests(joules, site.carbon),
        quality_drop=quality_drop(site.variants[configuration.variant]),
        meets_slo=meets,
        misses_slo=not keeps_up["low"] or at_target.low > slo.latency_s,
        changes=_changes(site, configuration, replicas, today_replicas),
        latency_without_stalls_s=None if smooth is None else estimate(smooth),
    )


def _without_stalls(site: SiteUnderLoad, configuration: Configuration, replicas: int) -> dict[str, np.ndarray] | None:
    """Return the target's quantile by end (seeds,) if no core ever stood still; None where it is not known whether they do."""
    if site.stalls is None:
        return None
    wanted = (site.workload.slo.quantile,)
    return {end: site.simulator.outcome(configuration, replicas, end, wanted).quantiles_s[:, 0] for end in ENDS}


class LoneRequest(Record, frozen=True, kw_only=True):
    """The target's quantile of requests that find an idle server, each by itself."""

    latency_s: Estimate  # with the stalls of the machine
    latency_without_stalls_s: Estimate


def lone_request(site: SiteUnderLoad, configuration: Configuration) -> LoneRequest | None:
    """Return what stalls alone leave of the target, which no number of replicas changes; None where nobody watched for stalls."""
    if site.stalls is None:
        return None
    quantile = site.workload.slo.quantile

    def reached(*, with_stalls: bool) -> Estimate:
        runs = {
            end: np.array(
                [
                    quantiles(_alone_s(site.simulator, configuration, end, seed, with_stalls=with_stalls), (quantile,))[0]
                    for seed in range(SEEDS)
                ]
            )
            for end in ENDS
        }
        return over_runs(runs, "simulated", f"simulation of requests that each find an idle server, p{100 * quantile:g}")

    return LoneRequest(latency_s=reached(with_stalls=True), latency_without_stalls_s=reached(with_stalls=False))


def _alone_s(simulator: Simulator, configuration: Configuration, end: str, seed: int, *, with_stalls: bool) -> np.ndarray:
    """Return the latencies (requests,) of requests that each find the servers idle and wait for nobody."""
    alone = msgspec.structs.replace(configuration, max_batch_size=1, max_queue_delay_s=0.0)
    stream = simulator.demand.spread(seed)
    items = float(stream.summed(np.ones(len(stream.size_class))).max())
    longest_s = items * float(simulator.table(alone, end).max()) * float(simulator.factors(alone, end)[1])
    if simulator.stalls is not None:
        longest_s += max(simulator.stalls.lengths_s, default=0.0)
    gap_s = np.random.default_rng((seed, 7)).uniform(1.0, 2.0, stream.total) * ALONE_FACTOR * longest_s
    apart = stream._replace(arrival_s=stream.spread_out(np.cumsum(gap_s)))
    return simulator.replay(alone, apart, end, seed, with_stalls=with_stalls).latency_s


def stalls_bind(site: SiteUnderLoad, configuration: Configuration) -> bool:
    """Return whether even a lone request misses the target with the machine's stalls, as surely as is known, and keeps it without."""
    alone, target_s = lone_request(site, configuration), site.workload.slo.latency_s
    return alone is not None and alone.latency_without_stalls_s.high <= target_s < alone.latency_s.low


def _ground(site: SiteUnderLoad, configuration: Configuration, outcome: Outcome) -> tuple[Basis, str]:
    """Return how the figures were obtained, and from what."""
    grid = site.simulator.grid(configuration)
    part = "" if outcome.sampled is None else f"{outcome.sampled:,} of "
    runs = f"simulation of {part}{site.demand.requests:,} requests with {counted(len(outcome.utilization), 'seed')} over"
    if site.ground != "measured":
        return "projected", f"{runs} service times projected: {grid.medians[0][0].source}"
    beyond = is_projected(grid, configuration.max_batch_size, site.asked_lengths)
    return "projected" if beyond else "simulated", f"{runs} measured service times"


def _shares(outcome: Outcome) -> np.ndarray:
    """Return (max_batch_size,) the share of batches by size."""
    return np.asarray(outcome.batches / outcome.batches.sum())


class Rented(Protocol):
    """Where replicas run, as far as it has a price."""

    @property
    def price(self) -> float:
        """Of a replica, USD per hour."""

    @property
    def rent(self) -> Estimate:
        """The same, with where it comes from."""


def price_of(site: Rented, replicas: int) -> Estimate:
    """Return the cost per hour of replicas whose number is given."""
    cost = replicas * site.price
    return Estimate(value=cost, low=cost, high=cost, basis="list-price", source=paid(site, replicas))


def paid(site: Rented, replicas: int) -> str:
    """Return how the cost per hour comes about."""
    return f"{replicas} x {usd(site.price)}/h: {site.rent.source}"


def _needed(site: SiteUnderLoad, configuration: Configuration, replicas: int, basis: Basis) -> Estimate:
    """Return the cost per hour of replicas that are so many because of the service times: as many as either end of these needs.

    Stalls are left out, as in the search: no replicas are bought against them.
    """
    fewest = site.fewest_replicas(configuration, LEAST_CONFIDENCE, most=replicas) or replicas
    slo = site.workload.slo
    most: int | None = replicas
    if not site.simulator.meets(configuration, replicas, quantile=slo.quantile, target_s=slo.latency_s):
        limit = most_replicas(site.simulator, configuration, slo.quantile)
        most = site.fewest_replicas(configuration, USUAL_CONFIDENCE, above=replicas, most=limit)
    if most is None:
        needed = "; at the slow end of the service times no number of them keeps the target"
    else:
        needed = f"; {counted(fewest, 'replica')} if calls are quick" if fewest < replicas else ""
        needed += f"; {counted(most, 'replica')} if calls are slow" if most > replicas else ""
    return Estimate(
        value=replicas * site.price,
        low=fewest * site.price,
        high=(most or replicas) * site.price,
        basis=basis,
        source=paid(site, replicas) + needed,
    )


def _costs(site: SiteUnderLoad, rent: Estimate) -> tuple[Estimate, Estimate, Estimate | None]:
    """Return the cost per million requests, month, and million tokens (if requests have lengths) at a cost per hour."""
    per_million = SECONDS_PER_MILLION / site.demand.requests_per_s
    tokens = site.demand.mean_length
    return (
        energy.scaled(rent, per_million, f"{rent.source}, idle and peak hours paid alike"),
        energy.of_a_month(rent),
        None if tokens is None else energy.scaled(rent, per_million / tokens, f"{rent.source}, {tokens:.4g} tokens per request"),
    )


def _joules(site: SiteUnderLoad, replicas: int, utilization: Estimate) -> Estimate | None:
    if site.busy_watts is None:
        return None
    return energy.joules_per_request(site.busy_watts, replicas, utilization, site.demand.requests_per_s, site.workload.energy)


def _changes(site: SiteUnderLoad, configuration: Configuration, replicas: int, today_replicas: int | None) -> tuple[str, ...]:
    """Describe what differs from what runs today; empty if nothing does."""
    found = [] if site.is_home else [f"run on {site.hardware} ({site.place.machine})"]
    found.extend(changes(site.today, configuration))
    if today_replicas is not None and replicas != today_replicas:
        found.append(f"{counted(replicas, 'replica')} instead of {today_replicas}")
    return tuple(found)


def _capacity(site: SiteUnderLoad, configuration: Configuration, replicas: int, basis: Basis) -> Estimate | None:
    slo = site.workload.slo
    found = capacity_requests_per_s(site.simulator, configuration, replicas, quantile=slo.quantile, target_s=slo.latency_s)
    return found if found is None else msgspec.structs.replace(found, basis=basis)


def capacity_requests_per_s(
    simulator: Simulator, configuration: Configuration, replicas: int, *, quantile: float, target_s: float
) -> Estimate | None:
    """Return the highest rate at which the quantile is within the target, by bisection over the density of the same draws.

    None where not even the thinnest traffic meets it. The lower end holds in every run, as `meets` demands.
    """
    seeds = {"high": SEEDS, "value": 1, "low": 1}
    found = {
        end: _capacity_at(simulator, configuration, replicas, end, seeds[end], quantile=quantile, target_s=target_s)
        for end in seeds
    }
    if found["value"] == 0.0:
        return None
    return Estimate(
        value=found["value"],
        low=min(found["high"], found["value"]),
        high=max(found["low"], found["value"]),
        basis="simulated",
        source=f"bisection of the simulated rate at which p{100 * quantile:g} reaches {seconds(target_s)}",
    )


def _capacity_at(
    simulator: Simulator,
    configuration: Configuration,
    replicas: int,
    end: str,
    seeds: int,
    *,
    quantile: float,
    target_s: float,
) -> float:
    demand = simulator.demand

    def holds(scale: float) -> bool:
        if not simulator.keeps_up(configuration, replicas, end, scale=scale):
            return False
        # A long trace whose queue grows for longer than stretches show is lost when the work says so.
        work_s = simulator.busiest_work_s(configuration, replicas, end, scale=scale)
        if demand.is_overrun(work_s, replicas, late=1 - quantile, target_s=target_s, scale=scale):
            return False
        reached = (
            simulator.run(configuration, replicas, end, seed, scale=scale, with_stalls=True, by_stretches=True)
            for seed in range(seeds)
        )
        return all(run.quantiles_s((quantile,))[0] <= target_s for run in reached)

    # Full utilization is an upper bound; how far below it the target holds is what is sought.
    limit = replicas * configuration.instances / simulator.work_s(configuration, end) / demand.busiest_requests_per_s
    # Today's traffic is asked first: where thinner traffic waits longer for batches to fill, halving would pass it by.
    low, high = (1.0, max(limit, 1.0)) if holds(1.0) else (0.0, min(limit, 1.0))
    for _ in range(CAPACITY_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return float(low * demand.requests_per_s)


def load_curve(site: SiteUnderLoad, shown: Prediction) -> tuple[LoadLatency, ...]:
    """Return the target's quantile at parts of the capacity of a configuration on the site, one run at each end of the service times.

    () where its capacity was not sought, or it carries nothing within the target. A rate at which servers do not keep up at the slow end
    is left out: there latency depends on how long one watches.
    """
    capacity, candidate = shown.capacity_requests_per_s, shown.candidate
    if capacity is None or candidate.hardware != site.hardware:
        return ()
    configuration, replicas = of_candidate(candidate), candidate.replicas
    simulator, quantile = site.simulator, site.workload.slo.quantile
    points = []
    for part in PARTS:
        rate = part * capacity.value
        scale = rate / site.demand.requests_per_s
        if not all(simulator.keeps_up(configuration, replicas, end, scale=scale) for end in ENDS):
            break
        runs = {
            end: np.array(
                simulator.run(configuration, replicas, end, 0, scale=scale, with_stalls=True, by_stretches=True).quantiles_s(
                    (quantile,)
                )
            )
            for end in ENDS
        }
        source = f"simulation at {part:g} of the capacity within the target"
        latency = over_runs(runs, shown.latency_slo_s.basis, source)
        points.append(LoadLatency(requests_per_s=rate / replicas, latency_slo_s=latency))
    return tuple(points)


def over_runs(runs: dict[str, np.ndarray], basis: Basis, source: str) -> Estimate:
    """Return the median run with the extremes over all runs (seeds,) at all ends: slower calls do not always give the larger figure."""
    everything = np.concatenate(list(runs.values()))
    return Estimate(
        value=float(np.median(runs["value"])),
        low=float(everything.min()),
        high=float(everything.max()),
        basis=basis,
        source=source,
    )


def quality_drop(variant: Variant) -> Estimate | None:
    """Return what serving the variant costs in quality, None where that is unknown."""
    return drop_of(variant.quality, is_lossless=variant.lossless and variant.student is None)


def drop_of(measured: QualityResult | None, *, is_lossless: bool) -> Estimate | None:
    """Return what was measured to be lost, nothing where no precision is lost, None where it is unknown."""
    if measured is not None:
        return measured.drop
    if is_lossless:
        return Estimate(value=0.0, low=0.0, high=0.0, basis="assumed", source="no weight or activation loses precision")
    return None
