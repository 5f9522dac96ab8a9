"""What every question about a candidate needs, made once from profile and workload; and the prediction of one candidate."""

from collections import defaultdict
from collections.abc import Callable

import msgspec
import numpy as np

from advisor.decide.queue import energy
from advisor.decide.queue.demand import Demand
from advisor.decide.queue.prediction import USUAL_CONFIDENCE, Simulator
from advisor.decide.queue.search import Found, Searchable, search_places
from advisor.decide.queue.space import Configuration, admission, baseline_configuration, changes, configurations
from advisor.decide.queue.speed_ties import speed_ties
from advisor.decide.service.measured import is_projected, service_grids
from advisor.decide.service.projected import GroundOfService, measured_there, projected
from advisor.schema.advice import Place, Prediction
from advisor.schema.catalog import CarbonIntensity, PublicMeasurements
from advisor.schema.profile import Profile, Variant
from advisor.schema.record import Basis, Estimate, Exclusion
from advisor.schema.workload import Baseline, OnlineWorkload, Trace, Traffic
from advisor.units import HOURS_PER_MONTH, usd
from advisor.visits import clean, slowdown_at_other_distance, usual_hop_s

QUANTILES = (0.5, 0.95, 0.99)
SECONDS_PER_MILLION = 1e6 / 3600


class Bench:
    """The pieces that every question about a candidate needs."""

    def __init__(
        self,
        profile: Profile,
        workload: OnlineWorkload,
        trace: Trace | None,
        place: Place | None = None,
        public: PublicMeasurements | None = None,
        carbon: CarbonIntensity | None = None,
        *,
        confidence: float = USUAL_CONFIDENCE,
        is_over: Callable[[], bool] | None = None,
    ) -> None:
        """`confidence` is what a candidate has to keep the target with; a search ends as soon as `is_over` says so.

        Of the profile's visits, only those count in which the machine was not busy with something else. `place` is other hardware than
        the profiled machine: what was measured there and merged counts, and only else what `public` measurements let project.
        """
        self.today = baseline_configuration(profile, workload.baseline or Baseline())
        self.place = place
        there = measured_there(profile, place.hardware.id) if place is not None else None
        self.ground: GroundOfService = "measured"
        profile = there or profile
        self.speed_ties = speed_ties(profile, self.today.variant)  # pairs visits by round, so before any is taken away
        slowdowns = _slowdowns(profile)
        profile = _undisturbed(profile)
        self.profile = profile
        self.workload = workload
        self.grids = service_grids(profile, slowdowns)
        self.exclusions: tuple[Exclusion, ...] = ()
        calibrations = profile.calibrations
        if place is not None and public is not None and there is None:
            service = projected(place, profile, self.grids, public)
            self.grids, self.exclusions, self.ground, calibrations = service.grids, service.exclusions, service.ground, ()
        known = {length for grid in self.grids.values() for length in grid.lengths if length is not None}
        self.measured_lengths = tuple(sorted(known))
        self.demand = Demand(
            workload,
            lengths=self.measured_lengths or (None,),
            trace_s=np.array(trace.arrival_s) if trace else None,
            trace_length=np.array(trace.sequence_length) if trace and trace.sequence_length else None,
        )
        self.calibrations = calibrations
        self.simulator = Simulator(self.demand, self.grids, calibrations, profile.trial)
        # What is chosen may have to be surer than what is told of it.
        self.judge = (
            self.simulator
            if confidence == USUAL_CONFIDENCE
            else Simulator(self.demand, self.grids, calibrations, profile.trial, confidence=confidence)
        )
        self.is_over = is_over
        self.rent = _local_rent(workload) if place is None else place.price_usd_per_hour
        self.price = self.rent.value
        self.carbon = carbon if place is None else place.carbon
        self.busy_watts = energy.busy_watts(place, profile, workload.energy)
        self.hardware = "local" if place is None else place.hardware.id
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

    def excluded(self) -> dict[str, str]:
        """The variants that have no service times here, with the reason."""
        there = {name for name, _, _ in self.grids}
        said = {entry.what.removesuffix(f" on {self.hardware}"): entry.reason for entry in self.exclusions}
        return {name: said.get(name, "not measured") for name in self.variants if name not in there}

    def find(self, variants: set[str]) -> tuple[Found, list[Configuration]]:
        """Return the cheapest candidates of these variants, and the space that was searched."""
        space = configurations(self.grids, self.workload, self.today, variants)
        # Other hardware may not have the setting that runs today.
        space = [entry for entry in space if (entry.variant, entry.intra_op_num_threads, entry.instances) in self.grids]
        slo = self.workload.slo
        searchable = Searchable(self.judge, space, self.price)
        return search_places([searchable], quantile=slo.quantile, target_s=slo.latency_s, is_over=self.is_over), space

    def at(self, requests_per_s: float, classes: tuple[int, int] | None) -> Simulator:
        """Return the simulator at a rate that does not change, with all requests or those of some size classes (first, end) alone."""
        steady = Traffic(requests_per_s=requests_per_s, burstiness_cv=self.workload.traffic.burstiness_cv)
        demand = Demand(
            msgspec.structs.replace(self.workload, traffic=steady),
            lengths=self.measured_lengths or (None,),
            trace_s=None,
            trace_length=None,
        )
        asked = demand if classes is None else demand.only(*classes)
        return Simulator(asked, self.grids, self.calibrations, self.profile.trial)


