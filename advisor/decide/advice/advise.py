"""Profile + workload + rules -> Advice. Pure: the same records give the same advice, to the byte."""

from collections.abc import Callable
from typing import Literal

import msgspec

from advisor import __version__
from advisor.decide.advice import fleet, hardware_ranking, outlook, recommendation, wording
from advisor.decide.advice.variant_rows import service_curves, variant_summaries
from advisor.decide.lifetime.inputs import Market, life_of, with_figures
from advisor.decide.queue.prediction import USUAL_CONFIDENCE
from advisor.decide.queue.search import MAX_REPLICAS
from advisor.decide.queue.site import Bench
from advisor.decide.verdict.judgement import judge
from advisor.decide.verdict.rules import Rulebook
from advisor.errors import InputError
from advisor.schema.advice import Advice, Certificate, FleetPlan, Place, Prediction, Saving
from advisor.schema.catalog import CarbonIntensity, LifetimeModel, PublicMeasurements, Rule
from advisor.schema.lifetime import Verdict
from advisor.schema.profile import Profile
from advisor.schema.record import SCHEMA_VERSION, Basis, Estimate, Exclusion, Record
from advisor.schema.workload import Lifecycle, OnlineWorkload, Trace
from advisor.units import HOURS_PER_YEAR

NOTHING_KNOWN = Market(model=LifetimeModel(constants={}, levers=()))


class Request(Record, frozen=True, kw_only=True):
    """What is asked, beside the profile: `profile_path` and the dates are told in the report."""

    workload: OnlineWorkload
    rules: tuple[Rule, ...]
    profile_sha256: str
    profile_path: str | None
    created: str
    market: Market = NOTHING_KNOWN  # of prices and effort
    places: tuple[Place, ...] = ()  # other hardware than the profiled machine, with what it costs
    public: PublicMeasurements | None = None  # what projections to it stand on
    carbon: CarbonIntensity | None = None  # of the grid of the profiled machine
    exclusions: tuple[Exclusion, ...] = ()  # hardware that was asked for, but cannot be judged
    confidence: float = USUAL_CONFIDENCE  # with which the recommendation has to keep the target, at least the usual one


def advise(profile: Profile, request: Request, trace: Trace | None, *, is_over: Callable[[], bool] | None = None) -> Advice:
    """Return the advice; raise InputError if the workload asks for what the profile does not hold.

    A search that `is_over` stops gives the best so far, and the certificate says how much it may cost too much.
    """
    workload = request.workload
    bench = Bench(profile, workload, trace, carbon=request.carbon, confidence=request.confidence, is_over=is_over)
    _check(bench)
    baseline = recommendation.baseline_today(bench)
    elsewhere = [
        Bench(profile, workload, trace, place, request.public, confidence=request.confidence, is_over=is_over)
        for place in request.places
    ]
    benches = [*([bench] if "local" in workload.hardware.allowed else []), *(each for each in elsewhere if each.grids)]
    searched = hardware_ranking.ordered(
        [done for each in benches if (done := hardware_ranking.search_place(each, baseline))], workload
    )
    unjudged = (*request.exclusions, *(entry for each in elsewhere for entry in each.exclusions))
    if not searched:
        reasons = "; ".join(f"{entry.what}: {entry.reason}" for entry in unjudged)
        raise InputError(f"hardware.allowed: none of it can be judged ({reasons})", hint="allow `local` as well")
    if any(entry.found.regret_usd_per_hour is None for entry in searched):
        raise InputError(
            "the time to search was over before any configuration was found to keep the target",
            hint="give more with --time-limit, or leave it away",
        )
    at, found, space, _ = searched[0]
    is_within = hardware_ranking.is_eligible(searched[0], workload)
    may_stay = (at is bench and is_within) or not _is_about_energy(workload)
    home = bench if may_stay and "local" in workload.hardware.allowed else None
    nothing = msgspec.structs.replace(found, cheapest=(), cost_usd_per_hour=None)
    recommended, ties, more_ties = recommendation.choose(at, found if is_within else nothing, baseline, home)
    unproven = recommendation.unproven(at, recommended, baseline)
    miss, binding_constraint = (
        (None, None) if recommended is not None else recommendation.nearest_miss(at, space, baseline, unproven)
    )
    # Against a configuration that breaks its promise nothing can be saved: it would have to change anyway.
    is_kept = recommended is not None and recommended.candidate == baseline.candidate
    is_compared = recommended is not None and not is_kept and recommendation.keeps_promises(bench, baseline)
    costs_today = _costs_today(bench, baseline) if is_compared else (baseline.cost_usd_per_hour.value,) * 3
    rate = bench.demand.requests_per_s
    effort = outlook.not_worth_it(request.market, workload, rate, recommended, baseline, costs_today) if is_compared else None
    if effort is not None:
        at, space = bench, bench.find(bench.admitted())[1]
        recommended, ties, more_ties, is_kept = baseline, (), False, True
    saving = _saving(costs_today, recommended) if recommended is not None and (is_kept or is_compared) else None
    judged = _verdict(bench, request, recommended, baseline, saving)
    beside, evens = outlook.of_advice(bench, request.market, recommended, baseline, costs_today, judged, created=request.created)
    outcome: Literal["change", "keep", "infeasible"] = "infeasible" if recommended is None else "keep" if is_kept else "change"
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
        headline=effort or wording.headline(at, bench, recommended, baseline, miss, costs_today),
        recommended=recommended,
        baseline=baseline,
        saving=saving,
        ties=ties,
        more_ties=more_ties,
        speed_ties=tuple(bench.speed_ties.values()),
        frontier=hardware_ranking.merged_frontier(recommendation.frontier(at, space, recommended, baseline), searched),
        nearest_miss=miss,
        binding_constraint=binding_constraint,
        unproven=unproven,
        verdict=msgspec.structs.replace(judged, break_evens=evens),
        variants=variant_summaries(profile, bench.admissions),
        service_curves=service_curves(profile),
        noise_fraction=profile.noise_fraction,
        certificate=_certificate(searched, recommended),
        samples=sum(len(visit.latency_s) for entry in profile.measurements for visit in entry.visits),
        measuring_s=profile.measuring_s,
        risks=wording.risks(at, recommended),
        exclusions=(
            *profile.exclusions,
            *wording.not_admitted(bench.admissions),
            *unjudged,
            *hardware_ranking.ruled_out(searched, workload),
        ),
        places=hardware_ranking.answers(searched) if workload.hardware.allowed != ("local",) else (),
        notes=(*profile.model.notes, *profile.notes, *wording.assumptions(bench), *hardware_ranking.assumptions(searched)),
        outlook=beside,
        fleet=_fleet([entry.bench for entry in searched]),
    )


