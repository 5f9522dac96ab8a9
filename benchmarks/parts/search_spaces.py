"""A market to search: variants, hardware, threads, instances, batch sizes, delays and replicas, with a law of service for each."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from advisor.decide.queue.bounds import LOADS, Streams
from advisor.decide.queue.demand import SEEDS, Demand, quantiles, rank, warm, warm_up
from advisor.kernels import queue_sim
from advisor.kernels.columns import Columns
from advisor.schema.workload import HardwareChoice, OnlineWorkload, Slo, Traffic

VARIANTS, THREADS, INSTANCES = 12, (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 3, 4, 6, 8, 12, 16)
BATCHES, REPLICAS = 32, 64
DELAYS_S = np.linspace(0.0, 0.002, 16)
REQUESTS_PER_S, TARGET_S, QUANTILE = 60_000.0, 0.004, 0.99
SHIFTS = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512])  # a larger one is a bound as well, only a weaker


class Market(NamedTuple):
    """A space with its bounds; `service_s` (points, 2) are what a batch costs by itself and for each request in it."""

    columns: Columns
    delay_s: np.ndarray
    target_s: float
    candidates: int
    service_s: np.ndarray
    batch_size: np.ndarray
    instances: np.ndarray
    demand: Demand
    judge: Callable[[int, int, int], bool]


def market(*, hardware: int, replicas: int = REPLICAS, delays: int = len(DELAYS_S), batches: int = BATCHES) -> Market:
    """Return the space on so many kinds of hardware, the same one each time. Bounds are worked out here and are part of a search's time."""
    random = np.random.default_rng(7)
    variant_s = 0.004 * np.sort(random.uniform(0.3, 1.0, VARIANTS))[::-1]
    speed = random.lognormal(0.5, 0.8, hardware)
    usd = 0.3 * speed**0.9 * random.lognormal(0.0, 0.35, hardware)
    fixed = random.uniform(0.5, 4.0, hardware)  # what a call costs by itself, in items
    shape = (VARIANTS, hardware, len(THREADS), len(INSTANCES), batches)
    v, h, t, i, b = (axis.ravel() for axis in np.indices(shape))
    threads, instances = np.array(THREADS, float)[t], np.array(INSTANCES, float)[i]
    batch = b + 1.0
    # Sixteen cores: what more threads than those are asked for slows everything down; threads of one call help less and less.
    crowding = np.maximum(threads * instances / 16.0, 1.0)
    item_s = variant_s[v] / speed[h] / threads**0.8 * crowding
    call_s = item_s * fixed[h]
    demand = _demand()
    columns = bound_columns(demand, usd[h], item_s, call_s, batch, instances, replicas, delays)
    points = len(batch)
    return Market(
        columns=columns,
        delay_s=DELAYS_S[:delays],
        target_s=TARGET_S,
        candidates=points * delays * replicas,
        service_s=np.column_stack([call_s, item_s]),
        batch_size=batch,
        instances=instances,
        demand=demand,
        judge=_judge(demand, np.column_stack([call_s, item_s]), batch, instances),
    )


def _demand() -> Demand:
    asked = OnlineWorkload(
        name="market",
        traffic=Traffic(requests_per_s=REQUESTS_PER_S),
        slo=Slo(latency_s=TARGET_S, quantile=QUANTILE),
        hardware=HardwareChoice(price_usd_per_hour={"local": 1.0}),
    )
    return Demand(asked, lengths=(None,), trace_s=None, trace_length=None)


