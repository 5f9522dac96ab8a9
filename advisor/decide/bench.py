"""What every question about a candidate needs, made once from profile and workload; and the prediction of one candidate."""

from collections.abc import Callable

import msgspec
import numpy as np

from advisor.decide.candidates import Configuration, admission, baseline_configuration, changes, configurations
from advisor.decide.demand import Demand
from advisor.decide.predict import USUAL_CONFIDENCE, Simulator
from advisor.decide.search import Found, Place, search_places
from advisor.decide.service_time import is_projected, service_grids
from advisor.decide.ties import speed_ties
from advisor.schema import Baseline, Basis, Estimate, Prediction, Profile, Trace, Traffic, Variant, Workload
from advisor.units import usd
from advisor.visits import clean, usual_hop_s

QUANTILES = (0.5, 0.95, 0.99)
SECONDS_PER_MILLION = 1e6 / 3600


class Bench:
    """The pieces that every question about a candidate needs."""

    def __init__(
        self,
        profile: Profile,
        workload: Workload,
        trace: Trace | None,
        *,
        confidence: float = USUAL_CONFIDENCE,
        is_over: Callable[[], bool] | None = None,
    ) -> None:
        """`confidence` is what a candidate has to keep the target with; a search ends as soon as `is_over` says so.

        Of the profile's visits, only those count in which the machine was not busy with something else.
        """
        self.today = baseline_configuration(profile, workload.baseline or Baseline())
        self.speed_ties = speed_ties(profile, self.today.variant)  # pairs visits by round, so before any is taken away
        profile = _undisturbed(profile)
        self.profile = profile
        self.workload = workload
        self.grids = service_grids(profile)
        known = {length for grid in self.grids.values() for length in grid.lengths if length is not None}
        self.measured_lengths = tuple(sorted(known))
        self.demand = Demand(
            workload,
            lengths=self.measured_lengths or (None,),
            trace_s=np.array(trace.arrival_s) if trace else None,
            trace_length=np.array(trace.sequence_length) if trace and trace.sequence_length else None,
        )
        self.simulator = Simulator(self.demand, self.grids, profile.calibrations, profile.trial)
        # What is chosen may have to be surer than what is told of it.
        self.judge = (
            self.simulator
            if confidence == USUAL_CONFIDENCE
            else Simulator(self.demand, self.grids, profile.calibrations, profile.trial, confidence=confidence)
        )
        self.is_over = is_over
        self.price = workload.hardware.price_usd_per_hour["local"]
        self.variants = {variant.id: variant for variant in profile.variants}
        self.admissions = {variant.id: admission(variant, workload) for variant in profile.variants}
        self.asked_lengths = _asked_lengths(workload, trace)

    def admitted(self) -> set[str]:
        """The variants that may be advised: today's own is among them unless its quality was measured and fell short.

        Of variants that are equally fast only the simplest is, if that one may be advised itself.
        """
        allowed = {
            name for name, entry in self.admissions.items() if entry.admitted or (entry.is_unknown and name == self.today.variant)
        }
        return {name for name in allowed if name not in self.speed_ties or self.speed_ties[name].simpler not in allowed}

    def find(self, variants: set[str]) -> tuple[Found, list[Configuration]]:
        """Return the cheapest candidates of these variants, and the space that was searched."""
        space = configurations(self.grids, self.workload, self.today, variants)
        slo = self.workload.slo
        place = Place(self.judge, space, self.price)
        return search_places([place], quantile=slo.quantile, target_s=slo.latency_s, is_over=self.is_over), space

    def at(self, requests_per_s: float, classes: tuple[int, int] | None) -> Simulator:
        """Return the simulator at a rate that does not change, with all requests or those of some size classes (first, end) alone."""
        steady = Traffic(requests_per_s=requests_per_s, burstiness_cv=self.workload.traffic.burstiness_cv)
        demand = Demand(
            msgspec.structs.replace(self.workload, traffic=steady),
            lengths=self.measured_lengths or (None,),
            trace_s=None,
            trace_length=None,
        )
        profile = self.profile
        return Simulator(demand if classes is None else demand.only(*classes), self.grids, profile.calibrations, profile.trial)


