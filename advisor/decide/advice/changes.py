"""Change one thing of what runs today and search the rest anew: what batching, threads, a variant or fewer replicas would save."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from advisor import units
from advisor.decide.lifetime import fleet, horizon
from advisor.decide.lifetime.inputs import Market
from advisor.decide.lifetime.payback import Gain
from advisor.decide.lifetime.serving_cost import Values
from advisor.decide.queue.day import relative_rates
from advisor.decide.queue.prediction import capacity_requests_per_s
from advisor.decide.queue.search import search
from advisor.decide.queue.simulator import LEAST_CONFIDENCE
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration, configurations
from advisor.schema.advice import Candidate, Prediction
from advisor.schema.catalog import Lever
from advisor.schema.record import Estimate

Bill = Callable[[float], float]  # usd an hour at so many times today's traffic
Bills = tuple[Bill, Bill, Bill]  # low, value, high
Costs = tuple[float, float, float]  # usd an hour: low, value, high
IS_SAME: dict[str, Callable[[Configuration, Configuration], bool]] = {
    "batching": lambda entry, today: _but_batch(entry) == _but_batch(today),
    "threads and instances": lambda entry, today: _but_threads(entry) == _but_threads(today),
}


class Change(NamedTuple):
    """What changes, in words, what an hour costs afterwards, the effort it takes, and to what; None: to no single configuration."""

    field: str
    before: str
    after: str
    usd_per_hour: Bills
    lever: Lever
    candidate: Candidate | None = None


def of_replicas(usd_per_hour: float, replicas: int, carried: float, requests_per_s: float) -> Callable[[float], float]:
    """Return what an hour costs at so many times today's traffic, in whole replicas."""
    return partial(_grown, {**fleet.bill(usd_per_hour, replicas, carried, requests_per_s), "requests_per_s": requests_per_s})


def _bills(cost: Estimate, replicas: int, carried: float, requests_per_s: float) -> Bills:
    """Return what an hour costs of replicas that are so many at either end of their cost."""
    each = cost.value / replicas
    low, value, high = (
        of_replicas(usd, max(1, round(usd / each)), carried, requests_per_s) for usd in (cost.low, cost.value, cost.high)
    )
    return low, value, high


def _grown(bill_: Values, growth: float) -> float:
    return fleet.bill_usd_per_hour(bill_, growth)


def one_thing(home: SiteUnderLoad, baseline: Prediction, market: Market) -> list[Change]:
    """Return the cheapest way to change each one thing and keep the target, all else as today."""
    levers = {lever.id: lever for lever in market.model.levers}
    if "configure" not in levers or "switch-variant" not in levers:
        return []
    found = []
    admitted = home.admitted()
    today = home.today
    space = configurations(home.grids, home.workload, today, admitted | {today.variant})
    for field, is_same in IS_SAME.items():
        found += _cheapest(home, [entry for entry in space if is_same(entry, today)], field, baseline, levers["configure"])
    for name in sorted(admitted - {today.variant}):
        alike = [entry for entry in space if entry.variant == name and _but_variant(entry) == _but_variant(today)]
        found += _cheapest(home, alike, "variant", baseline, levers["switch-variant"])
    found += _cheapest(home, [today], "replicas", baseline, levers["configure"])
    if "autoscale" in levers:
        found += _following_the_day(home, baseline, levers["autoscale"])
    return found


def everything(recommended: Prediction, baseline: Prediction, market: Market, requests_per_s: float) -> Change | None:
    """Return the change to the recommendation as a whole; None where its effort is not known."""
    is_other = recommended.candidate.variant != baseline.candidate.variant
    lever = next((entry for entry in market.model.levers if entry.id == ("switch-variant" if is_other else "configure")), None)
    if lever is None:
        return None
    carried = fleet.carried_requests_per_s(recommended.capacity_requests_per_s, requests_per_s)
    after = _bills(recommended.cost_usd_per_hour, recommended.candidate.replicas, carried, requests_per_s)
    return Change("all of it", describe(baseline.candidate), describe(recommended.candidate), after, lever, recommended.candidate)


def distinct(changes: list[Change], today: Candidate) -> list[Change]:
    """Return each change once: what is found by several ways is named by the first of them, and by replicas where no more is another."""
    found: dict[Candidate | str, Change] = {}
    for change in changes:
        after = change.candidate
        if after is not None and replace(after, replicas=today.replicas) == today:
            found.setdefault(after, _of_replicas(change, after, today))
        else:
            found.setdefault(after or change.field, change)
    return list(found.values())


def _of_replicas(change: Change, after: Candidate, today: Candidate) -> Change:
    title = f"Run {'fewer' if after.replicas < today.replicas else 'more'} replicas"
    return change._replace(field="replicas", lever=replace(change.lever, title=title))


