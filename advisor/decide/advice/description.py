"""Decision -> Advice: what it saves, the verdict, the outlook, and everything else that the report shows."""

from typing import Literal

import msgspec

from advisor import __version__
from advisor.decide.advice import fleet, hardware_ranking, outlook, recommendation, variant_rows, wording
from advisor.decide.advice.decision import Decision
from advisor.decide.advice.hardware_ranking import Searched
from advisor.decide.advice.sites import Request, Sites
from advisor.decide.queue.search import MAX_REPLICAS
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.verdict.judgement import judge
from advisor.decide.verdict.rules import Rulebook
from advisor.schema.advice import Advice, Certificate, FleetPlan, Prediction, Saving
from advisor.schema.lifetime import Verdict
from advisor.schema.profile import Profile
from advisor.schema.record import SCHEMA_VERSION, Basis, Estimate
from advisor.units import HOURS_PER_YEAR


def describe(decision: Decision, sites: Sites, searched: list[Searched], profile: Profile, request: Request) -> Advice:
    """Return the advice that the decision leads to."""
    home, baseline, recommended = sites.home, decision.baseline, decision.recommended
    saving = _saving(decision)
    judged = _verdict(home, request, recommended, baseline, saving)
    beside, evens = outlook.of_advice(
        home, request.market, recommended, baseline, decision.costs_today, judged, created=request.created
    )
    unjudged = (*request.exclusions, *sites.exclusions)
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
        headline=decision.effort or wording.headline(decision, home),
        recommended=recommended,
        baseline=baseline,
        saving=saving,
        ties=decision.ties,
        more_ties=decision.more_ties,
        speed_ties=tuple(home.speed_ties.values()),
        frontier=_frontier(decision, searched),
        nearest_miss=decision.miss,
        binding_constraint=decision.binding_constraint,
        unproven=decision.unproven,
        verdict=msgspec.structs.replace(judged, break_evens=evens),
        variants=variant_rows.variant_rows(profile, sites.cleaned, request.workload),
        service_curves=variant_rows.service_curves(sites.cleaned),
        certificate=_certificate(searched, recommended),
        risks=wording.risks(decision.at, recommended),
        exclusions=(
            *wording.left_out(profile.sites),
            *wording.not_admitted([home, *sites.allowed]),
            *unjudged,
            *hardware_ranking.ruled_out(searched, request.workload),
        ),
        places=hardware_ranking.best_of_each(searched) if _is_ranked(sites, request) else (),
        notes=(
            *request.notes,
            *profile.model.notes,
            *wording.notes(profile.sites),
            *wording.assumptions(home),
            *hardware_ranking.assumptions(searched),
        ),
        outlook=beside,
        fleet=_fleet([entry.site for entry in searched]),
        confidence=request.confidence,
        questions=wording.questions(home),
    )


def _outcome(decision: Decision) -> Literal["change", "keep", "infeasible"]:
    return "infeasible" if decision.recommended is None else "keep" if decision.is_kept else "change"


def _is_ranked(sites: Sites, request: Request) -> bool:
    """Return whether more than the machine of today's configuration was asked for."""
    return bool(request.exclusions) or [place.hardware.id for place in request.places] != [sites.home.hardware]


def _frontier(decision: Decision, searched: list[Searched]) -> tuple[Prediction, ...]:
    front = recommendation.frontier(decision.at, decision.space, decision.recommended, decision.baseline)
    return hardware_ranking.merged_frontier(front, searched)


def _saving(decision: Decision) -> Saving | None:
    """Return what the recommendation saves; None where there is none, or what runs today breaks its promises."""
    if decision.recommended is None or not (decision.is_kept or decision.is_compared):
        return None
    cost = decision.recommended.cost_usd_per_hour.value
    low, value, high = (today - cost for today in decision.costs_today)
    is_known = low == high
    inferred = "difference of the costs; today's replicas are not given and assumed to be as many as keep the target"
    source = "difference of the two costs per hour, at today's traffic" if is_known else inferred

    def money(hours: float) -> Estimate:
        basis: Basis = "list-price" if is_known else "assumed"
        return Estimate(value=value * hours, low=low * hours, high=high * hours, basis=basis, source=source)

    return Saving(usd_per_hour=money(1.0), usd_per_year=money(HOURS_PER_YEAR), fraction=value / decision.costs_today[1])


def _verdict(
    home: SiteUnderLoad, request: Request, recommended: Prediction | None, baseline: Prediction, saving: Saving | None
) -> Verdict:
    shown = recommended or baseline
    life = outlook.life_served_by(shown, home.workload, request.market, home.demand.requests_per_s)
    beside = {
        "serving_saving_fraction": saving.fraction if saving else None,
        "utilization_fraction": recommended.utilization_fraction.value if recommended else None,
        "replicas": float(recommended.candidate.replicas) if recommended else None,
        "slo_is_met": recommended is not None,
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
