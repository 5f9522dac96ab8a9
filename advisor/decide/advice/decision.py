"""The recommendation against what runs today: the best of the sites that were searched, then weighed against its effort and its doubts."""

from typing import NamedTuple

import msgspec

from advisor.decide.advice import hardware_ranking, outlook, recommendation
from advisor.decide.advice.certainty import LOAD_TEST, certainty
from advisor.decide.advice.changes import Costs
from advisor.decide.advice.hardware_ranking import Searched
from advisor.decide.advice.sites import Request, Sites
from advisor.decide.lifetime.inputs import Market
from advisor.decide.queue.prediction import predict, stalls_bind
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration, of_candidate
from advisor.schema.advice import AtEnd, Certainty, Prediction
from advisor.schema.workload import OnlineWorkload


class Decision(NamedTuple):
    """The recommendation, its site and search space, and what it is compared with; `recommended` is None if nothing fits or is known."""

    at: SiteUnderLoad
    space: list[Configuration]
    baseline: Prediction
    recommended: Prediction | None
    may_stay: bool = True  # what runs today, where it runs
    ties: tuple[Prediction, ...] = ()
    more_ties: bool = False  # there are more than these
    unproven: Prediction | None = None  # cheaper than the recommendation, but its quality was not measured
    miss: Prediction | None = None
    binding_constraint: str | None = None
    is_compared: bool = False  # with what runs today, which keeps its promises
    effort: str | None = None  # the headline, where the change takes more effort than it saves
    likely: Prediction | None = None  # the most likely answer, where it is not known
    known: Certainty | None = None  # None: not looked at yet
    stalled: str | None = None  # what only stalls of the machine keep from the target, and how

    @property
    def is_kept(self) -> bool:
        """Whether the recommendation is what runs today: as it is, or in the same configuration where today's replicas are not known."""
        if self.recommended is None:
            return False
        today, advised = self.baseline.candidate, self.recommended.candidate
        same_number = today if self.today_is_given else msgspec.structs.replace(today, replicas=advised.replicas)
        return advised == same_number

    @property
    def today_is_given(self) -> bool:
        """Whether the user said how many replicas run today: only then is there a cost today."""
        return recommendation.given_replicas(self.at) is not None

    @property
    def is_open(self) -> bool:
        """Whether the answer is not known well enough."""
        return self.known is not None and not self.known.is_settled

    @property
    def costs_today(self) -> Costs:
        """What today's configuration costs an hour, low, value and high: what it would need, where today's replicas are not known."""
        cost = self.baseline.cost_usd_per_hour
        return cost.low, cost.value, cost.high


def decide(sites: Sites, searched: list[Searched], baseline: Prediction) -> Decision:
    """Return the best of what was searched, compared with what runs today."""
    best, workload = searched[0], sites.home.workload
    is_within = hardware_ranking.is_eligible(best, workload)
    may_stay = sites.home in sites.allowed and ((best.site is sites.home and is_within) or not _is_about_energy(workload))
    nothing = msgspec.structs.replace(best.found, cheapest=(), cost_usd_per_hour=None)
    recommended, ties, more_ties = recommendation.recommend(
        best.site, best.found if is_within else nothing, baseline, sites.home if may_stay else None
    )
    unproven = recommendation.unproven(best.site, recommended)
    miss, binding_constraint = (
        (None, None)
        if recommended is not None
        else recommendation.nearest_miss(best.site, best.space, best.found if is_within else nothing, unproven)
    )
    decision = Decision(
        at=best.site,
        space=best.space,
        baseline=baseline,
        recommended=recommended,
        may_stay=may_stay,
        ties=ties,
        more_ties=more_ties,
        unproven=unproven,
        miss=miss,
        binding_constraint=binding_constraint,
    )
    # A configuration that misses its SLO would have to change anyway: nothing is saved against it.
    keeps = recommendation.keeps_promises(sites.home, baseline)
    return decision._replace(is_compared=recommended is not None and not decision.is_kept and keeps)


def weigh_effort(decision: Decision, home: SiteUnderLoad, market: Market, *, max_uncertainty: float) -> Decision:
    """Return the decision to change nothing where the change takes more effort than it saves in the model's planned life.

    A change of one thing, such as fewer replicas of today's configuration, may pay where all of it does not. Effort is not weighed against
    a saving that nobody knows: where today's replicas are not given, and what today's configuration needs is not known well enough.
    """
    if not decision.is_compared or not decision.may_stay or not _is_cost_today_known(decision, max_uncertainty):
        return decision
    effort = _effort(decision, home, market, decision.recommended)
    if effort is None:
        return decision
    stays = decision._replace(at=home, space=home.space(home.admitted()), ties=(), more_ties=False)
    single = outlook.best_single_change(home, market, decision.baseline)
    if single is not None:
        today = recommendation.given_replicas(home)
        changed = predict(home, of_candidate(single), single.replicas, today_replicas=today, with_capacity=True)
        return stays._replace(recommended=changed)
    return stays._replace(recommended=decision.baseline, effort=effort)


