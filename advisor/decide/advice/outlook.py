"""The outlook of advice on a measured model: opportunities with their effort, whether any is worth it, and when the advice expires."""

import msgspec

from advisor import units
from advisor.decide.advice import changes as measured_changes
from advisor.decide.advice.changes import Change, Costs
from advisor.decide.distillation.making import LEVER
from advisor.decide.distillation.students import Students
from advisor.decide.distillation.worth import life_beside, of_prediction
from advisor.decide.lifetime import opportunities
from advisor.decide.lifetime.inputs import Life, Market
from advisor.decide.queue.site import SiteUnderLoad
from advisor.schema.advice import Candidate, Prediction
from advisor.schema.lifetime import BreakEven, Expiry, Opportunity, Outlook, Verdict
from advisor.schema.record import Exclusion
from advisor.schema.workload import Lifecycle, OnlineWorkload

NO_COST_TODAY = Exclusion(
    what="Change one thing of today's configuration",
    reason="give baseline.replicas: without them nobody knows what is paid today",
)

NO_PLAN = "give lifecycle: what is paid differently pays, if at all, over the model's planned life"


def not_worth_it(
    market: Market,
    workload: OnlineWorkload,
    requests_per_s: float,
    recommended: Prediction | None,
    baseline: Prediction,
    costs_today: Costs,
    *,
    is_given: bool,
) -> str | None:
    """Return the headline for a change that takes more effort than it saves in the model's planned life; None if it takes less.

    Without a planned life there is nothing to weigh the effort against. Unless today's replicas are given (`is_given`), the cost today is
    what today's configuration would need: what is weighed then is no saving, and no figure of it is named.
    """
    if workload.lifecycle is None or recommended is None:
        return None
    change = measured_changes.everything(recommended, baseline, market, requests_per_s)
    life = life_served_by(baseline, workload, market, requests_per_s)
    gain = measured_changes.gain_of(change, costs_today, baseline, life.values) if change is not None else None
    if gain is None or gain.net_usd > 0:
        return None
    horizon, saving = units.months(workload.lifecycle.horizon_months), gain.saving_usd
    work = units.usd(gain.once_usd.value)
    if not is_given:
        return (
            f"Keep today's configuration: what another would be cheaper by in {horizon} does not pay for about {work} of work, "
            "as far as can be said without today's replicas (baseline.replicas)"
        )
    most = f", at most {units.usd(saving.high)}" if saving.high > saving.value else ""
    saved = f"the change would save about {units.usd(max(0.0, saving.value))} in {horizon}{most}"
    return f"Change nothing: {saved}, and take about {work} of work"


def best_single_change(home: SiteUnderLoad, market: Market, baseline: Prediction) -> Candidate | None:
    """Return what today's configuration becomes by the one change that leaves most of its saving; None where none pays its effort."""
    life = life_served_by(baseline, home.workload, market, home.demand.requests_per_s)
    cost = baseline.cost_usd_per_hour
    nets: list[tuple[float, Candidate]] = []
    for change in measured_changes.one_thing(home, baseline, market):
        gain = measured_changes.gain_of(change, (cost.low, cost.value, cost.high), baseline, life.values)
        if gain is not None and change.candidate is not None and gain.net_usd > 0:
            nets.append((gain.net_usd, change.candidate))
    return max(nets, key=_net)[1] if nets else None


def _net(entry: tuple[float, Candidate]) -> float:
    return entry[0]