def gain_of(change: Change, costs_today: Costs, baseline: Prediction, x: Values) -> Gain | None:
    """Return what a change saves over the horizon, at each month's prices and traffic; None if an engineer's day has no price.

    `costs_today` are the ends of what today's configuration costs an hour: of the fewer replicas each carries the more.
    """
    if "engineer_usd_per_day" not in x:
        return None
    rate, replicas = x["requests_per_s"], baseline.candidate.replicas
    carried = fleet.carried_requests_per_s(baseline.capacity_requests_per_s, rate)
    usd_each = baseline.cost_usd_per_hour.value / replicas
    course = horizon.months(x)
    hours = [units.HOURS_PER_MONTH * month.part * month.price * month.worth for month in course]

    def saved(usd_today: float, after: Bill) -> list[float]:
        before = of_replicas(usd_today, round(usd_today / usd_each), carried, rate)
        return [(before(month.growth) - after(month.growth)) * part for month, part in zip(course, hours, strict=True)]

    # Dearest after least before, and the other way round: how slow calls are moves both costs, but not in step.
    low, monthly, high = map(saved, costs_today, reversed(change.usd_per_hour))
    days, each = change.lever.effort_engineer_days, x["engineer_usd_per_day"]
    return Gain(
        saving_usd=Estimate(
            value=math.fsum(monthly),
            low=math.fsum(low),
            high=math.fsum(high),
            basis="simulated",
            source="today's cost less that of the change",
        ),
        once_usd=Estimate(
            value=days.value * each,
            low=days.low * each,
            high=days.high * each,
            basis="assumed",
            source=f"{units.work_of(days.value, days.low, days.high)} at {units.usd(each)}",
        ),
        by_month=monthly,
    )


def describe(candidate: Candidate) -> str:
    """Describe a candidate in a few words."""
    cores = f"{units.counted(candidate.instances, 'instance')} of {units.counted(candidate.intra_op_num_threads, 'thread')}"
    replicas = units.counted(candidate.replicas, "replica")
    return f"{candidate.variant}, {cores}, batches of up to {candidate.max_batch_size}, {replicas}"


def _cheapest(home: SiteUnderLoad, alike: list[Configuration], field: str, baseline: Prediction, lever: Lever) -> list[Change]:
    slo = home.workload.slo
    found = search(home.feasibility, alike, quantile=slo.quantile, target_s=slo.latency_s, price_usd_per_hour=home.price)
    if not found.cheapest:
        return []
    configuration, replicas = found.cheapest[0]
    after = configuration.replicated(replicas, home.hardware)
    if after == baseline.candidate or replicas * home.price >= baseline.cost_usd_per_hour.value:
        return []
    carried, rate = _carried(home, configuration, replicas), home.demand.requests_per_s
    fewest = home.fewest_replicas(configuration, LEAST_CONFIDENCE, most=replicas) or replicas
    least, paid = (of_replicas(count * home.price, count, carried, rate) for count in (fewest, replicas))
    return [Change(field, describe(baseline.candidate), describe(after), (least, paid, paid), lever, after)]


def _carried(home: SiteUnderLoad, configuration: Configuration, replicas: int) -> float:
    """Return the traffic up to which replicas surely keep the target: today's, which nothing outgrows that does not grow."""
    rate, slo, planned = home.demand.requests_per_s, home.workload.slo, home.workload.lifecycle
    if planned is None or planned.growth_per_month <= 0:
        return rate
    found = capacity_requests_per_s(home.simulator, configuration, replicas, quantile=slo.quantile, target_s=slo.latency_s)
    return max(rate, found.low) if found is not None else rate


def _following_the_day(home: SiteUnderLoad, baseline: Prediction, lever: Lever) -> list[Change]:
    """Return what today's configuration costs with as many replicas in each part of the day as carry its traffic."""
    diurnal, slo, today = home.workload.traffic.diurnal, home.workload.slo, home.demand.requests_per_s
    if diurnal is None:
        return []
    # At a steady rate: the capacity of a fixed fleet is a mean over the day, to which the quiet parts contribute.
    one = capacity_requests_per_s(home.at(today, None), home.today, 1, quantile=slo.quantile, target_s=slo.latency_s)
    if one is None or one.low <= 0:
        return []
    rates = relative_rates(diurnal).tolist()

    def needed(each: float, growth: float) -> list[int]:
        return [max(1, math.ceil(rate * today * max(1.0, growth) / each)) for rate in rates]

    def paid(each: float, growth: float) -> float:
        return home.price * sum(needed(each, growth)) / len(rates)

    now = needed(one.low, 1.0)
    mean = sum(now) / len(now)
    if mean >= baseline.candidate.replicas:
        return []
    after = f"{min(now)} to {max(now)} replicas over the day, {units.number(mean)} on average"
    least, most = partial(paid, one.high), partial(paid, one.low)
    before = units.counted(baseline.candidate.replicas, "replica")
    return [Change("replicas over the day", before, after, (least, most, most), lever)]


def _but_batch(entry: Configuration) -> tuple[str, int, int]:
    return entry.variant, entry.intra_op_num_threads, entry.instances


def _but_threads(entry: Configuration) -> tuple[str, int, float]:
    return entry.variant, entry.max_batch_size, entry.max_queue_delay_s


def _but_variant(entry: Configuration) -> tuple[int, int, int, float]:
    return entry.intra_op_num_threads, entry.instances, entry.max_batch_size, entry.max_queue_delay_s
