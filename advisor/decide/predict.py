"""Configuration + demand -> latency, utilization and capacity, by simulating the queue in front of measured service times."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import product
from statistics import NormalDist

import msgspec
import numpy as np

from advisor.decide import day
from advisor.decide.candidates import Configuration
from advisor.decide.service_time import ServiceGrid, service_table
from advisor.kernels import queue_sim
from advisor.schema import Calibration, Estimate, Record, SequenceLength, Workload

SEEDS = 4
# So many requests beyond the quantile in each run, or of a day's busiest part in all runs together, that its sampling error stays
# at a few percent.
REQUESTS_BEYOND_QUANTILE = 120
MIN_REQUESTS = 10_000
MAX_REQUESTS = 400_000
WARM_UP_FRACTION = 0.05  # the queue starts empty, which no server in service does
# Requests are rounded to the nearest class: with so many, no quantile of latency is off by more than a few percent.
LENGTH_CLASSES = 64
# Service inside a server, beside a generator and a batcher, over service in the profile: runs of the same model differed by 0.91 to
# 1.15 where the machine was quiet (prototype, 36 runs, 2026-11); the load test replaces this assumption by a measurement.
SERVER_FACTOR = {"low": 0.95, "value": 1.0, "high": 1.15}
CAPACITY_STEPS = 8
MAX_STREAMS = 32  # kept for the next candidate: of all seeds, at a few numbers of replicas
ROUNDING = 1e-9  # the clock of a simulation runs for hours, and differences of its times lose digits
Z_95 = NormalDist().inv_cdf(0.95)


class Demand:
    """The requests that arrive: the same draws for every candidate, so that candidates differ by their configuration alone."""

    def __init__(
        self, workload: Workload, *, lengths: tuple[int | None, ...], trace_s: np.ndarray | None, trace_length: np.ndarray | None
    ) -> None:
        """`lengths` are the measured ones, ascending; `trace_s` (requests,) ascending arrival times, `trace_length` (requests,)."""
        self.trace_s = trace_s
        self.cv = workload.traffic.burstiness_cv
        self.slo = workload.slo
        self.rates = day.relative_rates(workload.traffic.diurnal) if workload.traffic.diurnal is not None else None
        beyond = REQUESTS_BEYOND_QUANTILE / (1 - workload.slo.quantile)
        if self.rates is not None:
            beyond = max(beyond, beyond / SEEDS / day.busiest_share(self.rates))
        self.requests = int(min(max(beyond, MIN_REQUESTS), MAX_REQUESTS))
        if trace_s is not None:
            self.requests = len(trace_s)
            self.requests_per_s = (len(trace_s) - 1) / float(trace_s[-1] - trace_s[0])
        else:
            self.requests_per_s = float(workload.traffic.requests_per_s or 0.0)
        self.busiest_requests_per_s = self.requests_per_s * (1.0 if self.rates is None else float(self.rates.max()))
        asked = workload.inputs.sequence_length if workload.inputs else None
        longest = int(trace_length.max()) if trace_length is not None else _longest(asked) if asked else 0
        self.lengths = _class_lengths(lengths, longest)
        self._fixed_class = _nearest_class(self.lengths, trace_length) if trace_length is not None else None
        self._asked = asked
        self._arrivals: dict[tuple[int, int, int], np.ndarray] = {}  # those in use: a search goes through hundreds of replicas
        self._classes: dict[int, np.ndarray] = {}

    def stream(
        self, seed: int, replicas: int, *, scale: float = 1.0, requests: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return arrival_s and size_class (requests,) at one of `replicas`, the whole stream `scale` times as dense.

        `requests` takes only so many from the beginning, or a whole day of only so many.

        Requests go to a replica drawn at random, so of a renewal process each replica sees every k-th gap sum, k geometric.
        """
        if self.trace_s is not None:
            arrival_s, classes = self._trace(seed, replicas)
            return arrival_s[:requests] / scale, classes[:requests]
        drawn = self.requests if requests is None or self.rates is None else min(requests, self.requests)
        key = (seed, replicas, drawn)
        if key not in self._arrivals:
            gaps = self._gaps(seed, replicas, drawn)
            if self.rates is not None:
                gaps = day.gaps_of_day(gaps, self.rates, warm_up=_warm_up(drawn), mean_gap=replicas)
            if len(self._arrivals) == MAX_STREAMS:
                del self._arrivals[next(iter(self._arrivals))]
            self._arrivals[key] = np.cumsum(gaps) / self.requests_per_s
        arrival_s = self._arrivals[key][:requests]
        return arrival_s if scale == 1.0 else arrival_s / scale, self._size_classes(seed)[: len(arrival_s)]

    def busiest(self, seed: int, replicas: int) -> tuple[np.ndarray, np.ndarray]:
        """Return arrival_s and size_class (requests,) at one of `replicas` as if the busiest part of the day did not end."""
        if self.rates is None:
            return self.stream(seed, replicas)
        arrival_s = np.cumsum(self._gaps(seed, replicas, self.requests)) / self.busiest_requests_per_s
        return arrival_s, self._size_classes(seed)

    def in_busiest(self, requests: int) -> np.ndarray | None:
        """Return which of the requests after the warm-up (requests,) come in the busiest part of the day, None without parts."""
        return None if self.rates is None else self.rates[day.parts(self.rates, requests)] == self.rates.max()

    def _gaps(self, seed: int, replicas: int, requests: int) -> np.ndarray:
        """Return gaps between requests (requests,) at one of `replicas`, over the mean gap between all requests."""
        random = np.random.default_rng((seed, 1))
        if self.cv == 1.0:
            # A geometric sum of exponentials is exponential: one draw serves every number of replicas.
            return random.standard_exponential(requests) * replicas
        shape = 1.0 / self.cv**2
        kept = random.geometric(1.0 / replicas, requests) if replicas > 1 else 1
        return random.standard_gamma(shape * kept, requests) / shape

    def _size_classes(self, seed: int) -> np.ndarray:
        if seed not in self._classes:
            self._classes[seed] = _drawn_classes(self._asked, self.lengths, self.requests, np.random.default_rng((seed, 2)))
        return self._classes[seed]

    def _trace(self, seed: int, replicas: int) -> tuple[np.ndarray, np.ndarray]:
        assert self.trace_s is not None
        mine = np.random.default_rng((seed, 1, replicas)).integers(replicas, size=len(self.trace_s)) == 0
        mine[0] = True  # a stream is never empty
        classes = self._size_classes(seed) if self._fixed_class is None else self._fixed_class
        return self.trace_s[mine] - self.trace_s[0], classes[mine]

    def sure_class(self, quantile: float) -> int:
        """Return the class that more than 1 - quantile of the requests reach in every run: the quantile is at least their latency.

        Requests of the warm-up do not count, as they do not count in the quantile.
        """
        return int(min(quantiles(_warm(run), (quantile,))[0] for run in self._class_runs()))

    @cached_property
    def class_shares(self) -> np.ndarray:
        """The share of requests in each class (classes,)."""
        runs = self._class_runs()
        return np.bincount(np.concatenate(runs), minlength=len(self.lengths)) / sum(map(len, runs))

    def _class_runs(self) -> list[np.ndarray]:
        return [self._fixed_class] if self._fixed_class is not None else [self._size_classes(seed) for seed in range(SEEDS)]


