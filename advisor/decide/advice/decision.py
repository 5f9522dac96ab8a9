"""The recommendation against what runs today: the best of the sites that were searched, then weighed against its effort."""

from typing import NamedTuple

import msgspec

from advisor.decide.advice import hardware_ranking, outlook, recommendation
from advisor.decide.advice.hardware_ranking import Searched
from advisor.decide.advice.sites import Sites
from advisor.decide.lifetime.inputs import Market
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.schema.advice import Prediction
from advisor.schema.workload import OnlineWorkload


class Decision(NamedTuple):
    """The recommendation, its site and search space, and what it is compared with; `recommended` is None if nothing fits."""

    at: SiteUnderLoad
    space: list[Configuration]
    baseline: Prediction
    recommended: Prediction | None
    ties: tuple[Prediction, ...] = ()
    more_ties: bool = False  # there are more than these
    unproven: Prediction | None = None  # cheaper than the recommendation, but its quality was not measured
    miss: Prediction | None = None
    binding_constraint: str | None = None
    costs_today: tuple[float, float, float] = (0.0, 0.0, 0.0)  # an hour: low, value and high
    is_compared: bool = False  # with what runs today, which keeps its promises
    effort: str | None = None  # the headline, where the change takes more effort than it saves

    @property
    def is_kept(self) -> bool:
        """Whether the recommendation is what runs today."""
        return self.recommended is not None and self.recommended.candidate == self.baseline.candidate


def decide(sites: Sites, searched: list[Searched], baseline: Prediction) -> Decision:
    """Return the best of what was searched, compared with what runs today."""
    best, workload = searched[0], sites.home.workload
    is_within = hardware_ranking.is_eligible(best, workload)
    may_stay = sites.home in sites.allowed and ((best.site is sites.home and is_within) or not _is_about_energy(workload))
    nothing = msgspec.structs.replace(best.found, cheapest=(), cost_usd_per_hour=None)
    recommended, ties, more_ties = recommendation.recommend(
        best.site, best.found if is_within else nothing, baseline, sites.home if may_stay else None
    )
    unproven = recommendation.unproven(best.site, recommended, baseline)
    miss, binding_constraint = (
        (None, None)
        if recommended is not None
        else recommendation.nearest_miss(best.site, best.space, best.found if is_within else nothing, baseline, unproven)
    )
    decision = Decision(
        at=best.site,
        space=best.space,
        baseline=baseline,
        recommended=recommended,
        ties=ties,
        more_ties=more_ties,
        unproven=unproven,
        miss=miss,
        binding_constraint=binding_constraint,
    )
    # A configuration that misses its SLO would have to change anyway: nothing is saved against it.
    keeps = recommendation.keeps_promises(sites.home, baseline)
    is_compared = recommended is not None and not decision.is_kept and keeps
    costs = recommendation.costs_today(sites.home, baseline) if is_compared else (baseline.cost_usd_per_hour.value,) * 3
    return decision._replace(is_compared=is_compared, costs_today=costs)


def weigh_effort(decision: Decision, home: SiteUnderLoad, market: Market) -> Decision:
    """Return the decision to change nothing where the change takes more effort than it saves in the model's planned life."""
    if not decision.is_compared:
        return decision
    effort = outlook.not_worth_it(
        market, home.workload, home.demand.requests_per_s, decision.recommended, decision.baseline, decision.costs_today
    )
    if effort is None:
        return decision
    return decision._replace(
        at=home,
        space=home.space(home.admitted()),
        recommended=decision.baseline,
        ties=(),
        more_ties=False,
        effort=effort,
    )


def _is_about_energy(workload: OnlineWorkload) -> bool:
    asked = workload.energy
    return asked is not None and (asked.objective == "energy" or asked.max_joules_per_request is not None)