def _local_rent(workload: OnlineWorkload) -> Estimate:
    usd_per_hour = workload.hardware.price_usd_per_hour["local"]
    return Estimate(value=usd_per_hour, low=usd_per_hour, high=usd_per_hour, basis="list-price", source="the workload file")


def _undisturbed(profile: Profile) -> Profile:
    usual_s = usual_hop_s(visit for entry in profile.measurements for visit in entry.visits)
    measurements = tuple(msgspec.structs.replace(entry, visits=clean(entry.visits, usual_s)) for entry in profile.measurements)
    return msgspec.structs.replace(profile, measurements=measurements)


def _slowdowns(profile: Profile) -> dict[tuple[int, int], float]:
    """Return by setting, (intra_op_num_threads, instances), how much longer calls take in a state of the machine that will come back."""
    usual_s = usual_hop_s(visit for entry in profile.measurements for visit in entry.visits)
    by_setting = defaultdict(list)
    for entry in profile.measurements:
        by_setting[entry.intra_op_num_threads, entry.instances].append(entry)
    return {setting: slowdown_at_other_distance(entries, usual_s) for setting, entries in by_setting.items()}


def _asked_lengths(workload: OnlineWorkload, trace: Trace | None) -> tuple[int, ...]:
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
    beyond = is_projected(bench.simulator.grid(configuration), configuration.max_batch_size, bench.asked_lengths)
    basis: Basis = "projected" if beyond or bench.ground != "measured" else "simulated"
    if bench.ground != "measured":
        source = source.replace("measured service times", f"service times projected: {_projected_from(bench, configuration)}")

    def estimate(runs: dict[str, np.ndarray]) -> Estimate:
        return over_runs(runs, basis, source)

    def latency(index: int) -> Estimate:
        return estimate({end: outcome.quantiles_s[:, index] for end, outcome in ends.items()})

    busiest = {end: outcome.busiest_s for end, outcome in ends.items() if outcome.busiest_s is not None}
    cost = replicas * bench.price
    per_million = cost / bench.demand.requests_per_s * SECONDS_PER_MILLION
    paid = f"{replicas} x {usd(bench.price)}/h: {bench.rent.source}"
    rent = Estimate(value=cost, low=cost, high=cost, basis="list-price", source=paid)
    utilization = estimate({end: outcome.utilization for end, outcome in ends.items()})
    rate, watts = bench.demand.requests_per_s, bench.busy_watts
    joules = None if watts is None else energy.joules_per_request(watts, replicas, utilization, rate, bench.workload.energy)
    tokens = bench.demand.mean_length
    at_target = latency(3)
    shares = ends["value"].batches / ends["value"].batches.sum()
    variant = bench.variants[configuration.variant]
    said = list(changes(bench.today, configuration))
    if bench.place is not None:
        said.insert(0, f"run on {bench.hardware} ({bench.place.machine})")
    if replicas != today_replicas:
        said.append(f"{replicas} {'replica' if replicas == 1 else 'replicas'} instead of {today_replicas}")
    return Prediction(
        candidate=configuration.replicated(replicas, bench.hardware),
        latency_p50_s=latency(0),
        latency_p95_s=latency(1),
        latency_p99_s=latency(2),
        latency_slo_s=at_target,
        latency_busiest_s=estimate(busiest) if busiest else None,
        goodput_fraction=estimate({end: outcome.goodput for end, outcome in ends.items()}),
        throughput_requests_per_s=estimate({end: outcome.throughput_requests_per_s for end, outcome in ends.items()}),
        capacity_requests_per_s=_capacity(bench, configuration, replicas, basis) if with_capacity else None,
        utilization_fraction=utilization,
        mean_batch_size=float(shares @ np.arange(1, len(shares) + 1)),
        batch_size_shares=tuple(shares.tolist()),
        cost_usd_per_hour=rent,
        cost_usd_per_million_requests=energy.scaled(rent, per_million / cost, f"{paid}, idle and peak hours paid alike"),
        cost_usd_per_month=energy.scaled(rent, HOURS_PER_MONTH, f"{paid}, all hours of a month"),
        cost_usd_per_million_tokens=None
        if tokens is None
        else energy.scaled(rent, per_million / cost / tokens, f"{paid}, {tokens:.4g} tokens a request"),
        energy_joules_per_request=joules,
        carbon_grams_per_million_requests=energy.grams_per_million_requests(joules, bench.carbon),
        quality_drop=quality_drop(variant),
        meets_slo=bench.simulator.keeps_up(configuration, replicas, "high") and at_target.high <= slo.latency_s,
        changes=tuple(said),
    )


def _capacity(bench: Bench, configuration: Configuration, replicas: int, basis: Basis) -> Estimate | None:
    slo = bench.workload.slo
    found = bench.simulator.capacity_requests_per_s(configuration, replicas, quantile=slo.quantile, target_s=slo.latency_s)
    return found if found is None else msgspec.structs.replace(found, basis=basis)


def _projected_from(bench: Bench, configuration: Configuration) -> str:
    return bench.simulator.grid(configuration).medians[0][0].source


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
