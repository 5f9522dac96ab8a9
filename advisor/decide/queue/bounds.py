"""Lower bounds of what a configuration needs, proved for the runs that decide feasibility: what they exclude fails in simulation too.

A run is one stream of requests at one replica with one end of the service interval; a candidate is feasible only if it keeps the target in
every run, so a bound that one run breaks excludes it. Written down here for the upper end. Let a batch of b requests, the largest of
class c, last at least f t(b, c): t is the table, which rises with b and c, and f the least factor of the spread; waking up only adds. Let T
be the target less the least transit, q the quantile, and n the requests of a run that count.

Way. Requests are in the queue their transit after they arrive, and none overtakes another. Below, let all be as quick as the quickest: the
queue then starts no batch later, and no latency counted from the arrival is longer. A timer that ends late only makes delays longer.

Rest. `Simulator.meets` asks that the busiest part of the day leave servers a rest: replicas > load.

Good batches. At least ceil(q n) requests are good, that is, answered within T, so each is in a batch with f t(b, its class) <= T, of which
its part of the time is at least g(class) = f min t(b, class) / b over such b. Batches with a good request begin after the first request
that counts has come, and end no later than T after the last; on i instances they fill i (span + T) at most. So the sum of the ceil(q n)
least g over the requests that count is at most i (span + T). Where streams are drawn once and stretched by the replicas, the span is
proportional to them, and this is a least number of replicas.

Filling. Of every batch of at most B requests the first waits min(delay, until B - 1 more have come). Requests that count make at least
ceil((n - B + 1) / B) such batches. More than n - ceil(q n) of these firsts find that B - 1 more take y, or longer, where y is the order
statistic of these gaps at (batches - late allowed - 1): so many at most are below it. So the quantile is at least min(delay, y) and a
single request's time.

Queue. When a batch begins, all before its requests have begun, and those not finished are in at most i - 1 batches: so of the first k
requests, k - i B are finished when the k-th begins. A request takes w = f min t(b, c) / b of one instance at least, so a single server
that takes w / i for each request, one by one and never resting while any waits, has done no less work by any time; when the k-th begins,
it has finished with the (k - i B)-th, at D(k - i B). So a latency is at least D(k - i B) less the arrival of the k-th, and a single
request's time. D depends on the load alone when time is counted in gaps between requests, and rises with it. In gaps let F(load) be the
quantile of that wait, the largest over runs. It is taken at a few loads, and a curve k x^2 / (1 - x) - s is laid below it: below at each
of them what it has become at the next, and so everywhere up to the last. Beyond the last load F itself is taken.
"""

import math
import sys
from typing import NamedTuple

import numpy as np

from advisor.decide.queue.demand import SEEDS, Demand, rank, warm, warm_up
from advisor.decide.queue.simulator import ROUNDING, Simulator
from advisor.decide.queue.space import Configuration

LOADS = (0.5, 0.6, 0.7, 0.8, 0.86, 0.9, 0.93, 0.96, 0.98)
OFFSETS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # of the curve, in gaps; the one that is nearest to F is taken


class Bound(NamedTuple):
    """The bounds of one point: one row of the search kernel's `Columns`, where each field is explained."""

    load: float
    busy: float
    floor_s: float
    queue_s: float
    slack_s: float
    fill_s: float


class Curve(NamedTuple):
    """F from below, in gaps: steepness * x^2 / (1 - x) - offset up to the last of LOADS, and `at_last` from there on."""

    steepness: float
    offset: float
    at_last: float


class Bounds:
    """The bounds of configurations under one demand and target; each is worked out once, for they do not depend on the delay."""

    def __init__(self, simulator: Simulator, *, quantile: float, target_s: float, streams: "Streams | None" = None) -> None:
        """Streams that are not stretched by the replicas (traces, bursts, many items) have the first bound and the least latency alone.

        `streams` are those of this demand and quantile, if somebody has them already.
        """
        self.simulator = simulator
        self.quantile = quantile
        self.target_s = target_s
        self.streams = streams or streams_of(simulator.demand, quantile)
        self._known: dict[tuple[str, int, int, int], Bound] = {}

    def of(self, configuration: Configuration) -> Bound:
        """Return the bounds of a configuration."""
        key = (
            configuration.variant,
            configuration.intra_op_num_threads,
            configuration.instances,
            configuration.max_batch_size,
        )
        if key not in self._known:
            self._known[key] = self._bound(configuration)
        return self._known[key]

    def _bound(self, configuration: Configuration) -> Bound:
        work_s, floor_s = self.simulator.bounds(configuration, self.quantile)
        load = self.simulator.demand.busiest_requests_per_s * work_s
        if floor_s > self.target_s or self.streams is None:
            return Bound(load=load, busy=0.0, floor_s=floor_s, queue_s=0.0, slack_s=0.0, fill_s=0.0)
        table_s = self.simulator.table(configuration, "high") * self.simulator.factors(configuration)[0] * (1 - ROUNDING)
        transit_s = self.simulator.least_transit_s(configuration)
        target_s = (self.target_s - transit_s) * (1 + ROUNDING)
        load = max(load, _good_batches(self.streams, table_s, configuration.instances, target_s) * (1 - ROUNDING))
        alone_s = float(table_s[0, 0]) + transit_s
        least_s = float((table_s[:, 0] / np.arange(1, len(table_s) + 1)).min())
        load, busy, queue_s, slack_s = self._queue(self.streams, least_s, configuration, alone_s, load)
        return Bound(
            load=load,
            busy=busy,
            floor_s=alone_s,
            queue_s=queue_s,
            slack_s=slack_s,
            fill_s=self.streams.fill_s(configuration.max_batch_size),
        )

    def _queue(
        self, streams: "Streams", least_s: float, configuration: Configuration, alone_s: float, load: float
    ) -> tuple[float, float, float, float]:
        """Return load, busy, queue_s and slack_s: the load raised by what F says at the last of LOADS, the curve from there on."""
        rate = self.simulator.demand.requests_per_s
        busy = rate * least_s / configuration.instances * (1 - ROUNDING)
        curve = streams.curve(configuration.instances * configuration.max_batch_size)
        replicas = math.floor(busy / LOADS[-1])
        # Up to so many replicas the load is beyond the last of LOADS. Where that many miss the target, fewer do as well.
        if replicas >= 1 and alone_s + replicas / rate * curve.at_last * (1 - ROUNDING) <= self.target_s:
            return load, 0.0, 0.0, 0.0
        queue_s = curve.steepness * busy * busy / rate * (1 - ROUNDING)
        return max(load, busy, float(replicas)), busy, queue_s, curve.offset / rate * (1 + ROUNDING)


