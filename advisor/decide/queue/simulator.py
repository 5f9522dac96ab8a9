"""Configuration + demand -> latency, utilization and capacity, by simulating the queue in front of measured service times."""

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import msgspec
import numpy as np

from advisor.decide.queue.demand import SEEDS, Demand, quantiles, rank, warm, warm_up
from advisor.decide.queue.items import Requests, least_s, per_item_s
from advisor.decide.queue.runs import Outcome, Run, of_stretches
from advisor.decide.queue.space import Configuration
from advisor.decide.service.in_server import call_in_server_s, spread_at, way_s
from advisor.decide.service.measured import ServiceGrid, Setting, service_table, setting_of
from advisor.decide.service.stalls import SIDE, StallProcess, begun, delay_s, kept_draws
from advisor.kernels import queue_sim
from advisor.schema.profile import Calibration
from advisor.schema.record import Estimate

USUAL_CONFIDENCE = 0.95  # of either end of a 90 % interval
MIDDLE_CONFIDENCE = 0.5  # calls take what is most likely
FAR_MORE = 2.0  # late requests than may be, so that work alone settles it
LEAST_CONFIDENCE = 1 - USUAL_CONFIDENCE  # calls are as quick as the interval allows
OTHER_SIDE = {"low": "high", "value": "value", "high": "low"}
CORES_OF_WAY = 2  # that send a request and that put it into the queue
SERVER_STREAM, WAY_STREAM = 5, 6  # of random numbers
ROUNDING = 1e-9  # the clock of a simulation runs for hours, and differences of its times lose digits


