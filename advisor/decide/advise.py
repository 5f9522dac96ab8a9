"""Profile + workload + rules -> Advice. Pure: the same records give the same advice, to the byte."""

import math

import numpy as np

from advisor import __version__
from advisor.decide import lifecycle, verdict
from advisor.decide.candidates import (
    Admission,
    Configuration,
    admission,
    baseline_configuration,
    changes,
    configurations,
)
from advisor.decide.predict import SERVER_FACTOR, Demand, Outcome, Simulator, quantiles
from advisor.decide.search import Found, search
from advisor.decide.service_time import is_projected, service_grids
from advisor.decide.summaries import service_curves, variant_summaries
from advisor.errors import InputError
from advisor.kernels import pareto
from advisor.schema import (
    SCHEMA_VERSION,
    Advice,
    Baseline,
    Certificate,
    Estimate,
    Exclusion,
    Prediction,
    Profile,
    Record,
    Rule,
    Saving,
    Variant,
    Verdict,
    Workload,
)
from advisor.units import HOURS_PER_YEAR, percent, rate, seconds, usd

QUANTILES = (0.5, 0.95, 0.99)
# A server that is busy more than this has no headroom for what the simulation does not know.
BUSY_FRACTION = 0.75
# Today's replicas are not known: as many as keep the load here, if no number of them meets the target.
STABLE_UTILIZATION = 0.8
FRONTIER_LEVELS = 2  # numbers of replicas beyond the cheapest at which faster candidates are looked for
SCREENING_REQUESTS = 3000  # enough to see which candidates are worth a full simulation for the frontier
MAX_FRONTIER = 12
MAX_TIES_TOLD = 5
SECONDS_PER_MILLION = 1e6 / 3600


class Request(Record, frozen=True, kw_only=True):
    """What is asked, beside the profile: `profile_path` and the dates are told in the report."""

    workload: Workload
    rules: tuple[Rule, ...]
    profile_sha256: str
    profile_path: str | None
    created: str


class Trace(Record, frozen=True, kw_only=True):
    """Recorded requests: ascending arrival times, and lengths if they were recorded."""

    arrival_s: tuple[float, ...]
    sequence_length: tuple[int, ...] | None


class Bench:
    """The pieces that every question about a candidate needs."""

    def __init__(self, profile: Profile, workload: Workload, trace: Trace | None) -> None:
        self.profile = profile
        self.workload = workload
        self.grids = service_grids(profile)
        lengths = next(iter(self.grids.values())).lengths
        self.demand = Demand(
            workload,
            lengths=lengths,
            trace_s=np.array(trace.arrival_s) if trace else None,
            trace_length=np.array(trace.sequence_length) if trace and trace.sequence_length else None,
        )
        self.simulator = Simulator(self.demand, self.grids)
        self.price = workload.hardware.price_usd_per_hour["local"]
        self.today = baseline_configuration(profile, workload.baseline or Baseline())
        self.variants = {variant.id: variant for variant in profile.variants}
        self.admissions = {variant.id: admission(variant, workload) for variant in profile.variants}
        self.asked_lengths = _asked_lengths(workload, trace)

    def admitted(self) -> set[str]:
        """The variants that may be advised, today's own among them whatever it is."""
        return {name for name, entry in self.admissions.items() if entry.admitted} | {self.today.variant}

    def find(self, variants: set[str]) -> tuple[Found, list[Configuration]]:
        """Return the cheapest candidates of these variants, and the space that was searched."""
        space = configurations(self.grids, self.workload, self.today, variants)
        slo = self.workload.slo
        found = search(self.simulator, space, quantile=slo.quantile, target_s=slo.latency_s, price_usd_per_hour=self.price)
        return found, space


