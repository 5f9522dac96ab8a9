"""Decision -> Advice: what it saves, the verdict, the outlook, and everything else that the report shows."""

from functools import partial
from typing import Literal

import msgspec

from advisor import __version__
from advisor.decide.advice import fleet, hardware_ranking, outlook, recommendation, variant_rows, wording
from advisor.decide.advice.decision import Decision
from advisor.decide.advice.hardware_ranking import Searched
from advisor.decide.advice.sites import Request, Sites
from advisor.decide.distillation.students import Asked, Students, students_of
from advisor.decide.lifetime.inputs import Life
from advisor.decide.queue.prediction import load_curve
from advisor.decide.queue.search import MAX_REPLICAS
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.service.energy import scaled
from advisor.decide.verdict.judgement import judge
from advisor.decide.verdict.rules import Rulebook
from advisor.schema.advice import Advice, Certificate, FleetPlan, LoadLatency, OneReplica, Prediction, Saving
from advisor.schema.lifetime import Verdict
from advisor.schema.profile import Profile
from advisor.schema.record import SCHEMA_VERSION, Estimate, Exclusion
from advisor.units import HOURS_PER_YEAR


def describe(
    decision: Decision, sites: Sites, searched: list[Searched], profile: Profile, request: Request, *, with_charts: bool = True
) -> Advice:
    """Return the advice that the decision leads to, what charts alone are made of left out where nobody will look at it."""
    home, baseline, recommended = sites.home, decision.baseline, decision.recommended
    saving, life = _saving(decision), _life(home, request, decision)
    judged = _verdict(home, request, life, decision, saving)
    students = _students(decision, sites, profile, request, life)
    beside, evens = outlook.of_advice(
        home,
        request.market,
        life,
        recommended,
        baseline,
        judged,
        is_given=decision.today_is_given,
        is_kept=decision.is_kept,
        students=students,
        created=request.created,
    )
    return Advice(
        schema_version=SCHEMA_VERSION,
        created=request.created,
        advisor_version=__version__,
        profile_sha256=request.profile_sha256,
        profile_path=request.profile_path,
        model=profile.model,
        sites=tuple(variant_rows.site_facts(site) for site in profile.sites),
        workload=request.workload,
        mean_requests_per_s=home.demand.requests_per_s,
        outcome=_outcome(decision),
        headline=wording.beside_levers(decision.effort or wording.headline(decision, home), decision, beside),
        recommended=recommended,
        baseline=baseline,
        saving=saving,
        ties=decision.ties,
        more_ties=decision.more_ties,
        speed_ties=tuple(home.speed_ties.values()),
        frontier=_frontier(decision, searched) if with_charts else (),
        nearest_miss=decision.miss,
        binding_constraint=decision.binding_constraint,
        unproven=decision.unproven,
        verdict=msgspec.structs.replace(judged, break_evens=evens),
        variants=variant_rows.variant_rows(profile, sites.cleaned, request.workload),
        service_curves=variant_rows.service_curves(sites.cleaned),
        certificate=_certificate(searched, recommended),
        risks=(*wording.of_busy_machines(profile.sites), *wording.risks(decision.at, recommended or decision.likely)),
        exclusions=_exclusions(sites, searched, profile, request),
        load_curve=_load_curve(decision, sites) if with_charts else (),
        places=hardware_ranking.best_of_each(searched) if _is_ranked(sites, request) else (),
        notes=_notes(home, searched, profile, request),
        outlook=beside,
        fleet=_fleet([entry.site for entry in searched]),
        likely=decision.likely,
        certainty=decision.known,
        one_replica=_one_replica(decision),
        confidence=request.confidence,
        questions=wording.questions(home),
        students=students.rows,
    )


def _load_curve(decision: Decision, sites: Sites) -> tuple[LoadLatency, ...]:
    shown = decision.recommended or decision.likely or decision.miss or decision.baseline
    return load_curve(_site_of(shown, decision, sites), shown)


def _notes(home: SiteUnderLoad, searched: list[Searched], profile: Profile, request: Request) -> tuple[str, ...]:
    return (
        *request.notes,
        *profile.model.notes,
        *wording.notes(profile.sites),
        *wording.assumptions(home),
        *hardware_ranking.assumptions(searched),
    )


def _exclusions(sites: Sites, searched: list[Searched], profile: Profile, request: Request) -> tuple[Exclusion, ...]:
    return (
        *wording.left_out(profile.sites),
        *wording.not_admitted([sites.home, *sites.allowed]),
        *request.exclusions,
        *sites.exclusions,
        *hardware_ranking.ruled_out(searched, request.workload),
    )


def _outcome(decision: Decision) -> Literal["change", "keep", "infeasible", "inconclusive"]:
    if decision.is_open:
        return "inconclusive"
    return "infeasible" if decision.recommended is None else "keep" if decision.is_kept else "change"


def _one_replica(decision: Decision) -> OneReplica | None:
    """Return what one replica of the recommended and of today's configuration carry; None where today's cost says it better."""
    shown = decision.recommended or decision.likely
    if decision.today_is_given or shown is None:
        return None
    ours, theirs = (_of_one(prediction) for prediction in (shown, decision.baseline))
    if ours is None or theirs is None or theirs.low <= 0:
        return None
    ratio = Estimate(
        value=ours.value / theirs.value,
        low=ours.low / theirs.high,
        high=ours.high / theirs.low,
        basis="simulated",
        source="one capacity over the other",
    )
    return OneReplica(recommended_requests_per_s=ours, baseline_requests_per_s=theirs, ratio=ratio)