def _undisturbed(profile: Profile) -> Profile:
    usual_s = usual_hop_s(visit for entry in profile.measurements for visit in entry.visits)
    measurements = tuple(msgspec.structs.replace(entry, visits=clean(entry.visits, usual_s)) for entry in profile.measurements)
    return msgspec.structs.replace(profile, measurements=measurements)


def _asked_lengths(workload: Workload, trace: Trace | None) -> tuple[int, ...]:
    if trace is not None and trace.sequence_length is not None:
        return (min(trace.sequence_length), max(trace.sequence_length))
    asked = workload.inputs.sequence_length if workload.inputs else None
    return () if asked is None else (asked.p50, asked.max or asked.p95 or asked.p50)


def predict(
    bench: Bench, configuration: Configuration, replicas: int, *, today_replicas: int, with_capacity: bool = False
) -> Prediction:
    """Return what is expected of the configuration on so many replicas, each figure at both ends of the service interval."""
    slo = bench.workload.slo
    wanted = (*QUANTILES, slo.quantile)
    ends = {end: bench.simulator.outcome(configuration, replicas, end, wanted) for end in ("low", "value", "high")}
    source = f"simulation of {bench.demand.requests:,} requests with {len(ends['value'].utilization)} seeds over measured service times"
    projected = is_projected(bench.simulator.grid(configuration), configuration.max_batch_size, bench.asked_lengths)
    basis: Basis = "projected" if projected else "simulated"

    def estimate(runs: dict[str, np.ndarray]) -> Estimate:
        return over_runs(runs, basis, source)

    def latency(index: int) -> Estimate:
        return estimate({end: outcome.quantiles_s[:, index] for end, outcome in ends.items()})

    busiest = {end: outcome.busiest_s for end, outcome in ends.items() if outcome.busiest_s is not None}
    cost = replicas * bench.price
    per_million = cost / bench.demand.requests_per_s * SECONDS_PER_MILLION
    paid = f"{replicas} x {usd(bench.price)}/h as the workload file says"
    at_target = latency(3)
    shares = ends["value"].batches / ends["value"].batches.sum()
    variant = bench.variants[configuration.variant]
    said = list(changes(bench.today, configuration))
    if replicas != today_replicas:
        said.append(f"{replicas} {'replica' if replicas == 1 else 'replicas'} instead of {today_replicas}")
    return Prediction(
        candidate=configuration.replicated(replicas),
        latency_p50_s=latency(0),
        latency_p95_s=latency(1),
        latency_p99_s=latency(2),
        latency_slo_s=at_target,
        latency_busiest_s=estimate(busiest) if busiest else None,
        goodput_fraction=estimate({end: outcome.goodput for end, outcome in ends.items()}),
        throughput_requests_per_s=estimate({end: outcome.throughput_requests_per_s for end, outcome in ends.items()}),
        capacity_requests_per_s=bench.simulator.capacity_requests_per_s(
            configuration, replicas, quantile=slo.quantile, target_s=slo.latency_s
        )
        if with_capacity
        else None,
        utilization_fraction=estimate({end: outcome.utilization for end, outcome in ends.items()}),
        mean_batch_size=float(shares @ np.arange(1, len(shares) + 1)),
        batch_size_shares=tuple(shares.tolist()),
        cost_usd_per_hour=Estimate(value=cost, low=cost, high=cost, basis="list-price", source=paid),
        cost_usd_per_million_requests=Estimate(
            value=per_million, low=per_million, high=per_million, basis="list-price", source=f"{paid}, at the mean rate"
        ),
        quality_drop=quality_drop(variant),
        meets_slo=bench.simulator.keeps_up(configuration, replicas, "high") and at_target.high <= slo.latency_s,
        changes=tuple(said),
    )


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
    if variant.quality is not None:
        return variant.quality.drop
    if variant.lossless:
        return Estimate(value=0.0, low=0.0, high=0.0, basis="assumed", source="no weight or activation loses precision")
    return None
