"""Change one thing of what runs today and search the rest anew: what batching, threads, a variant or fewer replicas would save."""

from collections.abc import Callable
from typing import NamedTuple

from advisor import units
from advisor.decide.lifetime import horizon
from advisor.decide.lifetime.inputs import Market
from advisor.decide.lifetime.payback import Gain
from advisor.decide.lifetime.serving_cost import Values
from advisor.decide.queue.day import relative_rates
from advisor.decide.queue.search import search
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration, configurations
from advisor.schema.advice import Candidate, Prediction
from advisor.schema.catalog import Lever
from advisor.schema.record import Estimate

Costs = tuple[float, float, float]  # usd an hour: low, value, high
IS_SAME: dict[str, Callable[[Configuration, Configuration], bool]] = {
    "batching": lambda entry, today: _but_batch(entry) == _but_batch(today),
    "threads and instances": lambda entry, today: _but_threads(entry) == _but_threads(today),
}


class Change(NamedTuple):
    """What changes, in words, what it costs an hour afterwards, and the effort it takes."""

    field: str
    before: str
    after: str
    usd_per_hour: float
    lever: Lever


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


def everything(recommended: Prediction, baseline: Prediction, market: Market) -> Change | None:
    """Return the change to the recommendation as a whole; None where its effort is not known."""
    is_other = recommended.candidate.variant != baseline.candidate.variant
    lever = next((entry for entry in market.model.levers if entry.id == ("switch-variant" if is_other else "configure")), None)
    if lever is None:
        return None
    return Change(
        "all of it", describe(baseline.candidate), describe(recommended.candidate), recommended.cost_usd_per_hour.value, lever
    )


def gain_of(change: Change, costs_today: Costs, x: Values) -> Gain | None:
    """Return what a change saves over the horizon, price changes and growth included; None if an engineer's day has no price."""
    if "engineer_usd_per_day" not in x:
        return None
    low, value, high = (usd - change.usd_per_hour for usd in costs_today)
    hours = [
        units.HOURS_PER_MONTH * month.part * month.price * month.worth * max(1.0, month.growth) for month in horizon.months(x)
    ]
    days, each = change.lever.effort_engineer_days, x["engineer_usd_per_day"]
    whole = sum(hours)
    return Gain(
        saving_usd=Estimate(
            value=value * whole,
            low=low * whole,
            high=high * whole,
            basis="simulated",
            source="today's cost less that of the change",
        ),
        once_usd=Estimate(
            value=days.value * each,
            low=days.low * each,
            high=days.high * each,
            basis="assumed",
            source=f"{days.value:g} engineer days ({days.low:g} to {days.high:g}) at {units.usd(each)}",
        ),
        by_month=[value * part for part in hours],
    )


def describe(candidate: Candidate) -> str:
    """Describe a candidate in a few words."""
    cores = f"{units.counted(candidate.instances, 'instance')} of {units.counted(candidate.intra_op_num_threads, 'thread')}"
    replicas = units.counted(candidate.replicas, "replica")
    return f"{candidate.variant}, {cores}, batches of up to {candidate.max_batch_size}, {replicas}"


def _cheapest(home: SiteUnderLoad, alike: list[Configuration], field: str, baseline: Prediction, lever: Lever) -> list[Change]:
    slo = home.workload.slo
    found = search(home.simulator, alike, quantile=slo.quantile, target_s=slo.latency_s, price_usd_per_hour=home.price)
    if not found.cheapest:
        return []
    configuration, replicas = found.cheapest[0]
    after = configuration.replicated(replicas, home.hardware)
    if after == baseline.candidate or replicas * home.price >= baseline.cost_usd_per_hour.value:
        return []
    return [Change(field, describe(baseline.candidate), describe(after), replicas * home.price, lever)]


def _following_the_day(home: SiteUnderLoad, baseline: Prediction, lever: Lever) -> list[Change]:
    """Return what today's configuration costs with as many replicas in each part of the day as carry its traffic."""
    diurnal, capacity = home.workload.traffic.diurnal, baseline.capacity_requests_per_s
    if diurnal is None or capacity is None or capacity.low <= 0:
        return []
    each = capacity.low / baseline.candidate.replicas
    needed = [max(1, -int(-rate * home.demand.requests_per_s // each)) for rate in relative_rates(diurnal).tolist()]
    mean = sum(needed) / len(needed)
    if mean >= baseline.candidate.replicas:
        return []
    after = f"{min(needed)} to {max(needed)} replicas over the day, {units.number(mean)} on average"
    return [
        Change("replicas over the day", units.counted(baseline.candidate.replicas, "replica"), after, mean * home.price, lever)
    ]


def _but_batch(entry: Configuration) -> tuple[str, int, int]:
    return entry.variant, entry.intra_op_num_threads, entry.instances


def _but_threads(entry: Configuration) -> tuple[str, int, float]:
    return entry.variant, entry.max_batch_size, entry.max_queue_delay_s


def _but_variant(entry: Configuration) -> tuple[int, int, int, float]:
    return entry.intra_op_num_threads, entry.instances, entry.max_batch_size, entry.max_queue_delay_s