def _is_cost_today_known(decision: Decision, max_uncertainty: float) -> bool:
    cost = decision.baseline.cost_usd_per_hour
    return decision.today_is_given or cost.high <= max_uncertainty * cost.low


def _effort(decision: Decision, home: SiteUnderLoad, market: Market, change: Prediction | None) -> str | None:
    return outlook.not_worth_it(
        market,
        home.workload,
        home.demand.requests_per_s,
        change,
        decision.baseline,
        decision.costs_today,
        is_given=decision.today_is_given,
    )


def weigh_certainty(decision: Decision, sites: Sites, searched: list[Searched], request: Request) -> Decision:
    """Return the decision with how far it is known; nothing is recommended where that is not far enough.

    Where not even the quick end of the service times would make a change worth its effort, the answer is known whatever they are.
    """
    workload = sites.home.workload
    sure, stalled = decision.recommended, _stalled(decision)
    if stalled is not None:
        sure = decision.miss
    elif decision.effort is not None and hardware_ranking.is_eligible(searched[0], workload):
        sure = searched[0].best
    known = certainty(sites, searched, sure, workload, max_uncertainty=request.max_uncertainty)
    if not known.is_settled and known.quick is not None and _is_moot(decision, sites.home, request.market, known.quick):
        known = msgspec.structs.replace(known, is_settled=True, because=(), settled_by=())
    if stalled is not None:
        known = _beside_stalls(known, decision, stalled)
    decision = decision._replace(known=known)
    if known.is_settled:
        return decision
    decision = decision._replace(stalled=stalled)
    likely = _predicted(known.likely, decision, sites)
    at = next((site for site in sites.allowed if likely and site.hardware == likely.candidate.hardware), decision.at)
    return decision._replace(
        at=at,
        recommended=None,
        ties=(),
        more_ties=False,
        is_compared=False,
        effort=None,
        likely=likely,
        binding_constraint=stalled,
    )


def _stalled(decision: Decision) -> str | None:
    """Return what binds where the nearest miss keeps the target as long as no core stands still, and misses it with stalls."""
    miss = decision.miss
    if decision.recommended is not None or miss is None or miss.meets_slo or miss.latency_without_stalls_s is None:
        return None
    keeps = miss.latency_without_stalls_s.high <= decision.at.workload.slo.latency_s
    return decision.binding_constraint if keeps else None


def _beside_stalls(known: Certainty, decision: Decision, stalled: str) -> Certainty:
    """Return how far the answer is known where stalls decide it: that nothing helps is known where they alone break the target."""
    assert decision.miss is not None
    if stalls_bind(decision.at, of_candidate(decision.miss.candidate)):
        return msgspec.structs.replace(known, is_settled=True, because=(), settled_by=())
    return msgspec.structs.replace(
        known,
        is_settled=False,
        because=(stalled, *known.because),
        settled_by=(LOAD_TEST, *(way for way in known.settled_by if way != LOAD_TEST)),
    )


def _is_moot(decision: Decision, home: SiteUnderLoad, market: Market, quick: AtEnd) -> bool:
    if decision.effort is None or decision.recommended is None:
        return False
    cost = msgspec.structs.replace(
        decision.recommended.cost_usd_per_hour, value=quick.usd_per_hour, low=quick.usd_per_hour, high=quick.usd_per_hour
    )
    change = msgspec.structs.replace(decision.recommended, candidate=quick.candidate, cost_usd_per_hour=cost)
    return _effort(decision, home, market, change) is not None


def _predicted(likely: AtEnd | None, decision: Decision, sites: Sites) -> Prediction | None:
    """Return what is expected of the most likely answer."""
    if likely is None:
        return None
    if decision.recommended is not None and decision.recommended.candidate == likely.candidate:
        return decision.recommended
    candidate = likely.candidate
    site = next(site for site in sites.allowed if site.hardware == candidate.hardware)
    today = recommendation.given_replicas(site)
    return predict(site, of_candidate(candidate), candidate.replicas, today_replicas=today, with_capacity=True)


def _is_about_energy(workload: OnlineWorkload) -> bool:
    asked = workload.energy
    return asked is not None and (asked.objective == "energy" or asked.max_joules_per_request is not None)