class Simulator:
    """Runs configurations under one demand; service tables are computed once each."""

    def __init__(
        self,
        demand: Demand,
        grids: dict[tuple[str, int, int], ServiceGrid],
        calibrations: tuple[Calibration, ...],
        trial: Calibration | None,
        *,
        confidence: float = USUAL_CONFIDENCE,
        stalls: StallProcess | None = None,
        quota_cores: float | None = None,
        is_server_known: bool = False,
    ) -> None:
        """`stalls` are those of each core: runs that are asked for `with_stalls` have them. A search has none.

        `quota_cores` is the processor time that a replica may use, in cores. `calibrations` are what load tests have taught of service
        inside a server; elsewhere the `trial` is taken, with SERVER_FACTOR within its interval; without one, SERVER_FACTOR alone.
        `confidence` is that of the upper end. With less than a half that lies on the side of the quick calls: at LEAST_CONFIDENCE it is
        what the lower end usually is. If `is_server_known`, intervals are those of calls alone, what a server adds is at its value.
        """
        self.demand = demand
        self.grids = grids
        # Margins are those of a normal law in logarithms.
        self._stretch = NormalDist().inv_cdf(confidence) / NormalDist().inv_cdf(USUAL_CONFIDENCE)
        self._calibrations = {setting_of(entry): entry for entry in calibrations}
        self._trial = trial
        self.stalls = stalls
        self.quota_cores = quota_cores
        self._is_server_known = is_server_known
        self._tables: dict[tuple[str, int, int, str], np.ndarray] = {}
        self._works: dict[tuple[str, int, int, int, str], float] = {}
        self._bounds: dict[tuple[str, int, int, int, float], tuple[float, float]] = {}
        self._factors: dict[tuple[Setting, int, str], np.ndarray] = {}
        self._spreads: dict[tuple[Setting, str], np.ndarray] = {}
        # Few ways were observed, and runs differ: their quantiles have an interval of their own, which is what a server adds.
        self._way_errors = {end: 0.0 if is_server_known else side * self._stretch for end, side in SIDE.items()}
        known = (*calibrations, *(() if trial is None else (trial,)))
        self._ways_s = {
            (id(it), end): way_s(np.array(it.transit_s), errors) for it in known for end, errors in self._way_errors.items()
        }
        self._held_up_s = {id(it): np.array(it.hold_up_s) for it in known if it.hold_up_s}
        self._stalled = kept_draws(stalls)
        self._busiest: dict[tuple[Configuration, int, str, float], float] = {}

    def grid(self, configuration: Configuration) -> ServiceGrid:
        """Return what was measured of the configuration's variant under its setting."""
        return self.grids[setting_of(configuration)]

    def table(self, configuration: Configuration, end: str) -> np.ndarray:
        """Return seconds that a batch keeps an instance busy (max_batch_size, classes) at one end of the interval, inside a server."""
        rows = configuration.max_batch_size
        key = (*setting_of(configuration), end)
        if key not in self._tables or len(self._tables[key]) < rows:
            # What a batch takes does not depend on how many more it might hold: a table of more rows begins with that of fewer.
            grid = self.grid(configuration)
            self._tables[key] = self._table(grid, max(rows, grid.max_batch_size), end)
        return self._tables[key][:rows]

    def _table(self, grid: ServiceGrid, rows: int, end: str) -> np.ndarray:
        side = self._side(end)
        overhead, in_server = self._overhead(grid), "value" if self._is_server_known else side
        is_own, beside_s = setting_of(grid) in self._calibrations, 0.0
        middle_s, call_s = (self._call_s(grid, rows, at) for at in ("value", side))
        if overhead is not None:
            per_batch_s, per_request_s = (getattr(it, in_server) for it in (overhead.per_batch_s, overhead.per_request_s))
            beside_s = per_batch_s + per_request_s * np.arange(1, rows + 1)[:, None]
        table = call_in_server_s(overhead, middle_s, call_s, in_server, is_own=is_own) + beside_s
        if end != "value" and abs(self._stretch) != 1.0:
            middle = self._table(grid, rows, "value")
            table = middle * (table / middle) ** abs(self._stretch)
        # As in service_table: what the bounds of the search rely on.
        return np.ascontiguousarray(np.maximum.accumulate(np.maximum.accumulate(table, axis=0), axis=1))

    def _side(self, end: str) -> str:
        """Return the side of the reported interval on which this end lies."""
        return end if self._stretch > 0 else OTHER_SIDE[end]

    def _at(self, estimate: Estimate, end: str) -> float:
        """Return a figure that is added to a call at this end."""
        at, stretch = float(getattr(estimate, self._side(end))), 1.0 if end == "value" else abs(self._stretch)
        return at if stretch == 1.0 else max(0.0, estimate.value + (at - estimate.value) * stretch)

    def _call_s(self, grid: ServiceGrid, size: int, side: str) -> np.ndarray:
        """Return seconds of a call (size, classes) in the profile, on one side of its interval.

        Calls as long as a load test saw have the interval that was observed there: that of the profile is not counted beside it.
        """
        lengths = self.demand.lengths
        call_s, observed = service_table(grid, size, lengths, end=side), self._calibrations.get(setting_of(grid))
        if side == "value" or observed is None:
            return call_s
        middle_s, seen_s = service_table(grid, size, lengths, end="value"), observed.call_lengths_s
        was_seen = (middle_s >= min(seen_s) * (1 - ROUNDING)) & (middle_s <= max(seen_s) * (1 + ROUNDING))
        return np.where(was_seen, middle_s, call_s)

    def _overhead(self, grid: ServiceGrid) -> Calibration | None:
        return self._calibrations.get(setting_of(grid), self._trial)

    def _spread(self, grid: ServiceGrid, end: str) -> np.ndarray:
        """Return single batches over what is said of them at this end."""
        key = (setting_of(grid), end)
        if key not in self._spreads:
            slower = self._table(grid, 1, end)[0] / self._table(grid, 1, "value")[0]
            self._spreads[key] = spread_at(self._overhead(grid), grid.spread, float(np.median(slower)))
        return self._spreads[key]

    def _queued_s(
        self, grid: ServiceGrid, requests: Requests, seed: int, end: str, *, with_stalls: bool = False, stretch: Hashable = None
    ) -> np.ndarray:
        """Return the moments (items,) at which items are in the queue: no request overtakes another, and its items come together.

        Their ways are those at this end of the interval; `with_stalls` they meet stalls as well. What has the name `stretch` is the
        same for all candidates.
        """
        overhead = self._overhead(grid)
        if overhead is None:
            return requests.arrival_s
        if stretch is not None:
            known = (stretch, id(overhead), id(self.stalls), self._way_errors[end], seed, end if with_stalls else None)
            return self.demand.shelf.array(known, lambda: self._queued_s(grid, requests, seed, end, with_stalls=with_stalls))
        queued_s = requests.sent_s + np.resize(begun(self._ways_s[id(overhead), end], seed), requests.total)
        stalls = self._stalled(CORES_OF_WAY, seed, end, WAY_STREAM) if with_stalls else None
        if stalls is not None:
            queued_s = queued_s + delay_s(queued_s, stalls)
        return requests.spread_out(np.asarray(np.maximum.accumulate(queued_s)))

    def bounds(self, configuration: Configuration, quantile: float) -> tuple[float, float]:
        """Return lower bounds of one replica's seconds per request and of the latency quantile.

        A request in a batch costs at least its own class's least seconds per item, since tables rise with the class; its latency is at
        least its own class's single call, since tables rise with the batch. Both hold at the upper end of the service interval, at
        which feasibility is judged; the mean spread is taken for work and, with batches, the least for latency.
        """
        key = (*setting_of(configuration), configuration.max_batch_size, quantile)
        if key not in self._bounds:
            work_s = self.work_s(configuration, "high") / configuration.instances
            self._bounds[key] = (work_s, self._floor_s(configuration, quantile) * (1 - ROUNDING))
        return self._bounds[key]

    def _floor_s(self, configuration: Configuration, quantile: float) -> float:
        """Return the least that the latency quantile can be, however many replicas share the load."""
        table, transit_s = self.table(configuration, "high"), self.least_transit_s(configuration)
        least, _ = self.factors(configuration)
        if self.demand.items_per_request != 1:
            runs = [warm(least_s(run, table, configuration.instances)) for run in self.demand.runs()]
            return min(float(quantiles(run, (quantile,))[0]) for run in runs) * least + transit_s
        if configuration.max_batch_size > 1 or self.demand.trace_s is not None:
            return float(table[0][self.demand.sure_class(quantile)]) * least + transit_s
        # Without batching the k-th request takes the k-th draw whoever serves it, so its time on an idle server is known.
        floors = []
        for seed in range(SEEDS):
            service_s = table[0][self.demand.stream(seed, 1).size_class]
            service_s = service_s * np.resize(self._service_factor(self.grid(configuration), seed, "high"), len(service_s))
            floors.append(quantiles(warm(service_s), (quantile,))[0])
        return float(min(floors)) + transit_s

    def work_s(self, configuration: Configuration, end: str) -> float:
        """Return the least seconds of service per request, each of its items in the batch that suits its class best."""
        key = (*setting_of(configuration), configuration.max_batch_size, end)
        if key not in self._works:
            mean_s = float(per_item_s(self.table(configuration, end)) @ self.demand.class_shares)
            self._works[key] = mean_s * self.demand.mean_items * float(np.mean(self._spread(self.grid(configuration), end)))
        return self._works[key]

    def _service_factor(self, grid: ServiceGrid, seed: int, end: str) -> np.ndarray:
        key = (setting_of(grid), seed, end)
        if key not in self._factors:
            spread, is_ordered = self._spread(grid, end), self._overhead(grid) is not None
            drawn = np.random.default_rng((seed, 3)).integers(len(spread), size=4096)
            self._factors[key] = begun(spread, seed) if is_ordered else spread[drawn]
        return self._factors[key]

    def _hold_up_s(self, grid: ServiceGrid, seed: int) -> np.ndarray | None:
        """Return what single batches that wake an instance up take longer (batches,), at every end; None where none does."""
        held_up_s = self._held_up_s.get(id(self._overhead(grid)))
        return None if held_up_s is None else begun(held_up_s, seed)

    def _delay_s(self, configuration: Configuration, end: str) -> float:
        """Return how long the oldest request really waits for others: a timer ends late, and meanwhile others join."""
        overhead = self._overhead(self.grid(configuration))
        if configuration.max_queue_delay_s == 0.0 or overhead is None or overhead.timer_late_s is None:
            return configuration.max_queue_delay_s
        return configuration.max_queue_delay_s + self._at(overhead.timer_late_s, end)

    def keeps_up(self, configuration: Configuration, replicas: int, end: str, *, scale: float = 1.0) -> bool:
        """Return whether the busiest part of the day leaves the servers a rest, in the batches that suit them best, and keeps the quota.

        Without a rest a queue grows as long as the part lasts, far longer than a simulated day shows; beyond its quota a server is
        held back as if it had less than its cores.
        """
        work_s = self.work_s(configuration, end) / configuration.instances
        busy = scale * self.demand.busiest_requests_per_s * work_s / replicas
        cores = configuration.instances * configuration.intra_op_num_threads
        return busy < 1 and (self.quota_cores is None or busy * cores < self.quota_cores)

    def run(
        self,
        configuration: Configuration,
        replicas: int,
        end: str,
        seed: int,
        *,
        scale: float = 1.0,
        requests: int | None = None,
        with_stalls: bool = False,
        by_stretches: bool = False,
    ) -> Run:
        """Return one run; `scale` makes the stream so many times as dense, `requests` takes only so many, `by_stretches` stretches."""
        is_long = requests is None and self.demand.is_long(replicas)
        if is_long and (by_stretches or self._is_sampled(configuration, replicas, end, scale)):
            parts = self.demand.stretches(seed, replicas, scale=scale)
            runs = [
                self.replay(configuration, part.requests, end, seed, with_stalls=with_stalls, stretch=part.name) for part in parts
            ]
            rate, servers = scale * self.demand.requests_per_s, replicas * configuration.instances
            return of_stretches(runs, parts, requests_per_s=rate, servers=servers)
        stream = self.demand.stream(seed, replicas, scale=scale, requests=requests)
        run = self.replay(configuration, stream, end, seed, with_stalls=with_stalls)
        return msgspec.structs.replace(
            run, latency_s=warm(run.latency_s), throughput_requests_per_s=replicas * run.throughput_requests_per_s
        )

    def _is_sampled(self, configuration: Configuration, replicas: int, end: str, scale: float = 1.0) -> bool:
        work_s = self.busiest_work_s(configuration, replicas, end, scale=scale)
        return self.demand.is_long(replicas) and self.demand.is_sampled(work_s, replicas, scale=scale)

    def busiest_work_s(self, configuration: Configuration, replicas: int, end: str, *, scale: float = 1.0) -> float:
        """Return what a request of a long trace takes one replica in the busiest stretches, in the batches of there."""
        if not self.demand.is_long(replicas):
            return 0.0
        key = (configuration, replicas, end, scale)
        if key not in self._busiest:
            busiest = self.demand.stretches(0, replicas, scale=scale)[0]
            observed_s = self.replay(configuration, busiest.requests, end, 0, stretch=busiest.name).work_s
            self._busiest[key] = max(observed_s, self.work_s(configuration, end)) / configuration.instances
        return self._busiest[key]

    def seeds(self, configuration: Configuration, replicas: int, end: str) -> range:
        """Return the seeds of the runs: of a long trace that is simulated whole, one shows what several of others do."""
        return range(1 if self.demand.is_long(replicas) and not self._is_sampled(configuration, replicas, end) else SEEDS)

    def replay(
        self,
        configuration: Configuration,
        requests: Requests,
        end: str,
        seed: int,
        *,
        with_stalls: bool = False,
        stretch: Hashable = None,
    ) -> Run:
        """Return the run of these very requests at one replica, its latencies those of all of them (requests,)."""
        grid, arrival_s = self.grid(configuration), requests.arrival_s
        overhead = self._overhead(grid)
        queued_s = self._queued_s(grid, requests, seed, end, with_stalls=with_stalls, stretch=stretch)
        stalls = self._stalled(configuration.intra_op_num_threads, seed, end, SERVER_STREAM) if with_stalls else None
        gap_s, length_s = stalls or (None, None)
        after_s, histogram, busy_s = queue_sim.simulate_queue(
            queued_s,
            requests.size_class,
            self.table(configuration, end),
            self._service_factor(grid, seed, end),
            instances=configuration.instances,
            max_queue_delay_s=self._delay_s(configuration, end),
            wake_s=0.0 if overhead is None else self._at(overhead.wake_s, end),
            hold_up_s=self._hold_up_s(grid, seed),
            stall_gap_s=gap_s,
            stall_length_s=length_s,
        )
        # Who is on the way for long waits less for others to join: the way is part of the queue's arrivals, not of its latencies.
        latency_s = after_s + (queued_s - arrival_s)
        # The last batches leave last, but for those that overtake them on another instance.
        last = configuration.max_batch_size * (configuration.instances + 1)
        span = max(float((arrival_s[-last:] + latency_s[-last:]).max()) - float(arrival_s[0]), np.finfo(float).tiny)
        return Run(
            latency_s=requests.each(latency_s),
            batches=histogram,
            # Rounding of sums may leave a server that never rests a hair more than fully busy.
            utilization=min(busy_s / (configuration.instances * span), 1.0),
            throughput_requests_per_s=requests.total / span,
            work_s=busy_s / requests.total,
        )

    def meets(
        self, configuration: Configuration, replicas: int, *, quantile: float, target_s: float, by_stretches: bool = False
    ) -> bool:
        """Return whether servers keep up, and the quantile is within the target at every end of the service interval in every run.

        The upper end is what misses, if any: faster calls may form other batches, but seldom keep anybody waiting longer. With no more
        than MIDDLE_CONFIDENCE it alone is asked: then calls are supposed to be no slower than that. Of a long trace all requests have to
        keep the target as stretches do, or only these, `by_stretches`.
        """
        ends = ("high", "value", "low") if self._stretch > 0 else ("high",)
        runs = ((end, seed) for end in ends for seed in self.seeds(configuration, replicas, end))
        work_s, late = self.busiest_work_s(configuration, replicas, "high"), FAR_MORE * (1 - quantile)
        return (
            self.keeps_up(configuration, replicas, "high")
            and not self.demand.is_overrun(work_s, replicas, late=late, target_s=target_s)
            and all(self._keeps(configuration, replicas, run, quantile, target_s) for run in runs)
            and (by_stretches or self._keeps(configuration, replicas, ("high", 0), quantile, target_s, on_all=True))
        )

    def _keeps(
        self,
        configuration: Configuration,
        replicas: int,
        run: tuple[str, int],
        quantile: float,
        target_s: float,
        on_all: bool = False,
    ) -> bool:
        """Return whether the quantile of one run is within the target: as if all its latencies were asked for, and often sooner."""
        end, seed = run
        if self._is_sampled(configuration, replicas, end) != on_all:
            # Stretches say it; or all requests were asked already, where there are no stretches to confirm.
            return on_all or self.run(configuration, replicas, end, seed).kept_fraction(target_s) >= quantile
        grid, stream = self.grid(configuration), self.demand.stream(seed, replicas)
        overhead, unwarmed = self._overhead(grid), warm_up(stream.total)
        counted = stream.total - unwarmed
        if stream.first is not None:  # the kernel counts items that are late, not requests
            late = warm(self.replay(configuration, stream, end, seed).latency_s) > target_s
            return int(late.sum()) <= counted - 1 - rank(quantile, counted)
        queued_s = self._queued_s(grid, stream, seed, end, stretch=replicas if self.demand.is_long(replicas) else None)
        kept = queue_sim.keeps_target(
            queued_s,
            stream.size_class,
            self.table(configuration, end),
            self._service_factor(grid, seed, end),
            queued_s - stream.arrival_s,
            instances=configuration.instances,
            max_queue_delay_s=self._delay_s(configuration, end),
            target_s=target_s,
            warm_up=unwarmed,
            allowed=counted - 1 - rank(quantile, counted),
            wake_s=0.0 if overhead is None else self._at(overhead.wake_s, end),
            hold_up_s=self._hold_up_s(grid, seed),
        )
        return bool(kept)

    def factors(self, configuration: Configuration, end: str = "high") -> tuple[float, float]:
        """Return the least and the largest ratio of a batch's time to what is said of it at this end, in any run."""
        spread = self._spread(self.grid(configuration), end)
        return float(spread.min()), float(spread.max())

    def least_transit_s(self, configuration: Configuration) -> float:
        """Return the least seconds that a request takes to its place in the queue, at the upper end."""
        overhead = self._overhead(self.grid(configuration))
        return 0.0 if overhead is None else float(self._ways_s[id(overhead), "high"].min())

    def outcome(
        self, configuration: Configuration, replicas: int, end: str, wanted: Sequence[float], *, with_stalls: bool = False
    ) -> Outcome:
        """Return the wanted quantiles and the other results of the runs of all seeds."""
        runs = [
            self.run(configuration, replicas, end, seed, with_stalls=with_stalls)
            for seed in self.seeds(configuration, replicas, end)
        ]
        slo, busiest = self.demand.slo, self.demand.in_busiest(len(runs[0].latency_s))
        return Outcome(
            quantiles_s=np.array([run.quantiles_s(wanted) for run in runs]),
            busiest_s=None
            if busiest is None
            else np.array([quantiles(run.latency_s[busiest], (slo.quantile,))[0] for run in runs]),
            goodput=np.array([run.kept_fraction(slo.latency_s) for run in runs]),
            utilization=np.array([run.utilization for run in runs]),
            throughput_requests_per_s=np.array([run.throughput_requests_per_s for run in runs]),
            batches=np.sum([run.batches for run in runs], axis=0),
            sampled=None if runs[0].share is None else len(runs[0].share),
        )
