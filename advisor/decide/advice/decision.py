"""What is recommended against what runs today: chosen among the sites that were searched, then weighed against its effort."""

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
    """The answer, where it was found and in which space, and what it is compared with; `recommended` is None where nothing fits."""

    at: SiteUnderLoad
    space: list[Configuration]
    baseline: Prediction
    recommended: Prediction | None
    ties: tuple[Prediction, ...] = ()
    more_ties: bool = False  # there are others than those told
    unproven: Prediction | None = None  # cheaper than the answer, but its quality was not measured
    miss: Prediction | None = None
    binding_constraint: str | None = None
    costs_today: tuple[float, float, float] = (0.0, 0.0, 0.0)  # an hour: low, value and high
    is_compared: bool = False  # with what runs today, which keeps its promises
    effort: str | None = None  # the headline, where the change takes more effort than it saves

    @property
    def is_kept(self) -> bool:
        """Whether what runs today is the answer."""
        return self.recommended is not None and self.recommended.candidate == self.baseline.candidate


def choose(sites: Sites, searched: list[Searched], baseline: Prediction) -> Decision:
    """Return the best of what was searched, beside what runs today."""
    best, workload = searched[0], sites.home.workload
    is_within = hardware_ranking.is_eligible(best, workload)
    may_stay = sites.home in sites.offered and ((best.site is sites.home and is_within) or not _is_about_energy(workload))
    nothing = msgspec.structs.replace(best.found, cheapest=(), cost_usd_per_hour=None)
    recommended, ties, more_ties = recommendation.choose(
        best.site, best.found if is_within else nothing, baseline, sites.home if may_stay else None
    )
    unproven = recommendation.unproven(best.site, recommended, baseline)
    miss, binding_constraint = (
        (None, None) if recommended is not None else recommendation.nearest_miss(best.site, best.space, baseline, unproven)
    )
    chosen = Decision(
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
    # Against a configuration that breaks its promise nothing can be saved: it would have to change anyway.
    keeps = recommendation.keeps_promises(sites.home, baseline)
    is_compared = recommended is not None and not chosen.is_kept and keeps
    costs = recommendation.costs_today(sites.home, baseline) if is_compared else (baseline.cost_usd_per_hour.value,) * 3
    return chosen._replace(is_compared=is_compared, costs_today=costs)


def weigh_effort(chosen: Decision, home: SiteUnderLoad, market: Market) -> Decision:
    """Return the decision to change nothing where the change takes more effort than it saves in the model's planned life."""
    if not chosen.is_compared:
        return chosen
    effort = outlook.not_worth_it(
        market, home.workload, home.demand.requests_per_s, chosen.recommended, chosen.baseline, chosen.costs_today
    )
    if effort is None:
        return chosen
    return chosen._replace(
        at=home,
        space=home.space(home.admitted()),
        recommended=chosen.baseline,
        ties=(),
        more_ties=False,
        effort=effort,
    )


def _is_about_energy(workload: OnlineWorkload) -> bool:
    asked = workload.energy
    return asked is not None and (asked.objective == "energy" or asked.max_joules_per_request is not None)