def _is_about_energy(workload: OnlineWorkload) -> bool:
    asked = workload.energy
    return asked is not None and (asked.objective == "energy" or asked.max_joules_per_request is not None)


def _check(bench: Bench) -> None:
    today = bench.today
    if today.variant not in bench.variants:
        raise InputError(
            f"baseline.variant: {today.variant!r} is not in the profile", hint=f"it holds: {', '.join(bench.variants)}"
        )
    if (today.variant, today.intra_op_num_threads, today.instances) not in bench.grids:
        measured = sorted({(threads, instances) for name, threads, instances in bench.grids if name == today.variant})
        said = ", ".join(f"{threads} x {instances}" for threads, instances in measured)
        raise InputError(
            f"baseline.intra_op_num_threads x baseline.instances: {today.intra_op_num_threads} x {today.instances} "
            f"was not measured of {today.variant}",
            hint=f"settings that were: {said}",
        )
    batching, asked_of_profile = bench.profile.model.batching, bench.profile.settings.max_batch_size
    if today.max_batch_size > 1 and not batching.possible:
        raise InputError(
            f"baseline.max_batch_size: the model takes one item a call ({batching.reason})", hint="write max_batch_size: 1"
        )
    if today.max_batch_size > asked_of_profile:
        raise InputError(
            f"baseline.max_batch_size: {today.max_batch_size} is more than the {asked_of_profile} that the profile went up to",
            hint=f"measure again with: advisor profile --max-batch-size {today.max_batch_size}",
        )
    _check_lengths(bench)


def _check_lengths(bench: Bench) -> None:
    has_length = any(entry.sequence_axis is not None for entry in bench.profile.model.inputs)
    if bench.workload.inputs is not None and bench.workload.inputs.sequence_length is not None and not has_length:
        raise InputError(
            "inputs.sequence_length: the model has no sequence axis", hint="remove inputs.sequence_length from the workload file"
        )
    if len(bench.measured_lengths) > 1 and not bench.asked_lengths:
        measured = ", ".join(map(str, bench.measured_lengths))
        raise InputError(
            f"inputs.sequence_length: missing, and the profile was measured at lengths {measured}",
            hint="say how long requests are, for example: inputs: {sequence_length: {p50: 32, p95: 128}}",
        )