def advise(profile: Profile, request: Request, trace: Trace | None) -> Advice:
    """Return the advice; raise InputError if the workload asks for what the profile does not hold."""
    workload = request.workload
    bench = Bench(profile, workload, trace)
    _check(bench)
    found, space = bench.find(bench.admitted())
    baseline = _baseline(bench)
    recommended, ties = _choose(bench, found, baseline)
    unproven = _unproven(bench, recommended)
    miss, binding_constraint = (None, None) if recommended is not None else _missed(bench, space, baseline, unproven)
    # Against a configuration that breaks its promise nothing can be saved: it would have to change anyway.
    saving = _saving(bench, baseline, recommended) if recommended is not None and baseline.meets_slo else None
    judged = _verdict(bench, request.rules, recommended, baseline, saving)
    outcome = "infeasible" if recommended is None else "keep" if recommended.candidate == baseline.candidate else "change"
    return Advice(
        schema_version=SCHEMA_VERSION,
        created=request.created,
        advisor_version=__version__,
        profile_sha256=request.profile_sha256,
        profile_created=profile.created,
        profile_path=request.profile_path,
        model=profile.model,
        machine=profile.machine,
        versions=profile.versions,
        workload=workload,
        mean_requests_per_s=bench.demand.requests_per_s,
        outcome=outcome,
        headline=_headline(bench, recommended, baseline, miss),
        recommended=recommended,
        baseline=baseline,
        saving=saving,
        ties=ties,
        frontier=_frontier(bench, space, recommended, baseline),
        nearest_miss=miss,
        binding_constraint=binding_constraint,
        unproven=unproven,
        verdict=judged,
        variants=variant_summaries(profile, bench.admissions),
        service_curves=service_curves(profile),
        noise_fraction=profile.noise_fraction,
        certificate=_certificate(bench, found),
        samples=sum(len(visit.latency_s) for entry in profile.measurements for visit in entry.visits),
        measuring_s=profile.measuring_s,
        risks=_risks(bench, recommended),
        exclusions=(*profile.exclusions, *_not_admitted(bench.admissions)),
        notes=(*profile.model.notes, *profile.notes, *_assumptions(bench)),
    )


def _check(bench: Bench) -> None:
    today = bench.today
    if today.variant not in bench.variants:
        raise InputError(f"baseline.variant: {today.variant!r} is not in the profile", hint=f"it holds: {', '.join(bench.variants)}")
    if (today.variant, today.intra_op_num_threads, today.instances) not in bench.grids:
        measured = sorted({(threads, instances) for _, threads, instances in bench.grids})
        said = ", ".join(f"{threads} x {instances}" for threads, instances in measured)
        raise InputError(
            f"baseline: {today.intra_op_num_threads} threads x {today.instances} instances was not measured on this machine",
            hint=f"intra_op_num_threads x instances that were: {said}",
        )
    has_length = any(entry.sequence_axis is not None for entry in bench.profile.model.inputs)
    if bench.workload.inputs is not None and bench.workload.inputs.sequence_length is not None and not has_length:
        raise InputError("inputs.sequence_length: the model has no sequence axis", hint="remove inputs.sequence_length from the workload file")


def _asked_lengths(workload: Workload, trace: Trace | None) -> tuple[int, ...]:
    if trace is not None and trace.sequence_length is not None:
        return (min(trace.sequence_length), max(trace.sequence_length))
    asked = workload.inputs.sequence_length if workload.inputs else None
    return () if asked is None else (asked.p50, asked.max or asked.p95 or asked.p50)


def _baseline(bench: Bench) -> Prediction:
    """Return what runs today, with the user's replicas or else as many as it takes to keep the target, or at least to keep up."""
    asked = bench.workload.baseline.replicas if bench.workload.baseline else None
    if asked is None:
        slo = bench.workload.slo
        found = search(
            bench.simulator, [bench.today], quantile=slo.quantile, target_s=slo.latency_s, price_usd_per_hour=bench.price
        )
        work, _ = bench.simulator.bounds(bench.today, slo.quantile)
        stable = max(1, math.ceil(bench.demand.requests_per_s * work / STABLE_UTILIZATION))
        asked = found.cheapest[0][1] if found.cheapest else stable
    return _predict(bench, bench.today, asked, today_replicas=asked, with_capacity=True)


def _choose(bench: Bench, found: Found, baseline: Prediction) -> tuple[Prediction | None, tuple[Prediction, ...]]:
    """Return the recommendation, and the candidates that cannot be told from it: as cheap, their intervals of latency overlapping.

    Of equally cheap candidates the one that changes least is taken; that is today's own if it keeps the target at that cost.
    """
    if not found.cheapest:
        return None, ()
    if baseline.meets_slo and baseline.cost_usd_per_hour.value <= (found.cost_usd_per_hour or 0.0):
        return baseline, ()
    replicas_today = baseline.candidate.replicas
    (configuration, replicas), *others = found.cheapest
    recommended = _predict(bench, configuration, replicas, today_replicas=replicas_today, with_capacity=True)
    as_cheap = [_predict(bench, other, count, today_replicas=replicas_today) for other, count in others]
    target = recommended.latency_slo_s
    ties = [entry for entry in as_cheap if entry.latency_slo_s.low <= target.high and target.low <= entry.latency_slo_s.high]
    return recommended, tuple(ties[:MAX_TIES_TOLD])