def _longest(asked: SequenceLength) -> int:
    return asked.max or asked.p95 or asked.p50


def _class_lengths(measured: tuple[int | None, ...], longest: int) -> tuple[int | None, ...]:
    """Return the lengths that stand for all: from the shortest that was measured to the longest that was measured or is asked for."""
    known = [length for length in measured if length is not None]
    if not known:
        return (None,)
    grid = np.geomspace(known[0], max(known[-1], longest), LENGTH_CLASSES)
    return tuple(sorted({round(length) for length in grid}))


def _nearest_class(lengths: tuple[int | None, ...], asked: np.ndarray) -> np.ndarray:
    known = np.array([length or 1 for length in lengths], dtype=float)
    edges = np.sqrt(known[1:] * known[:-1])
    return np.searchsorted(edges, asked).astype(np.intp)


def _drawn_classes(
    asked: SequenceLength | None, lengths: tuple[int | None, ...], requests: int, random: np.random.Generator
) -> np.ndarray:
    """Draw lengths from the lognormal law through p50 and p95, cut at the longest."""
    if asked is None or len(lengths) == 1:
        return np.zeros(requests, dtype=np.intp)
    sigma = math.log((asked.p95 or asked.p50) / asked.p50) / Z_95
    drawn = asked.p50 * np.exp(sigma * random.standard_normal(requests))
    return _nearest_class(lengths, np.minimum(drawn, _longest(asked)))