def _of_one(prediction: Prediction) -> Estimate | None:
    capacity, replicas = prediction.capacity_requests_per_s, prediction.candidate.replicas
    if capacity is None:
        return None
    return scaled(capacity, 1 / replicas, f"{capacity.source}; of one replica")


def _is_ranked(sites: Sites, request: Request) -> bool:
    """Return whether more than the machine of today's configuration was asked for."""
    return bool(request.exclusions) or [place.hardware.id for place in request.places] != [sites.home.hardware]


def _site_of(shown: Prediction, decision: Decision, sites: Sites) -> SiteUnderLoad:
    """Return where the configuration that the report is about runs."""
    return next((site for site in sites.allowed if site.hardware == shown.candidate.hardware), decision.at)


def _frontier(decision: Decision, searched: list[Searched]) -> tuple[Prediction, ...]:
    front = recommendation.frontier(decision.at, decision.space, decision.recommended)
    return hardware_ranking.merged_frontier(front, searched)


def _saving(decision: Decision) -> Saving | None:
    """Return what the recommendation saves; None where there is none, today's cost is not known, or what runs today breaks its promises."""
    if decision.recommended is None or not decision.today_is_given or not (decision.is_kept or decision.is_compared):
        return None
    before, after = decision.baseline.cost_usd_per_hour, decision.recommended.cost_usd_per_hour
    low, value, high = before.low - after.high, before.value - after.value, before.high - after.low

    def money(hours: float) -> Estimate:
        source = "difference of the two costs per hour, at today's traffic"
        return Estimate(value=value * hours, low=low * hours, high=high * hours, basis=after.basis, source=source)

    return Saving(usd_per_hour=money(1.0), usd_per_year=money(HOURS_PER_YEAR), fraction=value / before.value)


def _students(decision: Decision, sites: Sites, profile: Profile, request: Request, life: Life) -> Students:
    """Return the students of the machine at home beside what is shown, on which `life` stands."""
    home = sites.home
    if all(variant.student is None for variant in home.variants.values()):
        return Students()
    asked = Asked(
        site=home,
        measured=next(site for site in profile.sites if site.hardware.id == home.hardware),
        sequence_length=variant_rows.usual_length(profile),
        serve=partial(hardware_ranking.cheapest_of, sites.allowed),
        shown=_shown(decision),
        life=life,
        market=request.market,
        places=(home.place, *request.places),
        pairs=request.distilled,
        created=request.created,
    )
    return students_of(asked)


def _shown(decision: Decision) -> Prediction:
    return decision.recommended or decision.likely or decision.baseline


def _life(home: SiteUnderLoad, request: Request, decision: Decision) -> Life:
    """Return the life of the model as it is served from now on: its cost of serving is the one that verdict and levers stand on."""
    return outlook.life_served_by(_shown(decision), home.workload, request.market, home.demand.requests_per_s)


def _verdict(home: SiteUnderLoad, request: Request, life: Life, decision: Decision, saving: Saving | None) -> Verdict:
    recommended = decision.recommended
    beside = {
        "serving_saving_fraction": saving.fraction if saving else None,
        "utilization_fraction": recommended.utilization_fraction.value if recommended else None,
        "replicas": float(recommended.candidate.replicas) if recommended else None,
        "slo_is_met": None if decision.is_open else recommended is not None,
    }
    judged = judge(life, Rulebook(request.rules), beside)
    return judged if home.workload.lifecycle is not None else msgspec.structs.replace(judged, lines=(), total_usd=None)


def _certificate(searched: list[Searched], recommended: Prediction | None) -> Certificate:
    # What runs today may use more replicas than are searched; numbers in between were not examined.
    unseen = recommended.candidate.replicas - MAX_REPLICAS - 1 if recommended is not None else 0
    by_tie = by_quality = 0
    for entry in searched:
        site = entry.site
        tied = set(site.speed_ties) - site.admitted()
        by_tie += site.count(tied)
        by_quality += site.count(set(site.admissions) - site.admitted() - tied)
    every = [entry.found for entry in searched]
    return Certificate(
        candidates=sum(found.candidates for found in every) + by_tie + by_quality,
        cut_by_bound=sum(found.cut_by_bound for found in every),
        cut_by_quality=by_quality,
        cut_by_tie=by_tie,
        cut_by_cost=sum(found.cut_by_cost for found in every),
        simulated=sum(found.simulated for found in every),
        # Whatever place the cheapest unseen candidate is at, it saves no more than was left open there.
        regret_usd_per_hour=max(found.regret_usd_per_hour or 0.0 for found in every) + max(unseen, 0) * searched[0].site.price,
    )


def _fleet(sites: list[SiteUnderLoad]) -> FleetPlan | None:
    workload = sites[0].workload
    if workload.fleet is None:
        return None
    kinds = []
    for site in sites:
        load_s = [site.variants[name].load_s for name in site.admitted()]
        known_s = [seconds_ for seconds_ in load_s if seconds_ is not None]
        kinds.append(fleet.Kind(site.hardware, site.at, site.space(site.admitted()), site.price, max(known_s, default=None)))
    return fleet.plan(kinds, workload.traffic, workload.slo, workload.fleet)
