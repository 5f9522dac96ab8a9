"""The cheapest candidate that keeps the target: bounds cut the space, simulation settles what the bounds leave, cheapest first."""

import math

import numpy as np

from advisor.decide.candidates import Configuration
from advisor.decide.predict import Simulator
from advisor.kernels import search as kernel
from advisor.schema import Record

MAX_REPLICAS = 512
ENOUGH_CHEAPEST = 7
# Replicas beyond those that bring utilization down to this hardly help batching: what misses the target here is left to those
# without, of whose requests no more than half of 1 - quantile then find the server busy.
LOWEST_UTILIZATION = 0.1


class Found(Record, frozen=True, kw_only=True):
    """The cheapest feasible candidates, all of one cost, simplest first, and the account of the whole space.

    Of those only so many are sought as are told; `cut_by_cost` counts what could be no cheaper than they, and was not simulated.
    """

    cheapest: tuple[tuple[Configuration, int], ...]
    cost_usd_per_hour: float | None
    candidates: int
    cut_by_bound: int
    cut_by_cost: int
    simulated: int


def search(
    simulator: Simulator, space: list[Configuration], *, quantile: float, target_s: float, price_usd_per_hour: float
) -> Found:
    """Return the cheapest feasible candidates of the space, exactly: no cheaper candidate is left that could be feasible.

    `space` is simplest first; equally cheap candidates keep that order.
    """
    if not space:
        return Found(cheapest=(), cost_usd_per_hour=None, candidates=0, cut_by_bound=0, cut_by_cost=0, simulated=0)
    item_seconds, floor_s = (
        np.array(column) for column in zip(*(simulator.bounds(entry, quantile) for entry in space), strict=True)
    )
    rate = simulator.demand.busiest_requests_per_s
    alone = np.array([entry.max_batch_size == 1 for entry in space])
    lowest = np.where(alone, min(LOWEST_UTILIZATION, (1 - quantile) / 2), LOWEST_UTILIZATION)
    limits = np.minimum(np.ceil(rate * item_seconds / lowest) + 1, MAX_REPLICAS).astype(np.intp)
    which, replicas, cost, by_latency, by_throughput = kernel.enumerate_candidates(
        item_seconds,
        floor_s,
        np.full(len(space), price_usd_per_hour),
        limits,
        requests_per_s=rate,
        latency_target_s=target_s,
    )
    cheapest: list[tuple[Configuration, int]] = []
    best = math.inf
    simulated = 0
    for index, count, usd in zip(which.tolist(), replicas.tolist(), cost.tolist(), strict=True):
        if usd > best or len(cheapest) == ENOUGH_CHEAPEST:
            break
        simulated += 1
        if simulator.meets(space[index], count, quantile=quantile, target_s=target_s):
            best = usd
            cheapest.append((space[index], count))
    return Found(
        cheapest=tuple(cheapest),
        cost_usd_per_hour=best if cheapest else None,
        candidates=int(limits.sum()),
        cut_by_bound=by_latency + by_throughput,
        cut_by_cost=len(which) - simulated,
        simulated=simulated,
    )