def _good_batches(streams: "Streams", table_s: np.ndarray, instances: int, target_s: float) -> float:
    """Return how many replicas are needed at least for as many requests as have to be good."""
    per_item_s = table_s / np.arange(1, len(table_s) + 1)[:, None]
    least_s = np.where(table_s <= target_s, per_item_s, np.inf).min(axis=0)
    needed = 0.0
    for arrival_s, size_class, _ in streams.runs:
        counted = np.bincount(warm(size_class), minlength=len(least_s))
        good = rank(streams.quantile, int(counted.sum())) + 1
        cheapest_first = np.argsort(least_s, kind="stable")
        taken = np.diff(np.minimum(np.cumsum(counted[cheapest_first]), good), prepend=0)
        used = taken > 0
        work_s = float(taken[used] @ least_s[cheapest_first][used])
        span_s = float(arrival_s[-1] - arrival_s[warm_up(len(arrival_s))])
        if span_s > 0:
            needed = max(needed, (work_s / instances - target_s) / span_s)
    return min(needed, sys.float_info.max)


def streams_of(demand: Demand, quantile: float) -> "Streams | None":
    """Return the streams of a demand, None if they are not stretched by the replicas."""
    return Streams(demand, quantile) if demand.is_stretched else None


class Streams:
    """What the streams of a demand prove by themselves, at one replica; they are stretched by the replicas."""

    def __init__(self, demand: Demand, quantile: float) -> None:
        """The demand must be one whose streams are stretched."""
        self.quantile = quantile
        self.requests_per_s = demand.requests_per_s
        self.runs = [demand.stream(seed, 1) for seed in range(SEEDS)]
        self._fills: dict[int, float] = {}
        self._curves: dict[int, Curve] = {}

    def fill_s(self, max_batch_size: int) -> float:
        """Return y of one replica."""
        if max_batch_size not in self._fills:
            found = 0.0
            for arrival_s, _, _ in self.runs if max_batch_size > 1 else []:
                first = warm_up(len(arrival_s))
                counted = len(arrival_s) - first
                batches = -(-(counted - max_batch_size + 1) // max_batch_size)
                place = batches - (counted - 1 - rank(self.quantile, counted)) - 1
                if place < 0:
                    continue
                # The last requests wait for others that never come: for the whole delay, so they are left out as the longest.
                gaps_s = arrival_s[first + max_batch_size - 1 :] - arrival_s[first : len(arrival_s) - max_batch_size + 1]
                if place < len(gaps_s):
                    found = max(found, float(np.partition(gaps_s, place)[place]))
            self._fills[max_batch_size] = found * (1 - ROUNDING)
        return self._fills[max_batch_size]

    def curve(self, shift: int) -> Curve:
        """Return F from below for requests that may be as many as `shift` behind."""
        if shift not in self._curves:
            waits = np.array([max(self._wait(load, shift, stream.arrival_s) for stream in self.runs) for load in LOADS])
            loads = np.array(LOADS)
            shape = loads[1:] ** 2 / (1 - loads[1:])
            # Below the first of LOADS the curve has to be below 0.
            start = loads[0] ** 2 / (1 - loads[0])
            fits = []
            for offset in OFFSETS:
                steepness = min(float(((waits[:-1] + offset) / shape).min()), offset / start)
                below = np.maximum(steepness * shape - offset, 0.0)
                fits.append((float(below.sum()), steepness, offset))
            _, steepness, offset = max(fits, key=lambda fit: fit[0])
            self._curves[shift] = Curve(steepness=steepness, offset=offset, at_last=float(waits[-1]))
        return self._curves[shift]

    def _wait(self, load: float, shift: int, arrival_s: np.ndarray) -> float:
        """Return the quantile, in gaps, of the wait that no request of the run can be without at a load."""
        arrival = arrival_s * self.requests_per_s
        if len(arrival) <= shift:
            return 0.0
        done = load * np.arange(1, len(arrival) + 1)
        finished = done + np.maximum.accumulate(arrival - done + load)
        wait = np.zeros(len(arrival))
        wait[shift:] = np.maximum(finished[: len(arrival) - shift] - arrival[shift:], 0.0)
        counted = warm(wait)
        place = rank(self.quantile, len(counted))
        return float(np.partition(counted, place)[place])
