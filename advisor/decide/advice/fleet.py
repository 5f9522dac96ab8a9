"""How many replicas of what, over the day: enough for the peak with spare ones, fewer in the trough, of one kind or of several.

A plan is put together from plans of one rate that does not change. Each pool of equal replicas was simulated at its rate without the spare
ones and keeps the target there in every run; requests are drawn at random among replicas, so a pool of several kinds keeps the target if
each kind does at its share, and the shares are proportional to what a replica of the kind can carry.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from advisor.decide.integer_program import cheapest_mix
from advisor.decide.queue import day
from advisor.decide.queue.search import MAX_REPLICAS, Searchable, search_places
from advisor.decide.queue.simulator import Simulator
from advisor.decide.queue.space import Configuration
from advisor.schema.advice import FleetOption, FleetPlan, FleetPool
from advisor.schema.catalog import Term
from advisor.schema.workload import Fleet, Slo, Traffic

LEVELS = 12  # of traffic, at which replicas are counted; a part of the day has those of the next level above
SPLITS = (0.5, 0.8, 0.95)  # of requests by length, that are tried as the short ones
SMALLER = 8  # times less traffic: what is cheapest there is an option as well
NEARLY = 0.98  # of what a replica can carry at most, so that rounding cannot break the target


class Kind(NamedTuple):
    """One kind of hardware, simulated at any rate, with all requests or only those of some size classes (first, end)."""

    hardware: str
    at: Callable[[float, tuple[int, int] | None], Simulator]
    space: list[Configuration]
    price_usd_per_hour: float
    load_s: float | None  # the longest measured load time of a variant


class _Pool(NamedTuple):
    """Replicas of one kind without spare ones, and the rate at which they were simulated."""

    kind: Kind
    configuration: Configuration
    replicas: int
    requests_per_s: float


def plan(kinds: Sequence[Kind], traffic: Traffic, slo: Slo, wish: Fleet) -> FleetPlan | None:
    """Return the cheapest plan, with what the others would have cost; None where nothing keeps the target at the peak."""
    assert traffic.requests_per_s is not None
    rates = traffic.requests_per_s * (np.ones(1) if traffic.diurnal is None else day.relative_rates(traffic.diurnal))
    peak = float(rates.max())
    one_kind = _cheapest(kinds, peak, slo, None)
    if one_kind is None:
        return None
    plans = {"one kind of hardware, constant over the day": [_fixed(one_kind, len(rates), wish)]}
    mixed = _mixed(kinds, peak, slo, wish)
    if mixed is not None:
        plans["several kinds of hardware, constant over the day"] = [
            _fixed(pool, len(rates), wish, spare) for pool, spare in mixed
        ]
    split = _by_length(kinds, peak, slo)
    if split is not None:
        plans["short and long requests in separate pools, constant over the day"] = [
            _fixed(pool, len(rates), wish, lengths=lengths) for pool, lengths in split
        ]
    if wish.autoscaling and len(rates) > 1:
        plans["one kind of hardware, autoscaled over the day"] = [_scaled(one_kind, rates, slo, wish)]
    prices = {kind.hardware: kind.price_usd_per_hour for kind in kinds}
    priced = {name: [_with_price(pool, prices[pool.hardware], wish) for pool in pools] for name, pools in plans.items()}
    costs = {name: sum(pool.usd_per_hour for pool in pools) for name, pools in priced.items()}
    best = min(costs, key=lambda name: (costs[name], list(costs).index(name)))
    return FleetPlan(
        name=best,
        pools=tuple(priced[best]),
        usd_per_hour=costs[best],
        peak_requests_per_s=peak,
        spare_replicas=wish.spare_replicas,
        start_s=_start_s(one_kind.kind, wish),
        options=tuple(FleetOption(name=name, usd_per_hour=usd) for name, usd in costs.items()),
    )


def _cheapest(kinds: Sequence[Kind], rate: float, slo: Slo, classes: tuple[int, int] | None) -> _Pool | None:
    places = [Searchable(kind.at(rate, classes), kind.space, kind.price_usd_per_hour) for kind in kinds]
    found = search_places(places, quantile=slo.quantile, target_s=slo.latency_s)
    if not found.cheapest:
        return None
    configuration, replicas = found.cheapest[0]
    return _Pool(kinds[found.places[0]], configuration, replicas, rate)


def _fixed(
    pool: _Pool, parts: int, wish: Fleet, spare: int | None = None, *, lengths: tuple[int, int] | None = None
) -> FleetPool:
    """Return the pool with as many replicas in every part of the day; its price comes later."""
    spares = wish.spare_replicas if spare is None else spare
    return FleetPool(
        candidate=pool.configuration.replicated(pool.replicas, pool.kind.hardware),
        hardware=pool.kind.hardware,
        requests_per_s=pool.requests_per_s,
        lengths=lengths,
        spare_replicas=spares,
        replicas_by_part=(pool.replicas + spares,) * parts,
        starting_replica_hours_per_day=0.0,
        terms={},
        usd_per_hour=0.0,
    )


def _scaled(peak: _Pool, rates: np.ndarray, slo: Slo, wish: Fleet) -> FleetPool:
    """Return the pool with the replicas that each part needs.

    What a part needs more than the one before is started so much earlier as starting takes, and paid from then on; what takes longer
    than parts to start is there from that many parts before.
    """
    levels = np.unique(np.linspace(0.0, 1.0, LEVELS + 1)[1:] * rates.max())
    fewest: dict[float, int] = {float(levels[-1]): peak.replicas}
    most = peak.replicas
    for level in levels[-2::-1]:
        simulator = peak.kind.at(float(level), None)
        most = _fewest(simulator, peak.configuration, most, slo)
        fewest[float(level)] = most
    needed = np.array([fewest[float(levels[np.searchsorted(levels, rate)])] for rate in rates])
    part_s = day.SECONDS_PER_DAY / len(rates)
    start_s = _start_s(peak.kind, wish)
    whole = int(start_s // part_s)
    running = np.max([np.roll(needed, -ahead) for ahead in range(whole + 1)], axis=0)
    rises = np.maximum(np.roll(running, -1) - running, 0)
    return FleetPool(
        candidate=peak.configuration.replicated(peak.replicas, peak.kind.hardware),
        hardware=peak.kind.hardware,
        requests_per_s=peak.requests_per_s,
        lengths=None,
        spare_replicas=wish.spare_replicas,
        replicas_by_part=tuple((running + wish.spare_replicas).tolist()),
        starting_replica_hours_per_day=float(rises.sum()) * (start_s - whole * part_s) / 3600,
        terms={},
        usd_per_hour=0.0,
    )


def _fewest(simulator: Simulator, configuration: Configuration, enough: int, slo: Slo) -> int:
    """Return how few replicas, of at most `enough`, keep the target with the rate of the simulator; `enough` if none does."""
    low, high = 0, enough
    while high - low > 1:
        middle = (low + high) // 2
        if simulator.meets(configuration, middle, quantile=slo.quantile, target_s=slo.latency_s):
            high = middle
        else:
            low = middle
    # Thinner traffic may wait longer for batches to fill: what serves more is only taken if it serves this as well.
    while high < MAX_REPLICAS and not simulator.meets(configuration, high, quantile=slo.quantile, target_s=slo.latency_s):
        high += 1
    return high


def _start_s(kind: Kind, wish: Fleet) -> float:
    """Return the seconds of a cold start: the machine's as given by the user, the model's as measured."""
    return wish.start_s + (kind.load_s or 0.0)


def _mixed(kinds: Sequence[Kind], rate: float, slo: Slo, wish: Fleet) -> list[tuple[_Pool, int]] | None:
    """Return pools with their spare replicas, by an integer program over what is cheapest on each hardware at two rates."""
    options: dict[tuple[str, Configuration], tuple[Kind, float]] = {}
    for kind in kinds:
        for wanted in (rate, rate / SMALLER):
            found = _cheapest([kind], wanted, slo, None)
            if found is not None and (kind.hardware, found.configuration) not in options:
                carried = _capacity(kind, found.configuration, slo)
                if carried > 0:
                    options[kind.hardware, found.configuration] = (kind, carried)
    while len({kind.hardware for kind, _ in options.values()}) > 1:
        chosen = cheapest_mix(
            [kind.price_usd_per_hour for kind, _ in options.values()],
            [carried for _, carried in options.values()],
            requests_per_s=rate,
            spare_replicas=wish.spare_replicas,
            most=MAX_REPLICAS,
        )
        if chosen is None:
            return None
        total = sum(count * carried for count, (_, carried) in zip(chosen, options.values(), strict=True))
        pools = []
        for count, (key, (kind, carried)) in zip(chosen, list(options.items()), strict=True):
            if not count:
                continue
            share = rate * count * carried / total
            # Both with all replicas and with the spare ones of any kind gone, each replica has to keep the target.
            if not _holds(kind, key[1], carried * rate / total, slo) or not _holds(kind, key[1], carried, slo):
                del options[key]
                break
            pools.append((_Pool(kind, key[1], count, share), 0))
        else:
            return pools
    return None


def _capacity(kind: Kind, configuration: Configuration, slo: Slo) -> float:
    """Return a rate that one replica carries in simulation, nearly the largest."""
    simulator = kind.at(1.0, None)
    work_s, _ = simulator.bounds(configuration, slo.quantile)
    low, high = 0.0, 1 / work_s
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (middle, high) if _holds(kind, configuration, middle, slo) else (low, middle)
    return low * NEARLY


def _holds(kind: Kind, configuration: Configuration, rate: float, slo: Slo) -> bool:
    return kind.at(rate, None).meets(configuration, 1, quantile=slo.quantile, target_s=slo.latency_s)


def _by_length(kinds: Sequence[Kind], rate: float, slo: Slo) -> list[tuple[_Pool, tuple[int, int]]] | None:
    """Return the cheapest pair of pools for short and for long requests, None where requests do not differ in length, or have several."""
    demand = kinds[0].at(rate, None).demand
    if demand.items_per_request != 1:
        return None
    lengths = [length for length in demand.lengths if length is not None]
    best: list[tuple[_Pool, tuple[int, int]]] | None = None
    least = math.inf
    for split in SPLITS:
        shares = np.cumsum(demand.class_shares)
        end = int(np.searchsorted(shares, split)) + 1
        if end >= len(lengths) or not 0 < shares[end - 1] < 1:
            continue
        short = _cheapest(kinds, rate * float(shares[end - 1]), slo, (0, end))
        long = _cheapest(kinds, rate * float(1 - shares[end - 1]), slo, (end, len(lengths)))
        if short is None or long is None:
            continue
        usd = sum(pool.replicas * pool.kind.price_usd_per_hour for pool in (short, long))
        if usd < least:
            least, best = usd, [(short, (lengths[0], lengths[end - 1])), (long, (lengths[end], lengths[-1]))]
    return best


def _with_price(pool: FleetPool, demand_usd: float, wish: Fleet) -> FleetPool:
    """Return the pool with its terms: on spot what may be taken away, reserved what runs all day, if cheaper, the rest on demand."""
    reserved_usd, spot_usd = (prices.get(pool.hardware) for prices in (wish.reserved_usd_per_hour, wish.spot_usd_per_hour))
    always = min(pool.replicas_by_part)
    mean = sum(pool.replicas_by_part) / len(pool.replicas_by_part) + pool.starting_replica_hours_per_day / 24
    spot = math.floor(always * wish.max_spot_fraction) if spot_usd is not None and spot_usd < demand_usd else 0
    reserved = always - spot if reserved_usd is not None and reserved_usd < demand_usd else 0
    rest = mean - spot - reserved
    usd = spot * (spot_usd or 0.0) + reserved * (reserved_usd or 0.0) + rest * demand_usd
    terms: dict[Term, float] = {"on-demand": rest, "reserved": float(reserved), "spot": float(spot)}
    return msgspec.structs.replace(pool, terms={term: count for term, count in terms.items() if count > 0}, usd_per_hour=usd)