def _costs_today(bench: Bench, baseline: Prediction) -> tuple[float, float, float]:
    """Return what today's configuration costs per hour: low, value and high; one figure if the user has said how many replicas run.

    Otherwise as many are inferred as keep the target at each end of the service times, so that no saving comes out of uncertainty.
    """
    asked, replicas = bench.workload.baseline, baseline.candidate.replicas
    if asked is not None and asked.replicas is not None:
        low, value = replicas, replicas
    else:
        low, value = (recommendation.fewest_replicas_today(bench, end, replicas) for end in ("low", "value"))
    return low * bench.price, value * bench.price, replicas * bench.price


def _saving(costs_today: tuple[float, float, float], recommended: Prediction) -> Saving:
    low, value, high = (cost - recommended.cost_usd_per_hour.value for cost in costs_today)
    is_known = low == high
    inferred = "difference of the costs; today's replicas are not said and taken to be as many as keep the target"
    source = "difference of the two costs per hour, at today's traffic" if is_known else inferred

    def money(hours: float) -> Estimate:
        basis: Basis = "list-price" if is_known else "assumed"
        return Estimate(value=value * hours, low=low * hours, high=high * hours, basis=basis, source=source)

    return Saving(usd_per_hour=money(1.0), usd_per_year=money(HOURS_PER_YEAR), fraction=value / costs_today[1])


def _verdict(
    bench: Bench, request: Request, recommended: Prediction | None, baseline: Prediction, saving: Saving | None
) -> Verdict:
    shown = recommended or baseline
    serving, capacity, rate_now = shown.cost_usd_per_hour, shown.capacity_requests_per_s, bench.demand.requests_per_s
    # What misses its target at any load carries no more than it does today.
    carried = capacity.low if capacity is not None and capacity.low > rate_now else rate_now
    planned = bench.workload.lifecycle or Lifecycle()
    life = with_figures(
        life_of(rate_now, planned, request.market, measured=serving),
        "the simulated configuration, at today's traffic",
        measured_at_requests_per_s=rate_now,
        replica_usd_per_hour=bench.price,
        replica_requests_per_s=carried / shown.candidate.replicas,
    )
    beside = {
        "serving_saving_fraction": saving.fraction if saving else None,
        "utilization_fraction": recommended.utilization_fraction.value if recommended else None,
        "replicas": float(recommended.candidate.replicas) if recommended else None,
        "slo_is_met": recommended is not None,
    }
    judged = judge(life, Rulebook(request.rules), beside)
    return judged if bench.workload.lifecycle is not None else msgspec.structs.replace(judged, lines=(), total_usd=None)


def _certificate(searched: list[hardware_ranking.Searched], recommended: Prediction | None) -> Certificate:
    # What runs today may be on more replicas than are searched; what lies between was not looked at.
    unseen = recommended.candidate.replicas - MAX_REPLICAS - 1 if recommended is not None else 0
    by_tie = by_quality = 0
    for entry in searched:
        bench = entry.bench
        tied = set(bench.speed_ties) - bench.admitted()
        by_tie += bench.find(tied)[0].candidates
        by_quality += bench.find(set(bench.admissions) - bench.admitted() - tied)[0].candidates
    every = [entry.found for entry in searched]
    return Certificate(
        candidates=sum(found.candidates for found in every) + by_tie + by_quality,
        cut_by_bound=sum(found.cut_by_bound for found in every),
        cut_by_quality=by_quality,
        cut_by_tie=by_tie,
        cut_by_cost=sum(found.cut_by_cost for found in every),
        simulated=sum(found.simulated for found in every),
        # Whatever place the cheapest unseen candidate is at, it saves no more than was left open there.
        regret_usd_per_hour=max(found.regret_usd_per_hour or 0.0 for found in every) + max(unseen, 0) * searched[0].bench.price,
    )


def _fleet(benches: list[Bench]) -> FleetPlan | None:
    workload = benches[0].workload
    if workload.fleet is None:
        return None
    kinds = []
    for bench in benches:
        _, space = bench.find(bench.admitted())
        load_s = [bench.variants[name].load_s for name in bench.admitted()]
        known_s = [seconds_ for seconds_ in load_s if seconds_ is not None]
        kinds.append(fleet.Kind(bench.hardware, bench.at, space, bench.price, max(known_s, default=None)))
    return fleet.plan(kinds, workload.traffic, workload.slo, workload.fleet)