def of_advice(
    home: SiteUnderLoad,
    market: Market,
    life: Life,
    recommended: Prediction | None,
    baseline: Prediction,
    verdict: Verdict,
    *,
    is_given: bool,
    is_kept: bool,
    students: Students,
    created: str,
) -> tuple[Outlook, tuple[BreakEven, ...]]:
    """Return the outlook, and the break-evens of its levers.

    It holds every change of one thing, the recommendation as a whole, and the levers that the plan can judge: these on `life`, which is the
    lifetime cost that the advice shows. What changes of today's configuration save is known only if today's replicas are given. To
    change nothing is the answer only where what runs today `is_kept`.
    """
    planned = home.workload.lifecycle or Lifecycle()
    rate, shown = home.demand.requests_per_s, recommended or baseline
    changes = measured_changes.one_thing(home, baseline, market) if baseline.meets_slo and is_given else []
    if recommended is not None and recommended.candidate != baseline.candidate and baseline.meets_slo and is_given:
        whole = measured_changes.everything(recommended, baseline, market, rate)
        changes += [whole] if whole is not None else []
    changes = measured_changes.distinct(changes, baseline.candidate)
    cost = baseline.cost_usd_per_hour
    costs_today = (cost.low, cost.value, cost.high)
    today = life_served_by(baseline, home.workload, market, rate)
    found = [entry for change in changes if (entry := _opportunity(change, costs_today, baseline, today, created)) is not None]
    others, left, evens = opportunities.planned(life, planned, market, created=created)
    others, left, evens = _with_students(others, left, evens, students, market)
    left = left if is_given else [NO_COST_TODAY, *left]
    expires = _expiries(home, shown, planned, verdict, created)
    if home.workload.lifecycle is None:
        left = [*left, *(Exclusion(what=entry.title, reason=NO_PLAN) for entry in others)]
        return _without_a_plan(opportunities.outlook(found, left, expires, planned.horizon_months)), ()
    whole_life = opportunities.outlook([*found, *others], left, expires, planned.horizon_months)
    return whole_life if is_kept else _beside_a_change(whole_life), tuple(evens)


def _with_students(
    found: list[Opportunity], left: list[Exclusion], evens: list[BreakEven], students: Students, market: Market
) -> tuple[list[Opportunity], list[Exclusion], list[BreakEven]]:
    """Return what could be done with the student that is worth trying first, in place of the one that nobody measured."""
    if not students.rows:
        return found, left, evens
    guessed = {lever.title for lever in market.model.levers if lever.id == LEVER}
    left = [*(entry for entry in left if entry.what not in guessed), *students.exclusions]
    found = [*found, *([students.opportunity] if students.opportunity else [])]
    return found, left, [*evens, *([students.break_even] if students.break_even else [])]


def life_served_by(shown: Prediction, workload: OnlineWorkload, market: Market, requests_per_s: float) -> Life:
    """Return the inputs of the lifetime cost where this configuration serves: its replicas today, whole ones more as traffic grows."""
    return life_beside(of_prediction(shown), requests_per_s, workload.lifecycle or Lifecycle(), market)


def _opportunity(change: Change, costs_today: Costs, baseline: Prediction, life: Life, created: str) -> Opportunity | None:
    x = life.values
    gain = measured_changes.gain_of(change, costs_today, baseline, x)
    if gain is None:
        return None
    return opportunities.opportunity(
        change.lever,
        gain,
        x["horizon_months"],
        field=change.field,
        before=change.before,
        after=change.after,
        because="",
        created=created,
    )


def _expiries(home: SiteUnderLoad, shown: Prediction, planned: Lifecycle, verdict: Verdict, created: str) -> list[Expiry]:
    rate, growth = home.demand.requests_per_s, planned.growth_per_month
    capacity = shown.capacity_requests_per_s
    runtime = ", ".join(f"{name} {version}" for name, version in sorted(home.service.versions.items()))
    return [
        opportunities.price_expiry(None, created),
        *(opportunities.capacity_expiry(rate, capacity.low, growth, created) if capacity is not None and shown.meets_slo else []),
        *opportunities.traffic_expiries(verdict.flips_when),
        Expiry(
            what=f"the model file is no longer sha256 {home.model.sha256[:12]}",
            on=None,
            because="another file differs in speed and quality",
        ),
        Expiry(what="the runtime's version changes", on=None, because=f"measured with {runtime}"),
    ]


def _beside_a_change(outlook: Outlook) -> Outlook:
    """Return the outlook beside another answer than to change nothing: that nothing else pays is no contradiction to it."""
    if not outlook.change_nothing:
        return outlook
    return msgspec.structs.replace(
        outlook, change_nothing=False, answer=outlook.answer.replace("Change nothing:", "Beside that, nothing else pays:", 1)
    )


def _without_a_plan(outlook: Outlook) -> Outlook:
    """Return the outlook of a workload without `lifecycle`: effort cannot be weighed against savings."""
    answer = "Effort is not weighed against savings: the workload does not give the model's planned life (lifecycle)."
    return Outlook(
        answer=answer,
        change_nothing=None,
        opportunities=outlook.opportunities,
        not_judged=outlook.not_judged,
        expires_when=outlook.expires_when,
    )