def bound_columns(
    demand: Demand,
    usd: np.ndarray,
    item_s: np.ndarray,
    call_s: np.ndarray,
    batch: np.ndarray,
    instances: np.ndarray,
    replicas: int,
    delays: int,
) -> Columns:
    """Return the columns of the kernel: the bounds of advisor.decide.queue.bounds where a batch of b takes call_s + b * item_s."""
    streams = Streams(demand, QUANTILE)
    largest = np.clip(np.floor((TARGET_S - call_s) / item_s), 0, batch)  # the largest good batch
    alone_s = call_s + item_s
    least_s = call_s / batch + item_s
    good_s = np.where(largest > 0, call_s / np.maximum(largest, 1) + item_s, 1e30)
    load = REQUESTS_PER_S * least_s / instances
    for arrival_s in (run.arrival_s for run in streams.runs):
        first = warm_up(len(arrival_s))
        good = rank(QUANTILE, len(arrival_s) - first) + 1
        load = np.maximum(load, (good * good_s / instances - TARGET_S) / (arrival_s[-1] - arrival_s[first]))
    shift = np.searchsorted(SHIFTS, batch * instances)
    curves = [streams.curve(int(value)) for value in SHIFTS]
    steepness, offset, at_last = (np.array(part)[shift] for part in zip(*curves, strict=True))
    busy = REQUESTS_PER_S * least_s / instances
    beyond = np.floor(busy / LOADS[-1])
    is_open = (beyond >= 1) & (alone_s + beyond / REQUESTS_PER_S * at_last <= TARGET_S)
    load = np.where(is_open, load, np.maximum(load, np.maximum(busy, beyond)))
    fills = np.array([streams.fill_s(size + 1) for size in range(int(batch.max()))])
    points = len(batch)
    near = 1 - 1e-9  # bounds stay bounds when they are rounded
    return Columns(
        price_usd_per_hour=usd,
        load=load * near,
        busy=np.where(is_open, 0.0, busy) * near,
        floor_s=alone_s * near,
        queue_s=np.where(is_open, 0.0, steepness * busy**2 / REQUESTS_PER_S) * near * near,
        slack_s=np.where(is_open, 0.0, offset / REQUESTS_PER_S) / near,
        fill_s=fills[(batch - 1).astype(int)],
        max_replicas=np.full(points, replicas, dtype=np.intp),
        first_delay=np.zeros(points, dtype=np.intp),
        delays=np.full(points, delays, dtype=np.intp),
    )


def _judge(demand: Demand, service_s: np.ndarray, batch: np.ndarray, instances: np.ndarray) -> Callable[[int, int, int], bool]:
    """Return whether a candidate keeps the target in every run of the simulation, and servers rest."""
    one = np.ones(1)

    def judge(point: int, delay: int, replicas: int) -> bool:
        size = int(batch[point])
        table = np.ascontiguousarray((service_s[point, 0] + service_s[point, 1] * np.arange(1, size + 1))[:, None])
        if REQUESTS_PER_S * table[-1, 0] / size / instances[point] >= replicas:
            return False
        for seed in range(SEEDS):
            arrival_s, classes, _ = demand.stream(seed, replicas)
            first = warm_up(len(arrival_s))
            counted = len(arrival_s) - first
            if not queue_sim.keeps_target(
                arrival_s,
                classes,
                table,
                one,
                np.zeros(len(arrival_s)),
                instances=int(instances[point]),
                max_queue_delay_s=float(DELAYS_S[delay]),
                target_s=TARGET_S,
                warm_up=first,
                allowed=counted - 1 - rank(QUANTILE, counted),
            ):
                return False
        return True

    return judge


def simulated_quantile_s(space: Market, point: int, delay: int, replicas: int) -> float:
    """Return the quantile that `judge` holds against the target: the worst run's."""
    demand, size = space.demand, int(space.batch_size[point])
    table = np.ascontiguousarray((space.service_s[point, 0] + space.service_s[point, 1] * np.arange(1, size + 1))[:, None])
    if REQUESTS_PER_S * table[-1, 0] / size / space.instances[point] >= replicas:
        return 100 * TARGET_S
    found = []
    for seed in range(SEEDS):
        arrival_s, classes, _ = demand.stream(seed, replicas)
        latency_s, _, _ = queue_sim.simulate_queue(
            arrival_s, classes, table, np.ones(1), instances=int(space.instances[point]), max_queue_delay_s=float(DELAYS_S[delay])
        )
        found.append(quantiles(warm(latency_s), (QUANTILE,))[0])
    return float(max(found))