def _predict(
    bench: Bench, configuration: Configuration, replicas: int, *, today_replicas: int, with_capacity: bool = False
) -> Prediction:
    slo = bench.workload.slo
    wanted = (*QUANTILES, slo.quantile)
    ends = {end: bench.simulator.outcome(configuration, replicas, end, wanted) for end in ("low", "value", "high")}
    source = (
        f"simulation of {bench.demand.requests:,} requests with {len(ends['value'].utilization)} seeds over measured service times"
    )
    projected = is_projected(bench.simulator.grid(configuration), bench.asked_lengths)
    basis = "projected" if projected else "simulated"

    def latency(index: int) -> Estimate:
        return Estimate(
            value=float(np.median(ends["value"].quantiles_s[:, index])),
            low=float(ends["low"].quantiles_s[:, index].min()),
            high=float(ends["high"].quantiles_s[:, index].max()),
            basis=basis,
            source=source,
        )

    cost = replicas * bench.price
    per_million = cost / bench.demand.requests_per_s * SECONDS_PER_MILLION
    paid = f"{replicas} x {usd(bench.price)}/h as the workload file says"
    at_target = latency(3)
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
        capacity_requests_per_s=bench.simulator.capacity_requests_per_s(
            configuration, replicas, quantile=slo.quantile, target_s=slo.latency_s
        )
        if with_capacity
        else None,
        utilization_fraction=_utilization(ends, source),
        mean_batch_size=ends["value"].mean_batch_size,
        cost_usd_per_hour=Estimate(value=cost, low=cost, high=cost, basis="list-price", source=paid),
        cost_usd_per_million_requests=Estimate(
            value=per_million, low=per_million, high=per_million, basis="list-price", source=f"{paid}, at the mean rate"
        ),
        quality_drop=_quality_drop(variant),
        meets_slo=at_target.high <= slo.latency_s,
        changes=tuple(said),
    )


def _utilization(ends: dict[str, Outcome], source: str) -> Estimate:
    return Estimate(
        value=float(np.median(ends["value"].utilization)),
        low=float(ends["low"].utilization.min()),
        high=float(ends["high"].utilization.max()),
        basis="simulated",
        source=source,
    )


def _quality_drop(variant: Variant) -> Estimate | None:
    if variant.quality is not None:
        return variant.quality.drop
    if variant.lossless:
        return Estimate(value=0.0, low=0.0, high=0.0, basis="assumed", source="no weight or activation loses precision")
    return None


def _missed(
    bench: Bench, space: list[Configuration], baseline: Prediction, unproven: Prediction | None
) -> tuple[Prediction, str]:
    """Return the nearest miss, and what keeps it from the target."""
    nearest, replicas = _nearest_miss(bench, space)
    miss = _predict(bench, nearest, replicas, today_replicas=baseline.candidate.replicas, with_capacity=True)
    return miss, _binding_constraint(bench, nearest, miss, unproven)


def _nearest_miss(bench: Bench, space: list[Configuration]) -> tuple[Configuration, int]:
    """Return the admitted candidate that comes closest to the target when load plays no part: alone, without waiting for a batch."""
    slo = bench.workload.slo
    unhurried = [entry for entry in space if entry.max_queue_delay_s == 0.0]
    rated = []
    for entry in unhurried:
        work, _ = bench.simulator.bounds(entry, slo.quantile)
        replicas = max(1, math.ceil(bench.demand.requests_per_s * work / STABLE_UTILIZATION * 2))
        rated.append((bench.simulator.outcome(entry, replicas, "high", (slo.quantile,)).quantiles_s.max(), replicas, entry))
    _, replicas, best = min(rated, key=lambda entry: (entry[0], entry[1]))
    return best, replicas


