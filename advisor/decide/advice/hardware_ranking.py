"""Several kinds of hardware, each searched on its own: their ranking, and the best configuration of each."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from advisor.decide.advice import recommendation
from advisor.decide.queue.search import Found
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.schema.advice import PlaceAnswer, Prediction
from advisor.schema.catalog import STALE_DAYS
from advisor.schema.record import Exclusion
from advisor.schema.workload import OnlineWorkload
from advisor.units import number


class Searched(NamedTuple):
    """The space of one kind of hardware, the result of its search, and its best: the nearest miss if nothing keeps the target."""

    site: SiteUnderLoad
    found: Found
    space: list[Configuration]
    best: Prediction


def search_site(site: SiteUnderLoad) -> Searched | None:
    """Return the cheapest of one kind of hardware, or its nearest miss; None if no variant may be recommended there."""
    space = site.space(site.admitted())
    if not space:
        return None
    found = site.search(space)
    if found.cheapest:
        _, best = recommendation.first_to_keep(site, found)
    else:
        best, _ = recommendation.nearest_miss(site, space, found, None)
    return Searched(site, found, space, best)


def cheapest_of(sites: Sequence[SiteUnderLoad], variants: set[str]) -> Prediction | None:
    """Return the cheapest that keeps the target with these variants alone, whether they may be recommended or not; None where none does."""
    made = []
    for site in sites:
        found = site.search(site.space(variants))
        if found.cheapest:
            _, best = recommendation.first_to_keep(site, found, with_capacity=True)
            made += [best] if best.meets_slo else []
    return min(made, key=_usd_per_hour, default=None)


def _usd_per_hour(entry: Prediction) -> float:
    return entry.cost_usd_per_hour.value


def ordered(searched: list[Searched], workload: OnlineWorkload) -> list[Searched]:
    """Return the kinds of hardware, the best first: those that keep target and limits, then by the objective."""
    by_energy = workload.energy is not None and workload.energy.objective == "energy"

    def rank(entry: Searched) -> tuple[bool, bool, float, float]:
        joules, usd = entry.best.energy_joules_per_request, entry.best.cost_usd_per_hour.value
        first = (math.inf if joules is None else joules.value) if by_energy else usd
        # What was found may still miss the target through the stalls of its machine.
        return (not is_eligible(entry, workload), not entry.best.meets_slo, first, usd)

    return sorted(searched, key=rank)


def is_eligible(entry: Searched, workload: OnlineWorkload) -> bool:
    """Return whether the best of it keeps the target, and what it takes in energy stays within the limit at its upper end."""
    return bool(entry.found.cheapest) and over_energy(entry, workload) is None


def over_energy(entry: Searched, workload: OnlineWorkload) -> Exclusion | None:
    """Return why energy rules the hardware out, None if it does not. Unknown energy keeps no limit."""
    limit = workload.energy.max_joules_per_request if workload.energy else None
    joules = entry.best.energy_joules_per_request
    if limit is None or (joules is not None and joules.high <= limit):
        return None
    needed = "its power is not known" if joules is None else f"a request can take {number(joules.high)} J"
    return Exclusion(what=entry.site.hardware, reason=f"energy: {needed}, and the limit is {number(limit)} J")


def best_of_each(searched: list[Searched]) -> tuple[PlaceAnswer, ...]:
    """Return the best configuration of each kind of hardware, in the order given."""
    return tuple(_best_of(entry.site, entry.best) for entry in searched)


def _best_of(site: SiteUnderLoad, best: Prediction) -> PlaceAnswer:
    place = site.place
    return PlaceAnswer(
        hardware=site.hardware,
        name=place.hardware.name,
        machine=place.machine,
        ground=site.ground,
        price_date=place.price_date,
        price_is_stale=place.price_is_stale,
        prediction=best,
    )


def merged_frontier(front: tuple[Prediction, ...], searched: list[Searched]) -> tuple[Prediction, ...]:
    """Return the frontier of one kind of hardware with the best of the others, without what is then beaten."""
    known = {entry.candidate: entry for entry in (*front, *(entry.best for entry in searched if entry.best.meets_slo))}
    if len(searched) < 2 or not front:
        return front
    return tuple(sorted(recommendation.not_beaten(list(known.values())), key=recommendation.cost_and_latency))


def ruled_out(searched: list[Searched], workload: OnlineWorkload) -> tuple[Exclusion, ...]:
    """Return the hardware that the limit on energy rules out."""
    return tuple(entry for each in searched if (entry := over_energy(each, workload)) is not None)


def assumptions(searched: list[Searched]) -> tuple[str, ...]:
    """Return the assumptions about hardware that was not measured, and how old its prices are."""
    assumed = []
    if projected := [entry.site.hardware for entry in searched if entry.site.ground != "measured"]:
        assumed.append(
            f"projected, not measured: service times on {', '.join(projected)}; the target has to hold at the upper end of their "
            "intervals; the overhead inside a server and the quality are assumed to be those of the profiled machine"
        )
    for entry in searched:
        place = entry.site.place
        if place.price_is_stale:
            assumed.append(
                f"the price of {place.hardware.id} ({place.machine}) is from {place.price_date}, more than {STALE_DAYS} days old"
            )
    return tuple(assumed)