class Run(Record, frozen=True, kw_only=True):
    """One simulated run; latencies (requests,) are those after its warm-up, batches (max_batch_size,) counts those of b at b - 1."""

    latency_s: np.ndarray
    batches: np.ndarray
    utilization: float
    throughput_requests_per_s: float  # of all replicas


class Outcome(Record, frozen=True, kw_only=True):
    """What the simulation says of one configuration at one end of the service interval; the first axis is that of the seeds."""

    quantiles_s: np.ndarray  # (seeds, quantiles)
    busiest_s: np.ndarray | None  # (seeds,) the target's quantile in the busiest part of the day
    goodput: np.ndarray  # (seeds,) share of requests within the target
    utilization: np.ndarray  # (seeds,)
    throughput_requests_per_s: np.ndarray  # (seeds,)
    batches: np.ndarray  # (max_batch_size,) of all seeds


class Simulator:
    """Runs configurations under one demand; service tables are computed once each."""

    def __init__(
        self,
        demand: Demand,
        grids: dict[tuple[str, int, int], ServiceGrid],
        calibrations: tuple[Calibration, ...],
        trial: Calibration | None,
    ) -> None:
        """`calibrations` are what load tests have taught of service inside a server.

        Elsewhere SERVER_FACTOR is assumed of the call, and what the `trial` saw of everything beside it.
        """
        self.demand = demand
        self.grids = grids
        self._calibrations = {(entry.variant, entry.intra_op_num_threads, entry.instances): entry for entry in calibrations}
        self._trial = trial
        self._tables: dict[tuple[str, int, int, int, str], np.ndarray] = {}
        self._bounds: dict[tuple[str, int, int, int, float], tuple[float, float]] = {}
        self._factors: dict[tuple[tuple[str, int, int], int], np.ndarray] = {}

    def grid(self, configuration: Configuration) -> ServiceGrid:
        """Return what was measured of the configuration's variant under its setting."""
        return self.grids[configuration.variant, configuration.intra_op_num_threads, configuration.instances]

    def table(self, configuration: Configuration, end: str) -> np.ndarray:
        """Return seconds that a batch keeps an instance busy (max_batch_size, classes) at one end of the interval, inside a server."""
        grid = self.grid(configuration)
        key = (*_setting(grid), configuration.max_batch_size, end)
        if key not in self._tables:
            call_s = service_table(grid, configuration.max_batch_size, self.demand.lengths, end=end)
            known, seen = self._calibrations.get(_setting(grid)), self._overhead(grid)
            ratio = SERVER_FACTOR[end] if known is None else getattr(known.call_ratio, end)
            beside_s = 0.0
            if seen is not None:
                sizes = np.arange(1, configuration.max_batch_size + 1)[:, None]
                beside_s = getattr(seen.per_batch_s, end) + getattr(seen.per_request_s, end) * sizes
            if known is not None:
                ratio = ratio * np.interp(np.log(call_s), np.log(known.call_lengths_s), known.call_factors)
            table = call_s * ratio + beside_s
            # As in service_table: what the bounds of the search rely on.
            self._tables[key] = np.ascontiguousarray(np.maximum.accumulate(np.maximum.accumulate(table, axis=0), axis=1))
        return self._tables[key]

    def _overhead(self, grid: ServiceGrid) -> Calibration | None:
        return self._calibrations.get(_setting(grid), self._trial)

    def _spread(self, grid: ServiceGrid) -> tuple[float, ...]:
        """Return single batches over their median, ascending: as a server saw them, or else as the profile did."""
        known = self._calibrations.get(_setting(grid))
        return grid.spread if known is None else known.spread

    def _transit_s(self, grid: ServiceGrid, requests: int, seed: int) -> np.ndarray:
        """Return the seconds (requests,) that each takes to its place in the queue."""
        seen = self._overhead(grid)
        if seen is None:
            return np.zeros(requests)
        return np.resize(np.random.default_rng((seed, 4)).permutation(seen.transit_s), requests)

    def bounds(self, configuration: Configuration, quantile: float) -> tuple[float, float]:
        """Return lower bounds of one replica's seconds per request and of the latency quantile.

        A request in a batch costs at least its own class's least seconds per item, since tables rise with the class; its latency is at
        least its own class's single call, since tables rise with the batch. Both hold at the upper end of the service interval, at
        which feasibility is judged; the mean spread is taken for work and, with batches, the least for latency.
        """
        grid = self.grid(configuration)
        key = (*_setting(grid), configuration.max_batch_size, quantile)
        if key not in self._bounds:
            work_s = self._work_s(configuration, "high") / configuration.instances
            self._bounds[key] = (work_s, self._floor_s(configuration, quantile) * (1 - ROUNDING))
        return self._bounds[key]

    def _floor_s(self, configuration: Configuration, quantile: float) -> float:
        """Return the least that the latency quantile can be, however many replicas share the load."""
        grid = self.grid(configuration)
        seen = self._overhead(grid)
        alone_s = self.table(configuration, "high")[0]
        transit_s = 0.0 if seen is None else seen.transit_s[0]
        if configuration.max_batch_size > 1 or self.demand.trace_s is not None:
            return float(alone_s[self.demand.sure_class(quantile)]) * self._spread(grid)[0] + transit_s
        # Without batching the k-th request takes the k-th draw whoever serves it, so its time on an idle server is known.
        floors = []
        for seed in range(SEEDS):
            _, size_class = self.demand.stream(seed, 1)
            service_s = alone_s[size_class] * np.resize(self._service_factor(grid, seed), len(size_class))
            floors.append(quantiles(_warm(service_s), (quantile,))[0])
        return float(min(floors)) + transit_s

    def _work_s(self, configuration: Configuration, end: str) -> float:
        """Return the least seconds of service per request, each in the batch that suits its class best."""
        table = self.table(configuration, end)
        per_item = (table / np.arange(1, len(table) + 1)[:, None]).min(axis=0)
        return float(per_item @ self.demand.class_shares) * float(np.mean(self._spread(self.grid(configuration))))

    def _service_factor(self, grid: ServiceGrid, seed: int) -> np.ndarray:
        key = (_setting(grid), seed)
        if key not in self._factors:
            spread = np.array(self._spread(grid))
            self._factors[key] = spread[np.random.default_rng((seed, 3)).integers(len(spread), size=4096)]
        return self._factors[key]

    def keeps_up(self, configuration: Configuration, replicas: int, end: str, *, scale: float = 1.0) -> bool:
        """Return whether the busiest part of the day leaves the servers a rest, in the batches that suit them best.

        Without one a queue grows as long as the part lasts, far longer than a simulated day shows.
        """
        work_s = self._work_s(configuration, end) / configuration.instances
        return scale * self.demand.busiest_requests_per_s * work_s / replicas < 1

    def run(
        self, configuration: Configuration, replicas: int, end: str, seed: int, *, scale: float = 1.0, requests: int | None = None
    ) -> Run:
        """Return one run; `scale` makes the stream so many times as dense, `requests` takes only so many."""
        arrival_s, size_class = self.demand.stream(seed, replicas, scale=scale, requests=requests)
        run = self.replay(configuration, arrival_s, size_class, end, seed)
        return msgspec.structs.replace(
            run, latency_s=_warm(run.latency_s), throughput_requests_per_s=replicas * run.throughput_requests_per_s
        )

    def replay(self, configuration: Configuration, arrival_s: np.ndarray, size_class: np.ndarray, end: str, seed: int) -> Run:
        """Return the run of these very requests at one replica, its latencies those of all of them (requests,)."""
        grid = self.grid(configuration)
        seen = self._overhead(grid)
        latency_s, histogram, busy_s = queue_sim.simulate_queue(
            arrival_s,
            size_class,
            self.table(configuration, end),
            self._service_factor(grid, seed),
            instances=configuration.instances,
            max_queue_delay_s=configuration.max_queue_delay_s,
            wake_s=0.0 if seen is None else getattr(seen.wake_s, end),
        )
        # The last batches leave last, but for those that overtake them on another instance.
        last = configuration.max_batch_size * (configuration.instances + 1)
        span = max(float((arrival_s[-last:] + latency_s[-last:]).max()) - float(arrival_s[0]), np.finfo(float).tiny)
        return Run(
            latency_s=latency_s + self._transit_s(grid, len(latency_s), seed),
            batches=histogram,
            # Rounding of sums may leave a server that never rests a hair more than fully busy.
            utilization=min(busy_s / (configuration.instances * span), 1.0),
            throughput_requests_per_s=len(latency_s) / span,
        )

    def meets(self, configuration: Configuration, replicas: int, *, quantile: float, target_s: float) -> bool:
        """Return whether servers keep up, and the quantile is within the target at every end of the service interval in every run.

        The upper end is what misses, if any: faster calls may form other batches, but seldom keep anybody waiting longer.
        """
        runs = product(("high", "value", "low"), range(SEEDS))
        return self.keeps_up(configuration, replicas, "high") and all(
            self._reaches(configuration, replicas, end, seed, quantile) <= target_s for end, seed in runs
        )

    def _reaches(
        self, configuration: Configuration, replicas: int, end: str, seed: int, quantile: float, *, scale: float = 1.0
    ) -> float:
        run = self.run(configuration, replicas, end, seed, scale=scale)
        return float(quantiles(run.latency_s, (quantile,))[0])

    def outcome(self, configuration: Configuration, replicas: int, end: str, wanted: Sequence[float]) -> Outcome:
        """Return the wanted quantiles and what else the runs of all seeds say."""
        runs = [self.run(configuration, replicas, end, seed) for seed in range(SEEDS)]
        slo, busiest = self.demand.slo, self.demand.in_busiest(len(runs[0].latency_s))
        return Outcome(
            quantiles_s=np.array([quantiles(run.latency_s, wanted) for run in runs]),
            busiest_s=None
            if busiest is None
            else np.array([quantiles(run.latency_s[busiest], (slo.quantile,))[0] for run in runs]),
            goodput=np.array([np.mean(run.latency_s <= slo.latency_s) for run in runs]),
            utilization=np.array([run.utilization for run in runs]),
            throughput_requests_per_s=np.array([run.throughput_requests_per_s for run in runs]),
            batches=np.sum([run.batches for run in runs], axis=0),
        )

    def capacity_requests_per_s(
        self, configuration: Configuration, replicas: int, *, quantile: float, target_s: float
    ) -> Estimate | None:
        """Return the highest rate at which the quantile is within the target, by bisection over the density of the same draws.

        None where not even the thinnest traffic meets it. The lower end holds in every run, as `meets` demands.
        """
        seeds = {"high": SEEDS, "value": 1, "low": 1}
        found = {end: self._capacity(configuration, replicas, end, seeds[end], quantile, target_s) for end in seeds}
        if found["value"] == 0.0:
            return None
        return Estimate(
            value=found["value"],
            low=min(found["high"], found["value"]),
            high=max(found["low"], found["value"]),
            basis="simulated",
            source=f"bisection of the simulated rate at which p{100 * quantile:g} reaches {target_s:g} s",
        )

    def _capacity(
        self, configuration: Configuration, replicas: int, end: str, seeds: int, quantile: float, target_s: float
    ) -> float:
        def holds(scale: float) -> bool:
            reached = (self._reaches(configuration, replicas, end, seed, quantile, scale=scale) for seed in range(seeds))
            return self.keeps_up(configuration, replicas, end, scale=scale) and all(
                latency_s <= target_s for latency_s in reached
            )

        # Full utilization is an upper bound; how far below it the target holds is what is sought.
        limit = replicas * configuration.instances / self._work_s(configuration, end) / self.demand.busiest_requests_per_s
        # Today's traffic is asked first: where thinner traffic waits longer for batches to fill, halving would pass it by.
        low, high = (1.0, max(limit, 1.0)) if holds(1.0) else (0.0, min(limit, 1.0))
        for _ in range(CAPACITY_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if holds(middle) else (low, middle)
        return float(low * self.demand.requests_per_s)


def _setting(grid: ServiceGrid) -> tuple[str, int, int]:
    return (grid.variant, grid.intra_op_num_threads, grid.instances)


def _warm(values: np.ndarray) -> np.ndarray:
    """Return what is left of a run's requests after its warm-up."""
    return values[_warm_up(len(values)) :]


def _warm_up(requests: int) -> int:
    return int(WARM_UP_FRACTION * requests)


def quantiles(latency_s: np.ndarray, wanted: Sequence[float]) -> np.ndarray:
    """Return the order statistics at the wanted quantiles: the smallest latency that at least so many of the requests keep."""
    ranks = [min(max(math.ceil(quantile * len(latency_s)) - 1, 0), len(latency_s) - 1) for quantile in wanted]
    return np.asarray(np.partition(latency_s, sorted(set(ranks)))[ranks])