def _binding_constraint(bench: Bench, nearest: Configuration, miss: Prediction, unproven: Prediction | None) -> str:
    slo = bench.workload.slo
    alone = bench.simulator.table(nearest, "value")[0, bench.demand.sure_class(slo.quantile)]
    if unproven is not None:
        return (
            f"quality: {unproven.candidate.variant} is predicted to keep the target, but its quality was not measured; "
            "give quality.metric, quality.max_drop and quality.data"
        )
    if alone > slo.latency_s:
        return f"service time: a single request takes {seconds(float(alone))} on an idle server, the target is {seconds(slo.latency_s)}"
    return (
        f"margin: an idle server answers in {seconds(float(alone))}, but with queueing, spread and the uncertainty of the measurement "
        f"p{100 * slo.quantile:g} can reach {seconds(miss.latency_slo_s.high)}, over the target of {seconds(slo.latency_s)}"
    )


def _unproven(bench: Bench, recommended: Prediction | None) -> Prediction | None:
    """Return the cheapest candidate among variants whose quality is unknown, if it beats the answer."""
    unknown = {name for name, entry in bench.admissions.items() if entry.is_unknown} - {bench.today.variant}
    found, _ = bench.find(unknown)
    if not found.cheapest or (recommended is not None and (found.cost_usd_per_hour or 0.0) >= recommended.cost_usd_per_hour.value):
        return None
    configuration, replicas = found.cheapest[0]
    return _predict(bench, configuration, replicas, today_replicas=replicas)


def _frontier(
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
            if floor > slo.latency_s or bench.demand.requests_per_s * work >= replicas:
                continue
            latency_s, _, _ = bench.simulator.latency_s(entry, replicas, "high", 0, requests=SCREENING_REQUESTS)
            drop = _quality_drop(bench.variants[entry.variant])
            entries.append((entry, replicas))
            points.append((replicas * bench.price, float(quantiles(latency_s, (slo.quantile,))[0]), max(0.0, drop.value) if drop else 0.0))
    if not points:
        return ()
    kept = [entry for entry, keep in zip(entries, pareto.non_dominated(np.array(points)), strict=True) if keep]
    today = baseline.candidate.replicas
    predicted = [_predict(bench, entry, replicas, today_replicas=today) for entry, replicas in kept]
    feasible = [entry for entry in (*predicted, recommended) if entry.meets_slo]
    if not feasible:
        return ()
    objectives = [
        (entry.cost_usd_per_hour.value, entry.latency_slo_s.value, max(0.0, entry.quality_drop.value) if entry.quality_drop else 0.0)
        for entry in feasible
    ]
    mask = pareto.non_dominated(np.array(objectives))
    front = {entry.candidate: entry for entry, keep in zip(feasible, mask, strict=True) if keep}
    return tuple(sorted(front.values(), key=_cost_and_latency)[:MAX_FRONTIER])


def _cost_and_latency(entry: Prediction) -> tuple[float, float]:
    return entry.cost_usd_per_hour.value, entry.latency_slo_s.value


def _saving(bench: Bench, baseline: Prediction, recommended: Prediction) -> Saving:
    per_hour = baseline.cost_usd_per_hour.value - recommended.cost_usd_per_hour.value
    source = "difference of the two costs per hour, at today's traffic"

    def money(value: float) -> Estimate:
        return Estimate(value=value, low=value, high=value, basis="list-price", source=source)

    return Saving(
        usd_per_hour=money(per_hour),
        usd_per_year=money(per_hour * HOURS_PER_YEAR),
        fraction=per_hour / baseline.cost_usd_per_hour.value,
    )


def _verdict(
    bench: Bench, rules: tuple[Rule, ...], recommended: Prediction | None, baseline: Prediction, saving: Saving | None
) -> Verdict:
    serving = (recommended or baseline).cost_usd_per_hour
    shares, totals = lifecycle.lifetime_shares(serving, bench.workload.lifecycle)
    facts = {
        **lifecycle.lifetime_facts(shares, totals, bench.workload.lifecycle),
        "requests_per_s": bench.demand.requests_per_s,
        "serving_usd_per_year": serving.value * HOURS_PER_YEAR,
        "serving_saving_fraction": saving.fraction if saving else None,
        "utilization_fraction": recommended.utilization_fraction.value if recommended else None,
        "replicas": float(recommended.candidate.replicas) if recommended else None,
        "slo_is_met": recommended is not None,
    }
    return verdict.classify(facts, rules, shares)


def _certificate(bench: Bench, found: Found) -> Certificate:
    kept_out = {name for name, entry in bench.admissions.items() if not entry.admitted} - {bench.today.variant}
    by_quality, _ = bench.find(kept_out)
    return Certificate(
        candidates=found.candidates + by_quality.candidates,
        cut_by_bound=found.cut_by_bound,
        cut_by_quality=by_quality.candidates,
        cut_by_cost=found.cut_by_cost,
        simulated=found.simulated,
        regret_usd_per_hour=0.0,
    )


def _headline(bench: Bench, recommended: Prediction | None, baseline: Prediction, miss: Prediction | None) -> str:
    slo = bench.workload.slo
    promise = f"p{100 * slo.quantile:g} within {seconds(slo.latency_s)}"
    if recommended is None:
        reached = f", the nearest reaches {seconds(miss.latency_slo_s.value)}" if miss else ""
        return f"Nothing that was measured keeps {promise} at {rate(bench.demand.requests_per_s)}{reached}"
    if recommended.candidate == baseline.candidate:
        return f"Change nothing: what runs today keeps {promise} and nothing cheaper does"
    cost, before = recommended.cost_usd_per_hour.value, baseline.cost_usd_per_hour.value
    what = f"Serve {recommended.candidate.variant}" if recommended.candidate.variant != baseline.candidate.variant else "Serve the model as it is"
    batch = f" in batches of up to {recommended.candidate.max_batch_size}" if recommended.candidate.max_batch_size > 1 else ""
    if not baseline.meets_slo:
        return f"{what}{batch}: {usd(cost)}/h keeps {promise}; today's configuration, at {usd(before)}/h, does not"
    return f"{what}{batch}: {usd(cost)}/h instead of {usd(before)}/h"


def _risks(bench: Bench, recommended: Prediction | None) -> tuple[str, ...]:
    said = []
    if recommended is not None:
        busy = recommended.utilization_fraction.value
        if busy > BUSY_FRACTION:
            said.append(
                f"servers are {percent(busy)} busy: beyond {percent(BUSY_FRACTION)} small errors in service time move p99 a lot; "
                "replay under real load before relying on it"
            )
        capacity = recommended.capacity_requests_per_s
        if capacity is not None:
            room = capacity.low / bench.demand.requests_per_s - 1
            said.append(f"the target holds up to {rate(capacity.low)}, {percent(max(room, 0.0))} above the stated traffic")
        if recommended.candidate.replicas == 1:
            said.append("a single replica: its failure is an outage")
        variant = bench.variants[recommended.candidate.variant]
        if variant.derived_from is not None and not variant.lossless and variant.quality is not None:
            drop = variant.quality.drop
            said.append(f"{variant.quality.metric} drops by {percent(drop.value)}, up to {percent(drop.high)}, on {variant.quality.items} items")
    if bench.profile.noise_fraction is not None and bench.profile.noise_fraction > 0.1:
        said.append(f"a noisy machine: the baseline differs from itself by {percent(bench.profile.noise_fraction)}")
    said.append("predicted from single calls and a simulated queue, not yet replayed under real load")
    return tuple(said)


def _not_admitted(admissions: dict[str, Admission]) -> tuple[Exclusion, ...]:
    return tuple(Exclusion(what=name, reason=entry.because) for name, entry in admissions.items() if not entry.admitted)


def _assumptions(bench: Bench) -> tuple[str, ...]:
    low, high = SERVER_FACTOR["low"], SERVER_FACTOR["high"]
    said = [
        f"assumed: a call takes {low:g} to {high:g} times as long inside a server as in the profile; latency intervals include this",
        "assumed: a replica is one machine like the profiled one, and the load balancer draws replicas at random",
    ]
    if bench.workload.inputs is not None and bench.workload.inputs.sequence_length is not None:
        lengths = bench.workload.inputs.sequence_length
        if lengths.max is None:
            said.append(f"assumed: requests longer than {lengths.p95 or lengths.p50} are cut to it; inputs.sequence_length.max says otherwise")
    if is_projected(next(iter(bench.grids.values())), bench.asked_lengths):
        said.append("some requests are longer or shorter than any length that was measured; latencies are projected")
    if bench.profile.model.family == "decoder":
        said.append("one request is one forward pass over its tokens; generation token by token is not modelled")
    return tuple(said)
